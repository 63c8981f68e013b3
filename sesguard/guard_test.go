package sesguard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// retryPolicy is a policy without waits.
func retryPolicy(attempts int, duplicates bool) retry.Policy {
	return retry.Policy{
		Schedule:        retry.Schedule{Waits: []time.Duration{time.Nanosecond}, Jitter: -1},
		MaxAttempts:     attempts,
		AllowDuplicates: duplicates,
	}
}

func letter() *Message {
	return &Message{From: "a@example.com", To: []string{"b@example.org", "c@example.org"}, Subject: "s", Text: "t"}
}

// script is a transport that fails with each of errs in turn and then accepts.
type script struct {
	errs  []error
	calls int
}

func (s *script) Send(context.Context, *Message) (*Receipt, error) {
	s.calls++
	if s.calls <= len(s.errs) {
		if err := s.errs[s.calls-1]; err != nil {
			return nil, err
		}
	}
	return &Receipt{MessageID: "id", Transport: "test", Attempts: 1}, nil
}

func lost() error {
	return &seserrors.Error{Class: seserrors.Unavailable, Reason: seserrors.ResponseLost, MaybeAccepted: true}
}

func TestSendWaitsAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := seserrors.FromSMTP("smtp end of data", 454, "Throttling failure: Maximum sending rate exceeded.")
		s := &script{errs: []error{throttle, throttle, throttle, throttle, throttle}}
		start := time.Now()
		c := New(s, Options{Retry: retry.Policy{Schedule: retry.Schedule{Jitter: -1}}})
		r, err := c.Send(t.Context(), letter())
		if err != nil || r.Attempts != 6 || r.MaybeDuplicate {
			t.Fatalf("got %+v, %v", r, err)
		}
		want := 5*time.Second + 10*time.Second + 30*time.Second + 20*time.Minute + 5*time.Second
		if got := time.Since(start); got != want {
			t.Errorf("took %v, want %v", got, want)
		}
	})
}

func TestSendStopsAtDoubtUnlessDuplicatesAreAllowed(t *testing.T) {
	s := &script{errs: []error{lost()}}
	_, err := New(s, Options{Retry: retryPolicy(5, false)}).Send(t.Context(), letter())
	if !seserrors.MaybeAccepted(err) || s.calls != 1 {
		t.Errorf("at most once: %v after %d attempts, want doubt after 1", err, s.calls)
	}
	s = &script{errs: []error{lost()}}
	r, err := New(s, Options{Retry: retryPolicy(5, true)}).Send(t.Context(), letter())
	if err != nil || s.calls != 2 || !r.MaybeDuplicate || r.Attempts != 2 {
		t.Errorf("at least once: %+v, %v after %d attempts, want MaybeDuplicate after 2", r, err, s.calls)
	}
}

func TestDoubtIsSticky(t *testing.T) {
	rejected := seserrors.FromSMTP("smtp end of data", 554, "Transaction failed: Illegal address")
	_, err := New(&script{errs: []error{lost(), rejected}}, Options{Retry: retryPolicy(5, true)}).Send(t.Context(), letter())
	if !seserrors.MaybeAccepted(err) || seserrors.IsFatal(err) || !errors.Is(err, seserrors.Rejected) {
		t.Errorf("got %v; want the last refusal, and the doubt of the attempt before", err)
	}
}

func TestSendNeverRetriesWhatNeedsAPerson(t *testing.T) {
	s := &script{errs: []error{seserrors.FromSMTP("smtp AUTH", 535, "Authentication Credentials Invalid")}}
	c := New(s, Options{})
	if _, err := c.Send(t.Context(), letter()); !errors.Is(err, seserrors.CredentialsInvalid) || s.calls != 1 {
		t.Fatalf("%v after %d attempts", err, s.calls)
	}
	if _, err := c.Send(t.Context(), letter()); !errors.Is(err, seserrors.CredentialsInvalid) || s.calls != 1 {
		t.Errorf("the next send: %v, %d attempts in all; want the same reason without an attempt", err, s.calls)
	}
}

// limiter is a Limiter of two functions.
type limiter struct {
	wait    func(ctx context.Context, n int) error
	observe func(n int, err error)
}

func (l limiter) WaitN(ctx context.Context, n int) error { return l.wait(ctx, n) }
func (l limiter) Observe(n int, err error)               { l.observe(n, err) }

func TestTheLimiterIsAskedBeforeAndToldAfterEachAttempt(t *testing.T) {
	var log []string
	l := limiter{
		wait:    func(_ context.Context, n int) error { log = append(log, "wait"); return nil },
		observe: func(n int, err error) { log = append(log, fmt.Sprint("observe ", err == nil)) },
	}
	transport := SenderFunc(func(context.Context, *Message) (*Receipt, error) {
		log = append(log, "attempt")
		if len(log) < 4 {
			return nil, seserrors.Classify(seserrors.SendRateExceeded)
		}
		return &Receipt{}, nil
	})
	if _, err := New(transport, Options{Limiter: l, Retry: retryPolicy(0, false)}).Send(t.Context(), letter()); err != nil {
		t.Fatal(err)
	}
	want := []string{"wait", "attempt", "observe false", "wait", "attempt", "observe true"}
	if !slices.Equal(log, want) {
		t.Errorf("got %q, want %q", log, want)
	}
}

func TestALimitersRefusalIsNeverInDoubt(t *testing.T) {
	own := seserrors.Classify(seserrors.AccessDenied)
	for _, tc := range []struct {
		name string
		err  error
		want error
	}{
		{"an error of its own", errors.New("redis: connection refused"), seserrors.Throttled},
		{"a classified error", own, seserrors.AccessDenied},
		{"a timeout of its own", context.DeadlineExceeded, seserrors.Throttled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &script{}
			l := limiter{wait: func(context.Context, int) error { return tc.err }, observe: func(int, error) {}}
			_, err := New(s, Options{Limiter: l, Retry: retryPolicy(2, false)}).Send(t.Context(), letter())
			if !errors.Is(err, tc.want) || seserrors.MaybeAccepted(err) || s.calls != 0 {
				t.Errorf("got %v (doubt %v) after %d attempts, want %v", err, seserrors.MaybeAccepted(err), s.calls, tc.want)
			}
		})
	}
}

func TestALimiterThatComesTooLateIsThrottledWithTheTimeToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		l.reserve(time.Now(), 31) // what others have booked: 30 s
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		start := time.Now()
		_, err := New(&script{}, Options{Limiter: l}).Send(ctx, letter())
		if !errors.Is(err, seserrors.Throttled) || !seserrors.IsRetryable(err) || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want Throttled at once", err, time.Since(start))
		}
		if wait, ok := retry.After(err); !ok || wait != 32*time.Second {
			t.Errorf("retry.After = %v, %v; want 32s, true", wait, ok)
		}
	})
}

func TestAContextThatEndsInTheLimiterIsCanceledWithItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		l := NewLimiter(0.001)
		l.WaitN(ctx, 1)
		time.AfterFunc(time.Second, func() { cancel(cause) })
		_, err := New(&script{}, Options{Limiter: l}).Send(ctx, letter())
		if !errors.Is(err, seserrors.Canceled) || !errors.Is(err, cause) || seserrors.MaybeAccepted(err) {
			t.Errorf("got %v, want Canceled with the cause and without doubt", err)
		}
	})
}

func TestATransportsForeignErrorIsClassified(t *testing.T) {
	_, err := New(&script{errs: []error{errors.New("boom")}}, Options{}).Send(t.Context(), letter())
	var e *seserrors.Error
	if !errors.As(err, &e) {
		t.Errorf("%v holds no *seserrors.Error", err)
	}
}

func TestAPanickingTransportDoesNotBlockTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := New(SenderFunc(func(context.Context, *Message) (*Receipt, error) {
			if calls++; calls == 2 {
				panic("bug")
			}
			if calls == 1 {
				return nil, seserrors.Classify(seserrors.SendingPaused)
			}
			return &Receipt{}, nil
		}), Options{})
		c.Send(t.Context(), letter())
		time.Sleep(minCooldown)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not propagate")
				}
			}()
			c.Send(t.Context(), letter())
		}()
		if _, err := c.Send(t.Context(), letter()); err != nil {
			t.Errorf("after the panic of a probe: %v", err)
		}
	})
}
