package sesguard

import (
	"cmp"
	"context"
	stderrors "errors"
	"fmt"
	"log/slog"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// Options say how a guard sends. The zero value is ready to use: AWS's
// documented waits for at most one hour, at most once, no rate limit, no logs.
//
// Two brakes need no option, and all that goes through one guard shares them. A
// breaker answers later sends at once with a refusal that is about the whole
// account, while one send probes now and then. A budget lets retries pass one a
// second and one for every five first attempts, after a hundred without wait;
// those beyond wait their turn, within Retry.MaxElapsed and the deadline.
type Options struct {
	Retry   retry.Policy // when to try again; the zero value is AWS's schedule, see package retry
	Limiter Limiter      // asked before each attempt; nil: no limit. See NewLimiter
	Logger  *slog.Logger // a line for each failed attempt, without recipients and content; nil: none
}

// A Client is the guard around a transport: it validates and builds a message
// once, and sends it by the rules of [Options] until SES has accepted it,
// refused it for good, or the policy or the context ends it. It is a [Sender],
// safe for concurrent use, and holds nothing that must be closed.
type Client struct {
	transport Sender
	guard     *guard
}

// New returns a Client that sends through transport: [SMTP], [API], or any
// Sender that makes one attempt. It panics if transport is nil.
func New(transport Sender, opts Options) *Client {
	if transport == nil {
		panic("sesguard: New with a nil transport")
	}
	return &Client{transport: transport, guard: newGuard(opts)}
}

// Send may block for an hour when ctx has no deadline: that is how long the
// default policy waits for trouble that time cures.
//
// With a deadline Send returns as soon as the next wait does not fit before
// it, and [retry.After] then tells when a later try may work. The errors:
//
//   - class Invalid, holding a *[ValidationError]: the message cannot be sent
//     as it is; nothing was sent;
//   - [seserrors.MaybeAccepted]: SES may have the message; nothing was sent
//     again, unless opts.Retry.AllowDuplicates;
//   - [seserrors.IsRetryable]: the attempts are used up, or there is no time for
//     another; not accepted;
//   - [seserrors.IsFatal]: refused for good; not accepted;
//   - class Canceled: ctx ended; not accepted.
//
// [seserrors.MaybeAccepted]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#MaybeAccepted
// [seserrors.IsRetryable]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#IsRetryable
// [seserrors.IsFatal]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#IsFatal
func (c *Client) Send(ctx context.Context, m *Message) (*Receipt, error) {
	b, err := prepareNow(m)
	if err != nil {
		return nil, err
	}
	built := b.message()
	var receipt *Receipt
	attempts, doubted, err := c.guard.run(ctx, len(b.to), func(ctx context.Context) error {
		var err error
		receipt, err = c.transport.Send(ctx, built)
		return err
	})
	if _, ok := c.transport.(smtpTransport); ok {
		b.recycle()
	}
	if err != nil {
		return nil, err
	}
	return receipt.after(attempts, doubted), nil
}

// after is the guard's receipt: the transport's, with what earlier attempts
// add to it.
func (r *Receipt) after(attempts int, doubted bool) *Receipt {
	var final Receipt
	if r != nil {
		final = *r
	}
	final.Attempts = attempts
	final.MaybeDuplicate = final.MaybeDuplicate || doubted
	return &final
}

// prepareNow validates and builds m for a send that begins now.
func prepareNow(m *Message) (*built, error) { return prepare(m, time.Now()) }

// A guard is the policy that all guarded senders share: Client, Guard, Wrap and
// SendMail run every send through it.
type guard struct {
	policy  retry.Policy
	limiter Limiter
	breaker breaker
	budget  *budget
}

func newGuard(opts Options) *guard {
	g := &guard{policy: opts.Retry, limiter: opts.Limiter, budget: newBudget()}
	if log := opts.Logger; log != nil {
		g.policy.OnAttempt = logAttempts(log, opts.Retry.OnAttempt)
	}
	return g
}

// run sends one message to n recipients: rounds of delivery.round, driven by
// the policy. It reports how many attempts reached the transport and whether
// one of them left doubt.
func (g *guard) run(ctx context.Context, n int, try func(context.Context) error) (attempts int, doubted bool, err error) {
	d := &delivery{guard: g, n: n, try: try, start: time.Now()}
	err = retry.Do(ctx, g.policy, func(ctx context.Context) error {
		d.last = d.round(ctx)
		return d.last
	})
	return d.attempts, d.doubted, err
}

// A delivery is one run of a guard: what its rounds know of each other.
type delivery struct {
	*guard
	n        int // recipients
	try      func(context.Context) error
	start    time.Time
	attempts int   // that reached the transport
	doubted  bool  // one of them left doubt
	last     error // of the last round
}

// round is one turn of the one loop, in the one order: breaker, retry budget,
// limiter, breaker, attempt, classify, observe; then retry.Do waits. The order
// is what makes the promises hold, so it stands here and nowhere else. Until
// the attempt nothing is sent, so nothing before it adds doubt.
func (d *delivery) round(ctx context.Context) error {
	if err := d.breaker.check(); err != nil {
		return err
	}
	if err := d.pay(ctx); err != nil {
		return err
	}
	probe, err := d.admit(ctx)
	if err != nil {
		d.refund()
		return err
	}
	return d.attempt(ctx, probe)
}

// pay holds a retry back until the budget has room for it. The wait belongs to
// the one that retry.Do has just made, so it has the same limits and, when it
// cannot end well, the same result: the last failure.
func (d *delivery) pay(ctx context.Context) error {
	if d.attempts == 0 {
		return nil
	}
	wait, err := d.budget.spend(ctx, d.latest(ctx))
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ended(ctx, opBudget)
	}
	return &retry.Error{RetryAfter: wait, Err: fmt.Errorf("%w; no further attempt: %w", d.last, err)}
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
// meanwhile. What the limiter let pass it is told the end of in any case.
func (d *delivery) admit(ctx context.Context) (probe bool, err error) {
	if err := d.await(ctx, d.n); err != nil {
		return false, err
	}
	probe, err = d.breaker.admit()
	if err != nil {
		d.observe(d.n, err)
	}
	return probe, err
}

// attempt makes one attempt, and tells budget, breaker and limiter of it.
func (d *delivery) attempt(ctx context.Context, probe bool) error {
	err := errPanicked
	defer func() { d.breaker.observe(probe, err) }()
	if d.attempts++; d.attempts == 1 {
		d.budget.add(firstEarns)
	}
	err = classified(d.try(ctx))
	d.doubted = d.doubted || seserrors.MaybeAccepted(err)
	if err == nil && d.attempts > 1 {
		d.budget.add(cureEarns)
	}
	d.observe(d.n, err)
	return err
}

// errPanicked is what the breaker sees of a transport that panicked.
var errPanicked error = &seserrors.Error{Class: seserrors.Unknown}

// ended is the error for a context that ended while op waited: nothing was in
// flight.
func ended(ctx context.Context, op string) error {
	return &seserrors.Error{Op: op, Class: seserrors.Canceled, Reason: seserrors.ContextCanceled, Err: causeOf(ctx)}
}

// causeOf is why ctx ended, without the doubt of another mail.
func causeOf(ctx context.Context) error {
	cause := context.Cause(ctx)
	if seserrors.MaybeAccepted(&seserrors.Error{Class: seserrors.Canceled, Err: cause}) {
		return otherMail{cause}
	}
	return cause
}

// otherMail is a context's cause that is itself a mail in doubt, as when one of
// a group of sends fails and cancels the others. errors.Is still finds it,
// walks of the tree do not: the doubt is not about this mail.
type otherMail struct{ err error }

func (o otherMail) Error() string        { return o.err.Error() }
func (o otherMail) Is(target error) bool { return stderrors.Is(o.err, target) }

// await asks the limiter.
func (g *guard) await(ctx context.Context, n int) error {
	if g.limiter == nil {
		return nil
	}
	err := g.limiter.WaitN(ctx, n)
	if err == nil {
		return nil
	}
	var known *seserrors.Error
	switch {
	case ctx.Err() != nil:
		return ended(ctx, opLimiter)
	case stderrors.As(err, &known):
		return err
	default:
		return &seserrors.Error{Op: opLimiter, Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded, Err: err}
	}
}

// observe tells the limiter how what it let pass ended.
func (g *guard) observe(n int, err error) {
	if g.limiter != nil {
		g.limiter.Observe(n, err)
	}
}

// classified returns err so that it holds a *seserrors.Error: a transport of
// the caller's own may return anything.
func classified(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := stderrors.AsType[*seserrors.Error](err); ok {
		return err
	}
	return seserrors.Classify(err)
}

func logAttempts(log *slog.Logger, next func(retry.Attempt)) func(retry.Attempt) {
	return func(a retry.Attempt) {
		if a.Err != nil {
			log.LogAttrs(context.Background(), slog.LevelWarn, "sesguard: attempt failed",
				slog.Int("attempt", a.N),
				slog.Duration("took", a.Took),
				slog.Duration("wait", a.Wait),
				slog.Any("error", seserrors.Classify(a.Err)))
		}
		if next != nil {
			next(a)
		}
	}
}
