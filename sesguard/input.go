package sesguard

import (
	"bytes"
	stderrors "errors"
	"net/mail"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// checkInput validates a SendEmail input that was made for the SDK. It returns
// a copy in which Unicode addresses have their wire form, with the number of
// recipients; in itself stays as it is. What the SDK checks by itself (missing
// parameters) is left to it.
func checkInput(in *sesv2.SendEmailInput) (*sesv2.SendEmailInput, int, error) {
	var out sesv2.SendEmailInput
	if in != nil {
		out = *in
	}
	var v validator
	out.FromEmailAddress = v.wireAddress("FromEmailAddress", out.FromEmailAddress)
	out.FeedbackForwardingEmailAddress = v.wireAddress("FeedbackForwardingEmailAddress", out.FeedbackForwardingEmailAddress)
	out.ReplyToAddresses = v.wireAddresses("ReplyToAddresses", out.ReplyToAddresses, nil)
	n := v.destination(&out)
	v.token("ConfigurationSetName", aws.ToString(out.ConfigurationSetName), seserrors.InvalidParameter)
	v.messageTags(out.EmailTags)
	if raw := rawData(&out); len(raw) > maxMessage {
		v.add("Content.Raw.Data", "", seserrors.MessageTooLong, "the message is larger than the 40 MB that SES takes")
	}
	return &out, n, v.err()
}

// wireAddress returns s itself when it is ASCII: an input gets nothing but
// ASCII addresses added.
func (v *validator) wireAddress(field string, s *string) *string {
	if s == nil {
		return nil
	}
	a, err := ParseAddress(*s)
	if err != nil {
		v.addAddress(field, err)
		return s
	}
	if isPrintable(*s) {
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
		if a, err := ParseAddress(s); err == nil && seen != nil {
			seen[recipientKey(a.Addr())] = true
		}
	}
	return out
}

// destination gives the recipients of in their wire form, and counts them.
func (v *validator) destination(in *sesv2.SendEmailInput) int {
	d := in.Destination
	if d == nil || len(d.ToAddresses)+len(d.CcAddresses)+len(d.BccAddresses) == 0 {
		return v.headerRecipients(in)
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
func (v *validator) headerRecipients(in *sesv2.SendEmailInput) int {
	raw := rawData(in)
	if raw == nil {
		v.add("Destination", "", seserrors.NoRecipients, "the message has no recipient: set ToAddresses, CcAddresses or BccAddresses")
		return 1
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return 1
	}
	seen := make(map[string]bool)
	for _, name := range []string{"To", "Cc", "Bcc"} {
		list, err := m.Header.AddressList(name)
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
	tags := make([]Tag, len(list))
	for i, t := range list {
		tags[i] = Tag{aws.ToString(t.Name), aws.ToString(t.Value)}
		v.tag(tags[:i], tags[i], i)
	}
}

func rawData(in *sesv2.SendEmailInput) []byte {
	if in.Content == nil || in.Content.Raw == nil {
		return nil
	}
	return in.Content.Raw.Data
}

// envelope returns the wire form of the envelope that SendMail is given, each
// recipient once.
func envelope(from string, to []string) (string, []string, error) {
	var v validator
	var b built
	sender := v.mailbox("from", from)
	v.recipients(&b, v.mailboxes(nil, "to", to), nil, nil)
	return sender.addr, b.to, v.err()
}
