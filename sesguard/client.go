package sesguard

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A Client sends Messages through one [Transport] by the rules of a [Guard]. It
// is a [Sender] and safe for concurrent use.
type Client struct {
	transport Transport
	guard     *Guard
}

// New is NewGuard(opts).Client(t): a Client with brakes of its own. It panics if
// t is nil.
func New(t Transport, opts Options) *Client { return NewGuard(opts).Client(t) }

// Send validates and builds m as [Build] does, once, and sends it as
// [Client.SendBuilt] does. Besides the errors of SendBuilt there is class
// Invalid with a *[ValidationError] in its chain: m cannot be sent as it is, and
// nothing was sent.
func (c *Client) Send(ctx context.Context, m *Message) (*Receipt, error) {
	mail, err := build(ctx, m)
	if err != nil {
		return nil, err
	}
	return c.SendBuilt(ctx, mail)
}

// SendBuilt sends m until SES has accepted it, refused it for good, or the
// policy, ctx or [Client.Shutdown] ends the send. It may block for an hour when
// ctx has no deadline: that is how long the default policy waits for trouble
// that time cures.
//
// With a deadline it returns as soon as the next wait and a second more do not
// fit before it, and [retry.After] then tells when a later try may work. Mind
// that the context of an HTTP request ends when its client leaves.
//
// A Receipt says that SES has accepted the mail, exactly once unless its
// MaybeDuplicate is set. Every error holds a *[seserrors.Error] that errors.As
// finds, and a *retry.Error with the number of tries if there were any. Of the
// following exactly one holds:
//
//   - [seserrors.MaybeAccepted]: SES may have the mail, and nothing was sent
//     again, unless Retry.AllowDuplicates. With Options.TrackTag the error's
//     TrackID finds it among SES's events;
//   - [seserrors.IsRetryable]: not accepted; the attempts are used up, or there
//     is no time for another, or a limiter said so;
//   - [seserrors.IsFatal]: not accepted; the mail (class Invalid, Rejected), the
//     settings or the account (Denied, Suspended) must be corrected first. If
//     the Reason's Scope is the account's, hold all mail: the guard itself
//     refuses later sends at once, with the same reason;
//   - class Canceled: not accepted; ctx ended (reason context-canceled or
//     deadline-exceeded), or the Client was shut down (client-closed).
//
// A send that Shutdown or ctx ends while it waits after a failure has the class
// of that failure; errors.Is finds the reason client-closed, or ctx's cause, as
// well. A mail that has a Tag of Options.TrackTag's name is refused as Invalid.
//
// [retry.After]: https://pkg.go.dev/github.com/sesguard/sesguard-go/retry#After
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
// [seserrors.MaybeAccepted]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#MaybeAccepted
// [seserrors.IsRetryable]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#IsRetryable
// [seserrors.IsFatal]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#IsFatal
func (c *Client) SendBuilt(ctx context.Context, m *Mail) (*Receipt, error) {
	if tag := c.guard.trackTag; tag != "" {
		tracked, err := m.Track(tag)
		if err != nil {
			return nil, err
		}
		m = tracked
	}
	info := Info{
		From: m.author, ConfigurationSet: m.configurationSet, Tenant: m.tenant,
		TrackID: m.trackID, Recipients: len(m.recipients),
	}
	return c.guard.Do(ctx, info, func(ctx context.Context) (*Receipt, error) {
		r, err := c.transport.Attempt(ctx, m)
		return r, m.inSandbox(err)
	})
}

// inSandbox adds to a refusal of identities what only the mail tells: that some
// of them are recipients. SES checks those for accounts in its sandbox only.
func (m *Mail) inSandbox(err error) error {
	own, ok := stderrors.AsType[*seserrors.Error](err)
	if !ok || own == nil || own.Reason != seserrors.IdentityNotVerified {
		return err
	}
	var named []string
	for _, id := range own.Identities {
		same := func(addr string) bool { return strings.EqualFold(addr, id) }
		if i := slices.IndexFunc(m.recipients, same); i >= 0 && !same(m.author) && !same(m.from) {
			named = append(named, m.recipients[i])
		}
	}
	if named == nil {
		return err
	}
	e := *own
	e.Recipients, e.Err = named, err
	return fmt.Errorf("the account is in the sandbox, where SES sends to verified recipients only: %w", &e)
}

// Shutdown is that of the Client's [Guard]: it ends all waits, lets attempts
// under way finish, and returns when the last send has. It does not close what
// the transport uses: close the pool of connections afterwards.
func (c *Client) Shutdown(ctx context.Context) error { return c.guard.Shutdown(ctx) }
