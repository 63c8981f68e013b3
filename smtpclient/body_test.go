package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// collector keeps what a body writes.
type collector struct{ bytes.Buffer }

func (c *collector) flush(_ context.Context, p []byte) error {
	c.Write(p)
	return nil
}

// encode sends msg through a body in writes of at most n octets.
func encode(msg string, n int) (string, *body) {
	var out collector
	b := newBody(context.Background(), &out, maxMessage, false)
	for rest := []byte(msg); len(rest) > 0; {
		k := min(n, len(rest))
		b.write(rest[:k])
		rest = rest[k:]
	}
	out.Write(b.end())
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
// begins late.
func TestOnlyTheLastOctetsWaitForTheEnd(t *testing.T) {
	for _, size := range []int{1, 1000, 16 << 10, 20 << 10, 60 << 10, 64 << 10, 65 << 10, 1 << 20} {
		var out collector
		b := newBody(context.Background(), &out, maxMessage, false)
		for sent := 0; sent < size; sent += 50 {
			b.write([]byte(strings.Repeat("y", 48) + "\r\n"))
		}
		last := b.end()
		if len(last) > lastWrite+3 || !bytes.HasSuffix(last, []byte(".\r\n")) {
			t.Errorf("size %d: the last write has %d octets", size, len(last))
		}
		if strings.Contains(out.String(), "\n.\r\n") {
			t.Errorf("size %d: the end went out early", size)
		}
	}
}

// Each write wakes the server, so there should be few, and the end of the
// message should not need one of its own.
func TestALargeMessageTakesFewWrites(t *testing.T) {
	for _, row := range []struct{ size, writes int }{{2 << 10, 0}, {16 << 10, 0}, {65 << 10, 1}, {100 << 10, 1}, {512 << 10, 1}, {10 << 20, 3}} {
		var out counter
		b := newBody(context.Background(), &out, maxMessage, false)
		msg := bytes.Repeat([]byte(strings.Repeat("abcdefghi ", 7)+"abcd\r\n"), row.size/76)
		b.write(msg)
		last := b.end()
		if out.writes != row.writes || out.octets+len(last) != len(msg)+len(".\r\n") || len(last) > lastWrite+3 {
			t.Errorf("%d octets: %d writes, want %d, and %d octets for the last", row.size, out.writes, row.writes, len(last))
		}
	}
}

// counter counts what a body writes.
type counter struct{ writes, octets int }

func (c *counter) flush(_ context.Context, p []byte) error {
	c.writes++
	c.octets += len(p)
	return nil
}

func TestLinesAreMeasuredOnBothSidesOfTheLimit(t *testing.T) {
	for _, end := range []string{"\r\n", "\n", "\r", ""} {
		for _, n := range []int{1, 7, 64 << 10} {
			if _, b := encode("Subject: x"+"\r\n"+strings.Repeat("a", 998)+end, n); b.err != nil {
				t.Errorf("998 octets and %q in writes of %d: %v", end, n, b.err)
			}
			_, b := encode("Subject: x"+"\r\n"+strings.Repeat("a", 999)+end, n)
			e := want(t, b.err, seserrors.Invalid, seserrors.InvalidParameter, false)
			if !strings.Contains(e.Message, "line 2") {
				t.Errorf("%v does not name the line", e)
			}
		}
	}
}

func TestTheSizeIsMeasuredOnBothSidesOfTheLimit(t *testing.T) {
	var out collector
	b := newBody(context.Background(), &out, 10, false)
	if b.write([]byte("12345678\r\n")); b.err != nil {
		t.Error(b.err)
	}
	b.write([]byte("1"))
	want(t, b.err, seserrors.Invalid, seserrors.MessageTooLong, false)
}

func TestASinkIsDeadAfterWriteToHasReturned(t *testing.T) {
	var out collector
	w := &sink{b: newBody(context.Background(), &out, maxMessage, false)}
	w.seal()
	if _, err := w.Write([]byte("x")); !errors.Is(err, errSealed) {
		t.Error(err)
	}
	if _, err := io.WriteString(w, "x"); !errors.Is(err, errSealed) {
		t.Error(err)
	}
}

// All texts of up to eight octets, so that every guess about a line end goes wrong
// somewhere.
func TestBodyOfEveryShortText(t *testing.T) {
	var check func(msg string)
	check = func(msg string) {
		want := strings.ReplaceAll("\n"+strings.ReplaceAll(normalise(msg), "\r\n", "\n"), "\n.", "\n..")
		want = strings.ReplaceAll(want[1:], "\n", "\r\n") + ".\r\n"
		for _, n := range []int{4, len(msg) + 1} {
			got, b := encode(msg, n)
			if b.free(); got != want {
				t.Fatalf("%q in writes of %d: got %q, want %q", msg, n, got, want)
			}
		}
		if len(msg) < 8 {
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
		defer b.free()
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

// The buffer goes to the next message, so a bad one must not leave it larger.
func TestABadMessageLeavesABufferOfTheUsualSize(t *testing.T) {
	var out collector
	b := newBody(context.Background(), &out, maxMessage, false)
	b.write([]byte(strings.Repeat("line\r\n", chunk) + strings.Repeat("x", 999)))
	want(t, b.err, seserrors.Invalid, seserrors.InvalidParameter, false)
	if cap(b.buf) > chunk+16 {
		t.Errorf("%d octets", cap(b.buf))
	}
}
