package sesguard

import (
	"cmp"
	"context"
	stderrors "errors"
	"fmt"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

const (
	opSend      = "sesguard"
	opTransport = "sesguard transport"
)

// A delivery is one run of a guard: what its rounds know of each other.
type delivery struct {
	*Guard
	info  Info
	try   func(context.Context) (*Receipt, error)
	start time.Time

	// Two contexts: Shutdown ends waits, but no attempt.
	ctx      context.Context // the caller's, with Info and what SendStart added
	waits    context.Context // ctx, until Shutdown
	endWaits context.CancelCauseFunc

	receipt  *Receipt
	attempts int   // that reached the transport
	doubted  bool  // one of them left doubt
	last     error // of the last round

	paused  time.Time     // when the wait for a retry began
	limited time.Duration // how long the limiter held it back

	// Of the round under way, for report.
	tried      bool            // it reached the transport
	attemptCtx context.Context // what AttemptStart returned
	took       time.Duration   // of the transport alone
	failure    *seserrors.Error
}

// run sends: rounds, driven by the policy.
func (d *delivery) run(ctx context.Context) (*Receipt, error) {
	d.ctx = context.WithValue(ctx, infoKey{}, d)
	if start := d.hooks.SendStart; start != nil {
		d.ctx = cmp.Or(start(d.ctx, d.info), d.ctx)
	}
	d.waits, d.endWaits = context.WithCancelCause(d.ctx)
	defer d.endWaits(nil)
	if err := d.sends.enter(d); err != nil {
		return d.done(err)
	}
	defer d.sends.leave(d)
	policy := d.policy
	policy.OnAttempt = nil
	if d.log != nil || d.hooks.AttemptDone != nil || d.hooks.Waited != nil {
		policy.OnAttempt = d.report
	}
	d.start = time.Now()
	err := retry.Do(d.waits, policy, func(ctx context.Context) error {
		d.last = d.round(ctx)
		return d.last
	})
	return d.done(err)
}

// round is one turn of the one loop, in the one order: breaker, retry budget,
// limiter, breaker, attempt, and what breaker, budget and limiter learn of it;
// then retry.Do waits. The order is what makes the promises hold, so it stands
// here and nowhere else. Until the attempt nothing is sent, so nothing before
// it adds doubt.
func (d *delivery) round(ctx context.Context) error {
	d.tried, d.failure = false, nil
	d.resume()
	if refusal := d.breaker.check(); refusal != nil {
		return refusal
	}
	if err := d.pay(ctx); err != nil {
		return err
	}
	c, err := d.admit(ctx)
	if err != nil {
		d.refund()
		return err
	}
	return d.attempt(c)
}

// pay holds a retry back until the budget has room for it. The wait belongs to
// the one that retry.Do has just made, so it has the same limits and, when it
// cannot end well, the same result: the last failure.
func (d *delivery) pay(ctx context.Context) error {
	if d.attempts == 0 {
		return nil
	}
	since := time.Now()
	left, err := d.budget.pass(ctx, 1, d.latest(ctx))
	d.waited("budget", time.Since(since))
	if err == nil {
		return nil
	}
	if err = fmt.Errorf("%s: %w", opBudget, err); ctx.Err() != nil {
		err = seserrors.FromContext(ctx, opBudget)
	}
	return &retry.Error{RetryAfter: left, Err: fmt.Errorf("%w; no further attempt: %w", d.last, err)}
}

// refund takes pay back for an attempt that was not made.
func (d *delivery) refund() {
	if d.attempts > 0 {
		d.budget.add(retryCost)
	}
}

// latest is when a retry may begin at the latest: as in retry.Do a second
// before ctx's deadline, and within the policy's MaxElapsed. Zero: no bound.
func (d *delivery) latest(ctx context.Context) (latest time.Time) {
	if d.policy.MaxElapsed >= 0 {
		latest = d.start.Add(cmp.Or(d.policy.MaxElapsed, time.Hour))
	}
	if deadline, ok := ctx.Deadline(); ok {
		if last := deadline.Add(-time.Second); latest.IsZero() || last.Before(latest) {
			return last
		}
	}
	return latest
}

// admit asks the limiter, and then the breaker again: it may have opened
// meanwhile. A limiter that let a mail pass is told in any case how that ended.
func (d *delivery) admit(ctx context.Context) (c claim, err error) {
	if d.limiter != nil {
		since := time.Now()
		err := ask(ctx, d.limiter, d.info.Recipients)
		d.limited = time.Since(since)
		if err != nil {
			d.waited("limiter", d.limited)
			return 0, err
		}
	}
	var refusal *seserrors.Error
	if ctx.Err() != nil {
		refusal = seserrors.FromContext(ctx, opSend)
	} else if c, refusal = d.breaker.admit(); refusal == nil {
		return c, nil
	}
	if d.limiter != nil {
		d.observe(refusal)
		d.waited("limiter", d.limited)
	}
	return 0, refusal
}

// attempt makes one attempt. Breaker, budget and limiter learn how it ended,
// also if it panicked.
func (d *delivery) attempt(c claim) (err error) {
	d.sends.attempts.Add(1)
	failure := abandoned
	defer func() { d.learn(c, failure) }()
	defer d.sends.attempts.Add(-1)
	d.tried, d.attemptCtx = true, d.ctx
	if d.attempts++; d.attempts == 1 {
		d.budget.add(firstEarns)
	}
	if d.limiter != nil {
		d.waited("limiter", d.limited)
	}
	if start := d.hooks.AttemptStart; start != nil {
		d.attemptCtx = cmp.Or(start(d.ctx, d.attempts), d.ctx)
	}
	begin := time.Now()
	d.receipt, err = d.try(d.attemptCtx)
	d.took = time.Since(begin)
	failure, err = settle(d.receipt, err)
	d.failure = failure
	d.doubted = d.doubted || failure != nil && failure.MaybeAccepted
	return err
}

// learn tells breaker, budget and limiter how an attempt ended. The user's code
// comes last: it may panic.
func (d *delivery) learn(c claim, failure *seserrors.Error) {
	change := d.breaker.observe(c, failure)
	if failure == nil && d.attempts > 1 {
		d.budget.add(cureEarns)
	}
	d.observe(failure)
	d.announce(change)
}

// observe tells the limiter how what it let pass has ended.
func (d *delivery) observe(failure *seserrors.Error) {
	if d.limiter != nil {
		observe(d.ctx, d.limiter, d.info.Recipients, failure)
	}
}

// abandoned is what is learnt of an attempt that did not return.
var abandoned = &seserrors.Error{Op: opTransport, MaybeAccepted: true, Message: "the attempt did not return"}

// settle finds the one *seserrors.Error of an attempt, nil if the mail was
// accepted, and the error of the round, which holds it. Only a transport knows
// whether it sent, and only with such an error does it say so. A receipt beside
// an error tells of an acceptance.
func settle(r *Receipt, err error) (*seserrors.Error, error) {
	if err == nil {
		return nil, nil
	}
	own, known := stderrors.AsType[*seserrors.Error](err)
	if known && own != nil && r == nil {
		return seserrors.Classify(err), err
	}
	e := &seserrors.Error{Op: opTransport, MaybeAccepted: true, Message: "the transport failed without saying whether it sent", Err: err}
	return e, e
}

// done ends the send.
func (d *delivery) done(err error) (r *Receipt, _ error) {
	d.resume()
	switch {
	case err == nil:
		r = d.accepted()
	case d.trackTag != "":
		err = tracked(err, d.info.TrackID)
	}
	d.logEnd(err)
	if done := d.hooks.SendDone; done != nil {
		done(d.ctx, r, err)
	}
	return r, err
}

// accepted is the guard's receipt: the transport's, with what the guard knows.
func (d *delivery) accepted() *Receipt {
	var r Receipt
	if d.receipt != nil {
		r = *d.receipt
	}
	r.Attempts = d.attempts
	r.MaybeDuplicate = r.MaybeDuplicate || d.doubted
	if d.trackTag != "" {
		r.TrackID = d.info.TrackID
	}
	return &r
}
