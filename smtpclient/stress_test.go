package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
)

// A lobby makes a server's count of connections exact over loopback TCP: a dial
// returns when the server has accepted, and a Close when it has seen the end.
// Without that the count holds ends that are still on their way.
type lobby struct {
	addr     string
	dialling sync.Mutex
	accepted chan *visit
	held     atomic.Int64 // sockets of the client
	most     atomic.Int64
}

// A visit is the server's end, a trip the client's.
type (
	visit struct {
		net.Conn
		once sync.Once
		gone chan struct{}
	}
	trip struct {
		*net.TCPConn
		once  sync.Once
		visit *visit
		lobby *lobby
	}
)

func (l *lobby) wrap(c net.Conn) net.Conn {
	v := &visit{Conn: c, gone: make(chan struct{})}
	l.accepted <- v
	return v
}

func (v *visit) Close() error {
	v.once.Do(func() { v.Conn.Close(); close(v.gone) })
	return nil
}

func (l *lobby) dial(context.Context, string, string) (net.Conn, error) {
	l.dialling.Lock()
	defer l.dialling.Unlock()
	if n := l.held.Add(1); n > l.most.Load() {
		l.most.Store(n)
	}
	c, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.held.Add(-1)
		return nil, err
	}
	return &trip{TCPConn: c.(*net.TCPConn), visit: <-l.accepted, lobby: l}, nil
}

func (t *trip) Close() error {
	t.once.Do(func() {
		t.TCPConn.Close()
		<-t.visit.gone
		t.lobby.held.Add(-1)
	})
	return nil
}

// unruly lets connections die everywhere.
func unruly(_ *peer, stage, _ string) string {
	switch r := rand.IntN(300); {
	case r < 2:
		return hangUp
	case r == 2 && stage == "DOT":
		return "\x00accept" + hangUp
	case r == 3 && stage == "MAIL":
		return "421 closing"
	case r == 4 && stage == "RCPT":
		return "450 later"
	}
	return ""
}

// unruly also lets the hall's limit change.
func (h *hall) unruly(p *peer, stage, arg string) string {
	if said := unruly(p, stage, arg); said != "" {
		return said
	}
	if stage == "CONNECT" && h.limited && rand.IntN(5) == 0 {
		h.set(3 + rand.IntN(8))
	}
	return h.greet(p, stage, arg)
}

// watchStats looks at the client's numbers until stop is closed.
func (c *Client) watchStats(t *testing.T, stop chan struct{}) {
	var last Stats
	for {
		select {
		case <-stop:
			return
		default:
		}
		st := c.Stats()
		if !st.balanced() || st.Dials < last.Dials || st.Messages < last.Messages || st.Closed.Total() < last.Closed.Total() {
			t.Errorf("stats do not add up: %+v after %+v", st, last)
			return
		}
		last = st
		runtime.Gosched()
	}
}

// A server on loopback TCP hangs up at random; contexts end; the senders are
// many. Once the server also allows fewer connections than MaxConns, now more
// and now less.
func TestThePoolUnderStress(t *testing.T) {
	t.Run("limited", func(t *testing.T) { stress(t, true) })
	t.Run("unlimited", func(t *testing.T) { stress(t, false) })
}

func stress(t *testing.T, limited bool) {
	const maxConns = 8
	h := newHall(t, 1000)
	if limited {
		h.limited, h.limit = true, 5
	}
	h.reply = h.unruly
	l := &lobby{accepted: make(chan *visit)}
	h.wrap = func(c net.Conn) net.Conn { return &guest{Conn: l.wrap(c), hall: h} }
	l.addr = h.listen()
	c := h.client(t, func(cfg *Config) {
		cfg.Addr, cfg.TLS, cfg.Username, cfg.Password, cfg.DialContext = l.addr, TLSNone, "", "", l.dial
		cfg.MaxConns, cfg.MaxMessagesPerConn, cfg.MaxConnIdleTime = maxConns, 7, 20*time.Millisecond
	})
	h.compare(t, c, c.rush(t))
	if _, _, most := h.connections(); most > maxConns || l.most.Load() > maxConns || !limited && most < maxConns {
		t.Errorf("the server counted %d connections at one time, the client held %d, MaxConns is %d", most, l.most.Load(), maxConns)
	}
	if limited != (len(h.refusals()) > 0) || c.Stats().Redials == 0 || l.held.Load() != 0 {
		t.Errorf("%d refusals, %d sockets left, %+v", len(h.refusals()), l.held.Load(), c.Stats())
	}
}

// The same on bare sockets, which are asked what has arrived; a lobby would
// stand in between.
func TestSocketsUnderStress(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			s := newScript(t)
			s.reply, s.wrapper = unruly, secure
			c := s.client(t, s.onSocket, func(cfg *Config) {
				cfg.MaxConns, cfg.MaxMessagesPerConn, cfg.MaxConnIdleTime = 8, 7, 20*time.Millisecond
			})
			s.compare(t, c, c.rush(t))
			if c.Stats().Redials == 0 {
				t.Errorf("no connection died: %+v", c.Stats())
			}
		})
	}
}

// rush has many senders send a few mails each, shuts the client down, and
// returns what Send said of each mail.
func (c *Client) rush(t *testing.T) []error {
	const senders, each = 32, 25
	stop := make(chan struct{})
	var watcher, crew sync.WaitGroup
	watcher.Go(func() { c.watchStats(t, stop) })
	said := make([]error, senders*each)
	for i := range senders {
		crew.Go(func() {
			for n := i * each; n < (i+1)*each; n++ {
				said[n] = c.hasty(t.Context(), n)
			}
		})
	}
	done := make(chan struct{})
	go func() { crew.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatalf("a sender got no answer: %+v", c.Stats())
	}
	if st := c.Stats(); st.Waiting != 0 {
		t.Errorf("nobody sends, but somebody waits: %+v", st)
	}
	if err := c.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	close(stop)
	watcher.Wait()
	return said
}

func parcel(n int) string { return fmt.Sprintf("Subject: %d\r\n\r\nHello.\r\n", n) }

// hasty sends mail n. The context of every third ends soon.
func (c *Client) hasty(ctx context.Context, n int) error {
	if n%3 == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(5000))*time.Microsecond)
		defer cancel()
	}
	_, err := c.Send(ctx, sender, []string{someone}, bytes.NewReader([]byte(parcel(n))))
	return err
}

// compare holds what Send said of each mail against the mailbox.
func (s *script) compare(t *testing.T, c *Client, said []error) {
	t.Helper()
	got := make(map[string]int)
	for _, m := range s.mailbox() {
		got[m]++
	}
	sent := 0
	for n, err := range said {
		have, least, most := got[parcel(n)], 0, 0
		e := seserrors.Classify(err)
		switch {
		case err == nil:
			sent, least, most = sent+1, 1, 1
		case e.MaybeAccepted:
			most = 1
		}
		if have < least || have > most {
			t.Errorf("mail %d was accepted %d times, and Send said %v", n, have, err)
		}
		if err != nil && e.Class != seserrors.Unavailable && (e.Class != seserrors.Canceled || n%3 != 0) {
			t.Errorf("mail %d: %v", n, err)
		}
	}
	if st := c.Stats(); st.Messages != int64(sent) || sent < len(said)/2 {
		t.Errorf("%d of %d were sent, %+v", sent, len(said), st)
	}
}

// A connection that says QUIT counts until the server has closed it.
func TestConnectionsThatSayGoodbyeCount(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns, cfg.MaxMessagesPerConn = 2, 1 }, func(t *testing.T, s *script, c *Client) {
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "QUIT" {
				time.Sleep(goodbye / 2)
				p.say("221 Bye")
				time.Sleep(afterClose * 9 / 10)
				return hangUp
			}
			return ""
		}
		for _, err := range c.many(t, 20, 10*time.Millisecond) {
			if err != nil {
				t.Error(err)
			}
		}
		c.Shutdown(t.Context())
		if _, _, most := s.connections(); most != 2 || s.count("QUIT") != 20 {
			t.Errorf("%d connections at one time, want 2; %d QUITs", most, s.count("QUIT"))
		}
	})
}

// Puddle's changelog is a list of what goes wrong in pools. Where each of it is
// looked for in this one:
//
//	2.2.3 construction finishes after Close          TestAConnectionThatComesAfterTheEndIsClosed
//	2.2.1 more resources than the pool has room for  TestThePoolUnderStress, TestThereAreNeverMoreConnectionsThanMaxConns
//	2.1.1 Stat races with creation                   TestThePoolUnderStress, which reads Stats all the time
//	2.1.0 deadlock                                   TestThePoolUnderStress, TestTheCeilingUnderStress
//	2.0.1 Close races with many constructors         TestTheEndWhileManyDialsAreUnderWay
//	2.0.0 and 1.3.0 construction outlives its waiter TestADialOutlivesItsWaiterAndItsConnectionIsPooled,
//	                                                 TestTheErrorOfADialNobodyWaitsForIsCounted
//	1.2.0 locked after the panic of a nil context    TestANilContextPanicsAndLeavesNothingClaimed
//	1.1.4 Close during an acquire deadlocks          TestAWaiterWithALiveContextLearnsThatTheClientWasClosed
//	1.1.3 failed creation hangs those who wait       TestADialThatFailsLetsTheNextWaiterTry, TestAWaiterDialsWhenTheLastConnectionDies
//	1.1.2 not counted while it is destroyed           TestConnectionsThatSayGoodbyeCount
//	1.1.2 crash when closed during creation          TestCloseEndsADialSomeoneWaitsFor, TestShutdownEndsADialNobodyWaitsFor
//	1.1.1 Close twice                                TestTheEndWhileManyDialsAreUnderWay, TestShutdownEndsWithItsContextAndCloseWithEverything
//	1.1.0 deadlock when an acquire is cancelled      TestASlotThatComesFreeAsItsWaiterGivesUpGoesToTheNext
//
// This pool has no TryAcquire, CreateResource, AcquireAllIdle, Reset or Destroy.

// Puddle 1.1.0: deadlock race when an acquire is cancelled.
func TestASlotThatComesFreeAsItsWaiterGivesUpGoesToTheNext(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
		for range 100 {
			first, next := make(chan error, 1), make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				err := c.slow(t.Context(), time.Second)
				cancel() // at the very moment at which the slot is back
				first <- err
			}()
			synctest.Wait()
			var impatient sync.WaitGroup
			for range 3 {
				impatient.Go(func() { c.post(ctx) })
			}
			synctest.Wait()
			go func() { _, err := c.post(t.Context()); next <- err }()
			want(t, <-first, seserrors.Unknown, "", false)
			want(t, <-next, seserrors.Unknown, "", false)
			impatient.Wait()
			synctest.Wait()
			if n := c.slots(); n != len(c.members()) {
				t.Fatalf("%d slots are held", n)
			}
		}
	})
}

// Puddle 1.1.1, 1.1.2, 1.1.4 and 2.0.1: a pool that is closed, also twice, while
// resources are created and waited for.
func TestTheEndWhileManyDialsAreUnderWay(t *testing.T) {
	for _, how := range []string{"Close", "Shutdown", "both"} {
		for after := range 12 { // dials take 10 ms, set-up none, messages 20 ms
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, 100)
				c := h.client(t, func(cfg *Config) { cfg.MaxConns, cfg.DialContext = 5, h.dial })
				results := make(chan error, 20)
				for i := range 20 {
					go func() {
						time.Sleep(time.Duration(i) * time.Millisecond)
						results <- c.slow(t.Context(), 20*time.Millisecond)
					}()
				}
				time.Sleep(time.Duration(after) * 5 * time.Millisecond)
				var enders sync.WaitGroup
				for i := range 4 {
					enders.Go(func() {
						if how == "Close" || how == "both" && i%2 == 0 {
							c.Close()
						} else if err := c.Shutdown(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				for range 20 {
					if err := <-results; err != nil && !errors.Is(err, ErrClosed) {
						t.Errorf("%s: %v", how, err)
					}
				}
				enders.Wait()
				want(t, c.slow(t.Context(), 0), seserrors.Canceled, "", false)
			})
		}
	}
}

// Puddle 2.2.3: construction in the background that finishes after Close.
func TestAConnectionThatComesAfterTheEndIsClosed(t *testing.T) {
	for _, how := range []string{"Close", "Shutdown"} {
		for _, waited := range []bool{true, false} {
			bubble(t, func(cfg *Config) {
				dial := cfg.DialContext
				cfg.DialContext = func(_ context.Context, network, addr string) (net.Conn, error) {
					time.Sleep(10 * time.Second) // and does not look at its context
					return dial(context.Background(), network, addr)
				}
			}, func(t *testing.T, s *script, c *Client) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if waited {
					ctx = t.Context()
				}
				result := make(chan error, 1)
				go func() { _, err := c.post(ctx); result <- err }()
				time.Sleep(2 * time.Second)
				if how == "Close" {
					c.Close()
				} else if err := c.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				cancel()
				err := <-result
				<-c.done
				if st := c.Stats(); st.Open != 0 || st.Dials != 1 || st.DialErrors+st.Closed.Shutdown != 1 {
					t.Errorf("%s, waited for %v: %+v", how, waited, st)
				}
				if finished := how == "Shutdown" && waited; finished != (err == nil) || finished != (len(s.mailbox()) == 1) {
					t.Errorf("%s, waited for %v: %v", how, waited, err)
				}
			})
		}
	}
}

// Puddle 1.2.0: a pool left locked after the panic of a nil context.
func TestANilContextPanicsAndLeavesNothingClaimed(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			var none context.Context
			c.post(none)
		}()
		s.mustPost(t, c)
		if n := c.slots(); n != 1 {
			t.Errorf("%d slots are held", n)
		}
	})
}

// DELIVERY, rule 12: the silent redial happens in its slot or not at all. A
// redial that is refused for being one too many is not queued again.
func TestASilentRedialThatIsOneTooManyFails(t *testing.T) {
	for _, call := range []string{"Send", "Ping"} {
		crowd(t, 3, 3, func(t *testing.T, h *hall, c *Client) {
			busy := make(chan error, 1)
			var leave atomic.Bool
			h.reply = func(p *peer, stage, arg string) string {
				if p.n == 2 && (stage == "MAIL" || stage == "NOOP") && leave.Load() {
					return hangUp
				}
				return h.greet(p, stage, arg)
			}
			go func() { busy <- c.slow(t.Context(), 4*time.Second) }()
			time.Sleep(time.Second)
			h.mustPost(t, c) // over a second connection, which the server leaves
			h.set(1)
			leave.Store(true)
			var err error
			if call == "Send" {
				_, err = c.post(t.Context())
			} else {
				err = c.Ping(t.Context())
			}
			want(t, err, seserrors.Unavailable, seserrors.TooManyConnections, false)
			if !seserrors.Classify(err).Class.Retryable() {
				t.Errorf("%v is not retryable", err)
			}
			if st := c.Stats(); st.Ceiling != 1 || st.Open != 1 || st.Redials != 1 || st.DialErrors != 1 || st.Waiting != 0 {
				t.Errorf("stats %+v", st)
			}
			h.mustPost(t, c) // waits for the connection that is left
			if n, _, most := h.connections(); n != 3 || most != 2 {
				t.Errorf("%d connections, %d at one time", n, most)
			}
			want(t, <-busy, seserrors.Unknown, "", false)
			h.set(3)
			time.Sleep(time.Minute)
			for _, err := range c.many(t, 3, time.Second) {
				want(t, err, seserrors.Unknown, "", false)
			}
			if st := c.Stats(); st.Open != 3 || st.Ceiling != 3 {
				t.Errorf("a slot was lost: %+v", st)
			}
		})
	}
}

func TestRecyclingLimitsAreExact(t *testing.T) {
	c, err := New(Config{Addr: "x.example:587", MaxMessagesPerConn: 10, MaxConnIdleTime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.closeAndCheck(t)
	unlimited, err := New(Config{Addr: "x.example:587", MaxMessagesPerConn: -1, MaxConnIdleTime: -1, MaxConnLifetime: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer unlimited.closeAndCheck(t)
	now := time.Now()
	for _, row := range []struct {
		mails     int
		age, idle time.Duration
		want      conn.Closing
	}{
		{9, 0, 0, 0}, {10, 0, 0, conn.ClosedMessages}, {11, 0, 0, conn.ClosedMessages},
		{0, time.Hour - 1, 0, 0}, {0, time.Hour, 0, conn.ClosedLifetime}, {0, time.Hour + 1, 0, conn.ClosedLifetime},
		{0, 0, time.Minute - 1, 0}, {0, 0, time.Minute, conn.ClosedIdle}, {0, 0, time.Minute + 1, conn.ClosedIdle},
	} {
		m := &member{Conn: new(conn.Conn), lifetime: time.Hour, born: now.Add(-row.age), idleSince: now.Add(-row.idle)}
		c.cfg.MaxMessagesPerConn = 10 - row.mails // of which none was sent
		if got := c.expired(m, now); got != row.want {
			t.Errorf("%+v: got %q", row, got)
		}
		m.lifetime = 0
		if got := unlimited.expired(m, now); got != 0 {
			t.Errorf("%+v without limits: got %q", row, got)
		}
	}
}

// The lifetime of one connection is exact too, whatever chance made of it.
func TestAConnectionIsReplacedAtTheEndOfItsLifetimeAndNotBefore(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConnIdleTime = -1 }, func(t *testing.T, s *script, c *Client) {
		s.mustPost(t, c)
		born, life := c.members()[0].born, c.members()[0].lifetime
		time.Sleep(time.Until(born.Add(life - 1)))
		if got := s.mustPost(t, c); got != 1 {
			t.Errorf("replaced a nanosecond early")
		}
		time.Sleep(time.Nanosecond)
		if got := s.mustPost(t, c); got != 2 || c.Stats().Closed.Lifetime != 1 {
			t.Errorf("%d connections, %+v", got, c.Stats())
		}
	})
}
