package conn

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const secret = "BPasswordThatMustNeverBeSeen0123456789abcdef"

func parse(in string) (*replyReader, *bufio.Reader, error) {
	var r replyReader
	br := bufio.NewReader(strings.NewReader(in))
	err := r.read(br)
	return &r, br, err
}

func TestReplies(t *testing.T) {
	for _, row := range []struct {
		name, in string
		code     int
		text     string
		err      error
	}{
		{"plain", "250 Ok\r\n", 250, "Ok", nil},
		{"bare code", "250\r\n", 250, "", nil},
		{"code and space", "250 \r\n", 250, "", nil},
		{"bare LF", "250 Ok\n", 250, "Ok", nil},
		{"many lines", "250-a\r\n250-b\r\n250 c\r\n", 250, "a\nb\nc", nil},
		{"many lines, the last bare", "250-a\r\n250\r\n", 250, "a\n", nil},
		{"mixed codes", "250-a\r\n550 b\r\n", 250, "a", errReplyMix},
		{"end of the stream", "250 Ok", 0, "", io.EOF},
		{"end within", "250-a\r\n", 250, "a", io.EOF},
		{"two digits", "25 Ok\r\n", 0, "", errReply},
		{"four digits", "2500 Ok\r\n", 0, "", errReply},
		{"no code", "Ok\r\n", 0, "", errReply},
		{"empty line", "\r\n", 0, "", errReply},
		{"code from 6", "650 no\r\n", 0, "", errReply},
		{"code with a letter", "25a Ok\r\n", 0, "", errReply},
		{"wrong mark", "250+Ok\r\n", 0, "", errReply},
		{"longest line", "250 " + strings.Repeat("x", 4090) + "\r\n", 250, strings.Repeat("x", 4090), nil},
		{"line too long", "250 " + strings.Repeat("x", 4091) + "\r\n", 0, "", errReplyLong},
		{"reply too long", strings.Repeat("250-"+strings.Repeat("x", 1000)+"\r\n", 17) + "250 Ok\r\n", 0, "", errReplyLong},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, _, err := parse(row.in)
			if !errors.Is(err, row.err) {
				t.Fatalf("error %v, want %v", err, row.err)
			}
			if err == nil && (r.code != row.code || string(r.text) != row.text) {
				t.Errorf("got %d %q, want %d %q", r.code, r.text, row.code, row.text)
			}
		})
	}
}

func TestAReplyIsReadOctetByOctetAndAfterInterruptions(t *testing.T) {
	const in = "250-first\r\n250-second\r\n250 third\r\n"
	for cut := range len(in) {
		var r replyReader
		br := bufio.NewReader(iotest.OneByteReader(&pausing{s: in, at: cut}))
		err := r.read(br)
		for errors.Is(err, iotest.ErrTimeout) {
			err = r.resume(br)
		}
		if err != nil || string(r.text) != "first\nsecond\nthird" {
			t.Fatalf("interrupted at %d: %q, %v", cut, r.text, err)
		}
	}
}

// pausing times out once, at an octet.
type pausing struct {
	s    string
	i    int
	at   int
	done bool
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.i == p.at && !p.done {
		p.done = true
		return 0, iotest.ErrTimeout
	}
	if p.i == len(p.s) {
		return 0, io.EOF
	}
	b[0] = p.s[p.i]
	p.i++
	return 1, nil
}

func TestSecretsAndControlCharactersDoNotComeBack(t *testing.T) {
	hide := newSecrets("user", secret)
	for _, said := range []string{secret, "bad " + secret + "!", hide[0], "x" + hide[1]} {
		got := hide.clean(said)
		for _, s := range hide {
			if strings.Contains(got, s) {
				t.Errorf("%q holds a secret", got)
			}
		}
	}
	if got := hide.clean("a\x1b[2Jb\x00\u0085c\r\nd"); got != "a?[2Jb??c?\nd" {
		t.Errorf("%q", got)
	}
	if got := hide.clean(strings.Repeat("x", 1<<20)); len(got) > maxText+3 {
		t.Errorf("%d octets are kept", len(got))
	}
}

// FuzzReply checks that no reply panics, allocates without bound, or is read
// differently when it comes in pieces; and that what is read is what was there.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{"250 Ok\r\n", "250\r\n", "250-a\r\n250 b\r\n", "250-a\r\n251 b\r\n", "x", "999 \r\n", "250-\n250-\n250 \n", "250 a\r\r\n", "\x00\x01\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, br, err := parse(string(in))
		var p replyReader
		perr := p.read(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(in))))
		if (err == nil) != (perr == nil) || (err == nil && (r.code != p.code || !bytes.Equal(r.text, p.text))) {
			t.Fatalf("whole: %d %q %v, in pieces: %d %q %v", r.code, r.text, err, p.code, p.text, perr)
		}
		if cap(r.text) > 2*maxReply {
			t.Fatalf("kept %d octets", cap(r.text))
		}
		if err != nil {
			return
		}
		if r.code < 100 || r.code > 599 {
			t.Fatalf("code %d", r.code)
		}
		for line := range strings.SplitSeq(string(r.text), "\n") {
			if !bytes.Contains(in, []byte(line)) {
				t.Fatalf("%q was not said", line)
			}
		}
		if e := r.refusal("smtp MAIL", nil); e.MaybeAccepted || e.Code != r.code {
			t.Fatalf("%+v", e)
		}
		_ = br
		_ = seserrors.Classify(r.refusal("smtp MAIL", nil))
	})
}
