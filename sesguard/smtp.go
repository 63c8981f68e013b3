package sesguard

import (
	"context"
	"io"

	"github.com/sesguard/sesguard-go/smtpclient"
)

// SMTP returns a [Transport] that makes one attempt over c and neither waits
// nor retries: give it to [New] for that. Settings that the API has parameters
// for (configuration set, tags, ARNs, tenant, list) travel as X-SES-* header
// fields, which SES reads and removes.
//
// Attachments with Open are opened before SES is told of the message, and
// streamed. Attempt returns when c does; c's timeouts bound it. Closing c stays
// the caller's duty.
func SMTP(c *smtpclient.Client) Transport { return smtpTransport{c} }

type smtpTransport struct{ client *smtpclient.Client }

func (t smtpTransport) Attempt(ctx context.Context, m *Mail) (*Receipt, error) {
	reply, err := t.client.Send(ctx, m.from, m.recipients, smtpMail{m})
	if err != nil {
		return nil, err
	}
	return &Receipt{MessageID: reply.MessageID, Transport: "smtp", Attempts: 1}, nil
}

// smtpMail is a Mail with the lines that tell SES over SMTP what the API has
// parameters for.
type smtpMail struct{ m *Mail }

func (s smtpMail) WriteTo(w io.Writer) (int64, error) {
	o, err := s.m.open(sesLines(s.m))
	if err != nil {
		return 0, err
	}
	defer o.Close()
	return o.WriteTo(w)
}
