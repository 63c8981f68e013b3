package errors

import (
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
// unless its code says throttling or ServiceUnavailable. So is a success
// status whose body could not be read, and a connection that failed, except in
// dial, DNS or TLS handshake. Other answers of 400 and more are refusals
// without doubt. An unknown code is Throttled with status 429, else Rejected
// for 4xx and Unavailable for 5xx.
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
	if hasPrefix(e.APICode, "success") && len(e.APICode) == len("success") {
		return nil
	}
	words := clean(text)
	e.Message = shown(words)
	meaning, ok := bulkIndex.lookup(e.APICode)
	switch {
	case ok:
		e.Reason = topic(meaning.reasonOf(words), words)
	case e.APICode == "":
		e.Reason, e.MaybeAccepted = ResponseLost, true
	default:
		e.Reason = Unrecognized
		if r, ok := sharedTexts.reason("", words); ok {
			e.Reason = r
		}
	}
	e.Class = e.Reason.Class()
	e.addIdentities(words)
	return e
}

// maxCode is the longest API code or bulk status that is kept.
const maxCode = 128

// A codeMeaning is what the rows of one code say.
type codeMeaning struct {
	texts   *matcher // rows with a text
	reason  Reason
	general bool
	doubt   bool
}

// reasonOf returns the reason of the code with these words.
func (m *codeMeaning) reasonOf(words string) Reason {
	if r, ok := m.texts.reason("", words); ok {
		return r
	}
	if m.general {
		if r, ok := sharedTexts.reason("", words); ok {
			return r
		}
	}
	return m.reason
}

// topic makes of InvalidParameter the reason that fits what words are about.
func topic(r Reason, words string) Reason {
	if r == InvalidParameter {
		if about, ok := topicTexts.reason("", words); ok {
			return about
		}
	}
	return r
}

// A codeIndex finds the meaning of a code without regard to case, "_" and the
// suffix "Exception".
type codeIndex map[string]*codeMeaning

var (
	sharedTexts = newMatcher(echoRules, sharedRules)
	topicTexts  = newMatcher(topicRules)
	apiIndex    = newCodeIndex(apiRules)
	bulkIndex   = newCodeIndex(bulkRules)
)

func newCodeIndex(rows []apiRule) codeIndex {
	index := codeIndex{}
	for i := 0; i < len(rows); i++ {
		var texts []rule
		for ; rows[i].text != ""; i++ {
			texts = append(texts, rows[i].rule)
		}
		var array [maxCode]byte
		key := codeKey(array[:0], rows[i].code)
		index[string(key)] = &codeMeaning{newMatcher(texts), rows[i].reason, rows[i].general, rows[i].doubt}
	}
	return index
}

func (x codeIndex) lookup(code string) (*codeMeaning, bool) {
	var array [maxCode]byte
	m, ok := x[string(codeKey(array[:0], code))]
	return m, ok
}

// codeKey appends the form of code under which an index keeps it.
func codeKey(buf []byte, code string) []byte {
	for i := 0; i < len(code) && i < maxCode; i++ {
		if code[i] != '_' {
			buf = append(buf, lowerByte(code[i]))
		}
	}
	const suffix = "exception"
	if len(buf) > len(suffix) && string(buf[len(buf)-len(suffix):]) == suffix {
		buf = buf[:len(buf)-len(suffix)]
	}
	return buf
}

// bareCode strips what protocols and SDKs put around a code: a namespace
// ("com.amazonaws.ses#", "Aws::SES::Errors::") and a ":http://…" suffix.
func bareCode(code string) string {
	code = strings.TrimSpace(code)
	if i := strings.LastIndexByte(code, '#'); i >= 0 {
		code = code[i+1:]
	}
	if i := strings.LastIndex(code, "::"); i >= 0 {
		code = code[i+2:]
	}
	code, _, _ = strings.Cut(code, ":")
	return cut(clean(code), maxCode)
}

// An answer is what an API error or a text about one holds.
type answer struct {
	code      string // bare
	message   string // clean
	rest      string // the whole text that message was taken from, if any
	status    int
	requestID string
}

// isNoCode reports whether a code is one that SDKs put where none was sent.
func isNoCode(code string) bool {
	return code == "" || code == "UnknownError" || code == "Unknown" || code == "ClientError"
}

// known reports whether the answer says anything about the request: a code of
// the tables or an HTTP status.
func (a *answer) known() bool {
	_, ok := apiIndex.lookup(a.code)
	return ok || a.status != 0
}

// fromAnswer fills in e from an answer that is known.
func (e *Error) fromAnswer(a answer) {
	e.Code, e.APICode, e.RequestID = a.status, a.code, a.requestID
	e.Message = shown(a.message)
	words := a.message
	meaning, ok := apiIndex.lookup(a.code)
	switch {
	case ok:
		e.Reason = meaning.reasonOf(words)
		if e.Reason == meaning.reason && a.rest != "" {
			words = a.rest
			e.Reason = meaning.reasonOf(words)
		}
		e.Reason = topic(e.Reason, a.message)
		e.Class = e.Reason.Class()
		e.MaybeAccepted = meaning.doubt || a.status >= 500 && !isSure(meaning)
	case a.status < 300:
		e.Class, e.Reason, e.MaybeAccepted = Unavailable, ResponseLost, true
	case a.status < 400:
		e.Class, e.Reason = ProtocolError.Class(), ProtocolError
	default:
		e.fromStatus(a)
	}
	e.addIdentities(words)
}

// isSure reports whether a code says even with a status of 500 or more that
// nothing was accepted.
func isSure(m *codeMeaning) bool {
	c := m.reason.Class()
	return c == Throttled || c == QuotaExceeded || m.reason == ServiceFailure && !m.doubt
}

// fromStatus fills in e from the words and an HTTP status of 400 or more
// whose code is absent or unknown.
func (e *Error) fromStatus(a answer) {
	e.MaybeAccepted = a.status >= 500
	if r, ok := sharedTexts.reason("", a.message); ok && (a.status < 500 || r.Class().Retryable()) {
		e.Class, e.Reason = r.Class(), r
		return
	}
	e.Reason = Unrecognized
	if isNoCode(a.code) || a.status >= 500 || a.status == 429 {
		if r, ok := byPrefix(statusRules, strconv.Itoa(a.status)); ok {
			e.Reason = r
		}
	}
	if e.Class = e.Reason.Class(); e.Class == Unknown {
		e.Class = Rejected
	}
}
