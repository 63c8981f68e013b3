package sesguard

import (
	"context"
	stderrors "errors"
	"slices"
	"sync"
	"time"
)

const opBudget = "sesguard retry budget"

// The retry budget: when everything fails, a guard's retries are at most a
// fifth of its first attempts, and one a second, beyond the first hundred.
// Credit is counted in time, so that it comes with time by itself.
const (
	retryCost  = time.Second     // so that a service that sends little can always retry
	firstEarns = retryCost / 5   // each first attempt
	cureEarns  = 2 * retryCost   // each retry that succeeds: its own cost, and one more, so that recovery speeds up
	budgetSize = 100 * retryCost // a burst of trouble is retried on schedule
)

// errTooLate is for a retry whose turn would come when there is no time left.
var errTooLate = stderrors.New("the retry budget has no room for it in time")

// A budget paces the retries of a guard, so that they cannot multiply an
// outage. A retry that finds no credit waits its turn: the documented waits get
// longer, never shorter. Create it with newBudget.
type budget struct {
	mu     sync.Mutex
	credit time.Duration
	at     time.Time       // of the last refill
	queue  []chan struct{} // the retries that wait, in order; closed when paid
	timer  *time.Timer     // serves the queue when time has brought the next credit
}

func newBudget() *budget { return &budget{credit: budgetSize} }

// add earns credit.
func (b *budget) add(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(d)
	b.serve()
}

// refill adds d and what time has brought.
func (b *budget) refill(d time.Duration) {
	now := time.Now()
	if !b.at.IsZero() {
		d += now.Sub(b.at)
	}
	b.credit, b.at = min(b.credit+d, budgetSize), now
}

// serve lets go those at the head of the queue who can pay.
func (b *budget) serve() {
	for len(b.queue) > 0 && b.credit >= retryCost {
		b.credit -= retryCost
		close(b.queue[0])
		b.queue = b.queue[1:]
	}
	switch {
	case len(b.queue) == 0:
	case b.timer == nil:
		b.timer = time.AfterFunc(retryCost-b.credit, func() { b.add(0) })
	default:
		b.timer.Reset(retryCost - b.credit)
	}
}

// spend pays for one retry and waits for the credit if need be, in the order of
// the calls. When the wait would end after latest it fails at once with
// errTooLate and tells the wait; a zero latest is no bound. When ctx ends first
// it fails with ctx's error.
func (b *budget) spend(ctx context.Context, latest time.Time) (wait time.Duration, err error) {
	turn, wait := b.enter(latest)
	if turn == nil {
		return wait, errTooLate
	}
	select {
	case <-turn:
		return 0, nil
	case <-ctx.Done():
		b.leave(turn)
		return 0, ctx.Err()
	}
}

// enter queues a retry, unless it would have to wait beyond latest. Nobody who
// comes later can delay it, so the wait it finds is the longest possible.
func (b *budget) enter(latest time.Time) (turn chan struct{}, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(0)
	wait = max(time.Duration(len(b.queue)+1)*retryCost-b.credit, 0)
	if wait > 0 && !latest.IsZero() && b.at.Add(wait).After(latest) {
		return nil, wait
	}
	turn = make(chan struct{})
	b.queue = append(b.queue, turn)
	b.serve()
	return turn, wait
}

// leave gives up a place in the queue, or what was paid at the same moment.
func (b *budget) leave(turn chan struct{}) {
	b.mu.Lock()
	i := slices.Index(b.queue, turn)
	if i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
	b.mu.Unlock()
	if i < 0 {
		b.add(retryCost)
	}
}
