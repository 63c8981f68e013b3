package sesguard

import (
	"context"
	stderrors "errors"
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
		c.guard.LogInvalid(ctx, err)
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
			c.guard.LogInvalid(ctx, err)
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
		return r, m.sandboxed(err)
	})
}

// sandboxed adds to a refusal for want of verification what only somebody who
// knows the recipients can tell: SES asks for theirs in the sandbox alone.
func (m *Mail) sandboxed(err error) error {
	e, ok := stderrors.AsType[*seserrors.Error](err)
	if !ok || e == nil || e.Reason != seserrors.IdentityNotVerified {
		return err
	}
	told := *e
	told.Recipients, told.Err = nil, inSandbox{err}
	for _, to := range m.recipients {
		same := func(address string) bool { return strings.EqualFold(address, to) }
		if slices.ContainsFunc(e.Identities, same) && !same(m.author) && !same(m.from) {
			told.Recipients = append(told.Recipients, to)
		}
	}
	if told.Recipients == nil {
		return err
	}
	return &told
}

// inSandbox goes before the cause of a refusal.
type inSandbox struct{ cause error }

func (inSandbox) Error() string {
	return "a recipient is among them, so the account is in the sandbox of this region"
}

func (i inSandbox) Unwrap() error { return i.cause }

// Shutdown is that of the Client's [Guard]: it ends all waits, lets attempts
// under way finish, and returns when the last send has. It does not close what
// the transport uses: close the pool of connections afterwards.
func (c *Client) Shutdown(ctx context.Context) error { return c.guard.Shutdown(ctx) }
