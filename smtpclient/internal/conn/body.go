package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"sync"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const (
	// MaxMessage is SES's limit after encoding ("Service quotas in Amazon SES",
	// message quotas: 40 MB).
	MaxMessage = 40 << 20

	// chunk is how much is gathered before it is written: four TLS records,
	// beside which a system call costs nothing.
	chunk = 64 << 10

	// smallBuffer is enough for most mails; beyond it a connection has a buffer
	// of a whole chunk.
	smallBuffer = 16 << 10

	// lastWrite bounds the write that carries the end of the message. Doubt
	// begins with that write, so it should be done with at once.
	lastWrite = 8 << 10

	// maxLine is the longest line without its CRLF (RFC 5321, section
	// 4.5.3.1.6; the same limit is in "Sending raw email using the Amazon SES
	// API").
	maxLine = 998
)

var errSealed = errors.New("smtpclient: write after WriteTo returned")

// A body is the writer that a message gets. It turns what is written into the
// form that a message has after DATA: every line ended by CRLF, also where a
// bare CR or LF stood (a server that takes one for an end of line could be made
// to see a second message), and a dot before every line that starts with one
// (RFC 5321, section 4.5.2). Its first error stays.
type body struct {
	ctx  context.Context // of the one Send that the body belongs to
	conn *Conn

	mu     sync.Mutex // only ever contended by a message that breaks the rules
	sealed bool       // the message was read: a writer that was kept is dead

	n       int64 // octets on the line without stuffed dots, as SIZE counts them (RFC 1870, section 5)
	line    int   // octets in the current line
	lines   int   // whole lines so far
	cr      bool  // the last octet was a CR: is there an LF behind it?
	err     error
	refused *seserrors.Error // err, if it is about the message itself
}

// fill lets the message write itself.
func (b *body) fill(msg io.WriterTo) error {
	defer func() {
		b.mu.Lock()
		b.sealed = true
		b.mu.Unlock()
	}()
	_, err := msg.WriteTo(b)
	return err
}

func (b *body) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		return 0, errSealed
	}
	done := 0
	for done < len(p) && b.err == nil {
		done += b.step(p[done:])
	}
	return done, b.err
}

// step takes in at most a line and returns how many octets that is.
func (b *body) step(p []byte) int {
	if b.cr {
		b.cr = false
		b.newline()
		if p[0] == '\n' {
			return 1
		}
	}
	p = p[:min(len(p), maxLine+2)]
	lf := bytes.IndexByte(p, '\n')
	if lf > 0 && p[lf-1] == '\r' && bytes.IndexByte(p[:lf-1], '\r') < 0 { // as it should be
		b.text(p[:lf+1], lf-1)
		b.line, b.lines = 0, b.lines+1
		return lf + 1
	}
	if lf < 0 {
		lf = len(p)
	}
	if cr := bytes.IndexByte(p[:lf], '\r'); cr >= 0 { // bare, or the last octet of p
		b.text(p[:cr], cr)
		b.cr = true
		return cr + 1
	}
	b.text(p[:lf], lf)
	if lf == len(p) {
		return lf
	}
	b.newline() // a bare LF
	return lf + 1
}

// text takes in a part of a line, of which the first n octets are text and the
// rest, if any, its end.
func (b *body) text(p []byte, n int) {
	if b.line == 0 && n > 0 && p[0] == '.' {
		b.put(p[:1])
	}
	b.line += n
	b.n += int64(len(p))
	switch {
	case b.n > b.conn.maxSize:
		b.tooLong()
	case b.line > maxLine:
		b.refuse(seserrors.InvalidParameter, "line "+strconv.Itoa(b.lines+1)+
			" of the message is longer than 998 octets: encode the part as quoted-printable or base64")
	case !b.conn.eightBit && !isASCII(p):
		b.refuse(seserrors.InvalidParameter, "message holds octets over 0x7f and the server does not offer 8BITMIME: encode it as quoted-printable or base64")
	}
	b.put(p)
}

var crlf = []byte("\r\n")

// newline ends a line whose end did not come as CRLF.
func (b *body) newline() {
	b.line, b.lines = 0, b.lines+1
	if b.n += int64(len(crlf)); b.n > b.conn.maxSize {
		b.tooLong()
	}
	b.put(crlf)
}

func (b *body) tooLong() {
	b.refuse(seserrors.MessageTooLong, "message is longer than "+strconv.FormatInt(b.conn.maxSize, 10)+" octets")
}

// put takes octets, fewer than a chunk, as they are on the line.
func (b *body) put(p []byte) {
	if b.err != nil {
		return
	}
	c := b.conn
	if len(c.buf)+len(p) > chunk {
		b.flush(len(c.buf))
	}
	if len(c.buf)+len(p) > smallBuffer && cap(c.buf) < chunk { // at once, not by doubling
		c.buf = append(make([]byte, 0, chunk), c.buf...)
	}
	c.buf = append(c.buf, p...)
}

// flush writes the first n octets of the buffer. Each write has the time of a
// chunk, so a line may be as slow as it likes if only it moves.
func (b *body) flush(n int) {
	c := b.conn
	if b.err == nil {
		c.deadline(b.ctx, chunkTimeout)
		_, b.err = c.rw.Write(c.buf[:n])
	}
	c.buf = c.buf[:copy(c.buf, c.buf[n:])]
}

// end puts the end of the message into the buffer and leaves it there, with the
// octets before it: to write them is what puts the message in doubt.
func (b *body) end() {
	if b.cr || b.line > 0 {
		b.cr = false
		b.newline()
	}
	if n := len(b.conn.buf) - lastWrite; n > 0 {
		b.flush(n)
	}
	b.conn.buf = append(b.conn.buf, ".\r\n"...)
}

func (b *body) refuse(reason seserrors.Reason, message string) {
	if b.err == nil {
		b.refused = invalid(reason, message)
		b.err = b.refused
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
