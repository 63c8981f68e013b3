package errors

import (
	"net/textproto"
	"strings"
)

// maxNodes bounds the walk through an error tree. What lies beyond is unknown
// and so in doubt.
const maxNodes = 10_000

// evidence is what the walk through an error tree finds.
type evidence struct {
	nodes int
	own   *Error // the first
	doubt bool   // of any *Error

	bare   bool // a bare Class or Reason
	class  Class
	reason Reason

	reply     *textproto.Error
	api       bool
	answer    answer
	operation string

	credentials bool   // the SDK had no credentials, so SES was not asked
	step        string // what it said of that

	joined   bool   // the tree branches
	failed   bool   // something says that the connection failed
	canceled Reason // a context ended
	risky    bool   // an I/O error without proof that nothing was sent
	unsent   bool   // an I/O error with that proof
	cause    Reason // of the first I/O error
}

// A place is what the errors above one say about it.
type place struct {
	unsent     bool // nothing was sent
	ses        bool // below an operation of SES
	other      bool // below an operation of another service
	refreshing bool // below the SDK's own refresh of credentials, which has a context of its own
}

// look walks the tree. A method of a broken error, such as a nil pointer in
// it, may panic; then what was found before counts.
func (v *evidence) look(err error) {
	defer func() { _ = recover() }()
	v.walk(err, place{})
}

// walk visits err and all below it, outermost first.
func (v *evidence) walk(err error, at place) {
	if v.nodes++; v.nodes > maxNodes {
		v.doubt, v.risky, v.failed = true, true, true
		return
	}
	if !v.ours(err) && !v.io(err, &at) {
		v.byAs(err, at)
		v.structural(err, &at)
	}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if below := x.Unwrap(); below != nil {
			v.walk(below, at)
		}
	case interface{ Unwrap() []error }:
		list := x.Unwrap()
		v.joined = v.joined || len(list) > 1
		for _, below := range list {
			if below != nil {
				v.walk(below, at)
			}
		}
	}
}

// ours notes the types of this package and SMTP replies.
func (v *evidence) ours(err error) bool {
	switch x := err.(type) {
	case *Error:
		if x == nil {
			return true
		}
		if v.own == nil {
			v.own = x
		}
		v.doubt = v.doubt || x.MaybeAccepted
	case Class:
		if !v.bare {
			v.bare, v.class = true, x
		}
	case Reason:
		if !v.bare {
			v.bare, v.class, v.reason = true, x.Class(), x
		}
	case *textproto.Error:
		if v.reply == nil && x != nil {
			v.reply = x
		}
	default:
		return false
	}
	return true
}

// byAs notes an *Error that err shows to errors.As only.
func (v *evidence) byAs(err error, at place) {
	var e *Error
	if x, ok := err.(interface{ As(any) bool }); ok && x.As(&e) && e != nil {
		v.walk(e, at)
	}
}

// structural notes what an error of an unknown type says through its methods.
func (v *evidence) structural(err error, at *place) {
	if x, ok := err.(interface {
		Service() string
		Operation() string
	}); ok {
		v.called(x.Service(), x.Operation(), at)
	} else if at.ses || at.other {
		v.identity(err, at)
	}
	v.sdk(err, at)
	v.byMethods(err, at)
}

// called notes an operation of the SDK. One of another service is no word of
// SES: below an operation of SES it is how the SDK gets credentials, or what a
// middleware did at any time, also after SES had answered.
func (v *evidence) called(service, operation string, at *place) {
	switch {
	case hasPrefix(service, "ses"):
		at.ses = true
		if v.operation == "" {
			v.operation = cut(clean(operation), maxCode)
		}
	case at.ses && givesCredentials(service):
		v.credentials, at.other, at.unsent = true, true, true
	default:
		at.other = true
		if at.ses && !v.credentials {
			v.failed, v.risky = true, true
		}
	}
}

// sdk notes what the errors of the AWS SDK tell: of the second generation
// (ErrorCode …), then of the first (Code …).
func (v *evidence) sdk(err error, at *place) {
	if at.other && !v.credentials {
		return
	}
	if x, ok := err.(interface{ ServiceRequestID() string }); ok && v.answer.requestID == "" {
		v.answer.requestID = cut(clean(x.ServiceRequestID()), maxCode)
	}
	switch x := err.(type) {
	case interface {
		ErrorCode() string
		ErrorMessage() string
	}:
		v.coded(x.ErrorCode(), x.ErrorMessage())
	case interface {
		Code() string
		Message() string
	}:
		v.coded(x.Code(), x.Message())
		if y, ok := err.(interface{ RequestID() string }); ok && v.answer.requestID == "" {
			v.answer.requestID = cut(clean(y.RequestID()), maxCode)
		}
	}
	switch x := err.(type) {
	case interface{ HTTPStatusCode() int }:
		v.status(x.HTTPStatusCode())
	case interface{ StatusCode() int }:
		v.status(x.StatusCode())
	}
}

// coded notes the first API code and its message.
func (v *evidence) coded(code, text string) {
	if v.answer.code != "" {
		return
	}
	v.api, v.answer.code, v.answer.message = true, bareCode(code), clean(text)
	if n := number(v.answer.code); n != 0 && len(v.answer.code) == 3 {
		v.status(n) // some SDKs put the status where the code is missing
	}
}

// status notes the first HTTP status. One over 599 is invalid and counts as a
// server's failure (RFC 9110 §15).
func (v *evidence) status(status int) {
	if v.answer.status == 0 && status >= 100 && status <= 999 {
		v.api, v.answer.status = true, status
	}
}

// bareCode strips what protocols and SDKs put around a code: a namespace
// ("com.amazonaws.ses#", "Aws::SES::Errors::") and a ":http://…" suffix.
func bareCode(code string) string {
	code = strings.TrimSpace(code)
	code = code[strings.LastIndexByte(code, '#')+1:]
	if i := strings.LastIndex(code, "::"); i >= 0 {
		code = code[i+2:]
	}
	code, _, _ = strings.Cut(code, ":")
	return cut(clean(code), maxCode)
}
