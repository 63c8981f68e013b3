package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A sample is one kind of message.
type sample struct {
	name string
	m    *sesguard.Message
	raw  string // the whole message, if it is not composed
	id   string
	send func(addr string, s *sample) error // in place of the pool
}

// samples are all kinds. They are made anew for each server, since streams are
// read up.
func samples() []*sample {
	var all []*sample
	compose := func(name string, m sesguard.Message) {
		s := &sample{name: name, id: fmt.Sprintf("s%02d", len(all)), m: &m}
		m.Date = time.Unix(1.8e9, 0).UTC()
		if m.From == "" {
			m.From = "Jörg Müller <shop@example.com>"
		}
		if m.To == nil && m.Bcc == nil {
			m.To = []string{"ann@example.org"}
		}
		m.Headers = append([]sesguard.Header{{Name: "X-Interop-ID", Value: s.id}}, m.Headers...)
		all = append(all, s)
	}
	raw := func(name, head, body string) *sample {
		s := &sample{name: name, id: fmt.Sprintf("s%02d", len(all))}
		s.raw = "From: shop@example.com\r\nTo: ann@example.org\r\nX-Interop-ID: " + s.id + "\r\n" + head + body
		s.m = &sesguard.Message{From: "shop@example.com", To: []string{"ann@example.org"}, Raw: strings.NewReader(s.raw)}
		all = append(all, s)
		return s
	}
	octets := make([]byte, 10000)
	for i := range octets {
		octets[i] = byte(i * i / 7)
	}
	big := make([]byte, 10<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range big {
		big[i] = byte(rng.Uint32())
	}

	compose("text", sesguard.Message{Subject: "Your order", Text: "It is on its way.\n"})
	compose("text and HTML", sesguard.Message{Subject: "Grüße", Text: "Grüße, €", HTML: "<p>Grüße, <b>€</b> 日本語 🎉</p>"})
	compose("HTML only", sesguard.Message{Subject: "HTML", HTML: "<html><body>\n.\n..\nFrom here\n<p>x=3D</p></body></html>"})
	compose("Unicode names", sesguard.Message{
		Subject: strings.Repeat("日本語の件名です。", 12) + " 🎉 =?utf-8?q?trick?= end",
		From:    "山田太郎 <shop@example.com>",
		To:      []string{`"O'Brien, \"Bob\" (x)" <bob@example.org>`, "Ægir Ångström <aegir@example.org>", "=?utf-8?q?J=C3=BCrgen?= <j@example.org>", strings.Repeat("Длинное имя ", 15) + "<long@example.org>"},
		Cc:      []string{"🎉 <party@example.org>"}, ReplyTo: []string{"Réponse <re@example.com>", "b@example.com"}, Text: "x"})
	compose("Unicode domains", sesguard.Message{Subject: "IDN", To: []string{"Jürgen Groß <post@bücher.example>", "a@例え.テスト"}, Cc: []string{"b@straße.example"}, Text: "x"})
	compose("attachments", sesguard.Message{Subject: "Files", Text: "see files", Attachments: []sesguard.Attachment{
		{Name: "Übersicht – 表 'x' \"y\"; z.pdf", Content: octets},
		{Name: "empty.bin", Content: []byte{}},
		{Name: "lines.txt", Content: []byte("a\r\nb\nc\rd\n.\n\nFrom x\n")},
		{Name: strings.Repeat("lang", 50) + ".dat", ContentType: "application/x-test; a=b", Content: []byte{0}},
		{Name: "streamed.csv", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(octets[:5000])), nil }},
	}})
	compose("inline images", sesguard.Message{Subject: "Inline", Text: "no pictures", HTML: `<p><img src="cid:logo@shop"><img src="cid:foto@x"></p>`, Attachments: []sesguard.Attachment{
		{Name: "logo.png", ContentID: "logo@shop", ContentType: "image/png", Content: octets[:3000]},
		{ContentID: "foto@x", ContentType: "image/jpeg", Content: octets[100:2000]},
		{Name: "terms.pdf", Content: octets[:77]},
	}})
	compose("long lines", sesguard.Message{Subject: "Long", Text: strings.Repeat("word ", 2000) + "\n" + strings.Repeat("ü", 3000) + "\n" + strings.Repeat("x", 998), HTML: "<p>" + strings.Repeat("y", 5000) + "</p>"})
	compose("dots and From", sesguard.Message{Subject: "Dots", Text: ".\n..\n...\n.x\n\n.\nFrom me\n>From you\n.\n\n"})
	compose("white space", sesguard.Message{Subject: "Spaces", Text: "a \nb\t\n \n\n\n\nend =\n=20\n"})
	compose("empty", sesguard.Message{Subject: "Nothing"})
	compose("headers", sesguard.Message{Subject: "Headers", Text: "x", Headers: []sesguard.Header{
		{Name: "X-Interop-Note", Value: strings.Repeat("ein langer Wert mit Größe ", 30) + "Ende"},
		{Name: "References", Value: strings.TrimSpace(strings.Repeat("<0123456789abcdef@mail.example.com> ", 40))},
		{Name: "List-Unsubscribe", Value: "<https://example.com/u?x=1>"},
	}})
	compose("10 MB attachment, streamed", sesguard.Message{Subject: "Big", Text: "big", Attachments: []sesguard.Attachment{
		{Name: "big.bin", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(big)), nil }}}})
	compose("Bcc only", sesguard.Message{Subject: "Secret", Text: "x", Bcc: []string{"x@example.org", "y@example.net", "z@bücher.example"}})
	many := sesguard.Message{Subject: "Many", Text: "x"}
	for i := range 50 {
		many.To = append(many.To, fmt.Sprintf("Empfänger %d <many%d@example%d.org>", i, i, i%3))
	}
	compose("50 recipients", many)
	compose("return path", sesguard.Message{Subject: "Return", Text: "x", ReturnPath: "bounce+ann=example.org@example.net"})

	utf8 := "Subject: raw\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	raw("raw 8-bit", utf8, "Grüße, 日本語, 🎉\r\n")
	latin := raw("raw 8-bit, every octet", strings.ReplaceAll(utf8, "utf-8", "iso-8859-1"), "")
	for i := 1; i < 256; i++ {
		if i != '\r' && i != '\n' {
			latin.raw += string([]byte{byte(i)})
		}
	}
	latin.m.Raw = strings.NewReader(latin.raw)
	raw("raw bare LF", strings.ReplaceAll(utf8, "\r\n", "\n"), "a\nb\n\n.\n..\nc\n")
	raw("raw bare CR", utf8, "a\rb\r\r.\r..\rc\r")
	raw("raw mixed ends", utf8, "a\r\r\nb\n\rc\r\n\n\rd\n\n\n")
	raw("raw without end", utf8, "no line end")
	raw("raw empty body", utf8, "")
	raw("raw header only", "Subject: head\r\n", "")
	raw("raw dots", utf8, ".\r\n..\r\n...\r\n.\r\n.QUIT\r\n\r\n.\r\n")
	raw("raw empty lines", utf8, strings.Repeat("\r\n", 200)+"x"+strings.Repeat("\r\n", 200))
	raw("raw 998 octets", utf8, strings.Repeat("x", 998)+"\r\n."+strings.Repeat("y", 997)+"\r\n")
	raw("raw 10 MB", utf8, strings.Repeat(".a line of a long message, dotted\r\n..\r\n\r\n", 250000))
	for i, end := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r\n.\r\n", "\n.\r", "\r\r\n.\r\n", "\r\n\x00.\r\n", "\r\n..\r\n.\r\n"} {
		if strings.Contains(end, "\x00") {
			continue // NUL is refused before anything is sent
		}
		smuggled := "MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nX-Interop-ID: smuggled\r\nSubject: smuggled\r\n\r\nevil" + end + "QUIT\r\n"
		raw(fmt.Sprintf("raw smuggling %d %q", i, end), utf8, "good"+end+smuggled)
	}
	for _, way := range []struct {
		name string
		send func(addr string, a smtp.Auth, from string, to []string, msg []byte) error
	}{{"smtpclient.SendMail", smtpclient.SendMail}, {"sesguard.SendMail", sesguard.SendMail}} {
		s := raw(way.name, utf8, "Grüße\r\n.\r\n..\nend")
		s.send = func(addr string, s *sample) error {
			host, _, _ := strings.Cut(addr, ":")
			return way.send(addr, smtp.PlainAuth("", "user", "pass", host), "shop@example.com", []string{"ann@example.org"}, []byte(s.raw))
		}
	}
	return all
}

// wire is what must arrive, byte for byte.
func (s *sample) wire() []byte {
	if s.raw == "" {
		var b bytes.Buffer
		_, err := s.m.WriteTo(&b)
		check(err)
		return b.Bytes()
	}
	text := crlf(s.raw)
	if !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	if !strings.Contains(text, "\r\n\r\n") {
		text += "\r\n" // sesguard ends a header without a body by an empty line
	}
	return []byte(text)
}

func matrices(l *list) {
	for _, kind := range kinds {
		for _, tls := range encryptions {
			o := Options{TLS: tls, Auth: tls != "none", Login: tls == "wrapper", Pipelining: tls != "starttls", Dir: "yes"}
			l.add(kind, "messages, "+tls, func() []row { return []row{matrix(newScripted(kind, o), modes[tls], tls != "none")} })
		}
	}
	l.add("postfix", "messages, starttls", func() []row { return []row{matrix(newPostfix(false), smtpclient.TLSStartTLS, true)} })
	l.add("postfix", "messages, wrapper", func() []row { return []row{matrix(newPostfix(true), smtpclient.TLSWrapper, true)} })
	l.add("exim", "messages, starttls", func() []row { return []row{matrix(newExim(""), smtpclient.TLSStartTLS, true)} })
	l.add("exim", "messages, plaintext", func() []row { return []row{matrix(newExim(""), smtpclient.TLSNone, false)} })
}

func matrix(server Server, mode smtpclient.TLSMode, auth bool) row {
	env.start(server)
	defer env.stop(server)
	t := traffic{server: server, mode: mode, auth: auth, config: func(c *smtpclient.Config) { c.DataTimeout = time.Minute }}
	pool := t.pool()
	defer pool.Close()
	sender := once(sesguard.SMTP(pool))
	all := samples()
	var r row
	sent := all[:0:0]
	for _, s := range all {
		var err error
		switch {
		case s.send != nil && (mode == smtpclient.TLSWrapper || !auth):
			continue // net/smtp's signature knows no wrapper on such a port
		case s.send != nil:
			err = s.send(server.Addr(), s)
		default:
			_, err = sender.Send(context.Background(), s.m)
		}
		r.sends++
		sent = append(sent, s)
		if err != nil {
			r.refused++
			r.fault(&r.broken, "%s: %v", s.name, err)
			continue
		}
		r.ok++
	}
	mails, err := server.Accepted()
	check(err)
	count := make(map[string]int)
	for _, m := range mails {
		count[m.ID]++
	}
	r.accepted = len(mails)
	for _, s := range sent {
		switch n := count[s.id]; {
		case n == 0:
			r.fault(&r.lost, "%s", s.name)
		case n > 1:
			r.fault(&r.doubled, "%s: %d", s.name, n)
		}
		delete(count, s.id)
	}
	for id, n := range count {
		r.fault(&r.misreport, "%d of %q were never sent", n, id)
	}
	files, err := server.Files()
	check(err)
	compare(&r, sent, files)
	r.note = fmt.Sprintf("%d kinds; bytes, envelopes, Python email and mailparser agree", len(sent))
	if r.bad() > 0 {
		r.note = "see the faults"
	}
	return r
}

// decoded is what a mail library makes of a mail.
type decoded struct {
	Subject, Text, HTML, Note string
	From, To, Cc, ReplyTo     []string
	Files                     []file
	Defects                   []string
}

type file struct{ Name, Type, Cid, Sum string }

// compare holds the files of a mailbox against what was sent: bytes, envelope,
// and what two mail libraries in other languages read.
func compare(r *row, sent []*sample, files []string) {
	python := decodeWith(files, "/usr/bin/python3", filepath.Join(env.here, "decode/decode.py"))
	node := decodeWith(files, "node", filepath.Join(env.here, "decode/decode.js"))
	byID := make(map[string]*sample)
	for _, s := range sent {
		byID[s.id] = s
	}
	got := make(map[string][]string)
	for _, name := range files {
		content, err := readMail(name)
		check(err)
		s := byID[idOf(content)]
		if s == nil {
			continue // told before
		}
		if trace, ok := bytes.CutSuffix(content, s.wire()); !ok || !traceOnly(trace) {
			r.fault(&r.changed, "%s: %s holds other bytes", s.name, name)
		}
		from, to := envelope(name, content)
		got[s.id] = append(got[s.id], to...)
		if want := addr(cmp.Or(s.m.ReturnPath, s.m.From)); ascii(from) != want {
			r.fault(&r.changed, "%s: envelope sender %q, want %q", s.name, from, want)
		}
		if s.raw == "" {
			s.judge(r, "Python", python[name])
			s.judge(r, "mailparser", node[name])
		}
	}
	for _, s := range sent {
		var want []string
		for _, a := range slices.Concat(s.m.To, s.m.Cc, s.m.Bcc) {
			want = append(want, addr(a))
		}
		have := got[s.id]
		for i := range have {
			have[i] = ascii(have[i])
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			r.fault(&r.changed, "%s: envelope recipients %q, want %q", s.name, have, want)
		}
	}
}

func addr(s string) string {
	a, err := sesguard.ParseAddress(s)
	check(err)
	return a.Addr()
}

// ascii is an address with its domain in Punycode: some libraries decode it.
func ascii(s string) string {
	local, domain, _ := strings.Cut(s, "@")
	if d, err := idna.Punycode.ToASCII(domain); err == nil {
		domain = d
	}
	return local + "@" + domain
}

var traceLine = regexp.MustCompile(`(?i)^(return-path|x-original-to|delivered-to|envelope-to|delivery-date|received):`)

// traceOnly reports whether head holds nothing but what a server adds.
func traceOnly(head []byte) bool {
	for line := range strings.Lines(string(head)) {
		if line[0] != ' ' && line[0] != '\t' && !traceLine.MatchString(line) {
			return false
		}
	}
	return true
}

var returnPath, originalTo = regexp.MustCompile(`(?im)^return-path: <(.*)>`), regexp.MustCompile(`(?im)^(?:x-original-to|envelope-to): (.*?)\r$`)

// envelope is what the server noted of it, beside the mail or in its head.
func envelope(name string, content []byte) (from string, to []string) {
	if b, err := os.ReadFile(strings.TrimSuffix(name, ".eml") + ".json"); err == nil && strings.HasSuffix(name, ".eml") {
		var e struct {
			From string
			To   []string
		}
		check(json.Unmarshal(b, &e))
		return e.From, e.To
	}
	head, _, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	if m := returnPath.FindSubmatch(head); m != nil {
		from = string(m[1])
	}
	if m := originalTo.FindSubmatch(head); m != nil {
		to = strings.Split(string(m[1]), ", ")
	}
	return from, to
}

func decodeWith(files []string, name string, args ...string) map[string]decoded {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(env.npm, "node_modules"))
	c.Stdin = strings.NewReader(strings.Join(files, "\n"))
	c.Stderr = os.Stderr
	out, err := c.Output()
	check(err)
	var all map[string]decoded
	check(json.Unmarshal(out, &all))
	return all
}

// judge compares what library read with what was composed.
func (s *sample) judge(r *row, library string, d decoded) {
	fault := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			r.fault(&r.changed, "%s: %s reads %s as %.300q, want %.300q", s.name, library, what, got, want)
		}
	}
	fault("subject", d.Subject, s.m.Subject)
	fault("text", text(d.Text), text(s.m.Text))
	fault("HTML", text(d.HTML), text(s.m.HTML))
	fault("From", people(d.From), names([]string{s.m.From}))
	fault("To", people(d.To), names(s.m.To))
	fault("Cc", people(d.Cc), names(s.m.Cc))
	fault("Reply-To", people(d.ReplyTo), names(s.m.ReplyTo))
	fault("defects", len(d.Defects), 0)
	for _, h := range s.m.Headers {
		if h.Name == "X-Interop-Note" && library == "Python" { // mailparser leaves such a field encoded
			fault("a header", d.Note, h.Value)
		}
	}
	var want []file
	for _, a := range s.m.Attachments {
		content := a.Content
		if a.Open != nil {
			f, err := a.Open()
			check(err)
			content, err = io.ReadAll(f)
			check(err)
		}
		f := file{Name: a.Name, Cid: a.ContentID, Sum: sum(content)}
		f.Type, _, _ = strings.Cut(a.ContentType, ";")
		want = append(want, f)
	}
	have := append([]file(nil), d.Files...)
	fault("number of files", len(have), len(want))
	for i := range min(len(have), len(want)) {
		if want[i].Type == "" {
			have[i].Type = ""
		}
		if want[i].Name == "" {
			have[i].Name = ""
		}
	}
	order := func(a, b file) int { return strings.Compare(a.Sum, b.Sum) }
	slices.SortFunc(have, order)
	slices.SortFunc(want, order)
	fault("files", have, want)
}

// text is without the difference of line ends, and of those at the end.
func text(s string) string {
	return strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
}

func people(all []string) []string {
	var out []string
	for _, s := range all {
		name, a, _ := strings.Cut(s, "|")
		// Python before 3.13 keeps the space between two encoded-words of a name,
		// so a name that needs two has two spaces where it should have one.
		out = append(out, strings.ReplaceAll(name, "  ", " ")+"|"+ascii(a))
	}
	return out
}

func names(all []string) []string {
	var out []string
	for _, s := range all {
		a, err := sesguard.ParseAddress(s)
		check(err)
		out = append(out, a.Name+"|"+a.Addr())
	}
	return out
}
