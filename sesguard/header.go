package sesguard

import (
	"strings"
	"time"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// once holds the header fields that may stand in a message only once: those
// of AWS's page "Amazon SES header fields", and those of RFC 5322 §3.6.
var once = set(`accept-language acceptlanguage archived-at auto-submitted bcc bounces-to cc
	content-alternative content-base content-class content-description content-disposition
	content-duration content-features content-id content-language content-length content-location
	content-md5 content-transfer-encoding content-type date delivered-to
	disposition-notification-options disposition-notification-to dkim-signature
	domainkey-signature errors-to from importance in-reply-to list-archive list-help
	list-id list-owner list-post list-subscribe list-unsubscribe list-unsubscribe-post
	message-context message-id mime-version organization original-from original-message-id
	original-recipient original-subject precedence priority references reply-to return-path
	return-receipt-to sender solicitation subject thread-index thread-topic to user-agent vbr-info`)

// ours holds the header fields that a Message sets itself.
var ours = map[string]string{
	"from": "set From", "to": "set To", "cc": "set Cc", "reply-to": "set ReplyTo",
	"bcc":     "set Bcc, which never reaches a header",
	"subject": "set Subject", "date": "set Date", "return-path": "set ReturnPath",
	"mime-version": "it is set always",
}

// sesHeaders holds the header fields that SES reads, and the field of Message
// that sets each.
var sesHeaders = map[string]string{
	"x-ses-configuration-set":       "ConfigurationSet",
	"x-ses-message-tags":            "Tags",
	"x-ses-source-arn":              "FromARN",
	"x-ses-from-arn":                "FromARN",
	"x-ses-return-path-arn":         "ReturnPathARN",
	"x-ses-list-management-options": "List",
	"x-ses-tenant":                  "Tenant",
}

// forMachines holds the header fields in which an encoded-word has no place;
// forAddress those that hold one address.
var (
	forMachines = set(`message-id in-reply-to references list-archive list-help list-owner list-post
		list-subscribe list-unsubscribe list-unsubscribe-post`)
	forAddress = set(`sender errors-to disposition-notification-to return-receipt-to`)
)

// set returns the names, numbered from 1.
func set(names string) map[string]int {
	m := make(map[string]int)
	for i, s := range strings.Fields(names) {
		m[s] = i + 1
	}
	return m
}

// headers checks the custom header fields.
func (v *validator) headers(list []Header) {
	seen := make(map[string]bool, len(list))
	for i, h := range list {
		name := strings.ToLower(h.Name)
		field := item("Headers", i)
		v.headerName(field, h.Name, name)
		if seen[name] && once[name] > 0 {
			v.add(field+".Name", h.Name, seserrors.DuplicateHeader, "SES takes this header only once")
		}
		seen[name] = true
		v.headerValue(field, name, h)
	}
}

func (v *validator) headerName(field, name, lower string) {
	why := ""
	switch {
	case !isFieldName(name):
		why = "a header name is 1 to 126 printable ASCII characters without a colon"
	case ours[lower] != "":
		why = "this header is the message's own: " + ours[lower]
	case strings.HasPrefix(lower, "content-"):
		why = "this header is the message's own: use Text, HTML or Attachments"
	case sesHeaders[lower] != "":
		why = "this header is set by a field of the message: " + sesHeaders[lower]
	case strings.HasPrefix(lower, "resent-"):
		why = "a message sent on is built elsewhere: use Raw"
	default:
		return
	}
	v.add(field+".Name", name, seserrors.IllegalHeader, why)
}

// isFieldName reports a header name (RFC 5322 §3.6.8). The length is that of
// MessageHeader in the SES v2 API.
func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return s != "" && len(s) <= 126
}

func (v *validator) headerValue(field, name string, h Header) {
	value := strings.Trim(h.Value, " ")
	switch why := lineFlaw(value); {
	case why != "":
		v.add(field+".Value", value, seserrors.IllegalHeader, why)
	case value == "":
		v.add(field+".Value", "", seserrors.IllegalHeader, "the value of the header "+brief(h.Name)+" is empty")
	case forAddress[name] > 0:
		v.mailbox(field+".Value", value)
	case isPrintable(value):
		if longestRun(value) > lineMax-len(h.Name)-2 {
			v.add(field+".Value", value, seserrors.IllegalHeader, "it has no single space where a line of 998 octets could be folded")
		}
	case forMachines[name] > 0:
		v.add(field+".Value", value, seserrors.IllegalHeader, "this header must be ASCII")
	}
}

// longestRun returns the length of the longest part of s that cannot be folded.
func longestRun(s string) int {
	most, start := 0, 0
	for i := 1; i < len(s)-1; i++ {
		if s[i] == ' ' && s[i-1] != ' ' && s[i+1] != ' ' {
			most, start = max(most, i-start), i+1
		}
	}
	return max(most, len(s)-start)
}

// line checks a text that stands on one line of the header.
func (v *validator) line(field, s string) {
	if why := lineFlaw(s); why != "" {
		v.add(field, s, seserrors.IllegalHeader, why)
	}
}

func lineFlaw(s string) string {
	switch {
	case !utf8.ValidString(s):
		return "it is not valid UTF-8"
	case hasControl(s):
		return "it holds a line break or another control character"
	}
	return ""
}

// addresses writes a header of addresses; an empty list writes none.
func (f *folder) addresses(name string, list []mailbox) {
	if len(list) == 0 {
		return
	}
	f.field(name)
	for i, m := range list {
		if i > 0 {
			f.buf = append(f.buf, ',')
			f.col++
		}
		f.mailbox(m.name, m.addr)
	}
	f.end()
}

// header writes the header fields of m that do not depend on its parts.
func (f *folder) header(m *Message, h heading, date time.Time) {
	f.addresses("From", h.from)
	f.addresses("To", h.to)
	if len(h.to) == 0 {
		f.buf = append(f.buf, "To: undisclosed-recipients:;\r\n"...)
	}
	f.addresses("Cc", h.cc)
	f.addresses("Reply-To", h.replyTo)
	if m.Subject != "" {
		f.field("Subject")
		f.text(m.Subject)
		f.end()
	}
	f.buf = append(f.buf, "Date: "...)
	f.buf = date.AppendFormat(f.buf, "Mon, 02 Jan 2006 15:04:05 -0700")
	f.buf = append(f.buf, "\r\nMIME-Version: 1.0\r\n"...)
	for _, c := range m.Headers {
		f.custom(c)
	}
}

func (f *folder) custom(h Header) {
	value := strings.Trim(h.Value, " ")
	f.field(h.Name)
	switch {
	case forAddress[strings.ToLower(h.Name)] > 0:
		a, addr, _ := parseMailbox(value)
		f.mailbox(a.Name, addr)
	case isPrintable(value):
		f.words(value)
	default:
		f.encoded(value)
	}
	f.end()
}

// sesLines returns the header lines by which SMTP tells SES what the API has
// parameters for.
func sesLines(b *Mail) []byte {
	f := folder{max: 900}
	for _, h := range [...][2]string{
		{"X-SES-CONFIGURATION-SET", b.configurationSet},
		{"X-SES-SOURCE-ARN", b.fromARN},
		{"X-SES-FROM-ARN", b.fromARN},
		{"X-SES-RETURN-PATH-ARN", b.returnPathARN},
		{"X-SES-TENANT", b.tenant},
	} {
		f.line(h[0], h[1])
	}
	f.tags(b.tags)
	if b.list != nil && b.list.Topic != "" {
		f.line("X-SES-LIST-MANAGEMENT-OPTIONS", b.list.ContactList+"; topic="+b.list.Topic)
	} else if b.list != nil {
		f.line("X-SES-LIST-MANAGEMENT-OPTIONS", b.list.ContactList)
	}
	return f.buf
}

func (f *folder) line(name, value string) {
	if value != "" {
		f.field(name)
		f.word(value)
		f.end()
	}
}

func (f *folder) tags(tags []Tag) {
	if len(tags) == 0 {
		return
	}
	f.field("X-SES-MESSAGE-TAGS")
	for i, t := range tags {
		if i > 0 {
			f.buf = append(f.buf, ',')
			f.col++
		}
		f.word(t.Name + "=" + t.Value)
	}
	f.end()
}
