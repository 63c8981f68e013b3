package sesguard

import (
	stderrors "errors"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const (
	opBreaker = "sesguard breaker"

	// The time between two probes of an account that refuses everything.
	minCooldown = 5 * time.Second // AWS's first documented wait
	maxCooldown = time.Minute
)

// A breaker stops a guard's senders after a refusal that every mail of the
// account would draw: wrong credentials, a paused or suspended account, no
// subscription. While it is open one send is let through now and then to probe
// the account; the others are refused at once, for the same reason. The zero
// value is closed.
type breaker struct {
	mu       sync.Mutex
	refusal  *seserrors.Error // what the account answered; nil: closed
	cooldown time.Duration
	probeAt  time.Time
	probing  bool
}

// check refuses what admit would refuse, without claiming the probe.
func (b *breaker) check() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refuse()
}

// refuse is the error for a send that may not be tried now, nil if it may.
func (b *breaker) refuse() error {
	if b.refusal == nil || !b.probing && !time.Now().Before(b.probeAt) {
		return nil
	}
	e := *b.refusal
	e.Op, e.Recipients, e.Err = opBreaker, nil, b.refusal
	return &e
}

// admit lets an attempt through, or refuses it with the account's refusal.
// probe says that the attempt is the one that finds out whether the refusal
// still holds; its outcome must be given to observe.
func (b *breaker) admit() (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refuse(); err != nil {
		return false, err
	}
	b.probing = b.refusal != nil
	return b.probing, nil
}

// observe learns from an attempt's outcome. While the breaker is open only the
// probe counts: what was already under way says nothing about now.
func (b *breaker) observe(probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	refusal := accountRefusal(err)
	switch {
	case probe && refusal != nil:
		b.probing, b.refusal = false, refusal
		b.cooldown = min(2*b.cooldown, maxCooldown)
		b.probeAt = time.Now().Add(b.cooldown)
	case probe && inconclusive(err):
		b.probing = false // the next send probes
	case probe:
		b.probing, b.refusal = false, nil
	case refusal != nil && b.refusal == nil:
		b.refusal, b.cooldown = refusal, minCooldown
		b.probeAt = time.Now().Add(minCooldown)
	}
}

// accountRefusal returns the *seserrors.Error in err if it says that no mail
// of this account can be sent until a person acts. A wrong clock is not among
// them: the SDK corrects it for the next attempt.
func accountRefusal(err error) *seserrors.Error {
	if err == nil {
		return nil
	}
	e, ok := stderrors.AsType[*seserrors.Error](err)
	if !ok || !seserrors.IsFatal(err) || e.Reason.Scope() != seserrors.ScopeAccount || e.Reason == seserrors.ClockSkew {
		return nil
	}
	return e
}

// inconclusive reports whether err tells nothing about the account: SES was
// not reached, did not answer, or looked no further than the clock.
func inconclusive(err error) bool {
	if err == nil {
		return false
	}
	e := seserrors.Classify(err)
	if e.Reason == seserrors.ClockSkew {
		return true
	}
	switch e.Class {
	case seserrors.Canceled, seserrors.Unavailable, seserrors.Invalid, seserrors.Unknown:
		return true
	}
	return seserrors.MaybeAccepted(err)
}
