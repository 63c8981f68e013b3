package errors

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"os"
	"reflect"
	"strings"
	"syscall"
)

// io notes an I/O error by its type, and reports whether it is one.
func (v *evidence) io(err error, at *place) bool {
	return v.byType(err, at) || v.byValue(err, at)
}

// byType notes the error types of net, net/url, net/textproto, crypto/tls,
// crypto/x509 and syscall.
func (v *evidence) byType(err error, at *place) bool {
	switch x := err.(type) {
	case *tls.CertificateVerificationError, x509.UnknownAuthorityError, x509.HostnameError,
		x509.CertificateInvalidError, x509.SystemRootsError, x509.UnhandledCriticalExtension,
		x509.ConstraintViolationError, x509.InsecureAlgorithmError:
		v.note(CertificateInvalid, true) // the handshake failed
	case *net.DNSError:
		at.unsent = true
		if x.IsNotFound {
			v.note(NameNotFound, true)
		} else {
			v.note(NameLookupFailed, true)
		}
	case *net.AddrError, net.UnknownNetworkError, *net.ParseError: // a setting that cannot work
		at.unsent = true
		v.note(ConfigInvalid, true)
	case *net.OpError:
		v.failed = true
		if x.Op == "dial" || x.Op == "proxyconnect" || x.Op == "socks connect" { // before the first byte is sent
			at.unsent = true
			v.note(Network, true)
		}
		if r := phraseReason(x.Op, x.Err); r != "" {
			v.note(r, true)
		}
	case *url.Error:
		v.failed = true
		if r := phraseReason("", x.Err); r != "" {
			v.note(r, true)
		}
	case tls.RecordHeaderError:
		if strings.HasPrefix(x.Msg, "first record does not look like a TLS handshake") { // the server speaks plain text
			v.note(TLSModeMismatch, true)
		} else {
			v.note(TLSFailure, at.unsent)
		}
	case *tls.ECHRejectionError:
		v.note(TLSFailure, true)
	case textproto.ProtocolError:
		v.note(ProtocolError, at.unsent)
	case syscall.Errno:
		v.errno(x, at)
	default:
		return false
	}
	return true
}

// phraseReason returns what an error says that net/http or x/net/proxy makes
// without a type of its own: the phrase of a proxy's answer to CONNECT alone in
// a *url.Error, the words of the SOCKS protocol in a net.OpError. It returns ""
// for any other.
func phraseReason(op string, err error) Reason {
	if err == nil || reflect.TypeOf(err).String() != "*errors.errorString" {
		return ""
	}
	if r, ok := connectPhrases[err.Error()]; ok {
		return r
	}
	if op == "socks connect" {
		return socksPhrases[err.Error()]
	}
	return ""
}

// byValue notes the error values of context, io, net, os and crypto/tls.
func (v *evidence) byValue(err error, at *place) bool {
	switch err {
	case context.Canceled:
		v.ended(ContextCanceled, at)
		return true
	case context.DeadlineExceeded:
		v.ended(DeadlineExceeded, at)
		return true
	case io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded:
		v.note(Network, at.unsent)
		return true
	}
	if n, ok := alert(err); ok {
		v.note(TLSFailure, at.unsent || handshakeAlerts[n])
		return true
	}
	return false
}

// errno notes the numbers of a connection that failed, and no others.
func (v *evidence) errno(n syscall.Errno, at *place) {
	switch n {
	case syscall.ECONNREFUSED:
		v.note(Network, true)
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT, syscall.ENOTCONN,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.ENETRESET, syscall.EHOSTUNREACH:
		v.note(Network, at.unsent)
	}
}

// alert returns the number of a TLS alert: a tls.AlertError, or the type that
// crypto/tls does not export.
func alert(err error) (uint8, bool) {
	t := reflect.TypeOf(err)
	if t.Kind() != reflect.Uint8 || t.PkgPath() != "crypto/tls" {
		return 0, false
	}
	return uint8(reflect.ValueOf(err).Uint()), true
}

// ended notes the end of a context. While the SDK asks other services for
// credentials, it is a timeout of its own.
func (v *evidence) ended(r Reason, at *place) {
	if at.other || at.refreshing {
		v.note(Network, at.unsent)
		return
	}
	if v.canceled == "" || r == DeadlineExceeded { // the SDK calls both canceled
		v.canceled = r
	}
	v.note(r, at.unsent)
}

// note records one I/O error.
func (v *evidence) note(r Reason, unsent bool) {
	v.failed = true
	v.unsent = v.unsent || unsent
	v.risky = v.risky || !unsent
	if v.cause == "" || v.cause == Network && r.Class() != Canceled {
		v.cause = r
	}
}

// byMethods notes what an error of an unknown type says of I/O.
func (v *evidence) byMethods(err error, at *place) {
	if x, ok := err.(interface{ ConnectionError() bool }); ok && x.ConnectionError() {
		v.failed = true
	}
	if x, ok := err.(interface{ CanceledError() bool }); ok && x.CanceledError() {
		v.ended(ContextCanceled, at)
	}
	if _, ok := err.(interface{ Unwrap() error }); ok {
		return // a timeout below is noted there
	}
	if x, ok := err.(interface{ Is(error) bool }); ok && x.Is(context.Canceled) {
		v.ended(ContextCanceled, at)
	} else if x, ok := err.(interface{ Timeout() bool }); ok && x.Timeout() {
		if fmt.Sprintf("%T", err) == "http.tlsHandshakeTimeoutError" {
			v.note(TLSFailure, true)
		} else {
			v.note(Network, at.unsent)
		}
	}
}

// fromConnection fills in e from a connection that failed.
func (v *evidence) fromConnection(e *Error) {
	e.Reason = cmp.Or(v.canceled, v.cause, Network) // the last for wrappers alone
	e.Class, e.MaybeAccepted = e.Reason.Class(), v.risky || !v.unsent
}
