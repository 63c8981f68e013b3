package pace

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCallsOfOneClientStartASecondApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, other := new(int), new(int)
		start := time.Now()
		for i, want := range []time.Duration{0, time.Second, 2 * time.Second} {
			if err := Wait(t.Context(), api); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != want {
				t.Errorf("call %d starts after %v, want %v", i, got, want)
			}
		}
		before := time.Now()
		if err := Wait(t.Context(), other); err != nil || time.Since(before) != 0 {
			t.Errorf("another client waits %v, %v", time.Since(before), err)
		}
		time.Sleep(time.Hour)
		before = time.Now()
		if err := Wait(t.Context(), api); err != nil || time.Since(before) != 0 {
			t.Errorf("after an hour a call waits %v, %v", time.Since(before), err)
		}
		time.Sleep(Interval)
	})
}

func TestAWaiterThatLeavesDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := new(int)
		start := time.Now()
		if err := Wait(t.Context(), api); err != nil {
			t.Fatal(err)
		}
		cause := errors.New("not needed any more")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := Wait(ctx, api); err != cause {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		time.Sleep(Interval / 2)
		cancel(cause)
		wg.Wait()
		if err := Wait(t.Context(), api); err != nil || time.Since(start) != Interval {
			t.Errorf("the next call starts after %v, %v", time.Since(start), err)
		}
		time.Sleep(Interval)
	})
}

func TestALineIsForgottenASecondAfterItsLastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := new(int)
		known := func() bool {
			mu.Lock()
			defer mu.Unlock()
			return lines[api] != nil
		}
		if err := Wait(t.Context(), api); err != nil {
			t.Fatal(err)
		}
		time.Sleep(Interval - 1)
		synctest.Wait()
		if !known() {
			t.Error("forgotten before its second is over")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if known() {
			t.Error("still known a second later")
		}
	})
}

func TestClientsThatCannotBeComparedShareALineByType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type client struct{ call func() }
		start := time.Now()
		for range 2 {
			if err := Wait(t.Context(), client{call: func() {}}); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(start); got != Interval {
			t.Errorf("two calls took %v", got)
		}
		time.Sleep(Interval)
	})
}

// Mocks are often equal, and bubbles end before a line is forgotten.
func TestALineOutlivesItsBubble(t *testing.T) {
	type mock struct{}
	for _, pause := range []time.Duration{time.Hour, 0} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(pause)
			start := time.Now()
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					if err := Wait(t.Context(), mock{}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if got := time.Since(start); got < 2*Interval || got > 3*Interval {
				t.Errorf("three calls start within %v", got)
			}
		})
	}
}

func TestATurnThatComesWithTheEndOfItsContextIsPassedOn(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			api := new(int)
			if err := Wait(t.Context(), api); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), Interval) // at which the next may go
			defer cancel()
			for range 3 {
				go Wait(ctx, api)
			}
			synctest.Wait()
			start := time.Now()
			if err := Wait(t.Context(), api); err != nil || time.Since(start) > 2*Interval {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			time.Sleep(Interval)
		})
	}
}
