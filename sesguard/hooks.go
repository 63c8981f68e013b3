package sesguard

import (
	"context"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// Hooks are told of each step of a send, as those of net/http/httptrace are:
// for metrics and traces. Each may be nil. They run in the goroutine of the
// send, never under a lock, and must be safe for concurrent use. A panic in one
// is not recovered.
//
// A start hook returns the context for what it starts, and the done hook gets
// that context; to return nil is to return the given one. Values in it reach
// the limiter and the transport.
type Hooks struct {
	// SendStart is told of a send that begins, and SendDone how it ended:
	// exactly what the caller gets. A message that fails validation before it
	// comes to the Guard is not told of.
	SendStart func(context.Context, Info) context.Context
	SendDone  func(context.Context, *Receipt, error)

	// AttemptStart is told that attempt n, 1 for the first, is given to the
	// transport, and AttemptDone how it ended.
	AttemptStart func(ctx context.Context, n int) context.Context
	AttemptDone  func(context.Context, Attempt)

	// Waited is told of each wait when it is over, also when the context or
	// Shutdown ended it, and also when it took next to no time. Why is "retry"
	// for the wait that follows a failure, "budget" for the turn of a retry
	// behind those of other sends, "limiter" for that of Options.Limiter.
	Waited func(ctx context.Context, why string, took time.Duration)

	// Breaker is told once when the breaker opens and once when it closes. Why
	// is the refusal that it opened for. Do not change it. Calls for changes in
	// quick succession may overlap.
	Breaker func(open bool, why *seserrors.Error)
}

// An Attempt is what Hooks.AttemptDone is told.
type Attempt struct {
	N     int              // 1 for the first
	Took  time.Duration    // of the transport alone, without waits of the guard
	Err   *seserrors.Error // nil: accepted. Do not change it
	Again bool             // another attempt follows after Wait, unless the context ends first
	Wait  time.Duration    // 0 if no attempt follows, or if one follows at once
}

// report is told by retry.Do of each round, and whether another follows.
func (d *delivery) report(a retry.Attempt) {
	if a.Again {
		d.paused = time.Now()
	}
	d.logRound(a)
	if done := d.hooks.AttemptDone; done != nil && d.tried {
		done(d.attemptCtx, Attempt{N: d.attempts, Took: d.took, Err: d.failure, Again: a.Again, Wait: a.Wait})
	}
}

// resume ends the wait for a retry.
func (d *delivery) resume() {
	if !d.paused.IsZero() {
		took := time.Since(d.paused)
		d.paused = time.Time{}
		d.waited("retry", took)
	}
}

func (d *delivery) waited(why string, took time.Duration) {
	if hook := d.hooks.Waited; hook != nil {
		hook(d.ctx, why, took)
	}
}
