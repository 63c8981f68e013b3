package sesguard

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
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
	// Retry says when to try again. The zero value is AWS's schedule, see
	// package retry. Its OnAttempt is not called: Hooks are.
	Retry retry.Policy

	// Limiter is asked before each attempt. Nil: no limit. See [NewRateLimiter].
	Limiter Limiter

	// TrackTag names the SES message tag in which each mail carries its own id,
	// so that SES's events can be joined to the send, also to one whose answer
	// was lost. The id is then in the Receipt and in the TrackID of the
	// *seserrors.Error too. Empty: the id is not sent.
	TrackTag string

	// Hooks are told of each step. The zero value: none.
	Hooks Hooks

	// Logger gets a line for each failed attempt, for each send that has ended
	// without a receipt, and for each change of the breaker, all without
	// recipients and content. Sends that an open breaker refuses are not logged
	// one by one, nor are the invalid entries of a bulk, which are in its result.
	// Nil: no logs.
	Logger *slog.Logger
}

// A Guard runs sends by the rules of [Options]: one loop, one order. All that
// goes through one Guard shares its brakes. It is safe for concurrent use and
// starts no goroutine. Create it with [NewGuard].
type Guard struct {
	policy retry.Policy
	*shared
}

// shared is what a Guard has in common with those that With makes of it.
type shared struct {
	limiter  Limiter
	trackTag string
	hooks    Hooks
	log      *slog.Logger
	breaker  breaker
	budget   *gate
	sends    sends
}

// NewGuard returns a Guard for opts.
func NewGuard(opts Options) *Guard {
	return &Guard{policy: opts.Retry, shared: &shared{
		limiter: opts.Limiter, trackTag: opts.TrackTag, hooks: opts.Hooks, log: opts.Logger, budget: newBudget(),
	}}
}

// With returns a Guard with the brakes, the hooks and the Shutdown of g, but
// another policy: login codes may be sent at least once (AllowDuplicates) and
// be given up after a minute, beside invoices that are sent at most once.
func (g *Guard) With(p retry.Policy) *Guard { return &Guard{policy: p, shared: g.shared} }

// Client returns a Client that sends through t by the rules of g. It panics if
// t is nil.
func (g *Guard) Client(t Transport) *Client {
	if t == nil {
		panic("sesguard: a Client of a nil Transport")
	}
	return &Client{transport: t, guard: g}
}

// Do runs one send: it calls attempt until that succeeds or is refused for
// good, or until the policy, ctx or Shutdown ends the send. It is what [Client]
// and package sesapi are made of; with it any other way to SES gets the same
// loop. It waits in the caller's goroutine, and its errors are those of
// [Client.SendBuilt].
//
// attempt is a [Transport] in all but its argument, and what is said there of
// errors holds here: one without a *seserrors.Error leaves the mail in doubt.
// Do fills in s.TrackTag, and s.TrackID if it is empty; attempt finds both with
// [InfoFrom] and must send the id in the tag of that name if the name is not
// empty. A panic in attempt is not recovered.
func (g *Guard) Do(ctx context.Context, s Info, attempt func(context.Context) (*Receipt, error)) (*Receipt, error) {
	s.TrackTag = g.trackTag
	if s.TrackID == "" {
		s.TrackID = rand.Text()
	}
	d := &delivery{Guard: g, info: s, try: attempt}
	return d.run(ctx)
}

// Shutdown ends all sends in order, also those of the guards that [Guard.With]
// made. Waits for a retry, the budget and the limiter end at once: the error
// holds the failure that was waited out and the reason client-closed, and
// retry.After tells when to try again. Attempts under way finish. Later sends
// are refused with the reason client-closed.
//
// It returns nil when the last send has returned, or context.Cause(ctx) when
// ctx ends first; the sends then go on. It may be called more than once, but not
// from a hook, which belongs to a send. Begin with what calls Send, but do not
// wait for it, since it may wait in Send; then end the pool of connections.
func (g *Guard) Shutdown(ctx context.Context) error {
	ended := g.sends.close()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	select {
	case <-ended:
		return nil
	default:
		return context.Cause(ctx)
	}
}

// GuardStats is what a Guard is doing: for a health page or a gauge.
type GuardStats struct {
	Waiting  int // sends that wait for a retry, the budget or the limiter
	InFlight int // attempts under way

	// BreakerSince is when the breaker opened. The zero time: it is closed.
	BreakerSince time.Time

	// BreakerWhy is the account's last refusal, nil while the breaker is closed.
	// Do not change it.
	BreakerWhy *seserrors.Error
}

// Stats reports what g and the guards that With made of it are doing.
func (g *Guard) Stats() GuardStats {
	g.sends.mu.Lock()
	all, attempts := len(g.sends.all), int(g.sends.attempts.Load())
	g.sends.mu.Unlock()
	since, why := g.breaker.state()
	return GuardStats{Waiting: max(all-attempts, 0), InFlight: attempts, BreakerSince: since, BreakerWhy: why}
}

// errShutdown is the cause with which Shutdown ends waits.
var errShutdown error = &seserrors.Error{
	Op: opSend, Class: seserrors.Canceled, Reason: seserrors.ClientClosed, Message: "the guard was shut down",
}

// sends are the sends under way.
type sends struct {
	attempts atomic.Int64 // under way

	mu    sync.Mutex
	all   map[*delivery]struct{}
	ended chan struct{} // made by close; closed when no send is left
}

func (s *sends) enter(d *delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return errShutdown
	}
	if s.all == nil {
		s.all = make(map[*delivery]struct{})
	}
	s.all[d] = struct{}{}
	return nil
}

func (s *sends) leave(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, d)
	if s.ended != nil && len(s.all) == 0 {
		close(s.ended)
	}
}

// close ends all waits. The channel is closed when no send is left.
func (s *sends) close() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	s.ended = make(chan struct{})
	if len(s.all) == 0 {
		close(s.ended)
	}
	for d := range s.all {
		d.endWaits(errShutdown)
	}
	return s.ended
}
