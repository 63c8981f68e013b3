package errors

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"os"
	"syscall"
)

// Classify returns what any error means; nil for nil. It understands an
// [*Error], a bare [Class] or [Reason], *textproto.Error, the errors of the AWS
// SDK (see [FromAPI]), those of net, crypto/tls, crypto/x509, syscall, io and
// context, each however deeply wrapped or joined, and plain text that another
// library, a relay or a log wrote around a reply of SES.
//
// In a tree of several errors the first *Error decides, outermost first; a
// *Error anywhere that may have been accepted puts the whole in doubt. Where
// the tree holds none, an I/O, timeout or context error leaves doubt, because
// nothing says how far the message came, unless the error proves that nothing
// was sent: a failed dial, name lookup, certificate check or TLS handshake.
//
// The result may be the very *Error that the tree holds: do not change it. And
// do not return it as an error without a test: a nil *Error in a variable of
// type error is not nil.
//
// It is safe for concurrent use. Of a text over 16 KiB it looks at the first
// and the last 8 KiB.
func Classify(err error) *Error { return classify("", err) }

// IsRetryable reports whether the same request may work later and cannot
// duplicate a mail: the class is Throttled, QuotaExceeded or Unavailable and
// nothing is in doubt. It is false for nil.
//
// Of every error that is not nil exactly one holds: [MaybeAccepted],
// IsRetryable, [IsFatal], or that its class is Canceled.
func IsRetryable(err error) bool {
	e := Classify(err)
	return e != nil && !e.MaybeAccepted && e.class().Retryable()
}

// IsFatal reports whether the request or the account must be revised before
// another try can work, as after a 5yz reply. It is false for nil, for a
// canceled send and while it is in doubt whether the message was accepted.
func IsFatal(err error) bool {
	e := Classify(err)
	return e != nil && !e.MaybeAccepted && !e.class().Retryable() && e.class() != Canceled
}

// MaybeAccepted reports whether SES may have accepted the message although no
// success was seen, so that sending it again may duplicate it. It looks
// through the whole tree of the error. It is false for nil.
func MaybeAccepted(err error) bool {
	e := Classify(err)
	return e != nil && e.MaybeAccepted
}

// classify is Classify with the op for an error that has none.
func classify(op string, err error) *Error {
	if err == nil {
		return nil
	}
	var v evidence
	v.look(err)
	if v.own != nil {
		return v.fromOwn(op)
	}
	if op == "" && v.operation != "" {
		op = "ses " + v.operation
	}
	e := &Error{Op: op, Err: err}
	switch {
	case v.sentinel:
		e.Class, e.Reason = v.class, v.reason
		return e
	case v.reply != nil:
		e.Code = v.reply.Code
		e.fromReply(clean(v.reply.Msg), "")
	case v.api && v.answer.known():
		e.fromAnswer(v.answer)
	case v.failed:
		v.fromConnection(e)
	default:
		e.fromText(textOf(err))
	}
	if v.joined && v.risky { // the refusal of one attempt proves nothing about another
		e.MaybeAccepted = true
	}
	return e
}

// maxNodes bounds the walk through an error tree. What lies beyond is unknown
// and so in doubt.
const maxNodes = 10_000

// evidence is what the walk through an error tree finds.
type evidence struct {
	nodes int
	own   *Error // the first
	doubt bool   // of any *Error

	sentinel bool // a bare Class or Reason
	class    Class
	reason   Reason

	reply     *textproto.Error
	api       bool
	answer    answer
	operation string

	joined   bool   // the tree branches
	failed   bool   // something says that the connection failed
	canceled bool   // a context ended
	risky    bool   // an I/O error without proof that nothing was sent
	unsent   bool   // an I/O error with that proof
	cause    Reason // of the first I/O error
}

// look walks the tree. A method of a broken error, such as a nil pointer in
// it, may panic; then what was found before counts.
func (v *evidence) look(err error) {
	defer func() { _ = recover() }()
	v.walk(err, false)
}

// walk visits err and all below it, outermost first. Unsent says that an error
// above proves that nothing was sent.
func (v *evidence) walk(err error, unsent bool) {
	if v.nodes++; v.nodes > maxNodes {
		v.doubt, v.risky, v.failed = true, true, true
		return
	}
	if v.ours(err) || v.certificate(err) || v.connection(err, &unsent) || v.sentinelIO(err, unsent) {
		// the kind is known; go on to what lies below
	} else {
		v.structural(err, unsent)
	}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if below := x.Unwrap(); below != nil {
			v.walk(below, unsent)
		}
	case interface{ Unwrap() []error }:
		list := x.Unwrap()
		v.joined = v.joined || len(list) > 1
		for _, below := range list {
			if below != nil {
				v.walk(below, unsent)
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
		if !v.sentinel {
			v.sentinel, v.class = true, x
		}
	case Reason:
		if !v.sentinel {
			v.sentinel, v.class, v.reason = true, x.Class(), x
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

// certificate notes a server certificate that was not accepted: the handshake
// failed, so nothing was sent.
func (v *evidence) certificate(err error) bool {
	switch err.(type) {
	case *tls.CertificateVerificationError, x509.UnknownAuthorityError, x509.HostnameError,
		x509.CertificateInvalidError, x509.SystemRootsError, x509.UnhandledCriticalExtension,
		x509.ConstraintViolationError, x509.InsecureAlgorithmError:
		v.note(CertificateInvalid, true)
		return true
	}
	return false
}

// connection notes the error types of net, net/url, textproto and crypto/tls.
func (v *evidence) connection(err error, unsent *bool) bool {
	switch x := err.(type) {
	case *net.DNSError:
		if x.IsNotFound {
			v.note(NameNotFound, true)
		} else {
			v.note(Network, true)
		}
		*unsent = true
	case *net.AddrError, net.UnknownNetworkError, *net.ParseError: // a setting that cannot work
		v.note(NameNotFound, true)
		*unsent = true
	case *net.OpError:
		v.failed = true
		if isDial(x.Op) {
			v.note(Network, true)
			*unsent = true
		}
	case *url.Error:
		v.failed = true
	case tls.RecordHeaderError:
		v.recordHeader(x, *unsent)
	case tls.AlertError:
		i := netTexts.find("", x.Error())
		v.note(TLSFailure, *unsent || i >= 0 && netRules[i].unsent)
	case *tls.ECHRejectionError:
		v.note(TLSFailure, true)
	case textproto.ProtocolError:
		v.note(ProtocolError, *unsent)
	default:
		return false
	}
	return true
}

// isDial reports whether a net.OpError's op comes before the first byte sent.
func isDial(op string) bool {
	return op == "dial" || op == "proxyconnect" || op == "socks connect"
}

// recordHeader notes a TLS record that is none. In the first record it means
// that the server speaks plain text, and nothing was sent.
func (v *evidence) recordHeader(err tls.RecordHeaderError, unsent bool) {
	i := netTexts.find("", err.Error())
	if i >= 0 && netRules[i].unsent {
		v.note(netRules[i].reason, true)
		return
	}
	v.note(TLSFailure, unsent)
}

// sentinelIO notes the error values of io, net, os, syscall and context.
func (v *evidence) sentinelIO(err error, unsent bool) bool {
	switch err {
	case context.Canceled, context.DeadlineExceeded:
		v.canceled = true
		v.note(ContextCanceled, unsent)
		return true
	case io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded:
		v.note(Network, unsent)
		return true
	}
	errno, ok := err.(syscall.Errno)
	if !ok {
		return false
	}
	switch errno {
	case syscall.ECONNREFUSED:
		v.note(Network, true)
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT, syscall.ENOTCONN,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.ENETRESET, syscall.EHOSTUNREACH:
		v.note(Network, unsent)
	}
	return true
}

// note records one I/O error.
func (v *evidence) note(r Reason, unsent bool) {
	v.failed = true
	v.unsent = v.unsent || unsent
	v.risky = v.risky || !unsent
	if v.cause == "" || v.cause == Network && r != ContextCanceled {
		v.cause = r
	}
}

// structural notes what an error of an unknown type says through its methods.
func (v *evidence) structural(err error, unsent bool) {
	v.sdk(err)
	if x, ok := err.(interface{ ConnectionError() bool }); ok && x.ConnectionError() {
		v.failed = true
	}
	if x, ok := err.(interface{ CanceledError() bool }); ok && x.CanceledError() {
		v.canceled = true
		v.note(ContextCanceled, unsent)
	}
	if _, ok := err.(interface{ Unwrap() error }); ok {
		return // a timeout below is noted there
	}
	if x, ok := err.(interface{ Is(error) bool }); ok && x.Is(context.Canceled) {
		v.canceled = true
		v.note(ContextCanceled, unsent)
	} else if x, ok := err.(interface{ Timeout() bool }); ok && x.Timeout() {
		v.note(Network, unsent)
	}
}

// sdk notes what the errors of the AWS SDK tell: of the second generation
// (ErrorCode …), then of the first (Code …).
func (v *evidence) sdk(err error) {
	if x, ok := err.(interface{ Operation() string }); ok && v.operation == "" {
		v.operation = cut(clean(x.Operation()), maxCode)
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

// status notes the first HTTP status.
func (v *evidence) status(status int) {
	if v.answer.status == 0 && status >= 100 && status <= 599 {
		v.api, v.answer.status = true, status
	}
}

// fromOwn returns the first *Error of the tree: itself when nothing is to be
// added.
func (v *evidence) fromOwn(op string) *Error {
	e := v.own
	class := e.class()
	if e.MaybeAccepted == v.doubt && e.Class == class && (e.Op != "" || op == "") {
		return e
	}
	c := *e
	c.Class, c.MaybeAccepted = class, v.doubt
	if c.Op == "" {
		c.Op = op
	}
	return &c
}

// fromConnection fills in e from a connection that failed.
func (v *evidence) fromConnection(e *Error) {
	e.Reason, e.MaybeAccepted = v.cause, v.risky || !v.unsent
	if v.cause == "" { // only wrappers: the words below them tell more
		v.fromWords(e)
	}
	if v.canceled {
		e.Reason = ContextCanceled
	}
	e.Class = localClass(e.Reason)
}

// fromWords takes the reason, and proof that nothing was sent, from the words
// of an I/O error whose type says neither.
func (v *evidence) fromWords(e *Error) {
	e.Reason, e.MaybeAccepted = Network, true
	if i := netTexts.find("", clean(textOf(e.Err))); i >= 0 && !v.joined {
		e.Reason, e.MaybeAccepted = netRules[i].reason, !netRules[i].unsent
	}
}

// textOf returns the text of an error, "" if its method panics.
func textOf(err error) (text string) {
	defer func() { _ = recover() }()
	return err.Error()
}
