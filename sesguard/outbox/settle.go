package outbox

import (
	"slices"
	"strings"
	"time"

	stderrors "errors"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

// A claimed mail is one that this process has taken.
type claimed struct {
	id                  string
	tenant, sender, set string
	claim               int64 // the claim's number: every compare-and-set checks it
	attempts            int   // before this one
	recipients          int
	size                int64
	due                 int64
	priority            Priority
	state               State  // Waiting, or Sending once the mark is written
	content             []byte // of a small mail, read with the claim; nil: still to be read
	coding              int64

	probe string // the key of the hold that this mail tries; empty: none
	step  int64  // of that hold
	brake bool   // it tries whether this process can send at all
}

// An outcome is what follows from one attempt.
type outcome struct {
	state     State
	wait      time.Duration // for Waiting
	giveBack  bool          // the attempt does not count: the mail was not at fault
	hold      string        // the key of a hold that begins; empty: none
	brake     bool          // this process, and no other, stops for a while
	messageID string
	err       *seserrors.Error
}

func (o *outcome) reason() string {
	if o.err == nil {
		return ""
	}
	return string(o.err.Reason)
}

// settle turns what a transport returned into what becomes of the mail. Doubt
// comes first, since it may stand beside any class; the quota before Next, since
// it is no attempt of the mail's; Next before what is fatal, since a wrong clock
// is fatal and yet cured by one more attempt.
func settle(p retry.Policy, m *claimed, recipients []string, receipt *sesguard.Receipt, err error) outcome {
	if err == nil {
		if receipt == nil {
			return outcome{state: Sent}
		}
		return outcome{state: Sent, messageID: receipt.MessageID}
	}
	e := verdict(receipt, err)
	wait, again := p.Next(m.attempts+1, 0, e)
	o := outcome{err: e, wait: wait}
	switch {
	case e.MaybeAccepted && again:
		o.state = Waiting
	case e.MaybeAccepted:
		o.state = InDoubt
	case e.Class == seserrors.QuotaExceeded:
		o.state, o.giveBack, o.hold = Waiting, true, AccountHold
	case again, e.Class == seserrors.Canceled:
		o.state, o.giveBack = Waiting, e.Class == seserrors.Canceled
	default:
		o.fatal(m, recipients)
	}
	if o.giveBack && e.Class != seserrors.Canceled {
		o.wait = 0 // the hold or the brake does the waiting
	}
	return o
}

// fatal is the part of settle for refusals that time alone does not cure. Those
// about an account, a sender or this process hold what would meet them too.
func (o *outcome) fatal(m *claimed, recipients []string) {
	e := o.err
	scope := e.Reason.Scope()
	switch {
	case !seserrors.IsFatal(e):
		o.state = Failed // tried often enough
	case scope == seserrors.ScopeConnection || isOfProcess(e.Reason):
		o.state, o.giveBack, o.brake = Waiting, true, true
	case scope == seserrors.ScopeAccount:
		o.state, o.giveBack, o.hold = Waiting, true, AccountHold
	case scope == seserrors.ScopeSender && !namesRecipient(e.Identities, recipients):
		o.state, o.giveBack, o.hold = Waiting, true, senderHold(m, e.Reason)
	default:
		o.state = Failed
	}
}

// verdict is the *Error of an attempt. Only a transport knows whether it sent, so
// an error that holds none, or that stands beside a receipt, is in doubt.
func verdict(receipt *sesguard.Receipt, err error) *seserrors.Error {
	known, ok := stderrors.AsType[*seserrors.Error](err)
	e := seserrors.Classify(err)
	if ok && known != nil && receipt == nil {
		return e
	}
	doubt := *e
	doubt.MaybeAccepted = true
	return &doubt
}

// isOfProcess reports refusals of the account's scope that another process, with
// its own credentials and clock, need not meet: held for all, one machine with an
// old password would stop the others.
func isOfProcess(r seserrors.Reason) bool {
	return slices.Contains([]seserrors.Reason{
		seserrors.CredentialsInvalid, seserrors.CredentialsExpired, seserrors.CredentialsUnavailable,
		seserrors.ProxyRefused, seserrors.AuthRequired, seserrors.ClockSkew,
	}, r)
}

// namesRecipient reports whether SES's check failed for a recipient, as it does
// in the sandbox: then the sender is not at fault.
func namesRecipient(identities, recipients []string) bool {
	return slices.ContainsFunc(identities, func(id string) bool {
		return slices.ContainsFunc(recipients, func(r string) bool { return strings.EqualFold(id, r) })
	})
}

// senderHold is the narrowest hold that keeps the mails which would meet the
// same refusal.
func senderHold(m *claimed, r seserrors.Reason) string {
	ofSet := r == seserrors.ConfigurationSetPaused || r == seserrors.ConfigurationSetMissing || r == seserrors.InvalidSendingPool
	switch {
	case r == seserrors.ConfigurationSetPaused && m.tenant != "":
		return TenantHold + m.tenant // the reason is that of a paused tenant too
	case ofSet && m.set != "":
		return SetHold + m.set
	default:
		return FromHold + strings.ToLower(m.sender)
	}
}
