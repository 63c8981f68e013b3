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
		if m == nil {
			return next.Send(ctx, m)
		}
		found, err := suppressed(ctx, s, m)
		switch {
		case err != nil:
			return nil, err
		case len(found) > 0:
			return nil, &seserrors.Error{
				Op: opSuppressions, Class: seserrors.Invalid, Reason: seserrors.RecipientSuppressed,
				Message: "a recipient is on the list of suppressed addresses", Recipients: found,
			}
		}
		return next.Send(ctx, m)
	})
}

// suppressed returns the recipients of m that are on the list.
func suppressed(ctx context.Context, s Suppressions, m *Message) (found []string, err error) {
	var asked []string
	for _, recipient := range slices.Concat(m.To, m.Cc, m.Bcc) {
		a, err := ParseAddress(recipient)
		if err != nil {
			continue
		}
		a.Domain = strings.ToLower(a.Domain)
		address := a.Addr()
		if slices.Contains(asked, address) {
			continue
		}
		asked = append(asked, address)
		yes, err := s.Suppressed(ctx, address)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, seserrors.FromContext(ctx, opSuppressions)
		case err != nil:
			return nil, unsent(&seserrors.Error{Op: opSuppressions, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Err: err})
		case yes:
			found = append(found, address)
		}
	}
	return found, nil
}
