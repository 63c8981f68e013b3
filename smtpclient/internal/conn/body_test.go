package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A sheet is a line that keeps what is written, and says nothing.
type sheet struct {
	net.Conn
	bytes.Buffer
	writes int
}

func (s *sheet) Write(p []byte) (int, error) {
	s.writes++
	return s.Buffer.Write(p)
}

func (s *sheet) Read([]byte) (int, error)    { return 0, io.EOF }
func (s *sheet) SetDeadline(time.Time) error { return nil }
func (s *sheet) Close() error                { return nil }

// newBody returns a body of a message of at most max octets.
func newBody(max int64) (*body, *sheet) {
	out := new(sheet)
	c := newConn(new(Config), out, Login{})
	c.maxSize, c.eightBit = max, true
	return &body{ctx: context.Background(), conn: c}, out
}

// finish ends the message and writes that too.
func (b *body) finish() {
	b.end()
	b.flush(len(b.conn.buf))
}

// encode sends msg through a body in writes of at most n octets.
func encode(msg string, n int) (string, *body) {
	b, out := newBody(MaxMessage)
	for rest := []byte(msg); len(rest) > 0; {
		k := min(n, len(rest))
		b.Write(rest[:k])
		rest = rest[k:]
	}
	b.finish()
	return out.String(), b
}

func TestBodyOnTheWire(t *testing.T) {
	for _, row := range []struct{ name, in, out string }{
		{"plain", "a\r\nb\r\n", "a\r\nb\r\n"},
		{"no end of line", "a", "a\r\n"},
		{"dot", ".\r\n", "..\r\n"},
		{"dots", "..a\r\n.\r\n.", "...a\r\n..\r\n..\r\n"},
		{"dot inside", "a.b\r\n c.\r\n", "a.b\r\n c.\r\n"},
		{"bare LF", "a\nb\n", "a\r\nb\r\n"},
		{"bare CR", "a\rb\r", "a\r\nb\r\n"},
		{"CR CR LF", "a\r\r\nb", "a\r\n\r\nb\r\n"},
		{"LF CR", "a\n\rb", "a\r\n\r\nb\r\n"},
		{"empty lines", "\n\n\r\n\r", "\r\n\r\n\r\n\r\n"},
		{"smuggling with LF", "a\n.\nMAIL FROM:<x@y>\n", "a\r\n..\r\nMAIL FROM:<x@y>\r\n"},
		{"smuggling with CR", "a\r.\rMAIL FROM:<x@y>\r", "a\r\n..\r\nMAIL FROM:<x@y>\r\n"},
		{"smuggling with LF . CRLF", "a\n.\r\nb", "a\r\n..\r\nb\r\n"},
		{"smuggling with CR . CRLF", "a\r.\r\nb", "a\r\n..\r\nb\r\n"},
		{"bare LF in one of equal lines", "abcdef\r\nab\ncdf\r\nabcdef\r\n", "abcdef\r\nab\r\ncdf\r\nabcdef\r\n"},
		{"bare CR in one of equal lines", "abcdef\r\nab\rcdf\r\nabcdef\r\n", "abcdef\r\nab\r\ncdf\r\nabcdef\r\n"},
		{"smuggling in equal lines", "abcdef\r\n\n.\ndef\r\n", "abcdef\r\n\r\n..\r\ndef\r\n"},
		{"NUL stays", "a\x00b\r\n", "a\x00b\r\n"},
		{"nothing but a dot", ".", "..\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 5, 1 << 20} {
				if got, _ := encode(row.in, n); got != row.out+".\r\n" {
					t.Errorf("in writes of %d: got %q, want %q", n, got, row.out+".\r\n")
				}
			}
		})
	}
}

func TestABodyOfAnySizeGoesThroughOneBuffer(t *testing.T) {
	line := strings.Repeat("x", 76) + "\r\n"
	for _, lines := range []int{100, 839, 840, 841, 5000} {
		msg := strings.Repeat(line, lines) + ".\r\n"
		if got, _ := encode(msg, 1<<30); got != strings.Repeat(line, lines)+"..\r\n.\r\n" {
			t.Errorf("%d lines differ", lines)
		}
	}
}

// The last write holds the end of the message and little else, so that doubt
// begins late; and it is not a write of its own for a small message.
func TestOnlyTheLastOctetsWaitForTheEnd(t *testing.T) {
	for _, size := range []int{1, 1000, 8 << 10, 16 << 10, 20 << 10, 60 << 10, 64 << 10, 65 << 10, 1 << 20} {
		b, out := newBody(MaxMessage)
		for sent := 0; sent < size; sent += 50 {
			b.Write([]byte(strings.Repeat("y", 48) + "\r\n"))
		}
		b.end()
		last := b.conn.buf
		if len(last) > lastWrite+3 || size <= lastWrite && len(last) < size || !bytes.HasSuffix(last, []byte("\r\n.\r\n")) {
			t.Errorf("size %d: the last write has %d octets", size, len(last))
		}
		if strings.Contains(out.String(), "\n.\r\n") {
			t.Errorf("size %d: the end went out early", size)
		}
	}
}

func TestALargeMessageGoesOutInChunks(t *testing.T) {
	b, out := newBody(MaxMessage)
	msg := bytes.Repeat([]byte(strings.Repeat("x", 76)+"\r\n"), 10<<20/78)
	b.Write(msg)
	b.finish()
	if want := len(msg)/(chunk-1000) + 3; out.writes > want || out.Len() != len(msg)+3 || cap(b.conn.buf) > chunk*5/4 {
		t.Errorf("%d writes of %d octets through a buffer of %d, want %d", out.writes, out.Len(), cap(b.conn.buf), want)
	}
}

func TestLinesAreMeasuredOnBothSidesOfTheLimit(t *testing.T) {
	for _, end := range []string{"\r\n", "\n", "\r", ""} {
		for _, n := range []int{1, 7, 64 << 10} {
			if _, b := encode("Subject: x"+"\r\n"+strings.Repeat("a", 998)+end, n); b.err != nil {
				t.Errorf("998 octets and %q in writes of %d: %v", end, n, b.err)
			}
			_, b := encode("Subject: x"+"\r\n"+strings.Repeat("a", 999)+end, n)
			if e := b.refused; e == nil || e.Class != seserrors.Invalid || e.Reason != seserrors.InvalidParameter || !strings.Contains(e.Message, "line 2") {
				t.Errorf("%v does not name the line", e)
			}
		}
	}
}

func TestTheSizeIsMeasuredOnBothSidesOfTheLimit(t *testing.T) {
	for _, row := range []struct {
		msg  string
		fits bool
	}{
		{"12345678\r\n", true}, {"12345678\r\n1", false}, {"123456789\r\n", false},
		{".2345678\r\n", true}, {".\r\n.\r\n\r\n\r\n", true}, // stuffed dots do not count
		{"1234567\n", true}, {"12345678\n", true}, {"123456789\n", false}, {"1\n2\n3\n4\n", false}, // a bare LF counts as CRLF
		{"12345678", true}, {"123456789", false}, {"12345678\r", true}, // so does the end that is missing
	} {
		b, _ := newBody(10)
		b.Write([]byte(row.msg))
		b.end()
		if row.fits != (b.err == nil) {
			t.Errorf("%q: %v", row.msg, b.err)
		}
		if !row.fits && (b.refused == nil || b.refused.Class != seserrors.Invalid || b.refused.Reason != seserrors.MessageTooLong) {
			t.Errorf("%q: %v", row.msg, b.refused)
		}
	}
}

func TestABodyIsDeadAfterWriteToHasReturned(t *testing.T) {
	b, out := newBody(MaxMessage)
	b.fill(strings.NewReader("x\r\n"))
	if _, err := b.Write([]byte("late")); !errors.Is(err, errSealed) {
		t.Error(err)
	}
	if b.finish(); out.String() != "x\r\n.\r\n" {
		t.Errorf("%q", out)
	}
}

// A search that is not bounded would make this take minutes.
func TestALongTextOfBareCRsTakesNoMoreTimeThanAnyOther(t *testing.T) {
	const n = 1 << 20
	if got, b := encode(strings.Repeat("\r", n), n); b.err != nil || len(got) != 2*n+3 {
		t.Errorf("%d octets, %v", len(got), b.err)
	}
}

// All texts of up to seven octets, so that every guess about a line end goes wrong
// somewhere.
func TestBodyOfEveryShortText(t *testing.T) {
	var check func(msg string)
	check = func(msg string) {
		want := strings.ReplaceAll("\n"+strings.ReplaceAll(normalise(msg), "\r\n", "\n"), "\n.", "\n..")
		want = strings.ReplaceAll(want[1:], "\n", "\r\n") + ".\r\n"
		for _, n := range []int{4, len(msg) + 1} {
			if got, _ := encode(msg, n); got != want {
				t.Fatalf("%q in writes of %d: got %q, want %q", msg, n, got, want)
			}
		}
		if len(msg) < 7 {
			for _, c := range []string{"a", ".", "\r", "\n"} {
				check(msg + c)
			}
		}
	}
	check("")
}

// FuzzDotStuff reads back what a body writes as a strict server would.
func FuzzDotStuff(f *testing.F) {
	for _, seed := range []string{"", ".", "..", "a\r\n.b", "\n.\n", "\r.\r", "\r\n.\r\n", "a\rb\nc\r\nd\n\re", "x\r\r\n.\r"} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, msg []byte, n uint8) {
		got, b := encode(string(msg), int(n)+1)
		if b.err != nil {
			return // a long line
		}
		wire, ok := strings.CutSuffix(got, ".\r\n")
		if !ok || (wire != "" && !strings.HasSuffix(wire, "\r\n")) {
			t.Fatalf("%q does not end a message", got)
		}
		var plain strings.Builder
		for line := range strings.SplitAfterSeq(wire, "\r\n") {
			if line == ".\r\n" {
				t.Fatalf("%q ends early", got)
			}
			if strings.ContainsAny(strings.TrimSuffix(line, "\r\n"), "\r\n") {
				t.Fatalf("%q holds a bare CR or LF", got)
			}
			plain.WriteString(strings.TrimPrefix(line, "."))
		}
		if want := normalise(string(msg)); plain.String() != want {
			t.Fatalf("%q became %q, want %q", msg, plain.String(), want)
		}
	})
}

// normalise is the plain way to do it.
func normalise(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return strings.ReplaceAll(s, "\n", "\r\n")
}
