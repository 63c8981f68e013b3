package sesapi

import (
	"bytes"
	"context"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sesguard/sesguard-go/sesguard"
)

// SendEmailAPI is the part of the SES v2 client that sends. *[sesv2.Client]
// satisfies it, and so does [GuardedAPI].
type SendEmailAPI interface {
	SendEmail(ctx context.Context, in *sesv2.SendEmailInput, optFns ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)
}

// attemptTimeout bounds one attempt over the API when the caller's context does
// not end sooner. It is the time that RFC 5321 §4.5.3.2.6 gives a server to
// answer the end of the data: net/http has no limit of its own.
const attemptTimeout = 10 * time.Minute

// Config says how the transport calls SES. The zero value is right.
type Config struct {
	EndpointID string        // of a multi-region endpoint (SendEmail's EndpointId); empty: none
	Timeout    time.Duration // of one attempt, if the context does not end sooner; 0 or less: 10 minutes
}

// New returns a [sesguard.Transport] that makes one SendEmail call over api for
// each attempt, without the SDK's retries. Give it to sesguard.New, which waits
// and tries again.
//
// The mail goes out as raw content, the same octets as over SMTP. What SMTP says
// in header fields of SES (configuration set, tags, tenant, contact list, ARNs)
// goes as parameters. The error of an attempt holds a *[seserrors.Error] with the
// SDK's error in its chain; its Endpoint is the host that was asked, or the region
// where none was. The receipt's Region is the client's.
//
// One transport is for many senders and safe for concurrent use; make it once,
// since its connections are its own. New panics if api is nil.
//
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
func New(api SendEmailAPI, cfg Config) sesguard.Transport {
	if api == nil {
		panic("sesapi: New with a nil API")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = attemptTimeout
	}
	t := &transport{api: api, cfg: cfg}
	if client, ok := api.(*sesv2.Client); ok {
		o := client.Options()
		t.sdk, t.region = true, o.Region
		t.alone = len(o.APIOptions) == 0 && !intercepted(o.Interceptors)
	}
	return t
}

// intercepted reports whether r holds an interceptor.
func intercepted(r smithyhttp.InterceptorRegistry) bool {
	v := reflect.ValueOf(r)
	for i := range v.NumField() {
		if v.Field(i).Len() > 0 {
			return true
		}
	}
	return false
}

type transport struct {
	door   door
	api    SendEmailAPI
	cfg    Config
	sdk    bool   // api is the SDK's client, which can stream a mail
	alone  bool   // and nobody else's code sees the inputs in it
	region string // of that client
}

func (t *transport) Attempt(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
	w := t.door.witness()
	attempt, cancel := within(ctx, t.cfg.Timeout)
	defer cancel()
	in := t.input(m)
	if t.streams(m) {
		attempt = context.WithValue(attempt, mailKey{}, m)
	} else {
		data, err := content(attempt, m)
		if err != nil {
			return nil, w.verdict(ctx, err)
		}
		in.Content.Raw.Data = data
	}
	out, err := t.api.SendEmail(attempt, in, t.door.watch(w))
	receipt, err := w.outcome(ctx, out, err)
	if err == nil && receipt.Region == "" { // a guarded client has a witness of its own
		receipt.Region = t.region
	}
	return receipt, err
}

// streams reports whether m goes out without its content in the input: a large
// mail, unless a middleware of the user's may want to see it there, and a mail
// with streamed files always.
func (t *transport) streams(m *sesguard.Mail) bool {
	return t.sdk && m.Size() < 0 || t.alone && m.Size() >= streamFrom
}

// content reads the whole of m.
func content(ctx context.Context, m *sesguard.Mail) ([]byte, error) {
	r, err := m.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var data bytes.Buffer
	data.Grow(int(max(m.Size(), 0)) + bytes.MinRead)
	if _, err := data.ReadFrom(r); err != nil {
		return nil, err
	}
	return data.Bytes(), nil
}

// within bounds one attempt. It sets no timer when ctx ends sooner: nothing of a
// call reads on after its end.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= limit {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// input is the request that has the same effect as the mail sent over SMTP, but
// for its content.
func (t *transport) input(m *sesguard.Mail) *sesv2.SendEmailInput {
	in := &sesv2.SendEmailInput{
		Content:                     &sestypes.EmailContent{Raw: &sestypes.RawMessage{Data: []byte{}}},
		Destination:                 &sestypes.Destination{ToAddresses: m.To(), CcAddresses: m.Cc(), BccAddresses: m.Bcc()},
		FromEmailAddress:            aws.String(m.Author()),
		ConfigurationSetName:        optional(m.ConfigurationSet()),
		EndpointId:                  optional(t.cfg.EndpointID),
		FromEmailAddressIdentityArn: optional(m.FromARN()),
		FeedbackForwardingEmailAddressIdentityArn: optional(m.ReturnPathARN()),
		TenantName: optional(m.Tenant()),
	}
	if m.From() != m.Author() {
		in.FeedbackForwardingEmailAddress = aws.String(m.From())
	}
	for _, tag := range m.Tags() {
		in.EmailTags = append(in.EmailTags, sestypes.MessageTag{Name: &tag.Name, Value: &tag.Value})
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
	some := s // so that an empty s is not moved to the heap
	return &some
}
