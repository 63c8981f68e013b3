package sesguard

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
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

// API returns a [Sender] that makes one SendEmail call over api and neither
// waits nor retries: give it to [New] for that. The SDK's own retries are
// switched off for these calls, because they send the whole mail again after a
// lost reply; whether SES may have the message is known from how much of the
// request the HTTP client was given.
//
// The message is sent as raw content with its envelope as Destination. An
// attempt ends after 10 minutes at the latest. The HTTP client of api must not
// retry by itself; [HTTPClient] makes a fitting one.
func API(api SendEmailAPI) Sender { return apiTransport{api} }

type apiTransport struct{ api SendEmailAPI }

func (t apiTransport) Send(ctx context.Context, m *Message) (*Receipt, error) {
	b, err := builtOf(m)
	if err != nil {
		return nil, err
	}
	data, err := b.bytes()
	if err != nil {
		return nil, err
	}
	out, err := sendOnce(ctx, t.api, b.input(data), nil)
	if err != nil {
		return nil, err
	}
	return &Receipt{MessageID: *out.MessageId, Transport: "api", Attempts: 1}, nil
}

// sendOnce makes one SendEmail call that sends at most one HTTP request, and
// says of a failure whether SES may have the message.
func sendOnce(ctx context.Context, api SendEmailAPI, in *sesv2.SendEmailInput, optFns []func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
	var w witness
	attemptCtx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	out, err := api.SendEmail(attemptCtx, in, append(slices.Clip(optFns), w.watch)...)
	if err != nil {
		return nil, w.verdict(ctx, err)
	}
	if out == nil || aws.ToString(out.MessageId) == "" {
		return nil, responseLost("a success without a message id", nil)
	}
	return out, nil
}

// responseLost is the error for an answer that says success but cannot be
// read: SES may have accepted the message.
func responseLost(message string, cause error) *seserrors.Error {
	return &seserrors.Error{
		Op: opSendEmail, Class: seserrors.Unavailable, Reason: seserrors.ResponseLost,
		Message: message, MaybeAccepted: true, Err: cause,
	}
}

// input is the request that has the same effect as the message sent over SMTP.
func (b *built) input(data []byte) *sesv2.SendEmailInput {
	in := &sesv2.SendEmailInput{
		Content:                     &sestypes.EmailContent{Raw: &sestypes.RawMessage{Data: data}},
		Destination:                 &sestypes.Destination{ToAddresses: b.toList, CcAddresses: b.ccList, BccAddresses: b.bccList},
		FromEmailAddress:            &b.fromHeader,
		ConfigurationSetName:        optional(b.configurationSet),
		FromEmailAddressIdentityArn: optional(b.fromARN),
		FeedbackForwardingEmailAddressIdentityArn: optional(b.returnPathARN),
		TenantName: optional(b.tenant),
	}
	if b.from != b.fromHeader {
		in.FeedbackForwardingEmailAddress = &b.from
	}
	for _, t := range b.tags {
		in.EmailTags = append(in.EmailTags, sestypes.MessageTag{Name: &t.Name, Value: &t.Value})
	}
	if l := b.list; l != nil {
		in.ListManagementOptions = &sestypes.ListManagementOptions{ContactListName: optional(l.ContactList), TopicName: optional(l.Topic)}
	}
	return in
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
