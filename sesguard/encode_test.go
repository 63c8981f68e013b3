package sesguard

import (
	"bytes"
	"errors"
	"io"
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
