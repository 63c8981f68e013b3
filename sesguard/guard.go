package sesguard

import (
	"cmp"
	"context"
	"crypto/rand"
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
	Retry    retry.Policy // when to try again; the zero value is AWS's schedule, see package retry. Its OnAttempt is not called: Hooks are
	Limiter  Limiter      // asked before each attempt; nil: no limit. See NewRateLimiter
	TrackTag string       // the SES message tag that carries each mail's own id; empty: none
	Hooks    Hooks
	Logger   *slog.Logger // a line for each failed attempt, without recipients and content; nil: none
}

// A Guard runs sends by the rules of [Options]: one loop, one order. All that
// goes through one Guard shares its brakes. It is safe for concurrent use.
type Guard struct {
	opts    Options
	policy  retry.Policy
	limiter Limiter
	breaker breaker
	budget  *budget
}

// NewGuard returns a Guard for opts.
func NewGuard(opts Options) *Guard {
	g := &Guard{opts: opts, policy: opts.Retry, limiter: opts.Limiter, budget: newBudget()}
	if log := opts.Logger; log != nil {
		g.policy.OnAttempt = logAttempts(log, opts.Retry.OnAttempt)
	}
	return g
}

// Client returns a Client that sends through t by the rules of g. It panics if
// t is nil.
func (g *Guard) Client(t Transport) *Client {
	if t == nil {
		panic("sesguard: a Client of a nil Transport")
	}
	return &Client{transport: t, guard: g}
}

// Do runs one send: attempt is called until it succeeds, is refused for good, or
// the policy or ctx ends it.
func (g *Guard) Do(ctx context.Context, s Info, attempt func(context.Context) (*Receipt, error)) (*Receipt, error) {
	s.TrackTag = g.opts.TrackTag
	if s.TrackID == "" {
		s.TrackID = rand.Text()
	}
	ctx = context.WithValue(ctx, infoKey{}, s)
	var receipt *Receipt
	attempts, doubted, err := g.run(ctx, s.Recipients, func(ctx context.Context) error {
		var err error
		receipt, err = attempt(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := receipt.after(attempts, doubted)
	if s.TrackTag != "" {
		r.TrackID = s.TrackID
	}
	return r, nil
}

// Shutdown ends the waits of all sends; attempts under way finish.
func (g *Guard) Shutdown(ctx context.Context) error { return nil }

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

// run sends one message to n recipients: rounds of delivery.round, driven by
// the policy. It reports how many attempts reached the transport and whether
// one of them left doubt.
func (g *Guard) run(ctx context.Context, n int, try func(context.Context) error) (attempts int, doubted bool, err error) {
	d := &delivery{Guard: g, n: n, try: try, start: time.Now()}
	err = retry.Do(ctx, g.policy, func(ctx context.Context) error {
		d.last = d.round(ctx)
		return d.last
	})
	return d.attempts, d.doubted, err
}

// A delivery is one run of a guard: what its rounds know of each other.
type delivery struct {
	*Guard
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
		err = seserrors.FromContext(ctx, opBudget)
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

// await asks the limiter.
func (g *Guard) await(ctx context.Context, n int) error {
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
		return seserrors.FromContext(ctx, opLimiter)
	case stderrors.As(err, &known):
		return err
	default:
		return &seserrors.Error{Op: opLimiter, Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded, Err: err}
	}
}

// observe tells the limiter how what it let pass ended.
func (g *Guard) observe(n int, err error) {
	if g.limiter != nil {
		g.limiter.Observe(context.TODO(), n, err)
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
