package smtpclient

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// newPipe is a connection in memory with a buffer in each direction, like TCP
// and unlike net.Pipe: a peer may write without being read. Its locks are
// channels, so a bubble's clock runs while it waits.
func newPipe() (client, server *pipeConn) {
	up, down := newHalf(), newHalf()
	return &pipeConn{in: down, out: up}, &pipeConn{in: up, out: down}
}

type half struct {
	mu     sync.Mutex
	buf    []byte
	err    error         // for the reader, after buf
	notify chan struct{} // closed and renewed at each change
}

func newHalf() *half { return &half{notify: make(chan struct{})} }

const pipeBuffer = 256 << 10

func (h *half) changed() {
	close(h.notify)
	h.notify = make(chan struct{})
}

func (h *half) end(err error, discard bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
	}
	if discard {
		h.buf = nil
	}
	h.changed()
}

type pipeConn struct {
	in, out *half
	mu      sync.Mutex
	rd, wd  deadline
	closed  bool
	linger  bool
}

type deadline struct {
	at   time.Time
	wake chan struct{} // closed and renewed when at changes
}

func (d *deadline) set(t time.Time) {
	d.at = t
	if d.wake != nil {
		close(d.wake)
	}
	d.wake = make(chan struct{})
}

func (c *pipeConn) get(d *deadline) (time.Time, chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.wake == nil {
		d.wake = make(chan struct{})
	}
	return d.at, d.wake
}

// wait blocks until something changes. It reports a deadline that has passed.
func (c *pipeConn) wait(d *deadline, notify chan struct{}) error {
	at, wake := c.get(d)
	var timer <-chan time.Time
	if !at.IsZero() {
		left := time.Until(at)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		t := time.NewTimer(left)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-notify:
	case <-wake:
	case <-timer:
	}
	return nil
}

func (c *pipeConn) expired(d *deadline) bool {
	at, _ := c.get(d)
	return !at.IsZero() && !time.Now().Before(at)
}

func (c *pipeConn) Read(p []byte) (int, error) {
	for {
		if c.expired(&c.rd) {
			return 0, &net.OpError{Op: "read", Net: "pipe", Err: os.ErrDeadlineExceeded}
		}
		c.in.mu.Lock()
		if len(c.in.buf) > 0 {
			n := copy(p, c.in.buf)
			c.in.buf = c.in.buf[n:]
			c.in.changed()
			c.in.mu.Unlock()
			return n, nil
		}
		if err := c.in.err; err != nil {
			c.in.mu.Unlock()
			return 0, err
		}
		notify := c.in.notify
		c.in.mu.Unlock()
		if c.wait(&c.rd, notify) != nil {
			return 0, &net.OpError{Op: "read", Net: "pipe", Err: os.ErrDeadlineExceeded}
		}
	}
}

func (c *pipeConn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if c.expired(&c.wd) {
			return done, &net.OpError{Op: "write", Net: "pipe", Err: os.ErrDeadlineExceeded}
		}
		c.out.mu.Lock()
		if c.out.err != nil {
			c.out.mu.Unlock()
			return done, &net.OpError{Op: "write", Net: "pipe", Err: io.ErrClosedPipe}
		}
		if room := pipeBuffer - len(c.out.buf); room > 0 {
			n := min(room, len(p)-done)
			c.out.buf = append(c.out.buf, p[done:done+n]...)
			done += n
			c.out.changed()
			c.out.mu.Unlock()
			continue
		}
		notify := c.out.notify
		c.out.mu.Unlock()
		if c.wait(&c.wd, notify) != nil {
			return done, &net.OpError{Op: "write", Net: "pipe", Err: os.ErrDeadlineExceeded}
		}
	}
	return done, nil
}

// Close lets the peer read what was written, unless the linger time is 0.
func (c *pipeConn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	reset := c.linger
	c.mu.Unlock()
	if !first {
		return nil
	}
	c.in.end(net.ErrClosed, true)
	if reset {
		c.out.end(&net.OpError{Op: "read", Net: "pipe", Err: io.ErrClosedPipe}, true)
	} else {
		c.out.end(io.EOF, false)
	}
	return nil
}

func (c *pipeConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// SetLinger notes that the connection is to be cut.
func (c *pipeConn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linger = sec == 0
	return nil
}

func (c *pipeConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rd.set(t)
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wd.set(t)
	return nil
}

func (c *pipeConn) LocalAddr() net.Addr  { return pipeAddr{} }
func (c *pipeConn) RemoteAddr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
