package sesguard

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the messages in testdata/messages")

// goldenMessages holds one message for each way in which the octets can differ.
func goldenMessages() map[string]*Message {
	date := time.Date(2024, time.February, 29, 12, 30, 0, 0, time.FixedZone("", 3600))
	letter := func(text, html string, files ...Attachment) *Message {
		return &Message{
			From: "Jo Public <jo@example.com>", To: []string{"to@example.org"}, Subject: "Your order has left our house",
			Date: date, Text: text, HTML: html, Attachments: files,
		}
	}
	long := strings.Repeat("The quick brown fox jumps over the lazy dog, and nobody minds. ", 4)
	octets := make([]byte, 300)
	for i := range octets {
		octets[i] = byte(i)
	}
	pdf := Attachment{Name: "Rechnung für März.pdf", Content: octets}
	logo := Attachment{Name: "logo.png", ContentID: "logo", Content: octets[:58]}
	page := `<p>Hello</p><img src="cid:logo">`

	header := letter("Hello", "")
	header.From = `"Public, Jo \"J\"" <jo@example.com>`
	header.To = []string{"Jürgen Groß <j@bücher.example>", `"a..b"@example.org`, "J. R. Public <jr@example.org>"}
	for range 8 {
		header.Cc = append(header.Cc, "A Name of Some Length <somebody@mail.example.org>")
	}
	header.Bcc = []string{"hidden@example.net"}
	header.ReplyTo = []string{"Antwort für alle <reply@example.com>"}
	header.Subject = "Grüße aus Köln: " + strings.Repeat("ein Satz mit Umlauten äöü ", 6) + "👍🏽."
	header.Headers = []Header{
		{"List-Unsubscribe", "<https://example.com/u>"}, {"X-Long", strings.Repeat("word ", 40)},
		{"X-Name", "ünicode"}, {"Sender", "Jürgen <sender@example.com>"},
	}
	return map[string]*Message{
		"text":        letter("Hello,\nthis is short.\r\n\tTabs may stay.\rOld.", ""),
		"html":        letter("", "<p>ä = \"é\"</p>"),
		"alternative": letter(long+"\n"+"trailing \n=_ \t\n"+strings.Repeat("ü", 60), "<p>"+long+"</p>"),
		"file alone":  letter("", "", pdf),
		"related":     letter("Hello", page, logo),
		"mixed":       letter("Hello", page, pdf, logo, Attachment{Name: "a.txt", ContentID: "a", Content: []byte{}}),
		"no subject":  {From: "a@example.com", Bcc: []string{"b@example.com"}, Date: date},
		"header":      header,
	}
}

// A change of a single octet shows here, in a form that can be read. The files
// hold LF where a message has CRLF, so that no tool changes them.
func TestTheOctetsOfAMessageStayTheSame(t *testing.T) {
	for name, m := range goldenMessages() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "messages", strings.ReplaceAll(name, " ", "-")+".eml")
			got := written(t, m)
			if *update {
				if err := os.WriteFile(file, bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if want = bytes.ReplaceAll(want, []byte("\n"), []byte("\r\n")); !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
