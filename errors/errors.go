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
	Class         Class    // what can be done; in a literal the Reason gives it if this is Unknown
	Reason        Reason   // why
	Code          int      // SMTP reply code or HTTP status, 0 if none
	Enhanced      string   // enhanced status code of RFC 3463, "4.4.2", or ""
	APICode       string   // "TooManyRequestsException", a bulk status, or ""
	Message       string   // SES's own words on one line, addresses masked as ***@example.com, valid UTF-8, at most 1,024 bytes
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

// Error returns the failure on one line: op and endpoint first, then class and
// reason, in doubt also the TrackID by which the mail can be found, code and
// SES's words, the cause last where it says more. It names no Recipients, and no
// local part of an address that SES or the cause repeats.
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	var b strings.Builder
	if where := strings.TrimSpace(e.Op + " " + e.Endpoint); where != "" {
		b.WriteString(where + ": ")
	}
	b.WriteString(e.class().String())
	if e.Reason != "" {
		b.WriteString(" (" + string(e.Reason) + ")")
	}
	if e.MaybeAccepted {
		b.WriteString(", may have been accepted")
		if e.TrackID != "" {
			b.WriteString(" as " + e.TrackID)
		}
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
	for _, s := range []string{e.Enhanced, e.APICode, masked(e.Message)} {
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
		return e.Reason.known() == t.known()
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

// LogValue makes log/slog write the error as a group of fields, those that are
// known. Recipients and Identities are left out, and addresses are masked as in
// the text.
func (e *Error) LogValue() slog.Value {
	if e == nil {
		return slog.Value{}
	}
	attrs := make([]slog.Attr, 0, 13)
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("op", e.Op)
	add("endpoint", e.Endpoint)
	add("class", e.class().String())
	add("reason", string(e.Reason))
	if e.Code != 0 {
		attrs = append(attrs, slog.Int("code", e.Code))
	}
	add("enhanced", e.Enhanced)
	add("api_code", e.APICode)
	add("message", masked(e.Message))
	add("region", e.Region)
	add("request_id", e.RequestID)
	add("track_id", e.TrackID)
	attrs = append(attrs, slog.Bool("maybe_accepted", e.MaybeAccepted))
	add("cause", e.cause())
	return slog.GroupValue(attrs...)
}
