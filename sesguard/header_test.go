package sesguard

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"strings"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// headerOf is the field as it stands in the header of a message, unfolded.
func headerOf(t *testing.T, h Header) string {
	t.Helper()
	m := plain()
	m.Headers = []Header{h}
	data := written(t, m)
	read(t, data)
	head, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(strings.ReplaceAll(string(head), "\r\n ", " "), "\r\n") {
		if value, found := strings.CutPrefix(line, h.Name+": "); found {
			return value
		}
	}
	t.Fatalf("no %s in\n%s", h.Name, head)
	return ""
}

// An encoded-word may stand only where a reader looks for text (RFC 2047 §5).
func TestOnlyTheTextOfAStructuredHeaderIsEncoded(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"List-ID", "Nächrichten <news.example.com>", "=?utf-8?q?N=C3=A4chrichten?= <news.example.com>"},
		{"List-ID", `"News, weekly" <news.example.com>`, `"News, weekly" <news.example.com>`},
		{"List-Id", "News of the week <news.example.com>", "News of the week <news.example.com>"},
		{"List-ID", "<news.example.com>", "<news.example.com>"},
		{"Mail-Followup-To", "Jürgen <j@bücher.example>, x@example.com", "=?utf-8?q?J=C3=BCrgen?= <j@xn--bcher-kva.example>, x@example.com"},
		{"Disposition-Notification-To", `"A, B" <a@b.c>,d@e.f`, `"A, B" <a@b.c>, d@e.f`},
		{"Sender", "Jürgen <j@bücher.example>", "=?utf-8?q?J=C3=BCrgen?= <j@xn--bcher-kva.example>"},
		{"Keywords", "Grüße, two words, plain", "=?utf-8?b?R3LDvMOfZQ==?=, two words, plain"},
		{"Archived-At", "<https://example.com/1>", "<https://example.com/1>"},
		{"In-Reply-To", "<a@b>", "<a@b>"},
		{"References", "<a@b>  <c@d><e@f>", "<a@b> <c@d> <e@f>"},
		{"Message-ID", "<!&!AAA=@x>", "<!&!AAA=@x>"},
		{"List-Unsubscribe", "<https://example.com/u?a=1,2>,<mailto:u@example.com?subject=x>", "<https://example.com/u?a=1,2>, <mailto:u@example.com?subject=x>"},
		{"List-Help", "<https://example.com> (Hilfe)", "<https://example.com> (Hilfe)"},
		{"List-Post", "NO (posting not allowed)", "NO (posting not allowed)"},
		{"Comments", "für dich", "=?utf-8?b?ZsO8ciBkaWNo?="},
		{"Auto-Submitted", "auto-generated", "auto-generated"},
		{"Feedback-ID", "a:b:c:d", "a:b:c:d"},
	} {
		if got := headerOf(t, Header{tt.name, tt.value}); got != tt.want {
			t.Errorf("%s: %s\n got %s\nwant %s", tt.name, tt.value, got, tt.want)
		}
	}
}

func TestAStructuredHeaderIsHeldToItsSyntax(t *testing.T) {
	for _, h := range []Header{
		{"List-ID", "Nächrichten"}, {"List-ID", "News <news example>"}, {"List-ID", "News <näws.example>"}, {"List-ID", "a, b <news.example>"}, {"List-ID", "<news.example> x"},
		{"Archived-At", "https://example.com/1"}, {"Archived-At", "<https://example.com/ü>"},
		{"In-Reply-To", "id"}, {"In-Reply-To", "<id>"}, {"In-Reply-To", "<a@>"}, {"In-Reply-To", "<@b>"}, {"In-Reply-To", "<a@b"}, {"In-Reply-To", "<a @b>"}, {"In-Reply-To", "<a@b> x"},
		{"References", "<a@b>, <c@d>"}, {"References", "<ü@b>"},
		{"Message-ID", "abc"}, {"Message-ID", "<a@b> <c@d>"},
		{"List-Unsubscribe", "https://example.com"}, {"List-Unsubscribe", "<https://example.com/a b>"}, {"List-Unsubscribe", "<https://example.com> <mailto:a@b>"},
		{"List-Unsubscribe", "<example.com>"}, {"List-Unsubscribe", "<https:>"}, {"List-Unsubscribe", "<https://example.com>,"}, {"List-Unsubscribe", "NO"}, {"List-Subscribe", "<<https://example.com>>"},
		{"List-Unsubscribe-Post", "yes"},
		{"Keywords", "a,,b"}, {"Keywords", `"a`}, {"Auto-Submitted", "für"}, {"Importance", "höch"},
		{"Mail-Followup-To", "a@b.c, nobody"}, {"Sender", "a@b.c, d@e.f"},
	} {
		m := plain()
		m.Headers = []Header{h}
		list := problems(t, m)
		if h.Name == "List-Unsubscribe-Post" && len(list) == 2 {
			list = list[:1]
		}
		if len(list) != 1 || list[0].Field != "Headers[0].Value" {
			t.Errorf("%s: %s: got %v", h.Name, h.Value, list)
		}
	}
}

// The list is that of AWS's page "Amazon SES header fields".
func TestAHeaderThatSESTakesOnceIsRefusedTwice(t *testing.T) {
	for name := range strings.FieldsSeq(`Accept-Language acceptLanguage Archived-At Auto-Submitted Bounces-to Comments
		Content-Alternative Content-Base Content-Class Content-Description Content-Disposition Content-Duration Content-ID
		Content-Language Content-Length Content-Location Content-MD5 Content-Transfer-Encoding Content-Type Date Delivered-To
		Disposition-Notification-Options Disposition-Notification-To DKIM-Signature DomainKey-Signature Errors-To From Importance
		In-Reply-To Keywords List-Archive List-Help List-Id List-Owner List-Post List-Subscribe List-Unsubscribe
		List-Unsubscribe-Post Message-Context Message-ID MIME-Version Organization Original-From Original-Message-ID
		Original-Recipient Original-Subject Precedence Priority References Reply-To Return-Path Return-Receipt-To Sender
		Solicitation Sensitivity Subject Thread-Index Thread-Topic User-Agent VBR-Info`) {
		m := plain()
		m.Headers = []Header{{name, "x"}, {strings.ToUpper(name), "y"}}
		twice := false
		for _, p := range problems(t, m) {
			twice = twice || p.Field == "Headers[1].Name" && p.Reason == seserrors.DuplicateHeader
		}
		raw := &Message{From: "a@b.c", To: []string{"d@e.f"}, Raw: strings.NewReader("From: a@b.c\r\n" + name + ": x\r\n" + strings.ToLower(name) + ": y\r\n\r\n")}
		if list := problems(t, raw); !twice || len(list) == 0 || list[0].Reason != seserrors.DuplicateHeader {
			t.Errorf("two %s were taken: %v", name, list)
		}
	}
}

func TestLongReferencesAreFolded(t *testing.T) {
	var ids []string
	for i := range 60 {
		ids = append(ids, fmt.Sprintf("<%030d@mail.example.com>", i))
	}
	for _, sep := range []string{" ", "  ", ""} {
		if got := headerOf(t, Header{"References", strings.Join(ids, sep)}); got != strings.Join(ids, " ") {
			t.Errorf("parted by %q: %s", sep, got)
		}
	}
}

// SES would overwrite what the caller wrote, and nobody would know.
func TestSubscriptionsAreHandledOnce(t *testing.T) {
	m := plain()
	m.List = &List{ContactList: "news"}
	m.Headers, _ = Unsubscribe("https://example.com/u", "")
	if list := problems(t, m); len(list) != 2 || list[0].Field != "Headers[0].Name" || list[1].Field != "Headers[1].Name" {
		t.Errorf("got %v", list)
	}
	raw := &Message{From: "a@b.c", To: []string{"d@e.f"}, List: m.List, Raw: strings.NewReader("From: a@b.c\r\nList-Unsubscribe: <https://x.y>\r\n\r\n")}
	if list := problems(t, raw); len(list) != 1 || list[0].Field != "Raw" {
		t.Errorf("got %v", list)
	}
	m = plain()
	m.Headers = []Header{{"List-Unsubscribe", "<mailto:u@example.com>"}, {"List-Unsubscribe-Post", oneClick}}
	if list := problems(t, m); len(list) != 1 || list[0].Field != "Headers" {
		t.Errorf("one click without https: got %v", list)
	}
}

func TestUnsubscribe(t *testing.T) {
	const post = "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
	for _, tt := range []struct{ url, mailto, want string }{
		{"https://example.com/u?t=1", "", "List-Unsubscribe: <https://example.com/u?t=1>"},
		{"https://example.com/u", "u@example.com", "List-Unsubscribe: <https://example.com/u>, <mailto:u@example.com>"},
		{"https://example.com/u", "mailto:u@bücher.example?subject=stop", "List-Unsubscribe: <https://example.com/u>, <mailto:u@xn--bcher-kva.example?subject=stop>"},
	} {
		list, err := Unsubscribe(tt.url, tt.mailto)
		if err != nil || len(list) != 2 {
			t.Fatal(err)
		}
		got := []string{list[0].Name + ": " + list[0].Value, list[1].Name + ": " + list[1].Value}
		if got[0] != tt.want || got[1] != post {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		m := plain()
		m.Headers = list
		if data := written(t, m); !bytes.Contains(data, []byte(post)) {
			t.Errorf("got %s", data)
		}
	}
	for name, in := range map[string][2]string{
		"no URL":            {"", ""},
		"http":              {"http://example.com/u", ""},
		"no host":           {"https:///u", ""},
		"relative":          {"/u", ""},
		"a space":           {"https://example.com/a b", ""},
		"a bracket":         {"https://example.com/>", ""},
		"a line break":      {"https://example.com/\r\nBcc: x@y.z", ""},
		"Unicode":           {"https://example.com/ü", ""},
		"too long":          {"https://example.com/" + strings.Repeat("x", 900), ""},
		"no address":        {"https://example.com/u", "nobody"},
		"a name":            {"https://example.com/u", "Jo <u@example.com>"},
		"a query with > ":   {"https://example.com/u", "u@example.com?subject=a>"},
		"two addresses":     {"https://example.com/u", "u@example.com,v@example.com"},
		"an empty question": {"https://example.com/u", "u@example.com?"},
	} {
		list, err := Unsubscribe(in[0], in[1])
		if _, ok := errors.AsType[*ValidationError](err); !ok || list != nil {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		if err != nil && strings.Contains(err.Error(), "example.com") {
			t.Errorf("%s: the error repeats the link: %v", name, err)
		}
	}
}

func TestAnInvitationIsAFormOfTheBody(t *testing.T) {
	const ics = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Grüße\r\nEND:VCALENDAR\r\n"
	invitation := Alternative{ContentType: "text/calendar; method=REQUEST", Content: ics}
	for _, tt := range []struct {
		name, text, html string
		files            []Attachment
		want             string
	}{
		{"alone", "", "", nil, "text/calendar "},
		{"text", "t", "", nil, "alternative(text/plain text/calendar )"},
		{"HTML", "", "h", nil, "alternative(text/html text/calendar )"},
		{"both", "t", "h", nil, "alternative(text/plain text/html text/calendar )"},
		{"both, an image and a file", "t", "h", []Attachment{{ContentID: "i", ContentType: "image/png", Content: []byte("x")}, {Name: "invite.ics", Content: []byte(ics)}},
			"mixed(alternative(text/plain related(text/html image/png )text/calendar )text/calendar )"},
		{"a file", "", "", []Attachment{{Name: "invite.ics", Content: []byte(ics)}}, "mixed(text/calendar text/calendar )"},
	} {
		m := plain()
		m.Text, m.HTML, m.Attachments, m.Alternatives = tt.text, tt.html, tt.files, []Alternative{invitation}
		data := written(t, m)
		if r := read(t, data); r.shape != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, r.shape, tt.want)
		}
		if !bytes.Contains(data, []byte("Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n")) || !bytes.Contains(data, []byte("Gr=C3=BC=C3=9Fe\r\n")) {
			t.Errorf("%s: got\n%s", tt.name, data)
		}
	}
	for name, a := range map[string]Alternative{
		"no type": {Content: ics}, "no text": {ContentType: "application/pdf", Content: "x"}, "charset": {ContentType: "text/calendar; charset=latin1", Content: "x"},
		"no UTF-8": {ContentType: "text/calendar", Content: "\xff"}, "line break": {ContentType: "text/calendar; x*=utf-8''a%0D%0ABcc", Content: "x"},
	} {
		m := plain()
		m.Alternatives = []Alternative{a}
		if list := problems(t, m); len(list) != 1 || !strings.HasPrefix(list[0].Field, "Alternatives[0].Content") {
			t.Errorf("%s: got %v", name, list)
		}
	}
}

func TestANameStandsOnceInAMediaType(t *testing.T) {
	for _, media := range []string{`application/pdf; name="ä.pdf"`, "application/pdf; name*=utf-8''%C3%A4.pdf", "application/pdf; NAME=x; charset=binary"} {
		m := plain()
		m.Attachments = []Attachment{{Name: "ö.pdf", ContentType: media, Content: []byte("x")}}
		data := written(t, m)
		if n := bytes.Count(data, []byte("; name")); n != 1 || !bytes.Contains(data, []byte(`; name="file.pdf"`)) {
			t.Errorf("%s: %d names in\n%s", media, n, data)
		}
		if strings.Contains(media, "charset") && !bytes.Contains(data, []byte("charset=binary")) {
			t.Errorf("another parameter is gone in\n%s", data)
		}
	}
}

// Readers that do not know RFC 2231 take the name of the Content-Type.
func TestOldReadersGetAReadableFileName(t *testing.T) {
	for name, want := range map[string]string{
		"報告2026年度.xlsx": "2026.xlsx", "Rechnung für März.pdf": "Rechnung f_r M_rz.pdf", "日本語.pdf": "file.pdf", "日本語": "file",
		"plain.txt": "plain.txt", `a"b.txt`: "a_b.txt", ".日本": "file", "日本.txt.日本": ".txt", "_x_.txt": "_x_.txt",
		strings.Repeat("x", 100) + ".pdf": strings.Repeat("x", 56) + ".pdf", strings.Repeat("日", 80) + "1.pdf": "1.pdf",
	} {
		if got := fallback(name); got != want || !isPlainName(got) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Two mails whose pictures have the same id: some readers show the other one.
func TestAContentIDIsCompletedInTheHeaderAndInTheHTML(t *testing.T) {
	file := func(id string) Attachment {
		return Attachment{ContentID: id, ContentType: "image/png", Content: []byte("x")}
	}
	m := plain()
	m.Attachments = []Attachment{file("logo"), file("logo2"), file("whole@example.com")}
	m.HTML = `<img src="cid:logo"><img src='CID:logo2'><img src=cid:logo><b style="x:url(cid:logo)">` +
		`<img src="cid:whole@example.com"><img src="cid:other"><img src="cid:logo.png"><b style="x:url(&quot;cid:logo&quot;)"> acid:logo "cid:`
	r := read(t, written(t, m))
	_, suffix, _ := strings.Cut(strings.Trim(r.files[0].id, "<>"), "@")
	if len(suffix) != 24 || r.files[0].id != "<logo@"+suffix+">" || r.files[1].id != "<logo2@"+suffix+">" || r.files[2].id != "<whole@example.com>" {
		t.Errorf("ids of %+v", r.files)
	}
	want := `<img src="cid:logo@§"><img src='CID:logo2@§'><img src=cid:logo@§><b style="x:url(cid:logo@§)">` +
		`<img src="cid:whole@example.com"><img src="cid:other"><img src="cid:logo.png"><b style="x:url(&quot;cid:logo@§&quot;)"> acid:logo "cid:`
	if want = strings.ReplaceAll(want, "§", suffix); strings.TrimSuffix(r.html, "\r\n") != want {
		t.Errorf("got  %s\nwant %s", r.html, want)
	}
	other := *m
	other.To = []string{"other@example.com"}
	if again := read(t, written(t, &other)); again.files[0].id == r.files[0].id {
		t.Errorf("another mail has the id %s too", again.files[0].id)
	}
	for _, id := range []string{"a b", "<a>", "a@", "@a", "a@b@c", "a'b", "ü", strings.Repeat("x", 201)} {
		m.Attachments = []Attachment{file(id)}
		if list := problems(t, m); len(list) != 1 || list[0].Field != "Attachments[0].ContentID" {
			t.Errorf("%q: %v", id, list)
		}
	}
}

// RFC 2049 §3: mailboxes put a > before From, and gateways end a message at a dot.
func TestLinesThatRelaysChangeAreEncoded(t *testing.T) {
	for text, want := range map[string]string{
		"From here": "=46rom here\r\n", "x\nFrom here\n": "x\r\n=46rom here\r\n", ".\n": "=2E\r\n", "x\n.": "x\r\n=2E\r\n", ".": "=2E\r\n", "x\r\n.\r\ny": "x\r\n=2E\r\ny\r\n",
		"From": "From\r\n", "From:": "From:\r\n", "..": "..\r\n", ".x": ".x\r\n", "x From y": "x From y\r\n", "ü\n.x": "=C3=BC\r\n.x\r\n",
		strings.Repeat("x", 75) + "From y": strings.Repeat("x", 75) + "=\r\n=46rom y\r\n", strings.Repeat("x", 76) + ".\n": strings.Repeat("x", 75) + "=\r\nx.\r\n",
		strings.Repeat("ü", 12) + "xxx.\n": strings.Repeat("=C3=BC", 12) + "xxx=\r\n=2E\r\n",
	} {
		m := plain()
		m.Text = text
		_, body, _ := bytes.Cut(written(t, m), []byte("\r\n\r\n"))
		if string(body) != want {
			t.Errorf("%q: %q, want %q", text, body, want)
		}
	}
}

// Names as programs and address books hand them over.
func TestNamesOfOtherProgramsAreTaken(t *testing.T) {
	for in, want := range map[string]string{
		mime.QEncoding.Encode("utf-8", "Müller, Jürgen") + " <x@example.com>":               "Müller, Jürgen",
		mime.QEncoding.Encode("utf-8", `Ü "x" (y) <z@w>; @`) + " <x@example.com>":           `Ü "x" (y) <z@w>; @`,
		mime.BEncoding.Encode("utf-8", strings.Repeat("Müller, ", 20)) + " <x@example.com>": strings.Repeat("Müller, ", 20),
		"=?ISO-8859-1?Q?M=FCller,_J?=<x@example.com>":                                       "Müller, J",
		" <x@example.com>": "", "  <x@example.com>": "", "<x@example.com>": "",
	} {
		a, err := ParseAddress(in)
		if err != nil || a.Name != want || a.Addr() != "x@example.com" {
			t.Errorf("%q: %+v, %v; want %q", in, a, err, want)
		}
		if b, err := ParseAddress(a.String()); err != nil || b != a {
			t.Errorf("%q: %q reads back as %+v, %v", in, a.String(), b, err)
		}
	}
	for in, want := range map[string]string{
		"=?gb2312?B?1cXI/Q==?= <x@example.com>":        "UTF-8, ISO-8859-1 and US-ASCII",
		"=?windows-1252?Q?M=FC,ller?= <x@example.com>": "UTF-8, ISO-8859-1 and US-ASCII",
		"a..b@docomo.ne.jp":                            `"a..b"@`,
		"a.@docomo.ne.jp":                              `"a..b"@`,
		"mailto:x@example.com":                         "take mailto: away",
		"friends:x@example.com":                        "groups",
		" x@example.com":                               "trim",
		" Jo <x@example.com>":                          "trim",
	} {
		_, err := ParseAddress(in)
		if bad, ok := errors.AsType[*AddressError](err); !ok || !strings.Contains(bad.Reason, want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestANameAndAnAddressHeldApart(t *testing.T) {
	for _, name := range []string{"", " ", "Jo", "Public, Jo", `Jo "X" \`, "Jürgen <x@y.z>", "=?utf-8?q?x?=", "a@b.c", "日本語", "Jo,x@y.z"} {
		a, err := NewAddress(name, "u@bücher.example")
		if err != nil || a != (Address{strings.TrimSpace(name), "u", "xn--bcher-kva.example"}) {
			t.Fatalf("%q: %+v, %v", name, a, err)
		}
		if b, err := ParseAddress(a.String()); err != nil || b != a {
			t.Errorf("%q: %s reads back as %+v, %v", name, a, b, err)
		}
	}
	for _, in := range [][2]string{
		{"a\r\nBcc: x@y.z", "u@b.c"}, {"\xff", "u@b.c"}, {"a\u202eb", "u@b.c"},
		{"Jo", ""}, {"Jo", "nobody"}, {"Jo", "X <u@b.c>"}, {"Jo", "<u@b.c>"}, {"Jo", "u@b.c\r\n"}, {"Jo", "ü@b.c"}, {"Jo", "u@b.c, x@y.z"}, {"Jo", " u@b.c"},
	} {
		a, err := NewAddress(in[0], in[1])
		if _, ok := errors.AsType[*AddressError](err); !ok || a != (Address{}) {
			t.Errorf("%q: %+v, %v", in, a, err)
		}
	}
}

func TestAnErrorNamesNoRecipientAndNoContent(t *testing.T) {
	m := plain()
	m.To, m.Bcc = []string{"sécret@example.com"}, []string{"sécret2@example.com"}
	m.Subject = "sécret\n"
	m.Headers = []Header{{"List-Unsubscribe", "https://example.com/sécret"}}
	_, err := Build(m)
	invalid, ok := errors.AsType[*ValidationError](err)
	if !ok || len(invalid.Problems) != 4 || strings.Contains(err.Error(), "cret") {
		t.Errorf("got %v", err)
	}
	for _, p := range invalid.Problems {
		if !strings.Contains(p.Value, "cret") {
			t.Errorf("%s: the value is %q", p.Field, p.Value)
		}
	}
}
