package errors

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	stderrors "errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// timeout is an error that only says that time ran out.
type timeout struct{}

func (timeout) Error() string { return "slow" }
func (timeout) Timeout() bool { return true }

// sendError has the method of the SDK's errors of a request that failed.
type sendError struct{ err error }

func (e *sendError) Error() string         { return "request send failed, " + e.err.Error() }
func (e *sendError) Unwrap() error         { return e.err }
func (e *sendError) ConnectionError() bool { return true }

// canceledError has the method of the SDK's errors of a canceled request.
type canceledError struct{ err error }

func (e *canceledError) Error() string       { return "canceled, " + e.err.Error() }
func (e *canceledError) Unwrap() error       { return e.err }
func (e *canceledError) CanceledError() bool { return true }

// oldError has the methods of the errors of the SDK's first generation.
type oldError struct {
	code, message string
	status        int
}

func (e *oldError) Error() string     { return e.code + ": " + e.message }
func (e *oldError) Code() string      { return e.code }
func (e *oldError) Message() string   { return e.message }
func (e *oldError) StatusCode() int   { return e.status }
func (e *oldError) RequestID() string { return "id-1" }

// permanent has the shape of backoff.PermanentError.
type permanent struct{ Err error }

func (e *permanent) Error() string { return e.Err.Error() }
func (e *permanent) Unwrap() error { return e.Err }

// broken panics in every method.
type broken struct{ p *int }

func (b *broken) Error() string       { return fmt.Sprint(*b.p) }
func (b *broken) Unwrap() error       { return fmt.Errorf("%d", *b.p) }
func (b *broken) HTTPStatusCode() int { return *b.p }

func dial(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
func read(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }
func post(err error) error {
	return &operationError{"SendEmail", &sendError{&url.Error{Op: "Post", URL: "https://email.us-east-1.amazonaws.com/", Err: err}}}
}

// errorsOfGo are errors of a failed connection and what each proves.
var errorsOfGo = []struct {
	name   string
	err    error
	class  Class
	reason Reason
	maybe  bool
}{
	{"dial refused", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), Unavailable, Network, false},
	{"dial timeout", dial(os.ErrDeadlineExceeded), Unavailable, Network, false},
	{"dial reset", dial(syscall.ECONNRESET), Unavailable, Network, false},
	{"dial canceled", dial(context.Canceled), Canceled, ContextCanceled, false},
	{"dial in SDK", post(dial(syscall.ETIMEDOUT)), Unavailable, Network, false},
	{"name not found", dial(&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}), Unavailable, NameNotFound, false},
	{"name not found in SDK", post(dial(&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true})), Unavailable, NameNotFound, false},
	{"no port", dial(&net.AddrError{Err: "missing port in address", Addr: "x"}), Denied, ConfigInvalid, false},
	{"proxy wants authentication", post(ofStatus(http.StatusProxyAuthRequired)), Denied, ProxyRefused, false},
	{"proxy forbids", post(ofStatus(http.StatusForbidden)), Denied, ProxyRefused, false},
	{"proxy finds no way", post(ofStatus(http.StatusBadGateway)), Unavailable, Network, false},
	{"such words elsewhere", fmt.Errorf("open: %w", ofStatus(http.StatusForbidden)), Unknown, Unrecognized, false},
	{"proxy unreachable", post(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial(syscall.ECONNREFUSED)}), Unavailable, Network, false},
	{"SOCKS rules", post(&net.OpError{Op: "socks connect", Net: "tcp", Err: stderrors.New("unknown error connection not allowed by ruleset")}), Denied, ProxyRefused, false},
	{"SOCKS password", &net.OpError{Op: "socks connect", Net: "tcp", Err: stderrors.New("username/password authentication failed")}, Denied, ProxyRefused, false},
	{"SOCKS host unreachable", &net.OpError{Op: "socks connect", Net: "tcp", Err: stderrors.New("unknown error host unreachable")}, Unavailable, Network, false},
	{"no such network", dial(net.UnknownNetworkError("smtp")), Denied, ConfigInvalid, false},
	{"name server slow", &net.DNSError{Err: "timeout", IsTimeout: true}, Unavailable, NameLookupFailed, false},
	{"unknown authority", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, Denied, CertificateInvalid, false},
	{"wrong host", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}, Denied, CertificateInvalid, false},
	{"certificate expired", post(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}), Denied, CertificateInvalid, false},
	{"plain text in first record", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, Denied, TLSModeMismatch, false},
	{"plain text in later record", tls.RecordHeaderError{Msg: "unsupported SSLv2 handshake received"}, Unavailable, TLSFailure, true},
	{"handshake alert", &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, Unavailable, TLSFailure, false},
	{"alert later", &net.OpError{Op: "remote error", Err: tls.AlertError(90)}, Unavailable, TLSFailure, true},
	{"alert by words only", &net.OpError{Op: "remote error", Err: stderrors.New("tls: handshake failure")}, Unavailable, Network, true},
	{"EOF", io.EOF, Unavailable, Network, true},
	{"EOF in SDK", post(io.EOF), Unavailable, Network, true},
	{"unexpected EOF", fmt.Errorf("read body: %w", io.ErrUnexpectedEOF), Unavailable, Network, true},
	{"read reset", read(os.NewSyscallError("read", syscall.ECONNRESET)), Unavailable, Network, true},
	{"broken pipe", &net.OpError{Op: "write", Err: syscall.EPIPE}, Unavailable, Network, true},
	{"closed connection", net.ErrClosed, Unavailable, Network, true},
	{"read timeout", read(os.ErrDeadlineExceeded), Unavailable, Network, true},
	{"some timeout", timeout{}, Unavailable, Network, true},
	{"wrapped timeout", post(timeout{}), Unavailable, Network, true},
	{"GOAWAY in SDK", post(stderrors.New("http2: server sent GOAWAY and closed the connection")), Unavailable, Network, true},
	{"words that lie about the stage", fmt.Errorf("unable to connect to SES: %w", io.EOF), Unavailable, Network, true},
	{"context canceled", context.Canceled, Canceled, ContextCanceled, true},
	{"deadline exceeded", fmt.Errorf("send: %w", context.DeadlineExceeded), Canceled, DeadlineExceeded, true},
	{"canceled in SDK", &operationError{"SendEmail", &canceledError{context.Canceled}}, Canceled, ContextCanceled, true},
	{"canceled without cause", &canceledError{stderrors.New("x")}, Canceled, ContextCanceled, true},
	{"malformed reply", textproto.ProtocolError("short response: 2"), Unavailable, ProtocolError, true},
	{"reply out of turn", &textproto.Error{Code: 250, Msg: "Ok"}, Unavailable, ProtocolError, true},
	{"dial of one, EOF of another", stderrors.Join(dial(syscall.ECONNREFUSED), io.EOF), Unavailable, Network, true},
	{"refusal of one, EOF of another", stderrors.Join(&textproto.Error{Code: 454, Msg: "Throttling failure"}, io.EOF), Throttled, SendRateExceeded, true},
	{"no file", &os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, Unknown, Unrecognized, false},
	{"permanent error of a backoff", &permanent{&textproto.Error{Code: 554, Msg: "Message rejected: Address blacklisted."}}, Rejected, RecipientSuppressed, false},
	{"permanent error of a backoff, in doubt", &permanent{post(io.ErrUnexpectedEOF)}, Unavailable, Network, true},
	{"own cause of a context", fmt.Errorf("%w: %w", context.DeadlineExceeded, stderrors.New("shutting down")), Canceled, DeadlineExceeded, true},
	{"reply deep in a tree", stderrors.Join(stderrors.New("mail 1"), fmt.Errorf("x: %w", &permanent{&textproto.Error{Code: 535, Msg: "Authentication Credentials Invalid"}})), Denied, CredentialsInvalid, false},
	{"answer deep in a tree", fmt.Errorf("x: %w", stderrors.Join(&permanent{sdkError(400, "MessageRejected", "Email address is not verified.")})), Denied, IdentityNotVerified, false},
	{"old SDK", &oldError{"Throttling", "Daily message quota exceeded.", 400}, QuotaExceeded, DailyQuotaExceeded, false},
	{"old SDK, 500", &oldError{"InternalFailure", "", 500}, Unavailable, ServiceFailure, true},
	{"broken methods", &broken{}, Unknown, Unrecognized, false},
	{"broken below", fmt.Errorf("x: %w", error(&broken{new(int)})), Unknown, Unrecognized, false},
	{"nil *Error", (*Error)(nil), Unknown, Unrecognized, false},
	{"class", Throttled, Throttled, Unrecognized, false},
	{"reason", fmt.Errorf("x: %w", error(IdentityNotVerified)), Denied, IdentityNotVerified, false},
	{"canceled class", Canceled, Canceled, Unrecognized, false},
}

func TestErrorsOfGo(t *testing.T) {
	for _, c := range errorsOfGo {
		t.Run(c.name, func(t *testing.T) {
			e := Classify(c.err)
			if e.Class != c.class || e.Reason != c.reason || e.MaybeAccepted != c.maybe {
				t.Errorf("got %v, %s, maybe %v; want %v, %s, maybe %v", e.Class, e.Reason, e.MaybeAccepted, c.class, c.reason, c.maybe)
			}
		})
	}
}

// Real errors of net/http and crypto/tls, not imitations.
func TestRealConnections(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	address := plain.Listener.Addr().String()
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()

	for _, c := range []struct {
		name   string
		do     func() error
		class  Class
		reason Reason
		maybe  bool
	}{
		{"TLS to a plain port", func() error { _, err := tls.Dial("tcp", address, nil); return err }, Denied, TLSModeMismatch, false},
		{"https to a plain port", func() error { _, err := http.Get("https://" + address); return err }, Denied, TLSModeMismatch, false},
		{"untrusted certificate", func() error { _, err := http.Get(secure.URL); return err }, Denied, CertificateInvalid, false},
		{"TLS version refused", func() error {
			_, err := tls.Dial("tcp", secure.Listener.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, InsecureSkipVerify: true})
			return err
		}, Unavailable, TLSFailure, false},
		{"nobody listens", func() error { _, err := net.Dial("tcp", closed); return err }, Unavailable, Network, false},
		{"dial canceled", func() error { _, err := new(net.Dialer).DialContext(stop, "tcp", closed); return err }, Canceled, ContextCanceled, false},
		{"dial out of time", func() error {
			d := net.Dialer{Deadline: time.Unix(1, 0)}
			_, err := d.Dial("tcp", closed)
			return err
		}, Unavailable, Network, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.do()
			if err == nil {
				t.Fatal("no error")
			}
			e := Classify(err)
			if e.Class != c.class || e.Reason != c.reason || e.MaybeAccepted != c.maybe {
				t.Errorf("%v (%T): got %v, %s, maybe %v; want %v, %s, maybe %v", err, err, e.Class, e.Reason, e.MaybeAccepted, c.class, c.reason, c.maybe)
			}
		})
	}
}

// all returns the errors of every table of these tests, bare, wrapped, joined
// and in an *Error.
func all(t *testing.T) (errs []error) {
	for _, c := range errorsOfGo {
		errs = append(errs, c.err)
	}
	for i, s := range allSamples(t) {
		errs = append(errs, stderrors.New(s.Text), sdkError(s.HTTP, s.code(), s.Text), FromBulkStatus(s.code(), s.Text))
		if i%100 != 0 {
			continue
		}
		for _, wrap := range wrappings {
			errs = append(errs, stderrors.New(wrap(454, s.Text)))
		}
	}
	for code := range 700 {
		errs = append(errs, &textproto.Error{Code: code, Msg: "x"}, FromSMTP("smtp RCPT", code, "x"), sdkError(code, "X", "x"))
	}
	for class := range Class(12) {
		errs = append(errs, class, &Error{Class: class}, &Error{Class: class, MaybeAccepted: true})
	}
	for reason := range reasons {
		errs = append(errs, reason, &Error{Reason: reason}, &Error{Reason: reason, MaybeAccepted: true})
	}
	for _, err := range errs {
		errs = append(errs, fmt.Errorf("a: %w", err), stderrors.Join(stderrors.New("x"), err), &Error{Op: "x", Class: Throttled, Err: err})
	}
	return errs
}

func TestExactlyOneHolds(t *testing.T) {
	for _, err := range all(t) {
		e := Classify(err)
		canceled := e.Class == Canceled && !e.MaybeAccepted
		n := 0
		for _, holds := range []bool{MaybeAccepted(err), canceled, IsRetryable(err), IsFatal(err)} {
			if holds {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%v (%T): %d hold: maybe %v, canceled %v, retryable %v, fatal %v", e, err, n,
				MaybeAccepted(err), canceled, IsRetryable(err), IsFatal(err))
		}
	}
}

func TestNilIsNoError(t *testing.T) {
	if Classify(nil) != nil || FromAPI("x", nil) != nil || FromBulkStatus("SUCCESS", "") != nil || FromBulkStatus("Success", "") != nil {
		t.Error("nil has a class")
	}
	if IsRetryable(nil) || IsFatal(nil) || MaybeAccepted(nil) {
		t.Error("nil is retryable, fatal or in doubt")
	}
}

// In a tree the first *Error gives class and reason, and doubt of any counts.
func TestTrees(t *testing.T) {
	rate := &Error{Class: Throttled, Reason: SendRateExceeded}
	lost := &Error{Class: Unavailable, Reason: ResponseLost, MaybeAccepted: true}
	for _, c := range []struct {
		name   string
		err    error
		reason Reason
		maybe  bool
	}{
		{"one", fmt.Errorf("a: %w", fmt.Errorf("b: %w", rate)), SendRateExceeded, false},
		{"first of two", stderrors.Join(rate, &Error{Class: Denied, Reason: AccessDenied}), SendRateExceeded, false},
		{"doubt later", stderrors.Join(rate, lost), SendRateExceeded, true},
		{"doubt first", stderrors.Join(lost, rate), ResponseLost, true},
		{"doubt deep", stderrors.Join(io.EOF, fmt.Errorf("x: %w", stderrors.Join(rate, fmt.Errorf("y: %w", lost)))), SendRateExceeded, true},
		{"doubt in the cause", &Error{Class: Throttled, Reason: SendRateExceeded, Err: lost}, SendRateExceeded, true},
		{"ended while waiting to retry", fmt.Errorf("%w: %w", context.Canceled, rate), SendRateExceeded, false},
		{"cause says less than the error", &Error{Class: Unavailable, Reason: Network, Err: io.EOF}, Network, false},
		{"only a reason", &Error{Reason: SendRateExceeded}, SendRateExceeded, false},
		{"before a sentinel", fmt.Errorf("%w: %w", Denied, rate), SendRateExceeded, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Classify(c.err)
			if e.Reason != c.reason || e.Class != c.reason.Class() || e.MaybeAccepted != c.maybe || MaybeAccepted(c.err) != c.maybe {
				t.Errorf("got %+v", e)
			}
		})
	}
	if rate.MaybeAccepted {
		t.Error("Classify changed an error that it was given")
	}
	if Classify(fmt.Errorf("x: %w", rate)) != rate {
		t.Error("an error that says all is copied")
	}
}

// hidden shows its cause to errors.As only.
type hidden struct{ cause *Error }

func (hidden) Error() string { return "hidden" }

func (h hidden) As(target any) bool {
	e, ok := target.(**Error)
	if ok {
		*e = h.cause
	}
	return ok
}

// What errors.As finds in a tree, Classify finds too.
func TestErrorsThatOnlyAsFinds(t *testing.T) {
	rate := &Error{Class: Throttled, Reason: SendRateExceeded}
	lost := &Error{Class: Unavailable, Reason: ResponseLost, MaybeAccepted: true}
	for _, c := range []struct {
		name   string
		err    error
		reason Reason
		maybe  bool
	}{
		{"one", hidden{rate}, SendRateExceeded, false},
		{"one in doubt", fmt.Errorf("x: %w", hidden{lost}), ResponseLost, true},
		{"doubt in the cause of one", hidden{&Error{Class: Throttled, Reason: SendRateExceeded, Err: lost}}, SendRateExceeded, true},
		{"the first is another", stderrors.Join(rate, hidden{lost}), SendRateExceeded, true},
		{"none", stderrors.Join(hidden{}, rate), SendRateExceeded, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if e := Classify(c.err); e.Reason != c.reason || e.MaybeAccepted != c.maybe {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// cycle is an error that wraps itself.
type cycle struct{}

func (c cycle) Error() string   { return "cycle" }
func (c cycle) Unwrap() []error { return []error{c, c} }

func TestHostileTrees(t *testing.T) {
	if !MaybeAccepted(cycle{}) {
		t.Error("a tree that cannot be walked to its end is not in doubt")
	}
	err := io.EOF
	for range 5000 {
		err = fmt.Errorf("%w", err)
	}
	if !MaybeAccepted(err) {
		t.Error("an EOF 5,000 layers down is not in doubt")
	}
}

func TestAPIDetails(t *testing.T) {
	cause := sdkError(400, "MessageRejected", "Email address is not verified. The following identities failed the check in region EU-WEST-1: a@example.com")
	e := FromAPI("", fmt.Errorf("x: %w", cause))
	if e.Op != "ses SendEmail" || e.Code != 400 || e.APICode != "MessageRejected" || !strings.HasPrefix(e.RequestID, "00000000-") ||
		e.Region != "eu-west-1" || len(e.Identities) != 1 || !stderrors.Is(e, cause) {
		t.Errorf("got %+v", e)
	}
	if e := FromAPI("ses SendEmail", &Error{Class: Denied}); e.Op != "ses SendEmail" || e.Class != Denied {
		t.Errorf("got %+v", e)
	}
	if e := FromAPI("", &oldError{"Throttling", "x", 400}); e.RequestID != "id-1" {
		t.Errorf("got %+v", e)
	}
}

// Replies stand at the start of a text, or at the end of a stack trace.
func TestStartAndEndOfLongText(t *testing.T) {
	const reply = " 454 Throttling failure: Maximum sending rate exceeded. "
	filler := strings.Repeat("x ", maxText)
	for text, want := range map[string]Reason{
		reply + filler:          SendRateExceeded,
		filler + reply:          SendRateExceeded,
		filler + reply + filler: Unrecognized,
	} {
		if e := Classify(stderrors.New(text)); e.Reason != want {
			t.Errorf("got %s, want %s", e.Reason, want)
		}
	}
}

// What a huge text costs does not grow with it: it is looked at in part.
func TestHugeTextAllocates(t *testing.T) {
	text := strings.Repeat("454 Throttling: x ", 4<<20/18)
	for name, f := range map[string]func(){
		"FromSMTP":       func() { FromSMTP("smtp DATA", 554, text) },
		"FromBulkStatus": func() { FromBulkStatus(text, text) },
		"FromAPI":        func() { FromAPI("", sdkError(400, text, text)) },
		"Classify":       func() { _ = Classify(&plainError{text}).Error() },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 512<<10 {
			t.Errorf("%s: %d bytes for a text of %d", name, n, len(text))
		}
	}
}

func TestHostileText(t *testing.T) {
	for name, piece := range map[string]string{
		"letters": "a", "words": "configuration set ", "codes": "454 ", "quotes": `"`, "commas": ",", "escapes": `\u0041`,
		"entities": "&lt;", "binary": "\xff\x00\xe2", "lines": "\r\n554-x", "capitals": "MessageRejected", "marks": "status code ",
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat(piece, 4*maxText/len(piece))
			list := "Email address is not verified. The following identities failed the check in region US-EAST-1: " + text
			for _, e := range []*Error{FromSMTP("x", 554, text), Classify(stderrors.New(text)), FromSMTP("x", 554, list), FromBulkStatus(text, text), FromAPI("x", sdkError(400, text, text))} {
				checkBounds(t, e)
			}
		})
	}
}

// ofStatus is net/http's error for a proxy that answers CONNECT with this status.
func ofStatus(status int) error { return stderrors.New(http.StatusText(status)) }
