package errors

import (
	"context"
	stderrors "errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// serviceError has the methods of smithy's OperationError, of any service.
type serviceError struct {
	service, operation string
	err                error
}

func (e *serviceError) Error() string {
	return "operation error " + e.service + ": " + e.operation + ", " + e.err.Error()
}
func (e *serviceError) Unwrap() error     { return e.err }
func (e *serviceError) Operation() string { return e.operation }
func (e *serviceError) Service() string   { return e.service }

// withoutCredentials builds what the SDK returns for SendEmail when its provider
// failed: in a refresh of its cache, where cached.
func withoutCredentials(cached bool, err error) error {
	if cached {
		err = fmt.Errorf("failed to refresh cached credentials, %w", err)
	}
	return &operationError{"SendEmail", fmt.Errorf("get identity: %w", fmt.Errorf("get credentials: %w", err))}
}

// asked builds the error of an operation that gives credentials.
func asked(service, operation string, status int, code string) error {
	return &serviceError{service, operation, &responseError{status, "", &apiError{code, "words of " + service}}}
}

// The SDK's trouble with credentials is never taken for a word of SES: it is
// never rejected, throttled or in doubt.
func TestCredentialsStageIsNotSES(t *testing.T) {
	dialed := func(err error) error { return &sendError{&net.OpError{Op: "dial", Net: "tcp", Err: err}} }
	for _, c := range []struct {
		name   string
		err    error
		class  Class
		reason Reason
		words  string // what the text must name
	}{
		{"IMDS: no role", withoutCredentials(true, fmt.Errorf("no EC2 IMDS role found, %w", &serviceError{"ec2imds", "GetMetadata", &responseError{404, "", stderrors.New("request to EC2 IMDS failed")}})), Denied, CredentialsUnavailable, "ec2imds"},
		{"IMDS: refused", withoutCredentials(true, &serviceError{"ec2imds", "GetMetadata", &responseError{403, "", stderrors.New("x")}}), Denied, CredentialsUnavailable, "ec2imds"},
		{"IMDS: nobody there", withoutCredentials(true, &serviceError{"ec2imds", "GetMetadata", dialed(syscall.ECONNREFUSED)}), Unavailable, CredentialsUnavailable, "ec2imds"},
		{"IMDS: hangs", withoutCredentials(true, &serviceError{"ec2imds", "GetMetadata", &canceledError{context.DeadlineExceeded}}), Unavailable, CredentialsUnavailable, "ec2imds"},
		{"IMDS: too many requests", withoutCredentials(true, asked("ec2imds", "GetMetadata", 429, "")), Unavailable, CredentialsUnavailable, "ec2imds"},
		{"ECS: no role", withoutCredentials(true, fmt.Errorf("failed to load credentials, %w", &responseError{404, "", &apiError{"X", "no role"}})), Denied, CredentialsUnavailable, "load credentials"},
		{"ECS: trouble", withoutCredentials(true, fmt.Errorf("failed to load credentials, %w", &responseError{503, "", &apiError{"X", "x"}})), Unavailable, CredentialsUnavailable, "load credentials"},
		{"STS: role refused", withoutCredentials(true, asked("STS", "AssumeRole", 403, "AccessDenied")), Denied, CredentialsUnavailable, "STS"},
		{"STS: token not valid", withoutCredentials(true, asked("STS", "AssumeRoleWithWebIdentity", 400, "InvalidIdentityToken")), Denied, CredentialsUnavailable, "STS"},
		{"STS: ValidationError", withoutCredentials(true, asked("STS", "AssumeRole", 400, "ValidationError")), Denied, CredentialsUnavailable, "STS"},
		{"STS: region", withoutCredentials(true, asked("STS", "AssumeRole", 403, "RegionDisabledException")), Denied, CredentialsUnavailable, "STS"},
		{"STS: identity provider", withoutCredentials(true, asked("STS", "AssumeRoleWithWebIdentity", 400, "IDPCommunicationError")), Unavailable, CredentialsUnavailable, "STS"},
		{"STS: 500", withoutCredentials(true, asked("STS", "AssumeRole", 500, "InternalFailure")), Unavailable, CredentialsUnavailable, "STS"},
		{"STS: throttling", withoutCredentials(true, asked("STS", "AssumeRole", 400, "Throttling")), Unavailable, CredentialsUnavailable, "STS"},
		{"STS: expired", withoutCredentials(true, asked("STS", "AssumeRole", 400, "ExpiredTokenException")), Unavailable, CredentialsExpired, "STS"},
		{"SSO: grant", withoutCredentials(true, asked("SSO OIDC", "CreateToken", 400, "InvalidGrantException")), Denied, CredentialsUnavailable, "SSO OIDC"},
		{"SSO: unauthorized", withoutCredentials(true, asked("SSO", "GetRoleCredentials", 401, "UnauthorizedException")), Denied, CredentialsUnavailable, "SSO"},
		{"SSO: too many requests", withoutCredentials(true, asked("SSO", "GetRoleCredentials", 429, "TooManyRequestsException")), Unavailable, CredentialsUnavailable, "SSO"},
		{"process: its own timeout", withoutCredentials(true, fmt.Errorf("process provider error: %w", context.DeadlineExceeded)), Unavailable, CredentialsUnavailable, "process"},
		{"keys are empty", withoutCredentials(true, stderrors.New("static credentials are empty")), Denied, CredentialsUnavailable, "static"},
		{"no file", withoutCredentials(true, &os.PathError{Op: "open", Path: "token", Err: syscall.ENOENT}), Denied, CredentialsUnavailable, "token"},
		{"signing", &operationError{"SendEmail", fmt.Errorf("sign request: %w", stderrors.New("no hash"))}, Denied, CredentialsUnavailable, "get credentials"},
		{"no step, only the service", &operationError{"SendEmail", asked("STS", "AssumeRole", 403, "AccessDenied")}, Denied, CredentialsUnavailable, "STS"},
		{"caller left", withoutCredentials(false, &canceledError{context.Canceled}), Canceled, ContextCanceled, "get credentials"},
		{"caller's deadline", withoutCredentials(false, &canceledError{context.DeadlineExceeded}), Canceled, DeadlineExceeded, "get credentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, err := range []error{c.err, fmt.Errorf("mail 7: %w", c.err), stderrors.Join(c.err)} {
				e := FromAPI("", err)
				if e.Class != c.class || e.Reason != c.reason || e.MaybeAccepted {
					t.Errorf("got %v, %s, maybe %v; want %v, %s", e.Class, e.Reason, e.MaybeAccepted, c.class, c.reason)
				}
				if c.class == Denied && e.Reason.Scope() != ScopeAccount {
					t.Errorf("scope %v", e.Reason.Scope())
				}
				e.Err = nil // the words stay without the cause
				if text := e.Error(); !strings.Contains(text, "get credentials") || !strings.Contains(text, c.words) {
					t.Errorf("text %q", text)
				}
			}
			if e := Classify(stderrors.New(c.err.Error())); e.Class != Unknown {
				t.Errorf("flattened: got %v, %s", e.Class, e.Reason)
			}
		})
	}
}

// Another service's operation that gives no credentials may come after SES
// accepted the mail, as in a middleware that stores the receipt.
func TestOtherServicesAreNoWordOfSES(t *testing.T) {
	store := asked("DynamoDB", "PutItem", 400, "ThrottlingException")
	if e := Classify(&operationError{"SendEmail", store}); !e.MaybeAccepted || e.Class == Throttled {
		t.Errorf("below SES: got %v, maybe %v", e.Class, e.MaybeAccepted)
	}
	for _, err := range []error{store, stderrors.New(store.Error())} {
		if e := Classify(err); e.Class != Unknown || e.MaybeAccepted {
			t.Errorf("alone: got %v, maybe %v", e.Class, e.MaybeAccepted)
		}
	}
}

// A bare class or reason keeps its class, and the I/O error beside it its doubt.
func TestBareClassHidesNoDoubt(t *testing.T) {
	for _, bare := range []error{Unavailable, ServiceFailure, Throttled, SendRateExceeded, Denied, AccessDenied} {
		class, _ := bare.(Class)
		if r, ok := bare.(Reason); ok {
			class = r.Class()
		}
		for _, beside := range []struct {
			err   error
			maybe bool
		}{
			{io.ErrUnexpectedEOF, true}, {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true}, {context.DeadlineExceeded, true},
			{stderrors.New("454 Throttling failure: Maximum sending rate exceeded.; EOF"), false}, {sdkError(500, "InternalFailure", ""), true}, {dial(syscall.ECONNREFUSED), false}, {stderrors.New("unexpected EOF"), false},
		} {
			for _, err := range []error{
				fmt.Errorf("my transport: %w: %w", bare, beside.err), fmt.Errorf("%w: %w", beside.err, bare),
				stderrors.Join(bare, beside.err), stderrors.Join(stderrors.New("x"), fmt.Errorf("y: %w", stderrors.Join(beside.err, bare))),
			} {
				e := Classify(err)
				if e.Class != class || e.MaybeAccepted != beside.maybe || IsRetryable(err) != (class.Retryable() && !beside.maybe) {
					t.Errorf("%v: got %v, maybe %v; want %v, maybe %v", err, e.Class, e.MaybeAccepted, class, beside.maybe)
				}
				if r, ok := bare.(Reason); ok && e.Reason != r {
					t.Errorf("%v: got %s", err, e.Reason)
				}
			}
		}
	}
}

// A text with a refusal and a lost connection is in doubt: nobody knows which
// came last.
func TestTextWithARefusalAndALostConnection(t *testing.T) {
	for _, text := range []string{
		"454 Throttling failure: Maximum sending rate exceeded.; then DATA: connection reset by peer",
		"first: EOF, then: 454 Throttling failure: Maximum sending rate exceeded.",
		"554 Message rejected: Address blacklisted.: write: broken pipe",
		"554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: a@example.com (in reply to end of DATA command)), read: i/o timeout",
		"operation error SESv2: SendEmail, https response error StatusCode: 429, RequestID: 1, TooManyRequestsException: Maximum sending rate exceeded.; retry: unexpected EOF",
	} {
		if e := Classify(stderrors.New(text)); e.Class != Unknown || !e.MaybeAccepted || IsRetryable(e) {
			t.Errorf("%q: got %v, maybe %v", text, e.Class, e.MaybeAccepted)
		}
	}
	for _, text := range []string{
		"554 Message rejected: Email address is not verified. The following identities failed the check in region US-EAST-1: EOF <e@example.com>",
		"554 Transaction failed: Illegal filename 'EOF.exe'.", "554 Transaction failed: Invalid email address<broken pipe@x>",
		"454 4.7.0 Temporary authentication failure: Connection lost to authentication server",
	} {
		if e := Classify(stderrors.New(text)); e.Class == Unknown || e.MaybeAccepted {
			t.Errorf("%q: got %v, maybe %v", text, e.Class, e.MaybeAccepted)
		}
	}
}

// Words without a code, and words of tools, are no evidence.
func TestWordsAloneAreNoEvidence(t *testing.T) {
	for _, text := range []string{
		"Maximum sending rate exceeded.", "Throttling failure: Maximum sending rate exceeded.", "Error: Timeout { code: 'ETIMEDOUT', command: 'CONN' }",
		`Expected response code "250" but got an empty response.`, "dial tcp 192.0.2.1:587: operation was canceled", "dial tcp 192.0.2.1:587: connect: connection refused",
		"EOF", "context canceled", "503 Service Unavailable", "HTTP/1.1 429 Too Many Requests", "454 what", "curl: (67) Login denied",
		"operation error SESv2: SendEmail, get identity: get credentials: failed to refresh cached credentials", "ThrottlingException", "",
	} {
		if e := Classify(stderrors.New(text)); e.Class != Unknown || e.MaybeAccepted || IsRetryable(e) {
			t.Errorf("%q: got %v, %s, maybe %v", text, e.Class, e.Reason, e.MaybeAccepted)
		}
	}
}
