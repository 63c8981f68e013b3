package sesguard

import (
	"context"
	"slices"
)

// A Sender sends one message. [Client], [SMTP] and [API] are Senders; so is
// anything that wraps one: a middleware is a func(Sender) Sender. Wrap the
// transport to act on every attempt, wrap the [Client] to act once for every
// message.
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

// A Receipt says that SES has accepted a message. It does not say that the
// message was delivered: bounces and complaints arrive through SES's event
// publishing, under the same MessageID.
type Receipt struct {
	MessageID      string // SES's id of the message, the same kind over SMTP and the API. Empty if an SMTP server gave none
	Transport      string // "smtp" or "api"
	Attempts       int    // how often the message was handed to the transport; 1 for a transport used alone
	MaybeDuplicate bool   // an earlier attempt may have been accepted too; only with retry.Policy.AllowDuplicates
}

// message is the form in which the guard hands a built message to a transport:
// the checked envelope and SES fields, and the built message as Raw.
func (b *built) message() *Message {
	m := &Message{
		From: b.fromHeader, To: b.toList, Cc: b.ccList, Bcc: b.bccList, Raw: b,
		ConfigurationSet: b.configurationSet, Tags: b.tags, List: b.list,
		FromARN: b.fromARN, ReturnPathARN: b.returnPathARN, Tenant: b.tenant,
	}
	if b.from != b.fromHeader {
		m.ReturnPath = b.from
	}
	return m
}

// builtOf returns the built form of m. The guard hands transports messages
// that are built already; any other message, and one that a middleware has
// changed since, is validated and built here.
func builtOf(m *Message) (*built, error) {
	if m != nil {
		if b, ok := m.Raw.(*built); ok && b.isOf(m) {
			return b, nil
		}
	}
	return prepareNow(m)
}

// isOf reports whether m still says what b was built from.
func (b *built) isOf(m *Message) bool {
	returnPath := m.ReturnPath
	if returnPath == "" {
		returnPath = m.From
	}
	return m.From == b.fromHeader && returnPath == b.from &&
		slices.Equal(m.To, b.toList) && slices.Equal(m.Cc, b.ccList) && slices.Equal(m.Bcc, b.bccList) &&
		m.ConfigurationSet == b.configurationSet && slices.Equal(m.Tags, b.tags) && m.List == b.list &&
		m.FromARN == b.fromARN && m.ReturnPathARN == b.returnPathARN && m.Tenant == b.tenant &&
		m.Subject == "" && m.Text == "" && m.HTML == "" && len(m.Attachments)+len(m.Headers)+len(m.ReplyTo) == 0
}
