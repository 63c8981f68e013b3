package proof_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A wireFault strikes one connection, below TLS, when so many octets have gone
// in one direction: at any boundary of a session, within a TLS record, a reply
// or the final dot.
type wireFault struct {
	kind  wireKind
	up    bool // counts and strikes octets from client to server
	after int
}

type wireKind uint8

const (
	wireFine  wireKind = iota
	wireEnd            // the connection ends in order, for both sides
	wireReset          // the connection is reset, for both sides
	wireHalf           // one direction ends, the other goes on
	wireHole           // the rest of the direction vanishes: half-open TCP
	wireNoise          // octets that are no SMTP, no TLS and no HTTP come in between
	wireWords          // the same in clear text, as some servers do on their idle timeout
	wireFlip           // one octet is another; only where TLS can see it
	wireAct            // nothing happens on the line, but the scenario's act does
	wireKinds
)

func (k wireKind) String() string {
	return [wireKinds]string{"fine", "end", "reset", "half", "hole", "noise", "words", "flip", "act"}[k]
}

func (f wireFault) String() string {
	dir := "down"
	if f.up {
		dir = "up"
	}
	return fmt.Sprintf("%v after %d octets %s", f.kind, f.after, dir)
}

// A network dials a server and lets its connections meet faults: connection n
// the nth of them. It keeps what the client wrote.
type network struct {
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	faults  []wireFault
	refuse  int           // so many dials fail
	latency time.Duration // before whatever the server says arrives
	drip    bool          // the server's octets arrive one by one
	act     func()        // of wireAct

	mu    sync.Mutex
	conns []*faultyConn
	dials int
}

func (n *network) DialContext(ctx context.Context, proto, addr string) (net.Conn, error) {
	n.mu.Lock()
	i := n.dials
	n.dials++
	n.mu.Unlock()
	if i < n.refuse {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	conn, err := n.dial(ctx, proto, addr)
	if err != nil {
		return nil, err
	}
	c := &faultyConn{Conn: conn, net: n}
	if i -= n.refuse; i < len(n.faults) {
		c.fault, c.kind = n.faults[i], n.faults[i].kind
	}
	n.mu.Lock()
	n.conns = append(n.conns, c)
	n.mu.Unlock()
	return c, nil
}

// ended reports whether a client tried to write the end of the message with
// this mark in clear text.
func (n *network) ended(mark []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.mu.Lock()
		sent := c.sent
		c.mu.Unlock()
		for {
			i := bytes.Index(sent, mark)
			if i < 0 {
				break
			}
			sent = sent[i+len(mark):]
			// The next command of this connection would be behind the dot.
			if bytes.Contains(sent, []byte("\r\n.\r\n")) {
				return true
			}
		}
	}
	return false
}

// A faultyConn is a connection on which the network may strike.
type faultyConn struct {
	net.Conn
	net   *network
	fault wireFault
	kind  wireKind // of the fault, also when it is over

	mu     sync.Mutex
	sent   []byte // what the client wrote, or tried to
	up     int
	down   int
	struck bool
	deaf   bool   // the server hears no more
	silent bool   // the client hears no more
	inject []byte // comes next
	ended  error  // then this
}

var errWireReset = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

var (
	wireNoiseOctets = []byte{0, 0xff, 0xfe, '\r', 0x80, '\n', 0xff}
	wireWordsOctets = []byte("421 Timeout exceeded - closing connection\r\n")
)

func (c *faultyConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.sent = append(c.sent, p...)
	strikes := c.strikesWithin(true, c.up, len(p))
	head := p
	if strikes {
		head = p[:c.fault.after-c.up]
	}
	c.up += len(p)
	deaf := c.deaf
	c.mu.Unlock()
	if deaf {
		return len(p), nil
	}
	n, err := c.Conn.Write(head)
	if err != nil || !strikes {
		return n, err
	}
	rest := append([]byte(nil), p[len(head):]...)
	if rest, err = c.strikeUp(rest); err != nil {
		return n, err
	}
	m, err := c.Conn.Write(rest)
	if err != nil {
		return n + m, err
	}
	return len(p), nil
}

// strikesWithin is called with c.mu held.
func (c *faultyConn) strikesWithin(up bool, at, n int) bool {
	if c.struck || c.fault.kind == wireFine || c.fault.up != up || c.fault.after >= at+n {
		return false
	}
	c.struck = true
	return true
}

// strikeUp plays the fault and returns what of the rest is still to be written.
func (c *faultyConn) strikeUp(rest []byte) ([]byte, error) {
	switch c.fault.kind {
	case wireEnd:
		c.Conn.Close()
		return nil, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	case wireReset:
		c.reset()
		return nil, errWireReset
	case wireHalf:
		c.closeWrite()
		return nil, nil
	case wireHole:
		c.mu.Lock()
		c.deaf = true
		c.mu.Unlock()
		return nil, nil
	case wireNoise:
		return append(wireNoiseOctets[:len(wireNoiseOctets):len(wireNoiseOctets)], rest...), nil
	case wireWords:
		return append(wireWordsOctets[:len(wireWordsOctets):len(wireWordsOctets)], rest...), nil
	case wireFlip:
		rest[0] ^= 0x55
	case wireAct:
		c.net.act()
	}
	return rest, nil
}

func (c *faultyConn) Read(p []byte) (int, error) {
	for {
		n, err, done := c.readOnce(p)
		if done {
			return n, err
		}
	}
}

func (c *faultyConn) readOnce(p []byte) (n int, err error, done bool) {
	c.mu.Lock()
	switch {
	case len(c.inject) > 0:
		n = copy(p, c.inject)
		c.inject = c.inject[n:]
		c.mu.Unlock()
		return n, nil, true
	case c.ended != nil:
		err = c.ended
		c.mu.Unlock()
		return 0, err, true
	case c.strikesWithin(false, c.down, 1):
		c.mu.Unlock()
		c.strikeDown()
		return 0, nil, false
	}
	if !c.struck && !c.fault.up && c.fault.kind != wireFine {
		p = p[:min(len(p), c.fault.after-c.down)]
	}
	if c.net.drip {
		p = p[:min(len(p), 1)]
	}
	silent := c.silent
	c.mu.Unlock()
	n, err = c.Conn.Read(p)
	if n > 0 && c.net.latency > 0 && !c.net.drip {
		time.Sleep(c.net.latency)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 && c.struck && !c.fault.up && c.fault.kind == wireFlip {
		c.fault.kind = wireFine
		p[0] ^= 0x55
	}
	c.down += n
	if silent && err == nil {
		return 0, nil, false // lost on the way
	}
	if silent {
		n = 0
	}
	return n, err, true
}

func (c *faultyConn) strikeDown() {
	var ended error
	switch c.fault.kind {
	case wireEnd:
		c.Conn.Close()
		ended = io.EOF
	case wireReset:
		c.reset()
		ended = errWireReset
	case wireHalf:
		ended = io.EOF
	case wireAct:
		c.net.act()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = ended
	switch c.fault.kind {
	case wireHole:
		c.silent = true
	case wireNoise:
		c.inject = wireNoiseOctets
	case wireWords:
		c.inject = wireWordsOctets
	}
}

func (c *faultyConn) reset() {
	c.SetLinger(0)
	c.Conn.Close()
}

// SetLinger lets the client cut the connection.
func (c *faultyConn) SetLinger(sec int) error {
	l, ok := c.Conn.(interface{ SetLinger(int) error })
	if !ok {
		return errors.ErrUnsupported
	}
	return l.SetLinger(sec)
}

func (c *faultyConn) closeWrite() {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	}
	c.mu.Lock()
	c.deaf = true
	c.mu.Unlock()
}
