package sesguard

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/internal/names"
)

const (
	opValidate    = "sesguard validate"
	maxRecipients = 50       // AWS, "Service quotas in Amazon SES"
	maxMessage    = 40 << 20 // the same page: 40 MB, after encoding
	maxParts      = 500      // the same page: MIME parts in a message
	lineMax       = 998      // RFC 5322 §2.1.1, without the CRLF

	tooLong = "it is longer than 40 MB after encoding: send links to large files"
)

// A ValidationError lists everything that is wrong with a Message: the
// addresses first, then what SES reads, then the content. It comes inside a
// *seserrors.Error of Class Invalid, whose Reason is that of the first problem:
//
//	var invalid *sesguard.ValidationError
//	if errors.As(err, &invalid) {
//		for _, p := range invalid.Problems { … }
//	}
//
// Nothing was sent.
type ValidationError struct{ Problems []Problem }

// A Problem is one thing that is wrong with a Message.
type Problem struct {
	Field  string           // where: "From", "To[0]", "Tags[2].Name", "Headers[1].Value"
	Value  string           // what stands there, cut short and made printable; empty for a body
	Reason seserrors.Reason // what SES would say
	Err    error            // what is wrong and how to put it right; an *AddressError for an address
}

// Error names every field and what is wrong with it, up to ten of them. It holds
// no recipient and nothing of the content: those stand in Value.
func (e *ValidationError) Error() string {
	const most = 10
	var b strings.Builder
	for i, p := range e.Problems {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(e.Problems)-most)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// String is the field and what is wrong with it; the Value too where it is
// neither an address nor content.
func (p Problem) String() string {
	if bad, ok := errors.AsType[*AddressError](p.Err); ok {
		return fmt.Sprintf("%s: %s (at octet %d)", p.Field, bad.Reason, bad.Offset)
	}
	if p.Value == "" || p.Field == "Subject" || p.Field == "Raw" || strings.HasPrefix(p.Field, "Headers") && strings.HasSuffix(p.Field, ".Value") {
		return p.Field + ": " + p.Err.Error()
	}
	return p.Field + " " + strconv.Quote(p.Value) + ": " + p.Err.Error()
}

// Unwrap returns the Err of every problem.
func (e *ValidationError) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		errs[i] = p.Err
	}
	return errs
}

// Is reports whether target is the Reason of one of the problems.
func (e *ValidationError) Is(target error) bool {
	r, ok := target.(seserrors.Reason)
	if !ok {
		return false
	}
	for _, p := range e.Problems {
		if p.Reason == r {
			return true
		}
	}
	return false
}

// A validator collects problems.
type validator struct {
	problems []Problem
	parser   addressParser
	ownTags  []byte // the value of Raw's own header of tags, behind a comma
}

// A plan is what was read of the content of a Message, for the writing.
type plan struct {
	fields       []field
	alternatives []string // their media types
	attachments  []string
}

// message checks all of m but Raw, and sets the envelope of b and what SES reads.
// The heading is in all, if it has room for it.
func (v *validator) message(m *Message, b *Mail, all []mailbox) (h heading, p plan) {
	if m == nil {
		v.add("Message", "", seserrors.InvalidParameter, "there is no message")
		return h, p
	}
	h = v.envelope(m, b, all)
	v.sesFields(m, b)
	if m.Raw != nil {
		v.rawAlone(m)
		return h, p
	}
	v.line("Subject", m.Subject)
	if !utf8.ValidString(m.Text) {
		v.add("Text", "", seserrors.InvalidParameter, "it is not valid UTF-8")
	}
	if !utf8.ValidString(m.HTML) {
		v.add("HTML", "", seserrors.InvalidParameter, "it is not valid UTF-8")
	}
	_, zone := m.Date.Zone()
	if y := m.Date.Year(); !m.Date.IsZero() && (y < 1900 || y > 9999 || zone/3600 > 99 || zone/3600 < -99) {
		v.add("Date", m.Date.String(), seserrors.IllegalHeader, "the year must be from 1900 to 9999, and the zone less than 100 hours from UTC (RFC 5322 §3.3)")
	}
	p.fields = v.headers(m)
	p.alternatives, p.attachments = v.parts(m)
	n := len(m.Text) + len(m.HTML)
	for _, a := range m.Alternatives {
		n += len(a.Content)
	}
	if n > maxMessage {
		v.add("Message", "", seserrors.MessageTooLong, "the text is longer than 40 MB")
	}
	return h, p
}

func (v *validator) add(field, value string, r seserrors.Reason, text string) {
	v.problems = append(v.problems, Problem{field, brief(value), r, errors.New(text)})
}

func (v *validator) addAddress(field string, err error) {
	var bad *AddressError
	errors.As(err, &bad)
	v.problems = append(v.problems, Problem{field, bad.Input, bad.slug, err})
}

// err returns the error that Send returns, or nil.
func (v *validator) err() error {
	if len(v.problems) == 0 {
		return nil
	}
	e := &seserrors.Error{
		Op:     opValidate,
		Class:  seserrors.Invalid,
		Reason: v.problems[0].Reason,
		Err:    &ValidationError{v.problems},
	}
	for _, p := range v.problems {
		if isRecipientField(p.Field) && p.Value != "" {
			e.Recipients = append(e.Recipients, p.Value)
		}
	}
	return e
}

func isRecipientField(s string) bool {
	return strings.HasPrefix(s, "To[") || strings.HasPrefix(s, "Cc[") || strings.HasPrefix(s, "Bcc[")
}

func item(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// A mailbox is a parsed address: the name, and the bare address.
type mailbox struct{ name, addr string }

func (v *validator) mailbox(field, s string) mailbox {
	a, addr, err := v.parser.mailbox(s)
	if err != nil {
		v.addAddress(field, err)
	}
	return mailbox{a.Name, addr}
}

func (v *validator) mailboxes(dst []mailbox, field string, list []string) []mailbox {
	for i, s := range list {
		a, addr, err := v.parser.mailbox(s)
		if err != nil {
			v.addAddress(item(field, i), err)
		}
		dst = append(dst, mailbox{a.Name, addr})
	}
	return dst
}

// A heading is what the header says of the addresses.
type heading struct{ from, to, cc, replyTo []mailbox }

// envelope checks every address and sets those of b. The heading is in all, if
// it has room for it.
func (v *validator) envelope(m *Message, b *Mail, all []mailbox) heading {
	all = slices.Grow(all, 1+len(m.To)+len(m.Cc)+len(m.Bcc)+len(m.ReplyTo))
	all = append(all, v.mailbox("From", m.From))
	to := v.mailboxes(all, "To", m.To)
	cc := v.mailboxes(to, "Cc", m.Cc)
	bcc := v.mailboxes(cc, "Bcc", m.Bcc)
	reply := v.mailboxes(bcc, "ReplyTo", m.ReplyTo)
	h := heading{reply[:1], reply[1:len(to)], reply[len(to):len(cc)], reply[len(bcc):]}

	b.author = h.from[0].addr
	b.from = b.author
	if m.ReturnPath != "" {
		b.from = v.mailbox("ReturnPath", m.ReturnPath).addr
	}
	v.recipients(b, h.to, h.cc, reply[len(cc):len(bcc)])
	return h
}

// recipients sets the envelope recipients without duplicates.
func (v *validator) recipients(b *Mail, to, cc, bcc []mailbox) {
	n := len(to) + len(cc) + len(bcc)
	if n == 0 {
		v.add("To", "", seserrors.NoRecipients, "the message has no recipient: set To, Cc or Bcc")
		return
	}
	all := make([]string, 0, min(n, maxRecipients+1))
	all = appendNew(all, to)
	b.to = all[:len(all):len(all)]
	all = appendNew(all, cc)
	b.cc = all[len(b.to):len(all):len(all)]
	before := len(all)
	all = appendNew(all, bcc)
	b.bcc = all[before:len(all):len(all)]
	b.recipients = all
	if len(all) > maxRecipients {
		v.add("To", "", seserrors.TooManyRecipients,
			"the message has more than 50 recipients in To, Cc and Bcc: send it in parts")
	}
}

// appendNew appends the addresses that are not in dst yet, until there are
// more than SES takes.
func appendNew(dst []string, list []mailbox) []string {
	for _, m := range list {
		if m.addr != "" && len(dst) <= maxRecipients && !contains(dst, m.addr) {
			dst = append(dst, m.addr)
		}
	}
	return dst
}

func contains(list []string, addr string) bool {
	at := strings.LastIndexByte(addr, '@')
	for _, s := range list {
		if len(s) == len(addr) && s[:at] == addr[:at] && strings.EqualFold(s[at:], addr[at:]) {
			return true
		}
	}
	return false
}

// sesFields checks what SES reads and sets it in b.
func (v *validator) sesFields(m *Message, b *Mail) {
	v.token("ConfigurationSet", m.ConfigurationSet, seserrors.InvalidParameter)
	v.token("Tenant", m.Tenant, seserrors.InvalidParameter)
	v.arn("FromARN", m.FromARN)
	v.arn("ReturnPathARN", m.ReturnPathARN)
	for i, t := range m.Tags {
		v.tag(item("Tags", i), m.Tags[:i], t)
	}
	if m.List != nil {
		if m.List.ContactList == "" {
			v.add("List.ContactList", "", seserrors.InvalidParameter, "the name of the contact list is missing")
		}
		v.token("List.ContactList", m.List.ContactList, seserrors.InvalidParameter)
		v.token("List.Topic", m.List.Topic, seserrors.InvalidParameter)
	}
	b.configurationSet, b.tenant = m.ConfigurationSet, m.Tenant
	b.fromARN, b.returnPathARN = m.FromARN, m.ReturnPathARN
	b.tags = slices.Clone(m.Tags)
	if m.List != nil {
		l := *m.List
		b.list = &l
	}
}

// tag checks a tag that follows earlier ones.
func (v *validator) tag(field string, earlier []Tag, t Tag) {
	const forName, forValue = "1 to 255 ASCII letters, digits, _ and - are allowed", "1 to 255 ASCII letters, digits, _, -, . and @ are allowed"
	if !names.Tag(t.Name) {
		v.add(field+".Name", t.Name, seserrors.InvalidTag, forName)
	}
	if !names.TagValue(t.Value) {
		v.add(field+".Value", t.Value, seserrors.InvalidTag, forValue)
	}
	if slices.ContainsFunc(earlier, func(e Tag) bool { return e.Name == t.Name }) {
		v.add(field+".Name", t.Name, seserrors.InvalidTag, "this tag stands there twice")
	}
}

// token checks the name of something in SES; empty is none.
func (v *validator) token(field, s string, r seserrors.Reason) {
	if !names.Token(s) {
		v.add(field, s, r, "at most 64 ASCII letters, digits, _ and - are allowed")
	}
}

// arnShape is that of an identity: neither quotes and brackets nor what parts
// header values may stand in its name.
var arnShape = regexp.MustCompile(`^arn:aws[A-Za-z-]*:ses:[A-Za-z0-9-]+:[0-9]{12}:identity/[!#-+\--:=?-~]+$`)

func (v *validator) arn(field, s string) {
	if s != "" && (len(s) > 400 || !arnShape.MatchString(s)) {
		v.add(field, s, seserrors.InvalidParameter, "an identity's ARN is arn:aws:ses:REGION:ACCOUNT:identity/NAME")
	}
}

// isPrintable reports whether s is ASCII without control characters.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// brief returns s cut short and without control characters, fit for an error.
func brief(s string) string {
	const most = 60
	cut := len(s) > most
	if cut {
		s = strings.ToValidUTF8(s[:most], "")
	}
	s = strings.Map(func(r rune) rune {
		if isControl(r) || isBidiControl(r) || r == utf8.RuneError {
			return '\uFFFD'
		}
		return r
	}, s)
	if cut {
		s += "…"
	}
	return s
}
