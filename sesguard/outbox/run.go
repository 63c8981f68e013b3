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
	memory   *memory
	attempts context.Context // of the attempts: it outlives that of Run by DrainTimeout
	results  context.Context // of what is written: it outlives that of the attempts by lastResults
	hungry   atomic.Bool     // there may be more to claim

	// These belong to the loop.
	session  *session
	sends    sync.WaitGroup
	end      func()           // ends Run
	obsolete error            // why Run ended itself
	failed   bool             // the last transaction did
	cursor   map[int64]string // by priority: the lane after which the next claim looks first
	turnOf   int

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
// nil, also when the database takes no results. A database that is away for a
// while does not end Run: it waits. The error is that of a database which is not
// there at the start, or which Options.Name or its own identity show to be
// another: see [Outbox.Adopt]. It is also that of tables which a newer program
// has changed in a way that this one does not understand, which may happen while
// Run runs.
func (o *Outbox) Run(ctx context.Context, transport sesguard.Transport) error {
	if err := o.own(ctx); err != nil {
		return unless(ctx, err)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	attempts, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	results, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	host, _ := os.Hostname()
	r := &run{
		Outbox: o, id: rand.Text(), host: host, transport: transport,
		changes: make(chan *change), finished: make(chan struct{}, 1),
		memory: &memory{make(chan struct{}, 1), make(chan struct{}, memoryAll)}, attempts: attempts, results: results, session: &session{database: o.database}, end: end,
		cursor: map[int64]string{}, held: map[string]int64{},
	}
	defer r.session.close()
	if err := r.beat(ctx); err != nil {
		return unless(ctx, err)
	}
	var background sync.WaitGroup
	background.Go(func() { r.keep(ctx) })
	r.loop(ctx, cut, giveUp)
	r.sends.Wait()
	background.Wait()
	if results.Err() == nil { // else the database is away, and the lease ends by itself
		r.leave()
	}
	return r.obsolete
}

// unless returns err, nil if ctx has ended: then it was to be.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// loop writes what the sends have to write, claims mails for free places and
// starts their sends, until ctx has ended and no send is left. The audit is here
// too, so that it never meets a claim half done.
func (r *run) loop(ctx context.Context, cut, giveUp func()) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	wake, ended := r.opts.Wake, ctx.Done()
	for ctx.Err() == nil || r.busy() > 0 {
		var list []*change
		looked := true
		select {
		case <-ended:
			ended = nil
			defer r.drain(cut, giveUp)()
			continue
		case <-beat.C:
			r.trouble(ctx, "sign of life", r.beat(r.results))
			r.trouble(ctx, "audit", r.audit(r.results))
			r.mind(ctx)
			continue
		case c := <-r.changes:
			list, looked = r.together(c), false
		case <-r.finished:
			looked = false
		case _, ok := <-wake:
			if !ok {
				wake = nil
			}
		case <-r.wake:
		case <-look.C:
		}
		if next := r.step(ctx, list, looked); next > 0 {
			look.Reset(next)
		}
	}
}

// drain bounds the time that the sends still take: then their contexts end, and
// each says which way its mail went. Results that the database does not take
// soon after stay in doubt.
func (r *run) drain(cut, giveUp func()) (stop func()) {
	patience := max(0, r.opts.DrainTimeout)
	first := time.AfterFunc(patience, cut)
	second := time.AfterFunc(patience+lastResults, giveUp)
	return func() { first.Stop(); second.Stop() }
}

// step commits changes and claims mails for the places that are free with it, in
// one transaction. Looked says that it is time to, however few places are free.
// It returns when to look again; 0: as was said last.
func (r *run) step(ctx context.Context, list []*change, looked bool) (next time.Duration) {
	n, alone, next := r.places(ctx, list, looked)
	if len(list) == 0 && n == 0 {
		return next
	}
	if n > 0 {
		r.hungry.Store(false)
	}
	// The end of Run does not interrupt a transaction: the database might carry
	// out what nobody reads the answer of. A hanging one is over before the lease.
	limited, cancel := context.WithTimeout(r.results, heartbeat)
	defer cancel()
	var written map[string]bool
	var taken []*claimed
	err := r.session.write(limited, func(x querier) (err error) {
		if written, err = r.writeChanges(limited, x, list); err != nil || n == 0 {
			return err
		}
		taken, err = r.claim(limited, x, n)
		return err
	})
	if r.failed = err != nil; err != nil {
		r.trouble(ctx, "transaction", err) // what its commit may have claimed, the audit gives back
		taken = nil
	}
	r.tell(list, written, err)
	r.start(ctx, taken, alone)
	if len(taken) > 0 && len(taken) == n && !alone {
		r.hungry.Store(true)
	}
	return next
}

// places returns for how many mails there is a place once the results in list
// are written, whether one of them is to try alone, and when to look again.
func (r *run) places(ctx context.Context, list []*change, looked bool) (n int, alone bool, next time.Duration) {
	if ctx.Err() != nil || !looked && !r.hungry.Load() || r.failed && len(list) > 0 {
		return 0, false, 0
	}
	free := r.opts.Concurrency - r.busy()
	for _, c := range list {
		if c.state != Sending {
			free++
		}
	}
	// A claim for each place that becomes free would be a claim a mail: a few
	// are waited for, but not long.
	if !looked && free < r.opts.Concurrency/4 {
		return 0, false, 5 * time.Millisecond
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.brake.allows(max(0, free)), r.brake.step > 0, r.opts.Poll
}

// start starts the sends of claimed mails.
func (r *run) start(ctx context.Context, taken []*claimed, alone bool) {
	r.trouble(ctx, "content", r.read(ctx, taken)) // what is missing then is read mail by mail
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range taken {
		if _, twice := r.held[m.id]; twice {
			continue // the send of a claim that was taken from this process goes on: the audit gives this one back
		}
		r.held[m.id] = m.claim
		if m.brake = alone; alone {
			r.brake.probing = true
		}
		r.sends.Go(func() { r.send(ctx, m) })
	}
}

// busy is how many sends are under way.
func (r *run) busy() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held)
}

func (r *run) trouble(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		r.log.ErrorContext(ctx, "outbox: the database fails", "at", what, "err", err)
	}
}

// mind ends Run when a newer program has changed the tables in a way that this
// one does not understand.
func (r *run) mind(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	have, oldest, err := r.version(ctx, r.db)
	if err != nil {
		return // the database is away
	}
	if r.obsolete = compatible(have, oldest, nil); r.obsolete != nil {
		r.end()
	}
}

// beat tells the other processes that this one is alive.
func (r *run) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	_, err := r.update(ctx, `insert into {process} (id, host, started, alive) values ($1, $2, {now}, {now} + $3)
		on conflict (id) do update set alive = {now} + $3`, r.id, r.host, lease.Microseconds())
	return err
}

// leave takes the process off the list. What it may have left is swept at once.
func (r *run) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), heartbeat)
	defer cancel()
	_, err := r.update(ctx, "delete from {process} where id = $1", r.id)
	if err != nil {
		r.log.Error("outbox: the database fails", "at", "end", "err", err)
	}
}
