package sesguard

import (
	"context"
	stderrors "errors"
	"log/slog"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// Options say how a guard sends. The zero value is ready to use: AWS's
// documented waits for at most one hour, at most once, no rate limit, no logs.
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
//   - [seserrors.IsRetryable]: the attempts are used up; not accepted;
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

// run is the one loop, in the one order: breaker, retry budget, limiter,
// attempt, observe, classify, wait. The order is what makes the promises hold,
// so it stands here and nowhere else. n counts recipients. It reports how many
// attempts reached the transport and whether one of them left doubt.
func (g *guard) run(ctx context.Context, n int, try func(context.Context) error) (attempts int, doubted bool, err error) {
	round := 0
	err = retry.Do(ctx, g.policy, func(ctx context.Context) error {
		round++
		if err := g.admit(ctx, round, n); err != nil {
			return err
		}
		err := g.attempt(ctx, n, &attempts, try)
		doubted = doubted || seserrors.MaybeAccepted(err)
		if err == nil && round > 1 {
			g.budget.add(budgetPerCure)
		}
		return err
	})
	return attempts, doubted, err
}

// admit holds the attempt of the given round back until it may be made.
// Whatever it answers, nothing was sent, so the error is never in doubt.
func (g *guard) admit(ctx context.Context, round, n int) error {
	if err := g.breaker.check(); err != nil {
		return err
	}
	if round == 1 {
		g.budget.add(budgetPerFirst)
	} else if err := g.budget.spend(ctx); err != nil {
		return ended(ctx, opBudget)
	}
	return g.await(ctx, n)
}

// attempt calls try, and tells breaker and limiter how it ended.
func (g *guard) attempt(ctx context.Context, n int, attempts *int, try func(context.Context) error) error {
	probe, err := g.breaker.admit()
	if err != nil {
		return err
	}
	err = errPanicked
	defer func() { g.breaker.observe(probe, err) }()
	*attempts++
	err = classified(try(ctx))
	if g.limiter != nil {
		g.limiter.Observe(n, err)
	}
	return err
}

// errPanicked is what the breaker sees of a transport that panicked.
var errPanicked error = &seserrors.Error{Class: seserrors.Unknown}

// ended is the error for a context that ended while op waited: nothing was in
// flight.
func ended(ctx context.Context, op string) error {
	return &seserrors.Error{Op: op, Class: seserrors.Canceled, Reason: seserrors.ContextDone, Err: context.Cause(ctx)}
}

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

// classified returns err so that it holds a *seserrors.Error: a transport of
// the caller's own may return anything.
func classified(err error) error {
	var known *seserrors.Error
	if err == nil || stderrors.As(err, &known) {
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
