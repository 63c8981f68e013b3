package sesguard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"runtime"
	"slices"
	"syscall"
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

func (s *script) Attempt(context.Context, *Mail) (*Receipt, error) {
	s.calls++
	if s.calls <= len(s.errs) {
		if err := s.errs[s.calls-1]; err != nil {
			return nil, err
		}
	}
	return &Receipt{MessageID: "id", Transport: "test", Attempts: 1}, nil
}

func lost() *seserrors.Error {
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
	s := &script{errs: []error{seserrors.FromSMTP("smtp MAIL", 554, "Sending suspended for this account")}}
	c := New(s, Options{})
	for range 2 {
		_, err := c.Send(t.Context(), letter())
		if seserrors.Classify(err).Reason.Scope() != seserrors.ScopeAccount || !seserrors.IsFatal(err) || s.calls != 1 {
			t.Fatalf("%v after %d attempts in all; want the account's refusal after one", err, s.calls)
		}
	}
}

// limiter is a Limiter of two functions.
type limiter struct {
	wait    func(ctx context.Context, n int) error
	observe func(n int, err error)
}

func (l limiter) WaitN(ctx context.Context, n int) error      { return l.wait(ctx, n) }
func (l limiter) Observe(_ context.Context, n int, err error) { l.observe(n, err) }

func TestTheLimiterIsAskedBeforeAndToldAfterEachAttempt(t *testing.T) {
	var log []string
	l := limiter{
		wait:    func(_ context.Context, n int) error { log = append(log, "wait"); return nil },
		observe: func(n int, err error) { log = append(log, fmt.Sprint("observe ", err == nil)) },
	}
	transport := TransportFunc(func(context.Context, *Mail) (*Receipt, error) {
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
		{"the doubt of another mail", lost(), seserrors.Unavailable},
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
		l := NewRateLimiter(1)
		l.WaitN(t.Context(), 32) // what is owed: 32 s
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
		l := NewRateLimiter(0.001)
		l.WaitN(ctx, 1)
		time.AfterFunc(time.Second, func() { cancel(cause) })
		_, err := New(&script{}, Options{Limiter: l}).Send(ctx, letter())
		if !errors.Is(err, seserrors.Canceled) || !errors.Is(err, cause) || seserrors.MaybeAccepted(err) {
			t.Errorf("got %v, want Canceled with the cause and without doubt", err)
		}
	})
}

// Only a transport knows whether it sent. Neither type nor words of an error
// without a *seserrors.Error are believed: they may be those of a middleware's
// database, after SES has accepted the mail.
func TestATransportsErrorWithoutAVerdictLeavesTheMailInDoubt(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	accepted := &Receipt{MessageID: "id"}
	for _, tc := range []struct {
		name    string
		receipt *Receipt
		err     error
	}{
		{"a text", nil, errors.New("boom")},
		{"a failed dial", nil, fmt.Errorf("store the receipt: %w", dial)},
		{"the text of a failed dial", nil, errors.New("dial tcp 10.0.0.1:5432: connect: connection refused")},
		{"the text of a refusal", nil, errors.New("454 Throttling failure: Maximum sending rate exceeded.")},
		{"a refusal of another server", nil, &textproto.Error{Code: 550, Msg: "no such user"}},
		{"an unknown name", nil, &net.DNSError{Err: "no such host", Name: "db", IsNotFound: true}},
		{"the end of a context", nil, context.Canceled},
		{"a bare class", nil, seserrors.Unavailable},
		{"a bare class beside an I/O error", nil, fmt.Errorf("my transport: %w: %w", seserrors.Unavailable, io.ErrUnexpectedEOF)},
		{"a bare reason", nil, fmt.Errorf("my transport: %w", seserrors.SendRateExceeded)},
		{"a nil *Error", nil, (*seserrors.Error)(nil)},
		{"a verdict beside a receipt", accepted, &seserrors.Error{Class: seserrors.Unavailable}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls := 0
			transport := TransportFunc(func(context.Context, *Mail) (*Receipt, error) { calls++; return tc.receipt, tc.err })
			for name, transport := range map[string]Transport{"alone": transport, "limited": Limited(transport, NewRateLimiter(1e9))} {
				calls = 0
				_, err := New(transport, Options{Retry: retryPolicy(5, false)}).Send(t.Context(), letter())
				var e *seserrors.Error
				if !seserrors.MaybeAccepted(err) || seserrors.IsRetryable(err) || seserrors.IsFatal(err) || !errors.As(err, &e) || calls != 1 {
					t.Errorf("%s: got %v after %d attempts, want doubt after one", name, err, calls)
				}
				if tc.name != "a nil *Error" && !errors.Is(err, tc.err) {
					t.Errorf("%s: %v does not hold the transport's error", name, err)
				}
			}
		})
	}
}

func TestATransportThatKnowsThatNothingWasSentIsBelieved(t *testing.T) {
	s := &script{errs: []error{fmt.Errorf("middleware: %w", &seserrors.Error{Class: seserrors.Unavailable, Err: io.ErrUnexpectedEOF})}}
	r, err := New(s, Options{Retry: retryPolicy(5, false)}).Send(t.Context(), letter())
	if err != nil || r.Attempts != 2 || r.MaybeDuplicate {
		t.Errorf("got %+v, %v; want acceptance at the second attempt, without doubt", r, err)
	}
}

func TestNoReceiptAndNoErrorIsAcceptanceWithoutAnID(t *testing.T) {
	accepts := TransportFunc(func(context.Context, *Mail) (*Receipt, error) { return nil, nil })
	policy := retry.Policy{OnAttempt: func(retry.Attempt) { t.Error("Retry.OnAttempt was called") }}
	r, err := New(accepts, Options{Retry: policy}).Send(t.Context(), letter())
	if err != nil || r == nil || r.MessageID != "" || r.Attempts != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Whatever user code does, nothing stays claimed or counted: not the breaker's
// probe, not the attempt, not the send.
func TestUserCodeThatPanicsOrExitsLeavesNothingBehind(t *testing.T) {
	ways := map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit}
	for _, place := range []string{"transport", "SendStart", "AttemptStart", "AttemptDone", "Waited", "Breaker", "SendDone", "WaitN", "Observe"} {
		for name, way := range ways {
			t.Run(place+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					broken := ""
					at := func(here string) {
						if here == broken {
							broken = ""
							way()
						}
					}
					refuses := true
					var observed, waited int
					c := New(TransportFunc(func(context.Context, *Mail) (*Receipt, error) {
						at("transport")
						if refuses {
							return nil, paused()
						}
						return nil, nil
					}), Options{
						Limiter: limiter{
							wait:    func(context.Context, int) error { at("WaitN"); waited++; return nil },
							observe: func(int, error) { observed++; at("Observe") },
						},
						Hooks: Hooks{
							SendStart:    func(ctx context.Context, _ Info) context.Context { at("SendStart"); return ctx },
							AttemptStart: func(ctx context.Context, _ int) context.Context { at("AttemptStart"); return ctx },
							AttemptDone:  func(context.Context, Attempt) { at("AttemptDone") },
							Waited:       func(context.Context, string, time.Duration) { at("Waited") },
							Breaker:      func(bool, *seserrors.Error) { at("Breaker") },
							SendDone:     func(context.Context, *Receipt, error) { at("SendDone") },
						},
					})
					send := func() (err error) {
						done := make(chan struct{})
						go func() {
							defer close(done)
							defer func() { recover() }()
							_, err = c.Send(t.Context(), letter())
						}()
						<-done
						return err
					}
					send()
					time.Sleep(minCooldown)
					broken, refuses = place, false
					send() // a probe
					if broken != "" {
						t.Fatal("it was never called")
					}
					if s := c.guard.Stats(); s.InFlight != 0 || s.Waiting != 0 {
						t.Errorf("left %+v", s)
					}
					if waited != observed {
						t.Errorf("the limiter let %d pass and was told of %d", waited, observed)
					}
					if err := send(); err != nil {
						t.Errorf("the next send: %v", err)
					}
					if err := c.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// An attempt that did not return may have sent: breaker and limiters must not
// take it for an acceptance.
func TestAnAttemptThatPanicsIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		l := limiter{
			wait:    func(context.Context, int) error { return nil },
			observe: func(_ int, err error) { told = append(told, err) },
		}
		calls := 0
		c := New(Limited(TransportFunc(func(context.Context, *Mail) (*Receipt, error) {
			if calls++; calls == 2 {
				panic("bug")
			}
			return nil, paused()
		}), l), Options{Limiter: l})
		c.Send(t.Context(), letter())
		time.Sleep(minCooldown)
		func() {
			defer func() { recover() }()
			c.Send(t.Context(), letter())
		}()
		if len(told) != 4 || !seserrors.MaybeAccepted(told[2]) || !seserrors.MaybeAccepted(told[3]) {
			t.Errorf("the limiters were told %v, want doubt of the second attempt", told)
		}
		if c.guard.Stats().BreakerWhy == nil {
			t.Error("the breaker is closed")
		}
	})
}

func TestTheWaitForTheBudgetFitsOrIsNotMade(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name     string
		elapsed  time.Duration // Policy.MaxElapsed
		deadline time.Duration // of the context; 0: none
		due      time.Duration // when the budget has room for the retry
		late     bool
	}{
		{"a second before the deadline", 0, 20 * s, 19 * s, false},
		{"less than a second before the deadline", 0, 20 * s, 19*s + 1, true},
		{"after the deadline", 0, 20 * s, 30 * s, true},
		{"at MaxElapsed", 20 * s, 0, 20 * s, false},
		{"after MaxElapsed", 20 * s, 0, 20*s + 1, true},
		{"after MaxElapsed, before the deadline", 20 * s, 30 * s, 21 * s, true},
		{"after the deadline, before MaxElapsed", 30 * s, 20 * s, 21 * s, true},
		{"at an hour by default", 0, 0, time.Hour, false},
		{"after an hour by default", 0, 0, time.Hour + 1, true},
		{"at any time without a bound", -1, 0, 100 * time.Hour, false},
		{"after the deadline, without a bound", -1, 20 * s, 100 * time.Hour, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, start := t.Context(), time.Now()
				if tc.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.deadline)
					defer cancel()
				}
				policy := retryPolicy(0, false)
				policy.MaxElapsed = tc.elapsed
				transport := &script{errs: []error{seserrors.Classify(seserrors.AuthUnavailable)}}
				c := New(transport, Options{Retry: policy})
				c.guard.budget.credit = -firstEarns - tc.due
				_, err := c.Send(ctx, letter())
				took := time.Since(start)
				if !tc.late {
					if err != nil || took != tc.due || transport.calls != 2 {
						t.Errorf("got %v after %v and %d attempts, want success after %v and 2", err, took, transport.calls, tc.due)
					}
					return
				}
				if took != 1 || transport.calls != 1 {
					t.Errorf("gave up after %v and %d attempts, want at once after one", took, transport.calls)
				}
				if !errors.Is(err, seserrors.AuthUnavailable) || errors.Is(err, seserrors.Canceled) || !seserrors.IsRetryable(err) || seserrors.MaybeAccepted(err) {
					t.Errorf("got %v, want the last failure", err)
				}
				if wait, ok := retry.After(err); !ok || wait != tc.due-took {
					t.Errorf("retry.After = %v, %v; want %v", wait, ok, tc.due-took)
				}
			})
		})
	}
}

func TestAContextThatEndsInTheBudgetGivesTheLastFailureAndTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		c := New(&script{errs: []error{seserrors.Classify(seserrors.AuthUnavailable)}}, Options{Retry: retryPolicy(2, false)})
		c.guard.budget.credit = -time.Minute
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start := time.Now()
		_, err := c.Send(ctx, letter())
		if time.Since(start) != time.Second || c.guard.budget.queue.Len() != 0 {
			t.Errorf("returned after %v with %d in the queue, want 1s and 0", time.Since(start), c.guard.budget.queue.Len())
		}
		if seserrors.Classify(err).Reason != seserrors.AuthUnavailable || !errors.Is(err, cause) || seserrors.MaybeAccepted(err) {
			t.Errorf("got %v, want the last failure and the cause, without doubt", err)
		}
	})
}

func TestTheBudgetKeepsTheDoubtOfAnEarlierAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := retryPolicy(0, true)
		policy.MaxElapsed = time.Second
		c := New(&script{errs: []error{lost()}}, Options{Retry: policy})
		c.guard.budget.credit = -time.Minute
		_, err := c.Send(t.Context(), letter())
		if _, ok := retry.After(err); ok || !seserrors.MaybeAccepted(err) {
			t.Errorf("got %v, want the doubt of the first attempt", err)
		}
	})
}

func TestARetryThatIsNotMadeCostsNothing(t *testing.T) {
	for name, refuse := range map[string]func(*Client) error{
		"the limiter refuses": func(*Client) error { return seserrors.Classify(seserrors.AccessDenied) },
		"the breaker opens":   func(c *Client) error { c.guard.breaker.observe(0, paused()); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c *Client
				asked := 0
				l := limiter{
					wait: func(context.Context, int) error {
						if asked++; asked == 2 {
							return refuse(c)
						}
						return nil
					},
					observe: func(int, error) {},
				}
				transport := &script{errs: []error{seserrors.Classify(seserrors.Network)}}
				c = New(transport, Options{Limiter: l, Retry: retryPolicy(0, false)})
				c.guard.budget.credit = 10 * retryCost
				_, err := c.Send(t.Context(), letter())
				if !seserrors.IsFatal(err) || transport.calls != 1 {
					t.Fatalf("got %v after %d attempts, want a refusal after one", err, transport.calls)
				}
				if got, want := c.guard.budget.credit, 10*retryCost+firstEarns+1; got != want { // and one for the time
					t.Errorf("credit %v, want %v", got, want)
				}
			})
		})
	}
}

func TestARetryThatSucceedsEarnsItsCostAndOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := seserrors.Classify(seserrors.Network)
		c := New(&script{errs: []error{failure, failure}}, Options{Retry: retryPolicy(0, false)})
		c.guard.budget.credit = 10 * retryCost
		if _, err := c.Send(t.Context(), letter()); err != nil {
			t.Fatal(err)
		}
		if got, want := c.guard.budget.credit, (10-2+2)*retryCost+firstEarns+2; got != want { // and two for the time
			t.Errorf("credit %v after two retries of which one succeeded, want %v", got, want)
		}
	})
}

// A round that never reached the transport is no traffic: its next round is a first
// attempt, not a retry.
func TestOnlyWhatFollowsAnAttemptIsARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		l := limiter{
			wait: func(context.Context, int) error {
				if asked++; asked <= 3 {
					return seserrors.Classify(seserrors.DailyQuotaExceeded)
				}
				return nil
			},
			observe: func(int, error) {},
		}
		c := New(&script{}, Options{Limiter: l, Retry: retry.Policy{Schedule: retry.Schedule{Jitter: -1}}})
		c.guard.budget.credit = -10 * time.Hour
		start := time.Now()
		r, err := c.Send(t.Context(), letter())
		if err != nil || r.Attempts != 1 || time.Since(start) != time.Hour {
			t.Fatalf("got %+v, %v after %v; want one attempt after an hour", r, err, time.Since(start))
		}
		if got, want := c.guard.budget.credit, firstEarns-10*time.Hour; got != want {
			t.Errorf("credit %v, want %v: one first attempt's", got, want)
		}
	})
}

func TestTheLimiterHearsOfWhatItLetPassAndTheBreakerRefused(t *testing.T) {
	var c *Client
	var told []string
	l := limiter{
		wait:    func(context.Context, int) error { c.guard.breaker.observe(0, paused()); return nil },
		observe: func(n int, err error) { told = append(told, fmt.Sprint(n, " ", seserrors.Classify(err).Reason)) },
	}
	s := &script{}
	c = New(s, Options{Limiter: l})
	for range 2 { // the second is refused before the limiter is asked
		if _, err := c.Send(t.Context(), letter()); !errors.Is(err, seserrors.SendingPaused) || s.calls != 0 {
			t.Errorf("got %v after %d attempts, want the breaker's refusal", err, s.calls)
		}
	}
	if want := []string{"2 sending-paused"}; !slices.Equal(told, want) {
		t.Errorf("the limiter was told %q, want %q", told, want)
	}
}

// One of a group of sends is in doubt and cancels the others: the doubt is not
// theirs.
func TestTheDoubtOfACauseIsNotThisMails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			name string
			send func(context.Context) error
		}{
			{"in the limiter", func(ctx context.Context) error {
				l := NewRateLimiter(0.001)
				l.WaitN(ctx, 1)
				_, err := New(&script{}, Options{Limiter: l}).Send(ctx, letter())
				return err
			}},
			{"in the budget", func(ctx context.Context) error {
				c := New(&script{errs: []error{seserrors.Classify(seserrors.Network)}}, Options{Retry: retryPolicy(0, false)})
				c.guard.budget.credit = -time.Minute
				_, err := c.Send(ctx, letter())
				return err
			}},
		} {
			cause := lost()
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			if err := tc.send(ctx); seserrors.MaybeAccepted(err) || !errors.Is(err, cause) {
				t.Errorf("%s: got %v (doubt %v), want the cause without its doubt", tc.name, err, seserrors.MaybeAccepted(err))
			}
		}
	})
}
