package sesguard

import (
	"context"

	"github.com/sesguard/sesguard-go/smtpclient"
)

// SMTP returns a [Sender] that makes one attempt over c and neither waits nor
// retries: give it to [New] for that. Settings that the API has parameters for
// (configuration set, tags, ARNs, tenant, list) travel as X-SES-* header
// fields, which SES reads and removes.
//
// Attachments with Open are opened before SES is told of the message, and
// streamed. Send returns when c does; c's timeouts bound it. Closing c stays
// the caller's duty.
func SMTP(c *smtpclient.Client) Sender { return smtpTransport{c} }

type smtpTransport struct{ client *smtpclient.Client }

func (t smtpTransport) Send(ctx context.Context, m *Message) (*Receipt, error) {
	b, err := builtOf(m)
	if err != nil {
		return nil, err
	}
	content, err := b.open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	reply, err := t.client.Send(ctx, b.from, b.to, content)
	if err != nil {
		return nil, err
	}
	return &Receipt{MessageID: reply.MessageID, Transport: "smtp", Attempts: 1}, nil
}
