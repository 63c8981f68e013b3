package errors

import (
	"log/slog"
	"strconv"
	"strings"
)

// An Error is one failure to send: what can be done about it, why, and SES's
// own words. It is plain data; fill in what is known. Reading it is safe for
// concurrent use, and since errors are shared, do not change one that you were
// given.
//
// The methods work on a nil *Error too. But mind Go's trap: a nil *Error in a
// variable of type error is not nil. Where a function returns error, test the
// result of [Classify], [FromAPI] or [FromBulkStatus] first.
type Error struct {
	Op            string   // what was done: "smtp DATA", "ses SendEmail"
	Class         Class    // what can be done; if Unknown, the Reason's class counts
	Reason        Reason   // why
	Code          int      // SMTP reply code or HTTP status, 0 if none
	Enhanced      string   // enhanced status code of RFC 3463, "4.4.2", or ""
	APICode       string   // "TooManyRequestsException", a bulk status, or ""
	Message       string   // SES's own words on one line, valid UTF-8, at most 1,024 bytes
	Identities    []string // IdentityNotVerified: the addresses and domains that failed the check, without display names; at most 64
	Truncated     bool     // the list of identities was cut, by SES or by that limit
	Region        string   // IdentityNotVerified: the region of the check, in lower case
	Endpoint      string   // who was asked: "host:port" over SMTP, host or region over the API, or ""
	TrackID       string   // the mail's own id, if it bears one as an SES message tag
	RequestID     string   // the API's request id, for AWS support
	Recipients    []string // those this failure is about, if not all. Never part of a text or log
	MaybeAccepted bool     // SES may have taken the message although no success was seen: sending again may duplicate it
	Err           error    // the cause, kept in the chain
}

// Error returns the failure on one line: op first, then class and reason, code
// and SES's words, the cause last where it says more. It names no Recipients.
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	b.WriteString(e.class().String())
	if e.Reason != "" {
		b.WriteString(" (" + string(e.Reason) + ")")
	}
	if e.MaybeAccepted {
		b.WriteString(", may have been accepted")
	}
	if words := e.words(); words != "" {
		b.WriteString(": " + words)
	}
	if cause := e.cause(); cause != "" {
		b.WriteString(": " + cause)
	}
	return b.String()
}

// words joins what the server said: code, enhanced code, API code, message.
func (e *Error) words() string {
	parts := make([]string, 0, 4)
	if e.Code != 0 {
		parts = append(parts, strconv.Itoa(e.Code))
	}
	for _, s := range []string{e.Enhanced, e.APICode, e.Message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// cause returns the text of Err unless Message has said it already.
func (e *Error) cause() string {
	if e.Err == nil {
		return ""
	}
	text := message(e.Err.Error())
	if e.Message != "" && (strings.Contains(text, e.Message) || strings.Contains(e.Message, text)) {
		return ""
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// Is makes the standard library's errors.Is find the error by its [Class] and
// by its [Reason].
func (e *Error) Is(target error) bool {
	if e == nil {
		return false
	}
	switch t := target.(type) {
	case Class:
		return e.class() == t
	case Reason:
		return e.Reason == t
	}
	return false
}

// class is Class, or that of the Reason where only the Reason was filled in.
func (e *Error) class() Class {
	if e.Class == Unknown {
		return e.Reason.Class()
	}
	return e.Class
}

// LogValue makes log/slog write the error as a group of fields. Recipients are
// left out; the identities that SES names stand in the message only.
func (e *Error) LogValue() slog.Value {
	if e == nil {
		return slog.Value{}
	}
	attrs := make([]slog.Attr, 0, 11)
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("op", e.Op)
	add("class", e.class().String())
	add("reason", string(e.Reason))
	if e.Code != 0 {
		attrs = append(attrs, slog.Int("code", e.Code))
	}
	add("enhanced", e.Enhanced)
	add("api_code", e.APICode)
	add("message", e.Message)
	add("region", e.Region)
	add("request_id", e.RequestID)
	attrs = append(attrs, slog.Bool("maybe_accepted", e.MaybeAccepted))
	add("cause", e.cause())
	return slog.GroupValue(attrs...)
}
