package smtpclient

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// setupBudget bounds what a server may send until the session is set up: the
// replies that net/smtp reads without a limit of its own, and the handshake.
const setupBudget = 256 << 10

// glance is how long a look for unread octets takes on a connection that
// cannot be asked without waiting.
const glance = 100 * time.Microsecond

var errBudget = errors.New("server sends without end")

// past is a deadline that has gone by, whatever the clock says.
var past = time.Unix(1, 0)

// A wire is the connection as it was dialled, below TLS. Only one goroutine
// reads it; deadlines and cut may come from any.
type wire struct {
	net.Conn
	raw     syscall.RawConn // nil if the connection has none
	peekFD  func(fd uintptr) bool
	pending bool // what peekFD saw

	early  []byte // read before the greeting was asked for
	budget int64  // octets that may still come during set-up; negative: no limit
	heard  bool   // anything came at all
	first  byte   // and began with this
	look   bool   // Read must not wait
}

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn, budget: setupBudget}
	if sc, ok := conn.(syscall.Conn); ok && canPeek {
		if raw, err := sc.SyscallConn(); err == nil {
			w.raw = raw
			w.peekFD = func(fd uintptr) bool {
				w.pending = peek(fd)
				return true
			}
		}
	}
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(p, w.early)
		w.early = w.early[n:]
		return n, nil
	}
	if w.look && w.raw != nil && !w.waiting() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := w.Conn.Read(p)
	if n > 0 && !w.heard {
		w.heard, w.first = true, p[0]
	}
	if w.budget >= 0 {
		if w.budget -= int64(n); w.budget < 0 {
			w.budget = 0
			return 0, errBudget
		}
	}
	return n, err
}

// waiting reports whether a read would find octets, or the end, at once. The
// deadline must not have passed.
func (w *wire) waiting() bool {
	w.pending = false
	return w.raw.Read(w.peekFD) == nil && w.pending
}

// await waits for the first octets and keeps them for the next Read.
func (w *wire) await() error {
	buf := make([]byte, 512)
	n, err := w.Read(buf)
	w.early = buf[:n]
	if n > 0 {
		return nil
	}
	return err
}

// interrupt ends every read and write under way and every later one, until a
// new deadline is set.
func (w *wire) interrupt() { w.SetDeadline(past) }

// cut ends the TCP connection without an orderly end: the server must not take
// what it has so far for a whole message. Closing a tls.Conn or a textproto.Conn
// instead would look like one.
func (w *wire) cut() {
	for c := w.Conn; c != nil; {
		if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
			l.SetLinger(0)
			break
		}
		under, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = under.NetConn()
	}
	w.Conn.Close()
}
