package sestest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Limits of one message ("Service quotas in Amazon SES", Amazon SES Developer
// Guide).
const (
	MaxMessageSize = 40 << 20 // octets of the MIME message, 40 MB
	MaxRecipients  = 50
)

// A Mail is a message that SES accepted. Its fields are what the client handed
// over; its methods read the message as the recipient gets it. They take a
// malformed message as mail readers do: content that breaks off in its
// transfer encoding, and parts of a broken multipart, are returned up to
// there, text of an unknown charset as it is, and a multipart without a
// boundary as one file.
type Mail struct {
	ID        string    // as in the 250 reply or the API's MessageId
	Transport string    // "smtp" or "api"
	From      string    // envelope sender; over the API the feedback address, else Return-Path, else From
	To        []string  // envelope recipients in the order given, bare
	Time      time.Time // of acceptance

	// Data is the message. Over SMTP, octet for octet as sent, without the
	// dot-stuffing and the final dot. Over the API raw content as sent, less
	// a Bcc field; simple and template content as the server composed it.
	// What SES changes in it on the way out is in Delivered.
	Data []byte

	ConfigurationSet string            // from the parameter, else X-SES-CONFIGURATION-SET
	Tags             map[string]string // from the parameter, else X-SES-MESSAGE-TAGS
	FromARN          string            // X-SES-FROM-ARN or X-SES-SOURCE-ARN
	ReturnPathARN    string            // X-SES-RETURN-PATH-ARN
	Tenant           string            // X-SES-TENANT
	List             string            // X-SES-LIST-MANAGEMENT-OPTIONS, "name; topic=x"

	Conn    int             // SMTP: the connection's number, from 1
	Params  string          // SMTP: what followed the address in MAIL FROM
	Request json.RawMessage // API: the request's body

	// Problem says why a template could not be filled in. It is set in
	// Unrendered only.
	Problem string

	// For events.
	region, identity, template, operation string
	source, author                        string // From as the API got it; the address of the From field
	sourceIP, tlsVersion                  string
}

func (m Mail) clone() Mail {
	m.To = slices.Clone(m.To)
	m.Data = bytes.Clone(m.Data)
	m.Tags = maps.Clone(m.Tags)
	m.Request = bytes.Clone(m.Request)
	return m
}

// HeaderID returns the Message-ID under which the recipient gets the mail:
// "<ID@REGION.amazonses.com>", or "<ID@email.amazonses.com>" in us-east-1.
// SES replaces the one that the client wrote.
func (m Mail) HeaderID() string {
	if m.region == "" || m.region == DefaultRegion {
		return "<" + m.ID + "@email.amazonses.com>"
	}
	return "<" + m.ID + "@" + m.region + ".amazonses.com>"
}

// sesFields are those that SES reads and takes out.
var sesFields = []string{"X-SES-CONFIGURATION-SET", "X-SES-MESSAGE-TAGS", "X-SES-SOURCE-ARN", "X-SES-FROM-ARN",
	"X-SES-RETURN-PATH-ARN", "X-SES-LIST-MANAGEMENT-OPTIONS", "X-SES-TENANT"}

// Delivered returns the message as the recipient gets it: Data with SES's own
// Message-ID and Date in place of the client's, and without the X-SES fields.
// Signatures and trace fields are not added.
func (m Mail) Delivered() []byte {
	own := fmt.Sprintf("Message-ID: %s\r\nDate: %s\r\n", m.HeaderID(), m.Time.UTC().Format(time.RFC1123Z))
	return append([]byte(own), without(m.Data, append(sesFields, "Message-ID", "Date")...)...)
}

// Header returns the value of the first header field of the name, in any
// letter case, unfolded and with encoded-words decoded; "" if there is none.
func (m Mail) Header(name string) string {
	h, _, _ := parseHeader(m.Delivered())
	return decodeWords(h.get(name))
}

// Subject returns the Subject field as people read it.
func (m Mail) Subject() string { return m.Header("Subject") }

// Text returns the plain text: the first text/plain part that is no file,
// decoded, in UTF-8, with LF as line end; "" if there is none. A message that
// is nothing but text ends with a line end, whether its author wrote one or not.
func (m Mail) Text() string { return m.parts().text }

// HTML is Text for the first text/html part.
func (m Mail) HTML() string { return m.parts().html }

// Files returns every part but the two that Text and HTML return, in order:
// attachments, inline images, invitations, further texts.
func (m Mail) Files() []File { return m.parts().files }

// File returns the first file of the name, and whether there is one.
func (m Mail) File(name string) (f File, ok bool) {
	for _, f := range m.parts().files {
		if f.Name == name {
			return f, true
		}
	}
	return File{}, false
}

// Accepted returns what SES accepted so far and will deliver, in order of
// acceptance. Half a message is never in it, and what is in it stays although
// its sender never heard of it: that makes it the judge of what a client
// reports. An address on the suppression list stays in To, and a mail with a
// virus stays too; an event tells that nothing was sent. The result is a copy.
func (s *Server) Accepted() []Mail { return s.copyOf(&s.accepted) }

// Unrendered returns the mails that SES accepted, with an id, and never sends,
// because their template has no value for one of its variables. SES says so
// in an event only. The result is a copy.
func (s *Server) Unrendered() []Mail { return s.copyOf(&s.unrendered) }

func (s *Server) copyOf(list *[]Mail) (all []Mail) {
	s.set(func() {
		for _, m := range *list {
			all = append(all, m.clone())
		}
	})
	return all
}

// AcceptedCount is len(Accepted()) without the copying.
func (s *Server) AcceptedCount() int { return len(read(s, &s.accepted)) }

// TakeAccepted returns what Accepted does and empties the mailbox in the same
// step, so that a long run can look at every mail once and keep none: each is
// in exactly one of the results.
func (s *Server) TakeAccepted() (all []Mail) {
	s.set(func() { all, s.accepted = s.accepted, nil })
	return all
}

// TakeUnrendered does for Unrendered what TakeAccepted does for Accepted.
func (s *Server) TakeUnrendered() (all []Mail) {
	s.set(func() { all, s.unrendered = s.unrendered, nil })
	return all
}
