package event

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// A Type is the kind of an event, as SES names it. SES may publish kinds that
// this package does not know; they keep their names.
type Type string

// The kinds. Identity notifications have Bounce, Complaint and Delivery only.
const (
	Send             Type = "Send"              // SES accepted the mail
	Reject           Type = "Reject"            // SES accepted the mail, found a virus and dropped it
	Bounce           Type = "Bounce"            // the receiver refused, or SES gave up
	Complaint        Type = "Complaint"         // the recipient called the mail spam
	Delivery         Type = "Delivery"          // the receiver took the mail
	Open             Type = "Open"              // the recipient's reader fetched the mail's image
	Click            Type = "Click"             // the recipient followed a link
	RenderingFailure Type = "Rendering Failure" // SES accepted the mail and could not render its template
	DeliveryDelay    Type = "DeliveryDelay"     // SES goes on trying: do not send again
	Subscription     Type = "Subscription"      // the recipient changed the preferences of a contact list
)

// An Event is one thing that SES tells of one mail. Fields that SES left out,
// or that belong to another kind, have their zero values. It is plain data and
// safe for concurrent reading.
type Event struct {
	Type Type
	Time time.Time // of the event; that of the mail for Send, Reject and RenderingFailure

	// Of the mail.
	MessageID        string              // SES's id, equal to Receipt.MessageID; also in rendering failures
	SentAt           time.Time           // when SES accepted the mail
	From             string              // as SES writes it: may hold a display name
	SourceARN        string              // the identity that sent
	AccountID        string              // of the sending account
	SourceIP         string              // who called SES; identity notifications only
	CallerIdentity   string              // the IAM identity that called SES; identity notifications only
	To               []string            // all recipients of the envelope
	Headers          []Header            // nil if not published
	HeadersTruncated bool                // the headers were longer than 10 KB
	Common           CommonHeaders       // the usual headers, decoded
	Tags             map[string][]string // message tags, SES's own begin with "ses:"; nil in identity notifications

	// Recipients are those that the event is about. For Send, Reject and
	// RenderingFailure they are all of the mail. For Open, Click and Subscription
	// they are empty unless the mail has a single recipient. For a Complaint they
	// are a guess: all recipients of the mail at the domain that complains.
	Recipients []Recipient

	// Of a bounce, a complaint, a delivery or a delay.
	FeedbackID       string    // the same for all copies of a bounce or complaint
	ReportingMTA     string    // who reports, such as "dns; a8-70.smtp-out.amazonses.com"
	RemoteIP         string    // the receiver's server
	BounceType       string    // Permanent, Transient or Undetermined
	BounceSubType    string    // General, NoEmail, MailboxFull, …
	ComplaintType    string    // complaintFeedbackType: abuse, auth-failure, fraud, not-spam, other, virus
	ComplaintSubType string    // "", OnAccountSuppressionList or OnTenantSuppressionList
	ArrivedAt        time.Time // Complaint: when the mail reached its recipient, or the report its mailbox
	DelayType        string    // MailboxFull, SpamDetected, IPFailure, …
	Expires          time.Time // DeliveryDelay: when SES stops trying

	Response   string        // Delivery: the receiver's reply
	Processing time.Duration // Delivery: from SES's acceptance to the receiver's

	Template string // RenderingFailure: the template's name
	Problem  string // RenderingFailure: what is wrong with the template or its data; Reject: why

	// Of an open, a click or a complaint.
	UserAgent string
	IP        string              // Open, Click: where the request came from
	Link      string              // Click
	LinkTags  map[string][]string // Click: the tags of the link
	Bot       bool                // Open, Click: SES takes it for a program's

	Preferences *Preferences // Subscription; else nil

	// Raw is the event as SES wrote it, without what carried it. It holds the
	// fields that this package does not know.
	Raw json.RawMessage
}

// A Header is one header field of a mail.
type Header struct{ Name, Value string }

// CommonHeaders are the header fields that SES publishes by name.
type CommonHeaders struct {
	From, To, Cc, Bcc, ReplyTo []string

	Date    string
	Subject string
	// MessageID is SES's id in event publishing, and the Message-ID field in
	// identity notifications.
	MessageID string
}

// A Recipient is one address that an event is about, with what its receiver
// said, where that is known.
type Recipient struct {
	Address    string
	Action     string // Bounce: "failed" and the like (RFC 3464 §2.3.3)
	Status     string // enhanced status code, "5.1.1"
	Diagnostic string // the receiver's words, "smtp; 550 5.1.1 …"; Diagnose reads them
}

// Preferences are the changed preferences of a contact.
type Preferences struct {
	ContactList string
	Source      string // such as "UnsubscribeHeader"
	Old, New    TopicPreferences
}

// TopicPreferences say what a contact wants to get.
type TopicPreferences struct {
	UnsubscribeAll bool
	Topics         map[string]string // OptIn or OptOut, by topic
	Defaults       map[string]string // the same, where the contact chose nothing
}

// Tag returns the first value of a message tag, or "" if the mail has none.
func (e *Event) Tag(name string) string {
	if values := e.Tags[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Key returns a text that is the same for each copy of one event and differs
// between events: carriers repeat events, SES publishes a bounce both to a
// configuration set and to an identity's topic, and each subscription gives
// them another id of its own. It is derived from the feedback id where there is
// one, else from message id, kind, time and recipients. It holds no address
// and is fit for a unique column.
func (e *Event) Key() string {
	parts := []string{string(e.Type), e.FeedbackID}
	if e.FeedbackID == "" {
		parts = append(parts, e.MessageID, e.Time.UTC().Format(time.RFC3339Nano), e.Link)
		for _, r := range e.Recipients {
			parts = append(parts, strings.ToLower(r.Address))
		}
		slices.Sort(parts[5:])
		if e.MessageID == "" {
			parts = append(parts, string(e.Raw))
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// A State is what is known of one mail to one recipient. The states are
// ordered by how much they say, so that the greatest of them, in whatever order
// and however often the events come, is the mail's state:
//
//	state = max(state, e.State())
//
// An automatic reply, which SES publishes as a temporary bounce after the
// delivery, so undoes no delivery.
type State uint8

// The states.
const (
	Unseen     State = iota // no event yet
	Sent                    // SES has the mail: Send
	Delayed                 // SES goes on trying: DeliveryDelay
	GivenUp                 // SES stopped trying: a Bounce that is not permanent
	Delivered               // the receiver has the mail: Delivery, and what follows from it
	Failed                  // refused for good: a permanent Bounce, Reject, RenderingFailure
	Complained              // the recipient called it spam: Complaint
)

var stateNames = [...]string{"unseen", "sent", "delayed", "given-up", "delivered", "failed", "complained"}

// String returns the state as a stable slug, such as "given-up".
func (s State) String() string { return name(stateNames[:], int(s)) }

// name returns a slug of a list, or "unknown".
func name(names []string, i int) string {
	if i >= 0 && i < len(names) {
		return names[i]
	}
	return "unknown"
}

// State returns what the event alone says of the mail to its Recipients. Every
// event of a mail says at least that SES accepted it; one without a message id
// says nothing.
func (e *Event) State() State {
	if e.MessageID == "" {
		return Unseen
	}
	switch e.Type {
	case DeliveryDelay:
		return Delayed
	case Bounce:
		if e.BounceType == "Permanent" {
			return Failed
		}
		return GivenUp
	case Delivery, Open, Click, Subscription:
		return Delivered
	case Reject, RenderingFailure:
		return Failed
	case Complaint:
		if e.ComplaintSubType != "" {
			return Failed // SES did not send it
		}
		return Complained
	}
	return Sent
}
