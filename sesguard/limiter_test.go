package sesguard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// passed sends n recipients through l and returns how long it took.
func passed(t *testing.T, l *RateLimiter, n int) time.Duration {
	t.Helper()
	start := time.Now()
	if err := l.WaitN(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

func TestMessagesPassEvenlySpacedWithoutABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(10)
		for _, idle := range []time.Duration{0, time.Hour} {
			time.Sleep(idle)
			start := time.Now()
			for i := range 100 {
				passed(t, l, 1)
				if got, want := time.Since(start), time.Duration(i)*100*time.Millisecond; got != want {
					t.Fatalf("after %v without traffic message %d passed after %v, want %v", idle, i, got, want)
				}
			}
		}
	})
}

// A message goes when its first recipient is due; the others are owed.
func TestRecipientsBeyondOneGoIntoDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(14)
		if got := passed(t, l, 50); got != 0 {
			t.Errorf("50 recipients waited %v, want none", got)
		}
		want := 50 * time.Second / 14
		if got := passed(t, l, 1); got < want || got > want+time.Microsecond {
			t.Errorf("the next one waited %v, want %v", got, want)
		}
	})
}

func TestNoSecondSeesMoreThanTheRateAndOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 20
		l := NewRateLimiter(rate)
		var mu sync.Mutex
		var at []time.Time
		var wg sync.WaitGroup
		for range 300 {
			time.Sleep(rand.N(70 * time.Millisecond))
			wg.Go(func() {
				passed(t, l, 1)
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Now())
			})
		}
		wg.Wait()
		slices.SortFunc(at, time.Time.Compare)
		for i := range at[:len(at)-rate-1] {
			if d := at[i+rate+1].Sub(at[i]); d < time.Second {
				t.Fatalf("%d passed within %v", rate+2, d)
			}
		}
	})
}

// A timer may be late. What is made up for is one turn, so that a second still
// sees no more than the rate and one.
func TestALateTimerIsMadeUpForByOneTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(1)
		passed(t, l, 1)
		var turns []*turn
		for range 3 {
			turn, _, _ := l.gate.enter(1, time.Time{})
			turns = append(turns, turn)
		}
		l.gate.timer.Stop()
		time.Sleep(5 * time.Second)
		l.gate.add(0)
		for i, want := range []bool{true, true, false} {
			if got := turns[i].place == nil; got != want {
				t.Errorf("turn %d has passed: %v, want %v", i, got, want)
			}
		}
	})
}

// Credit that time has brought before the timer says so is the first waiter's.
func TestACallerDoesNotOvertakeThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(1)
		passed(t, l, 1)
		first, _, _ := l.gate.enter(1, time.Time{})
		l.gate.timer.Stop()
		time.Sleep(2 * time.Second)
		l.gate.enter(1, time.Time{})
		if first.place != nil {
			t.Error("the second caller passed before the first")
		}
	})
}

func TestWhoHasLeftCountsNoMoreForADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(1)
		passed(t, l, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go l.WaitN(t.Context(), 1)
		for range 100 {
			go l.WaitN(ctx, 1)
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		soon, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := l.WaitN(soon, 1); err != nil {
			t.Errorf("the turn after the next is due in 2s, but with 3s to go: %v", err)
		}
	})
}

func TestRateLimiterRefusesAtOnceWhenTheDeadlineComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(1)
		passed(t, l, 9)
		start := time.Now()
		ctx, cancel := context.WithDeadline(t.Context(), start.Add(9*time.Second-1))
		defer cancel()
		err := l.WaitN(ctx, 1)
		if !errors.Is(err, seserrors.Throttled) || seserrors.MaybeAccepted(err) {
			t.Fatalf("got %v, want Throttled without doubt", err)
		}
		if wait, ok := retry.After(err); !ok || wait != 9*time.Second {
			t.Errorf("retry.After = %v, %v; want 9s, true", wait, ok)
		}
		if time.Since(start) != 0 {
			t.Errorf("refused after %v, want at once", time.Since(start))
		}
		// A refused message costs nothing, and just in time is in time.
		ctx, cancel = context.WithDeadline(t.Context(), start.Add(9*time.Second+1))
		defer cancel()
		if err := l.WaitN(ctx, 1); err != nil || time.Since(start) != 9*time.Second {
			t.Errorf("in time: %v after %v", err, time.Since(start))
		}
	})
}

func TestAHundredThousandCanceledWaitersDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiters = 100_000
		l := NewRateLimiter(50)
		passed(t, l, 1)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range waiters {
			wg.Go(func() {
				if err := l.WaitN(ctx, 1); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want context.Canceled", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if got := passed(t, l, 1); got > time.Second/50 {
			t.Errorf("the next send waited %v, want %v at most", got, time.Second/50)
		}
	})
}

func TestWaitersPassInTheirOrderAndAnyMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(1)
		passed(t, l, 1)
		start := time.Now()
		var mu sync.Mutex
		var order []int
		cancels := make([]context.CancelFunc, 30)
		var wg sync.WaitGroup
		for i := range cancels {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cancels[i] = cancel
			wg.Go(func() {
				if l.WaitN(ctx, 1) == nil {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, i)
					if got, want := time.Since(start), time.Duration(len(order))*time.Second; got != want {
						t.Errorf("%d passed after %v, want %v", i, got, want)
					}
				}
			})
			synctest.Wait()
		}
		for i, cancel := range cancels { // the first, the last, and some in between
			if i%3 == 0 || i == len(cancels)-1 {
				cancel()
			}
		}
		wg.Wait()
		if len(order) != 19 || !slices.IsSorted(order) {
			t.Errorf("passed in the order %v", order)
		}
	})
}

// One whose context ends at the moment of its turn gives back what it paid.
func TestALateLeaverGivesItsTurnBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(1)
		passed(t, l, 1)
		turn, _, _ := l.gate.enter(10, time.Time{})
		time.Sleep(time.Second)
		<-turn.ready
		l.gate.leave(turn)
		if got := passed(t, l, 1); got != 0 {
			t.Errorf("the next one waited %v for what was not sent", got)
		}
	})
}

func TestSetRateHoldsForThoseWhoWaitToo(t *testing.T) {
	for _, tc := range []struct {
		name string
		rate float64 // after one of the ten seconds that are owed
		want time.Duration
	}{
		{"faster", 0.9, 11 * time.Second},
		{"slower", 0.05, 1*time.Second + 9*time.Second*2},
		{"no limit", math.Inf(1), time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewRateLimiter(0.1)
				passed(t, l, 1)
				start := time.Now()
				time.AfterFunc(time.Second, func() { l.SetRate(tc.rate) })
				passed(t, l, 1)
				want := tc.want
				if tc.name == "faster" {
					want = 2 * time.Second
				}
				if got := time.Since(start); got < want-time.Microsecond || got > want+time.Microsecond {
					t.Errorf("waited %v, want %v", got, want)
				}
			})
		})
	}
}

func TestARateOfNothingRefusesThoseWhoWaitAndCome(t *testing.T) {
	for _, nothing := range []float64{0, -1, math.NaN()} {
		t.Run(fmt.Sprint(nothing), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewRateLimiter(1)
				passed(t, l, 1)
				waiting := make(chan error)
				go func() { waiting <- l.WaitN(t.Context(), 1) }()
				synctest.Wait()
				l.SetRate(nothing)
				for _, err := range []error{<-waiting, l.WaitN(t.Context(), 1), NewRateLimiter(nothing).WaitN(t.Context(), 1)} {
					if !errors.Is(err, seserrors.Throttled) || !seserrors.IsRetryable(err) {
						t.Errorf("got %v, want Throttled", err)
					}
				}
				l.SetRate(1)
				if got := passed(t, l, 1); got != time.Second {
					t.Errorf("with a rate again: waited %v, want what was owed, 1s", got)
				}
			})
		})
	}
}

func TestRatesAtTheirExtremes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast := NewRateLimiter(math.Inf(1))
		for range 1000 {
			if got := passed(t, fast, 50); got != 0 {
				t.Fatalf("+Inf: waited %v", got)
			}
		}
		slow := NewRateLimiter(1e-300)
		passed(t, slow, math.MaxInt)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Hour)
		defer cancel()
		for range 3 {
			if err := slow.WaitN(ctx, math.MaxInt); !errors.Is(err, seserrors.Throttled) {
				t.Errorf("1e-300: got %v, want Throttled", err)
			}
		}
		if got := passed(t, NewRateLimiter(1), -5); got != 0 {
			t.Errorf("fewer than no recipients waited %v", got)
		}
	})
}

func TestAnEndedContextIsNotLetPass(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewRateLimiter(1).WaitN(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLimitedAsksBeforeAndTellsAfterEachAttempt(t *testing.T) {
	refusal := seserrors.Classify(seserrors.SendRateExceeded)
	s := &script{errs: []error{refusal}}
	var log []string
	l := limiter{
		wait: func(ctx context.Context, n int) error {
			info, _ := InfoFrom(ctx)
			log = append(log, fmt.Sprint("wait ", n, " ", info.From))
			return nil
		},
		observe: func(n int, err error) { log = append(log, fmt.Sprint("observe ", n, " ", err)) },
	}
	if _, err := New(Limited(s, l), Options{Retry: retryPolicy(0, false)}).Send(t.Context(), letter()); err != nil {
		t.Fatal(err)
	}
	want := []string{"wait 2 a@example.com", fmt.Sprint("observe 2 ", refusal), "wait 2 a@example.com", "observe 2 <nil>"}
	if !slices.Equal(log, want) {
		t.Errorf("got %q, want %q", log, want)
	}
}

func TestLimitedsRefusalSendsNothingAndIsNotInDoubt(t *testing.T) {
	s := &script{}
	l := limiter{wait: func(context.Context, int) error { return errors.New("redis: EOF") }}
	_, err := New(Limited(s, l), Options{Retry: retryPolicy(2, false)}).Send(t.Context(), letter())
	if !errors.Is(err, seserrors.Throttled) || seserrors.MaybeAccepted(err) || s.calls != 0 {
		t.Errorf("got %v after %d attempts, want Throttled without doubt", err, s.calls)
	}
}

// An account of 14 a second refuses whatever any second sees beyond that. A
// limiter a little below it draws no refusal, however many send at once.
func TestARateBelowTheAccountsDrawsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mails, account, rate = 3000, 14, 13.3
		var mu sync.Mutex
		var at []time.Time
		refused := 0
		c := New(TransportFunc(func(context.Context, *Mail) (*Receipt, error) {
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			if n := len(at); n >= account && now.Sub(at[n-account]) < time.Second {
				refused++
				return nil, seserrors.Classify(seserrors.SendRateExceeded)
			}
			at = append(at, now)
			return nil, nil
		}), Options{Limiter: NewRateLimiter(rate)})
		start := time.Now()
		work := make(chan int)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range work {
					if _, err := c.Send(t.Context(), &Message{From: "a@example.com", To: []string{"b@example.org"}, Text: "t"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range mails {
			work <- i
		}
		close(work)
		wg.Wait()
		want := time.Duration(math.Round((mails - 1) / rate * float64(time.Second)))
		if took := time.Since(start); refused != 0 || took > want+time.Millisecond {
			t.Errorf("%d refusals, took %v, want none in %v", refused, took, want)
		}
	})
}
