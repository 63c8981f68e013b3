package errors

import (
	"bytes"
	"encoding/json"
	stderrors "errors"
	"fmt"
	"io"
	"log/slog"
	"net/textproto"
	"strings"
	"testing"
)

func TestClassText(t *testing.T) {
	want := []string{"unknown", "canceled", "invalid", "rejected", "denied", "suspended", "throttled", "quota-exceeded", "unavailable"}
	for i, slug := range want {
		c := Class(i)
		if c.String() != slug || c.Error() != slug {
			t.Errorf("class %d is %s", i, c)
		}
		text, err := json.Marshal(map[string]Class{"c": c})
		if err != nil || string(text) != `{"c":"`+slug+`"}` {
			t.Errorf("got %s, %v", text, err)
		}
		var back map[string]Class
		if err := json.Unmarshal(text, &back); err != nil || back["c"] != c {
			t.Errorf("got %v, %v", back, err)
		}
		if c.Retryable() != (c >= Throttled) {
			t.Errorf("%s retryable: %v", c, c.Retryable())
		}
	}
	none := Class(len(want))
	if _, err := none.MarshalText(); err == nil || none.String() != "class(9)" || none.Retryable() {
		t.Errorf("%s passes for a class", none)
	}
	c := Denied
	if err := c.UnmarshalText([]byte("nonsense")); err == nil || c != Denied || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestScopeText(t *testing.T) {
	for i, want := range []string{"unknown", "recipient", "message", "connection", "sender", "account", "scope(6)"} {
		if got := Scope(i).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// One tenant's trouble is never the account's.
func TestScopes(t *testing.T) {
	for reason, want := range map[Reason]Scope{
		IdentityNotVerified: ScopeSender, ConfigurationSetPaused: ScopeSender, ConfigurationSetMissing: ScopeSender,
		InvalidSendingPool: ScopeSender, MailFromDomainNotVerified: ScopeSender, AccessDenied: ScopeSender,
		SendingPaused: ScopeAccount, AccountSuspended: ScopeAccount, CredentialsInvalid: ScopeAccount, CredentialsExpired: ScopeAccount,
		NotSubscribed: ScopeAccount, AuthRequired: ScopeAccount, DailyQuotaExceeded: ScopeAccount, SendRateExceeded: ScopeAccount,
		RecipientSyntax: ScopeRecipient, RecipientSuppressed: ScopeRecipient, TooManyConnections: ScopeConnection,
		IdleTimeout: ScopeConnection, DuplicateHeader: ScopeMessage, Reason("other"): ScopeUnknown,
	} {
		if got := reason.Scope(); got != want {
			t.Errorf("%s: got %s, want %s", reason, got, want)
		}
	}
}

func TestAdviceSaysWhatToCheck(t *testing.T) {
	for reason, words := range map[Reason][]string{
		IdentityNotVerified: {"region", "letter case", "sandbox", "endpoint"},
		CredentialsInvalid:  {"SMTP", "temporary credentials", "region"},
		NameNotFound:        {"region"},
		TLSModeMismatch:     {"587", "465"},
		Network:             {"25"},
		SigV2RateExceeded:   {"2019"},
		TooManyRecipients:   {"50"},
		MessageTooLong:      {"40 MB"},
		ResponseLost:        {"duplicate"},
	} {
		for _, word := range words {
			if !strings.Contains(reason.Advice(), word) {
				t.Errorf("the advice for %s does not speak of %s", reason, word)
			}
		}
	}
	if Reason("other").Advice() != Unrecognized.Advice() {
		t.Error("no advice for a reason that is none")
	}
}

func TestErrorText(t *testing.T) {
	reply := &textproto.Error{Code: 454, Msg: "Throttling failure: Maximum sending rate exceeded."}
	for _, c := range []struct {
		name string
		err  *Error
		want string
	}{
		{"reply", FromSMTP("smtp DATA", 454, reply.Msg), "smtp DATA: throttled (send-rate-exceeded): 454 Throttling failure: Maximum sending rate exceeded."},
		{"cause that says the same", Classify(reply), "throttled (send-rate-exceeded): 454 Throttling failure: Maximum sending rate exceeded."},
		{"enhanced code", FromSMTP("smtp MAIL", 451, "4.4.2 Timeout waiting for data from client."), "smtp MAIL: unavailable (idle-timeout): 451 4.4.2 Timeout waiting for data from client."},
		{"API", FromAPI("", sdkError(400, "MessageRejected", "No.")), "ses SendEmail: rejected (message-rejected): 400 MessageRejected No."},
		{"doubt", &Error{Op: "smtp DATA", Class: Unavailable, Reason: ResponseLost, MaybeAccepted: true, Err: io.EOF}, "smtp DATA: unavailable (response-lost), may have been accepted: EOF"},
		{"recipients stay out", &Error{Op: "smtp RCPT", Reason: RecipientSyntax, Code: 553, Recipients: []string{"secret@example.com"}}, "smtp RCPT: rejected (recipient-syntax): 553"},
		{"endpoint", &Error{Op: "smtp dial", Endpoint: "email-smtp.eu-west-1.amazonaws.com:587", Reason: NameLookupFailed}, "smtp dial email-smtp.eu-west-1.amazonaws.com:587: unavailable (name-lookup-failed)"},
		{"doubt that can be settled", &Error{Op: "ses SendEmail", Endpoint: "eu-west-1", Reason: ResponseLost, MaybeAccepted: true, TrackID: "k7x2"}, "ses SendEmail eu-west-1: unavailable (response-lost), may have been accepted as k7x2"},
		{"zero", &Error{}, "unknown"},
		{"nil", nil, "<nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.err.Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestIs(t *testing.T) {
	cause := stderrors.New("cause")
	var err error = fmt.Errorf("x: %w", &Error{Class: Denied, Reason: IdentityNotVerified, Err: cause})
	for _, target := range []error{Denied, IdentityNotVerified, cause} {
		if !stderrors.Is(err, target) {
			t.Errorf("is not %v", target)
		}
	}
	for _, target := range []error{Throttled, Unknown, AccessDenied, io.EOF} {
		if stderrors.Is(err, target) {
			t.Errorf("is %v", target)
		}
	}
	if !stderrors.Is(&Error{Reason: SendRateExceeded}, Throttled) {
		t.Error("the reason's class does not count")
	}
}

// Fields, methods and errors.Is say the same of class and reason.
func TestClassAndReasonAgree(t *testing.T) {
	for reason, info := range reasons {
		for _, e := range []*Error{{Reason: reason}, {Reason: reason, Op: "x", Err: io.EOF}} {
			got := Classify(e)
			if got.Class != info.class || got.Reason != reason || !stderrors.Is(e, info.class) || !stderrors.Is(e, reason) || !strings.Contains(e.Error(), info.class.String()) {
				t.Errorf("%s: got %+v, %v", reason, got, e)
			}
			if info.class != Unknown && stderrors.Is(e, Unknown) {
				t.Errorf("%s is Unknown", reason)
			}
			if IsRetryable(e) != info.class.Retryable() {
				t.Errorf("%s: retryable %v", reason, IsRetryable(e))
			}
		}
		if e := Classify(reason); e.Class != info.class || e.Reason != reason {
			t.Errorf("bare %s: got %+v", reason, e)
		}
	}
	for class := range Class(len(classNames)) {
		if e := Classify(class); e.Class != class || e.Reason != Unrecognized || !stderrors.Is(e, class) || !stderrors.Is(e, Unrecognized) {
			t.Errorf("bare %s: got %+v", class, e)
		}
	}
	if !stderrors.Is(&Error{Class: Throttled}, Unrecognized) {
		t.Error("a reason that is not given is not Unrecognized")
	}
}

// Addresses that SES repeats stand in no text and in no log.
func TestAddressesAreMasked(t *testing.T) {
	const secret = "secret"
	for _, c := range []struct{ text, want string }{
		{"5.1.1 <secret@example.com>: user unknown", "<***@example.com>: user unknown"},
		{"<secret me@example.com> address unknown", "<***@example.com> address unknown"},
		{`"secret me"@example.com refused`, `***@example.com refused`},
		{"Email address not verified secret@example.com", "Email address not verified ***@example.com"},
		{"Email address is not verified: 'secret+tag@example.com'.", "Email address is not verified: '***@example.com'."},
		{"<secret@secret@example.com> address unknown", "<***@***@example.com> address unknown"},
		{"mailto:secret@example.com", "mailto:***@example.com"},
		{"Missing final '@domain'", "Missing final '@domain'"},
		{"only '_',  '-' , '.', '@' are allowed", "only '_', '-' , '.', '@' are allowed"},
		{"Email address is not verified. The following identities failed the check in region EU-WEST-1: Secret Me <secret@example.com>, example.de...", "Email address is not verified. The following identities failed the check in region EU-WEST-1: ***@example.com, example.de..."},
	} {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		reply := &textproto.Error{Code: 554, Msg: c.text}
		errs := []*Error{
			FromSMTP("smtp RCPT", 554, c.text), Classify(reply), Classify(fmt.Errorf("mail to secret@example.com: %w", reply)), FromAPI("", sdkError(400, "MessageRejected", c.text)),
			FromBulkStatus("FAILED", c.text), Classify(stderrors.New("554 " + c.text)), {Op: "x", Message: c.text, Err: stderrors.New(c.text)},
		}
		if errs[0].Message != c.want {
			t.Errorf("got  %s\nwant %s", errs[0].Message, c.want)
		}
		for _, e := range errs {
			logger.Info("x", "err", e)
			for _, shown := range []string{e.Error(), fmt.Sprint(e), log.String()} {
				if strings.Contains(strings.ToLower(shown), secret) {
					t.Errorf("%q is shown: %s", c.text, shown)
				}
			}
		}
	}
	if e := FromSMTP("", 554, longReply); len(e.Identities) != 2 || e.Identities[0] != "a@example.com" {
		t.Errorf("identities %q", e.Identities)
	}
}

// A person who reads the advice learns what to do with the run, and where.
func TestAdviceOfAKind(t *testing.T) {
	for reason, info := range reasons {
		if info.scope == ScopeAccount && !strings.Contains(info.advice, "run") {
			t.Errorf("%s: the advice does not say what to do with the run", reason)
		}
	}
	for reason, words := range map[Reason][]string{
		NameLookupFailed: {"DNS", "resolver"}, NameNotFound: {"spelling", "region"}, ConfigInvalid: {"Correct the Config field"},
		IdentityNotVerified: {"recipient", "sandbox"}, CredentialsUnavailable: {"role", "trust policy"}, ProxyRefused: {"proxy"},
	} {
		for _, word := range words {
			if !strings.Contains(reason.Advice(), word) {
				t.Errorf("the advice for %s does not speak of %s", reason, word)
			}
		}
	}
	if strings.Contains(NameLookupFailed.Advice(), "firewall") {
		t.Error("DNS trouble gets the firewall's advice")
	}
}

func TestNilError(t *testing.T) {
	var e *Error
	if e.Unwrap() != nil || e.Is(Unknown) || e.Error() == "" || e.LogValue().Any() != nil {
		t.Error("a nil *Error says something")
	}
}

func TestLogValue(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	e := FromAPI("ses SendEmail", sdkError(500, "InternalFailure", "sorry"))
	e.Recipients, e.Endpoint, e.TrackID = []string{"secret@example.com"}, "eu-west-1", "k7x2"
	e.Err = io.ErrUnexpectedEOF
	logger.Info("x", "err", e)
	var line struct{ Err map[string]any }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"op": "ses SendEmail", "class": "unavailable", "reason": "service-failure", "code": 500.0, "api_code": "InternalFailure",
		"message": "sorry", "request_id": "00000000-0000-0000-0000-000000000000", "maybe_accepted": true, "endpoint": "eu-west-1", "track_id": "k7x2", "cause": "unexpected EOF"}
	if fmt.Sprint(line.Err) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", line.Err, want)
	}
	if strings.Contains(out.String(), "secret") {
		t.Error("a recipient is logged")
	}
}
