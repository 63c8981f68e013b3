package sesguard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetriesAreABoundedShareOfTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Second)
		defer cancel()
		b := newBudget()
		retries := 0
		go func() {
			for b.spend(ctx) == nil {
				retries++
			}
		}()
		firsts := 0
		for ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			b.add(budgetPerFirst)
			firsts++
		}
		synctest.Wait()
		bound := budgetSize + 1000*budgetPerSecond + budgetPerFirst*float64(firsts)
		if float64(retries) > bound+1 {
			t.Errorf("%d retries beside %d first attempts in 1000 s, want at most %.0f", retries, firsts, bound)
		}
		if float64(retries) < bound-2 {
			t.Errorf("%d retries, want the allowed %.0f", retries, bound)
		}
	})
}

func TestARetryWithoutATokenWaitsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		start := time.Now()
		for range budgetSize {
			if err := b.spend(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("the first %d waited %v", budgetSize, time.Since(start))
		}
		if err := b.spend(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got < time.Second || got > time.Second+time.Millisecond {
			t.Errorf("the next waited %v, want 1s", got)
		}
	})
}

func TestARetryThatHealsLetsOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		for range budgetSize {
			b.spend(t.Context())
		}
		done := make(chan time.Time, 2)
		for range 2 {
			go func() { b.spend(t.Context()); done <- time.Now() }()
		}
		synctest.Wait()
		now := time.Now()
		b.add(budgetPerCure)
		for range 2 {
			if at := <-done; !at.Equal(now) {
				t.Errorf("a waiting retry passed %v after the tokens came", at.Sub(now))
			}
		}
	})
}

func TestAContextEndsTheWaitForTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		for range budgetSize {
			b.spend(t.Context())
		}
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		for range 2 { // one waits for the token, one for its turn
			go func() { errs <- b.spend(ctx) }()
		}
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		}
	})
}
