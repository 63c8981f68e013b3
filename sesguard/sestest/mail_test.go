package sestest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// describe writes what the readers of a mail return on one line.
func describe(m sestest.Mail) string {
	var b strings.Builder
	fmt.Fprintf(&b, "text %q html %q", m.Text(), m.HTML())
	for _, f := range m.Files() {
		fmt.Fprintf(&b, " file %q %s %q %q", f.Name, f.ContentType, f.ContentID, f.Data)
		if f.Inline {
			b.WriteString(" inline")
		}
	}
	return b.String()
}

func TestMailsAreReadAsTheirReadersDo(t *testing.T) {
	multi := func(kind string, parts ...string) string {
		return "Content-Type: multipart/" + kind + "; boundary=" + kind + "\r\n\r\npreamble\r\n--" + kind + "\r\n" +
			strings.Join(parts, "\r\n--"+kind+"\r\n") + "\r\n--" + kind + "--\r\n"
	}
	const text, html = "Content-Type: text/plain\r\n\r\nHi", "Content-Type: TEXT/HTML\r\n\r\n<b>Hi</b>"
	tests := map[string]struct{ msg, want string }{
		"bare":             {"\r\nHello.\r\nBye.\r\n", `text "Hello.\nBye.\n" html ""`},
		"quoted-printable": {"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\nGr=C3=BC=\r\n=C3=9Fe", `text "Grüße" html ""`},
		"base64":           {"Content-Transfer-Encoding: base64\r\n\r\nSGVs\r\nbG8=\r\n", `text "Hello" html ""`},
		"Latin-1":          {"Content-Type: text/plain; charset=ISO-8859-1\r\n\r\nGr\xfc\xdfe", `text "Grüße" html ""`},
		"HTML alone":       {"Content-Type: text/html\r\n\r\n<b>", `text "" html "<b>"`},
		"alternative":      {multi("alternative", text, html), `text "Hi" html "<b>Hi</b>"`},
		"invitation": {multi("alternative", text, html, "Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN"),
			`text "Hi" html "<b>Hi</b>" file "" text/calendar "" "BEGIN"`},
		"all kinds": {multi("mixed", multi("related", multi("alternative", text, html),
			"Content-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Disposition: inline\r\n\r\npng"),
			"Content-Type: text/plain; name=old.txt\r\nContent-Disposition: attachment; filename*=utf-8''%C3%A4.txt\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8="),
			`text "Hi" html "<b>Hi</b>" file "" image/png "logo@x" "png" inline file "ä.txt" text/plain "" "Hello"`},
		"name of the type":  {multi("mixed", text, "Content-Type: application/pdf; name=\"=?utf-8?q?=C3=A4.pdf?=\"\r\n\r\npdf"), `text "Hi" html "" file "ä.pdf" application/pdf "" "pdf"`},
		"text as a file":    {"Content-Disposition: attachment\r\n\r\nx", `text "" html "" file "" text/plain "" "x"`},
		"a second text":     {multi("mixed", text, "\r\nfooter"), `text "Hi" html "" file "" text/plain "" "footer"`},
		"a message in it":   {multi("mixed", text, "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny"), `text "Hi" html "" file "" message/rfc822 "" "Subject: x\r\n\r\ny"`},
		"broken base64":     {"Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8h*AAA", `text "Hello!" html ""`},
		"broken quoting":    {"Content-Transfer-Encoding: quoted-printable\r\n\r\nab\r\nc=zz", `text "ab\nc=zz" html ""`},
		"unknown encoding":  {"Content-Transfer-Encoding: x-uu\r\n\r\nabc", `text "abc" html ""`},
		"unknown charset":   {"Content-Type: text/plain; charset=gb2312\r\n\r\n\xc4\xe3", `text "\xc4\xe3" html ""`},
		"broken type":       {"Content-Type: text/plain/x;=\r\n\r\nabc", `text "" html "" file "" application/octet-stream "" "abc"`},
		"no boundary":       {"Content-Type: multipart/mixed\r\n\r\nabc", `text "" html "" file "" multipart/mixed "" "abc"`},
		"no final boundary": {"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nabc", `text "abc" html ""`},
		"broken part":       {"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nabc\r\n--x\r\nno field\r\n\r\ny\r\n--x--", `text "abc" html ""`},
		"no header at all":  {"", `text "" html ""`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := describe(sestest.Mail{Data: []byte("From: a@example.com\r\n" + tt.msg)}); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestHeaderFieldsAreUnfoldedAndDecoded(t *testing.T) {
	m := sestest.Mail{Data: []byte("From: =?utf-8?q?J=C3=B6rg?= <a@example.com>\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n =?utf-8?q?_an_alle?=\r\n" +
		"X-Odd: =?gb2312?b?xOM=?=\r\nX-Two: 1\r\nX-Two: 2\r\n\r\nSubject: body")}
	for name, want := range map[string]string{
		"From": "Jörg <a@example.com>", "subject": "Grüße an alle", "X-Odd": "=?gb2312?b?xOM=?=", "X-Two": "1", "Body": "",
	} {
		if got := m.Header(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := m.Subject(); got != "Grüße an alle" {
		t.Errorf("subject %q", got)
	}
}

func TestFilesAreFoundByName(t *testing.T) {
	m := sestest.Mail{Data: []byte("Content-Disposition: attachment; filename=a.txt\r\n\r\nabc")}
	if f, ok := m.File("a.txt"); !ok || string(f.Data) != "abc" {
		t.Errorf("a.txt: %q, %v", f.Data, ok)
	}
	if f, ok := m.File("b.txt"); ok || f.Data != nil {
		t.Errorf("b.txt: %q, %v", f.Data, ok)
	}
}

// A tower of multiparts must not take the stack with it.
func TestDeepMultipartsEnd(t *testing.T) {
	var msg []byte
	for i := range 10000 {
		msg = fmt.Appendf(msg, "Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n", i, i)
	}
	if n := len((sestest.Mail{Data: msg}).Files()); n != 1 {
		t.Errorf("%d files", n)
	}
}

func TestSESWritesItsOwnMessageIDAndDate(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		time.Sleep(time.Hour)
		msg := "MESSAGE-ID: <own@example.com>\r\nX-SES-MESSAGE-TAGS: a=b\r\nDate: Thu, 01 Jan 1970\r\n 00:00:00 +0000\r\n" + message
		wantSays(t, send(msg, to), "")
		m := wantAccepted(t, s, 1)[0]
		want := "Message-ID: <" + m.ID + "@email.amazonses.com>\r\nDate: Sat, 01 Jan 2000 01:00:00 UTC\r\n" + message
		if got := string(m.Delivered()); got != strings.Replace(want, "UTC", "+0000", 1) {
			t.Errorf("delivered %q, want %q", got, want)
		}
		if string(m.Data) != msg {
			t.Errorf("data %q, want what was sent", m.Data)
		}
		if m.Header("message-id") != m.HeaderID() || m.Header("X-SES-MESSAGE-TAGS") != "" {
			t.Errorf("header fields %q, %q", m.Header("Message-ID"), m.Header("X-SES-MESSAGE-TAGS"))
		}
	})
}

func TestTheMessageIDNamesTheRegion(t *testing.T) {
	shape := regexp.MustCompile(`^<0100[0-9a-f-]+@eu-west-1\.amazonses\.com>$`)
	for name, send := range transports {
		t.Run(name, func(t *testing.T) {
			s := sestest.NewUnstartedServer()
			s.Region = "eu-west-1"
			s.StartMemory()
			defer s.Close()
			if err := send(t, s, message, to); err != nil {
				t.Fatal(err)
			}
			if m := wantAccepted(t, s, 1)[0]; !shape.MatchString(m.HeaderID()) || m.Header("Message-ID") != m.HeaderID() {
				t.Errorf("message id %s", m.HeaderID())
			}
		})
	}
}
