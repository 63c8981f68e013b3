package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const (
	// chunk is how much is gathered before it is written: large enough that a
	// system call costs nothing beside it, small enough for a cache.
	chunk = 64<<10 - 16

	// direct is how much of a large write of the message goes out at once,
	// without passing through the buffer. The search for line ends comes before
	// each such piece, and a server that is as fast as this goes to sleep
	// meanwhile: few searches cost less than what a cache would save.
	direct = 4 << 20

	// tail is how much of the end of a large write passes through the buffer all
	// the same: it may be the end of the message, which then needs no write of
	// its own.
	tail = 8 << 10

	// lastWrite bounds the write that carries the end of the message. Doubt
	// begins with that write, so it should be done with at once.
	lastWrite = 16 << 10

	// maxLine is the longest line without its CRLF (RFC 5321, section
	// 4.5.3.1.6; the same limit is in "Sending raw email using the Amazon SES
	// API").
	maxLine = 998

	// maxMessage is SES's limit after encoding ("Service quotas in Amazon SES",
	// message quotas: 40 MB).
	maxMessage = 40 << 20
)

var errSealed = errors.New("smtpclient: write after WriteTo returned")

// A body turns what a message writes into the form it has after DATA: every
// line ended by CRLF, also where a bare CR or LF stood (a server that takes one
// for an end of line could be made to see a second message), and a dot before
// every line that starts with one (RFC 5321, section 4.5.2).
type body struct {
	ctx     context.Context // of the one Send that the body belongs to
	out     flusher
	buf     []byte // room for chunk octets and the end
	tmp     []byte // for WriteString
	n       int64  // octets of the message so far, without stuffed dots
	max     int64
	line    int  // octets in the current line
	lines   int  // whole lines so far
	cr      bool // a CR came that is not written yet: is there an LF behind it?
	ascii   bool // the server takes no octet over 0x7f
	last    bool // the part of a write that is being taken in is its last
	rough   bool // the part has bare CRs or LFs: look closely at all of it
	err     error
	refused *seserrors.Error // err, if it is about the message itself
}

type flusher interface {
	flush(ctx context.Context, p []byte) error
}

var bodies = sync.Pool{New: func() any {
	return &body{buf: make([]byte, 0, chunk+16)}
}}

func newBody(ctx context.Context, out flusher, max int64, ascii bool) *body {
	b := bodies.Get().(*body)
	*b = body{ctx: ctx, out: out, buf: b.buf[:0], tmp: b.tmp, max: max, ascii: ascii}
	return b
}

func (b *body) free() {
	b.ctx, b.out, b.err, b.refused = nil, nil, nil, nil
	bodies.Put(b)
}

// write takes p in. The first error stays.
func (b *body) write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && b.err == nil {
		part := piece(p)
		rest := p[len(part):]
		b.last, b.rough = len(part) == len(p), false
		b.check(part)
		for len(part) > 0 && b.err == nil {
			part = part[b.step(part):]
		}
		p = rest
	}
	if b.err != nil {
		return total - len(p), b.err
	}
	return total, nil
}

// piece is what is taken in of p at one time. A large one ends with a line, or
// the beginning of the next would be written alone.
func piece(p []byte) []byte {
	if len(p) <= direct {
		return p
	}
	if lf := bytes.LastIndexByte(p[:direct], '\n'); lf >= 0 {
		return p[:lf+1]
	}
	return p[:direct]
}

// step takes in some octets of p and returns how many.
func (b *body) step(p []byte) int {
	if b.cr {
		b.cr = false
		b.newline()
		if p[0] == '\n' {
			return 1
		}
	}
	if b.line == 0 && p[0] == '.' {
		b.put('.')
	}
	n := b.clean(p)
	b.append(p[:n])
	if n == len(p) || b.err != nil {
		return n
	}
	switch p[n] {
	case '\r': // bare, or the last octet of p
		b.cr = true
	case '\n': // bare
		b.newline()
	default: // a dot at the start of a line: for the next step
		return n
	}
	return n + 1
}

// clean returns how many octets of p can be sent as they are: up to a bare CR
// or LF, a CR at the end of p, or a line that needs a dot. It keeps count of
// the lines.
//
// Nearly all lines end in CRLF and hold no other CR or LF, and most are as long
// as the one before. So the end of a line is looked for where it would be then,
// or else searched, and that there are as many CRs and LFs as lines proves the
// rest: counting is many times faster than searching.
func (b *body) clean(p []byte) int {
	if b.rough {
		return b.careful(p)
	}
	i, lines, used, size := 0, 0, b.line, 0
	for i < len(p) && (i == 0 || p[i] != '.') {
		end := i + size
		if end >= len(p) || p[end] != '\n' {
			size = bytes.IndexByte(p[i:], '\n')
			end = i + size
		}
		if size < 1 || p[end-1] != '\r' || used+size-1 > maxLine {
			break
		}
		i, lines, used = end+1, lines+1, 0
	}
	if lines == 0 || bytes.Count(p[:i], crlf[:1]) != lines || bytes.Count(p[:i], crlf[1:]) != lines {
		b.rough = true
		return b.careful(p)
	}
	b.lines, b.line = b.lines+lines, 0
	if i == len(p) || p[i] == '.' {
		return i
	}
	return i + b.careful(p[i:])
}

// careful is clean for any p.
func (b *body) careful(p []byte) int {
	i := 0
	for {
		lf := bytes.IndexByte(p[i:], '\n')
		if lf < 0 {
			return i + b.unended(p[i:])
		}
		line := p[i : i+lf]
		if cr := bytes.IndexByte(line, '\r'); cr < 0 || cr != lf-1 {
			return i + b.bare(line, cr)
		}
		if !b.endLine(lf - 1) {
			return i
		}
		i += lf + 1
		if i == len(p) || p[i] == '.' {
			return i
		}
	}
}

// unended is the rest of a part, which has no LF.
func (b *body) unended(p []byte) int {
	n := bytes.IndexByte(p, '\r')
	if n < 0 {
		n = len(p)
	}
	b.grow(n)
	return n
}

// bare is a line that ends in a bare LF or holds a bare CR.
func (b *body) bare(line []byte, cr int) int {
	n := cr
	if cr < 0 {
		n = len(line)
	}
	b.grow(n)
	return n
}

// grow counts octets into the current line.
func (b *body) grow(n int) {
	b.line += n
	if b.line > maxLine {
		b.tooLongLine()
	}
}

// endLine ends the current line after n more octets.
func (b *body) endLine(n int) bool {
	b.grow(n)
	b.line = 0
	b.lines++
	return b.err == nil
}

// newline ends a line whose end did not come as CRLF.
func (b *body) newline() {
	b.endLine(0)
	b.append(crlf)
}

var crlf = []byte("\r\n")

// check looks at a part of the message as it came.
func (b *body) check(p []byte) {
	b.n += int64(len(p))
	switch {
	case b.n > b.max:
		b.refuse(seserrors.MessageTooLong, "message is longer than "+strconv.FormatInt(b.max, 10)+" octets")
	case b.ascii && !isASCII(p):
		b.refuse(seserrors.InvalidParameter, "message holds octets over 0x7f and the server does not offer 8BITMIME: encode it as quoted-printable or base64")
	}
}

func isASCII(p []byte) bool {
	for _, c := range p {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func (b *body) tooLongLine() {
	b.refuse(seserrors.InvalidParameter, "line "+strconv.Itoa(b.lines+1)+
		" of the message is longer than 998 octets: encode the part as quoted-printable or base64")
}

func (b *body) refuse(reason seserrors.Reason, message string) {
	if b.err == nil {
		b.refused = invalid("smtp DATA", reason, message)
		b.err = b.refused
	}
}

func (b *body) put(c byte) {
	b.room(1)
	b.buf = append(b.buf, c)
}

// append takes octets that need no change. A whole chunk does not pass through
// the buffer, but for its tail.
func (b *body) append(p []byte) {
	if b.err != nil {
		return // or the buffer would grow, and be kept
	}
	if len(p) >= chunk {
		keep := 0
		if b.last {
			keep = tail
		}
		b.flush()
		if b.err == nil {
			b.err = b.out.flush(b.ctx, p[:len(p)-keep])
		}
		p = p[len(p)-keep:]
	}
	b.room(len(p))
	b.buf = append(b.buf, p...)
}

// room makes room for n octets, at most a chunk.
func (b *body) room(n int) {
	if len(b.buf)+n > chunk {
		b.flush()
	}
}

func (b *body) flush() {
	if len(b.buf) > 0 && b.err == nil {
		b.err = b.out.flush(b.ctx, b.buf)
	}
	b.buf = b.buf[:0]
}

// end returns the last octets of the message and its end, CRLF.CRLF. It does
// not write them: that is what puts the message in doubt.
func (b *body) end() []byte {
	if b.cr || b.line > 0 {
		b.cr = false
		b.newline()
	}
	if len(b.buf) > lastWrite {
		b.flush()
	}
	b.buf = append(b.buf, ".\r\n"...)
	return b.buf
}

// A sink is the writer that a message gets. It is dead when WriteTo has
// returned: a writer that a message has kept cannot reach the next message.
type sink struct {
	mu sync.Mutex // only ever contended by a message that breaks the rules
	b  *body
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b == nil {
		return 0, errSealed
	}
	return s.b.write(p)
}

// WriteString spares strings.Reader and io.WriteString a copy of the whole.
func (s *sink) WriteString(p string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b == nil {
		return 0, errSealed
	}
	return s.b.writeString(p)
}

func (b *body) writeString(p string) (int, error) {
	if b.tmp == nil {
		b.tmp = make([]byte, 4096)
	}
	done := 0
	for done < len(p) {
		n, err := b.write(b.tmp[:copy(b.tmp, p[done:])])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (s *sink) seal() {
	s.mu.Lock()
	s.b = nil
	s.mu.Unlock()
}
