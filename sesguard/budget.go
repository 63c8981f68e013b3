package sesguard

import (
	"context"
	"sync"
	"time"
)

const opBudget = "sesguard retry budget"

// The retry budget: when everything fails, a guard's retries are at most a
// fifth of its first attempts, and one a second, beyond the first hundred.
const (
	budgetSize      = 100 // retries that need not wait: a burst of trouble is retried on schedule
	budgetPerFirst  = 0.2 // for each first attempt
	budgetPerSecond = 1   // so that a service that sends little can always retry
	budgetPerCure   = 2   // for each retry that succeeded: its own, and one more, so that recovery speeds up
)

// A budget paces the retries of a guard, so that they cannot multiply an
// outage. A retry without a token waits its turn rather than fail: the
// documented waits get longer, never shorter. Create it with newBudget.
type budget struct {
	turn  chan struct{} // held by the one retry that waits for the next token
	added chan struct{} // signals that tokens were added

	mu     sync.Mutex
	tokens float64
	at     time.Time // of the last refill
}

func newBudget() *budget {
	return &budget{turn: make(chan struct{}, 1), added: make(chan struct{}, 1), tokens: budgetSize}
}

func (b *budget) add(n float64) {
	b.mu.Lock()
	b.refill()
	b.tokens = min(b.tokens+n, budgetSize)
	b.mu.Unlock()
	select {
	case b.added <- struct{}{}:
	default:
	}
}

func (b *budget) refill() {
	now := time.Now()
	if !b.at.IsZero() {
		b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*budgetPerSecond, budgetSize)
	}
	b.at = now
}

// take takes a token. Without one it says how long until time alone brings one.
func (b *budget) take() (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	if b.tokens >= 1 {
		b.tokens--
		return 0
	}
	return max(time.Duration((1-b.tokens)/budgetPerSecond*float64(time.Second)), time.Millisecond)
}

// spend takes a token for one retry and waits for it if need be, in the order
// of the calls. It returns ctx's error when ctx ends first.
func (b *budget) spend(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.turn }()
	for {
		wait := b.take()
		if wait == 0 {
			return nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-b.added:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		t.Stop()
	}
}
