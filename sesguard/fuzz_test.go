package sesguard

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// fieldName is what Problem.Field may be.
var fieldName = regexp.MustCompile(`^(Message|From|ReturnPath|To|Subject|Text|HTML|Date|Raw|ReplyTo|Headers|Attachments|` +
	`ConfigurationSet|Tenant|FromARN|ReturnPathARN|List\.(ContactList|Topic)|` +
	`(To|Cc|Bcc|ReplyTo)\[\d+\]|Tags\[\d+\]\.(Name|Value)|Headers\[\d+\]\.(Name|Value)|Attachments\[\d+\](\.(Name|ContentType|ContentID))?)$`)

// checkProblems fails unless err is what Send returns of an invalid message:
// named fields, and values that are cut short and fit to print.
func checkProblems(t *testing.T, err error) {
	t.Helper()
	invalid, ok := errors.AsType[*ValidationError](err)
	if !ok || len(invalid.Problems) == 0 {
		t.Fatalf("%v holds no *ValidationError", err)
	}
	for _, p := range invalid.Problems {
		if !fieldName.MatchString(p.Field) {
			t.Errorf("the field is %q", p.Field)
		}
		for _, s := range []string{p.Value, p.String()} {
			if len(s) > 500 || !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
				t.Errorf("%s: %q is not fit to print", p.Field, s)
			}
		}
		if utf8.RuneCountInString(p.Value) > 61 || p.Err == nil || p.Reason == "" {
			t.Errorf("%s: value %q, reason %q, %v", p.Field, p.Value, p.Reason, p.Err)
		}
	}
	if s := err.Error(); len(s) > 4000 || strings.ContainsFunc(s, isControl) {
		t.Errorf("the error %q is not fit to print", s)
	}
}

// hostile are strings that break out of a careless writer.
var hostile = []string{
	"", " ", "a", "a\r\nBcc: x@y.z", "a\nb", "a\rb", "\x00", "\x1b[31m", "\x7f", "\u0085", "\u2028x", "a\u2029", "\u202eb", "\u2066b",
	"\xff\xfe", "\ufeffa", "=?utf-8?q?a=0D=0Ab?=", "=?utf-8?b?YQ==?=", `"`, `\`, `"a\"b"`, "a,b", "a;b", "a=b", "a; topic=b", "a, c=d", "a:b", "<a>", "a>b",
	"(a)", "[a]", "ü", "日本語", "👍🏽", "e\u0301", "a b", "a\tb", "../a", `c:\a`, "a%0D%0Ab", "utf-8''a", "Bcc", "X-SES-TENANT", "x:y", "a\v", "%s%n",
	strings.Repeat("x", 1000), strings.Repeat("ü", 600), strings.Repeat("a ", 600), strings.Repeat(`"`, 80), strings.Repeat("=", 100),
}

// seedEach adds good, and good with one of its texts replaced by a form around
// each hostile string, which stands for the §.
func seedEach(f *testing.F, forms []string, good ...any) {
	f.Add(good...)
	for i := range good {
		if _, ok := good[i].(string); !ok {
			continue
		}
		for _, s := range hostile {
			for _, form := range forms {
				args := slices.Clone(good)
				args[i] = strings.ReplaceAll(form, "§", s)
				f.Add(args...)
			}
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	seedEach(f, []string{"§", "§@b.c", "a@§", "a@b§c.d", "§ <a@b.c>", `"§" <a@b.c>`, `"§"@b.c`, "=?utf-8?q?§?= <a@b.c>", "<a@b.c>§", "a@b.c, §"},
		"Jo <a@b.c>", "r@b.c", "ü <d@bücher.de>", `"G, H" <g@h.i>`, "hidden@x.y", `"x..y"@z.de`)
	f.Fuzz(func(t *testing.T, from, returnPath, to, cc, bcc, replyTo string) {
		m := &Message{From: from, ReturnPath: returnPath, To: []string{to}, Cc: []string{cc}, Bcc: []string{bcc}, ReplyTo: []string{replyTo}, Text: "x"}
		b, err := Build(m)
		if err != nil {
			checkProblems(t, err)
			return
		}
		for _, s := range append([]string{b.from, b.author}, b.recipients...) {
			if !isPrintable(s) || strings.ContainsAny(s, ` <>,;:()[]\`) || strings.Count(s, "@") != 1 || len(s) > maxAddr {
				t.Errorf("%q is in the envelope", s)
			}
		}
		r := read(t, b.fixed)
		if len(r.header) != 8 {
			t.Errorf("%d header fields in\n%s", len(r.header), b.fixed)
		}
		for name, in := range map[string]string{"From": from, "To": to, "Cc": cc, "Reply-To": replyTo} {
			want, err := ParseAddress(in)
			list, err2 := r.header.AddressList(name)
			if err != nil || err2 != nil || len(list) != 1 || list[0].Name != want.Name || (&mail.Address{Address: list[0].Address}).String() != "<"+want.Addr()+">" {
				t.Errorf("%s: %q reads back as %v, %v, %v", name, in, list, err, err2)
			}
			if hasControl(want.Name) || strings.ContainsFunc(want.Name, isBidiControl) {
				t.Errorf("%s: the name %q was taken", name, want.Name)
			}
		}
		if len(b.recipients) > 3 || b.recipients[0] != b.to[0] || len(b.to)+len(b.cc)+len(b.bcc) != len(b.recipients) {
			t.Errorf("recipients %q of %q %q %q", b.recipients, to, cc, bcc)
		}
		for _, s := range b.bcc {
			if bytes.Contains(b.fixed, []byte(s)) && !strings.Contains(from+to+cc+replyTo, s) {
				t.Errorf("Bcc %s is shown in\n%s", s, b.fixed)
			}
		}
	})
}

func FuzzSESFields(f *testing.F) {
	const arn = "arn:aws:ses:us-east-1:123456789012:identity/"
	seedEach(f, []string{"§", "a§b", arn + "§", "arn:aws:ses:§:123456789012:identity/x", "arn:§:ses:us-east-1:123456789012:identity/x"},
		"set", "tenant", "name", "value", arn+"example.com", arn+"u@example.org", "list", "topic")
	f.Fuzz(func(t *testing.T, set, tenant, tagName, tagValue, fromARN, returnARN, list, topic string) {
		m := plain()
		m.ConfigurationSet, m.Tenant, m.FromARN, m.ReturnPathARN = set, tenant, fromARN, returnARN
		m.Tags = []Tag{{"first", "1"}, {tagName, tagValue}}
		m.List = &List{list, topic}
		b, err := Build(m)
		if err != nil {
			checkProblems(t, err)
			return
		}
		checkLines(t, b.sesLines())
		got, err := mail.ReadMessage(io.MultiReader(bytes.NewReader(b.sesLines()), strings.NewReader("\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"X-Ses-Configuration-Set": set, "X-Ses-Tenant": tenant, "X-Ses-Source-Arn": fromARN, "X-Ses-From-Arn": fromARN,
			"X-Ses-Return-Path-Arn": returnARN, "X-Ses-Message-Tags": "first=1, " + tagName + "=" + tagValue,
			"X-Ses-List-Management-Options": list,
		}
		if topic != "" {
			want["X-Ses-List-Management-Options"] += "; topic=" + topic
		}
		for name, value := range got.Header {
			if len(value) != 1 || value[0] != want[name] || value[0] == "" {
				t.Errorf("%s: %q, want %q", name, value, want[name])
			}
			delete(want, name)
		}
		for name, value := range want {
			if value != "" {
				t.Errorf("%s is missing", name)
			}
		}
		if tags := b.Tags(); tags[1] != (Tag{tagName, tagValue}) {
			t.Errorf("the API gets the tags %v", tags)
		}
	})
}

func FuzzAttachment(f *testing.F) {
	forms := []string{"§", "a§.txt", "§@b", "text/plain; name=§", `text/plain; x="§"; y=z`, "text/plain; x*=utf-8''§", "application/§"}
	seedEach(f, forms, "a.txt", "", "", []byte("content"))
	seedEach(f, forms, "ü.pdf", `text/calendar; method=REQUEST; x="a; b=\"c\""`, "logo", []byte("\r\n--=_x\r\n"))
	f.Fuzz(func(t *testing.T, name, media, id string, content []byte) {
		m := plain()
		m.HTML = `<img src="cid:` + id + `">` + string(content)
		if !utf8.ValidString(m.HTML) {
			m.HTML = "h"
		}
		m.Attachments = []Attachment{
			{Name: name, ContentType: media, ContentID: id, Content: content},
			{Name: "second.txt", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }},
		}
		if content == nil {
			m.Attachments[0].Content = []byte{}
		}
		b, err := Build(m)
		if err != nil {
			checkProblems(t, err)
			return
		}
		data, err := octets(b)
		if err != nil {
			t.Fatal(err)
		}
		r := read(t, data)
		if len(r.files) != 2 || r.files[0].content != string(content) || r.files[1].content != string(content) {
			t.Fatalf("%d files with other content in\n%s", len(r.files), data)
		}
		if hasControl(name) || strings.ContainsFunc(name, isBidiControl) {
			t.Errorf("the file name %q was taken", name)
		}
		file := r.files[0]
		full, isID := file.id, true
		switch {
		case id == "":
			isID = full == ""
		case strings.Contains(id, "@"):
			isID = full == "<"+id+">"
		default:
			isID = strings.HasPrefix(full, "<"+id+"@")
		}
		if file.name != name || !isID || r.text != "Hello" {
			t.Errorf("%q %q reads back as %+v", name, id, file)
		}
		if id != "" && m.HTML != "h" && !strings.Contains(r.html, `"cid:`+strings.Trim(full, "<>")+`"`) {
			t.Errorf("the HTML does not show %s: %s", full, r.html)
		}
		checkMedia(t, media, data)
	})
}

// checkMedia fails if data does not hold a part of the media type, with its
// parameters.
func checkMedia(t *testing.T, media string, data []byte) {
	t.Helper()
	if media == "" {
		return
	}
	want, params, err := mime.ParseMediaType(media)
	if err != nil {
		t.Fatalf("the media type %q was taken: %v", media, err)
	}
	if anyControl(params) {
		t.Errorf("the media type %q was taken", media)
	}
	delete(params, "name") // the attachment's Name is written instead
	unfolded := bytes.ReplaceAll(data, []byte("\r\n "), []byte(" "))
	for line := range bytes.SplitSeq(unfolded, []byte("\r\n")) {
		value, found := bytes.CutPrefix(line, []byte("Content-Type:"))
		if !found {
			continue
		}
		got, gotParams, err := mime.ParseMediaType(string(value))
		if err != nil {
			t.Errorf("%v in %q", err, line)
		}
		if got != want {
			continue
		}
		same := true
		for k, v := range params {
			same = same && gotParams[k] == v
		}
		if same {
			return
		}
	}
	t.Errorf("no part has the type %q in\n%s", media, data)
}
