package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// spare is the least that must be left for an attempt between the end of a wait
// and the context's deadline.
const spare = time.Second

// Do calls op until it succeeds, p says to stop, or ctx ends. It waits in the
// caller's goroutine; without a deadline the zero Policy may take an hour.
//
// It returns nil as soon as op does, also when an earlier attempt was in doubt.
// Every other result is an [*Error] with the number of attempts, and its chain
// holds op's last error. op is not called again after an error that holds an
// [*Error] (a Do inside op has tried already) or that is marked with
// backoff.Permanent, nor when ctx has ended.
//
// Do gives up at once, without waiting, when the next wait and one second more
// do not fit before ctx's deadline, or when the wait does not fit in MaxElapsed;
// [After] then tells when to come back.
//
// When ctx ends during a wait, the result wraps the last failure and then
// context.Cause(ctx); when ctx has ended before the first attempt, op is not
// called and the result is of class Canceled. Nothing was in flight, so neither
// is in doubt for that.
//
// Doubt stays: once an attempt may have been accepted, every error that Do
// returns reports seserrors.MaybeAccepted, also when a later attempt was refused
// for certain. errors.Is and seserrors.Classify still see the last failure first.
//
// A panic in op is not recovered.
func Do(ctx context.Context, p Policy, op func(context.Context) error) error {
	l := &loop{ctx: ctx, policy: p, op: op, start: time.Now()}
	// The error is taken from l: backoff unwraps an error marked as permanent,
	// and with it loses what stands around the mark.
	_, _ = backoff.RetryNotifyWithData(l.attempt, l, nil)
	if l.done {
		return nil
	}
	return l.result()
}

// A loop is one Do: the operation and, at the same time, the
// backoff.BackOffContext that drives it and knows its last error.
type loop struct {
	ctx    context.Context
	policy Policy
	op     func(context.Context) error
	start  time.Time

	custom  backoff.BackOff // from policy.NewBackOff
	n       int             // attempts so far
	done    bool            // the last attempt succeeded
	last    error           // of the last attempt
	doubt   error           // of the last attempt that was in doubt
	skewed  bool            // the immediate retry for clock-skew is used up
	retried bool            // policy allows another attempt; only ctx can prevent it
	wait    time.Duration   // the wait that follows, or would if there were time
	ended   time.Time       // end of the last attempt
}

// Context lets backoff end a wait when ctx ends.
func (l *loop) Context() context.Context { return l.ctx }

// Reset is called once by backoff, before the first attempt.
func (l *loop) Reset() {}

// NextBackOff hands out what attempt decided.
func (l *loop) NextBackOff() time.Duration {
	if !l.retried || l.ctx.Err() != nil {
		return backoff.Stop
	}
	return l.wait
}

func (l *loop) attempt() (struct{}, error) {
	// A wait and ctx may end together, and then backoff may still come here.
	if err := l.ctx.Err(); err != nil {
		return struct{}{}, err
	}
	l.n++
	begin := time.Now()
	err := l.op(l.ctx)
	l.ended = time.Now()
	l.last, l.done, l.retried, l.wait = err, err == nil, false, 0
	if err != nil {
		l.decide(err)
	}
	l.report(begin)
	return struct{}{}, err
}

// decide says whether another attempt follows the failed one, and when.
func (l *loop) decide(err error) {
	e := seserrors.Classify(err)
	if e.MaybeAccepted {
		l.doubt = err
	}
	v := l.policy.judge(e, l.skewed)
	if v == stop || isPermanent(err) {
		return
	}
	l.skewed = l.skewed || v == atOnce
	wait, again := l.policy.wait(v, l.n, l.backOff(), err)
	if !again { // the BackOff said to stop: Schedule tells a queue when to come back
		wait = l.policy.Schedule.wait(l.n)
	}
	l.wait = wait
	l.retried = again && !isRetried(err) && !l.policy.spent(l.n) && l.fits(wait)
}

// backOff returns the policy's own BackOff, which is made when the first attempt
// has failed: most never do.
func (l *loop) backOff() backoff.BackOff {
	if l.custom == nil {
		l.custom = l.policy.newBackOff()
	}
	return l.custom
}

// fits says whether there is time for the wait. A context that has ended already
// is left to NextBackOff, so that the result names its cause.
func (l *loop) fits(wait time.Duration) bool {
	if !l.policy.withinElapsed(wait, l.ended.Sub(l.start)) {
		return false
	}
	deadline, ok := l.ctx.Deadline()
	return !ok || l.ctx.Err() != nil || wait <= deadline.Add(-spare).Sub(l.ended)
}

func (l *loop) report(begin time.Time) {
	if l.policy.OnAttempt == nil {
		return
	}
	a := Attempt{N: l.n, Took: l.ended.Sub(begin), Err: l.last}
	if l.retried && l.ctx.Err() == nil {
		a.Again, a.Wait = true, l.wait
	}
	l.policy.OnAttempt(a)
}

// result builds the error of a Do that gave up.
func (l *loop) result() error {
	now := time.Now()
	e := &Error{Attempts: l.n, Elapsed: now.Sub(l.start), RetryAfter: l.wait, Err: l.last}
	switch {
	case l.n == 0:
		e.Err = seserrors.FromContext(l.ctx, "retry")
	case l.retried: // only ctx can have ended the loop
		e.RetryAfter = max(l.wait-now.Sub(l.ended), 0)
		e.Err = fmt.Errorf("%w; no further attempt: %w", rooted(l.last), seserrors.FromContext(l.ctx, "retry"))
	}
	if l.doubt == nil {
		return e
	}
	e.RetryAfter = 0
	if !seserrors.MaybeAccepted(e.Err) {
		e.Err = fmt.Errorf("%w; an earlier attempt may have been accepted: %w", rooted(e.Err), rooted(l.doubt))
	}
	return e
}

// rooted gives err an *seserrors.Error if it has none, so that its class is not
// taken from its neighbour in the tree.
func rooted(err error) error {
	if _, ok := errors.AsType[*seserrors.Error](err); ok {
		return err
	}
	return seserrors.Classify(err)
}
