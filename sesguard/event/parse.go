package event

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// A document is what SES publishes, in both shapes. The types of its fields
// take what documentation, SES and its emulators write for them; a field of
// another type is left zero, since the event is still of use without it.
type document struct {
	EventType        string      `json:"eventType"`
	NotificationType string      `json:"notificationType"`
	Mail             mail        `json:"mail"`
	Bounce           feedback    `json:"bounce"`
	Complaint        feedback    `json:"complaint"`
	Delivery         feedback    `json:"delivery"`
	DeliveryDelay    feedback    `json:"deliveryDelay"`
	Reject           problem     `json:"reject"`
	Failure          problem     `json:"failure"`
	Open             interaction `json:"open"`
	Click            interaction `json:"click"`
	Subscription     struct {
		ContactList string      `json:"contactList"`
		Timestamp   stamp       `json:"timestamp"`
		Source      string      `json:"source"`
		New         preferences `json:"newTopicPreferences"`
		Old         preferences `json:"oldTopicPreferences"`
	} `json:"subscription"`
}

type mail struct {
	Timestamp        stamp            `json:"timestamp"`
	MessageID        string           `json:"messageId"`
	Source           string           `json:"source"`
	SourceARN        string           `json:"sourceArn"`
	SourceIP         string           `json:"sourceIp"`
	CallerIdentity   string           `json:"callerIdentity"`
	AccountID        text             `json:"sendingAccountId"`
	Destination      texts            `json:"destination"`
	HeadersTruncated text             `json:"headersTruncated"` // documented as a string, shown as a boolean
	Headers          []Header         `json:"headers"`
	Common           commonHeaders    `json:"commonHeaders"`
	Tags             map[string]texts `json:"tags"`
}

type commonHeaders struct {
	From      texts `json:"from"`
	To        texts `json:"to"`
	Cc        texts `json:"cc"`
	Bcc       texts `json:"bcc"`
	ReplyTo   texts `json:"replyTo"`
	Date      text  `json:"date"`
	Subject   text  `json:"subject"`
	MessageID text  `json:"messageId"`
}

// feedback holds the fields of bounces, complaints, deliveries and delays.
type feedback struct {
	BounceType       string      `json:"bounceType"`
	BounceSubType    string      `json:"bounceSubType"`
	Bounced          []recipient `json:"bouncedRecipients"`
	Complained       []recipient `json:"complainedRecipients"`
	Delayed          []recipient `json:"delayedRecipients"`
	Delivered        texts       `json:"recipients"`
	Timestamp        stamp       `json:"timestamp"`
	FeedbackID       string      `json:"feedbackId"`
	ReportingMTA     string      `json:"reportingMTA"`
	RemoteIP         string      `json:"remoteMtaIp"`
	UserAgent        string      `json:"userAgent"`
	ComplaintType    string      `json:"complaintFeedbackType"`
	ComplaintSubType string      `json:"complaintSubType"`
	ArrivalDate      stamp       `json:"arrivalDate"`
	DelayType        string      `json:"delayType"`
	ExpirationTime   stamp       `json:"expirationTime"`
	ProcessingMillis int64       `json:"processingTimeMillis"`
	Response         string      `json:"smtpResponse"`
}

type recipient struct {
	Address    string `json:"emailAddress"`
	Action     string `json:"action"`
	Status     string `json:"status"`
	Diagnostic string `json:"diagnosticCode"`
}

type problem struct {
	Reason   string `json:"reason"`
	Template string `json:"templateName"`
	Message  string `json:"errorMessage"`
}

type interaction struct {
	Timestamp stamp            `json:"timestamp"`
	UserAgent string           `json:"userAgent"`
	IP        string           `json:"ipAddress"`
	Link      string           `json:"link"`
	LinkTags  map[string]texts `json:"linkTags"`
	Bot       text             `json:"isBotEvent"` // Likely or Unlikely
}

type preferences struct {
	UnsubscribeAll bool          `json:"unsubscribeAll"`
	Status         []topicStatus `json:"topicSubscriptionStatus"`
	Default        []topicStatus `json:"topicDefaultSubscriptionStatus"`
}

type topicStatus struct {
	Topic  string `json:"topicName"`
	Status string `json:"subscriptionStatus"`
}

// decode reads valid JSON and forgives fields of a type that was not expected.
func decode(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return nil
	}
	return err
}

// newEvent reads one event in either shape.
func newEvent(data []byte) (*Event, error) {
	var d document
	if err := decode(data, &d); err != nil {
		return nil, err
	}
	e := &Event{Type: Type(d.EventType), Raw: data}
	if e.Type == "" {
		e.Type = Type(d.NotificationType)
	}
	e.setMail(&d.Mail)
	switch e.Type {
	case Bounce:
		e.setFeedback(&d.Bounce, d.Bounce.Bounced)
	case Complaint:
		e.setFeedback(&d.Complaint, d.Complaint.Complained)
	case Delivery:
		e.setFeedback(&d.Delivery, named(d.Delivery.Delivered))
	case DeliveryDelay:
		e.setFeedback(&d.DeliveryDelay, d.DeliveryDelay.Delayed)
	case Reject:
		e.Problem = d.Reject.Reason
	case RenderingFailure:
		e.Template, e.Problem = d.Failure.Template, d.Failure.Message
	case Open:
		e.setInteraction(&d.Open)
	case Click:
		e.setInteraction(&d.Click)
	case Subscription:
		s := &d.Subscription
		e.Preferences = &Preferences{s.ContactList, s.Source, s.Old.topics(), s.New.topics()}
		e.setTime(s.Timestamp)
	}
	if e.Recipients == nil && (e.Type == Send || e.Type == Reject || e.Type == RenderingFailure || len(e.To) == 1 && e.about()) {
		e.setRecipients(named(e.To))
	}
	return e, nil
}

// about reports whether the event is about a recipient whom it does not name.
func (e *Event) about() bool {
	return e.Type == Open || e.Type == Click || e.Type == Subscription
}

func (e *Event) setMail(m *mail) {
	e.MessageID, e.SentAt, e.Time = m.MessageID, time.Time(m.Timestamp), time.Time(m.Timestamp)
	e.From, e.SourceARN, e.AccountID = m.Source, m.SourceARN, string(m.AccountID)
	e.SourceIP, e.CallerIdentity = m.SourceIP, m.CallerIdentity
	e.To, e.Headers = m.Destination, m.Headers
	e.HeadersTruncated = m.HeadersTruncated == "true"
	e.Tags = plain(m.Tags)
	c := &m.Common
	e.Common = CommonHeaders{c.From, c.To, c.Cc, c.Bcc, c.ReplyTo, string(c.Date), string(c.Subject), string(c.MessageID)}
}

func (e *Event) setFeedback(f *feedback, about []recipient) {
	e.setTime(f.Timestamp)
	e.setRecipients(about)
	e.FeedbackID, e.ReportingMTA, e.RemoteIP = f.FeedbackID, f.ReportingMTA, f.RemoteIP
	e.BounceType, e.BounceSubType = f.BounceType, f.BounceSubType
	e.ComplaintType, e.ComplaintSubType = f.ComplaintType, f.ComplaintSubType
	e.UserAgent, e.ArrivedAt = f.UserAgent, time.Time(f.ArrivalDate)
	e.DelayType, e.Expires = f.DelayType, time.Time(f.ExpirationTime)
	e.Response, e.Processing = f.Response, time.Duration(f.ProcessingMillis)*time.Millisecond
}

func (e *Event) setInteraction(i *interaction) {
	e.setTime(i.Timestamp)
	e.UserAgent, e.IP, e.Link = i.UserAgent, i.IP, i.Link
	e.LinkTags, e.Bot = plain(i.LinkTags), strings.EqualFold(string(i.Bot), "Likely") || i.Bot == "true"
}

func (e *Event) setTime(t stamp) {
	if !time.Time(t).IsZero() {
		e.Time = time.Time(t)
	}
}

func (e *Event) setRecipients(rs []recipient) {
	for _, r := range rs {
		e.Recipients = append(e.Recipients, Recipient(r))
	}
}

func named(addresses []string) []recipient {
	rs := make([]recipient, len(addresses))
	for i, a := range addresses {
		rs[i].Address = a
	}
	return rs
}

func (p *preferences) topics() TopicPreferences {
	byName := func(list []topicStatus) map[string]string {
		if len(list) == 0 {
			return nil
		}
		m := make(map[string]string, len(list))
		for _, t := range list {
			m[t.Topic] = t.Status
		}
		return m
	}
	return TopicPreferences{p.UnsubscribeAll, byName(p.Status), byName(p.Default)}
}

func plain(tags map[string]texts) map[string][]string {
	if tags == nil {
		return nil
	}
	m := make(map[string][]string, len(tags))
	for name, values := range tags {
		m[name] = values
	}
	return m
}

// A text takes a JSON string, and the literal of a number or a boolean.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	switch {
	case data[0] == '"' && json.Unmarshal(data, &s) == nil:
		*t = text(s)
	case data[0] != '{' && data[0] != '[' && data[0] != 'n':
		*t = text(data)
	}
	return nil
}

// texts takes an array of texts, and a single one.
type texts []string

func (l *texts) UnmarshalJSON(data []byte) error {
	many := []text{""}
	if data[0] == '[' {
		_ = decode(data, &many)
	} else if data[0] == 'n' || many[0].UnmarshalJSON(data) != nil || many[0] == "" {
		many = nil
	}
	*l = nil
	for _, t := range many {
		*l = append(*l, string(t))
	}
	return nil
}

// A stamp takes the layouts that SES's documentation and events show; what is
// none of them is the zero time.
type stamp time.Time

var layouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999 -0700",
	"2006-01-02T15:04:05.999999999-0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999 -0700",
	time.RFC1123Z,
}

func (s *stamp) UnmarshalJSON(data []byte) error {
	var v text
	_ = v.UnmarshalJSON(data)
	for _, layout := range layouts {
		if t, err := time.Parse(layout, string(v)); err == nil {
			*s = stamp(t)
			break
		}
	}
	return nil
}
