package sesguard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// anytime is no bound for gate.pass.
var anytime time.Time

// spent returns a budget without credit.
func spent(t *testing.T) *gate {
	t.Helper()
	b := newBudget()
	exhaust(t, b)
	return b
}

func exhaust(t *testing.T, b *gate) {
	t.Helper()
	start := time.Now()
	for range budgetSize {
		if _, err := b.pass(t.Context(), 1, anytime); err != nil {
			t.Fatal(err)
		}
	}
	if waited := time.Since(start); waited != 0 {
		t.Errorf("the first hundred waited %v", waited)
	}
}

func TestRetriesAreABoundedShareOfTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Second)
		defer cancel()
		b := newBudget()
		retries := 0
		go func() {
			for {
				if _, err := b.pass(ctx, 1, anytime); err != nil {
					return
				}
				retries++
			}
		}()
		firsts := 0
		for ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			b.add(firstEarns)
			firsts++
		}
		synctest.Wait()
		if bound := 100 + 1000 + firsts/5; retries > bound || retries < bound-2 {
			t.Errorf("%d retries beside %d first attempts in 1000 s, want the allowed %d", retries, firsts, bound)
		}
	})
}

// Neither quiet hours nor traffic without failures save up for more than the
// burst, or an outage would begin with a flood.
func TestCreditIsNotSavedUpBeyondTheBurst(t *testing.T) {
	for name, save := range map[string]func(*gate){
		"by time":           func(*gate) { time.Sleep(time.Hour) },
		"by first attempts": func(b *gate) { b.add(1000 * retryCost) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := spent(t)
				save(b)
				exhaust(t, b)
				start := time.Now()
				b.pass(t.Context(), 1, anytime)
				if got := time.Since(start); got != time.Second {
					t.Errorf("the 101st retry waited %v, want 1s", got)
				}
			})
		})
	}
}

func TestRetriesWithoutCreditWaitInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, start := spent(t), time.Now()
		var order []int
		for i := range 1000 {
			go func() {
				b.pass(t.Context(), 1, anytime)
				order = append(order, i)
				if got, want := time.Since(start), time.Duration(i+1)*time.Second; got != want {
					t.Errorf("retry %d waited %v, want %v", i, got, want)
				}
			}()
			synctest.Wait()
		}
		time.Sleep(1000 * time.Second)
		synctest.Wait()
		if len(order) != 1000 || !slices.IsSorted(order) {
			t.Errorf("%d passed in the order %v", len(order), order)
		}
	})
}

func TestARetryThatHealsLetsOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := spent(t)
		done := make(chan time.Time, 2)
		for range 2 {
			go func() { b.pass(t.Context(), 1, anytime); done <- time.Now() }()
		}
		synctest.Wait()
		now := time.Now()
		b.add(cureEarns)
		for range 2 {
			if at := <-done; !at.Equal(now) {
				t.Errorf("a waiting retry passed %v after the credit came", at.Sub(now))
			}
		}
	})
}

func TestAContextThatEndsFreesItsPlaceInTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, start := spent(t), time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		passed := make(chan time.Duration)
		for i := range 10 {
			ctx := ctx
			if i%2 == 1 {
				ctx = t.Context()
			}
			go func() {
				_, err := b.pass(ctx, 1, anytime)
				if i%2 == 0 {
					if !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
						t.Errorf("retry %d got %v after %v, want context.Canceled at once", i, err, time.Since(start))
					}
					return
				}
				passed <- time.Since(start)
			}()
			synctest.Wait()
		}
		cancel()
		for want := time.Second; want <= 5*time.Second; want += time.Second {
			if got := <-passed; got != want {
				t.Errorf("one who stayed passed after %v, want %v", got, want)
			}
		}
	})
}

func TestWhoLeavesAtTheMomentOfHisTurnGivesTheCreditBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := spent(t)
		turn, _, _ := b.enter(1, anytime)
		b.add(retryCost)
		<-turn.ready
		b.leave(turn)
		if _, err := b.pass(t.Context(), 1, time.Now()); err != nil || b.queue.Len() != 0 {
			t.Errorf("the next one: %v, with %d in the queue; want to pass at once", err, b.queue.Len())
		}
	})
}

func TestTheBudgetRefusesAtOnceWhatWouldComeTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, start := spent(t), time.Now()
		for range 3 {
			go b.pass(t.Context(), 1, anytime)
		}
		synctest.Wait()
		wait, err := b.pass(t.Context(), 1, start.Add(4*time.Second-1))
		if !errors.Is(err, errTooLate) || wait != 4*time.Second || time.Since(start) != 0 {
			t.Errorf("got %v, %v after %v; want 4s and errTooLate at once", wait, err, time.Since(start))
		}
		if _, err := b.pass(t.Context(), 1, start.Add(4*time.Second)); err != nil || time.Since(start) != 4*time.Second {
			t.Errorf("just in time: %v after %v", err, time.Since(start))
		}
		b.add(retryCost)
		if _, err := b.pass(t.Context(), 1, start); err != nil {
			t.Errorf("with credit at hand there is no wait that could be late: %v", err)
		}
	})
}

// outage is a transport where everything fails, and that keeps book.
type outage struct {
	t       *testing.T
	start   time.Time
	mu      sync.Mutex
	firsts  int
	retries int
	last    map[string]time.Time // when each message's last attempt failed
	waits   map[string]int       // how often each was waited for
}

func (o *outage) Attempt(_ context.Context, m *Mail) (*Receipt, error) {
	o.begin(m.recipients[0])
	time.Sleep(rand.N(time.Second))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last[m.recipients[0]] = time.Now()
	return nil, seserrors.Classify(seserrors.ServiceFailure)
}

func (o *outage) begin(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	last, again := o.last[id]
	if !again {
		o.firsts++
		return
	}
	o.retries++
	if got, want := time.Since(last), documentedWaits[o.waits[id]%len(documentedWaits)]; got < want {
		o.t.Errorf("a retry came %v after the failure, want at least %v", got, want)
	}
	o.waits[id]++
	elapsed := time.Since(o.start)
	if bound := 100 + elapsed.Seconds() + float64(o.firsts)/5; float64(o.retries) > bound {
		o.t.Errorf("%d retries beside %d first attempts after %v, want at most %.0f", o.retries, o.firsts, elapsed, bound)
	}
}

var documentedWaits = []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second, 20 * time.Minute}

// When everything fails for six hours, the retries of all senders together stay
// within the budget, no wait is shorter than documented, and no Send takes
// longer than it says.
func TestAnOutageIsNotMultiplied(t *testing.T) {
	for _, senders := range []int{1, 50, 3000} {
		t.Run(fmt.Sprint(senders, " senders"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outage{t: t, start: time.Now(), last: map[string]time.Time{}, waits: map[string]int{}}
				c := New(o, Options{})
				var wg sync.WaitGroup
				for i := range senders {
					wg.Go(func() {
						for n := 0; time.Since(o.start) < 6*time.Hour; n++ {
							time.Sleep(failAtLength(t, c, fmt.Sprintf("m%d-%d@example.org", i, n)))
						}
					})
				}
				wg.Wait()
				t.Logf("%d first attempts and %d retries in %v", o.firsts, o.retries, time.Since(o.start))
				if senders == 3000 && float64(o.retries) < 0.95*6*3600 {
					t.Errorf("only %d retries in six hours: the budget is not used", o.retries)
				}
				if senders == 1 && o.retries < 6*5 {
					t.Errorf("only %d retries of one sender: it needs no budget", o.retries)
				}
			})
		})
	}
}

// failAtLength sends one message into the outage and returns when a queue would
// try it again.
func failAtLength(t *testing.T, c *Client, to string) time.Duration {
	start := time.Now()
	_, err := c.Send(t.Context(), &Message{From: "a@example.com", To: []string{to}, Text: "t"})
	if took := time.Since(start); took > time.Hour+time.Second { // the last attempt takes up to a second
		t.Errorf("Send took %v", took)
	}
	wait, ok := retry.After(err)
	if !ok || wait < 5*time.Second || !errors.Is(err, seserrors.ServiceFailure) || !seserrors.IsRetryable(err) {
		t.Errorf("got %v, to be tried again after %v (%v)", err, wait, ok)
	}
	return wait
}

// A hundred messages a second for five minutes, of which one in a hundred
// fails once or twice, or all of ten seconds: each is sent as soon as documented.
func TestTheBudgetDelaysNothingInNormalOperation(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fails func(i int) int // the attempts of message i that fail
	}{
		{"no failures", func(int) int { return 0 }},
		{"one in a hundred fails once", func(i int) int { return times(1, i%100 == 7) }},
		{"one in a hundred fails twice", func(i int) int { return times(2, i%100 == 7) }},
		{"all of ten seconds fail once", func(i int) int { return times(1, i/1000 == 10) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGuard(Options{Retry: retry.Policy{Schedule: retry.Schedule{Jitter: -1}}})
				var wg sync.WaitGroup
				for i := range 100 * 5 * 60 {
					time.Sleep(10 * time.Millisecond)
					wg.Go(func() {
						start, left := time.Now(), tc.fails(i)
						want := []time.Duration{0, 5 * time.Second, 15 * time.Second}[left]
						_, err := g.Do(t.Context(), Info{Recipients: 1}, func(context.Context) (*Receipt, error) {
							if left--; left >= 0 {
								return nil, seserrors.Classify(seserrors.ServiceFailure)
							}
							return nil, nil
						})
						if got := time.Since(start); err != nil || got != want {
							t.Errorf("message %d took %v, want %v: %v", i, got, want, err)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

func times(n int, fail bool) int {
	if fail {
		return n
	}
	return 0
}
