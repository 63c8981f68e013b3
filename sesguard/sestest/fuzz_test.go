package sestest

import (
	"bufio"
	"bytes"
	"io"
	"net/textproto"
	"strings"
	"testing"
)

// FuzzCommand feeds a command line to the parser. A path it finds never
// leaves its brackets, and nothing in a line is a control character.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		"MAIL FROM:<a@example.com> SIZE=1 BODY=8BITMIME\r\n", "mail from: <>\r\n", "RCPT TO:<\"a>b\"@example.com>\r\n",
		"MAIL FROM:<a@b\r\n", "NOOP\n", "\r\n", "AUTH PLAIN AGEAYg==\r\n", "MAIL FROM:<\"a\\\">\"@b>x\r\n", "RCPT TO:<@a,@b:c@d>\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		verb, arg, ok := splitCommand(line)
		if !ok {
			return
		}
		if strings.ContainsFunc(verb+arg, isControl) || strings.Contains(verb, " ") {
			t.Errorf("%q: verb %q, argument %q", line, verb, arg)
		}
		for _, prefix := range []string{"FROM:", "TO:"} {
			path, params, ok := parsePath(arg, prefix)
			if !ok {
				continue
			}
			if strings.ContainsAny(path, ">") && !strings.Contains(path, `"`) || !strings.Contains(arg, "<"+path+">") {
				t.Errorf("%q: path %q, parameters %q", line, path, params)
			}
			new(session).judgeParamsQuietly(params)
		}
	})
}

func (x *session) judgeParamsQuietly(params string) {
	x.srv = &Server{}
	x.judgeParams(params)
}

// FuzzData sends a message through the standard library's dot-stuffing and
// the fake's undoing of it, in chunks of a small buffer.
func FuzzData(f *testing.F) {
	for _, seed := range []string{"", ".", "..", ".\r\n", "a\n.\nb", "\r", "a\r\r\n", strings.Repeat("x", 15) + "\r\n.", "\r\n.\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r", ""), "\n", "\r\n") // what the writer keeps as it is
		var wire bytes.Buffer
		w := textproto.NewWriter(bufio.NewWriter(&wire)).DotWriter()
		io.WriteString(w, text)
		w.Close()
		if text == "" || !strings.HasSuffix(text, "\r\n") {
			text += "\r\n"
		}
		var d dataReader
		r := bufio.NewReaderSize(&wire, 16)
		for {
			line, err := r.ReadSlice('\n')
			if err != nil && err != bufio.ErrBufferFull {
				t.Fatalf("no final dot in %q", text)
			}
			if d.take(line) {
				break
			}
		}
		if string(d.content) != text || r.Buffered() != 0 {
			t.Errorf("sent %q, read %q, %d octets left", text, d.content, r.Buffered())
		}
	})
}

// FuzzHeader reads a header and its addresses. What was read, written again,
// reads the same; without drops one field and nothing else.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		"From: a@example.com\r\nTo: b@example.org\r\n\r\nbody", "Bcc: a,\r\n b\r\nX: y\n\nBcc: z", ": x", " x", "x", "a b: c",
		"From: \"a, b\" <c@d> (e (f) \\) ), g: h@i, j@k;", "From: <<a@b>>", "To: ,,;;", "Content-Type: text/plain; x=\"", "X-SES-MESSAGE-TAGS: a=b, c=d",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, at, problem := parseHeader(data)
		if at > len(data) {
			t.Fatalf("the body starts at %d of %d", at, len(data))
		}
		h.check()
		h.mailboxes(addressFields...)
		parseTags(h.get("X-SES-MESSAGE-TAGS"))
		if problem != "" {
			return
		}
		checkRewrite(t, h)
		checkWithout(t, data, h, at)
	})
}

func checkRewrite(t *testing.T, h header) {
	var b strings.Builder
	for _, f := range h {
		b.WriteString(f.name + ": " + strings.ReplaceAll(f.value, "\r", "") + "\r\n")
	}
	again, _, problem := parseHeader([]byte(b.String()))
	if problem != "" || len(again) != len(h) {
		t.Errorf("%q reads as %q, %s", b.String(), again, problem)
	}
}

func checkWithout(t *testing.T, data []byte, h header, at int) {
	less := without(data, "Bcc")
	after, lessAt, _ := parseHeader(less)
	if after.count("Bcc") != 0 || len(after) != len(h)-h.count("Bcc") || !bytes.Equal(less[lessAt:], data[at:]) {
		t.Errorf("%q without Bcc is %q", data, less)
	}
}

// FuzzMailboxes reads address lists. An address that passes is one that
// nothing can hide in.
func FuzzMailboxes(f *testing.F) {
	for _, seed := range []string{
		"a@example.com", "A <a@example.com>, b@example.com", `"x\"" <a@b>`, "g: a@b, c@d;", "(c) a@b", "a@b (c", "<a@b", `"a b"@c`, "a@b@c", "ä@b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, r := parseMailboxes(s)
		if r != nil {
			return
		}
		for _, m := range list {
			local, domain, ok := strings.Cut(m.addr, "@")
			if !ok || local == "" || domain == "" || strings.ContainsAny(m.addr, "\r\n\x00") || strings.ContainsAny(m.domain(), " <>@,;:") {
				t.Errorf("%q holds %q", s, m.addr)
			}
		}
	})
}

// FuzzMailReaders reads whole messages. Whatever stands in them, the readers
// end, and what SES replaces in the header is there once.
func FuzzMailReaders(f *testing.F) {
	for _, seed := range []string{
		"", "Subject: =?utf-8?q?=C3?=\r\n\r\nx", "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nb\r\n--a--",
		"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n", "Content-Transfer-Encoding: base64\r\n\r\nYQ=", "Message-ID: x\nDate: y\n\nz",
		"Content-Type: text/html; charset=iso-8859-1\r\nContent-Disposition: inline; filename*0=a; filename*1=b\r\n\r\n\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := Mail{ID: "id", Data: data}
		m.Subject()
		m.Text()
		m.HTML()
		for _, file := range m.Files() {
			m.File(file.Name)
		}
		if _, _, problem := parseHeader(data); problem != "" {
			return
		}
		if h, _, _ := parseHeader(m.Delivered()); h.count("Message-ID") != 1 || h.count("Date") != 1 || h.get("Message-ID") != m.HeaderID() {
			t.Errorf("%q is delivered as %q", data, m.Delivered())
		}
	})
}
