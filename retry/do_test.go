package retry_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// A script is an operation that fails with the given errors, one by one, and
// then succeeds. It notes when it was called.
type script struct {
	errs  []error
	calls []time.Time
}

func fails(errs ...error) *script { return &script{errs: errs} }

func (s *script) op(context.Context) error {
	s.calls = append(s.calls, time.Now())
	if i := len(s.calls) - 1; i < len(s.errs) {
		return s.errs[i]
	}
	return nil
}

// waits returns the time between the calls.
func (s *script) waits() []time.Duration {
	var waits []time.Duration
	for i := 1; i < len(s.calls); i++ {
		waits = append(waits, s.calls[i].Sub(s.calls[i-1]))
	}
	return waits
}

func repeat(err error, n int) []error { return slices.Repeat([]error{err}, n) }

// failure returns err as what Do must give.
func failure(t *testing.T, err error) *retry.Error {
	t.Helper()
	e, ok := err.(*retry.Error)
	if !ok {
		t.Fatalf("Do = %T %v, want a *retry.Error", err, err)
	}
	return e
}

func TestDoWaitsAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fails(repeat(throttled, len(documented))...)
		if err := retry.Do(t.Context(), retry.Policy{Schedule: exact, MaxElapsed: -1}, s.op); err != nil {
			t.Fatal(err)
		}
		if got := s.waits(); !slices.Equal(got, documented) {
			t.Errorf("waits %v, want %v", got, documented)
		}
	})
}

func TestDoNeverWaitsLessThanDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			s := fails(repeat(unavailable, 8)...)
			if err := retry.Do(t.Context(), retry.Policy{MaxElapsed: -1}, s.op); err != nil {
				t.Fatal(err)
			}
			for i, wait := range s.waits() {
				if want := documented[i]; wait < want || wait > want+want/10 {
					t.Fatalf("wait %d took %v, want %v to a tenth more", i+1, wait, want)
				}
			}
		}
	})
}

func TestDoDecidesByClass(t *testing.T) {
	const s, m = time.Second, time.Minute
	tests := []struct {
		name   string
		policy retry.Policy
		errs   []error
		waits  []time.Duration
		want   error // nil: success at last
	}{
		{"success at once", retry.Policy{}, nil, nil, nil},
		{"rejected at once", retry.Policy{}, []error{rejected}, nil, rejected},
		{"rejected later", retry.Policy{}, []error{throttled, rejected}, []time.Duration{5 * s}, rejected},
		{"quota waits the pause each time", retry.Policy{}, []error{overQuota, overQuota}, []time.Duration{20 * m, 20 * m}, nil},
		{"quota waits the pause beside NewBackOff",
			retry.Policy{NewBackOff: func() backoff.BackOff { return &counting{} }},
			[]error{throttled, overQuota, throttled}, []time.Duration{1, 20 * m, 2}, nil},
		{"clock skew is tried again at once", retry.Policy{}, []error{skew}, []time.Duration{0}, nil},
		{"clock skew is tried again once only", retry.Policy{}, []error{skew, skew}, []time.Duration{0}, skew},
		{"clock skew later is tried again at once too", retry.Policy{}, []error{throttled, skew}, []time.Duration{5 * s, 0}, nil},
		{"clock skew is tried again once in all", retry.Policy{}, []error{skew, throttled, skew}, []time.Duration{0, 10 * s}, skew},
		{"doubt stops", retry.Policy{}, []error{lost}, nil, lost},
		{"doubt is repeated when duplicates are allowed", retry.Policy{AllowDuplicates: true}, []error{lost, lost}, []time.Duration{5 * s, 10 * s}, nil},
		{"marked as permanent", retry.Policy{}, []error{fmt.Errorf("sender: %w", backoff.Permanent(throttled))}, nil, throttled},
		{"marked as permanent around nothing", retry.Policy{}, []error{errors.Join(throttled, backoff.Permanent(errors.New("no")))}, nil, throttled},
		{"tried again already", retry.Policy{}, []error{fmt.Errorf("inner: %w", &retry.Error{Attempts: 9, Err: throttled})}, nil, throttled},
		{"the failure asks for a longer wait", retry.Policy{}, []error{slowDown{throttled, m}}, []time.Duration{m}, nil},
		{"the last attempt allowed", retry.Policy{MaxAttempts: 2}, repeat(throttled, 2), []time.Duration{5 * s}, throttled},
		{"one attempt", retry.Policy{MaxAttempts: 1}, repeat(throttled, 1), nil, throttled},
		{"BackOff stops", retry.Policy{NewBackOff: func() backoff.BackOff { return &backoff.StopBackOff{} }}, repeat(throttled, 1), nil, throttled},
		{"BackOff is negative", retry.Policy{NewBackOff: func() backoff.BackOff { return backoff.NewConstantBackOff(math.MinInt64) }}, repeat(throttled, 1), nil, throttled},
		{"BackOff is huge", retry.Policy{NewBackOff: func() backoff.BackOff { return backoff.NewConstantBackOff(math.MaxInt64) }}, repeat(throttled, 1), nil, throttled},
		{"BackOff of a limited number", retry.Policy{NewBackOff: func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(s), 2)
		}}, repeat(throttled, 3), []time.Duration{s, s}, throttled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.policy.Schedule.Jitter = -1
				s := fails(tt.errs...)
				err := retry.Do(t.Context(), tt.policy, s.op)
				if got := s.waits(); !slices.Equal(got, tt.waits) || len(s.calls) != len(tt.waits)+1 {
					t.Errorf("%d attempts with waits %v, want %v", len(s.calls), got, tt.waits)
				}
				if tt.want == nil {
					if err != nil {
						t.Errorf("Do = %v, want nil", err)
					}
					return
				}
				e := failure(t, err)
				if !errors.Is(err, tt.want) || e.Attempts != len(s.calls) || e.Elapsed != time.Since(s.calls[0]) {
					t.Errorf("Do = %v with %d attempts in %v, want %v, %d, %v", err, e.Attempts, e.Elapsed, tt.want, len(s.calls), time.Since(s.calls[0]))
				}
			})
		})
	}
}

// A permanent mark around nil must not turn a failure into a success.
func TestDoTakesAMarkedNothingForAFailure(t *testing.T) {
	s := fails(fmt.Errorf("sender: %w", markedNil{}), nil)
	if err := retry.Do(t.Context(), retry.Policy{}, s.op); err == nil {
		t.Error("Do = nil for an operation that failed")
	}
	if len(s.calls) != 1 {
		t.Errorf("%d attempts, want 1", len(s.calls))
	}
}

type markedNil struct{}

func (markedNil) Error() string { return "nothing marked as permanent" }
func (markedNil) As(target any) bool {
	p, ok := target.(**backoff.PermanentError)
	if ok {
		*p = &backoff.PermanentError{}
	}
	return ok
}

func TestDoReturnsAtOnceWhenTheDeadlineComesFirst(t *testing.T) {
	tests := []struct {
		name    string
		timeout time.Duration
		calls   int
	}{
		// Waits of 5 s and 10 s, and a second for the last attempt.
		{"second wait does not fit with its second", 16*time.Second - 1, 2},
		{"second wait just fits", 16 * time.Second, 3},
		{"first wait does not fit with its second", 6*time.Second - 1, 1},
		{"first wait just fits", 6 * time.Second, 2},
		{"first wait does not fit at all", time.Second, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				s := fails(repeat(throttled, 99)...)
				err := retry.Do(ctx, retry.Policy{Schedule: exact}, s.op)
				if len(s.calls) != tt.calls {
					t.Errorf("%d attempts, want %d", len(s.calls), tt.calls)
				}
				if late := time.Since(s.calls[len(s.calls)-1]); late != 0 {
					t.Errorf("returned %v after the last attempt, want at once", late)
				}
				if !seserrors.IsRetryable(err) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Do = %v, want the last failure alone, which is retryable", err)
				}
				if wait, ok := retry.After(err); wait != documented[tt.calls-1] || !ok {
					t.Errorf("After = %v, %t, want %v, true", wait, ok, documented[tt.calls-1])
				}
			})
		})
	}
}

// Clock-skew waits for nothing, and still an attempt needs its second.
func TestDoLeavesASecondForAnImmediateRetry(t *testing.T) {
	for timeout, calls := range map[time.Duration]int{time.Second: 2, time.Second - 1: 1} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			s := fails(skew)
			_ = retry.Do(ctx, retry.Policy{}, s.op)
			if len(s.calls) != calls {
				t.Errorf("%d attempts before a deadline in %v, want %d", len(s.calls), timeout, calls)
			}
		})
	}
}

func TestDoBoundsTheElapsedTime(t *testing.T) {
	tests := []struct {
		name       string
		maxElapsed time.Duration
		calls      int
		after      time.Duration
	}{
		// Waits of 5 s, 10 s, 30 s, 20 min, 5 s … sum to 41.5 min after two rounds
		// and to 42 min 15 s before the third pause.
		{"one hour by default", 0, 12, 20 * time.Minute},
		{"just enough for the second wait", 15 * time.Second, 3, 30 * time.Second},
		{"just too little for the second wait", 15*time.Second - 1, 2, 10 * time.Second},
		{"a moment", 1, 1, 5 * time.Second},
		{"longest", math.MaxInt64, 40, 20 * time.Minute},
		{"no bound", -1, 40, 20 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fails(repeat(throttled, 99)...)
				err := retry.Do(t.Context(), retry.Policy{Schedule: exact, MaxElapsed: tt.maxElapsed, MaxAttempts: 40}, s.op)
				if len(s.calls) != tt.calls {
					t.Errorf("%d attempts, want %d", len(s.calls), tt.calls)
				}
				if late := time.Since(s.calls[len(s.calls)-1]); late != 0 {
					t.Errorf("returned %v after the last attempt, want at once", late)
				}
				if wait, ok := retry.After(err); wait != tt.after || !ok || !seserrors.IsRetryable(err) {
					t.Errorf("After = %v, %t, want %v, true", wait, ok, tt.after)
				}
			})
		})
	}
}

func TestMaxElapsedCountsTheAttemptsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		_ = retry.Do(t.Context(), retry.Policy{Schedule: exact, MaxElapsed: 10 * time.Second}, func(context.Context) error {
			calls++
			time.Sleep(5*time.Second + 1)
			return throttled
		})
		if calls != 1 {
			t.Errorf("%d attempts, want 1: 5 s of work and 5 s of waiting are too long by 1 ns", calls)
		}
	})
}

func TestContextEndingDuringAWaitGivesItsCauseAndTheLastFailure(t *testing.T) {
	shutdown := errors.New("shutting down")
	tests := []struct {
		name  string
		cause error
		is    []error
	}{
		{"canceled", nil, []error{context.Canceled}},
		{"canceled with a cause", shutdown, []error{context.Canceled, shutdown}},
		{"canceled because another mail is in doubt", fmt.Errorf("other mail: %w", lost), []error{context.Canceled, lost}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(45*time.Second+7*time.Minute, func() { cancel(tt.cause) }) // in the pause
				s := fails(repeat(throttled, 99)...)
				begin := time.Now()
				err := retry.Do(ctx, retry.Policy{Schedule: exact}, s.op)
				if took := time.Since(begin); took != 45*time.Second+7*time.Minute {
					t.Errorf("returned after %v, want when the context ended", took)
				}
				for _, is := range append(tt.is, throttled, seserrors.Throttled) {
					if !errors.Is(err, is) {
						t.Errorf("%v does not hold %v", err, is)
					}
				}
				if e := failure(t, err); e.Attempts != 4 || e.RetryAfter != 13*time.Minute {
					t.Errorf("%d attempts, retry after %v, want 4, 13m", e.Attempts, e.RetryAfter)
				}
				if seserrors.MaybeAccepted(err) || !seserrors.IsRetryable(err) || seserrors.Classify(err).Class != seserrors.Throttled {
					t.Errorf("%v: in doubt %t, retryable %t, class %v; want the last failure's", err,
						seserrors.MaybeAccepted(err), seserrors.IsRetryable(err), seserrors.Classify(err).Class)
				}
				if wait, ok := retry.After(err); wait != 13*time.Minute || !ok {
					t.Errorf("After = %v, %t, want the rest of the pause", wait, ok)
				}
			})
		})
	}
}

// The class comes from the last failure also when that is not one of ours.
func TestContextEndingDuringAWaitAfterABareClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := retry.Do(ctx, retry.Policy{}, fails(fmt.Errorf("relay: %w", seserrors.Throttled)).op)
		if !seserrors.IsRetryable(err) || !errors.Is(err, seserrors.Throttled) || !errors.Is(err, context.Canceled) {
			t.Errorf("Do = %v, want throttled and canceled", err)
		}
	})
}

func TestContextThatEndedBeforeIsNotTried(t *testing.T) {
	shutdown := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(shutdown)
	s := fails()
	err := retry.Do(ctx, retry.Policy{}, s.op)
	if len(s.calls) != 0 || failure(t, err).Attempts != 0 {
		t.Errorf("%d attempts, %d reported, want 0", len(s.calls), failure(t, err).Attempts)
	}
	if !errors.Is(err, context.Canceled) || !errors.Is(err, shutdown) || !errors.Is(err, seserrors.Canceled) {
		t.Errorf("Do = %v, want canceled and its cause", err)
	}
	if seserrors.MaybeAccepted(err) || seserrors.IsFatal(err) || seserrors.IsRetryable(err) {
		t.Errorf("%v is in doubt, fatal or retryable, want only canceled", err)
	}
	if wait, ok := retry.After(err); wait != 0 || !ok {
		t.Errorf("After = %v, %t, want 0, true", wait, ok)
	}
}

func TestContextThatEndsDuringAnAttempt(t *testing.T) {
	tests := []struct {
		name string
		errs []error
		is   []error
	}{
		{"success is success", []error{nil}, nil},
		{"a retryable failure is not repeated, and the cause stands beside it", []error{throttled}, []error{throttled, context.Canceled}},
		{"a failure that stops anyway stands alone", []error{rejected}, []error{rejected}},
		{"an immediate retry is not made", []error{skew}, []error{skew, context.Canceled}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 { // a wait of 0 races with the context
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					s := fails(tt.errs...)
					var seen []retry.Attempt
					p := retry.Policy{OnAttempt: func(a retry.Attempt) { seen = append(seen, a) }}
					begin := time.Now()
					err := retry.Do(ctx, p, func(ctx context.Context) error {
						cancel()
						return s.op(ctx)
					})
					if len(s.calls) != 1 || time.Since(begin) != 0 || len(seen) != 1 || seen[0].Again {
						t.Errorf("%d attempts in %v, reported %v, want 1 at once", len(s.calls), time.Since(begin), seen)
					}
					if (err == nil) != (tt.is == nil) || errors.Is(err, context.Canceled) != slices.Contains(tt.is, context.Canceled) {
						t.Errorf("Do = %v, want %v", err, tt.is)
					}
					for _, is := range tt.is {
						if !errors.Is(err, is) {
							t.Errorf("%v does not hold %v", err, is)
						}
					}
				})
			}
		})
	}
}

func TestDeadlineThatPassesDuringAnAttemptIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := retry.Do(ctx, retry.Policy{}, func(context.Context) error {
			time.Sleep(2 * time.Second)
			return throttled
		})
		if !errors.Is(err, throttled) || !errors.Is(err, context.DeadlineExceeded) || seserrors.MaybeAccepted(err) {
			t.Errorf("Do = %v, want throttled and the deadline, not in doubt", err)
		}
	})
}

func TestAfterABackOffThatStopsTheScheduleHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retry.Policy{Schedule: exact, NewBackOff: func() backoff.BackOff {
			return backoff.WithMaxRetries(&backoff.ZeroBackOff{}, 2)
		}}
		err := retry.Do(t.Context(), p, fails(repeat(throttled, 9)...).op)
		if wait, ok := retry.After(err); wait != 30*time.Second || !ok {
			t.Errorf("After = %v, %t after three attempts, want 30s, true", wait, ok)
		}
	})
}

// The end of a wait and the end of the context fall together, and the wait is seen
// first: an attempt under an ended context must not start.
func TestContextThatEndsTogetherWithAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx := endsUnnoticed{context.Background(), begin.Add(5 * time.Second)}
		ops := fails(repeat(throttled, 2)...)
		err := retry.Do(ctx, retry.Policy{Schedule: exact}, ops.op)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, throttled) || len(ops.calls) != 1 {
			t.Errorf("Do = %v after %d attempts, want throttled and canceled after 1", err, len(ops.calls))
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("took %v, want 5s", took)
		}
	})
}

// endsUnnoticed is a context that has ended from a time on, and whose Done has not
// been closed yet.
type endsUnnoticed struct {
	context.Context
	at time.Time
}

func (c endsUnnoticed) Err() error {
	if time.Now().Before(c.at) {
		return nil
	}
	return context.Canceled
}

func TestDoubtStays(t *testing.T) {
	tests := []struct {
		name  string
		errs  []error
		class seserrors.Class
		is    []error
		not   error
	}{
		{"refused after doubt", []error{lost, rejected}, seserrors.Rejected, []error{lost, rejected}, nil},
		{"throttled after doubt", append([]error{lost}, repeat(throttled, 9)...), seserrors.Throttled, []error{lost, throttled}, nil},
		{"doubt after a refusal", []error{throttled, lost, rejected}, seserrors.Rejected, []error{lost, rejected}, throttled},
		{"doubt alone", repeat(lost, 9), seserrors.Unavailable, []error{lost}, nil},
		{"doubt without evidence", []error{fmt.Errorf("other client: %w", context.DeadlineExceeded), rejected}, seserrors.Rejected, []error{rejected, context.DeadlineExceeded}, nil},
		{"refused by a bare class after doubt", []error{lost, fmt.Errorf("relay: %w", seserrors.Rejected)}, seserrors.Rejected, []error{lost, seserrors.Rejected}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := retry.Do(t.Context(), retry.Policy{AllowDuplicates: true, MaxAttempts: 4}, fails(tt.errs...).op)
				if !seserrors.MaybeAccepted(err) || seserrors.IsRetryable(err) || seserrors.IsFatal(err) {
					t.Errorf("%v: in doubt %t, retryable %t, fatal %t; want only in doubt", err,
						seserrors.MaybeAccepted(err), seserrors.IsRetryable(err), seserrors.IsFatal(err))
				}
				if got := seserrors.Classify(err).Class; got != tt.class {
					t.Errorf("class %v, want %v, the last failure's", got, tt.class)
				}
				for _, is := range tt.is {
					if !errors.Is(err, is) {
						t.Errorf("%v does not hold %v", err, is)
					}
				}
				if tt.not != nil && errors.Is(err, tt.not) {
					t.Errorf("%v holds %v, which is past", err, tt.not)
				}
				if wait, ok := retry.After(err); ok || wait != 0 || failure(t, err).RetryAfter != 0 {
					t.Errorf("After = %v, %t, RetryAfter %v: a mail in doubt would be doubled", wait, ok, failure(t, err).RetryAfter)
				}
			})
		})
	}
}

func TestDoubtStaysWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel) // in the second wait
		err := retry.Do(ctx, retry.Policy{AllowDuplicates: true, Schedule: exact}, fails(lost, throttled).op)
		if !seserrors.MaybeAccepted(err) || seserrors.Classify(err).Class != seserrors.Throttled {
			t.Errorf("%v: in doubt %t, class %v, want true, throttled", err, seserrors.MaybeAccepted(err), seserrors.Classify(err).Class)
		}
		for _, is := range []error{lost, throttled, context.Canceled} {
			if !errors.Is(err, is) {
				t.Errorf("%v does not hold %v", err, is)
			}
		}
	})
}

func TestSuccessAfterDoubtIsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := retry.Do(t.Context(), retry.Policy{AllowDuplicates: true}, fails(lost).op); err != nil {
			t.Errorf("Do = %v, want nil", err)
		}
	})
}

func TestNestedDoIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := fails(repeat(throttled, 99)...)
		p := retry.Policy{Schedule: exact, MaxAttempts: 3}
		err := retry.Do(t.Context(), p, func(ctx context.Context) error {
			return fmt.Errorf("send: %w", retry.Do(ctx, p, inner.op))
		})
		if len(inner.calls) != 3 {
			t.Errorf("%d attempts, want the inner policy's 3", len(inner.calls))
		}
		if wait, ok := retry.After(err); wait != 30*time.Second || !ok {
			t.Errorf("After = %v, %t, want the inner policy's 30s", wait, ok)
		}
		if n := strings.Count(err.Error(), "attempts"); n != 1 {
			t.Errorf("%q counts attempts %d times", err, n)
		}
	})
}

func TestOnAttemptSeesEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []retry.Attempt
		p := retry.Policy{Schedule: exact, OnAttempt: func(a retry.Attempt) { got = append(got, a) }}
		s := fails(skew, throttled, rejected)
		_ = retry.Do(t.Context(), p, func(ctx context.Context) error {
			time.Sleep(time.Second)
			return s.op(ctx)
		})
		_ = retry.Do(t.Context(), p, fails().op)
		want := []retry.Attempt{
			{N: 1, Took: time.Second, Err: skew, Again: true},
			{N: 2, Took: time.Second, Err: throttled, Again: true, Wait: 10 * time.Second},
			{N: 3, Took: time.Second, Err: rejected},
			{N: 1},
		}
		if !slices.Equal(got, want) {
			t.Errorf("reported %v, want %v", got, want)
		}
	})
}

func TestOnAttemptIsToldOfTheLastOneBeforeADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var last retry.Attempt
		_ = retry.Do(ctx, retry.Policy{OnAttempt: func(a retry.Attempt) { last = a }}, fails(throttled).op)
		if want := (retry.Attempt{N: 1, Err: throttled}); last != want {
			t.Errorf("reported %v, want %v", last, want)
		}
	})
}

func TestPanicInTheOperationIsNotRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if got := recover(); got != "caller's bug" {
				t.Errorf("recovered %v, want the operation's panic", got)
			}
		}()
		s := fails(throttled)
		_ = retry.Do(t.Context(), retry.Policy{}, func(ctx context.Context) error {
			if err := s.op(ctx); err != nil {
				return err
			}
			panic("caller's bug")
		})
		t.Error("Do returned")
	})
}

func TestSuccessAtFirstCostsThreeAllocationsAtMost(t *testing.T) {
	ctx, p := t.Context(), retry.Policy{OnAttempt: func(retry.Attempt) {}}
	op := func(context.Context) error { return nil }
	allocs := testing.AllocsPerRun(100, func() { _ = retry.Do(ctx, p, op) })
	if allocs > 3 {
		t.Errorf("%v allocations, want 3 at most", allocs)
	}
}

func BenchmarkDoSuccess(b *testing.B) {
	b.ReportAllocs()
	op := func(context.Context) error { return nil }
	for b.Loop() {
		_ = retry.Do(b.Context(), retry.Policy{}, op)
	}
}

// counted is an answer of the API that counts how often it is classified.
type counted struct{ n int }

func (c *counted) Error() string        { return "api error Throttling: x" }
func (c *counted) ErrorMessage() string { return "x" }
func (c *counted) ErrorCode() string    { c.n++; return "Throttling" }

func TestDoClassifiesEachAttemptOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := &counted{}
		_ = retry.Do(t.Context(), retry.Policy{MaxAttempts: 3}, func(context.Context) error { return err })
		if err.n != 3 {
			t.Errorf("3 attempts, classified %d times", err.n)
		}
	})
}

// Do waits for a retry exactly when Next says again at the same time.
func TestMaxElapsedMeansTheSameInDoAndNext(t *testing.T) {
	for _, limit := range []time.Duration{0, 5 * time.Second, 20 * time.Second, 2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := retry.Policy{Schedule: exact, MaxElapsed: limit}
			start, n := time.Now(), 0
			again := true
			_ = retry.Do(t.Context(), p, func(context.Context) error {
				if n++; !again {
					t.Fatalf("limit %v: Do tries attempt %d, Next does not", limit, n)
				}
				_, again = p.Next(n, time.Since(start), throttled)
				return throttled
			})
			if again {
				t.Errorf("limit %v: Do stops after attempt %d, Next does not", limit, n)
			}
		})
	}
}
