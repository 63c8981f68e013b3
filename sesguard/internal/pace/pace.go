// Package pace keeps all callers of one SES API client, together, to one control
// call a second. SES allows each account one request a second for everything but
// sending ("Service quotas in Amazon SES", Amazon SES Developer Guide).
package pace

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Interval is the time between two control calls.
const Interval = time.Second

// A line is where the callers of one client wait for their turn. It holds no
// channel or timer while nobody waits: a line may outlive the testing/synctest
// bubble of its last call, and those of one bubble are of no use in the next.
type line struct {
	first bool            // somebody has the turn
	queue []chan struct{} // of those behind, each closed when its turn comes
	next  time.Time       // when the next call may start
	users int             // who are in Wait or whose second is not over
}

var (
	mu    sync.Mutex // for lines, and all of a line but next, which belongs to the first
	lines = map[any]*line{}
)

// Wait returns when a control call over api may start: at once, or a second after
// the one before it, in the order of the calls of Wait. It returns the cause of
// ctx when that ends first, and then nobody waits for the place that was left.
//
// Callers share a line if their api is the same value; values that cannot be
// compared share one by their type. A line is forgotten a second after its last
// call. Wait is safe for concurrent use.
func Wait(ctx context.Context, api any) error {
	if api != nil && !reflect.ValueOf(api).Comparable() {
		api = reflect.TypeOf(api)
	}
	l := join(api)
	defer time.AfterFunc(Interval, func() { leave(api, l) })
	if !l.await(ctx) {
		return context.Cause(ctx)
	}
	defer l.pass()
	// A clock that was set back, or that of another bubble, makes no long wait.
	if wait := min(time.Until(l.next), Interval); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.next = time.Now().Add(Interval)
	return nil
}

// await reports whether the turn came before the end of ctx.
func (l *line) await(ctx context.Context) bool {
	mu.Lock()
	if !l.first {
		l.first = true
		mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	l.queue = append(l.queue, turn)
	mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	if i := slices.Index(l.queue, turn); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	} else {
		l.passOn()
	}
	return false
}

// pass gives the turn to the next in the queue.
func (l *line) pass() {
	mu.Lock()
	defer mu.Unlock()
	l.passOn()
}

func (l *line) passOn() {
	if l.first = len(l.queue) > 0; l.first {
		close(l.queue[0])
		l.queue = l.queue[1:]
	}
}

func join(api any) *line {
	mu.Lock()
	defer mu.Unlock()
	l := lines[api]
	if l == nil {
		l = &line{}
		lines[api] = l
	}
	l.users++
	return l
}

func leave(api any, l *line) {
	mu.Lock()
	defer mu.Unlock()
	if l.users--; l.users == 0 {
		delete(lines, api)
	}
}
