package sesguard

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard/internal/mimetext"
)

// A readMail is a message as the standard library reads it.
type readMail struct {
	header mail.Header
	shape  string // the types of the parts, as they are nested
	text   string
	html   string
	files  []readFile
}

type readFile struct{ name, media, id, disposition, content string }

// read parses data, and fails unless it keeps every rule of the wire.
func read(t *testing.T, data []byte) *readMail {
	t.Helper()
	checkLines(t, data)
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	r := &readMail{header: m.Header}
	r.part(t, m.Header.Get, m.Body)
	return r
}

func (r *readMail) part(t *testing.T, get func(string) string, body io.Reader) {
	t.Helper()
	media, params, err := mime.ParseMediaType(get("Content-Type"))
	if err != nil {
		t.Fatalf("Content-Type %q: %v", get("Content-Type"), err)
	}
	if kind, ok := strings.CutPrefix(media, "multipart/"); ok {
		r.shape += kind + "("
		parts := multipart.NewReader(body, params["boundary"])
		if !strings.Contains(params["boundary"], "=_") {
			t.Errorf("boundary %q", params["boundary"])
		}
		for p, err := parts.NextRawPart(); err != io.EOF; p, err = parts.NextRawPart() {
			if err != nil {
				t.Fatal(err)
			}
			r.part(t, p.Header.Get, p)
		}
		r.shape += ")"
		return
	}
	r.shape += media + " "
	content := decode(t, get("Content-Transfer-Encoding"), body)
	disposition, fileParams, _ := mime.ParseMediaType(get("Content-Disposition"))
	switch {
	case disposition != "":
		r.files = append(r.files, readFile{fileParams["filename"], media, get("Content-ID"), disposition, content})
	case media == "text/html":
		r.html = content
	default:
		r.text = content
	}
}

func decode(t *testing.T, encoding string, body io.Reader) string {
	t.Helper()
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > mimetext.LineAim {
			t.Errorf("a line of a body has %d octets: %q", len(line), line)
		}
		if n := len(line); n > 0 && (line[n-1] == ' ' || line[n-1] == '\t') {
			t.Errorf("a line of a body ends with a blank, which relays drop: %q", line)
		}
	}
	switch encoding {
	case "base64":
		out, err := base64.StdEncoding.DecodeString(string(raw))
		if err != nil {
			t.Fatalf("%v in %q", err, raw)
		}
		return string(out)
	case "quoted-printable":
		out, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(raw)))
		if err != nil {
			t.Fatalf("%v in %q", err, raw)
		}
		return string(out)
	case "7bit":
		return string(raw)
	}
	t.Fatalf("encoding %q", encoding)
	return ""
}

// octets returns what b writes.
func octets(b *Mail) ([]byte, error) {
	var buf bytes.Buffer
	_, err := b.WriteTo(&buf)
	return buf.Bytes(), err
}

// written returns what m writes.
func written(t *testing.T, m *Message) []byte {
	t.Helper()
	var buf bytes.Buffer
	n, err := m.WriteTo(&buf)
	if err != nil || n != int64(buf.Len()) {
		t.Fatalf("WriteTo = %d, %v; wrote %d", n, err, buf.Len())
	}
	return buf.Bytes()
}

func TestTheShapeOfAMessage(t *testing.T) {
	file := Attachment{Name: "a.pdf", Content: []byte("pdf")}
	image := Attachment{Name: "i.png", ContentID: "i", Content: []byte("png")}
	for _, tt := range []struct {
		name, text, html string
		files            []Attachment
		want             string
	}{
		{"nothing", "", "", nil, "text/plain "},
		{"text", "t", "", nil, "text/plain "},
		{"HTML", "", "h", nil, "text/html "},
		{"both", "t", "h", nil, "alternative(text/plain text/html )"},
		{"text and file", "t", "", []Attachment{file}, "mixed(text/plain application/pdf )"},
		{"both and file", "t", "h", []Attachment{file}, "mixed(alternative(text/plain text/html )application/pdf )"},
		{"file", "", "", []Attachment{file}, "mixed(application/pdf )"},
		{"HTML and image", "", "h", []Attachment{image}, "related(text/html image/png )"},
		{"both and image", "t", "h", []Attachment{image}, "alternative(text/plain related(text/html image/png ))"},
		{"all", "t", "h", []Attachment{file, image, file}, "mixed(alternative(text/plain related(text/html image/png ))application/pdf application/pdf )"},
		{"text and image", "t", "", []Attachment{image}, "mixed(text/plain image/png )"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := plain()
			m.Text, m.HTML, m.Attachments = tt.text, tt.html, tt.files
			r := read(t, written(t, m))
			if r.shape != tt.want {
				t.Errorf("got  %s\nwant %s", r.shape, tt.want)
			}
			if strings.TrimSuffix(r.text, "\r\n") != tt.text || strings.TrimSuffix(r.html, "\r\n") != tt.html || len(r.files) != len(tt.files) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestTheHeaderOfAMessage(t *testing.T) {
	m := plain()
	m.From = "Jürgen <j@bücher.example>"
	m.To = []string{`"Public, Jo" <jo@example.com>`, "x@example.com"}
	m.Cc = []string{"cc@example.com"}
	m.Bcc = []string{"hidden@example.com"}
	m.ReplyTo = []string{"r@example.com"}
	m.Subject = "Grüße"
	m.ConfigurationSet = "set"
	m.Headers = []Header{
		{"List-Unsubscribe", "<https://example.com/u?x=1>, <mailto:u@example.com>"},
		{"X-Note", "für dich"},
		{"Sender", "Jörg <s@bücher.example>"},
	}
	got := string(written(t, m))
	const want = "From: =?utf-8?q?J=C3=BCrgen?= <j@xn--bcher-kva.example>\r\n" +
		"To: \"Public, Jo\" <jo@example.com>, x@example.com\r\n" +
		"Cc: cc@example.com\r\n" +
		"Reply-To: r@example.com\r\n" +
		"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n" +
		"Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n" +
		"MIME-Version: 1.0\r\n" +
		"List-Unsubscribe: <https://example.com/u?x=1>, <mailto:u@example.com>\r\n" +
		"X-Note: =?utf-8?b?ZsO8ciBkaWNo?=\r\n" +
		"Sender: =?utf-8?b?SsO2cmc=?= <s@xn--bcher-kva.example>\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: 7bit\r\n" +
		"\r\n" +
		"Hello\r\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBccAloneGetsAToHeaderAndIsNeverWritten(t *testing.T) {
	m := plain()
	m.To, m.Bcc = nil, []string{"hidden@example.com"}
	got := string(written(t, m))
	if !strings.Contains(got, "\r\nTo: undisclosed-recipients:;\r\n") || strings.Contains(got, "hidden") {
		t.Errorf("got\n%s", got)
	}
	m.Cc = []string{"cc@example.com"}
	if got := string(written(t, m)); !strings.Contains(got, "\r\nTo: undisclosed-recipients:;\r\nCc: cc@example.com\r\n") {
		t.Errorf("with Cc: got\n%s", got)
	}
}

func TestWhatSESReadsGoesBeforeTheMessageOverSMTPOnly(t *testing.T) {
	m := plain()
	m.ConfigurationSet, m.Tenant = "set", "tenant"
	m.Tags = []Tag{{"a", "b"}, {"c", "d@e.f"}}
	m.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/example.com"
	m.ReturnPathARN = "arn:aws:ses:us-east-1:123456789012:identity/example.org"
	m.List = &List{"news", "weekly"}
	b, err := Build(m)
	if err != nil {
		t.Fatal(err)
	}
	const want = "X-SES-CONFIGURATION-SET: set\r\n" +
		"X-SES-SOURCE-ARN: arn:aws:ses:us-east-1:123456789012:identity/example.com\r\n" +
		"X-SES-FROM-ARN: arn:aws:ses:us-east-1:123456789012:identity/example.com\r\n" +
		"X-SES-RETURN-PATH-ARN: arn:aws:ses:us-east-1:123456789012:identity/example.org\r\n" +
		"X-SES-TENANT: tenant\r\n" +
		"X-SES-MESSAGE-TAGS: a=b, c=d@e.f\r\n" +
		"X-SES-LIST-MANAGEMENT-OPTIONS: news; topic=weekly\r\n"
	o, err := b.open(t.Context(), b.sesLines())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var buf bytes.Buffer
	if _, err := o.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	data, _ := octets(b)
	if string(b.sesLines()) != want || buf.String() != want+string(data) {
		t.Errorf("got\n%s\nwant\n%s", buf.String(), want)
	}
	if bytes.Contains(data, []byte("X-SES")) {
		t.Errorf("the API's message holds\n%s", data)
	}
}

func TestLongTagsAreFolded(t *testing.T) {
	m := plain()
	for i := range 20 {
		m.Tags = append(m.Tags, Tag{fmt.Sprintf("%s%d", strings.Repeat("n", 250), i), strings.Repeat("v", 255)})
	}
	b, err := Build(m)
	if err != nil {
		t.Fatal(err)
	}
	checkLines(t, b.sesLines())
}

func TestLongListsAreFolded(t *testing.T) {
	m := plain()
	m.To = addrs(49)
	m.Cc = []string{strings.Repeat("ü", 400) + " <" + strings.Repeat("l", 64) + "@" + strings.Repeat("d", 60) + ".example>"}
	data := written(t, m)
	r := read(t, data)
	to, err := r.header.AddressList("To")
	if err != nil || len(to) != 49 || to[48].Address != "user48@example.com" {
		t.Errorf("%v %v", to, err)
	}
	cc, err := r.header.AddressList("Cc")
	if err != nil || cc[0].Name != strings.Repeat("ü", 400) {
		t.Errorf("%v %v", cc, err)
	}
	for line := range bytes.SplitSeq(data, []byte("\r\n")) {
		if len(line) > 78 && !bytes.Contains(line, []byte("llll")) {
			t.Errorf("long line %q", line)
		}
	}
}

// Readers that keep the space between two encoded-words of a name (Python's
// email package did until 2025) must not meet two without need.
func TestANameIsNotSplitToFillALine(t *testing.T) {
	m := plain()
	m.To = nil
	for i := range 40 {
		m.To = append(m.To, fmt.Sprintf("%s Empfänger <user%d@example.com>", strings.Repeat("n", i%20+1), i))
	}
	data := written(t, m)
	if n := bytes.Count(data, []byte("=?utf-8?")); n != len(m.To) {
		t.Errorf("%d encoded-words for %d names in\n%s", n, len(m.To), data)
	}
	for line := range bytes.SplitSeq(data, []byte("\r\n")) {
		if len(line) > mimetext.LineAim {
			t.Errorf("long line %q", line)
		}
	}
}

func TestAFieldNeverBeginsWithAnEmptyLine(t *testing.T) {
	m := plain()
	long := strings.Repeat("x", 200)
	m.Subject = strings.Repeat("y", 70) + " z"
	m.To = []string{strings.Repeat("l", 64) + "@" + strings.Repeat("d", 60) + ".example"}
	m.Headers = []Header{{"X-A", long + " " + long}, {strings.Repeat("X", 80), "ünicode"}}
	data := written(t, m)
	read(t, data)
	if regexp.MustCompile(`(?m)^[^ ]+:[ \t]*\r\n`).Match(data) {
		t.Errorf("an empty first line in\n%s", data)
	}
}

func TestTextsReadBackUnchanged(t *testing.T) {
	for _, s := range []string{
		"x", "\n", "\nx\n\n", "a\nb\n", "trailing \nblanks\t\n", " ", "\t", ".\n..\n.x", "From x\n", "=", "=_", "a=20b", "--=_x\n",
		strings.Repeat("x", 76), strings.Repeat("x", 77), strings.Repeat("x ", 500), strings.Repeat("=", 100), "ü", strings.Repeat("ü", 200),
		strings.Repeat("x", 74) + "ü", strings.Repeat("x", 75) + " ", strings.Repeat("x", 75) + " \n", strings.Repeat("x", 75) + "\n", "\x00\x01\x7f", "\f\v",
		strings.Repeat("x", 73) + "=\n", strings.Repeat("x", 74) + "\t\ny",
	} {
		for _, nl := range []string{"\n", "\r\n", "\r"} {
			in := strings.ReplaceAll(s, "\n", nl)
			m := plain()
			m.Text, m.HTML = in, in
			r := read(t, written(t, m))
			want := strings.ReplaceAll(s, "\n", "\r\n")
			if r.text != want || r.html != want {
				t.Errorf("%q reads back as %q and %q", in, r.text, r.html)
			}
		}
	}
}

func TestFileNamesReadBackUnchanged(t *testing.T) {
	for _, name := range []string{
		"a.txt", "a b.txt", `a"b.txt`, "a;b=c.txt", "ü.txt", "日本語.pdf", "a%41.txt", "a'b'.txt",
		strings.Repeat("x", 251) + ".txt", strings.Repeat("日", 80) + ".pdf", "👍🏽.png", strings.Repeat("a%", 60), "x", ".txt", "a..b",
	} {
		m := plain()
		m.Attachments = []Attachment{{Name: name, Content: []byte("x")}}
		data := written(t, m)
		if r := read(t, data); len(r.files) != 1 || r.files[0].name != name {
			t.Errorf("%q reads back as %+v from\n%s", name, r.files, data)
		}
		for line := range bytes.SplitSeq(data, []byte("\r\n")) {
			if len(line) > lineMax {
				t.Errorf("%q: long line %q", name, line)
			}
		}
	}
}

// An inline text part becomes part of the body in some readers, and its file
// is gone.
func TestATextThatTheHTMLRefersToIsAnAttachment(t *testing.T) {
	m := plain()
	m.HTML = "h"
	m.Attachments = []Attachment{{Name: "s.csv", ContentID: "s", Content: []byte("x")}, {Name: "i.png", ContentID: "i", Content: []byte("x")}}
	r := read(t, written(t, m))
	if len(r.files) != 2 || r.files[0].disposition != "attachment" || !strings.HasPrefix(r.files[0].id, "<s@") || r.files[1].disposition != "inline" {
		t.Errorf("got %+v", r.files)
	}
}

func TestFilesReadBackUnchanged(t *testing.T) {
	all := make([]byte, chunkIn*2+100)
	for i := range all {
		all[i] = byte(i * 7 / 3)
	}
	for _, n := range []int{0, 1, 2, 3, 56, 57, 58, 113, 114, 115, chunkIn - 1, chunkIn, chunkIn + 1, 2 * chunkIn, 2*chunkIn + 100} {
		m := plain()
		m.Attachments = []Attachment{
			{Name: "held", Content: all[:n:n]},
			{Name: "streamed", Open: func() (io.ReadCloser, error) { return io.NopCloser(dribble{bytes.NewReader(all[:n])}), nil }},
		}
		data := written(t, m)
		r := read(t, data)
		if len(r.files) != 2 || r.files[0].content != string(all[:n]) || r.files[1].content != string(all[:n]) {
			t.Errorf("files of %d octets changed", n)
		}
		b, _ := Build(m)
		if b.Size() != -1 || b.length() != int64(len(data))-mimetext.Base64Len(n) {
			t.Errorf("n %d: size %d, wrote %d with a streamed file of %d", n, b.length(), len(data), mimetext.Base64Len(n))
		}
		if again, err := octets(b); err != nil || !bytes.Equal(again, data) {
			t.Errorf("n %d: bytes and WriteTo differ, %v", n, err)
		}
	}
}

// dribble reads in odd pieces.
type dribble struct{ r io.Reader }

func (d dribble) Read(p []byte) (int, error) { return d.r.Read(p[:min(len(p), 1021)]) }

func TestMediaTypesAndIDs(t *testing.T) {
	m := plain()
	m.HTML = `<img src="cid:logo@x">`
	one := []byte("x")
	m.Attachments = []Attachment{
		{Name: "l.PNG", ContentID: "logo@x", Content: one},
		{Name: "a.unknown", Content: one},
		{Name: "i.ics", ContentType: "text/calendar; method=REQUEST; charset=utf-8", Content: one},
		{Name: "b", ContentType: "application/pdf; name=other.pdf", Content: one},
	}
	r := read(t, written(t, m))
	want := []readFile{
		{"l.PNG", "image/png", "<logo@x>", "inline", "x"},
		{"a.unknown", "application/octet-stream", "", "attachment", "x"},
		{"i.ics", "text/calendar", "", "attachment", "x"},
		{"b", "application/pdf", "", "attachment", "x"},
	}
	if fmt.Sprint(r.files) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", r.files, want)
	}
}

func TestTheSameMessageIsTheSameOctets(t *testing.T) {
	m := plain()
	m.HTML, m.Attachments = "h", []Attachment{{Name: "a", Content: []byte("x")}}
	first := written(t, m)
	if again := written(t, m); !bytes.Equal(first, again) {
		t.Errorf("%q\n%q", first, again)
	}
	boundary := regexp.MustCompile(`boundary="(.*)"`)
	other := *m
	other.Text = "another"
	a, b := boundary.FindSubmatch(first)[1], boundary.FindSubmatch(written(t, &other))[1]
	if bytes.Equal(a, b) {
		t.Errorf("another content has the same boundary %s", a)
	}
}

func TestATextThatHoldsItsOwnBoundaryStaysWhole(t *testing.T) {
	m := plain()
	m.HTML = "h"
	m.Text = string(written(t, m)) // the whole mail, quoted in itself
	for range 3 {
		data := written(t, m)
		if r := read(t, data); r.text != m.Text || r.shape != "alternative(text/plain text/html )" {
			t.Fatalf("torn: %s", data)
		}
		m.Text = string(data)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("Jo", "Hello", "text", "<p>html", "X-A", "value", "a.txt", []byte("content"))
	f.Add("Jürgen, Dr.", "Grüße 👍🏽", "ü\r\n.\r\n", "=_--=_", "X-B", "ünicode "+strings.Repeat("x ", 200), "ü \".pdf", []byte{0, 255})
	f.Add("a\r\nb", "a\r\nBcc: x", "\x00", "\r", "Bcc", "a\nb", "a/b", []byte(nil))
	f.Add("=?utf-8?q?x?=", " =?utf-8?q?x?= ", strings.Repeat("x", 1000), strings.Repeat("ü", 300), "Message-ID", "<a@b>", strings.Repeat("ü", 100), bytes.Repeat([]byte("x"), 100))
	f.Add("Jo", "", "", "", "List-ID", "Nächr <a.b>", "a", []byte("x"))
	f.Add("Jo", ".", "From x\n.\n", "", "Keywords", "ä, b,c", "ü", []byte("x"))
	f.Add("Jo", "x", "", "", "References", "<a@b><c@d>  <e@f>", "x.日本", []byte("x"))
	f.Add("Jo", "x", "", "", "List-Unsubscribe", "<https://a.b/?x=1,2>,<mailto:a@b> (c)", "x", []byte("x"))
	f.Add("Jo", "x", "", "", "Mail-Followup-To", "\"a, b\" <a@b.c>, ü <d@e.f>", "x", []byte("x"))
	f.Add(`"\`, strings.Repeat("long words ", 90), "trailing \n", "\ttab\t\n", "Subject", "x", "=?.txt", []byte("x"))
	f.Fuzz(func(t *testing.T, name, subject, text, html, header, value, file string, content []byte) {
		m := &Message{
			From: Address{Name: name, Local: "a", Domain: "b.c"}.String(), To: []string{"d@e.f"}, Bcc: []string{"hidden@x.y"},
			Subject: subject, Text: text, HTML: html, Headers: []Header{{header, value}},
			Attachments: []Attachment{{Name: file, Content: content}},
		}
		b, err := Build(m)
		if err != nil {
			if _, ok := errors.AsType[*ValidationError](err); !ok || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("%q", err)
			}
			return
		}
		data, err := octets(b)
		if err != nil {
			t.Fatal(err)
		}
		r := read(t, data)
		if len(r.header) != 7 && !(subject == "" && len(r.header) == 6) {
			t.Errorf("%d header fields in\n%s", len(r.header), data)
		}
		words := new(mime.WordDecoder)
		if got, err := words.DecodeHeader(r.header.Get("Subject")); err != nil || got != subject {
			t.Errorf("subject %q reads back as %q, %v", subject, got, err)
		}
		if from, err := r.header.AddressList("From"); err != nil || len(from) != 1 || from[0].Name != strings.ToValidUTF8(name, "\uFFFD") || from[0].Address != "a@b.c" {
			t.Errorf("name %q reads back as %v, %v", name, from, err)
		}
		if syntaxes[strings.ToLower(header)] == unstructured {
			got, want := r.header.Get(header), strings.Trim(value, " ")
			if !isPrintable(value) {
				got, _ = words.DecodeHeader(got)
			}
			if got != want {
				t.Errorf("header %q reads back as %q", want, got)
			}
		}
		again := *m
		again.Headers = []Header{{header, r.header.Get(header)}} // as another program read it
		if same, err := Build(&again); err != nil {
			t.Errorf("header %q is written %q, which is refused: %v", value, r.header.Get(header), err)
		} else if second, _ := octets(same); read(t, second).header.Get(header) != r.header.Get(header) {
			t.Errorf("header %q is written %q, and that %q", value, r.header.Get(header), read(t, second).header.Get(header))
		}
		crlf := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n")
		if r.text != crlf.Replace(text) || r.html != crlf.Replace(html) {
			t.Errorf("body %q and %q reads back as %q and %q", text, html, r.text, r.html)
		}
		if len(r.files) != 1 || r.files[0].name != file || r.files[0].content != string(content) {
			t.Errorf("file %q %q reads back as %q", file, content, r.files)
		}
		stored, err := b.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if loaded, err := LoadMail(stored); err != nil {
			t.Errorf("what was built cannot be loaded: %v\n%s", err, data)
		} else if again, _ := octets(loaded); !bytes.Equal(again, data) {
			t.Errorf("it was stored as\n%s\nnot\n%s", again, data)
		}
		if bytes.Contains(data, []byte("hidden@x.y")) && !strings.Contains(subject+text+html+value+file, "hidden@x.y") {
			t.Errorf("Bcc is shown in\n%s", data)
		}
	})
}
