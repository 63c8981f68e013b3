package errors

import (
	"cmp"
	"strconv"
	"strings"
)

// FromAPI returns what an error of the SES API means; nil for nil. Op is, for
// example, "ses SendEmail"; if it is "", the operation's name is taken from
// the error. The error may be wrapped: the code, the message, the HTTP status
// and the request id are found through the methods ErrorCode, ErrorMessage,
// HTTPStatusCode and ServiceRequestID that the SDK's errors have (and Code,
// Message, StatusCode and RequestID, as in v1 of the SDK), so this package needs
// no SDK.
//
// An answer with an HTTP status of 500 or more is in doubt (AWS: on rare
// occasions a mail is accepted although the request timed out or failed),
// unless its code says throttling or ServiceUnavailable. So are a success
// status whose body could not be read, a connection that failed, except in
// dial, DNS or TLS handshake, and 408, 421, 425, 429 and 499 without a code of
// SES, which a gateway may give after it passed the request on: a sender that
// counts the octets of the request knows better. Other answers of 400 and more
// are refusals without doubt. An unknown code is Throttled with status 429,
// else Rejected for 4xx and Unavailable for 5xx.
//
// Where the SDK could not get credentials or sign the request, SES was not
// asked: the error is Denied or Unavailable with Reason [CredentialsUnavailable]
// or [CredentialsExpired], and not in doubt.
func FromAPI(op string, err error) *Error {
	return classify(op, err)
}

// FromBulkStatus returns what the status of one entry of SendBulkEmail means;
// nil for SUCCESS. The names of v1 ("MessageRejected") and v2
// ("MESSAGE_REJECTED") are understood alike. FAILED is Unavailable unless text
// says more, because it is not reliably final. An unknown status is Unknown,
// an empty one ResponseLost and in doubt.
func FromBulkStatus(status, text string) *Error {
	e := &Error{Op: "ses SendBulkEmail", APICode: cut(clean(status), maxCode)}
	if strings.EqualFold(e.APICode, "success") {
		return nil
	}
	words := clean(text)
	e.Message = shown(words)
	switch r := bulkCodes.find(e.APICode); {
	case r != nil:
		e.Reason = r.reasonOf(words)
	case e.APICode == "":
		e.Reason, e.MaybeAccepted = ResponseLost, true
	default:
		e.Reason = sharedReason(words, Unrecognized)
	}
	e.Class = e.Reason.Class()
	e.addIdentities(words)
	return e
}

var (
	apiCodes  = apiRules.index()
	bulkCodes = bulkRules.index()
)

// maxCode is the longest API code or bulk status that is kept.
const maxCode = 128

// reasonOf returns the reason of the code of r with these words.
func (r *rule) reasonOf(words string) Reason {
	if r.Shared {
		return sharedReason(words, r.Reason)
	}
	return r.Reason
}

// sharedReason returns the reason of the words of an answer, or else the other.
func sharedReason(words string, other Reason) Reason {
	r := sharedWords.find("", words)
	if r == nil {
		r = cmp.Or(sharedWords.find("", unwrapped(words)), &rule{Reason: other})
	}
	return r.Reason
}

// isSure reports whether the code of r says even with a status of 500 or more
// that nothing was accepted.
func (r *rule) isSure() bool {
	c := r.Reason.Class()
	return c == Throttled || c == QuotaExceeded || r.Reason == ServiceFailure && !r.Doubt
}

// An answer is what an API error or a text about one holds.
type answer struct {
	code      string // bare
	message   string // clean
	status    int
	requestID string
}

// known reports whether the answer says anything about the request: a code of
// the tables or an HTTP status.
func (a *answer) known() bool {
	return a.status != 0 || apiCodes.find(a.code) != nil
}

// isCoded reports whether the answer has a code: some SDKs put a word where
// none was sent.
func (a *answer) isCoded() bool {
	switch a.code {
	case "", "UnknownError", "Unknown", "ClientError":
		return false
	}
	return number(a.code) == 0
}

// fromAnswer fills in e from an answer that is known.
func (e *Error) fromAnswer(a answer) {
	e.Code, e.APICode, e.RequestID = a.status, a.code, a.requestID
	e.Message = shown(a.message)
	r := apiCodes.find(a.code)
	switch {
	case r != nil:
		e.Reason = r.reasonOf(a.message)
		e.Class = e.Reason.Class()
		e.MaybeAccepted = r.Doubt || a.status >= 500 && !r.isSure()
	case a.status < 300:
		e.Class, e.Reason, e.MaybeAccepted = Unavailable, ResponseLost, true
	case a.status < 400:
		e.Class, e.Reason = ProtocolError.Class(), ProtocolError
	default:
		e.fromStatus(a)
	}
	e.addIdentities(a.message)
}

// fromStatus fills in e from an HTTP status of 400 or more whose code is absent
// or unknown, and from its words.
func (e *Error) fromStatus(a answer) {
	e.Reason, e.MaybeAccepted = Unrecognized, a.status >= 500
	if a.status < 500 {
		e.Reason = sharedReason(a.message, Unrecognized)
	}
	byStatus := statusRules.byPrefix(strconv.Itoa(min(a.status, 599)))
	switch {
	case e.Reason != Unrecognized:
	case a.isCoded() && a.status == 429:
		e.Reason = SendRateExceeded
	case byStatus != nil && (!a.isCoded() || a.status >= 500):
		e.Reason, e.MaybeAccepted = byStatus.Reason, byStatus.Doubt
	}
	if e.Class = e.Reason.Class(); e.Class == Unknown {
		e.Class = Rejected
	}
}
