package sesguard

import (
	"context"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// Info is what is known of a send at every door, whether it began as a Message
// or as an input of the SDK. Limiters, hooks and transports find it in their
// context with [InfoFrom]: for the share of a tenant, or the label of a metric.
type Info struct {
	From             string // the author's address: the identity that SES must have verified
	ConfigurationSet string // empty: the account's default
	Tenant           string // empty: none
	TrackID          string // the mail's own id; that of [Mail.TrackID] where there is a Mail
	TrackTag         string // the SES message tag that carries TrackID: [Options].TrackTag; empty: it is not sent
	Recipients       int    // of the envelope: what SES counts
}

// infoKey finds the *delivery of a send in its contexts.
type infoKey struct{}

// InfoFrom returns the Info of the send that ctx belongs to, and false where
// there is none. It is there in the contexts that limiters, hooks and
// transports get from a [Guard].
func InfoFrom(ctx context.Context) (Info, bool) {
	if d, ok := ctx.Value(infoKey{}).(*delivery); ok {
		return d.info, true
	}
	return Info{}, false
}

// A trackedError is err, with a copy of its *seserrors.Error found first that
// bears the id: the one in it may be shared.
type trackedError struct {
	own seserrors.Error
	err error
}

func tracked(err error, id string) error {
	t := &trackedError{own: *seserrors.Classify(err), err: err}
	t.own.TrackID = id
	return t
}

func (t *trackedError) Error() string   { return t.err.Error() }
func (t *trackedError) Unwrap() []error { return []error{&t.own, t.err} }
