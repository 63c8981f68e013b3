package sesguard

import "context"

// A Sender sees to it that a message arrives: it is what an application calls.
// [Client] is one; so is anything that wraps one: a middleware around a Sender
// is a func(Sender) Sender and acts once for every message.
//
// Send returns a Receipt when SES has accepted the message, and an error
// otherwise. Every error of this package's Senders holds a *[seserrors.Error]
// that [errors.As] finds. An error for which [seserrors.MaybeAccepted] is true
// says that SES may have the message all the same: sending it again may
// deliver it twice.
//
// Send does not write to m and keeps nothing of it after it has returned. A
// Sender is safe for concurrent use.
//
// [errors.As]: https://pkg.go.dev/errors#As
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
// [seserrors.MaybeAccepted]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#MaybeAccepted
type Sender interface {
	Send(ctx context.Context, m *Message) (*Receipt, error)
}

// A SenderFunc is a function used as a [Sender], as http.HandlerFunc is a
// function used as a handler.
type SenderFunc func(ctx context.Context, m *Message) (*Receipt, error)

// Send calls f(ctx, m).
func (f SenderFunc) Send(ctx context.Context, m *Message) (*Receipt, error) { return f(ctx, m) }

// A Transport tries once to send a mail: [SMTP], sesapi.New, or your own. A
// middleware around it is a func(Transport) Transport and acts once for every
// attempt.
//
// Only a transport knows whether it sent. An error that holds no
// *[seserrors.Error] therefore leaves the mail in doubt, whatever its type or
// words, and it is not sent again. A transport that knows that nothing was sent
// says so with &seserrors.Error{Class: …, Err: err}; a bare Class is not enough,
// and beside a Receipt it is not believed. A nil Receipt with a nil error is
// acceptance without an id. A Transport is safe for concurrent use.
//
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
type Transport interface {
	Attempt(ctx context.Context, m *Mail) (*Receipt, error)
}

// A TransportFunc is a function used as a [Transport].
type TransportFunc func(ctx context.Context, m *Mail) (*Receipt, error)

// Attempt calls f(ctx, m).
func (f TransportFunc) Attempt(ctx context.Context, m *Mail) (*Receipt, error) { return f(ctx, m) }
