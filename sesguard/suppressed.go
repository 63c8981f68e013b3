package sesguard

import (
	"context"
	"slices"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const opSuppressions = "sesguard suppressions"

// Suppressions is a list of addresses that nothing may be sent to: those that
// bounced for good or complained. It is safe for concurrent use.
type Suppressions interface {
	// Suppressed reports whether nothing may be sent to address, which is bare
	// and has its domain in ASCII and lower case.
	Suppressed(ctx context.Context, address string) (bool, error)
}

// Suppressed returns a Sender that asks s about each recipient of a message and
// then sends it through next. If one of them is suppressed, nothing is sent to
// anyone: the error is of class Invalid, reason recipient-suppressed, and its
// Recipients are all that are. When s fails it is of class Unavailable, and
// retryable. A malformed address is left to next.
func Suppressed(next Sender, s Suppressions) Sender {
	return SenderFunc(func(ctx context.Context, m *Message) (*Receipt, error) {
		if m != nil {
			if err := refuseSuppressed(ctx, s, m); err != nil {
				return nil, err
			}
		}
		return next.Send(ctx, m)
	})
}

func refuseSuppressed(ctx context.Context, s Suppressions, m *Message) error {
	var asked, found []string
	for _, recipient := range slices.Concat(m.To, m.Cc, m.Bcc) {
		a, err := ParseAddress(recipient)
		a.Domain = strings.ToLower(a.Domain)
		address := a.Addr()
		if err != nil || slices.Contains(asked, address) {
			continue
		}
		asked = append(asked, address)
		yes, err := s.Suppressed(ctx, address)
		switch {
		case err != nil && ctx.Err() != nil:
			return seserrors.FromContext(ctx, opSuppressions)
		case err != nil:
			return unsent(&seserrors.Error{Op: opSuppressions, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Err: err})
		case yes:
			found = append(found, address)
		}
	}
	if found == nil {
		return nil
	}
	return &seserrors.Error{
		Op: opSuppressions, Class: seserrors.Invalid, Reason: seserrors.RecipientSuppressed,
		Message: "a recipient is on the list of suppressed addresses", Recipients: found,
	}
}
