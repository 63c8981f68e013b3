//go:build !race

package smtpclient

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// canned is a connection to a server that has all its answers ready and
// allocates nothing.
type canned struct {
	net.Conn
	answers [][]byte
	next    int
	rest    []byte
}

func (c *canned) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error) {
	c.rest = c.answers[c.next]
	c.next = (c.next + 1) % len(c.answers)
	return len(p), nil
}

func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }
func (c *canned) Close() error                     { return nil }

// steadySession sends over canned answers; nothing is allocated on the other
// side, so every allocation is Send's.
func steadySession() *session {
	conn := &canned{answers: [][]byte{
		[]byte("250 Ok\r\n"), []byte("250 Ok\r\n"), []byte("354 go\r\n"),
		[]byte("250 Ok 0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000\r\n"),
	}}
	w := newWire(conn)
	w.budget = -1
	w.raw = quietConn{}
	w.peekFD = func(uintptr) bool { return true }
	s := &session{wire: w, r: bufio.NewReader(&ear{w, w}), w: bufio.NewWriter(w), eightBit: true, maxSize: maxMessage, commandTimeout: time.Minute,
		interrupt: w.interrupt, born: time.Now(), hide: newSecrets("user", secret)}
	return s
}

// quietConn says that nothing waits to be read.
type quietConn struct{}

func (quietConn) Control(func(uintptr)) error     { return nil }
func (quietConn) Read(f func(uintptr) bool) error { f(0); return nil }
func (quietConn) Write(func(uintptr) bool) error  { return nil }

func TestASendOnAKeptConnectionAllocatesAtMostFourTimes(t *testing.T) {
	s, msg, to := steadySession(), benchMessage(2<<10), []string{someone}
	live := make(map[*session]struct{})
	c, err := New(Config{Addr: "127.0.0.1:2525", TLS: TLSNone, MaxMessagesPerConn: -1, MaxConnLifetime: -1, MaxConnIdleTime: -1})
	if err != nil {
		t.Fatal(err)
	}
	c.live = live
	res, err := c.pool.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.claimed.Add(1)
	res.Value().session = s
	c.giveBack(res)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, ctx := range map[string]context.Context{"background": context.Background(), "with cancel": ctx} {
		src := bytes.NewReader(nil)
		n := testing.AllocsPerRun(200, func() {
			src.Reset(msg)
			if _, err := c.Send(ctx, sender, to, src); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %v allocations", name, n)
		if n > 4 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
