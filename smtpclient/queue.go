package smtpclient

import (
	"context"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A waiter is a call of Send or Ping that waits for a connection: first in the
// queue, then perhaps for a dial that was started for it.
type waiter struct {
	answer     // once ready is closed
	ready      chan struct{}
	next, prev *waiter // in the queue; nil: it is not there
	dial       *dial   // started for it; nil: none
}

// An answer is what a waiter gets: a connection, or an error, or the panic of a
// function of the caller's that was called in its behalf.
type answer struct {
	m        *member
	err      *seserrors.Error
	panicked any
}

func newWaiter() *waiter { return &waiter{ready: make(chan struct{})} }

// give ends the wait. The caller holds the client's lock.
func (w *waiter) give(a answer) {
	w.answer = a
	close(w.ready)
}

// wait returns what w gets, or leaves when ctx ends.
func (c *Client) wait(ctx context.Context, w *waiter) (*member, *seserrors.Error) {
	select {
	case <-w.ready:
		if w.panicked != nil {
			panic(w.panicked)
		}
		return w.m, w.err
	case <-ctx.Done():
		return nil, seserrors.FromContext(ctx, c.leave(w))
	}
}

// leave gives up waiting and returns what for. A dial that was started goes on,
// and its connection goes to the next who waits or into the pool.
func (c *Client) leave(w *waiter) (op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	op = opWait
	if w.next != nil {
		c.queue.remove(w)
		return op
	}
	if w.dial != nil {
		op = opConnect
	}
	select {
	case <-w.ready: // at the same moment
		if w.m != nil {
			c.keep(w.m)
		}
	default:
		w.dial.waiter = nil
		if c.ended {
			w.dial.cancel()
		}
	}
	return op
}

// A queue is a list of waiters, first come first served, that any of them can
// leave. The client's lock guards it.
type queue struct {
	ring waiter // its next is the first, its prev the last
	len  int
}

func (q *queue) push(w *waiter) { q.insert(w, q.last()) }

// pushFront is for a waiter who was the first already.
func (q *queue) pushFront(w *waiter) { q.insert(w, &q.ring) }

func (q *queue) last() *waiter {
	if q.ring.prev == nil {
		q.ring.next, q.ring.prev = &q.ring, &q.ring
	}
	return q.ring.prev
}

func (q *queue) insert(w, after *waiter) {
	w.prev, w.next = after, after.next
	after.next.prev = w
	after.next = w
	q.len++
}

// pop removes the first, or returns nil.
func (q *queue) pop() *waiter {
	if q.len == 0 {
		return nil
	}
	w := q.ring.next
	q.remove(w)
	return w
}

func (q *queue) remove(w *waiter) {
	w.prev.next, w.next.prev = w.next, w.prev
	w.next, w.prev = nil, nil
	q.len--
}
