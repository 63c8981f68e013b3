package smtpclient

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const tooMany = "421 Too many concurrent SMTP connections"

// A hall lets so many connections of a script in at the same time and turns the
// others away as SES does.
type hall struct {
	*script
	mu      sync.Mutex
	limit   int
	limited bool // for unruly: the limit changes
	in      int
	most    int
	refused []time.Time
}

func newHall(t *testing.T, limit int) *hall {
	h := &hall{script: newScript(t), limit: limit}
	h.reply = h.greet
	h.wrap = func(c net.Conn) net.Conn { return &guest{Conn: c, hall: h} }
	return h
}

func (h *hall) set(limit int) {
	h.mu.Lock()
	h.limit = limit
	h.mu.Unlock()
}

func (h *hall) refusals() []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.refused)
}

func (h *hall) greet(p *peer, stage, _ string) string {
	if stage != "CONNECT" {
		return ""
	}
	return h.enter(p.Conn)
}

func (h *hall) enter(conn net.Conn) string {
	if late, ok := conn.(*lateGuest); ok {
		conn = late.guest
	}
	g := conn.(*guest)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.in >= h.limit {
		h.refused = append(h.refused, time.Now())
		return tooMany
	}
	g.in = true
	h.in++
	h.most = max(h.most, h.in)
	return ""
}

// way is how long a dial takes: long enough for those of one moment to overlap.
const way = 10 * time.Millisecond

func (h *hall) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	time.Sleep(way)
	return h.script.dial(ctx, network, addr)
}

// A guest is a connection that leaves the hall when it is closed.
type guest struct {
	net.Conn
	hall *hall
	in   bool
}

func (g *guest) Close() error {
	g.hall.mu.Lock()
	if g.in {
		g.in = false
		g.hall.in--
	}
	g.hall.mu.Unlock()
	return g.Conn.Close()
}

// crowd runs a test with a hall and a client in fake time.
func crowd(t *testing.T, limit, maxConns int, f func(t *testing.T, h *hall, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, limit)
		c := h.client(t, func(cfg *Config) { cfg.MaxConns, cfg.DialContext = maxConns, h.dial })
		f(t, h, c)
	})
}

// slow sends a mail that holds its connection for d.
func (c *Client) slow(ctx context.Context, d time.Duration) error {
	_, err := c.Send(ctx, sender, []string{someone}, writeTo(func(w io.Writer) (int64, error) {
		time.Sleep(d)
		return write(w, string(letter))
	}))
	return err
}

// many runs n slow sends at the same time and returns their errors.
func (c *Client) many(t *testing.T, n int, d time.Duration) (errs []error) {
	errs = make([]error, n)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = c.slow(t.Context(), d) })
	}
	wg.Wait()
	return errs
}

// busy keeps n sends going until the function it returns is called.
func (c *Client) busy(t *testing.T, n int, d time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := c.slow(t.Context(), d); err != nil {
					t.Error(err)
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func TestSendsWaitWhenTheServerAllowsFewerConnections(t *testing.T) {
	crowd(t, 4, 10, func(t *testing.T, h *hall, c *Client) {
		for _, err := range c.many(t, 60, 100*time.Millisecond) {
			if err != nil {
				t.Errorf("a send that could wait failed: %v", err)
			}
		}
		st := c.Stats()
		if h.most != 4 || st.Ceiling != 4 || st.Open != 4 || len(h.mailbox()) != 60 {
			t.Errorf("%d connections, %d mails, %+v", h.most, len(h.mailbox()), st)
		}
		if n := len(h.refusals()); n != 6 {
			t.Errorf("%d dials were refused; the first ten began together, and no other needed to be", n)
		}
	})
}

func TestTheCeilingIsTriedAgainAfterItsTimeWhichDoubles(t *testing.T) {
	crowd(t, 2, 4, func(t *testing.T, h *hall, c *Client) {
		start := time.Now()
		defer c.busy(t, 8, time.Second)()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		var waits []time.Duration
		last := start.Add(way)
		for _, at := range h.refusals()[2:] { // the first two came at once
			waits = append(waits, at.Sub(last))
			last = at
		}
		want := []time.Duration{5, 10, 20, 40, 60, 60, 60}
		for i := range want {
			want[i] = want[i]*time.Second + way
		}
		if !slices.Equal(waits, want) {
			t.Errorf("tried after %v, want %v", waits, want)
		}
	})
}

func TestTheCeilingRisesOneByOneWhenTheServerAllowsMore(t *testing.T) {
	crowd(t, 2, 6, func(t *testing.T, h *hall, c *Client) {
		defer c.busy(t, 12, 900*time.Millisecond)()
		time.Sleep(80 * time.Second) // tried after 5, 15, 35 and 75 s; next at 135 s
		h.set(100)
		time.Sleep(55*time.Second - time.Millisecond) // just before, the ways included
		for i, want := range []int{2, 3, 4, 5, 6, 6} {
			synctest.Wait()
			if st := c.Stats(); st.Open != want || st.Ceiling != max(want, 2) {
				t.Errorf("step %d: %d connections under a ceiling of %d, want %d", i, st.Open, st.Ceiling, want)
			}
			if i == 0 {
				time.Sleep(time.Second)
			} else {
				time.Sleep(backoffMin)
			}
		}
	})
}

func TestAnIdleClientForgetsTheCeiling(t *testing.T) {
	crowd(t, 1, 3, func(t *testing.T, h *hall, c *Client) {
		c.many(t, 3, time.Second)
		if st := c.Stats(); st.Ceiling != 1 {
			t.Fatalf("stats %+v", st)
		}
		time.Sleep(time.Hour)
		if st := c.Stats(); st.Ceiling != 3 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestConnectionsAreReplacedUnderACeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, 3)
		c := h.client(t, func(cfg *Config) { cfg.MaxConns, cfg.MaxMessagesPerConn, cfg.DialContext = 8, 2, h.dial })
		for _, err := range c.many(t, 100, 10*time.Millisecond) {
			if err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if st := c.Stats(); st.Closed.Messages < 48 || len(h.refusals()) != 5 || st.Ceiling != 3 {
			t.Errorf("%d refused, %+v", len(h.refusals()), st)
		}
	})
}

// The last connection dies under its message while others wait for it.
func TestAWaiterDialsWhenTheLastConnectionDies(t *testing.T) {
	crowd(t, 1, 4, func(t *testing.T, h *hall, c *Client) {
		var cut atomic.Bool
		h.reply = func(p *peer, stage, arg string) string {
			if stage == "DOT" && cut.CompareAndSwap(false, true) {
				return hangUp
			}
			return h.greet(p, stage, arg)
		}
		start := time.Now()
		failed := 0
		for _, err := range c.many(t, 12, 100*time.Millisecond) {
			if err != nil {
				want(t, err, seserrors.Unavailable, "", true)
				failed++
			}
		}
		if n, _, _ := h.connections(); failed != 1 || n != 4+1 {
			t.Errorf("%d failed, %d dials", failed, n)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("took %v: somebody hung", took)
		}
	})
}

func TestAllWaitersLearnThatNoConnectionIsAllowedAtAll(t *testing.T) {
	crowd(t, 1, 4, func(t *testing.T, h *hall, c *Client) {
		h.reply = func(p *peer, stage, arg string) string {
			if stage == "DOT" {
				h.set(0)
				return hangUp
			}
			return h.greet(p, stage, arg)
		}
		start := time.Now()
		doubted := 0
		for _, err := range c.many(t, 12, 100*time.Millisecond) {
			if seserrors.MaybeAccepted(err) {
				doubted++
				continue
			}
			want(t, err, seserrors.Unavailable, seserrors.TooManyConnections, false)
		}
		if took := time.Since(start); doubted != 1 || took > 100*time.Millisecond+3*way {
			t.Errorf("%d in doubt after %v", doubted, took)
		}
		if n := len(h.refusals()); n != 3+1 {
			t.Errorf("%d dials were refused, want 3 at the start and one for all who waited", n)
		}
		if st := c.Stats(); st.Ceiling != 4 {
			t.Errorf("stats %+v", st)
		}
		_, err := c.post(t.Context())
		want(t, err, seserrors.Unavailable, seserrors.TooManyConnections, false)
		if n := len(h.refusals()); n != 4 {
			t.Errorf("%d dials were refused: the lockout is not in force", n)
		}
		h.reply = h.greet
		h.set(4)
		time.Sleep(backoffMin)
		if _, err := c.post(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Everybody is refused, and nobody has a connection.
func TestTogetherRefusedDialsWithoutAConnectionFailAtOnce(t *testing.T) {
	crowd(t, 0, 10, func(t *testing.T, h *hall, c *Client) {
		start := time.Now()
		for _, err := range c.many(t, 50, time.Second) {
			want(t, err, seserrors.Unavailable, seserrors.TooManyConnections, false)
		}
		if n := len(h.refusals()); n != 10 || time.Since(start) != way {
			t.Errorf("%d dials were refused in %v", n, time.Since(start))
		}
	})
}

func TestAWaiterUnderACeilingEndsWithItsContextShutdownAndClose(t *testing.T) {
	for _, how := range []string{"context", "Shutdown", "Close"} {
		t.Run(how, func(t *testing.T) {
			crowd(t, 1, 5, func(t *testing.T, h *hall, c *Client) {
				cause := errors.New("enough")
				ctx, cancel := context.WithCancelCause(t.Context())
				first, waiting := make(chan error, 1), make(chan error, 20)
				go func() { first <- c.slow(t.Context(), 30*time.Second) }()
				time.Sleep(time.Second)
				for range 20 {
					go func() { waiting <- c.slow(ctx, 0) }()
				}
				time.Sleep(2 * time.Second)
				if st := c.Stats(); st.Waiting != 20 || st.Open != 1 || st.Ceiling != 1 {
					t.Errorf("stats %+v", st)
				}
				start := time.Now()
				ended := make(chan error, 1)
				switch how {
				case "context":
					cancel(cause)
					ended <- nil
				case "Shutdown":
					go func() { ended <- c.Shutdown(t.Context()) }()
				case "Close":
					go func() { ended <- c.Close() }()
				}
				for range 20 {
					err := <-waiting
					want(t, err, seserrors.Canceled, "", false)
					if how == "context" && !errors.Is(err, cause) || how != "context" && !errors.Is(err, ErrClosed) {
						t.Errorf("a waiter got %v", err)
					}
				}
				if time.Since(start) != 0 {
					t.Errorf("waiters were told after %v", time.Since(start))
				}
				if err := <-first; (err != nil) != (how == "Close") {
					t.Errorf("the sender got %v", err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				cancel(nil)
			})
		})
	}
}

// A waiter that gave up must not take its slot along.
func TestADialThatOutlivesItsWaiterMayBeRefusedToo(t *testing.T) {
	crowd(t, 1, 2, func(t *testing.T, h *hall, c *Client) {
		release := make(chan struct{})
		h.reply = func(p *peer, stage, arg string) string {
			if stage == "CONNECT" && p.n == 2 {
				<-release
			}
			return h.greet(p, stage, arg)
		}
		defer c.busy(t, 1, 50*time.Millisecond)()
		time.Sleep(75 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		want(t, c.slow(ctx, 0), seserrors.Canceled, seserrors.DeadlineExceeded, false)
		close(release)
		time.Sleep(time.Second)
		if st := c.Stats(); st.Ceiling != 1 || st.DialErrors != 1 {
			t.Errorf("stats %+v", st)
		}
		for _, err := range c.many(t, 5, 0) {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTheCeilingUnderStress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, 3)
		c := h.client(t, func(cfg *Config) { cfg.MaxConns, cfg.MaxMessagesPerConn, cfg.DialContext = 9, 3, h.dial })
		end := make(chan struct{})
		go func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				case <-time.After(700 * time.Millisecond):
					h.set([]int{1, 9, 2, 5, 3, 20, 1, 4, 2, 7, 0}[i%11])
				}
			}
		}()
		var wg sync.WaitGroup
		var sent, refused atomic.Int64
		for i := range 24 {
			wg.Go(func() {
				for j := range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(50+37*(i*j%50))*time.Millisecond)
					err := c.slow(ctx, time.Duration(i*j%40)*time.Millisecond)
					cancel()
					switch e := seserrors.Classify(err); {
					case err == nil:
						sent.Add(1)
					case e.Reason == seserrors.TooManyConnections:
						refused.Add(1)
						time.Sleep(backoffMin / 10)
					case e.Class != seserrors.Canceled:
						t.Error(err)
					}
					if st := c.Stats(); !st.balanced() || st.Ceiling < 1 || st.Ceiling > 9 {
						t.Errorf("stats %+v", st)
					}
				}
			})
		}
		wg.Wait()
		close(end)
		h.set(9)
		time.Sleep(2 * time.Minute)
		c.slow(t.Context(), 0) // ends a lockout
		start := time.Now()
		for _, err := range c.many(t, 40, time.Second) { // everything is as before
			if err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("40 sends of a second each took %v over nine connections", took)
		}
		if st := c.Stats(); st.Ceiling != 9 || sent.Load() < 500 || len(h.mailbox()) < int(sent.Load()) {
			t.Errorf("%d sent, %d refused, %+v", sent.Load(), refused.Load(), st)
		}
		if err := c.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// lingers has a hall count a connection for a while after it was closed.
func (h *hall) lingers(d time.Duration) {
	h.wrap = func(c net.Conn) net.Conn { return &lateGuest{&guest{Conn: c, hall: h}, d} }
}

type lateGuest struct {
	*guest
	after time.Duration
}

func (g *lateGuest) Close() error {
	if g.in {
		time.AfterFunc(g.after, func() { g.guest.Close() })
		return g.Conn.Close()
	}
	return g.guest.Close()
}

// A connection that said QUIT may still count at the server: a dial that is
// refused then says nothing about how many are allowed.
func TestReplacedConnectionsDoNotLowerTheCeiling(t *testing.T) {
	for _, maxConns := range []int{3, 8} {
		synctest.Test(t, func(t *testing.T) {
			h := newHall(t, 3)
			h.lingers(50 * time.Millisecond)
			c := h.client(t, func(cfg *Config) { cfg.MaxConns, cfg.MaxMessagesPerConn, cfg.DialContext = maxConns, 10, h.dial })
			lowest := 3
			for range 20 {
				for _, err := range c.many(t, 30, 10*time.Millisecond) {
					if err != nil {
						t.Error(err)
					}
				}
				lowest = min(lowest, c.Stats().Ceiling)
			}
			if st := c.Stats(); lowest != 3 || st.Closed.Messages < 50 || len(h.refusals()) < 10 || len(h.refusals()) > 3*int(st.Closed.Messages) {
				t.Errorf("the ceiling fell to %d, %d dials were refused, %+v", lowest, len(h.refusals()), st)
			}
			time.Sleep(time.Second)
		})
	}
}

func TestAClientWithOneConnectionWaitsUntilTheServerHasForgottenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, 1)
		h.lingers(400 * time.Millisecond)
		c := h.client(t, func(cfg *Config) { cfg.MaxConns, cfg.MaxMessagesPerConn, cfg.DialContext = 1, 1, h.dial })
		for range 5 {
			h.mustPost(t, c)
		}
		if n := len(h.refusals()); n < 4 || n > 4*5 {
			t.Errorf("%d dials were refused", n)
		}
		time.Sleep(time.Second)
	})
}

// Not every server says "too many connections" as SES does.
func TestA421GreetingBesideOtherConnectionsMeansTooMany(t *testing.T) {
	crowd(t, 2, 8, func(t *testing.T, h *hall, c *Client) {
		h.reply = func(p *peer, stage, arg string) string {
			if said := h.greet(p, stage, arg); said == "" {
				return ""
			}
			return "421 4.7.0 mail.example.com Too many connected clients, try again in a moment"
		}
		h.mustPost(t, c) // so that there is one
		for _, err := range c.many(t, 40, 100*time.Millisecond) {
			if err != nil {
				t.Error(err)
			}
		}
		if st := c.Stats(); st.Ceiling != 2 || len(h.refusals()) > 8 {
			t.Errorf("%d refused, %+v", len(h.refusals()), st)
		}
	})
	crowd(t, 0, 2, func(t *testing.T, h *hall, c *Client) {
		h.reply = func(_ *peer, stage, _ string) string {
			if stage == "CONNECT" {
				return "421 try again in a moment"
			}
			return ""
		}
		for range 3 { // without another it is what it says: later
			e := want(t, c.slow(t.Context(), 0), seserrors.Unavailable, "", false)
			if e.Reason == seserrors.TooManyConnections {
				t.Error(e)
			}
		}
		if n, _, _ := h.connections(); n != 3 {
			t.Errorf("%d dials", n)
		}
	})
}
