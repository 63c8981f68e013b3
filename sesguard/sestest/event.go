package sestest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Events publishes what becomes of accepted mails, as SES does: to the topics
// of the enabled event destinations of a mail's configuration set, and, for
// bounces, complaints and deliveries, to the notification topics of the
// sender's identity. Without either nobody hears of a mail. Subscribe says who
// hears of a topic.
//
// An accepted mail publishes Send by itself, and more if its template lacks a
// value, if it has the EICAR test file in it ("Sending test emails in Amazon SES
// with the simulator", Amazon SES Developer Guide), or if a recipient is at the
// mailbox simulator or on the suppression list. What else becomes of a mail is said by the methods that take it. They
// return at once and report whether SES publishes such an event of that mail;
// one goroutine publishes and delivers, one after the other, in the order of
// time. Recipients that a method is not given are all of the mail's.
//
// The methods are safe for concurrent use.
type Events struct {
	srv *Server

	mu       sync.Mutex
	cond     sync.Cond // jobs, busy or closed changed
	jobs     []job     // in order of time
	busy     bool
	closed   bool
	list     []json.RawMessage
	schedule func(kind string, m Mail) []time.Duration
	subs     []*subscriber
	lost     int
	queues   map[string]*queue

	life context.Context // ends with the server
	end  context.CancelFunc
}

func newEvents(s *Server) *Events {
	e := &Events{srv: s, queues: map[string]*queue{}}
	e.life, e.end = context.WithCancel(context.Background())
	e.cond.L = &e.mu
	return e
}

// A job is something to do at a time.
type job struct {
	at time.Time
	do func()
}

func (e *Events) after(d time.Duration, do func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := job{time.Now().Add(d), do}
	i, _ := slices.BinarySearchFunc(e.jobs, j, func(a, b job) int {
		return cmp.Or(a.at.Compare(b.at), -1) // behind those of the same time
	})
	e.jobs = slices.Insert(e.jobs, i, j)
	e.cond.Broadcast()
}

// run does the jobs until stop.
func (e *Events) run() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed {
		if !e.due() {
			e.sleep()
			continue
		}
		j := e.jobs[0]
		e.jobs, e.busy = e.jobs[1:], true
		e.mu.Unlock()
		j.do()
		e.mu.Lock()
		e.busy = false
		e.cond.Broadcast()
	}
}

func (e *Events) due() bool { return len(e.jobs) > 0 && !time.Now().Before(e.jobs[0].at) }

func (e *Events) sleep() {
	if len(e.jobs) > 0 {
		t := time.AfterFunc(time.Until(e.jobs[0].at), func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.cond.Broadcast()
		})
		defer t.Stop()
	}
	e.cond.Wait()
}

func (e *Events) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.end()
	e.cond.Broadcast()
}

// Wait returns when all that is due has been published and delivered, or the
// server is closed. It does not wait for what Schedule put off, nor for
// another attempt to post. It panics if the server was not started, because
// then nothing is ever published.
func (e *Events) Wait() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for (e.busy || e.due()) && !e.closed {
		if e.srv.listeners == nil {
			panic("sestest: Events.Wait on a server that was not started")
		}
		e.cond.Wait()
	}
}

// List returns the JSON of what was published so far, in that order: copies
// that Schedule made are in it as often as they were published, and an event
// that goes to two topics twice.
func (e *Events) List() []json.RawMessage {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

// Take returns what List does and empties it in the same step, so that a
// server that runs for long keeps no events.
func (e *Events) Take() (all []json.RawMessage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all, e.list = e.list, nil
	return all
}

// Lost returns how many posts SNS has given up on.
func (e *Events) Lost() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost
}

// Schedule sets when an event is published, for each that happens from now on,
// those of the mailbox simulator included: once for each duration that f
// returns, so long after it happened. Two durations make a duplicate, none
// loses the event, and a longer one for Send than for Bounce turns the two
// around. kind is the eventType. A nil f publishes each event once, at once.
func (e *Events) Schedule(f func(kind string, m Mail) []time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.schedule = f
}

// kinds are the event types: the name for MatchingEventTypes (EventDestination,
// Amazon SES API v2 Reference) and the member of the JSON object that holds
// the details.
var kinds = map[string]struct{ matching, member string }{
	"Send": {"SEND", "send"}, "Reject": {"REJECT", "reject"}, "Bounce": {"BOUNCE", "bounce"},
	"Complaint": {"COMPLAINT", "complaint"}, "Delivery": {"DELIVERY", "delivery"}, "Open": {"OPEN", "open"},
	"Click": {"CLICK", "click"}, "Rendering Failure": {"RENDERING_FAILURE", "failure"},
	"DeliveryDelay": {"DELIVERY_DELAY", "deliveryDelay"}, "Subscription": {"SUBSCRIPTION", "subscription"},
}

// Publish publishes an event of any kind, such as "Subscription", with these
// details, which are marshalled as JSON. The other methods know the details of
// their kind. Publish panics if SES has no such kind.
func (e *Events) Publish(kind string, m Mail, details any) bool {
	if _, ok := kinds[kind]; !ok {
		panic("sestest: SES has no event of the type " + kind)
	}
	targets := e.srv.Account.targets(kind, m)
	e.mu.Lock()
	schedule := e.schedule
	e.mu.Unlock()
	times := []time.Duration{0}
	if schedule != nil && len(targets) > 0 {
		times = schedule(kind, m)
	}
	for _, t := range targets {
		text := t.event(kind, m, details)
		for _, d := range times {
			e.after(d, func() { e.emit(t, text) })
		}
	}
	return len(targets) > 0
}

func (e *Events) emit(t target, text []byte) {
	e.mu.Lock()
	e.list = append(e.list, text)
	subs := slices.Clone(e.subs)
	e.mu.Unlock()
	for _, sub := range subs {
		if sub.Topic == t.topic {
			e.notify(sub, t, text)
		}
	}
}

// Send says that SES took the mail. Each accepted mail publishes it already.
func (e *Events) Send(m Mail) bool { return e.Publish("Send", m, struct{}{}) }

// Deliver says that the receiver's server took the mail.
func (e *Events) Deliver(m Mail, to ...string) bool {
	return e.Publish("Delivery", m, object{
		"timestamp": stamp(time.Now()), "processingTimeMillis": time.Since(m.Time).Milliseconds(), "recipients": m.those(to),
		"smtpResponse": "250 2.6.0 Message received", "reportingMTA": reportingMTA, "remoteMtaIp": receiverIP,
	})
}

// Bounce says that the mail came back. kind is type and subtype of the bounce,
// such as "Transient/MailboxFull", or "" for "Permanent/General", which also
// puts the recipients on the suppression list, if the account or the
// configuration set has it so. diagnostic holds the words of the receiver's
// server, "smtp; 550 5.1.1 user unknown"; with "" there was no report.
func (e *Events) Bounce(m Mail, kind, diagnostic string, to ...string) bool {
	typ, sub, _ := strings.Cut(cmp.Or(kind, "Permanent/General"), "/")
	id := newID(time.Now())
	if typ == "Permanent" && sub == "General" { // what a hard bounce is
		e.srv.Account.learn("BOUNCE", id, m, m.those(to))
	}
	return e.bounce(m, id, typ, sub, diagnostic, "dns; "+reportingMTA, m.those(to))
}

func (e *Events) bounce(m Mail, id, typ, sub, diagnostic, reporter string, to []string) bool {
	b := object{
		"bounceType": typ, "bounceSubType": sub, "bouncedRecipients": recipients(to, typ, diagnostic),
		"timestamp": stamp(time.Now()), "feedbackId": id,
	}
	if diagnostic != "" {
		b["reportingMTA"] = reporter
	}
	if strings.HasPrefix(diagnostic, "smtp;") {
		b["remoteMtaIp"] = receiverIP
	}
	return e.Publish("Bounce", m, b)
}

var enhancedCode = regexp.MustCompile(`(?:^|[\s-])([245]\.\d{1,3}\.\d{1,3})(?:\s|$)`)

// recipients lists those of a bounce or a delay, with what a report says.
func recipients(to []string, typ, diagnostic string) []object {
	status := cmp.Or(map[string]string{"Permanent": "5.1.1"}[typ], "4.0.0")
	if code := enhancedCode.FindStringSubmatch(diagnostic); code != nil {
		status = code[1]
	}
	list := make([]object, len(to))
	for i, address := range to {
		list[i] = object{"emailAddress": address}
		if diagnostic != "" {
			list[i]["status"], list[i]["diagnosticCode"] = status, diagnostic
			if typ != "" {
				list[i]["action"] = "failed"
			}
		}
	}
	return list
}

// Complain says that recipients complained about the mail. feedback is the
// type of the report: "abuse", "fraud", "not-spam", …, or "" if it has none. The
// recipients go to the suppression list, if the account or the configuration
// set has it so.
func (e *Events) Complain(m Mail, feedback string, to ...string) bool {
	id := newID(time.Now())
	e.srv.Account.learn("COMPLAINT", id, m, m.those(to))
	return e.complain(m, id, feedback, nil, m.those(to))
}

func (e *Events) complain(m Mail, id, feedback string, sub any, to []string) bool {
	c := object{
		"complainedRecipients": recipients(to, "", ""), "complaintSubType": sub,
		"timestamp": stamp(time.Now()), "feedbackId": id,
	}
	if feedback != "" {
		c["complaintFeedbackType"], c["userAgent"] = feedback, "sestest feedback loop"
		c["arrivalDate"] = stamp(time.Now())
	}
	return e.Publish("Complaint", m, c)
}

// Delay says that SES could not deliver the mail yet and goes on trying, until
// 14 hours after it accepted it. kind is the delayType, such as "MailboxFull",
// or "" for "TransientCommunicationFailure".
func (e *Events) Delay(m Mail, kind, diagnostic string, to ...string) bool {
	return e.Publish("DeliveryDelay", m, object{
		"timestamp": stamp(time.Now()), "delayType": cmp.Or(kind, "TransientCommunicationFailure"),
		"expirationTime": stamp(m.Time.Add(14 * time.Hour)), "delayedRecipients": recipients(m.those(to), "", diagnostic),
		"reportingMTA": outgoingIP,
	})
}

// Reject says that SES found a virus in the mail and did not send it. A mail with
// the EICAR test file has published it already.
func (e *Events) Reject(m Mail) bool { return e.Publish("Reject", m, object{"reason": "Bad content"}) }

// RenderingFailure says that the template could not be filled in, and why. A
// mail in Server.Unrendered has published it already.
func (e *Events) RenderingFailure(m Mail, template, message string) bool {
	return e.Publish("Rendering Failure", m, object{"templateName": template, "errorMessage": message})
}

// Open says that a recipient opened the mail.
func (e *Events) Open(m Mail) bool { return e.Publish("Open", m, opened()) }

// Click says that a recipient followed a link in the mail.
func (e *Events) Click(m Mail, link string) bool {
	c := opened()
	c["link"], c["linkTags"] = link, nil
	return e.Publish("Click", m, c)
}

func opened() object {
	return object{"timestamp": stamp(time.Now()), "ipAddress": "203.0.113.7", "userAgent": "sestest mail reader", "isBotEvent": "Unlikely"}
}

// those are the recipients given, or all.
func (m Mail) those(to []string) []string {
	if len(to) == 0 {
		return m.To
	}
	return to
}

// What SES says of a recipient on a list, without asking a receiver: the
// account's list has status 5.1.1 all the same.
const (
	onAccountList = "Amazon SES did not send the message to this address because it is on the suppression list for your account."
	onGlobalList  = "smtp; 550 5.1.1 As requested: user unknown (suppressed address)"
)

// The EICAR test file, which every scanner takes for a virus, and the first line
// of it in base64: the file begins with these octets. They stand here in two
// pieces for the sake of scanners that read this.
var (
	eicar         = []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-` + `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`)
	eicarInBase64 = []byte(base64.StdEncoding.EncodeToString(eicar[:57]))
)

// accepted publishes what becomes of a mail by itself. Recipients of one fate
// share an event.
func (e *Events) accepted(m Mail) {
	e.Send(m)
	if m.Problem != "" {
		e.RenderingFailure(m, m.template, m.Problem)
		return
	}
	if bytes.Contains(m.Data, eicar) || bytes.Contains(m.Data, eicarInBase64) {
		e.Reject(m)
		return
	}
	fates := map[string][]string{}
	for _, to := range m.To {
		if reason := e.srv.Account.suppression(m, to); reason != "" {
			fates[reason] = append(fates[reason], to)
		} else if name, ok := simulated(to); ok {
			fates[name] = append(fates[name], to)
		}
	}
	if len(fates) == 0 {
		return
	}
	if taken := slices.Concat(fates["success"], fates["ooto"], fates["complaint"]); len(taken) > 0 {
		e.Deliver(m, taken...)
	}
	for _, fate := range slices.Sorted(maps.Keys(fates)) {
		e.suffer(m, fate, fates[fate])
	}
}

// suffer publishes the bad end that recipients take.
func (e *Events) suffer(m Mail, fate string, to []string) {
	id := newID(time.Now())
	switch fate {
	case "BOUNCE":
		e.bounce(m, id, "Permanent", "OnAccountSuppressionList", onAccountList, "dns; amazonses.com", to)
	case "COMPLAINT":
		e.complain(m, id, "", "OnAccountSuppressionList", to)
	case "bounce":
		e.bounce(m, id, "Permanent", "General", "smtp; 550 5.1.1 user unknown", "dns; "+reportingMTA, to)
	case "suppressionlist":
		e.bounce(m, id, "Permanent", "General", onGlobalList, "dns; "+reportingMTA, to)
	case "ooto":
		e.bounce(m, id, "Transient", "General", "", "", to)
	case "complaint":
		e.complain(m, id, "abuse", nil, to)
	}
}

// simulated returns the name of a recipient at the mailbox simulator, without
// its label ("Using the mailbox simulator", Amazon SES Developer Guide).
func simulated(address string) (name string, ok bool) {
	local, domain, _ := strings.Cut(strings.ToLower(address), "@")
	name, _, _ = strings.Cut(local, "+")
	return name, domain == simulator
}

func isSimulated(address string) bool {
	_, ok := simulated(address)
	return ok
}
