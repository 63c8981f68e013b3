// Package memnet is TCP without sockets, for a fake that is to run inside a
// testing/synctest bubble: connections with buffers, deadlines, half-closes and
// resets, whose every wait is durably blocking.
package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeSize is how much one direction of an in-memory connection holds before
// a writer has to wait, as a socket's buffers would make it.
const pipeSize = 64 << 10

// A pipe is one direction of an in-memory connection: a bounded buffer with a
// deadline at each end. Every wait is on a sync.Cond, which a testing/synctest
// bubble knows to be durably blocking; a wait in a system call is not.
type pipe struct {
	mu     sync.Mutex
	cond   sync.Cond
	buf    []byte
	ended  error // what the reader gets once buf is empty; nil while the writer lives
	deaf   bool  // the reader is gone
	poked  bool  // one write has already vanished into the closed reader
	rd, wr deadline
}

func newPipe() *pipe {
	p := new(pipe)
	p.cond.L = &p.mu
	return p
}

// A deadline is guarded by its pipe's mutex.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (p *pipe) setDeadline(d *deadline, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.stop()
	d.at = t
	if now := time.Now(); t.After(now) {
		wait := t.Sub(now)
		d.at = now.Add(wait) // by the monotonic clock, as the timer: when it fires, the deadline has passed
		d.timer = time.AfterFunc(wait, p.wake)
	}
	p.cond.Broadcast()
}

func (p *pipe) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cond.Broadcast()
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.deaf:
			return 0, net.ErrClosed
		case p.rd.passed():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			p.cond.Broadcast()
			return n, nil
		case p.ended != nil:
			return 0, p.ended
		}
		p.cond.Wait()
	}
}

// write reports through vanished that octets were taken although nobody will
// read them: the first write to a peer that has closed succeeds, as in TCP,
// and only the answer to it says that the connection is gone.
func (p *pipe) write(b []byte) (n int, vanished bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.ended != nil:
			return n, false, net.ErrClosed
		case p.wr.passed():
			return n, false, os.ErrDeadlineExceeded
		case p.deaf && p.poked:
			return n, false, os.NewSyscallError("write", syscall.EPIPE)
		case p.deaf:
			p.poked = true
			return n + len(b), true, nil
		}
		k := min(len(b), pipeSize-len(p.buf))
		if k > 0 {
			p.buf = append(p.buf, b[:k]...)
			n, b = n+k, b[k:]
			p.cond.Broadcast()
		}
		if len(b) == 0 {
			return n, false, nil
		}
		p.cond.Wait()
	}
}

// end closes the writing end; the reader gets what is buffered and then err.
// A reset overrides an orderly end.
func (p *pipe) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == nil || p.ended == io.EOF {
		p.ended = err
	}
	p.wr.stop()
	p.cond.Broadcast()
}

// deafen closes the reading end and reports whether unread octets were lost.
func (p *pipe) deafen() (lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost = len(p.buf) > 0
	p.deaf, p.buf = true, nil
	p.rd.stop()
	p.cond.Broadcast()
	return lost
}

// A conn is one end of an in-memory TCP connection.
type conn struct {
	in, out     *pipe
	local, peer net.Addr
	mu          sync.Mutex
	linger0     bool
	closed      bool
}

var errReset = os.NewSyscallError("read", syscall.ECONNRESET)

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	n, vanished, err := c.out.write(b)
	if vanished {
		c.in.end(errReset)
	}
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

func (c *conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.peer, Err: err}
}

// Close ends both directions. As in TCP the peer sees a reset, not an orderly
// end, if octets that it sent were not read, or after SetLinger(0).
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	reset := c.linger0
	c.mu.Unlock()
	end := io.EOF
	if lost := c.in.deafen(); lost || reset {
		end = errReset
	}
	c.out.end(end)
	return nil
}

// CloseWrite ends the writing direction only.
func (c *conn) CloseWrite() error {
	c.out.end(io.EOF)
	return nil
}

// SetLinger with 0 makes Close a reset, as (*net.TCPConn).SetLinger does.
func (c *conn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linger0 = sec == 0
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.peer }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.rd, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.wr, t)
	return nil
}

// newConns returns the two ends of a connection.
func newConns(client, server net.Addr) (c, s *conn) {
	up, down := newPipe(), newPipe()
	c = &conn{in: down, out: up, local: client, peer: server}
	s = &conn{in: up, out: down, local: server, peer: client}
	return c, s
}

// A Listener hands the server's ends of dialled connections to Accept.
type Listener struct {
	addr   net.Addr
	mu     sync.Mutex
	cond   sync.Cond
	queue  []net.Conn
	dials  uint16
	closed bool
}

// Listen returns a listener at this port of 127.0.0.1, which nothing but its Dial
// reaches.
func Listen(port uint16) *Listener {
	l := &Listener{addr: loopback(port)}
	l.cond.L = &l.mu
	return l
}

func loopback(port uint16) net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
}

// Dial returns the client's end of a new connection. As in TCP it does not wait for
// Accept.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, l.dialError(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, l.dialError(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	l.dials++
	c, s := newConns(loopback(10000+l.dials%50000), l.addr)
	l.queue = append(l.queue, s)
	l.cond.Broadcast()
	return c, nil
}

func (l *Listener) dialError(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: l.addr, Err: err}
}

// Accept returns the server's end of the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close ends Accept, and resets the connections that it did not return.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.queue {
		c.Close()
	}
	l.queue = nil
	l.cond.Broadcast()
	return nil
}

// Addr is the listener's address.
func (l *Listener) Addr() net.Addr { return l.addr }
