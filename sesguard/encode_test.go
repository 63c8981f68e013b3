package sesguard

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A source is a file that counts how it is used.
type source struct {
	io.Reader
	closed *int
}

func (s source) Close() error { *s.closed++; return errors.New("close fails") }

func TestStreamedFilesAreOpenedEachTimeAndClosed(t *testing.T) {
	opened, closed := 0, 0
	m := plain()
	m.Attachments = []Attachment{{Name: "a", Open: func() (io.ReadCloser, error) {
		opened++
		return source{strings.NewReader("content"), &closed}, nil
	}}}
	b, err := Build(m)
	if err != nil || opened != 0 {
		t.Fatalf("opened %d times by Build, %v", opened, err)
	}
	for i := range 3 {
		if r, err := octets(b); err != nil || !bytes.Contains(r, []byte("Y29udGVudA==")) {
			t.Fatalf("%v", err)
		}
		if opened != i+1 || closed != i+1 {
			t.Errorf("opened %d, closed %d", opened, closed)
		}
	}
}

func TestAFileThatCannotBeReadIsContentUnreadable(t *testing.T) {
	boom := errors.New("boom")
	for name, open := range map[string]func() (io.ReadCloser, error){
		"open fails":         func() (io.ReadCloser, error) { return nil, boom },
		"open gives nothing": func() (io.ReadCloser, error) { return nil, nil },
		"read fails": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("x"), failing{boom})), nil
		},
		"the file is cut short": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("x"), failing{io.ErrUnexpectedEOF})), nil
		},
		"reads give nothing": func() (io.ReadCloser, error) { return io.NopCloser(failing{nil}), nil },
	} {
		t.Run(name, func(t *testing.T) {
			closed := 0
			m := plain()
			m.Attachments = []Attachment{
				{Name: "good", Open: func() (io.ReadCloser, error) { return source{strings.NewReader("x"), &closed}, nil }},
				{Name: "bad", Open: open},
			}
			_, err := m.WriteTo(io.Discard)
			e, ok := errors.AsType[*seserrors.Error](err)
			if !ok || e.Class != seserrors.Invalid || e.Reason != seserrors.ContentUnreadable || !strings.Contains(e.Error(), `"bad"`) || e.Err == nil {
				t.Errorf("got %#v", err)
			}
			if closed != 1 {
				t.Errorf("the other file was closed %d times", closed)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAStreamedFileIsCutAt40MB(t *testing.T) {
	m := plain()
	m.Attachments = []Attachment{{Name: "a", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(zeros{}, 100<<20)), nil
	}}}
	n, err := m.WriteTo(io.Discard)
	e, ok := errors.AsType[*seserrors.Error](err)
	if !ok || e.Class != seserrors.Invalid || e.Reason != seserrors.MessageTooLong || n > maxMessage {
		t.Errorf("wrote %d, %v", n, err)
	}
}

// lines is n octets of text.
func lines(n int) string {
	s := strings.Repeat(strings.Repeat("x", 62)+"\r\n", n/64)
	return s + strings.Repeat("y", max(n%64-2, 0)) + "\r\n"[:min(n%64, 2)]
}

// What is counted is the message as it is written, with the X-SES-* lines,
// which stand in it over SMTP.
func TestTheLimitIsExactly40MB(t *testing.T) {
	file := make([]byte, 100_000)
	for name, change := range map[string]func(m *Message, text string){
		"text": func(m *Message, text string) { m.Text = text },
		"held file": func(m *Message, text string) {
			m.Text, m.Attachments = text, []Attachment{{Name: "a", Content: file}}
		},
		"streamed file": func(m *Message, text string) {
			m.Text, m.Attachments = text, []Attachment{{Name: "a", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }}}
		},
		"raw": func(m *Message, text string) {
			m.Subject, m.Text, m.Raw = "", "", strings.NewReader("From: a@b.c\r\n\r\n"+text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			size := func(text string) (smtp, api int64, err error) {
				m := plain()
				m.ConfigurationSet = "set"
				change(m, text)
				b, err := Build(m)
				if err != nil {
					return 0, 0, err
				}
				o, err := b.open(t.Context(), b.sesLines())
				if err != nil {
					return 0, 0, err
				}
				defer o.Close()
				smtp, err = o.WriteTo(io.Discard)
				api, apiErr := b.WriteTo(io.Discard)
				if (err == nil) != (apiErr == nil) {
					t.Errorf("SMTP: %v; API: %v", err, apiErr)
				}
				return smtp, api, err
			}
			small, _, err := size(lines(64))
			if err != nil {
				t.Fatal(err)
			}
			most := maxMessage - int(small) + 64
			if smtp, api, err := size(lines(most)); smtp != 40<<20 || api >= smtp || err != nil {
				t.Errorf("a message of 40 MB: %d and %d octets, %v", smtp, api, err)
			}
			_, _, err = size(lines(most + 1))
			if e, ok := errors.AsType[*seserrors.Error](err); !ok || e.Class != seserrors.Invalid || e.Reason != seserrors.MessageTooLong {
				t.Errorf("one octet more: %v", err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTheErrorOfTheWriterComesBack(t *testing.T) {
	boom := errors.New("boom")
	m := plain()
	m.Attachments = []Attachment{{Name: "a", Content: make([]byte, 1<<20)}}
	for _, n := range []int{0, 100, 1000, 100_000, 1_400_000} {
		w := &limited{n: n, err: boom}
		got, err := m.WriteTo(w)
		if err != boom || got != int64(n) {
			t.Errorf("after %d octets: %d, %v", n, got, err)
		}
	}
	if _, err := m.WriteTo(short{}); err != io.ErrShortWrite {
		t.Errorf("short write: %v", err)
	}
}

type limited struct {
	n   int
	err error
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(l.n, len(p))
	if l.n -= n; n < len(p) {
		return n, l.err
	}
	return n, nil
}

type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) / 2, nil }

func twoKB() *Message {
	m := plain()
	m.From = "Sender <sender@example.com>"
	m.To = []string{"Jo Public <jo@example.com>"}
	m.Subject = "Your order 12345 is on its way"
	m.Text = strings.Repeat("Hello, this is a line of text with ünicode.\r\n", 20)
	m.HTML = strings.Repeat("<p>Hello, this is a line of <b>HTML</b> with style=\"x\".</p>\r\n", 20)
	return m
}

func tenMB() *Message {
	m := twoKB()
	m.Attachments = []Attachment{{Name: "report.pdf", Content: make([]byte, 10<<20)}}
	return m
}

func TestALargeFileIsNotHeld(t *testing.T) {
	m := tenMB()
	const runs = 2
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if _, err := m.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 32<<10 {
		t.Errorf("%d octets allocated for a file of 10 MB, want 32 KB at most", got)
	}
}

func TestOnlyShortCleanLinesAreSentAsTheyAre(t *testing.T) {
	full := strings.Repeat("a", lineAim)
	for s, want := range map[string]bool{
		"": true, full: true, full + "\n" + full + "\r\n": true, full + "\r": true, "\t" + full[1:]: true,
		full + "b": false, full + "b\n": false, "x\n" + full + "b\n": false, full + "\t": false, full[1:] + "\t": false, full + "\tb": false,
		full[1:] + "é": false, "a\x00": false, "a\x7f": false, "a \nb": false, "a\t\r\nb": false, "--=_b": false, "a=b": true,
	} {
		if got := sevenBit(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func BenchmarkCompose(b *testing.B) {
	for name, m := range map[string]*Message{"2KB": twoKB(), "10MB": tenMB()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n, err := m.WriteTo(io.Discard)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}

func BenchmarkRaw(b *testing.B) {
	for name, m := range map[string]*Message{"2KB": twoKB(), "10MB": tenMB()} {
		var buf bytes.Buffer
		m.WriteTo(&buf)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(buf.Len()))
			for b.Loop() {
				raw := &Message{From: m.From, To: m.To, Raw: bytes.NewReader(buf.Bytes())}
				if _, err := Build(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
