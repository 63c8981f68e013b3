package sesapi

import (
	"bytes"
	"cmp"
	"context"
	stderrors "errors"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/internal/names"
)

// checkInput validates a SendEmail input that was made for the SDK. It returns
// a copy in which Unicode addresses have their wire form, and what a guard is
// told of the send; in itself stays as it is. What the SDK checks by itself
// (missing parameters) is left to it.
func checkInput(in *sesv2.SendEmailInput) (*sesv2.SendEmailInput, sesguard.Info, error) {
	var out sesv2.SendEmailInput
	if in != nil {
		out = *in
	}
	var v validator
	h := readHeader(&out)
	out.FromEmailAddress = v.wireAddress("FromEmailAddress", out.FromEmailAddress)
	out.FeedbackForwardingEmailAddress = v.wireAddress("FeedbackForwardingEmailAddress", out.FeedbackForwardingEmailAddress)
	out.ReplyToAddresses = v.wireAddresses("ReplyToAddresses", out.ReplyToAddresses, nil)
	n := v.destination(&out, h)
	if set := aws.ToString(out.ConfigurationSetName); !names.Token(set) {
		v.add("ConfigurationSetName", set, seserrors.InvalidParameter, "at most 64 ASCII letters, digits, _ and - are allowed")
	}
	v.messageTags(out.EmailTags)
	v.templateContent(out.Content)
	if raw := rawData(&out); len(raw) > maxMessage {
		v.add("Content.Raw.Data", "", seserrors.MessageTooLong, "the message is larger than the 40 MB that SES takes")
	}
	return &out, info(&out, h, n), v.err()
}

// info is what the guard is told of in, with n recipients. Where there is no
// parameter SES goes by the header of raw content, so this does too.
func info(in *sesv2.SendEmailInput, h mail.Header, n int) sesguard.Info {
	from := cmp.Or(aws.ToString(in.FromEmailAddress), h.Get("From"))
	if a, err := sesguard.ParseAddress(from); err == nil {
		from = a.Addr()
	}
	return sesguard.Info{
		From:             from,
		ConfigurationSet: cmp.Or(aws.ToString(in.ConfigurationSetName), h.Get("X-SES-CONFIGURATION-SET")),
		Tenant:           cmp.Or(aws.ToString(in.TenantName), h.Get("X-SES-TENANT")),
		Recipients:       n,
	}
}

// readHeader is the header of raw content, or nil if there is none or it cannot
// be read; then SES judges it.
func readHeader(in *sesv2.SendEmailInput) mail.Header {
	raw := rawData(in)
	if raw == nil {
		return nil
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw[:min(len(raw), maxHeader)]))
	if err != nil {
		return nil
	}
	return m.Header
}

// track returns in with the id of the send that ctx belongs to as an email tag,
// in a copy, if that was asked for.
func track(ctx context.Context, in *sesv2.SendEmailInput) (*sesv2.SendEmailInput, error) {
	i, _ := sesguard.InfoFrom(ctx)
	if i.TrackTag == "" {
		return in, nil
	}
	out := *in
	out.EmailTags = slices.Clip(in.EmailTags)
	if len(in.EmailTags) == 0 {
		out.EmailTags = headerTags(readHeader(in))
	}
	out.EmailTags = append(out.EmailTags, sestypes.MessageTag{Name: &i.TrackTag, Value: &i.TrackID})
	var v validator
	v.messageTags(out.EmailTags)
	return &out, v.err()
}

// headerTags are the tags in the header of raw content, as in "a=b, c=d".
func headerTags(h mail.Header) (tags []sestypes.MessageTag) {
	for _, field := range h["X-Ses-Message-Tags"] {
		for tag := range strings.SplitSeq(field, ",") {
			if name, value, ok := strings.Cut(tag, "="); ok {
				tags = append(tags, sestypes.MessageTag{Name: aws.String(strings.TrimSpace(name)), Value: aws.String(strings.TrimSpace(value))})
			}
		}
	}
	return tags
}

// wireAddress returns s itself when it is ASCII: an input gets nothing but
// ASCII addresses added.
func (v *validator) wireAddress(field string, s *string) *string {
	if s == nil {
		return nil
	}
	a, err := sesguard.ParseAddress(*s)
	if err != nil {
		v.addAddress(field, err)
		return s
	}
	if isASCII(*s) {
		return s
	}
	wire := a.String()
	return &wire
}

// wireAddresses is wireAddress for a list; it collects the bare addresses in
// seen, if given.
func (v *validator) wireAddresses(field string, list []string, seen map[string]bool) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = *v.wireAddress(item(field, i), &s)
		if a, err := sesguard.ParseAddress(s); err == nil && seen != nil {
			seen[recipientKey(a.Addr())] = true
		}
	}
	return out
}

// destination gives the recipients of in their wire form, and counts them.
func (v *validator) destination(in *sesv2.SendEmailInput, h mail.Header) int {
	d := in.Destination
	if d == nil || len(d.ToAddresses)+len(d.CcAddresses)+len(d.BccAddresses) == 0 {
		return v.headerRecipients(in, h)
	}
	seen := make(map[string]bool)
	in.Destination = &sestypes.Destination{
		ToAddresses:  v.wireAddresses("Destination.ToAddresses", d.ToAddresses, seen),
		CcAddresses:  v.wireAddresses("Destination.CcAddresses", d.CcAddresses, seen),
		BccAddresses: v.wireAddresses("Destination.BccAddresses", d.BccAddresses, seen),
	}
	if len(seen) > maxRecipients {
		v.add("Destination", "", seserrors.TooManyRecipients, "more than 50 recipients: send the message in parts")
	}
	return max(len(seen), 1)
}

// headerRecipients counts the recipients of raw content without a Destination,
// which SES takes from the header. A header that cannot be read is left to SES
// to judge, and counts as one recipient.
func (v *validator) headerRecipients(in *sesv2.SendEmailInput, h mail.Header) int {
	if rawData(in) == nil {
		v.add("Destination", "", seserrors.NoRecipients, "the message has no recipient: set ToAddresses, CcAddresses or BccAddresses")
		return 1
	}
	if h == nil {
		return 1
	}
	seen := make(map[string]bool)
	for _, name := range []string{"To", "Cc", "Bcc"} {
		list, err := h.AddressList(name)
		if err != nil && !stderrors.Is(err, mail.ErrHeaderNotPresent) {
			return 1
		}
		for _, a := range list {
			seen[recipientKey(a.Address)] = true
		}
	}
	switch n := len(seen); {
	case n == 0:
		v.add("Destination", "", seserrors.NoRecipients, "the message has no recipient: set a Destination, or To, Cc or Bcc in the raw header")
	case n > maxRecipients:
		v.add("Content.Raw.Data", "", seserrors.TooManyRecipients, "more than 50 recipients in the header: send the message in parts")
	}
	return max(len(seen), 1)
}

// recipientKey is the same for addresses that differ in the domain's letter
// case only.
func recipientKey(addr string) string {
	at := strings.LastIndexByte(addr, '@')
	return addr[:at+1] + strings.ToLower(addr[at+1:])
}

func (v *validator) messageTags(list []sestypes.MessageTag) {
	for i, t := range list {
		name, value := aws.ToString(t.Name), aws.ToString(t.Value)
		if !names.Tag(name) {
			v.add(item("EmailTags", i)+".Name", name, seserrors.InvalidTag, "1 to 255 ASCII letters, digits, _ and - are allowed")
		}
		if !names.TagValue(value) {
			v.add(item("EmailTags", i)+".Value", value, seserrors.InvalidTag, "1 to 255 ASCII letters, digits, _, -, . and @ are allowed")
		}
		for _, earlier := range list[:i] {
			if aws.ToString(earlier.Name) == name {
				v.add(item("EmailTags", i)+".Name", name, seserrors.InvalidTag, "this tag stands there twice")
				break
			}
		}
	}
}

func rawData(in *sesv2.SendEmailInput) []byte {
	if in.Content == nil || in.Content.Raw == nil {
		return nil
	}
	return in.Content.Raw.Data
}

// isASCII reports whether s is ASCII.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

const (
	maxRecipients = 50       // AWS, "Service quotas in Amazon SES"
	maxMessage    = 40 << 20 // the same page: 40 MB, after encoding
	maxHeader     = 1 << 20  // that is looked at, as net/http's limit is: a longer one is left to SES
)

// A validator collects what is wrong with an input.
type validator struct{ problems []sesguard.Problem }

func (v *validator) add(field, value string, r seserrors.Reason, text string) {
	v.problems = append(v.problems, sesguard.Problem{Field: field, Value: value, Reason: r, Err: stderrors.New(text)})
}

func (v *validator) addAddress(field string, err error) {
	p := sesguard.Problem{Field: field, Reason: seserrors.IllegalAddress, Err: err}
	if bad, ok := stderrors.AsType[*sesguard.AddressError](err); ok {
		p.Value = bad.Input
	}
	if stderrors.Is(err, seserrors.NonASCIIAddress) {
		p.Reason = seserrors.NonASCIIAddress
	}
	v.problems = append(v.problems, p)
}

func (v *validator) err() error {
	if len(v.problems) == 0 {
		return nil
	}
	return &seserrors.Error{
		Op: "sesguard validate", Class: seserrors.Invalid, Reason: v.problems[0].Reason,
		Err: &sesguard.ValidationError{Problems: v.problems},
	}
}

func item(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
