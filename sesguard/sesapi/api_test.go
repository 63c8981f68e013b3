package sesapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/aws/smithy-go/middleware"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// doer is an HTTP client made of one function.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// apiFunc is a SendEmailAPI of one function.
type apiFunc func(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)

func (f apiFunc) SendEmail(ctx context.Context, in *sesv2.SendEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
	return f(ctx, in, o...)
}

func testCredentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "not-a-secret"}, nil
}

func sdkClient(d sesv2.HTTPClient, optFns ...func(*sesv2.Options)) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region: "us-east-1", HTTPClient: d,
		Credentials: aws.CredentialsProviderFunc(testCredentials),
	}, optFns...)
}

// sdkOf is the SDK's client for a fake, over the fake's own HTTP client.
func sdkOf(srv *sestest.Server, optFns ...func(*sesv2.Options)) *sesv2.Client {
	return sdkClient(srv.HTTPClient(), append([]func(*sesv2.Options){func(o *sesv2.Options) {
		o.Region, o.BaseEndpoint = srv.Region, &srv.URL
	}}, optFns...)...)
}

// buildable is the SDK's own HTTP client, connected to a fake.
func buildable(srv *sestest.Server) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext, t.TLSClientConfig = srv.DialContext, srv.TLSConfig()
	})
}

func newFake(t *testing.T) *sestest.Server {
	srv := sestest.NewMemoryServer()
	t.Cleanup(srv.Close)
	return srv
}

// retryPolicy tries so often, without waits to speak of.
func retryPolicy(attempts int, duplicates bool) retry.Policy {
	return retry.Policy{
		Schedule:    retry.Schedule{Waits: []time.Duration{time.Nanosecond}, Jitter: -1},
		MaxAttempts: attempts, AllowDuplicates: duplicates,
	}
}

func rawInput() *sesv2.SendEmailInput {
	return &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("a@example.com"),
		Destination:      &sestypes.Destination{ToAddresses: []string{"b@example.org"}},
		Content:          &sestypes.EmailContent{Raw: &sestypes.RawMessage{Data: []byte("From: a@example.com\r\nTo: b@example.org\r\n\r\nhello\r\n")}},
	}
}

func simpleInput() *sesv2.SendEmailInput {
	return &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("Jürgen <a@example.com>"),
		Destination:      &sestypes.Destination{ToAddresses: []string{"Ann <ann@bücher.example>", "b@example.org"}},
		Content: &sestypes.EmailContent{Simple: &sestypes.Message{
			Subject: &sestypes.Content{Data: aws.String("s")}, Body: &sestypes.Body{Text: &sestypes.Content{Data: aws.String("t")}},
		}},
	}
}

func letter() *sesguard.Message {
	return &sesguard.Message{From: "a@example.com", To: []string{"b@example.org"}, Subject: "s", Text: "hello"}
}

func build(t testing.TB, m *sesguard.Message) *sesguard.Mail {
	t.Helper()
	mail, err := sesguard.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	return mail
}

// attempt makes one attempt of a letter over api.
func attempt(ctx context.Context, t testing.TB, api SendEmailAPI) (*sesguard.Receipt, error) {
	t.Helper()
	return New(api, Config{}).Attempt(ctx, build(t, letter()))
}

// answer returns a client that reads the whole request and gives this answer.
func answer(status int, errorType, body string) doer {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if _, err := io.ReadAll(r.Body); err != nil {
				return nil, err
			}
		}
		return response(r, status, errorType, body), nil
	}
}

func response(r *http.Request, status int, errorType, body string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
	resp.Header.Set("Content-Type", "application/json")
	resp.Header.Set("X-Amzn-Requestid", "request-1")
	if errorType != "" {
		resp.Header.Set("X-Amzn-Errortype", errorType)
	}
	return resp
}

const accepted = `{"MessageId":"0100-id"}`

// breaks returns a client that reads the request's body but for its last
// leave octets, and then fails.
func breaks(leave int64) doer {
	return func(r *http.Request) (*http.Response, error) {
		if _, err := io.CopyN(io.Discard, r.Body, r.ContentLength-leave); err != nil {
			return nil, err
		}
		return nil, io.ErrUnexpectedEOF
	}
}

// inTurn returns a client whose calls are served by these, one after the other.
func inTurn(list ...doer) doer {
	n := 0
	return func(r *http.Request) (*http.Response, error) {
		n++
		return list[n-1](r)
	}
}

func manyAddresses(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "user" + strings.Repeat("x", i) + "@example.org"
	}
	return out
}

// refuse is SES's refusal for a reason.
func refuse(r seserrors.Reason) sestest.Fault { return sestest.Refuse(r) }

// nothing is a middleware of the user's that does nothing.
func nothing(*middleware.Stack) error { return nil }

// spyOn is a middleware of the user's that looks at the content of an input.
func spyOn(octets *int) func(*middleware.Stack) error {
	return func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("spy", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			*octets = len(in.Parameters.(*sesv2.SendEmailInput).Content.Raw.Data)
			return next.HandleInitialize(ctx, in)
		}), middleware.After)
	}
}

// hashes signs a request with nothing but the hash of its body.
type hashes struct{}

func (hashes) SignHTTP(_ context.Context, _ aws.Credentials, r *http.Request, hash, _, _ string, _ time.Time, _ ...func(*v4.SignerOptions)) error {
	r.Header.Set("Authorization", hash)
	return nil
}

func hashOf(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }
