package load

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// far makes what dial reaches one round trip time away.
func far(rtt time.Duration, dial dialFunc) dialFunc {
	if rtt == 0 {
		return dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		time.Sleep(rtt) // TCP's own handshake
		return &farConn{Conn: conn, rtt: rtt}, nil
	}
}

// A farConn hands out what was read no sooner than one round trip after the
// last write, because it may be the answer to it.
type farConn struct {
	net.Conn
	rtt   time.Duration
	mu    sync.Mutex
	wrote time.Time
}

func (c *farConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.wrote = time.Now()
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *farConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	due := c.wrote.Add(c.rtt)
	c.mu.Unlock()
	time.Sleep(time.Until(due))
	return n, err
}

// SetLinger is for those who cut a connection.
func (c *farConn) SetLinger(sec int) error {
	if l, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}

// SyscallConn is for those who look whether something has arrived; without it
// they would have to wait a moment for it.
func (c *farConn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
