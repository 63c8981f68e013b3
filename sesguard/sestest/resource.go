package sestest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// An Identity is what an account has set for an address or a domain. The zero
// value is verified, and signed by Easy DKIM if it is a domain. The fields that
// hold a status take what the Amazon SES API v2 Reference lists: SUCCESS,
// PENDING, FAILED, TEMPORARY_FAILURE or NOT_STARTED.
type Identity struct {
	Status    string // VerificationStatus; "": SUCCESS. With any other it cannot send
	ErrorType string // of VerificationInfo, such as HOST_NOT_FOUND

	DKIMStatus   string   // "": that of the identity for a domain, NOT_STARTED for an address
	DKIMTokens   []string // nil: three that are made of the name
	DKIMDisabled bool     // SES does not sign
	DKIMOwnKey   bool     // signed with a key of one's own (BYODKIM): the tokens are its selectors

	MailFromDomain    string // custom MAIL FROM domain; "": none
	MailFromStatus    string // "": SUCCESS
	RejectOnMXFailure bool   // BehaviorOnMxFailure is REJECT_MESSAGE: without SUCCESS mails are refused

	ConfigurationSet     string // for mails that name none
	NoFeedbackForwarding bool   // bounces and complaints are not forwarded by mail

	// The topics of the identity's notifications, as ARNs; "": none. They
	// have the header of the mail with HeadersInNotifications only.
	BounceTopic, ComplaintTopic, DeliveryTopic string
	HeadersInNotifications                     bool
}

const success = "SUCCESS"

func (id Identity) status() string { return cmp.Or(id.Status, success) }

func (id Identity) mailFromStatus() string {
	if id.MailFromDomain == "" {
		return success
	}
	return cmp.Or(id.MailFromStatus, success)
}

// SetIdentity sets an address or a domain of the account, in place of what it
// was. Verify(name) is SetIdentity(name, Identity{}).
func (a *Account) SetIdentity(name string, id Identity) {
	id.DKIMTokens = slices.Clone(id.DKIMTokens)
	a.set(func() { a.identities[canonical(name)] = id })
}

// A ConfigurationSet is what an account has set for mails that name it. The
// zero value lets them out and publishes no events.
type ConfigurationSet struct {
	SendingPaused      bool
	Destinations       []EventDestination
	SuppressedReasons  []string // "BOUNCE", "COMPLAINT"; nil: the account's, empty: the list does not count
	TLSPolicy          string   // "REQUIRE", or "OPTIONAL", which "" is too
	MaxDeliverySeconds int      // 0: as long as SES tries
}

// An EventDestination has the events of a configuration set published to a
// topic of SNS. The zero value is enabled and publishes all events to
// Events.TopicARN.
type EventDestination struct {
	Name     string   // "": "events"
	Disabled bool     // it exists and publishes nothing
	Types    []string // MatchingEventTypes, such as "BOUNCE" or "RENDERING_FAILURE"; nil: all
	TopicARN string
}

// SetConfigurationSet adds a configuration set, in place of one of the same
// name.
func (a *Account) SetConfigurationSet(name string, set ConfigurationSet) {
	set.SuppressedReasons = slices.Clone(set.SuppressedReasons)
	set.Destinations = slices.Clone(set.Destinations)
	for i := range set.Destinations {
		set.Destinations[i].Types = slices.Clone(set.Destinations[i].Types)
	}
	a.set(func() { a.sets[name] = set })
}

// matching returns the event types in the API's spelling.
func (d EventDestination) matching() []string {
	if d.Types != nil {
		return d.Types
	}
	var all []string
	for _, k := range kinds {
		all = append(all, k.matching)
	}
	slices.Sort(all)
	return all
}

// A target is a topic that hears of an event, in one of the two shapes.
type target struct {
	topic                 string
	notification, headers bool
}

// targets returns who hears of an event: destinations that match, and the
// topic of the identity.
func (a *Account) targets(kind string, m Mail) (list []target) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.sets[m.ConfigurationSet].Destinations {
		if !d.Disabled && slices.Contains(d.matching(), kinds[kind].matching) {
			list = append(list, target{topic: topicOr(d.TopicARN, a.region)})
		}
	}
	id := a.identities[m.identity]
	topic := map[string]string{"Bounce": id.BounceTopic, "Complaint": id.ComplaintTopic, "Delivery": id.DeliveryTopic}[kind]
	if topic != "" {
		list = append(list, target{topic: topic, notification: true, headers: id.HeadersInNotifications})
	}
	return list
}

// Suppressed is an entry of the suppression list of the account.
type Suppressed struct {
	Address string // its domain in lower case; the local part as it was put
	Reason  string // "BOUNCE" or "COMPLAINT"
	Updated time.Time

	feedbackID, messageID string // of the event that put it there
}

// Suppress puts an address on the suppression list, with the reason "BOUNCE" or
// "COMPLAINT". SES accepts mail to it, does not send it, and reports a bounce or
// a complaint.
func (a *Account) Suppress(address, reason string) {
	a.set(func() {
		key := canonical(address)
		a.suppressed[key] = Suppressed{Address: key, Reason: reason, Updated: time.Now()}
	})
}

// Unsuppress takes an address off the suppression list.
func (a *Account) Unsuppress(address string) {
	a.set(func() { delete(a.suppressed, canonical(address)) })
}

// SuppressionList returns the list, sorted by address.
func (a *Account) SuppressionList() []Suppressed {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.SortedFunc(maps.Values(a.suppressed), func(x, y Suppressed) int { return strings.Compare(x.Address, y.Address) })
}

// SetSuppressedReasons sets which reasons put recipients on the suppression
// list and keep mail from them: "BOUNCE", "COMPLAINT", both, as at the start, or
// none. A configuration set may say otherwise.
func (a *Account) SetSuppressedReasons(reasons ...string) {
	a.set(func() { a.suppress = slices.Clone(reasons) })
}

// suppresses reports whether the list counts, for this reason and this mail.
func (a *Account) suppresses(reason string, m Mail) bool {
	reasons := a.suppress
	if set := a.sets[m.ConfigurationSet]; set.SuppressedReasons != nil {
		reasons = set.SuppressedReasons
	}
	return slices.Contains(reasons, reason)
}

// suppression returns the reason why SES does not send a mail to a recipient,
// or "". Sending ignores the letter case of the local part.
func (a *Account) suppression(m Mail, to string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, entry := range a.suppressed {
		if strings.EqualFold(key, to) && a.suppresses(entry.Reason, m) {
			return entry.Reason
		}
	}
	return ""
}

// learn puts the recipients of a hard bounce or a complaint on the list.
func (a *Account) learn(reason, feedbackID string, m Mail, to []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.suppresses(reason, m) {
		return
	}
	for _, address := range to {
		key := canonical(address)
		a.suppressed[key] = Suppressed{key, reason, time.Now(), feedbackID, m.ID}
	}
}
