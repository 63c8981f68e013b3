// Package pace keeps all callers of one SES API client, together, to one control
// call a second. SES allows each account one request a second for everything but
// sending ("Service quotas in Amazon SES", Amazon SES Developer Guide).
package pace

import (
	"context"
	"reflect"
	"sync"
	"time"
)

// Interval is the time between two control calls.
const Interval = time.Second

// A line is where the callers of one client wait for their turn.
type line struct {
	turn  chan struct{} // holds one token: whoever has it is first
	next  time.Time     // when the next call may start; only the first touches it
	users int           // who are in Wait or whose second is not over; under mu
}

var (
	mu    sync.Mutex
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
	select {
	case <-l.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { l.turn <- struct{}{} }()
	if wait := time.Until(l.next); wait > 0 {
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

func join(api any) *line {
	mu.Lock()
	defer mu.Unlock()
	l := lines[api]
	if l == nil {
		l = &line{turn: make(chan struct{}, 1)}
		l.turn <- struct{}{}
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
