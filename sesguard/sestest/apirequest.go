package sestest

import (
	"cmp"
	"slices"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// The requests of the API, by the member names of the Amazon SES API v2
// Reference.

type sendRequest struct {
	commonRequest
	Content               content
	Destination           destination
	EmailTags             []nameValue
	ListManagementOptions *listOptions
}

// commonRequest holds what SendEmail and SendBulkEmail have in common.
type commonRequest struct {
	ConfigurationSetName                      string
	FeedbackForwardingEmailAddress            string
	FeedbackForwardingEmailAddressIdentityArn string
	FromEmailAddress                          string
	FromEmailAddressIdentityArn               string
	ReplyToAddresses                          []string
	TenantName                                string
}

type content struct {
	Raw      *struct{ Data []byte }
	Simple   *simple
	Template *templated
}

type simple struct {
	Subject     text
	Body        struct{ Text, Html *text }
	Headers     []nameValue
	Attachments []attachment
}

type text struct{ Data, Charset string }

type templated struct {
	TemplateName, TemplateArn, TemplateData string
	replacement                             string // an entry's own TemplateData
	TemplateContent                         *struct{ Subject, Text, Html string }
	Headers                                 []nameValue
	Attachments                             []attachment
}

type attachment struct {
	FileName, ContentType, ContentId                                string
	ContentDescription, ContentDisposition, ContentTransferEncoding string
	RawContent                                                      []byte
}

type destination struct {
	ToAddresses, CcAddresses, BccAddresses []string
}

func (d destination) all() []string {
	return slices.Concat(d.ToAddresses, d.CcAddresses, d.BccAddresses)
}

type nameValue struct{ Name, Value string }

type listOptions struct{ ContactListName, TopicName string }

// submission turns the request into a message. It is never nil, so that a
// scripted refusal has something to speak of.
func (q *sendRequest) submission(a *Account) (*submission, *refusal) {
	m := &submission{mail: Mail{
		Transport:        string(overAPI),
		ConfigurationSet: q.ConfigurationSetName,
		FromARN:          q.FromEmailAddressIdentityArn,
		ReturnPathARN:    q.FeedbackForwardingEmailAddressIdentityArn,
		Tenant:           q.TenantName,
		region:           a.region,
		source:           q.FromEmailAddress,
		operation:        q.operation(),
	}}
	if l := q.ListManagementOptions; l != nil {
		m.mail.List = l.ContactListName
		if l.TopicName != "" {
			m.mail.List += "; topic=" + l.TopicName
		}
	}
	for _, step := range []func(*submission, *Account) *refusal{q.setTags, q.setContent, q.setEnvelope} {
		if r := step(m, a); r != nil {
			return m, r
		}
	}
	return m, nil
}

// operation is the v1 operation of the content, as SES tags it.
func (q *sendRequest) operation() string {
	switch {
	case q.Content.Raw != nil:
		return "SendRawEmail"
	case q.Content.Template != nil:
		return "SendTemplatedEmail"
	}
	return "SendEmail"
}

func (q *sendRequest) setTags(m *submission, _ *Account) *refusal {
	if len(q.EmailTags) == 0 {
		return nil
	}
	m.mail.Tags = map[string]string{}
	for _, t := range q.EmailTags {
		if r := addTag(m.mail.Tags, t.Name, t.Value); r != nil {
			return r
		}
	}
	return nil
}

func (q *sendRequest) setContent(m *submission, a *Account) *refusal {
	n := 0
	for _, given := range []bool{q.Content.Raw != nil, q.Content.Simple != nil, q.Content.Template != nil} {
		if given {
			n++
		}
	}
	if n != 1 {
		return refused(seserrors.InvalidParameter, "The input you provided is invalid.")
	}
	if q.Content.Raw == nil && q.FromEmailAddress == "" {
		return refused(seserrors.InvalidParameter, "Source cannot be empty")
	}
	data, r := q.data(m, a)
	if r != nil {
		return r
	}
	m.mail.Data, m.octets = data, len(data)
	m.header, _, m.problem = parseHeader(data)
	return nil
}

func (q *sendRequest) data(m *submission, a *Account) ([]byte, *refusal) {
	switch {
	case q.Content.Raw != nil:
		return q.Content.Raw.Data, nil
	case q.Content.Simple != nil:
		return q.compose(m, q.Content.Simple)
	}
	m.template = q.Content.Template.name()
	s, problem, r := a.render(q.Content.Template)
	if r != nil {
		return nil, r
	}
	m.mail.Problem = problem
	return q.compose(m, s)
}

// setEnvelope finds sender and recipients. Raw content without a Destination
// names its recipients in its header, and loses the Bcc field there.
func (q *sendRequest) setEnvelope(m *submission, _ *Account) *refusal {
	if m.problem != "" {
		return nil // examine says so
	}
	to, r := q.recipients(m)
	if r != nil {
		return r
	}
	for _, t := range to {
		m.mail.To = append(m.mail.To, t.addr)
	}
	if len(to) == 0 {
		return refused(seserrors.NoRecipients, "")
	}
	return q.setSender(m)
}

func (q *sendRequest) recipients(m *submission) (all []mailbox, r *refusal) {
	list := q.Destination.all()
	if len(list) == 0 && q.Content.Raw != nil {
		all, r = m.header.mailboxes("To", "Cc", "Bcc")
		m.mail.Data = without(m.mail.Data, "Bcc")
		return all, r
	}
	for _, s := range list {
		to, r := parseMailbox(s)
		if r != nil {
			return nil, r
		}
		all = append(all, to)
	}
	return all, nil
}

func (q *sendRequest) setSender(m *submission) *refusal {
	if q.FromEmailAddress != "" {
		from, r := parseMailbox(q.FromEmailAddress)
		if r != nil {
			return r
		}
		m.senders = append(m.senders, from)
	}
	source := cmp.Or(q.FeedbackForwardingEmailAddress, m.header.get("Return-Path"), q.FromEmailAddress)
	if source == "" {
		list, r := m.header.mailboxes("From")
		if r != nil || len(list) == 0 {
			return r // examine misses the From field
		}
		m.mail.From = list[0].addr
		return nil
	}
	from, r := parseMailbox(source)
	m.mail.From = from.addr
	return r
}
