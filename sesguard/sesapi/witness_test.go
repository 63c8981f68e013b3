package sesapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// doer is an HTTP client made of one function.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func testCredentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "not-a-secret"}, nil
}

func sdkClient(d doer, optFns ...func(*sesv2.Options)) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region: "us-east-1", HTTPClient: d,
		Credentials: aws.CredentialsProviderFunc(testCredentials),
	}, optFns...)
}

func rawInput() *sesv2.SendEmailInput {
	return &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("a@example.com"),
		Destination:      &sestypes.Destination{ToAddresses: []string{"b@example.org"}},
		Content:          &sestypes.EmailContent{Raw: &sestypes.RawMessage{Data: []byte("From: a@example.com\r\nTo: b@example.org\r\n\r\nhello\r\n")}},
	}
}

// answer returns a client that reads the whole request and gives this answer.
func answer(status int, errorType, body string) doer {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if _, err := io.ReadAll(r.Body); err != nil {
				return nil, err
			}
		}
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
		resp.Header.Set("Content-Type", "application/json")
		if errorType != "" {
			resp.Header.Set("X-Amzn-Errortype", errorType)
		}
		return resp, nil
	}
}

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

func TestWhetherSESMayHaveTheMessageIsKnownFromWhatWasSent(t *testing.T) {
	const accepted = `{"MessageId":"0100-id"}`
	for _, tc := range []struct {
		name   string
		client doer
		doubt  bool
		class  seserrors.Class
		reason seserrors.Reason
	}{
		{"nothing was read", func(*http.Request) (*http.Response, error) { return nil, io.EOF }, false, seserrors.Unavailable, seserrors.Network},
		{"all but the last octet", breaks(1), false, seserrors.Unavailable, seserrors.Network},
		{"all octets", breaks(0), true, seserrors.Unavailable, seserrors.ResponseLost},
		{"success without an id", answer(200, "", `{}`), true, seserrors.Unavailable, seserrors.ResponseLost},
		{"success with an empty id", answer(200, "", `{"MessageId":""}`), true, seserrors.Unavailable, seserrors.ResponseLost},
		{"success with an empty body", answer(200, "", ``), true, seserrors.Unavailable, seserrors.ResponseLost},
		{"success with a cut body", answer(200, "", `{"MessageId":"01`), true, seserrors.Unavailable, seserrors.ResponseLost},
		{"success that is a page", answer(200, "", `<html>hello</html>`), true, seserrors.Unavailable, seserrors.ResponseLost},
		{"no content", answer(204, "", ``), true, seserrors.Unavailable, seserrors.ResponseLost},
		{"redirect", answer(302, "", ``), false, seserrors.Unavailable, seserrors.ProtocolError},
		{"rejected", answer(400, "MessageRejected", `{"message":"Email address is not verified. The following identities failed the check in region US-EAST-1: a@example.com"}`), false, seserrors.Denied, seserrors.IdentityNotVerified},
		{"throttled", answer(429, "TooManyRequestsException", `{"message":"Maximum sending rate exceeded."}`), false, seserrors.Throttled, seserrors.SendRateExceeded},
		{"429 without a body", answer(429, "", ``), false, seserrors.Throttled, seserrors.SendRateExceeded},
		{"a page with 404", answer(404, "", `<html>`), false, seserrors.Rejected, ""},
		{"500", answer(500, "InternalServiceErrorException", `{"message":"x"}`), true, seserrors.Unavailable, seserrors.ServiceFailure},
		{"502 of a gateway", answer(502, "", `<html>`), true, seserrors.Unavailable, seserrors.ServiceFailure},
		{"bare 503", answer(503, "", ``), true, seserrors.Unavailable, seserrors.ServiceFailure},
		{"503 that SES says", answer(503, "ServiceUnavailable", `{"message":"try later"}`), false, seserrors.Unavailable, seserrors.ServiceFailure},
		{"500 that is a throttle", answer(500, "ThrottlingException", `{"message":"Rate exceeded"}`), false, seserrors.Throttled, seserrors.SendRateExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls := 0
			client := sdkClient(func(r *http.Request) (*http.Response, error) { calls++; return tc.client(r) })
			_, err := sendOnce(t.Context(), client, rawInput(), nil)
			e := seserrors.Classify(err)
			if e == nil || e.MaybeAccepted != tc.doubt || e.Class != tc.class || tc.reason != "" && e.Reason != tc.reason {
				t.Errorf("got %+v\nwant doubt %v, %v, %v", e, tc.doubt, tc.class, tc.reason)
			}
			if calls != 1 {
				t.Errorf("%d HTTP requests, want 1", calls)
			}
		})
	}
	t.Run("accepted", func(t *testing.T) {
		out, err := sendOnce(t.Context(), sdkClient(answer(200, "", accepted)), rawInput(), nil)
		if err != nil || *out.MessageId != "0100-id" {
			t.Errorf("got %v, %v", out, err)
		}
	})
}

func TestAFailureBeforeTheHTTPClientIsCalledLeavesNoDoubt(t *testing.T) {
	client := sdkClient(answer(200, "", `{}`), func(o *sesv2.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no credentials here")
		})
	})
	_, err := sendOnce(t.Context(), client, rawInput(), nil)
	if err == nil || seserrors.MaybeAccepted(err) {
		t.Errorf("got %v, want an error without doubt", err)
	}
}

func TestAContextThatEndsLeavesDoubtOnlyAfterTheLastOctet(t *testing.T) {
	for _, tc := range []struct {
		name  string
		leave int64
		doubt bool
	}{{"one octet before", 1, false}, {"after it", 0, true}} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("the user left")
			_, err := sendOnce(ctx, sdkClient(func(r *http.Request) (*http.Response, error) {
				resp, err := breaks(tc.leave)(r)
				cancel(cause)
				<-r.Context().Done()
				return resp, err
			}), rawInput(), nil)
			if seserrors.MaybeAccepted(err) != tc.doubt || !errors.Is(err, seserrors.Canceled) || !errors.Is(err, cause) {
				t.Errorf("got %v (doubt %v), want Canceled, its cause, and doubt %v", err, seserrors.MaybeAccepted(err), tc.doubt)
			}
		})
	}
}

func TestABodyIsSealedWhenTheCallHasEnded(t *testing.T) {
	var body io.ReadCloser
	sendOnce(t.Context(), sdkClient(func(r *http.Request) (*http.Response, error) {
		body = r.Body
		return nil, io.EOF
	}), rawInput(), nil)
	if n, err := io.ReadAll(body); len(n) != 0 {
		t.Errorf("read %d octets (%v) of a request that was reported as unsent", len(n), err)
	}
	b := &sentBody{src: strings.NewReader("abc"), left: 3}
	b.Read(make([]byte, 1))
	b.seal()
	if n, err := b.Read(make([]byte, 2)); n != 0 || err != errSealed {
		t.Errorf("a sealed body gave %d octets, %v", n, err)
	}
}

func TestAClockSkewIsCorrectedForTheNextAttempt(t *testing.T) {
	var signed []string
	client := sdkClient(func(r *http.Request) (*http.Response, error) {
		signed = append(signed, r.Header.Get("X-Amz-Date"))
		if len(signed) == 1 {
			resp, err := answer(403, "RequestTimeTooSkewed", `{"message":"the clock is wrong"}`)(r)
			resp.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			return resp, err
		}
		return answer(200, "", `{"MessageId":"0100-id"}`)(r)
	}, Guard(Options{}))
	if _, err := client.SendEmail(t.Context(), rawInput()); err != nil {
		t.Fatal(err)
	}
	if len(signed) != 2 || signed[1] <= signed[0] {
		t.Fatalf("signed at %v, want a second time an hour later", signed)
	}
	first, _ := time.Parse("20060102T150405Z", signed[0])
	second, _ := time.Parse("20060102T150405Z", signed[1])
	if d := second.Sub(first); d < 59*time.Minute || d > 61*time.Minute {
		t.Errorf("the second signature is %v later, want an hour", d)
	}
}

func TestWhatAFailedAttemptLeftInTheOutputIsNotTheNextOnesID(t *testing.T) {
	calls := 0
	client := sdkClient(func(r *http.Request) (*http.Response, error) {
		calls++
		if calls == 1 {
			return answer(200, "", `{"MessageId":"first", oops`)(r)
		}
		return answer(200, "", `{}`)(r)
	}, Guard(Options{Retry: retryPolicy(2, true)}))
	out, err := client.SendEmail(t.Context(), rawInput())
	if err == nil || !seserrors.MaybeAccepted(err) {
		t.Errorf("got %+v, %v; want doubt", out, err)
	}
	if calls != 2 {
		t.Errorf("%d calls, want 2", calls)
	}
}

func TestGuardLeavesOtherOperationsToTheSDK(t *testing.T) {
	calls := 0
	client := sdkClient(func(r *http.Request) (*http.Response, error) {
		calls++
		if calls < 3 {
			return answer(500, "", `{}`)(r)
		}
		return answer(200, "", `{"SendQuota":{"MaxSendRate":14}}`)(r)
	}, Guard(Options{}))
	if _, err := client.GetAccount(t.Context(), &sesv2.GetAccountInput{}, func(o *sesv2.Options) {
		o.Retryer = aws.RetryerV2(fastRetryer{o.Retryer})
	}); err != nil || calls != 3 {
		t.Errorf("%v after %d calls, want the SDK's own retries", err, calls)
	}
}

// fastRetryer is the SDK's retryer without its waits.
type fastRetryer struct{ aws.Retryer }

func (fastRetryer) RetryDelay(int, error) (time.Duration, error) { return 0, nil }
func (f fastRetryer) GetAttemptToken(context.Context) (func(error) error, error) {
	return f.GetInitialToken(), nil
}
