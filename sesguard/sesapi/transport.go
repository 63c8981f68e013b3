package sesapi

import (
	"bytes"
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

// SendEmailAPI is the part of the SES v2 client that sends. *[sesv2.Client]
// satisfies it, and so does [GuardedAPI].
type SendEmailAPI interface {
	SendEmail(ctx context.Context, in *sesv2.SendEmailInput, optFns ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)
}

const (
	opSendEmail = "ses SendEmail"

	// attemptTimeout bounds one attempt over the API when the caller's context
	// does not end sooner. It is the time that RFC 5321 §4.5.3.2.6 gives a
	// server to answer the end of the data: net/http has no limit of its own.
	attemptTimeout = 10 * time.Minute
)

// Config says how the transport calls SES. The zero value is right.
type Config struct {
	EndpointID string        // of a multi-region endpoint; empty: none
	Timeout    time.Duration // of one attempt; 0: 10 minutes
}

// New returns a [sesguard.Transport] that makes one SendEmail call over api and
// neither waits nor retries.
func New(api SendEmailAPI, cfg Config) sesguard.Transport { return transport{api, cfg} }

type transport struct {
	api SendEmailAPI
	cfg Config
}

func (t transport) Attempt(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
	var data bytes.Buffer
	if _, err := m.WriteTo(&data); err != nil {
		return nil, err
	}
	in := input(m, data.Bytes())
	if t.cfg.EndpointID != "" {
		in.EndpointId = &t.cfg.EndpointID
	}
	out, err := sendOnce(ctx, t.api, in, nil)
	if err != nil {
		return nil, err
	}
	return &sesguard.Receipt{MessageID: *out.MessageId, Transport: "api", Attempts: 1}, nil
}

// sendOnce makes one SendEmail call that sends at most one HTTP request, and
// says of a failure whether SES may have the message.
func sendOnce(ctx context.Context, api SendEmailAPI, in *sesv2.SendEmailInput, optFns []func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
	var call struct {
		witness
		only [1]func(*sesv2.Options) // the options when the caller has none
	}
	attemptCtx, cancel := withAttemptTimeout(ctx)
	defer cancel()
	out, err := api.SendEmail(attemptCtx, in, append(append(call.only[:0], optFns...), call.watch)...)
	if err != nil {
		return nil, call.verdict(ctx, err)
	}
	if out == nil || aws.ToString(out.MessageId) == "" {
		return nil, responseLost("a success without a message id", nil)
	}
	return out, nil
}

// withAttemptTimeout bounds one attempt. It sets no timer when ctx ends sooner:
// nothing of a call reads on after its end.
func withAttemptTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= attemptTimeout {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, attemptTimeout)
}

// responseLost is the error for an answer that says success but cannot be
// read: SES may have accepted the message.
func responseLost(message string, cause error) *seserrors.Error {
	return &seserrors.Error{
		Op: opSendEmail, Class: seserrors.Unavailable, Reason: seserrors.ResponseLost,
		Message: message, MaybeAccepted: true, Err: cause,
	}
}

// input is the request that has the same effect as the mail sent over SMTP.
func input(m *sesguard.Mail, data []byte) *sesv2.SendEmailInput {
	in := &sesv2.SendEmailInput{
		Content:                     &sestypes.EmailContent{Raw: &sestypes.RawMessage{Data: data}},
		Destination:                 &sestypes.Destination{ToAddresses: m.To(), CcAddresses: m.Cc(), BccAddresses: m.Bcc()},
		FromEmailAddress:            aws.String(m.Author()),
		ConfigurationSetName:        optional(m.ConfigurationSet()),
		FromEmailAddressIdentityArn: optional(m.FromARN()),
		FeedbackForwardingEmailAddressIdentityArn: optional(m.ReturnPathARN()),
		TenantName: optional(m.Tenant()),
	}
	if m.From() != m.Author() {
		in.FeedbackForwardingEmailAddress = aws.String(m.From())
	}
	for _, t := range m.Tags() {
		in.EmailTags = append(in.EmailTags, sestypes.MessageTag{Name: &t.Name, Value: &t.Value})
	}
	if l := m.List(); l != nil {
		in.ListManagementOptions = &sestypes.ListManagementOptions{ContactListName: &l.ContactList, TopicName: optional(l.Topic)}
	}
	return in
}

// optional is s, or nil if it is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
