package sesguard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// A send that waits is told at once, and what it waited out is in the error.
func TestShutdownEndsEveryWaitAtOnceWithItsCause(t *testing.T) {
	throttle := seserrors.FromSMTP("smtp end of data", 454, "Throttling failure: Maximum sending rate exceeded.")
	standing := limiter{
		wait:    func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() },
		observe: func(int, error) {},
	}
	for _, tc := range []struct {
		name   string
		client func() *Client
		cause  error // beside client-closed
		after  time.Duration
	}{
		{"for a retry", func() *Client {
			return New(&script{errs: []error{throttle}}, Options{Retry: retry.Policy{Schedule: retry.Schedule{Waits: []time.Duration{20 * time.Minute}, Jitter: -1}}})
		}, seserrors.SendRateExceeded, 20*time.Minute - time.Second},
		{"for the limiter", func() *Client { return New(&script{}, Options{Limiter: standing}) }, seserrors.Canceled, 0},
		{"for the limiter of one transport", func() *Client { return New(Limited(&script{}, standing), Options{}) }, seserrors.Canceled, 0},
		{"for the budget", func() *Client {
			c := New(&script{errs: []error{throttle}}, Options{Retry: retryPolicy(0, false)})
			c.guard.budget.credit = -10 * time.Minute
			return c
		}, seserrors.SendRateExceeded, 10*time.Minute - firstEarns - time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, start := tc.client(), time.Now()
				sent := make(chan error, 1)
				go func() { _, err := c.Send(t.Context(), letter()); sent <- err }()
				time.Sleep(time.Second)
				if err := c.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				err := <-sent
				if time.Since(start) != time.Second {
					t.Errorf("Send returned after %v, want 1s", time.Since(start))
				}
				if !errors.Is(err, seserrors.ClientClosed) || !errors.Is(err, tc.cause) || seserrors.MaybeAccepted(err) || seserrors.IsFatal(err) {
					t.Errorf("got %v, want client-closed and %v", err, tc.cause)
				}
				if wait, ok := retry.After(err); !ok || wait != tc.after {
					t.Errorf("retry.After = %v, %v; want %v", wait, ok, tc.after)
				}
			})
		})
	}
}

func TestAttemptsUnderWayFinishAndShutdownWaitsForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(TransportFunc(func(ctx context.Context, _ *Mail) (*Receipt, error) {
			select {
			case <-time.After(time.Minute):
				return &Receipt{MessageID: "id"}, nil
			case <-ctx.Done():
				return nil, lost()
			}
		}), Options{})
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := c.Send(t.Context(), letter()); err != nil || time.Since(start) != time.Minute {
					t.Errorf("an attempt under way: %v after %v", err, time.Since(start))
				}
			})
		}
		time.Sleep(time.Second)
		cause := errors.New("no more time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, cause)
		defer cancel()
		if err := c.Shutdown(ctx); !errors.Is(err, cause) || time.Since(start) != 11*time.Second {
			t.Errorf("Shutdown gave %v after %v, want its context's cause after 11s", err, time.Since(start))
		}
		if err := c.Shutdown(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("Shutdown gave %v after %v, want to wait for the attempts", err, time.Since(start))
		}
		wg.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Shutdown(ended); err != nil {
			t.Errorf("nothing is left, but Shutdown gave %v", err)
		}
	})
}

// An attempt that fails after Shutdown is not followed by another, and its
// failure is what the caller gets.
func TestNoAttemptFollowsShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := New(TransportFunc(func(context.Context, *Mail) (*Receipt, error) {
			calls++
			time.Sleep(time.Minute)
			return nil, seserrors.Classify(seserrors.SendRateExceeded)
		}), Options{})
		sent := make(chan error, 1)
		go func() { _, err := c.Send(t.Context(), letter()); sent <- err }()
		time.Sleep(time.Second)
		c.Shutdown(t.Context())
		err := <-sent
		if calls != 1 || !errors.Is(err, seserrors.SendRateExceeded) || !errors.Is(err, seserrors.ClientClosed) {
			t.Errorf("got %v after %d attempts", err, calls)
		}
		if wait, ok := retry.After(err); !ok || wait < 5*time.Second {
			t.Errorf("retry.After = %v, %v; want the documented wait", wait, ok)
		}
	})
}

func TestShutdownRefusesLaterSendsAlsoOfGuardsThatShareIt(t *testing.T) {
	g := NewGuard(Options{})
	other := g.With(retry.Policy{AllowDuplicates: true})
	if err := other.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, g := range map[string]*Guard{"the guard": g, "with another policy": other} {
		s := &script{}
		_, err := g.Client(s).Send(t.Context(), letter())
		if !errors.Is(err, seserrors.ClientClosed) || !errors.Is(err, seserrors.Canceled) || s.calls != 0 {
			t.Errorf("%s: got %v after %d attempts", name, err, s.calls)
		}
		if wait, ok := retry.After(err); !ok || wait != 0 {
			t.Errorf("%s: retry.After = %v, %v; want at once", name, wait, ok)
		}
	}
}

// A limiter may be slow to notice that its context has ended.
func TestALimiterThatLetsPassAfterShutdownSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := &script{}
		c := New(s, Options{Limiter: limiter{
			wait:    func(context.Context, int) error { time.Sleep(time.Minute); return nil },
			observe: func(n int, err error) { told = append(told, fmt.Sprint(n, " ", seserrors.Classify(err).Reason)) },
		}})
		sent := make(chan error, 1)
		go func() { _, err := c.Send(t.Context(), letter()); sent <- err }()
		time.Sleep(time.Second)
		c.Shutdown(t.Context())
		if err := <-sent; !errors.Is(err, seserrors.ClientClosed) || s.calls != 0 {
			t.Errorf("got %v after %d attempts", err, s.calls)
		}
		if fmt.Sprint(told) != "[2 client-closed]" {
			t.Errorf("the limiter was told %q", told)
		}
	})
}

func TestWithHasAnotherPolicyAndTheSameBrakes(t *testing.T) {
	g := NewGuard(Options{Retry: retryPolicy(5, false)})
	s := &script{errs: []error{lost()}}
	if _, err := g.Client(s).Send(t.Context(), letter()); !seserrors.MaybeAccepted(err) || s.calls != 1 {
		t.Errorf("at most once: %v after %d attempts", err, s.calls)
	}
	s = &script{errs: []error{lost(), paused()}}
	again := g.With(retryPolicy(5, true)).Client(s)
	if _, err := again.Send(t.Context(), letter()); !seserrors.MaybeAccepted(err) || s.calls != 2 {
		t.Errorf("at least once: %v after %d attempts", err, s.calls)
	}
	s = &script{}
	if _, err := g.Client(s).Send(t.Context(), letter()); !errors.Is(err, seserrors.SendingPaused) || s.calls != 0 {
		t.Errorf("the account is paused for one: the other got %v after %d attempts", err, s.calls)
	}
}

func TestStatsSayWhatTheGuardIsDoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle, release := seserrors.Classify(seserrors.SendRateExceeded), make(chan error)
		c := New(TransportFunc(func(context.Context, *Mail) (*Receipt, error) { return nil, <-release }), Options{})
		want := func(waiting, inFlight int, open bool) {
			t.Helper()
			synctest.Wait()
			s := c.guard.Stats()
			if s.Waiting != waiting || s.InFlight != inFlight || open == s.BreakerSince.IsZero() || open != (s.BreakerWhy != nil) {
				t.Errorf("got %+v, want %d waiting, %d in flight, open %v", s, waiting, inFlight, open)
			}
		}
		want(0, 0, false)
		for range 3 {
			go c.Send(t.Context(), letter())
		}
		want(0, 3, false)
		release <- throttle
		want(1, 2, false)
		opened := time.Now()
		release <- paused()
		want(1, 1, true)
		time.Sleep(time.Second)
		if s := c.guard.Stats(); !s.BreakerSince.Equal(opened) || !errors.Is(s.BreakerWhy, seserrors.SendingPaused) {
			t.Errorf("got %+v", s)
		}
		release <- nil
		want(1, 0, false)
		time.Sleep(10 * time.Second)
		release <- nil
		want(0, 0, false)
	})
}
