package sesguard

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

func TestRateLimiterLetsAMessageOfFiftyRecipientsPassAtFourteenASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(14)
		start := time.Now()
		if err := l.WaitN(t.Context(), 50); err != nil {
			t.Fatal(err)
		}
		// The first 14 pass at once, the other 36 are due 36/14 s later.
		want := 36 * time.Second / 14
		if got := time.Since(start); got < want-time.Millisecond || got > want+time.Millisecond {
			t.Errorf("waited %v, want %v", got, want)
		}
	})
}

func TestRateLimiterNeverExceedsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(10)
		start := time.Now()
		for range 35 {
			if err := l.WaitN(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(start); got < 2500*time.Millisecond-time.Millisecond {
			t.Errorf("35 recipients passed in %v; a burst of 10 and 10 a second allow no less than 2.5s", got)
		}
	})
}

func TestRateLimiterRefusesAtOnceWhenTheDeadlineComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		err := l.WaitN(ctx, 10)
		if !errors.Is(err, seserrors.Throttled) || seserrors.MaybeAccepted(err) {
			t.Fatalf("got %v, want Throttled without doubt", err)
		}
		if wait, ok := retry.After(err); !ok || wait != 9*time.Second {
			t.Errorf("retry.After = %v, %v; want 9s, true", wait, ok)
		}
		if time.Since(start) != 0 {
			t.Errorf("refused after %v, want at once", time.Since(start))
		}
		// What was refused costs nothing: the burst is still there.
		if err := l.WaitN(ctx, 1); err != nil {
			t.Errorf("the next recipient: %v", err)
		}
	})
}

func TestRateLimiterGivesBackWhatACancelledWaitHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.WaitN(ctx, 100) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
		start := time.Now()
		if err := l.WaitN(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited > time.Second {
			t.Errorf("waited %v behind a send that was cancelled", waited)
		}
	})
}

func TestRateLimiterWithoutARate(t *testing.T) {
	for name, perSecond := range map[string]float64{"zero": 0, "negative": -1, "NaN": math.NaN()} {
		t.Run(name, func(t *testing.T) {
			if err := NewLimiter(perSecond).WaitN(t.Context(), 1); !errors.Is(err, seserrors.Throttled) {
				t.Errorf("got %v, want Throttled", err)
			}
		})
	}
	if err := NewLimiter(math.Inf(1)).WaitN(t.Context(), 50); err != nil {
		t.Errorf("+Inf: %v", err)
	}
}
