package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// bubble runs a test with a script and a client in fake time.
func bubble(t *testing.T, change func(*Config), f func(t *testing.T, s *script, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		if change == nil {
			change = func(*Config) {}
		}
		f(t, s, s.client(t, change))
	})
}

// mustPost sends a mail that must be accepted and returns on which connection.
func (s *script) mustPost(t *testing.T, c *Client) (conns int) {
	t.Helper()
	if _, err := c.post(t.Context()); err != nil {
		t.Fatal(err)
	}
	conns, _, _ = s.connections()
	return conns
}

func TestAConnectionIsReplacedAfterItsMessages(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxMessagesPerConn = 3 }, func(t *testing.T, s *script, c *Client) {
		for i, want := range []int{1, 1, 1, 2, 2, 2, 3} {
			if got := s.mustPost(t, c); got != want {
				t.Errorf("mail %d: %d connections so far, want %d", i+1, got, want)
			}
			synctest.Wait()
		}
		if st := c.Stats(); st.Closed.Messages != 2 || s.count("QUIT") != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestRefusedMessagesCountToo(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxMessagesPerConn = 2 }, func(t *testing.T, s *script, c *Client) {
		s.once("MAIL", "550 no")
		c.post(t.Context())
		s.mustPost(t, c)
		synctest.Wait()
		if got := s.mustPost(t, c); got != 2 {
			t.Errorf("%d connections, want 2", got)
		}
	})
}

func TestAConnectionIsIdleForExactlyItsTime(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.mustPost(t, c)
		time.Sleep(defaultMaxConnIdleTime - time.Millisecond)
		if got := s.mustPost(t, c); got != 1 {
			t.Errorf("just before the limit: %d connections", got)
		}
		time.Sleep(defaultMaxConnIdleTime)
		if got := s.mustPost(t, c); got != 2 {
			t.Errorf("at the limit: %d connections", got)
		}
		synctest.Wait()
		if st := c.Stats(); st.Open != 1 || st.Closed.Idle != 1 {
			t.Errorf("at the limit: %+v", st)
		}
	})
}

func TestIdleConnectionsAreClosedWithoutAnyoneAsking(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { c.post(t.Context()) })
		}
		wg.Wait()
		time.Sleep(defaultMaxConnIdleTime + time.Second)
		if _, open, _ := s.connections(); open != 0 {
			t.Errorf("%d connections are open", open)
		}
		if n := s.count("QUIT"); n != 5 {
			t.Errorf("%d QUITs", n)
		}
	})
}

func TestAConnectionLivesItsTimeGiveOrTakeATenth(t *testing.T) {
	const life = 100 * time.Second
	bubble(t, func(cfg *Config) {
		cfg.MaxConnLifetime, cfg.MaxConnIdleTime, cfg.MaxConns = life, -1, 8
	}, func(t *testing.T, s *script, c *Client) {
		hold := make(chan struct{})
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "MAIL" {
				<-hold
			}
			return ""
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { c.post(t.Context()) })
		}
		synctest.Wait()
		close(hold)
		wg.Wait()
		time.Sleep(life*9/10 - time.Millisecond)
		if st := c.Stats(); st.Open != 8 {
			t.Errorf("closed early: %+v", st)
		}
		closed, last := 0, 0
		for range 20 {
			time.Sleep(life / 100)
			synctest.Wait()
			if n := int(c.Stats().Closed.Lifetime); n != last {
				closed, last = closed+1, n
			}
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if st := c.Stats(); st.Open != 0 || st.Closed.Lifetime != 8 {
			t.Errorf("alive too long: %+v", st)
		}
		if closed < 2 {
			t.Error("all closed together")
		}
	})
}

func TestLifetimeIsCheckedWhenAConnectionIsTakenAndGivenBack(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConnLifetime = 10 * time.Second }, func(t *testing.T, s *script, c *Client) {
		s.mustPost(t, c)
		for range 3 { // busy all the time, so no sweep sees it
			time.Sleep(4 * time.Second)
			s.mustPost(t, c)
		}
		if st := c.Stats(); st.Closed.Lifetime != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestTheWallClockCountsWhenTheOtherOneStoodStill(t *testing.T) {
	now := time.Now()
	since := now.Add(-time.Hour)
	monotonic := (*struct {
		_ uint64
		t int64
	})(unsafe.Pointer(&since)) // as package time lays it out; there is no other way to have the two clocks differ
	monotonic.t += int64(time.Hour)
	if got := now.Sub(since); got != 0 {
		t.Fatalf("the other clock counts %v", got)
	}
	if got := elapsed(since, now); got < time.Hour {
		t.Errorf("elapsed %v", got)
	}
	if got := elapsed(now, now.Round(0).Add(-time.Hour)); got > 0 {
		t.Errorf("a clock that was set back counts %v", got)
	}
}

// A wall clock that was set forward by an hour costs the connections that were
// idle then. Those that come later are judged by their own hour.
func TestAWallClockThatWasSetForwardCostsConnectionsOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.mustPost(t, c)
		c.mu.Lock()
		c.idle[0].idleSince = c.idle[0].idleSince.Round(0).Add(-time.Hour)
		c.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if st := c.Stats(); st.Closed.Idle != 1 || st.Open != 0 {
			t.Errorf("%+v", st)
		}
		for range 5 { // through several sweeps
			s.mustPost(t, c)
			time.Sleep(defaultMaxConnIdleTime - time.Millisecond)
		}
		if n, _, _ := s.connections(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestThereAreNeverMoreConnectionsThanMaxConns(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns, cfg.MaxMessagesPerConn = 3, 2 }, func(t *testing.T, s *script, c *Client) {
		s.reply = func(p *peer, stage, _ string) string {
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			return ""
		}
		var wg sync.WaitGroup
		for range 60 {
			wg.Go(func() {
				if _, err := c.post(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if _, _, most := s.connections(); most != 3 {
			t.Errorf("%d connections at one time, want 3", most)
		}
		if got := len(s.mailbox()); got != 60 {
			t.Errorf("%d mails", got)
		}
	})
}

func TestTheConnectionUsedLastIsUsedFirst(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		hold := make(chan struct{})
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "MAIL" {
				<-hold
			}
			return ""
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { c.post(t.Context()) })
		}
		synctest.Wait()
		close(hold)
		wg.Wait()
		for range 8 { // one sender keeps one connection busy; the others run out, through several sweeps
			time.Sleep(time.Second)
			s.mustPost(t, c)
		}
		if st := c.Stats(); st.Open != 1 || st.Closed.Idle != 3 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestAWaiterWithALiveContextLearnsThatTheClientWasClosed(t *testing.T) {
	for _, how := range []string{"Close", "Shutdown"} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
				s.reply = func(p *peer, stage, _ string) string {
					if stage == "DOT" {
						time.Sleep(5 * time.Second)
					}
					return ""
				}
				first, second := make(chan error, 1), make(chan error, 1)
				go func() { _, err := c.post(t.Context()); first <- err }()
				time.Sleep(time.Second) // it waits for its answer now
				go func() { _, err := c.post(t.Context()); second <- err }()
				synctest.Wait()
				if st := c.Stats(); st.Waiting != 1 || st.InUse != 1 {
					t.Errorf("stats %+v", st)
				}
				start := time.Now()
				if how == "Close" {
					c.Close()
				} else if err := c.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				err := <-second
				want(t, err, seserrors.Canceled, "", false)
				if !errors.Is(err, ErrClosed) || !errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) {
					t.Errorf("the waiter got %v", err)
				}
				err = <-first
				if how == "Shutdown" {
					want(t, err, seserrors.Unknown, "", false)
					return
				}
				want(t, err, seserrors.Canceled, "", true)
				if !errors.Is(err, ErrClosed) || time.Since(start) != 0 {
					t.Errorf("the sender got %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestAWaiterWhoseContextEndsLeavesTheQueue(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
		hold := make(chan struct{})
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "MAIL" {
				<-hold
			}
			return ""
		}
		done := make(chan error)
		go func() { _, err := c.post(t.Context()); done <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.post(ctx)
		want(t, err, seserrors.Canceled, seserrors.DeadlineExceeded, false)
		if st := c.Stats(); st.Waiting != 0 {
			t.Errorf("stats %+v", st)
		}
		close(hold)
		want(t, <-done, seserrors.Unknown, "", false)
	})
}

// Who gives up in between is not missed, and who comes late does not push in,
// although a connection is free for a moment between two senders.
func TestSendersGetTheirConnectionsInTheOrderInWhichTheyCame(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns = 2 }, func(t *testing.T, s *script, c *Client) {
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "DOT" {
				time.Sleep(time.Second)
			}
			return ""
		}
		var wg sync.WaitGroup
		for n := range 40 {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if n%5 == 4 {
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
			}
			wg.Go(func() {
				defer cancel()
				time.Sleep(time.Duration(n) * 100 * time.Millisecond)
				c.Send(ctx, sender, []string{someone}, bytes.NewReader([]byte(parcel(n))))
			})
		}
		wg.Wait()
		var order []int
		for _, m := range s.mailbox() {
			var n int
			fmt.Sscanf(m, "Subject: %d", &n)
			order = append(order, n)
		}
		for i := 2; i < len(order); i++ { // two are under way at one time
			if order[i] < order[i-2] {
				t.Fatalf("order %v", order)
			}
		}
		if len(order) != 32 {
			t.Errorf("%d mails: %v", len(order), order)
		}
	})
}

func TestShutdownEndsWithItsContextAndCloseWithEverything(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.once("DOT", mute)
		done := make(chan error, 1)
		go func() { _, err := c.post(t.Context()); done <- err }()
		time.Sleep(time.Second) // it waits for its answer now
		why := errors.New("no time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		if err := c.Shutdown(ctx); !errors.Is(err, why) {
			t.Errorf("Shutdown: %v", err)
		}
		select {
		case err := <-done:
			t.Errorf("Shutdown cut the message: %v", err)
		default:
		}
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Error(err)
		}
		want(t, <-done, seserrors.Canceled, "", true)
		if st := c.Stats(); st.Open != 0 || st.Closed.Shutdown != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestShutdownEndsADialNobodyWaitsFor(t *testing.T) {
	bubble(t, func(cfg *Config) {
		cfg.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}, func(t *testing.T, s *script, c *Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.post(ctx)
		start := time.Now()
		if err := c.Shutdown(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestAWaiterThatLeavesAfterShutdownEndsItsDial(t *testing.T) {
	bubble(t, func(cfg *Config) {
		cfg.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}, func(t *testing.T, s *script, c *Client) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		go c.post(ctx)
		time.Sleep(time.Second)
		start := time.Now()
		if err := c.Shutdown(t.Context()); err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestCloseEndsADialSomeoneWaitsFor(t *testing.T) {
	for _, stage := range []string{"dial", "CONNECT", "EHLO", "AUTH"} {
		t.Run(stage, func(t *testing.T) {
			bubble(t, func(cfg *Config) {
				if stage == "dial" {
					cfg.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
						<-ctx.Done()
						return nil, ctx.Err()
					}
				}
			}, func(t *testing.T, s *script, c *Client) {
				s.once(stage, mute)
				done := make(chan error, 1)
				go func() { _, err := c.post(t.Context()); done <- err }()
				synctest.Wait()
				start := time.Now()
				c.Close()
				err := <-done
				want(t, err, seserrors.Canceled, "", false)
				if !errors.Is(err, ErrClosed) || time.Since(start) != 0 {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestCloseInsideTheMessageDoesNotHang(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		_, err := c.Send(t.Context(), sender, []string{someone}, writeTo(func(w io.Writer) (int64, error) {
			n, _ := write(w, "half")
			c.Close()
			m, err := write(w, string(bytes.Repeat([]byte("more\r\n"), 1<<16)))
			return n + m, err
		}))
		want(t, err, seserrors.Canceled, "", false)
		if !errors.Is(err, ErrClosed) || len(s.mailbox()) != 0 {
			t.Errorf("%v, %q", err, s.mailbox())
		}
	})
}

func TestADialThatFailsLetsTheNextWaiterTry(t *testing.T) {
	var dials atomic.Int64
	bubble(t, func(cfg *Config) {
		dial := cfg.DialContext
		cfg.MaxConns = 1
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			if dials.Add(1) == 1 {
				return nil, errors.New("no route")
			}
			return dial(ctx, network, addr)
		}
	}, func(t *testing.T, s *script, c *Client) {
		results := make(chan error)
		for range 5 {
			go func() { _, err := c.post(t.Context()); results <- err }()
		}
		failed := 0
		for range 5 {
			if <-results != nil {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d failed", failed)
		}
	})
}

// balanced checks what Stats promises at any time.
func (st Stats) balanced() bool {
	dialling := st.Dials - st.DialErrors - st.Closed.Total() - int64(st.Open)
	return st.Open == st.Idle+st.InUse && st.Idle >= 0 && st.InUse >= 0 && st.Waiting >= 0 &&
		dialling >= 0 && int64(st.Open)+dialling <= int64(st.MaxConns) &&
		st.Ceiling >= 1 && st.Ceiling <= st.MaxConns
}
