package sesguard

import (
	"strings"
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
// account would draw: a paused or suspended account, no subscription, or
// credentials that were refused twice in a row. While it is open one send is
// let through now and then to probe the account; the others are refused at
// once, for the same reason. The zero value is closed.
type breaker struct {
	mu       sync.Mutex
	refusal  *seserrors.Error // what the account answered; nil: closed
	since    time.Time        // when it opened
	cooldown time.Duration
	probeAt  time.Time // when the next send may probe
	last     claim     // the last one made
	inARow   int       // refusals of the credentials
}

// A claim is the right to probe. It ends when the next one is made, so a probe
// that hangs does not keep others from probing. Zero is none.
type claim int

// A change is the breaker's opening or closing, and the refusal that it was for.
// The zero value is none.
type change struct {
	open bool
	why  *seserrors.Error
}

// check refuses what admit would refuse, without claiming the probe.
func (b *breaker) check() *seserrors.Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refuse()
}

// refuse is the error for a send that may not be tried now, nil if it may.
func (b *breaker) refuse() *seserrors.Error {
	if b.refusal == nil || !time.Now().Before(b.probeAt) {
		return nil
	}
	return b.refusal
}

// admit lets an attempt through, or refuses it with the account's refusal. The
// claim must be given to observe.
func (b *breaker) admit() (claim, *seserrors.Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.refuse(); e != nil || b.refusal == nil {
		return 0, e
	}
	b.last++
	b.probeAt = time.Now().Add(b.cooldown)
	return b.last, nil
}

// observe learns how an attempt ended; nil is acceptance. Any acceptance closes
// the breaker. Of the failures, while it is open, only the probe's counts: what
// was under way before says nothing about now.
func (b *breaker) observe(c claim, e *seserrors.Error) change {
	b.mu.Lock()
	defer b.mu.Unlock()
	refused := b.refusedAccount(e)
	switch {
	case e == nil:
		return b.close()
	case b.refusal == nil && refused:
		b.since = time.Now()
		b.last++ // no claim of an earlier time counts
		b.remember(e, minCooldown)
		return change{open: true, why: b.refusal}
	case b.refusal == nil || c != b.last: // not the probe in force
	case refused:
		b.remember(e, min(2*b.cooldown, maxCooldown))
	case inconclusive(e):
		b.probeAt = time.Now() // the next send probes
	default:
		return b.close()
	}
	return change{}
}

func (b *breaker) close() change {
	why := b.refusal
	b.refusal, b.since = nil, time.Time{}
	return change{why: why}
}

// remember keeps what is the account's of e, and nothing of the mail that met it.
func (b *breaker) remember(e *seserrors.Error, cooldown time.Duration) {
	own := *e
	own.Op, own.Recipients, own.Identities, own.TrackID, own.Err = opBreaker, nil, nil, "", nil
	b.refusal, b.cooldown, b.probeAt = &own, cooldown, time.Now().Add(cooldown)
}

// state is what Stats shows.
func (b *breaker) state() (since time.Time, why *seserrors.Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, b.refusal
}

// refusedAccount reports whether e says that no mail of this account can be
// sent until a person acts. Credentials must be refused twice in a row: the
// first time they may just have been replaced or have run out.
func (b *breaker) refusedAccount(e *seserrors.Error) bool {
	if e != nil && inconclusive(e) {
		return false
	}
	if e == nil || !aboutCredentials(e.Reason) {
		b.inARow = 0
		return e != nil && seserrors.IsFatal(e) && e.Reason.Scope() == seserrors.ScopeAccount
	}
	b.inARow++
	return seserrors.IsFatal(e) && (b.inARow > 1 || b.refusal != nil)
}

func aboutCredentials(r seserrors.Reason) bool {
	switch r {
	case seserrors.AuthRequired, seserrors.CredentialsInvalid, seserrors.CredentialsExpired, seserrors.CredentialsUnavailable:
		return true
	}
	return false
}

// inconclusive reports whether e tells nothing about the account: SES was not
// reached, did not answer, or looked no further than the clock. Set-up over
// SMTP is smtpclient's affair: it remembers a refused sign-in itself, for all
// senders and until the credentials change.
func inconclusive(e *seserrors.Error) bool {
	switch e.Class {
	case seserrors.Canceled, seserrors.Unavailable, seserrors.Invalid, seserrors.Unknown:
		return true
	}
	return e.MaybeAccepted || e.Reason == seserrors.ClockSkew || e.Reason.Scope() == seserrors.ScopeConnection || isSMTPSetup(e.Op)
}

// isSMTPSetup reports whether op is a step of SMTP outside of a transaction:
// only the commands of a transaction are about a mail.
func isSMTPSetup(op string) bool {
	step, smtp := strings.CutPrefix(op, "smtp ")
	switch step {
	case "MAIL", "RCPT", "DATA", "end of data":
		return false
	}
	return smtp
}
