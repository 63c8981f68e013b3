package sesguard

import (
	"container/list"
	"context"
	stderrors "errors"
	"math"
	"sync"
	"time"
)

// forever stands for every wait that is longer. It is the range of
// time.Duration over 4, so that sums of a few stay within it: 73 years.
const forever = time.Duration(math.MaxInt64 / 4)

// errTooLate is for a turn that would come when there is no time left.
var errTooLate = stderrors.New("the turn would come too late")

// A gate lets callers pass in the order of their calls, each when there is
// credit. Credit is counted in time, so that it comes with time by itself: the
// first caller passes as soon as credit is not negative, and then pays unit times
// its weight, even into debt. So callers of weight one are evenly spaced, after
// a burst of most/unit + 1.
type gate struct {
	mu     sync.Mutex
	unit   time.Duration
	most   time.Duration // that credit can be
	credit time.Duration
	at     time.Time // of the last refill
	shut   error     // refuses all callers; nil: open
	queue  list.List // of *turn
	ahead  float64   // weight of the queue
	timer  *time.Timer
}

// A turn is a caller that waits.
type turn struct {
	weight float64
	ready  chan struct{} // closed when it may go on
	err    error         // set before: the gate was shut
	place  *list.Element // nil: it has left the queue
}

// pass waits for the turn of a caller of this weight. When that would come after
// latest it fails at once with errTooLate, and when ctx ends first with ctx's
// error; left is then how long it would still have taken. A zero latest is no
// bound.
func (g *gate) pass(ctx context.Context, weight int, latest time.Time) (left time.Duration, err error) {
	t, wait, err := g.enter(float64(max(weight, 0)), latest)
	if t == nil {
		return wait, err
	}
	due := time.Now().Add(wait)
	select {
	case <-t.ready:
		return 0, t.err
	case <-ctx.Done():
		g.leave(t)
		return max(time.Until(due), 0), ctx.Err()
	}
}

// enter passes at once, or queues, unless the turn would come after latest.
// Later callers cannot delay it, so the wait is the longest possible.
func (g *gate) enter(weight float64, latest time.Time) (t *turn, wait time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		return nil, 0, g.shut
	}
	g.refill(0)
	wait = max(g.cost(g.ahead)-g.credit, 0)
	switch {
	case wait == 0 && g.queue.Len() == 0:
		g.credit -= g.cost(weight)
		return nil, 0, nil
	case !latest.IsZero() && g.at.Add(wait).After(latest):
		return nil, wait, errTooLate
	}
	t = &turn{weight: weight, ready: make(chan struct{})}
	t.place = g.queue.PushBack(t)
	g.ahead += weight
	g.serve()
	return t, wait, nil
}

// leave gives up a place in the queue, or what was paid at the same moment.
func (g *gate) leave(t *turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case t.place != nil:
		g.remove(t)
	case t.err == nil:
		g.refill(g.cost(t.weight))
		g.serve()
	}
}

// remove takes t out of the queue.
func (g *gate) remove(t *turn) {
	g.queue.Remove(t.place)
	t.place = nil
	if g.ahead -= t.weight; g.queue.Len() == 0 {
		g.ahead = 0
	}
}

// add earns credit.
func (g *gate) add(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill(d)
	g.serve()
}

// refill adds d and what time has brought. While callers wait, a timer that was
// late by a unit is made up for; after a pause nothing is.
func (g *gate) refill(d time.Duration) {
	now := time.Now()
	if !g.at.IsZero() {
		d += now.Sub(g.at)
	}
	most := g.most
	if g.queue.Len() > 0 {
		most += g.unit
	}
	g.credit, g.at = min(g.credit+d, most), now
}

// serve lets callers pass whose turn it is, and sets the timer for the next.
func (g *gate) serve() {
	for g.credit >= 0 && g.queue.Len() > 0 {
		t := g.queue.Front().Value.(*turn)
		g.remove(t)
		g.credit -= g.cost(t.weight)
		close(t.ready)
	}
	switch {
	case g.queue.Len() == 0:
	case g.timer == nil:
		g.timer = time.AfterFunc(-g.credit, func() { g.add(0) })
	default:
		g.timer.Reset(-g.credit)
	}
}

// setUnit changes the cost of a weight of one, also for callers that wait and
// for the debt. A shut gate opens.
func (g *gate) setUnit(unit time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill(0)
	if g.credit < 0 && g.unit > 0 {
		g.credit = -saturated(-float64(g.credit) / float64(g.unit) * float64(unit))
	}
	g.unit, g.shut = unit, nil
	g.serve()
}

// close refuses all callers with err, those that wait too.
func (g *gate) close(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = err
	for g.queue.Len() > 0 {
		t := g.queue.Front().Value.(*turn)
		g.remove(t)
		t.err = err
		close(t.ready)
	}
}

// cost is the price of a weight.
func (g *gate) cost(weight float64) time.Duration { return saturated(weight * float64(g.unit)) }

// saturated is d, at most forever.
func saturated(d float64) time.Duration {
	if d >= float64(forever) {
		return forever
	}
	return time.Duration(d)
}
