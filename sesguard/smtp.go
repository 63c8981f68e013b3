package sesguard

import (
	"context"
	stderrors "errors"
	"io"
	"regexp"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// SMTP returns a [Transport] that makes one attempt over c and neither waits
// nor retries: give it to [New] for that. Settings that the API has parameters
// for (configuration set, tags, ARNs, tenant, list) travel as X-SES-* header
// fields, which SES reads and removes.
//
// Attachments with Open are opened when there is a connection and before SES is
// told of the message, and streamed. A mail that was tracked (see [Mail.Track])
// is refused, without anything sent, if its Raw has an X-SES-MESSAGE-TAGS header
// of its own: SES reads one, and the message is not changed. c's timeouts bound
// an attempt. Closing c stays the caller's duty.
func SMTP(c *smtpclient.Client) Transport { return smtpTransport{c, endpointRegion(c.Addr())} }

type smtpTransport struct {
	client *smtpclient.Client
	region string
}

func (t smtpTransport) Attempt(ctx context.Context, m *Mail) (*Receipt, error) {
	if 0 < m.ownTags && m.ownTags < len(m.tags) {
		var v validator
		v.add("Raw", "", seserrors.InvalidTag, "over SMTP no tag can be added to its own X-SES-MESSAGE-TAGS header: take the header out and set Tags")
		return nil, v.err()
	}
	reply, err := t.client.Send(ctx, m.from, m.recipients, smtpMail{ctx, m})
	if err != nil {
		return nil, cause(err)
	}
	return &Receipt{MessageID: reply.MessageID, Transport: "smtp", Region: t.region, Attempts: 1}, nil
}

// cause returns err with the reason that the mail itself gave when it could not
// be read: to the client all of them are content-unreadable.
func cause(err error) error {
	e, ok := stderrors.AsType[*seserrors.Error](err)
	if !ok || e.Reason != seserrors.ContentUnreadable || e.Err == nil {
		return err
	}
	if own, ok := stderrors.AsType[*seserrors.Error](e.Err); ok && own.Reason == seserrors.MessageTooLong {
		return own
	}
	return err
}

// smtpMail is a Mail with the lines that tell SES over SMTP what the API has
// parameters for. smtpclient opens it when it holds a connection.
type smtpMail struct {
	ctx context.Context
	m   *Mail
}

func (s smtpMail) Open(ctx context.Context) (io.ReadCloser, error) {
	r, err := s.m.open(ctx, s.m.sesLines())
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (s smtpMail) WriteTo(w io.Writer) (int64, error) { return s.m.writeTo(s.ctx, w, s.m.sesLines()) }

// endpoint is the name of an SMTP endpoint, such as
// email-smtp.eu-west-1.amazonaws.com, email-smtp-fips.us-west-2.amazonaws.com,
// email-smtp.eu-west-1.api.aws or vpce-….email-smtp.eu-west-1.vpce.amazonaws.com
// (AWS, "Amazon SES endpoints and quotas").
var endpoint = regexp.MustCompile(`(?i)^(?:[a-z0-9.-]+\.)?email-smtp(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com|api\.aws):`)

// endpointRegion returns the region of an endpoint. Any other name has none.
func endpointRegion(addr string) string {
	if part := endpoint.FindStringSubmatch(addr); part != nil {
		return strings.ToLower(part[1])
	}
	return ""
}
