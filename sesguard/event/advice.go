package event

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A Do is what to do about an event.
type Do uint8

// What to do.
const (
	Nothing  Do = iota // nothing, or nothing that is sure: Err tells whether the mail arrived
	Later              // send again, after Advice.After at the earliest
	Suppress           // never write to this address again
	Correct            // change the mail, or the settings of the sending domain, before sending again
	Alert              // tell a person: the trouble is about the sender and will not pass by itself
)

var doNames = [...]string{"nothing", "later", "suppress", "correct", "alert"}

// String returns what to do as a stable slug, such as "suppress".
func (d Do) String() string { return name(doNames[:], int(d)) }

// Advice is what to do about one recipient of an event.
type Advice struct {
	Recipient string
	Do        Do
	After     time.Duration    // Later: how long to wait, from the event's time; else 0
	Reason    seserrors.Reason // why; "" if there is nothing to explain
	Scope     seserrors.Scope  // what else fails the same way
	BlockList string           // the list that the receiver blames, or ""
	Delisting string           // the page of that list's operator, or ""
}

// Advice returns what to do, for each of Recipients in their order. It judges
// by SES's types and, where the receiver said why, by its words: SES reports a
// block-listed IP address as a permanent bounce, and whoever suppresses on
// that loses good addresses. An address is suppressed only for what is
// understood to be about that address.
//
// Advice knows this event only. Repeated temporary failures are for
// [SuppressionList] to count.
func (e *Event) Advice() []Advice {
	all := make([]Advice, len(e.Recipients))
	for i := range e.Recipients {
		all[i] = e.advise(&e.Recipients[i])
	}
	return all
}

func (e *Event) advise(r *Recipient) Advice {
	a := Advice{Recipient: r.Address}
	d, ok := e.diagnose(r)
	if !ok {
		return a
	}
	m := meanings[d.Reason]
	a.Do, a.After, a.Reason, a.Scope = m.do, m.after, d.Reason, d.Reason.Scope()
	a.BlockList, a.Delisting = d.BlockList, d.Delisting
	switch {
	case e.Type == DeliveryDelay:
		// SES goes on: a second mail would arrive beside the first. Three kinds of
		// delay are about the sender and want somebody to look.
		a.Do, a.After = Nothing, 0
		if e.DelayType == "SpamDetected" || e.DelayType == "IPFailure" || e.DelayType == "SendingDeferral" {
			a.Do, a.Scope = Alert, seserrors.ScopeSender
		}
	case e.BounceType == "Transient" && (a.Do == Suppress || d.Reason == undetermined && r.reported()):
		// What SES calls temporary suppresses nobody by itself.
		a.Do, a.After = Later, 3*day
	}
	return a
}

// reported reports whether a delivery status notification told of the
// recipient. A bounce without one is a mail that came back after the receiver
// had accepted the mail: most often an automatic reply.
func (r *Recipient) reported() bool { return r.Action != "" || r.Status != "" || r.Diagnostic != "" }

// diagnose returns why the event is no success for a recipient, and false if
// it is one.
func (e *Event) diagnose(r *Recipient) (Diagnosis, bool) {
	switch e.Type {
	case Bounce:
		return e.diagnoseBounce(r), true
	case Complaint:
		switch {
		case e.ComplaintSubType == "OnAccountSuppressionList" || e.ComplaintSubType == "OnTenantSuppressionList":
			return Diagnosis{Reason: seserrors.RecipientSuppressed}, true
		case e.ComplaintType == "not-spam":
			return Diagnosis{}, false // the recipient took the mail out of the junk folder
		}
		return Diagnosis{Reason: seserrors.RecipientComplained}, true
	case Reject:
		return Diagnosis{Reason: seserrors.ContentRefused}, true
	case RenderingFailure:
		return Diagnosis{Reason: seserrors.TemplateInvalid}, true
	case DeliveryDelay:
		return e.diagnoseDelay(r), true
	}
	return Diagnosis{}, false
}

// diagnoseBounce asks the receiver's words, or its status code where there are
// none, and SES's types.
func (e *Event) diagnoseBounce(r *Recipient) Diagnosis {
	said := r.Diagnostic
	if said == "" && r.Status != "5.0.0" { // which says no more than the bounce
		said = r.Status
	}
	d := Diagnose(said)
	if d.Enhanced == "" {
		d.Enhanced = r.Status
	}
	for _, b := range bounceRules {
		if b.kind != "" && b.kind != e.BounceType || b.sub != "" && b.sub != e.BounceSubType {
			continue
		}
		understood := d.Reason != undetermined
		switch {
		case b.words && understood:
		case b.words && b.reason == seserrors.RecipientUnknown && (said != "" || e.BounceSubType == "NoEmail" && len(e.Recipients) > 1):
			// There are words, but nobody knows what they blame. NoEmail means that SES
			// could not read whom the bounce is about.
			d.Reason = undetermined
		default:
			d.Reason = b.reason
		}
		break
	}
	return d
}

func (e *Event) diagnoseDelay(r *Recipient) Diagnosis {
	d := Diagnose(r.Diagnostic)
	if reason, ok := delayReasons[e.DelayType]; ok {
		d.Reason = reason
	}
	return d
}

// Err returns what became of the mail as an error: nil unless it is a Bounce, a
// Complaint, a Reject or a RenderingFailure. A delay is no error, because SES
// goes on trying.
//
// Class, Reason, Code, Enhanced and Message are those of the first recipient;
// Recipients are all that failed for the same reason. The class is Unavailable
// where SES has stopped trying for what should pass, so that IsRetryable holds
// and the mail can be sent again after Advice's time without arriving twice.
// What may be an automatic reply is never retryable. No text of the error holds
// an address of a recipient.
func (e *Event) Err() *seserrors.Error {
	if e.Type == DeliveryDelay || len(e.Recipients) == 0 && e.Type != Bounce && e.Type != Complaint && e.Type != Reject && e.Type != RenderingFailure {
		return nil
	}
	first := Recipient{}
	if len(e.Recipients) > 0 {
		first = e.Recipients[0]
	}
	d, failed := e.diagnose(&first)
	if !failed {
		return nil
	}
	err := &seserrors.Error{
		Op: "ses " + string(e.Type), Class: d.Reason.Class(), Reason: d.Reason,
		Code: d.Code, Enhanced: d.Enhanced, Message: e.words(&first),
	}
	switch {
	case d.Reason != undetermined:
	case e.BounceType == "Transient" && first.reported():
		err.Class = seserrors.Unavailable
	default:
		err.Class = seserrors.Rejected // whatever the words mean, the mail came back
	}
	for i := range e.Recipients {
		if other, failed := e.diagnose(&e.Recipients[i]); failed && other.Reason == d.Reason {
			err.Recipients = append(err.Recipients, e.Recipients[i].Address)
		}
	}
	return err
}

// words returns what the receiver or SES said, on one line without addresses
// and without the code that the error holds beside it.
func (e *Event) words(r *Recipient) string {
	s := r.Diagnostic
	switch {
	case s != "":
		said := newReply(s)
		s = unfold(said.text, said.code, said.enhanced)
	case e.Problem != "":
		s = e.Problem
	case e.Type == Complaint:
		s = strings.Join(nonempty(e.ComplaintType, e.ComplaintSubType), " ")
	default:
		s = strings.Join(nonempty(e.BounceType, e.BounceSubType), " ")
	}
	if len(s) > maxDiagnostic {
		s = s[:maxDiagnostic]
	}
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	s = anyAddress.ReplaceAllString(s, "[address]")
	if len(s) > maxMessage {
		s = s[:maxMessage]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}

// maxMessage is the limit of seserrors.Error.Message.
const maxMessage = 1024

// anyAddress finds addresses, also those with a quoted local part.
var anyAddress = regexp.MustCompile(`(?:"[^"]*"|[^\s<>()\[\]:;,'"@]+)@[^\s<>()\[\]:;,'"]+`)

func nonempty(list ...string) []string {
	kept := list[:0]
	for _, s := range list {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}
