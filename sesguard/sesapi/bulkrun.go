package sesapi

import (
	"context"
	"runtime"
	"slices"
	"time"

	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/internal/pace"
)

const (
	// mostOpen is how many entries of a bulk are under way at most. In an outage
	// all of them wait for a retry, and then it is of no use to try more.
	mostOpen = 1000

	// gatherTime is how long a call waits for further entries: as long as SES
	// wants between two calls.
	gatherTime = pace.Interval
)

// A bulkRun is one Send under way. Each entry's own goroutine runs its send
// through the guard. All fields belong to Send's goroutine, which starts them,
// takes their attempts into calls, and learns how they end: they meet in two
// channels only.
type bulkRun struct {
	*Bulker
	*preparedBulk
	ctx     context.Context // the caller's
	results []BulkResult

	sends context.Context // ctx, until a refusal of everything
	stop  context.CancelCauseFunc
	ready chan *seat  // attempts that want to be sent
	ended chan ending // sends

	next    int              // the first entry that is not started
	open    int              // entries under way
	coming  int              // of them, those that have not been ready yet
	seen    []bool           // entries that have been ready
	chunk   []*seat          // the next call
	calling bool             // it is under way
	refusal *seserrors.Error // of everything
}

// A seat is an attempt's place in a call.
type seat struct {
	wire sestypes.BulkEmailEntry
	n    int // of the entry
	reply
	done chan struct{} // closed when there is a reply
}

// An ending is how an entry's send ended.
type ending struct {
	n        int
	result   BulkResult
	returned bool // else it panicked with this, or left by runtime.Goexit
	panicked any
}

// run makes calls until each entry has its result.
func (r *bulkRun) run() {
	r.sends, r.stop = context.WithCancelCause(r.ctx)
	r.ready, r.ended = make(chan *seat), make(chan ending)
	r.seen = make([]bool, len(r.entries))
	defer r.abandon()
	for r.gather(); len(r.chunk) > 0; r.gather() {
		r.send()
	}
	for ; r.next < len(r.entries); r.next++ { // what the end of sends kept from starting
		r.finish(r.next, BulkResult{Err: seserrors.FromContext(r.sends, opSendBulk)})
	}
}

// gather starts entries and takes attempts that are ready, until the next call
// is full, all that is under way is in it, or a second has passed since its first
// came. An empty call says that nothing is under way.
func (r *bulkRun) gather() {
	r.chunk = nil
	var late <-chan time.Time
	for r.start(); len(r.chunk) < r.size && len(r.chunk) < r.open; r.start() {
		select {
		case s := <-r.ready:
			if len(r.chunk) == 0 {
				late = time.After(gatherTime)
			}
			if !r.seen[s.n] {
				r.seen[s.n] = true
				r.coming--
			}
			r.chunk = append(r.chunk, s)
		case e := <-r.ended:
			r.end(e)
		case <-late:
			return
		}
	}
}

// start starts as many entries as the next call has room for: an attempt must
// not wait for long once breaker and limiter have let it pass.
func (r *bulkRun) start() {
	for r.next < len(r.entries) && len(r.chunk)+r.coming < r.size && r.open < mostOpen && r.sends.Err() == nil {
		n := r.next
		r.next, r.open, r.coming = n+1, r.open+1, r.coming+1
		go func() {
			e := ending{n: n}
			defer func() {
				e.panicked = recover()
				r.ended <- e
			}()
			info := r.info
			info.Recipients = r.entries[n].recipients
			e.result.Receipt, e.result.Err = r.guard.Do(r.sends, info, func(ctx context.Context) (*sesguard.Receipt, error) {
				return r.attempt(ctx, n)
			})
			e.returned = true
		}()
	}
}

// attempt runs in the entry's goroutine: it waits for a call, and for its reply.
// Before it has a seat nothing of it can be sent.
func (r *bulkRun) attempt(ctx context.Context, n int) (*sesguard.Receipt, error) {
	info, _ := sesguard.InfoFrom(ctx)
	wire, err := r.tracked(n, info)
	if err != nil {
		return nil, err
	}
	s := &seat{wire: wire, n: n, done: make(chan struct{})}
	select {
	case r.ready <- s:
	case <-ctx.Done():
		return nil, seserrors.FromContext(ctx, opSendBulk)
	}
	<-s.done
	return s.receipt, s.err
}

// send makes the call of the chunk, and gives out what it said.
func (r *bulkRun) send() {
	slices.SortFunc(r.chunk, func(a, b *seat) int { return a.n - b.n })
	if r.paced.Load() {
		_ = pace.Wait(r.sends, r.api) // it fails only if they have ended
	}
	var replies []reply
	if r.sends.Err() != nil { // since the attempts came
		replies = repeat(seserrors.FromContext(r.sends, opSendBulk), len(r.chunk))
	} else {
		r.calling = true
		replies = r.call(r.ctx, r.input())
		r.calling = false
	}
	for _, reply := range replies {
		if e := seserrors.Classify(reply.err); r.refusal == nil && r.refusesAll(e, reply.whole) {
			r.refusal = e
		}
	}
	for i, s := range r.chunk {
		s.reply = replies[i]
		close(s.done)
	}
	r.chunk = nil
	if r.refusal != nil {
		r.stop(r.refusal)
	}
}

// end is what follows the end of an entry's send.
func (r *bulkRun) end(e ending) {
	r.open--
	if !r.seen[e.n] {
		r.coming--
	}
	switch {
	case e.panicked != nil:
		panic(e.panicked)
	case !e.returned:
		runtime.Goexit()
	}
	r.finish(e.n, e.result)
}

// finish gives entry n its result. Where the refusal of everything has ended its
// waits, that is the result.
func (r *bulkRun) finish(n int, result BulkResult) {
	if err := result.Err; err != nil && r.refusal != nil && !seserrors.MaybeAccepted(err) && !seserrors.IsFatal(err) {
		result.Err = r.refusal
	}
	r.results[n] = result
	if r.progress != nil {
		r.progress(n, result)
	}
}

// abandon waits for the sends that a panic has left behind. What was under way
// then may have been sent.
func (r *bulkRun) abandon() {
	r.stop(errAbandoned)
	if r.open == 0 {
		return
	}
	lost := *errAbandoned
	lost.MaybeAccepted = r.calling
	for _, s := range r.chunk {
		s.err = &lost
		close(s.done)
	}
	for r.open > 0 {
		select {
		case s := <-r.ready:
			s.err = errAbandoned
			close(s.done)
		case <-r.ended:
			r.open--
		}
	}
}

// errAbandoned ends the sends of a Send that has panicked.
var errAbandoned = &seserrors.Error{
	Op: opSendBulk, Class: seserrors.Canceled, Reason: seserrors.ContextCanceled, Message: "the bulk was abandoned",
}
