package sestest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A submission is a message that asks to be accepted.
type submission struct {
	mail       Mail
	header     header
	octets     int       // of Data, also of what was too much to keep
	senders    []mailbox // identities to be verified
	recipients []mailbox
	template   string
	problem    string // complaint of the header's parser
}

func (m *submission) size() int { return max(m.octets, len(m.mail.Data)) }

// sender is the From address, else the envelope's.
func (m *submission) sender() string {
	if list, r := m.header.mailboxes("From"); r == nil && len(list) > 0 {
		return list[0].addr
	}
	return m.mail.From
}

// examine makes the refusals that need no account: size, header, addresses,
// recipients. It fills in what the X-SES fields say and no parameter did.
func (m *submission) examine() *refusal {
	if n := m.size(); n > MaxMessageSize {
		return refused(seserrors.MessageTooLong, fmt.Sprint(n))
	}
	if len(m.mail.To) > MaxRecipients {
		return refused(seserrors.TooManyRecipients, "")
	}
	if m.problem != "" {
		return refused(seserrors.IllegalHeader, m.problem)
	}
	if r := m.header.check(); r != nil {
		return r
	}
	if r := m.examineAddresses(); r != nil {
		return r
	}
	return m.readSESFields()
}

func (m *submission) examineAddresses() *refusal {
	if _, r := m.header.mailboxes(addressFields...); r != nil {
		return r
	}
	for _, to := range m.mail.To {
		if r := checkAddress(to); r != nil {
			return r
		}
		m.recipients = append(m.recipients, mailbox{text: to, addr: to})
	}
	senders, r := m.header.mailboxes("From", "Sender", "Return-Path")
	if r != nil {
		return r
	}
	if r := checkAddress(m.mail.From); r != nil {
		return r
	}
	m.senders = append(append(senders, m.senders...), mailbox{text: m.mail.From, addr: m.mail.From})
	return nil
}

// readSESFields takes from the header what no parameter has set: parameters
// win ("Using Amazon SES configuration sets", Amazon SES Developer Guide).
func (m *submission) readSESFields() *refusal {
	set := func(to *string, names ...string) {
		for _, name := range names {
			if *to == "" {
				*to = m.header.get(name)
			}
		}
	}
	set(&m.mail.ConfigurationSet, "X-SES-CONFIGURATION-SET")
	set(&m.mail.FromARN, "X-SES-FROM-ARN", "X-SES-SOURCE-ARN")
	set(&m.mail.ReturnPathARN, "X-SES-RETURN-PATH-ARN")
	set(&m.mail.Tenant, "X-SES-TENANT")
	set(&m.mail.List, "X-SES-LIST-MANAGEMENT-OPTIONS")
	if m.mail.Tags != nil {
		return nil
	}
	tags, r := parseTags(m.header.get("X-SES-MESSAGE-TAGS"))
	m.mail.Tags = tags
	return r
}

// parseTags reads "a=b, c=d".
func parseTags(value string) (map[string]string, *refusal) {
	if value == "" {
		return nil, nil
	}
	tags := map[string]string{}
	for item := range strings.SplitSeq(value, ",") {
		name, val, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return nil, refused(seserrors.IllegalHeader, "Expected '=', got 'null'")
		}
		if r := addTag(tags, strings.TrimSpace(name), strings.TrimSpace(val)); r != nil {
			return nil, r
		}
	}
	return tags, nil
}

const maxTag = 255 // characters (MessageTag, Amazon SES API v2 Reference)

func addTag(tags map[string]string, name, value string) *refusal {
	switch {
	case name == "":
		return refused(seserrors.InvalidTag, "The tag name must be specified.")
	case value == "":
		return refused(seserrors.InvalidTag, "The tag value must be specified.")
	case len(name) > maxTag:
		return refused(seserrors.InvalidTag, "Tag name cannot exceed 255 characters.")
	case len(value) > maxTag:
		return refused(seserrors.InvalidTag, "Tag value cannot exceed 255 characters.")
	case strings.ContainsFunc(strings.TrimPrefix(name, "ses:feedback-id-"), notTagName): // SES's own, which senders may set
		return refused(seserrors.InvalidTag, "Invalid tag name <"+name+">: only alphanumeric ASCII characters, '_', and '-' are allowed.")
	case strings.ContainsFunc(value, notTagValue):
		return refused(seserrors.InvalidTag, "Invalid tag value <"+value+">: only alphanumeric ASCII characters, '_',  '-' , '.', '@' are allowed.")
	}
	if _, twice := tags[name]; twice {
		return refused(seserrors.InvalidTag, "Duplicate tag name <"+name+">.")
	}
	tags[name] = value
	return nil
}

func notTagName(r rune) bool {
	return r != '_' && r != '-' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
}

func notTagValue(r rune) bool { return r != '.' && r != '@' && notTagName(r) }

// submit decides about a message and, if it is accepted, puts it into the
// mailbox and returns its id.
func (s *Server) submit(m *submission) (id string, r *refusal) {
	if r := m.examine(); r != nil {
		return "", r
	}
	m.mail.author, m.mail.template = m.sender(), m.template
	if r := s.accept(m); r != nil {
		return "", r
	}
	s.Events.accepted(m.mail)
	return m.mail.ID, nil
}

// accept lets the account decide, and puts the mail into the mailbox.
func (s *Server) accept(m *submission) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if r := s.Account.admit(m, now); r != nil {
		return r
	}
	m.mail.Time = now
	if m.mail.ID == "" {
		m.mail.ID = newID(now)
	}
	if m.mail.Problem != "" {
		m.mail.Data = nil // there is no message
		s.unrendered = append(s.unrendered, m.mail)
	} else {
		s.accepted = append(s.accepted, m.mail)
	}
	return nil
}

// newID makes an id of the shape of SES's: the time in milliseconds, a UUID
// and six digits.
func newID(now time.Time) string {
	return fmt.Sprintf("0100%012x-%s-000000", now.UnixMilli(), newUUID())
}

func newUUID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:])
}
