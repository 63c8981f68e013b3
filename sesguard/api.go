package sesguard

import (
	"context"
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

// input is the request that has the same effect as the message sent over SMTP.
// It points into b, which is never changed.
func (b *built) input(data []byte) *sesv2.SendEmailInput {
	all := &struct { // one allocation for what always goes together
		in      sesv2.SendEmailInput
		content sestypes.EmailContent
		raw     sestypes.RawMessage
		to      sestypes.Destination
	}{
		raw: sestypes.RawMessage{Data: data},
		to:  sestypes.Destination{ToAddresses: b.toList, CcAddresses: b.ccList, BccAddresses: b.bccList},
	}
	all.content.Raw = &all.raw
	all.in = sesv2.SendEmailInput{
		Content:                     &all.content,
		Destination:                 &all.to,
		FromEmailAddress:            &b.fromHeader,
		ConfigurationSetName:        optional(&b.configurationSet),
		FromEmailAddressIdentityArn: optional(&b.fromARN),
		FeedbackForwardingEmailAddressIdentityArn: optional(&b.returnPathARN),
		TenantName: optional(&b.tenant),
	}
	in := &all.in
	if b.from != b.fromHeader {
		in.FeedbackForwardingEmailAddress = &b.from
	}
	for _, t := range b.tags { // copies: the caller's own stand behind b.tags and b.list
		in.EmailTags = append(in.EmailTags, sestypes.MessageTag{Name: &t.Name, Value: &t.Value})
	}
	if b.list != nil {
		l := *b.list
		in.ListManagementOptions = &sestypes.ListManagementOptions{ContactListName: optional(&l.ContactList), TopicName: optional(&l.Topic)}
	}
	return in
}

// optional is s, or nil if it is empty.
func optional(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}
