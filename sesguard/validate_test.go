package sesguard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// plain returns a message with which nothing is wrong.
func plain() *Message {
	return &Message{
		From:    "sender@example.com",
		To:      []string{"to@example.com"},
		Subject: "Hello",
		Text:    "Hello",
		Date:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func addrs(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("user%d@example.com", i)
	}
	return list
}

// problems prepares m and returns what is wrong with it.
func problems(t *testing.T, m *Message) []Problem {
	t.Helper()
	_, err := Build(m)
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*seserrors.Error](err)
	if !ok || e.Class != seserrors.Invalid || e.Op != "sesguard validate" || e.MaybeAccepted {
		t.Fatalf("not an *Error of class Invalid: %#v", err)
	}
	invalid, ok := errors.AsType[*ValidationError](err)
	if !ok || len(invalid.Problems) == 0 || e.Reason != invalid.Problems[0].Reason {
		t.Fatalf("no *ValidationError with the same reason: %#v", err)
	}
	return invalid.Problems
}

func TestEachProblemNamesItsField(t *testing.T) {
	file := func(a Attachment) func(*Message) { return func(m *Message) { m.Attachments = []Attachment{a} } }
	header := func(name, value string) func(*Message) {
		return func(m *Message) { m.Headers = []Header{{name, value}} }
	}
	tag := func(name, value string) func(*Message) { return func(m *Message) { m.Tags = []Tag{{name, value}} } }
	one := []byte("x")
	opened := func() (io.ReadCloser, error) { return nil, nil }
	for _, tt := range []struct {
		name   string
		change func(*Message)
		field  string
		reason seserrors.Reason
	}{
		{"no sender", func(m *Message) { m.From = "" }, "From", seserrors.IllegalAddress},
		{"bad sender", func(m *Message) { m.From = "a@b@c" }, "From", seserrors.IllegalAddress},
		{"bad return path", func(m *Message) { m.ReturnPath = "a" }, "ReturnPath", seserrors.IllegalAddress},
		{"no recipient", func(m *Message) { m.To = nil }, "To", seserrors.NoRecipients},
		{"empty recipient", func(m *Message) { m.To = []string{""} }, "To[0]", seserrors.IllegalAddress},
		{"second recipient", func(m *Message) { m.To = append(m.To, "ü@b.c") }, "To[1]", seserrors.NonASCIIAddress},
		{"bad Cc", func(m *Message) { m.Cc = []string{"a@b.c>\r\nRCPT TO:<x@y.z"} }, "Cc[0]", seserrors.IllegalAddress},
		{"bad Bcc", func(m *Message) { m.Bcc = []string{"a@b.c,d@e.f"} }, "Bcc[0]", seserrors.IllegalAddress},
		{"bad ReplyTo", func(m *Message) { m.ReplyTo = []string{"a@b.c", "x"} }, "ReplyTo[1]", seserrors.IllegalAddress},
		{"51 recipients", func(m *Message) { m.To = addrs(51) }, "To", seserrors.TooManyRecipients},
		{"51 over three lists", func(m *Message) { l := addrs(51); m.To, m.Cc, m.Bcc = l[:20], l[20:40], l[40:] }, "To", seserrors.TooManyRecipients},
		{"line break in the subject", func(m *Message) { m.Subject = "a\r\nBcc: x@y.z" }, "Subject", seserrors.IllegalHeader},
		{"bare CR in the subject", func(m *Message) { m.Subject = "a\rb" }, "Subject", seserrors.IllegalHeader},
		{"NUL in the subject", func(m *Message) { m.Subject = "a\x00" }, "Subject", seserrors.IllegalHeader},
		{"line separator in the subject", func(m *Message) { m.Subject = "a\u2028b" }, "Subject", seserrors.IllegalHeader},
		{"subject that is no UTF-8", func(m *Message) { m.Subject = "\xff" }, "Subject", seserrors.IllegalHeader},
		{"text that is no UTF-8", func(m *Message) { m.Text = "\xff" }, "Text", seserrors.InvalidParameter},
		{"HTML that is no UTF-8", func(m *Message) { m.HTML = "\xff" }, "HTML", seserrors.InvalidParameter},
		{"year 10000", func(m *Message) { m.Date = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "Date", seserrors.IllegalHeader},
		{"zone of 100 hours", func(m *Message) { m.Date = time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 100*3600)) }, "Date", seserrors.IllegalHeader},
		{"zone of -100 hours", func(m *Message) { m.Date = time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", -100*3600)) }, "Date", seserrors.IllegalHeader},
		{"year 1899", func(m *Message) { m.Date = time.Date(1899, 12, 31, 0, 0, 0, 0, time.UTC) }, "Date", seserrors.IllegalHeader},

		{"header without a name", header("", "x"), "Headers[0].Name", seserrors.IllegalHeader},
		{"header name with a colon", header("X:", "x"), "Headers[0].Name", seserrors.IllegalHeader},
		{"header name with a space", header("X Y", "x"), "Headers[0].Name", seserrors.IllegalHeader},
		{"header name with a line break", header("X\r\nBcc", "x"), "Headers[0].Name", seserrors.IllegalHeader},
		{"header name in Unicode", header("Ü", "x"), "Headers[0].Name", seserrors.IllegalHeader},
		{"header name of 127", header(strings.Repeat("x", 127), "x"), "Headers[0].Name", seserrors.IllegalHeader},
		{"header of the message", header("fRom", "x@y.z"), "Headers[0].Name", seserrors.IllegalHeader},
		{"Bcc header", header("Bcc", "x@y.z"), "Headers[0].Name", seserrors.IllegalHeader},
		{"MIME header", header("Content-Type", "text/plain"), "Headers[0].Name", seserrors.IllegalHeader},
		{"resent header", header("Resent-To", "x@y.z"), "Headers[0].Name", seserrors.IllegalHeader},
		{"SES header with a field", header("x-ses-message-tags", "a=b"), "Headers[0].Name", seserrors.IllegalHeader},
		{"empty value", header("X-A", "  "), "Headers[0].Value", seserrors.IllegalHeader},
		{"line break in a value", header("X-A", "a\r\nBcc: x@y.z"), "Headers[0].Value", seserrors.IllegalHeader},
		{"bare LF in a value", header("X-A", "a\nb"), "Headers[0].Value", seserrors.IllegalHeader},
		{"tab in a value", header("X-A", "a\tb"), "Headers[0].Value", seserrors.IllegalHeader},
		{"value that is no UTF-8", header("X-A", "\xff"), "Headers[0].Value", seserrors.IllegalHeader},
		{"value that cannot be folded", header("X-A", strings.Repeat("x", 994)), "Headers[0].Value", seserrors.IllegalHeader},
		{"Unicode for machines", header("List-Unsubscribe", "<https://ü.example>"), "Headers[0].Value", seserrors.IllegalHeader},
		{"address header without address", header("Sender", "x"), "Headers[0].Value", seserrors.IllegalAddress},
		{"header twice", func(m *Message) { m.Headers = []Header{{"References", "<a@b>"}, {"references", "<c@d>"}} }, "Headers[1].Name", seserrors.DuplicateHeader},

		{"tag without a name", tag("", "x"), "Tags[0].Name", seserrors.InvalidTag},
		{"tag name with a dot", tag("a.b", "x"), "Tags[0].Name", seserrors.InvalidTag},
		{"tag name of 256", tag(strings.Repeat("a", 256), "x"), "Tags[0].Name", seserrors.InvalidTag},
		{"tag without a value", tag("a", ""), "Tags[0].Value", seserrors.InvalidTag},
		{"tag value with a comma", tag("a", "b, c=d"), "Tags[0].Value", seserrors.InvalidTag},
		{"tag value with a line break", tag("a", "b\r\nBcc: x@y.z"), "Tags[0].Value", seserrors.InvalidTag},
		{"tag value in Unicode", tag("a", "ü"), "Tags[0].Value", seserrors.InvalidTag},
		{"tag value of 256", tag("a", strings.Repeat("a", 256)), "Tags[0].Value", seserrors.InvalidTag},
		{"tag twice", func(m *Message) { m.Tags = []Tag{{"a", "x"}, {"b", "x"}, {"a", "y"}} }, "Tags[2].Name", seserrors.InvalidTag},
		{"configuration set with a space", func(m *Message) { m.ConfigurationSet = "a b" }, "ConfigurationSet", seserrors.InvalidParameter},
		{"configuration set with a line break", func(m *Message) { m.ConfigurationSet = "a\r\nb" }, "ConfigurationSet", seserrors.InvalidParameter},
		{"configuration set of 65", func(m *Message) { m.ConfigurationSet = strings.Repeat("a", 65) }, "ConfigurationSet", seserrors.InvalidParameter},
		{"tenant", func(m *Message) { m.Tenant = "a/b" }, "Tenant", seserrors.InvalidParameter},
		{"list without a name", func(m *Message) { m.List = &List{Topic: "t"} }, "List.ContactList", seserrors.InvalidParameter},
		{"list name", func(m *Message) { m.List = &List{ContactList: "a;b"} }, "List.ContactList", seserrors.InvalidParameter},
		{"topic", func(m *Message) { m.List = &List{ContactList: "a", Topic: "b\r\nc"} }, "List.Topic", seserrors.InvalidParameter},
		{"no ARN", func(m *Message) { m.FromARN = "x" }, "FromARN", seserrors.InvalidParameter},
		{"ARN of another service", func(m *Message) { m.ReturnPathARN = "arn:aws:iam:us-east-1:123456789012:identity/example.com" }, "ReturnPathARN", seserrors.InvalidParameter},
		{"ARN with a line break", func(m *Message) { m.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/a\r\nb" }, "FromARN", seserrors.InvalidParameter},
		{"ARN without account", func(m *Message) { m.FromARN = "arn:aws:ses:us-east-1::identity/example.com" }, "FromARN", seserrors.InvalidParameter},

		{"file without content", file(Attachment{Name: "a.txt"}), "Attachments[0]", seserrors.IllegalAttachment},
		{"file with two contents", file(Attachment{Name: "a.txt", Content: one, Open: opened}), "Attachments[0]", seserrors.IllegalAttachment},
		{"file without name", file(Attachment{Content: one}), "Attachments[0].Name", seserrors.IllegalAttachment},
		{"line break in a file name", file(Attachment{Name: "a\r\nX: y", Content: one}), "Attachments[0].Name", seserrors.IllegalAttachment},
		{"bidi trick in a file name", file(Attachment{Name: "a\u202efdp.txt", Content: one}), "Attachments[0].Name", seserrors.IllegalAttachment},
		{"folder in a file name", file(Attachment{Name: "../a.txt", Content: one}), "Attachments[0].Name", seserrors.IllegalAttachment},
		{"file name that is no UTF-8", file(Attachment{Name: "\xff", Content: one}), "Attachments[0].Name", seserrors.IllegalAttachment},
		{"file name of 256", file(Attachment{Name: strings.Repeat("a", 256), Content: one}), "Attachments[0].Name", seserrors.IllegalAttachment},
		{"encoded file name", file(Attachment{Name: "=?utf-8?q?a.exe?=.txt", Content: one}), "Attachments[0].Name", seserrors.IllegalAttachment},
		{"program", file(Attachment{Name: "a.EXE", Content: one}), "Attachments[0].Name", seserrors.IllegalAttachment},
		{"program with dots behind", file(Attachment{Name: "a.exe. .", Content: one}), "Attachments[0].Name", seserrors.IllegalAttachment},
		{"media type", file(Attachment{Name: "a", ContentType: "pdf", Content: one}), "Attachments[0].ContentType", seserrors.IllegalAttachment},
		{"line break in a media type", file(Attachment{Name: "a", ContentType: "text/plain;\r\n x=y", Content: one}), "Attachments[0].ContentType", seserrors.IllegalAttachment},
		{"encoded line break in a media type", file(Attachment{Name: "a", ContentType: "text/plain; x*=utf-8''a%0D%0ABcc", Content: one}), "Attachments[0].ContentType", seserrors.IllegalAttachment},
		{"message as a file", file(Attachment{Name: "a.eml", ContentType: "message/rfc822", Content: one}), "Attachments[0].ContentType", seserrors.IllegalAttachment},
		{"content id", file(Attachment{ContentID: "a> b", Content: one}), "Attachments[0].ContentID", seserrors.IllegalAttachment},
		{"content id twice", func(m *Message) {
			m.Attachments = []Attachment{{ContentID: "a", Content: one}, {ContentID: "a", Content: one}}
		}, "Attachments[1].ContentID", seserrors.IllegalAttachment},
		{"500 parts", func(m *Message) {
			for range 496 {
				m.Attachments = append(m.Attachments, Attachment{Name: "a", Content: one})
			}
		}, "Attachments", seserrors.IllegalAttachment},
		{"40 MB", file(Attachment{Name: "a", Content: make([]byte, 31<<20)}), "Message", seserrors.MessageTooLong},
		{"40 MB of text", func(m *Message) { m.Text = strings.Repeat("hello\n", 8<<20) }, "Message", seserrors.MessageTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := plain()
			tt.change(m)
			list := problems(t, m)
			if len(list) != 1 || list[0].Field != tt.field || list[0].Reason != tt.reason {
				t.Errorf("got %v, want one problem: %s, %s", list, tt.field, tt.reason)
			}
		})
	}
}

func TestWhatIsJustAllowedIsTaken(t *testing.T) {
	one := []byte("x")
	for name, change := range map[string]func(*Message){
		"50 recipients":          func(m *Message) { m.To = addrs(50) },
		"50 and duplicates":      func(m *Message) { m.To, m.Cc, m.Bcc = addrs(50), addrs(50), addrs(50) },
		"empty message":          func(m *Message) { m.Subject, m.Text = "", "" },
		"tag of 255":             func(m *Message) { m.Tags = []Tag{{strings.Repeat("a", 255), strings.Repeat("@", 255)}} },
		"every tag character":    func(m *Message) { m.Tags = []Tag{{"aZ09_-", "aZ09_-.@"}} },
		"configuration set, 64":  func(m *Message) { m.ConfigurationSet = strings.Repeat("a", 64) },
		"ARN":                    func(m *Message) { m.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/user@example.com" },
		"ARN in China":           func(m *Message) { m.FromARN = "arn:aws-cn:ses:cn-north-1:123456789012:identity/example.com" },
		"header of 126":          func(m *Message) { m.Headers = []Header{{strings.Repeat("x", 126), "y"}} },
		"longest value":          func(m *Message) { m.Headers = []Header{{"X-A", strings.Repeat("x", 993)}} },
		"X header twice":         func(m *Message) { m.Headers = []Header{{"X-A", "a"}, {"X-A", "b"}} },
		"SES header without one": func(m *Message) { m.Headers = []Header{{"X-SES-New", "b"}} },
		"inline without a name":  func(m *Message) { m.Attachments = []Attachment{{ContentID: "a", Content: one}} },
		"empty file":             func(m *Message) { m.Attachments = []Attachment{{Name: "a", Content: []byte{}}} },
		"media type": func(m *Message) {
			m.Attachments = []Attachment{{Name: "a", ContentType: "text/calendar; method=REQUEST", Content: one}}
		},
		"29 MB": func(m *Message) { m.Attachments = []Attachment{{Name: "a", Content: make([]byte, 29<<20)}} },
		"495 files": func(m *Message) {
			for range 495 {
				m.Attachments = append(m.Attachments, Attachment{Name: "a", Content: one})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := plain()
			change(m)
			if list := problems(t, m); list != nil {
				t.Errorf("refused: %v", list)
			}
		})
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	m := &Message{
		From: "nobody", To: []string{"a@b.c", "ü@b.c"}, Bcc: []string{"x y@b.c"}, Subject: "a\nb",
		ConfigurationSet: "?", Tags: []Tag{{"", ""}}, Headers: []Header{{"To", "x"}},
		Attachments: []Attachment{{Name: "a.exe"}},
	}
	var fields []string
	for _, p := range problems(t, m) {
		fields = append(fields, p.Field)
	}
	got := strings.Join(fields, " ")
	const want = "From To[1] Bcc[0] ConfigurationSet Tags[0].Name Tags[0].Value Subject Headers[0].Name Attachments[0].Name Attachments[0]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	_, err := Build(m)
	e, _ := errors.AsType[*seserrors.Error](err)
	if got := fmt.Sprint(e.Recipients); got != "[ü@b.c x y@b.c]" {
		t.Errorf("Recipients = %s", got)
	}
	bad, ok := errors.AsType[*AddressError](err)
	if !ok || bad.Input != "nobody" {
		t.Errorf("errors.As finds no *AddressError: %v", bad)
	}
	invalid, _ := errors.AsType[*ValidationError](err)
	for _, r := range []seserrors.Reason{seserrors.IllegalAddress, seserrors.NonASCIIAddress, seserrors.InvalidTag, seserrors.IllegalAttachment} {
		if !errors.Is(invalid, r) {
			t.Errorf("errors.Is does not find %s", r)
		}
	}
	if errors.Is(invalid, seserrors.TooManyRecipients) || errors.Is(invalid, io.EOF) {
		t.Error("errors.Is finds what is not there")
	}
}

func TestTheTextOfManyProblemsIsBounded(t *testing.T) {
	m := plain()
	m.To = nil
	for range 1000 {
		m.To = append(m.To, strings.Repeat("\x00ü", 10000))
	}
	list := problems(t, m)
	if len(list) != 1000+1 && len(list) != 1000 {
		t.Fatalf("%d problems", len(list))
	}
	text := (&ValidationError{list}).Error()
	if len(text) > 4000 || strings.ContainsAny(text, "\x00\r\n") || !strings.Contains(text, "and 990 more") {
		t.Errorf("%d octets: %.300q", len(text), text)
	}
	for _, p := range list {
		if len(p.Value) > 200 || strings.ContainsAny(p.Value, "\x00\r\n") {
			t.Fatalf("value %q", p.Value)
		}
	}
}

func TestNoMessageIsInvalid(t *testing.T) {
	if list := problems(t, nil); len(list) != 1 || list[0].Field != "Message" {
		t.Errorf("got %v", list)
	}
}

func TestTheEnvelopeHoldsEachRecipientOnce(t *testing.T) {
	m := plain()
	m.From = "Jürgen <j@bücher.example>"
	m.ReturnPath = "bounces@example.com"
	m.ReplyTo = []string{"Jo <jo@example.com>"}
	m.To = []string{"A <a@example.com>", "a@EXAMPLE.com", "A@example.com", "u@bücher.example"}
	m.Cc = []string{"u@xn--bcher-kva.example", "cc@example.com", "a@example.com"}
	m.Bcc = []string{"CC@example.com", "cc@Example.com", `"x..y"@example.com`}
	b, err := Build(m)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]string{
		"from":       {b.from, "bounces@example.com"},
		"fromHeader": {b.author, "j@xn--bcher-kva.example"},
		"to":         {fmt.Sprint(b.recipients), `[a@example.com A@example.com u@xn--bcher-kva.example cc@example.com CC@example.com "x..y"@example.com]`},
		"toList":     {fmt.Sprint(b.to), "[a@example.com A@example.com u@xn--bcher-kva.example]"},
		"ccList":     {fmt.Sprint(b.cc), "[cc@example.com]"},
		"bccList":    {fmt.Sprint(b.bcc), `[CC@example.com "x..y"@example.com]`},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %s, want %s", name, pair[0], pair[1])
		}
	}
}

func TestPrepareNeverWritesToTheMessage(t *testing.T) {
	m := plain()
	m.To = append(make([]string, 0, 8), "b@example.com", "b@example.com")
	m.Attachments = []Attachment{{Name: "ü.txt", Content: []byte("content")}}
	m.Headers = []Header{{"X-A", " b "}}
	before := fmt.Sprintf("%+v %q", m, m.To[:8])
	if _, err := m.WriteTo(io.Discard); err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprintf("%+v %q", m, m.To[:8]); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}

func TestRaw(t *testing.T) {
	const head = "From: a@b.c\r\nTo: d@e.f\r\nSubject: x\r\n"
	for _, tt := range []struct {
		name, in, want string // want "": refused
		reason         seserrors.Reason
	}{
		{"as it is", head + "\r\nbody\r\n", head + "\r\nbody\r\n", ""},
		{"folded header", "From:\r\n a@b.c\r\nX: 1\r\n\t2\r\n\r\n", "From:\r\n a@b.c\r\nX: 1\r\n\t2\r\n\r\n", ""},
		{"no body", head, head + "\r\n", ""},
		{"no last line end", head + "\r\nbody", head + "\r\nbody\r\n", ""},
		{"bare LF", "From: a@b.c\n\nx\n.\ny\n", "From: a@b.c\r\n\r\nx\r\n.\r\ny\r\n", ""},
		{"bare CR", "From: a@b.c\r\r.\r\ry", "From: a@b.c\r\n\r\n.\r\n\r\ny\r\n", ""},
		{"mixed", "From: a@b.c\r\n\r\r\nx\n\ry\r", "From: a@b.c\r\n\r\n\r\nx\r\n\r\ny\r\n", ""},
		{"line of 998", head + "\r\n" + strings.Repeat("x", 998) + "\r\n", head + "\r\n" + strings.Repeat("x", 998) + "\r\n", ""},
		{"line of 999", head + "\r\n" + strings.Repeat("x", 999) + "\r\n", "", seserrors.IllegalHeader},
		{"last line of 999", head + "\r\n" + strings.Repeat("x", 999), "", seserrors.IllegalHeader},
		{"nothing", "", "", seserrors.IllegalHeader},
		{"empty line first", "\r\n" + head, "", seserrors.IllegalHeader},
		{"no header", "hello\r\n", "", seserrors.IllegalHeader},
		{"body without an empty line", head + "hello\r\n", "", seserrors.IllegalHeader},
		{"white space first", " x\r\n" + head + "\r\n", "", seserrors.IllegalHeader},
		{"space before the colon", head + "Bcc : x@y.z\r\n\r\n", "", seserrors.IllegalHeader},
		{"mbox line", "From a@b.c Mon Nov 22 11:44:00 2026\r\n" + head + "\r\n", "", seserrors.IllegalHeader},
		{"no From", "To: a@b.c\r\n\r\nFrom: x@y.z\r\n", "", seserrors.IllegalHeader},
		{"Bcc", head + "bCC: x@y.z\r\n\r\n", "", seserrors.IllegalHeader},
		{"Bcc after a bare CR", "From: a@b.c\rBcc: x@y.z\r\n\r\n", "", seserrors.IllegalHeader},
		{"8-bit header", head + "X: \xfc\r\nY: \xfc\r\n\r\n", "", seserrors.IllegalHeader},
		{"8-bit continuation", head + "X: 1\r\n \xfc\r\n\r\n", "", seserrors.IllegalHeader},
		{"8-bit body", head + "\r\n\xfc\r\n", head + "\r\n\xfc\r\n", ""},
		{"NUL in the header", head + "X: \x00\r\n\r\n", "", seserrors.IllegalHeader},
		{"NUL in the body", head + "\r\n\x00\r\n", "", seserrors.IllegalHeader},
		{"two Subjects", head + "SUBJECT: y\r\n\r\n", "", seserrors.DuplicateHeader},
		{"two Froms", "From: x@y.z\r\n" + head + "\r\n", "", seserrors.DuplicateHeader},
		{"two Receiveds", "Received: x\r\nReceived: y\r\n" + head + "\r\n", "Received: x\r\nReceived: y\r\n" + head + "\r\n", ""},
		{"SES header with a field set", head + "X-SES-Message-Tags: a=b\r\n\r\n", "", seserrors.IllegalHeader},
		{"SES header without", head + "X-SES-Tenant: a\r\n\r\n", head + "X-SES-Tenant: a\r\n\r\n", ""},
		{"headers in the body", head + "\r\nBcc: x\r\nSubject: y\r\nSubject: z\r\n", head + "\r\nBcc: x\r\nSubject: y\r\nSubject: z\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Message{From: "a@b.c", To: []string{"d@e.f"}, Tags: []Tag{{"a", "b"}}, Raw: strings.NewReader(tt.in)}
			if tt.want == "" {
				if list := problems(t, m); len(list) == 0 || list[0].Field != "Raw" || list[0].Reason != tt.reason {
					t.Errorf("got %v, want one of Raw, %s", list, tt.reason)
				}
				return
			}
			b, err := Build(m)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := octets(b); string(got) != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

type writerFunc func(io.Writer) (int64, error)

func (f writerFunc) WriteTo(w io.Writer) (int64, error) { return f(w) }

func TestRawSources(t *testing.T) {
	m := &Message{From: "a@b.c", To: []string{"d@e.f"}}
	t.Run("an error ends the send", func(t *testing.T) {
		m := *m
		m.Raw = writerFunc(func(w io.Writer) (int64, error) {
			io.WriteString(w, "From: a@b.c\r\n\r\nhalf")
			return 0, io.ErrUnexpectedEOF
		})
		_, err := Build(&m)
		e, ok := errors.AsType[*seserrors.Error](err)
		if !ok || e.Class != seserrors.Invalid || e.Reason != seserrors.ContentUnreadable || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %#v", err)
		}
	})
	t.Run("a panic goes on", func(t *testing.T) {
		m := *m
		m.Raw = writerFunc(func(io.Writer) (int64, error) { panic("mine") })
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("recovered %v", p)
			}
		}()
		Build(&m)
		t.Error("no panic")
	})
	t.Run("a write after the end is refused", func(t *testing.T) {
		var late io.Writer
		m := *m
		m.Raw = writerFunc(func(w io.Writer) (int64, error) {
			late = w
			io.WriteString(w, "From: a@b.c\r\n\r\n")
			return 0, nil
		})
		b, err := Build(&m)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := late.Write([]byte("x")); n != 0 || err == nil {
			t.Errorf("late write: %d, %v", n, err)
		}
		if got, _ := octets(b); string(got) != "From: a@b.c\r\n\r\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("40 MB is the end, also for a source that does not heed it", func(t *testing.T) {
		written := 0
		m := *m
		m.Raw = writerFunc(func(w io.Writer) (int64, error) {
			line := bytes.Repeat([]byte("x"), 1<<20)
			for range 100 {
				n, _ := w.Write(line)
				written += n
			}
			return int64(written), nil
		})
		if list := problems(t, &m); len(list) != 1 || list[0].Reason != seserrors.MessageTooLong || written > maxMessage {
			t.Errorf("got %v after %d octets", list, written)
		}
	})
	t.Run("a huge Len allocates no more than the limit", func(t *testing.T) {
		m := *m
		m.Raw = hugeLen{strings.NewReader("From: a@b.c\r\n\r\n")}
		if list := problems(t, &m); list != nil {
			t.Errorf("got %v", list)
		}
	})
	t.Run("the content fields are refused beside it", func(t *testing.T) {
		m := plain()
		m.HTML, m.ReplyTo, m.Headers, m.Attachments = "x", []string{"a@b.c"}, []Header{{"X", "y"}}, []Attachment{{}}
		m.Raw = strings.NewReader("From: a@b.c\r\n\r\n")
		var got []string
		for _, p := range problems(t, m) {
			got = append(got, p.Field)
		}
		if s := strings.Join(got, " "); s != "ReplyTo Subject Text HTML Attachments Headers" {
			t.Errorf("got %s", s)
		}
	})
}

func TestWhatIsAddedToARawMessageIsNotWrittenBehindTheCallers(t *testing.T) {
	const msg, behind = "From: a@b.c\r\n\r\nbody", "mine"
	for _, cut := range []int{len("From: a@b.c"), len(msg)} {
		mine := []byte(msg[:cut] + behind)
		for _, raw := range []io.WriterTo{bytes.NewReader(mine[:cut]), bytes.NewBuffer(mine[:cut])} {
			m := &Message{From: "a@b.c", To: []string{"d@e.f"}, Raw: raw}
			b, err := Build(m)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := octets(b); !bytes.HasSuffix(got, []byte("\r\n")) || string(mine) != msg[:cut]+behind {
				t.Errorf("%T: sent %q, and what is the caller's is %q", raw, got, mine)
			}
		}
	}
}

type hugeLen struct{ *strings.Reader }

func (hugeLen) Len() int { return math.MaxInt }

func TestAMailCanBeTheRawOfAnotherMessage(t *testing.T) {
	m := plain()
	m.ReplyTo = []string{"r@example.com"}
	m.Attachments = []Attachment{{Name: "a.txt", Content: []byte("x")}}
	first, err := Build(m)
	if err != nil {
		t.Fatal(err)
	}
	again := &Message{From: m.From, To: []string{"other@example.com"}, Tags: []Tag{{"a", "b"}}, Raw: first}
	b, err := Build(again)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := octets(first)
	if got, _ := octets(b); !bytes.Equal(got, want) {
		t.Errorf("it is another mail: %q", got)
	}
	if b.recipients[0] != "other@example.com" || !strings.Contains(string(b.sesLines()), "X-SES-MESSAGE-TAGS: a=b\r\n") {
		t.Errorf("the envelope is not that of the new message: %v %s", b.recipients, b.sesLines())
	}
}

func FuzzRaw(f *testing.F) {
	for _, s := range []string{
		"From: a@b.c\r\n\r\nbody\r\n", "From: a@b.c\n\n.\n", "From: a@b.c\r\r.\r", "\r\n", "From: a@b.c", "Subject: x\r\n y\r\nFrom: z\r\n\r\n",
		"From: a\r\n\r\n" + strings.Repeat("x", 1000), "From : a@b.c\r\n\r\n", "From: a@b.c\r\nBcc: x\r\n\r\n", "\x00", ":\r\n\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := Build(&Message{From: "a@b.c", To: []string{"d@e.f"}, Raw: strings.NewReader(s)})
		if err != nil {
			if _, ok := errors.AsType[*ValidationError](err); !ok {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		data, _ := octets(b)
		checkLines(t, data)
		unbroken := strings.NewReplacer("\r", "", "\n", "")
		if unbroken.Replace(string(data)) != unbroken.Replace(s) {
			t.Errorf("%q became %q", s, data)
		}
		head, _, _ := strings.Cut(string(data), "\r\n\r\n")
		if strings.Contains("\r\n"+strings.ToLower(head), "\r\nbcc:") || !strings.Contains("\r\n"+strings.ToLower(head), "\r\nfrom:") {
			t.Errorf("%q was taken", s)
		}
	})
}

// checkLines fails if data is not lines with CRLF of at most 998 octets.
func checkLines(t *testing.T, data []byte) {
	t.Helper()
	if !bytes.HasSuffix(data, []byte("\r\n")) {
		t.Errorf("the last line does not end: %q", data[max(0, len(data)-40):])
	}
	for line := range bytes.SplitSeq(data, []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n\x00") || len(line) > lineMax {
			t.Errorf("line of %d octets, or with a bare CR, LF or NUL: %.100q", len(line), line)
		}
	}
}

// All texts of up to nine octets, so that every guess about a line end goes wrong
// somewhere.
func TestLineEndsOfEveryShortText(t *testing.T) {
	var check func(p []byte)
	check = func(p []byte) {
		crlf, longest := lineEnds(p)
		rest := bytes.ReplaceAll(p, []byte("\r\n"), nil)
		if want := !bytes.ContainsAny(rest, "\r\n"); crlf != want {
			t.Fatalf("%q: CRLF alone %v, want %v", p, crlf, want)
		}
		want := 0
		for line := range bytes.SplitSeq(p, []byte("\n")) {
			want = max(want, len(bytes.TrimSuffix(line, []byte("\r"))))
		}
		if crlf && longest != want {
			t.Fatalf("%q: longest line %d, want %d", p, longest, want)
		}
		if len(p) < 9 {
			for _, c := range []byte("a\r\n") {
				check(append(p[:len(p):len(p)], c))
			}
		}
	}
	check(nil)
}
