package outbox

import (
	"context"
	"crypto/rand"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
)

// run is one call of Run.
type run struct {
	*Outbox
	id        string // of the process, as the others see it
	host      string
	transport sesguard.Transport

	changes  chan *change
	finished chan struct{} // a place is free
	giveUp   chan struct{} // closed when results are not waited for any more
	memory   *memory
	attempts context.Context // of the attempts: it outlives that of Run by DrainTimeout
	hungry   atomic.Bool     // there may be more to claim

	// These belong to the loop.
	busy   int
	cursor map[int64]string // by priority: the lane after which the next claim looks first
	turnOf int

	mu    sync.Mutex
	held  map[string]int64 // the claims that this process knows of, by mail
	brake brake
}

// Run sends what is enqueued until ctx ends, in any number of processes at once.
// It makes one attempt at a time with each mail, which must end when its context
// does.
//
// When ctx ends Run takes no more mails, gives back those that it has not begun,
// and lets attempts under way go on for Options.DrainTimeout. Then it returns
// nil. A database that is away for a while does not end Run: it waits. The error
// is that of a database which is not there at the start, or which Options.Name
// or its own identity show to be another: see [Outbox.Adopt].
func (o *Outbox) Run(ctx context.Context, transport sesguard.Transport) error {
	if err := o.own(ctx); err != nil {
		return unless(ctx, err)
	}
	attempts, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	host, _ := os.Hostname()
	r := &run{
		Outbox: o, id: rand.Text(), host: host, transport: transport,
		changes: make(chan *change), finished: make(chan struct{}, o.opts.Concurrency), giveUp: make(chan struct{}),
		memory: newMemory(), attempts: attempts, cursor: map[int64]string{}, held: map[string]int64{},
	}
	if err := r.beat(ctx); err != nil {
		return unless(ctx, err)
	}
	var background sync.WaitGroup
	background.Go(r.writer)
	background.Go(func() { r.keep(ctx) })
	r.loop(ctx)
	r.drain(cut)
	close(r.changes)
	background.Wait()
	r.leave()
	return nil
}

// unless returns err, nil if ctx has ended: then it was to be.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// loop claims mails for free places and starts their sends. The audit is here
// too, so that it never meets a claim half done.
func (r *run) loop(ctx context.Context) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	wake := r.opts.Wake
	for {
		waited := false
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			r.trouble(ctx, "sign of life", r.beat(ctx))
			r.trouble(ctx, "audit", r.audit(ctx))
			continue
		case <-r.finished:
			r.busy--
			if !r.hungry.Load() {
				continue
			}
		case _, ok := <-wake:
			if !ok {
				wake = nil
			}
		case <-r.wake:
		case <-look.C:
			waited = true
		}
		look.Reset(r.fill(ctx, waited))
	}
}

// fill claims mails for the free places and returns when to look again. Waited
// says that it is time to, however few places are free.
func (r *run) fill(ctx context.Context, waited bool) time.Duration {
	for {
		select {
		case <-r.finished:
			r.busy--
			continue
		default:
		}
		break
	}
	// A claim for each place that becomes free would cost a transaction a mail:
	// a few are waited for, but not long.
	const together = 5 * time.Millisecond
	free := r.opts.Concurrency - r.busy
	if !waited && r.hungry.Load() && free < r.opts.Concurrency/4 {
		return together
	}
	r.mu.Lock()
	n := r.brake.allows(free)
	alone := r.brake.step > 0
	r.mu.Unlock()
	if n == 0 {
		return r.opts.Poll
	}
	r.hungry.Store(false)
	// The end of ctx does not interrupt a claim: the database might have carried
	// out what nobody reads the answer of.
	claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeat)
	list, err := r.claim(claiming, n)
	cancel()
	r.trouble(ctx, "claim", err)
	r.trouble(ctx, "content", r.read(ctx, list)) // what is missing then is read mail by mail
	for _, m := range list {
		r.mu.Lock()
		r.held[m.id] = m.claim
		if m.brake = alone; alone {
			r.brake.probing = true
		}
		r.mu.Unlock()
		r.busy++
		go r.send(ctx, m)
	}
	if len(list) >= n && !alone {
		r.hungry.Store(true)
	}
	return r.opts.Poll
}

// drain waits for the sends. When the time is over it ends their contexts, and
// then says of each mail which way it went; results that the database does not
// take within a lease stay in doubt.
func (r *run) drain(cut func()) {
	timer := time.AfterFunc(max(0, r.opts.DrainTimeout), cut)
	defer timer.Stop()
	late := time.AfterFunc(max(0, r.opts.DrainTimeout)+lease, func() { close(r.giveUp) })
	defer late.Stop()
	for ; r.busy > 0; r.busy-- {
		<-r.finished
	}
}

func (r *run) trouble(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		r.log.ErrorContext(ctx, "outbox: the database fails", "at", what, "err", err)
	}
}

// beat tells the other processes that this one is alive.
func (r *run) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	return r.database.write(ctx, func(x querier) error {
		_, err := r.exec(ctx, x, `insert into {process} (id, host, started, alive) values ($1, $2, {now}, {now} + $3)
			on conflict (id) do update set alive = {now} + $3`, r.id, r.host, lease.Microseconds())
		return err
	})
}

// leave takes the process off the list. What it may have left is swept at once.
func (r *run) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), heartbeat)
	defer cancel()
	err := r.database.write(ctx, func(x querier) error {
		_, err := r.exec(ctx, x, "delete from {process} where id = $1", r.id)
		return err
	})
	if err != nil {
		r.log.Error("outbox: the database fails", "at", "end", "err", err)
	}
}
