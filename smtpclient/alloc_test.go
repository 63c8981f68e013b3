//go:build !race

package smtpclient

import (
	"bytes"
	"context"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// canned is a connection to a server that has all its answers ready and
// allocates nothing, so that every allocation is the client's.
type canned struct {
	net.Conn
	rest []byte
	next int
}

var cannedAnswers = [][]byte{
	[]byte("250-canned\r\n250 8BITMIME\r\n"), // to EHLO
	[]byte("250 Ok\r\n"), []byte("250 Ok\r\n"), []byte("354 go\r\n"),
	[]byte("250 Ok 0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000\r\n"),
}

func (c *canned) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error) {
	c.rest = cannedAnswers[c.next]
	if c.next++; c.next == len(cannedAnswers) {
		c.next = 1
	}
	return len(p), nil
}

func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }
func (c *canned) Close() error                     { return nil }

func cannedClient(t *testing.T) *Client {
	c, err := New(Config{
		Addr: "127.0.0.1:2525", TLS: TLSNone, MaxConns: 1, MaxMessagesPerConn: -1, MaxConnLifetime: -1, MaxConnIdleTime: -1,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return &canned{rest: []byte("220 canned\r\n")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestASendOnAKeptConnectionAllocatesLittle(t *testing.T) {
	c, msg, to := cannedClient(t), benchMessage(2<<10), []string{someone}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, row := range map[string]struct {
		ctx  context.Context
		most float64
	}{"background": {context.Background(), 4}, "with cancel": {ctx, 7}} {
		src := bytes.NewReader(nil)
		n := testing.AllocsPerRun(200, func() {
			src.Reset(msg)
			if _, err := c.Send(row.ctx, sender, to, src); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %v allocations", name, n)
		if n > row.most {
			t.Errorf("%s: %v allocations, want at most %v", name, n, row.most)
		}
	}
}

func TestAWaitAllocatesTwice(t *testing.T) {
	c := cannedClient(t)
	m, err := c.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wait, got := make(chan struct{}), make(chan *member)
	go func() {
		for range wait {
			m, _ := c.take(context.Background())
			got <- m
		}
	}()
	n := testing.AllocsPerRun(200, func() {
		wait <- struct{}{}
		for c.Stats().Waiting == 0 {
			runtime.Gosched()
		}
		c.giveBack(m)
		m = <-got
	})
	close(wait)
	c.giveBack(m)
	if n > 2 {
		t.Errorf("%v allocations", n)
	}
}
