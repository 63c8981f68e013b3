// Package conn is one connection that speaks SMTP: it dials, encrypts, signs in,
// carries one transaction after the other in lock step, and ends. When to open
// one, to use it again and to give it up is the business of package smtpclient,
// whose package doc holds the table of what may be said of a message when.
//
// There is one loop: set a deadline, write, read. Nothing is held back, and
// nothing is sent before the answer to what came before.
package conn

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const (
	// firstAnswer bounds the answer to the first command on a connection that
	// was idle: a line that died silently shows in no other way.
	firstAnswer = 10 * time.Second
	// goodbye bounds QUIT, and afterClose the server's own closing after it.
	goodbye    = time.Second
	afterClose = 100 * time.Millisecond
	// glance is how long a connection without a descriptor is read for octets
	// that should not be there.
	glance = 100 * time.Microsecond
)

// past is a deadline that has gone by, whatever the clock says.
var past = time.Unix(1, 0)

// A TLS says how a connection is encrypted.
type TLS uint8

const (
	STARTTLS      TLS = iota // begin in clear text, upgrade or give up
	Wrapper                  // speak TLS from the first octet
	Opportunistic            // upgrade where STARTTLS is offered
	None                     // clear text
)

// A Config says how to open connections. Its fields are complete: there are no
// defaults, and 0 is no limit.
type Config struct {
	Addr           string // host:port
	TLS            TLS
	TLSConfig      *tls.Config
	LocalName      string // for EHLO
	Dial           func(ctx context.Context, network, addr string) (net.Conn, error)
	CommandTimeout time.Duration // for each answer
	DataTimeout    time.Duration // for the answer to the message
}

// A Mail is what one transaction sends. Body.WriteTo is called at most once,
// when the server is ready for it, and the writer that it gets is dead when it
// has returned.
type Mail struct {
	From string
	To   []string
	Body io.WriterTo
}

// A Reply is the answer by which the server accepted a message.
type Reply struct {
	Code int
	Text string // lines joined by \n
}

// A Failure is a transaction that did not succeed.
type Failure struct {
	Err *seserrors.Error
	// Redial reports that the connection was idle before and turned out to be
	// dead before the first octet of the message: a new one may try again.
	Redial bool
}

// A Closing says why a connection ends. Zero: it does not.
type Closing uint8

const (
	_              Closing = iota
	ClosedMessages         // carried enough messages
	ClosedLifetime         // lived long enough
	ClosedIdle             // was idle long enough
	ClosedServer           // 421, or SES's words for it
	ClosedStale            // found closed, or talking out of turn, when it was taken
	ClosedReset            // RSET refused, or a transaction that would not end
	ClosedFailed           // read or write error, or a reply that is no SMTP
	ClosedCut              // on purpose: context, message or doubt
	ClosedShutdown         // the client ends
	Closings               // how many reasons there are
)

// String is the word for the log.
func (c Closing) String() string {
	return [Closings]string{"", "messages", "lifetime", "idle", "server", "stale", "reset", "failed", "cut", "shutdown"}[c]
}

// Orderly reports whether QUIT may be said: nothing is half sent and the server
// is still there.
func (c Closing) Orderly() bool {
	switch c {
	case ClosedMessages, ClosedLifetime, ClosedIdle, ClosedReset, ClosedShutdown:
		return true
	}
	return false
}

// A Conn is a connection that is signed in and ready for messages. One
// goroutine uses it at a time; only Cut may come from any.
type Conn struct {
	cfg   *Config
	raw   net.Conn        // as it was dialled
	tls   *tls.Conn       // over raw; nil: none
	rw    net.Conn        // tls, or raw
	r     *bufio.Reader   // reads rw
	sys   syscall.RawConn // raw's descriptor; nil: it has none
	timed bool            // raw has deadlines
	timer *time.Timer     // in their place where it has none

	hide     secrets
	ext      map[string]string // extensions and their parameters
	eightBit bool
	maxSize  int64
	reply    replyReader
	buf      []byte // on its way out; only this package has seen it

	used   bool        // was idle since it was opened
	idle   bool        // and nothing was sent since
	dirty  bool        // the server may hold a transaction: RSET comes first
	mails  int         // MAIL commands
	broken Closing     // why it cannot be used any more; 0: it can
	cut    atomic.Bool // by Cut
}

func newConn(cfg *Config, raw net.Conn, l Login) *Conn {
	c := &Conn{cfg: cfg, raw: raw, rw: raw, r: bufio.NewReader(raw), hide: newSecrets(l.Username, l.Password)}
	c.timed = raw.SetDeadline(time.Time{}) == nil
	if sc, ok := raw.(syscall.Conn); ok && canPeek {
		if sys, err := sc.SyscallConn(); err == nil {
			c.sys = sys
		}
	}
	return c
}

// Mails returns the number of MAIL commands, refused ones included.
func (c *Conn) Mails() int { return c.mails }

// Broken returns why the connection cannot be used any more, or 0.
func (c *Conn) Broken() Closing { return c.broken }

// Idle says that the connection will be idle now, and returns why it must not
// be used again, or 0. The next command will look whether it is still alive.
func (c *Conn) Idle() Closing {
	if c.r.Buffered() > 0 {
		c.spoil(ClosedStale)
	}
	if c.timer != nil && !c.timer.Stop() {
		c.spoil(ClosedFailed)
	}
	c.timer = nil
	c.used, c.idle = true, true
	return c.broken
}

// Close ends the connection, with QUIT if all is in order and the goodbye is
// quick. It returns the reason, which is the first that was found, and whether
// a QUIT that was said was answered.
func (c *Conn) Close(why Closing) (reason Closing, ok bool) {
	c.spoil(why)
	ok = true
	switch {
	case c.cut.Load():
		c.broken = ClosedShutdown
	case c.broken.Orderly():
		ok = c.quit()
	}
	c.raw.Close()
	return c.broken, ok
}

func (c *Conn) quit() (ok bool) {
	c.limit(goodbye)
	defer c.limit(0)
	if _, err := io.WriteString(c.rw, "QUIT\r\n"); err != nil || c.reply.read(c.r) != nil {
		return false
	}
	c.limit(afterClose)
	c.r.ReadByte() // the end: now the server does not count the connection any more
	return true
}

// Cut ends the connection at once, whatever it is doing. What is under way
// fails with ErrClosed.
func (c *Conn) Cut() {
	c.cut.Store(true)
	c.reset()
}

// reset ends the TCP connection without an orderly end: the server must not
// take what it has so far for a whole message. Closing TLS would look like one.
func (c *Conn) reset() {
	for under := c.raw; ; {
		if l, ok := under.(interface{ SetLinger(sec int) error }); ok {
			l.SetLinger(0)
			break
		}
		over, ok := under.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		under = over.NetConn()
	}
	c.raw.Close()
}

// spoil marks the connection as useless. The first reason stays.
func (c *Conn) spoil(why Closing) {
	if c.broken == 0 {
		c.broken = why
	}
}

func (c *Conn) giveUp(why Closing) {
	c.spoil(why)
	c.reset()
}

// limit bounds what is read and written next; 0 is no bound.
func (c *Conn) limit(d time.Duration) {
	switch {
	case c.timed && d > 0:
		c.raw.SetDeadline(time.Now().Add(d))
	case c.timed:
		c.raw.SetDeadline(time.Time{})
	case d > 0 && c.timer == nil:
		c.timer = time.AfterFunc(d, c.reset)
	case d > 0:
		c.timer.Reset(d)
	case c.timer != nil:
		c.timer.Stop()
		c.timer = nil
	}
}

// deadline is limit for as long as ctx lives. A new deadline erases the one by
// which the end of a context interrupts, so that is put back.
func (c *Conn) deadline(ctx context.Context, d time.Duration) {
	c.limit(d)
	if ctx.Err() != nil {
		c.interrupt()
	}
}

// interrupt ends every read and write under way and every later one, until a
// new limit is set. A connection without deadlines is closed.
func (c *Conn) interrupt() {
	if !c.timed || c.raw.SetDeadline(past) != nil {
		c.reset()
	}
}

// during runs a dialogue, which the end of ctx interrupts. The connection is given
// up if that comes too late, when its deadline would hit the next message, and if
// code of the caller's panics, a message or a connection: an answer may still come.
func (c *Conn) during(ctx context.Context, dialogue func()) {
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, c.interrupt)
		defer func() {
			if !stop() {
				c.spoil(ClosedCut)
			}
		}()
	}
	returned := false
	defer func() {
		if !returned {
			c.giveUp(ClosedCut)
		}
	}()
	dialogue()
	returned = true
}
