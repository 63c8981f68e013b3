package event_test

import (
	stderrors "errors"
	"strings"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/event"
)

// adviceOf returns the advice and the error of an event with one recipient.
func adviceOf(t *testing.T, data string) (event.Advice, *seserrors.Error) {
	t.Helper()
	e := one(t, data)
	all := e.Advice()
	if len(all) != 1 {
		t.Fatalf("advice %v", all)
	}
	return all[0], e.Err()
}

// The table of bounce types: what SES says alone, without a receiver's word,
// and with one.
func TestBounceTypes(t *testing.T) {
	const gone, listed, odd = "smtp; 550 5.1.1 user unknown", "smtp; 550 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org", "smtp; 550 5.7.1 Kaboom"
	const expired = "smtp; 554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.1 Failed to establish connection>"
	const day = 24 * time.Hour
	for _, c := range []struct {
		kind, sub, diagnostic string
		do                    event.Do
		after                 time.Duration
		reason                seserrors.Reason
		class                 seserrors.Class
	}{
		{"Undetermined", "Undetermined", "", event.Nothing, 0, "unrecognized", seserrors.Rejected},
		{"Undetermined", "Undetermined", odd, event.Nothing, 0, "unrecognized", seserrors.Rejected},
		{"Undetermined", "Undetermined", gone, event.Suppress, 0, "recipient-unknown", seserrors.Rejected},
		{"Permanent", "General", "", event.Suppress, 0, "recipient-unknown", seserrors.Rejected},
		{"Permanent", "General", gone, event.Suppress, 0, "recipient-unknown", seserrors.Rejected},
		{"Permanent", "General", listed, event.Later, 4 * time.Hour, "sending-ip-blocked", seserrors.Denied},
		{"Permanent", "General", odd, event.Nothing, 0, "unrecognized", seserrors.Rejected},
		{"Permanent", "General", "smtp; 550 5.7.26 unauthenticated", event.Correct, 0, "authentication-failed", seserrors.Denied},
		{"Permanent", "General", "smtp; 550 5.7.1 Message rejected as spam by Content Filtering", event.Correct, 0, "content-refused", seserrors.Rejected},
		{"Permanent", "General", "smtp; 550 5.7.1 Policy rejection on the target address", event.Nothing, 0, "recipient-policy", seserrors.Rejected},
		{"Permanent", "NoEmail", "", event.Suppress, 0, "recipient-unknown", seserrors.Rejected},
		{"Permanent", "NoEmail", listed, event.Later, 4 * time.Hour, "sending-ip-blocked", seserrors.Denied},
		{"Permanent", "Suppressed", "", event.Suppress, 0, "recipient-suppressed", seserrors.Rejected},
		{"Permanent", "OnAccountSuppressionList", "Amazon SES did not send the message to this address because it is on the suppression list for your account.", event.Suppress, 0, "recipient-suppressed", seserrors.Rejected},
		{"Permanent", "OnTenantSuppressionList", "", event.Suppress, 0, "recipient-suppressed", seserrors.Rejected},
		{"Permanent", "UnsubscribedRecipient", "", event.Suppress, 0, "recipient-unsubscribed", seserrors.Rejected},
		{"Permanent", "EmailValidationSuppressed", "", event.Suppress, 0, "validation-suppressed", seserrors.Rejected},
		{"Permanent", "Imagined", "", event.Nothing, 0, "unrecognized", seserrors.Rejected},
		{"Transient", "General", "", event.Nothing, 0, "unrecognized", seserrors.Rejected}, // most often an automatic reply
		{"Transient", "General", "smtp; 499 Kaboom", event.Later, 3 * day, "unrecognized", seserrors.Unavailable},
		{"Transient", "General", expired, event.Later, day, "receiver-unavailable", seserrors.Unavailable},
		{"Transient", "General", gone, event.Later, 3 * day, "recipient-unknown", seserrors.Rejected},
		{"Transient", "MailboxFull", "", event.Later, 7 * day, "mailbox-full", seserrors.Rejected},
		{"Transient", "MessageTooLarge", "", event.Correct, 0, "message-too-long", seserrors.Rejected},
		{"Transient", "ContentRejected", "", event.Correct, 0, "content-refused", seserrors.Rejected},
		{"Transient", "AttachmentRejected", "", event.Correct, 0, "content-refused", seserrors.Rejected},
		{"Transient", "CustomTimeoutExceeded", "", event.Nothing, 0, "delivery-time-exceeded", seserrors.Rejected},
	} {
		a, err := adviceOf(t, bounceOf(c.kind, c.sub, "ann@example.net", c.diagnostic))
		if a.Do != c.do || a.After != c.after || a.Reason != c.reason || a.Recipient != "ann@example.net" {
			t.Errorf("%s/%s %q: %+v, want %v %v %v", c.kind, c.sub, c.diagnostic, a, c.do, c.after, c.reason)
		}
		if err.Class != c.class || err.Reason != c.reason || len(err.Recipients) != 1 || err.MaybeAccepted {
			t.Errorf("%s/%s %q: class %v, want %v: %+v", c.kind, c.sub, c.diagnostic, err.Class, c.class, err)
		}
		if again := seserrors.IsRetryable(err); again && a.Do != event.Later {
			t.Errorf("%s/%s: retryable, but the advice is %v", c.kind, c.sub, a.Do)
		}
	}
}

// The table of reasons: what each asks for, and what else it holds up.
func TestReasons(t *testing.T) {
	for words, c := range map[string]struct {
		reason seserrors.Reason
		scope  seserrors.Scope
		do     event.Do
	}{
		"550 5.1.1 user unknown":                            {"recipient-unknown", seserrors.ScopeRecipient, event.Suppress},
		"550 5.1.2 no such domain":                          {"recipient-unknown", seserrors.ScopeRecipient, event.Suppress},
		"550 5.2.1 mailbox disabled":                        {"mailbox-disabled", seserrors.ScopeRecipient, event.Suppress},
		"552 5.2.2 mailbox full":                            {"mailbox-full", seserrors.ScopeRecipient, event.Later},
		"550 5.1.1 user unknown (suppressed address: @)":    {"recipient-suppressed", seserrors.ScopeRecipient, event.Suppress},
		"554 5.7.1 blocked using bl.spamcop.net":            {"sending-ip-blocked", seserrors.ScopeSender, event.Later},
		"550 5.7.25 no PTR record":                          {"sending-ip-blocked", seserrors.ScopeSender, event.Later},
		"554 5.7.1 blocked using dbl.spamhaus.org":          {"sending-domain-blocked", seserrors.ScopeSender, event.Alert},
		"550 5.7.1 DMARC":                                   {"authentication-failed", seserrors.ScopeSender, event.Correct},
		"553 5.1.8 Domain of sender address does not exist": {"authentication-failed", seserrors.ScopeSender, event.Correct},
		"554 5.7.1 Message rejected as spam":                {"content-refused", seserrors.ScopeMessage, event.Correct},
		"550 virus detected":                                {"content-refused", seserrors.ScopeMessage, event.Correct},
		"552 5.3.4 message too large":                       {"message-too-long", seserrors.ScopeMessage, event.Correct},
		"550 5.7.1 policy reasons":                          {"recipient-policy", seserrors.ScopeRecipient, event.Nothing},
		"554 5.7.1 relay access denied":                     {"recipient-policy", seserrors.ScopeRecipient, event.Nothing},
		"450 4.2.1 receiving mail too quickly":              {"receiver-busy", seserrors.ScopeRecipient, event.Later},
		"451 4.7.1 greylisted":                              {"receiver-busy", seserrors.ScopeRecipient, event.Later},
		"451 4.3.0 temporary failure":                       {"receiver-unavailable", seserrors.ScopeRecipient, event.Later},
		"421 4.4.1 connection timed out":                    {"receiver-unavailable", seserrors.ScopeRecipient, event.Later},
	} {
		a, _ := adviceOf(t, bounceOf("Permanent", "General", "ann@example.net", "smtp; "+words))
		if a.Reason != c.reason || a.Scope != c.scope || a.Do != c.do || (a.After > 0) != (c.do == event.Later) {
			t.Errorf("%s: %+v, want %+v", words, a, c)
		}
	}
}

func TestDelaysAreNeverSentAgain(t *testing.T) {
	for kind, c := range map[string]struct {
		do     event.Do
		reason seserrors.Reason
		scope  seserrors.Scope
	}{
		"InternalFailure":                {event.Nothing, "receiver-unavailable", seserrors.ScopeRecipient},
		"General":                        {event.Nothing, "receiver-unavailable", seserrors.ScopeRecipient},
		"MailboxFull":                    {event.Nothing, "mailbox-full", seserrors.ScopeRecipient},
		"SpamDetected":                   {event.Alert, "receiver-busy", seserrors.ScopeSender},
		"RecipientServerError":           {event.Nothing, "receiver-unavailable", seserrors.ScopeRecipient},
		"IPFailure":                      {event.Alert, "sending-ip-blocked", seserrors.ScopeSender},
		"TransientCommunicationFailure":  {event.Nothing, "receiver-unavailable", seserrors.ScopeRecipient},
		"BYOIPHostNameLookupUnavailable": {event.Nothing, "sending-ip-blocked", seserrors.ScopeSender},
		"Undetermined":                   {event.Nothing, "receiver-unavailable", seserrors.ScopeRecipient}, // by its words
		"SendingDeferral":                {event.Alert, "receiver-busy", seserrors.ScopeSender},
	} {
		a, err := adviceOf(t, strings.Replace(samples["delay"], "TransientCommunicationFailure", kind, 1))
		if a.Do != c.do || a.After != 0 || a.Reason != c.reason || a.Scope != c.scope || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", kind, a, err, c)
		}
	}
}

func TestOtherKinds(t *testing.T) {
	sub := func(from, to string) string { return strings.Replace(samples["complaint"], from, to, 1) }
	for name, c := range map[string]struct {
		json   string
		do     event.Do
		reason seserrors.Reason
	}{
		"send":                   {samples["send"], event.Nothing, ""},
		"delivery":               {samples["delivery"], event.Nothing, ""},
		"reject":                 {samples["reject"], event.Correct, "content-refused"},
		"rendering failure":      {samples["rendering failure"], event.Correct, "template-invalid"},
		"complaint":              {samples["complaint"], event.Suppress, "recipient-complained"},
		"complaint, no type":     {sub(`"abuse"`, `null`), event.Suppress, "recipient-complained"},
		"complaint, fraud":       {sub(`"abuse"`, `"fraud"`), event.Suppress, "recipient-complained"},
		"complaint, not spam":    {sub(`"abuse"`, `"not-spam"`), event.Nothing, ""},
		"complaint, suppressed":  {sub(`"complaintSubType":null`, `"complaintSubType":"OnAccountSuppressionList"`), event.Suppress, "recipient-suppressed"},
		"complaint, by a tenant": {sub(`"complaintSubType":null`, `"complaintSubType":"OnTenantSuppressionList"`), event.Suppress, "recipient-suppressed"},
	} {
		e := one(t, c.json)
		for _, a := range e.Advice() {
			if a.Do != c.do || a.Reason != c.reason {
				t.Errorf("%s: %+v", name, a)
			}
		}
		if err := e.Err(); (err == nil) != (c.reason == "") || err != nil && (err.Reason != c.reason || err.Class != seserrors.Rejected || !stderrors.Is(err, c.reason)) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, kind := range []string{"open", "click", "subscription", "unknown kind"} {
		if e := one(t, samples[kind]); len(e.Advice()) != 0 || e.Err() != nil {
			t.Errorf("%s: %v %v", kind, e.Advice(), e.Err())
		}
	}
}

func TestRecipientsOfOneEventAreJudgedEach(t *testing.T) {
	e := one(t, `{"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"General","bouncedRecipients":[
		{"emailAddress":"a@example.net","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 <a@example.net>: user unknown"},
		{"emailAddress":"b@example.net","status":"5.7.1","diagnosticCode":"smtp; 550 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1"},
		{"emailAddress":"c@example.net","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 no such user \"odd one\"@example.net"}]},"mail":{"messageId":"m"}}`)
	all := e.Advice()
	if all[0].Do != event.Suppress || all[1].Do != event.Later || all[2].Do != event.Suppress ||
		all[1].BlockList != "Spamhaus ZEN" || all[1].Delisting != "https://check.spamhaus.org/" {
		t.Errorf("%+v", all)
	}
	err := e.Err()
	if strings.Join(err.Recipients, " ") != "a@example.net c@example.net" || err.Code != 550 || err.Enhanced != "5.1.1" {
		t.Errorf("%+v", err)
	}
	if text := err.Error(); text != "ses Bounce: rejected (recipient-unknown): 550 5.1.1 <[address]>: user unknown" {
		t.Error(text)
	}
}

func TestNoEmailOfSeveralRecipientsSuppressesNobody(t *testing.T) {
	e := one(t, `{"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"NoEmail","bouncedRecipients":[{"emailAddress":"a@example.net"},{"emailAddress":"b@example.net"}]},"mail":{"messageId":"m"}}`)
	for _, a := range e.Advice() {
		if a.Do != event.Nothing {
			t.Errorf("%+v", a)
		}
	}
}

// A report with a status code and no words is judged by the code.
func TestStatusWithoutWords(t *testing.T) {
	for status, want := range map[string]event.Do{"5.1.1": event.Suppress, "5.0.0": event.Suppress, "5.2.2": event.Later, "5.7.1": event.Nothing, "5.7.26": event.Correct} {
		e := one(t, bounceOf("Permanent", "General", "ann@example.net", ""))
		e.Recipients[0].Status = status
		if a := e.Advice()[0]; a.Do != want || status != "5.0.0" && e.Err().Enhanced != status {
			t.Errorf("%s: %+v, want %v", status, a, want)
		}
	}
}

func TestErrorsNameNoRecipients(t *testing.T) {
	for _, words := range []string{
		"550 5.1.1 <ann@example.net>: unknown", "550 no ann@example.net here", `550 "ann"@example.net?`,
		"550 relay=ann@example.net, " + strings.Repeat("x", 5000),
	} {
		_, err := adviceOf(t, bounceOf("Permanent", "General", "ann@example.net", words))
		if strings.Contains(err.Error(), "ann@") || strings.Contains(err.Error(), "ann\"@") || len(err.Message) > 1024 {
			t.Error(err)
		}
	}
}
