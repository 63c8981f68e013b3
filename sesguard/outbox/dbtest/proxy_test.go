package dbtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// A proxy stands before PostgreSQL and cuts connections when a commit is sent, or
// lets them hang.
type proxy struct {
	place  // by way of the proxy
	server string
	hangs  atomic.Bool // also what is to come

	mu     sync.Mutex
	open   []*proxied
	random *rand.Rand
	cuts   [3]int // of each way
	left   int    // cuts to come
}

// The ways of a cut.
const (
	beforeCommit = iota // the server never gets it
	atCommit            // the server may carry it out
	afterCommit         // the server has carried it out
)

// A proxied connection.
type proxied struct {
	client, server net.Conn
	swallow        atomic.Bool // the next answer ends it
	hangs          atomic.Bool
}

func newProxy(t *testing.T, p place) *proxy {
	t.Helper()
	u, err := url.Parse(p.source)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &proxy{server: u.Host, random: rand.New(rand.NewPCG(*seed, 2))}
	t.Logf("-seed %d", *seed)
	u.Host = listener.Addr().String()
	x.place = place{p.driver, u.String()}
	t.Cleanup(func() {
		listener.Close()
		x.each((*proxied).close)
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go x.serve(client)
		}
	}()
	return x
}

// cut makes the proxy cut up to n of the commits that come.
func (x *proxy) cut(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.left = n
}

// each does something to all connections.
func (x *proxy) each(f func(c *proxied)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.open {
		f(c)
	}
}

func (x *proxy) serve(client net.Conn) {
	c := &proxied{client: client}
	defer c.close()
	var err error
	if c.server, err = net.Dial("tcp", x.server); err != nil {
		return
	}
	c.hangs.Store(x.hangs.Load())
	x.mu.Lock()
	x.open = append(x.open, c)
	x.mu.Unlock()
	go c.answers()
	for first := true; ; first = false {
		message, err := c.message(first)
		if err != nil {
			return
		}
		if c.hangs.Load() {
			continue
		}
		if !first && message[0] == 'Q' && bytes.EqualFold(message[5:], []byte("commit\x00")) {
			switch x.way() {
			case beforeCommit:
				return
			case atCommit:
				c.server.Write(message)
				return
			case afterCommit:
				c.swallow.Store(true)
			}
		}
		if _, err := c.server.Write(message); err != nil {
			return
		}
	}
}

// way is how a commit is cut; less than 0: not at all.
func (x *proxy) way() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.left == 0 || x.random.IntN(3) > 0 {
		return -1
	}
	x.left--
	way := x.random.IntN(len(x.cuts))
	x.cuts[way]++
	return way
}

// message reads a message of the client. The first has no type.
func (c *proxied) message(first bool) ([]byte, error) {
	head := make([]byte, 5)
	if first {
		head = head[:4]
	}
	if _, err := io.ReadFull(c.client, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[len(head)-4:])
	message := append(head, make([]byte, size-4)...)
	_, err := io.ReadFull(c.client, message[len(head):])
	return message, err
}

// answers carries what the server says.
func (c *proxied) answers() {
	defer c.close()
	chunk := make([]byte, 32<<10)
	for {
		n, err := c.server.Read(chunk)
		if err != nil || c.swallow.Load() {
			return
		}
		if c.hangs.Load() {
			continue
		}
		if _, err := c.client.Write(chunk[:n]); err != nil {
			return
		}
	}
}

func (c *proxied) close() {
	c.client.Close()
	if c.server != nil {
		c.server.Close()
	}
}

// enqueueByKey repeats an Enqueue until it is heard to have happened.
func (b *bed) enqueueByKey(n int) (ids []string) {
	b.t.Helper()
	for i := range n {
		e := outbox.Entry{Message: message(i), Key: fmt.Sprint("order ", i)}
		for try := 0; ; try++ {
			tickets, err := b.Enqueue(b.t.Context(), e)
			if err == nil {
				ids = append(ids, tickets[0].ID)
				break
			}
			if try == 1000 {
				b.t.Fatal(err)
			}
		}
	}
	return ids
}

// marked is ses, but sees at each attempt that the mark is in the database.
func (b *bed) marked(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
	var state string
	var attempts int
	err := b.db.QueryRow("select state, attempts from sesguard_mail where track = $1", m.TrackID()).Scan(&state, &attempts)
	if err == nil && (state != string(outbox.Sending) || attempts == 0) {
		b.t.Errorf("SES is asked for a mail that is %s after %d attempts", state, attempts)
	}
	return b.ses.Attempt(ctx, m)
}

// sent waits until n mails are sent, in fake time.
func (b *bed) sent(n int) {
	b.t.Helper()
	for minutes := 0; b.stats().N(outbox.Sent) < n; minutes++ {
		if minutes == 60 {
			b.t.Fatalf("after an hour: %+v", b.stats().Mails)
		}
		time.Sleep(time.Minute)
	}
}

// once checks that each mail was sent once, and that no other attempt is counted.
func (b *bed) once(ids []string) {
	b.t.Helper()
	accepted := map[string]int{}
	b.ses.mu.Lock()
	for _, m := range b.ses.accepted {
		accepted[m.TrackID()]++
	}
	b.ses.mu.Unlock()
	for _, id := range ids {
		r := b.get(id)
		if n := accepted[r.TrackID]; r.State != outbox.Sent || r.Attempts != 1 || n != 1 {
			b.t.Errorf("a mail is %s after %d attempts, SES has it %d times", r.State, r.Attempts, n)
		}
	}
	if len(accepted) != len(ids) {
		b.t.Errorf("SES has %d mails, want %d", len(accepted), len(ids))
	}
	if n := b.number("select count(*) from sesguard_mail where owner <> '' or seen <> 0"); n > 0 {
		b.t.Errorf("%d mails are still claimed or seen by nobody", n)
	}
}

// A commit got no answer, and may have happened. What follows waits in fake time:
// the database's clock goes on with its own.
func TestCommitsWithoutAnswerLoseAndDoubleNothing(t *testing.T) {
	eachDriver(t, func(t *testing.T, p place) {
		x := newProxy(t, p)
		synctest.Test(t, func(t *testing.T) {
			b, far := newBed(t, p, outbox.Options{}), newBed(t, x.place, outbox.Options{})
			x.cut(*cuts / 4)
			ids := far.enqueueByKey(*cuts * 2)
			x.cut(0)
			if n := b.number("select count(*) from sesguard_mail"); int(n) != len(ids) {
				t.Fatalf("%d mails are stored, want %d", n, len(ids))
			}
			if err := b.Hold(t.Context(), outbox.AccountHold, "until both run"); err != nil {
				t.Fatal(err)
			}
			defer far.startWith(b.marked)()
			defer far.startWith(b.marked)()
			b.until("both run", func() bool { return len(b.stats().Processes) == 2 })
			x.cut(*cuts)
			if err := b.Release(t.Context(), outbox.AccountHold); err != nil {
				t.Fatal(err)
			}
			b.sent(len(ids))
			b.once(ids)
			t.Logf("cuts: %v", x.cuts)
			for way, n := range x.cuts {
				if n == 0 {
					t.Errorf("no cut of way %d", way)
				}
			}
		})
	})
}

// A machine is lost, and its connections answer nothing: new ones do, after a
// failover. Of the drivers pgx gives up, lib/pq waits for TCP.
func TestConnectionsThatHangAreGivenUp(t *testing.T) {
	t.Parallel()
	p := postgresPlace(t, "pgx")
	x := newProxy(t, p)
	b, far := newBed(t, p, outbox.Options{}), newBed(t, x.place, outbox.Options{DrainTimeout: time.Second})
	stop := far.startWith(b.marked)
	ids := b.enqueueMany(50, nil)
	b.until("sent", func() bool { return b.stats().N(outbox.Sent) == len(ids) })
	x.each(func(c *proxied) { c.hangs.Store(true) })
	ids = append(ids, b.enqueueMany(50, nil)...)
	b.until("sent by new connections", func() bool { return b.stats().N(outbox.Sent) == len(ids) })
	b.once(ids)
	x.hangs.Store(true)
	x.each(func(c *proxied) { c.hangs.Store(true) })
	stop()
}
