package sesguard

import (
	"context"
	stderrors "errors"
	"fmt"
	"math"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

const opLimiter = "sesguard limiter"

// A Limiter keeps a guard within the account's send rate. SES counts
// recipients, not messages, so n is the number of recipients of one message.
// Contexts are those of the send: [InfoFrom] tells whose it is.
// Implementations are safe for concurrent use.
type Limiter interface {
	// WaitN blocks until n recipients may be sent to, or refuses. A
	// *seserrors.Error is returned from Send as it is, when ctx ended the
	// error is of class Canceled, and any other error counts as Throttled.
	// Nothing has been sent yet, so the error is never in doubt.
	WaitN(ctx context.Context, n int) error

	// Observe is told once how each attempt that WaitN let pass has ended: nil,
	// or a *seserrors.Error. It is how a limiter learns. It must not block.
	Observe(ctx context.Context, n int, err error)
}

// A Quota is what an account may send.
type Quota struct {
	PerSecond   float64 // recipients a second
	Max24Hours  float64 // recipients in any 24 hours; -1: no bound
	Sent24Hours float64 // of them, spent in the last 24 hours
}

// A RateLimiter is a [Limiter] with a rate of its own, in recipients a second.
// Messages pass evenly spaced and in the order of the calls, without a burst,
// so that no second sees more than the rate and one. A message passes when its
// first recipient is due; the next one then waits for the others too.
//
// One that stops waiting frees its place at once. A RateLimiter is safe for
// concurrent use. Create it with [NewRateLimiter].
type RateLimiter struct{ gate gate }

// NewRateLimiter returns a RateLimiter for perSecond recipients a second. Give
// it your account's sending rate, which the SES console and GetAccount show as
// MaxSendRate, less a few per cent: a client that sends at exactly its rate
// still draws refusals. sesapi.NewAccountLimiter does that by itself.
//
// With a rate of 0, less, or NaN nothing passes; +Inf is no limit.
func NewRateLimiter(perSecond float64) *RateLimiter {
	l := new(RateLimiter)
	l.SetRate(perSecond)
	return l
}

// SetRate changes the rate, also for messages that wait. A rate of 0, less, or
// NaN refuses them.
func (l *RateLimiter) SetRate(perSecond float64) {
	if !(perSecond > 0) {
		l.gate.close(throttled("the limiter's rate is 0: nothing may pass", nil))
		return
	}
	l.gate.setUnit(saturated(math.Ceil(float64(time.Second) / perSecond)))
}

// WaitN blocks until n recipients may be sent to. It refuses at once, with
// class Throttled, when ctx's deadline comes first; [retry.After] of that error
// is the time that would have been needed. When ctx ends it returns ctx.Err().
//
// [retry.After]: https://pkg.go.dev/github.com/sesguard/sesguard-go/retry#After
func (l *RateLimiter) WaitN(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	wait, err := l.gate.pass(ctx, n, deadline)
	if err == errTooLate {
		e := throttled(fmt.Sprintf("the turn of %d recipients comes after the context's deadline", n), context.DeadlineExceeded)
		return &retry.Error{RetryAfter: wait, Err: e}
	}
	return err
}

// Observe does nothing: the rate is what it was set to.
func (l *RateLimiter) Observe(context.Context, int, error) {}

func throttled(message string, cause error) *seserrors.Error {
	return &seserrors.Error{
		Op: opLimiter, Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded,
		Message: message, Err: cause,
	}
}

// Limited returns a Transport that asks l before each attempt of t: a limiter
// for one of several transports, such as that of a region, beside the
// Options.Limiter of all. Its waits are part of the attempt for Hooks and Stats,
// but [Guard.Shutdown] ends them too.
func Limited(t Transport, l Limiter) Transport { return limitedTransport{t, l} }

type limitedTransport struct {
	transport Transport
	limiter   Limiter
}

func (t limitedTransport) Attempt(ctx context.Context, m *Mail) (r *Receipt, err error) {
	n := len(m.recipients)
	if err := t.wait(ctx, n); err != nil {
		return nil, err
	}
	failure := abandoned
	defer func() { observe(ctx, t.limiter, n, failure) }()
	r, err = t.transport.Attempt(ctx, m)
	if failure, err = settle(r, err); err != nil {
		return nil, err
	}
	return r, nil
}

func (t limitedTransport) wait(ctx context.Context, n int) error {
	if d, ok := ctx.Value(infoKey{}).(*delivery); ok {
		waits, end := context.WithCancelCause(ctx)
		defer end(nil)
		defer context.AfterFunc(d.waits, func() { end(context.Cause(d.waits)) })()
		ctx = waits
	}
	return ask(ctx, t.limiter, n)
}

// observe tells l how an attempt ended; a nil failure is acceptance.
func observe(ctx context.Context, l Limiter, n int, failure *seserrors.Error) {
	if failure == nil {
		l.Observe(ctx, n, nil)
		return
	}
	l.Observe(ctx, n, failure)
}

// ask waits for l. Its error is never in doubt and holds a *seserrors.Error.
func ask(ctx context.Context, l Limiter, n int) error {
	err := l.WaitN(ctx, n)
	if err == nil {
		return nil
	}
	known, ok := stderrors.AsType[*seserrors.Error](err)
	switch {
	case ctx.Err() != nil:
		return seserrors.FromContext(ctx, opLimiter)
	case ok && known != nil:
		return unsent(err)
	default:
		return &seserrors.Error{Op: opLimiter, Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded, Err: err}
	}
}

// unsent returns err, which is not about this mail's sending, without any doubt
// that it may hold.
func unsent(err error) error {
	if !seserrors.MaybeAccepted(err) {
		return err
	}
	e := *seserrors.Classify(err)
	e.MaybeAccepted, e.Err = false, stderrors.New(err.Error())
	return &e
}
