package sesapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

// early answers before it has read more than some octets of the body, and says
// so truthfully: it is an *http.Client over an *http.Transport.
func early(status int, errorType, body string, octets int64) doer {
	return func(r *http.Request) (*http.Response, error) {
		io.CopyN(io.Discard, r.Body, octets)
		return response(r, status, errorType, body), nil
	}
}

func TestWhetherSESMayHaveTheMessageIsKnownFromWhatWasSent(t *testing.T) {
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
		{"success after one octet", early(200, "", accepted, 1), true, seserrors.Unavailable, seserrors.ResponseLost},
		{"refusal after one octet", early(400, "MessageRejected", `{}`, 1), false, seserrors.Rejected, ""},
		{"500 after one octet", early(500, "", `{}`, 1), false, seserrors.Unavailable, seserrors.ServiceFailure},
		{"redirect", answer(302, "", ``), false, seserrors.Unavailable, seserrors.ProtocolError},
		{"permanent redirect", answer(308, "", ``), false, seserrors.Unavailable, seserrors.ProtocolError},
		{"rejected", answer(400, "MessageRejected", `{"message":"Email address is not verified. The following identities failed the check in region US-EAST-1: a@example.com"}`), false, seserrors.Denied, seserrors.IdentityNotVerified},
		{"throttled", answer(429, "TooManyRequestsException", `{"message":"Maximum sending rate exceeded."}`), false, seserrors.Throttled, seserrors.SendRateExceeded},
		{"throttled, named in the body", answer(429, "", `{"__type":"TooManyRequestsException","message":"Maximum sending rate exceeded."}`), false, seserrors.Throttled, seserrors.SendRateExceeded},
		{"a page with 404", answer(404, "", `<html>`), false, seserrors.Rejected, ""},
		{"500", answer(500, "InternalServiceErrorException", `{"message":"x"}`), true, seserrors.Unavailable, seserrors.ServiceFailure},
		{"502 of a gateway", answer(502, "", `<html>`), true, seserrors.Unavailable, seserrors.ServiceFailure},
		{"a status that no RFC knows", answer(999, "", `<html>`), true, seserrors.Unavailable, seserrors.ServiceFailure},
		{"bare 503", answer(503, "", ``), true, seserrors.Unavailable, seserrors.ServiceFailure},
		{"503 that SES says", answer(503, "ServiceUnavailable", `{"message":"try later"}`), false, seserrors.Unavailable, seserrors.ServiceFailure},
		{"500 that is a throttle", answer(500, "ThrottlingException", `{"message":"Rate exceeded"}`), false, seserrors.Throttled, seserrors.SendRateExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls := 0
			client := sdkClient(doer(func(r *http.Request) (*http.Response, error) { calls++; return tc.client(r) }))
			r, err := attempt(t.Context(), t, client)
			e := seserrors.Classify(err)
			if e == nil || e.MaybeAccepted != tc.doubt || e.Class != tc.class || tc.reason != "" && e.Reason != tc.reason {
				t.Errorf("got %+v, %+v\nwant doubt %v, %v, %v", r, e, tc.doubt, tc.class, tc.reason)
			}
			if calls != 1 {
				t.Errorf("%d HTTP requests, want 1", calls)
			}
			if e != nil && e.Endpoint != "email.us-east-1.amazonaws.com" {
				t.Errorf("endpoint %q", e.Endpoint)
			}
			if answered := e != nil && e.Code != 0; answered && e.RequestID != "request-1" {
				t.Errorf("request id %q", e.RequestID)
			}
		})
	}
	t.Run("accepted", func(t *testing.T) {
		r, err := attempt(t.Context(), t, sdkClient(answer(200, "", accepted)))
		want := sesguard.Receipt{MessageID: "0100-id", Transport: "api", Region: "us-east-1", Attempts: 1}
		if err != nil || *r != want {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

// A gateway may say these after it has passed the request on; SES puts its own
// code beside them.
func TestAGatewaysRefusalIsInDoubtOnceTheBodyIsOut(t *testing.T) {
	for _, status := range []int{408, 421, 425, 429, 499} {
		for _, tc := range []struct {
			name   string
			client doer
			doubt  bool
		}{
			{"after the body", answer(status, "", `<html>`), true},
			{"without a word", answer(status, "", ``), true},
			{"within the body", early(status, "", ``, 9), false},
			{"SES's own", answer(status, "TooManyRequestsException", `{"message":"Maximum sending rate exceeded."}`), false},
			{"SES's own, cut", answer(status, "TooManyRequestsException", `{"mess`), false},
		} {
			t.Run(fmt.Sprint(status, " ", tc.name), func(t *testing.T) {
				_, err := attempt(t.Context(), t, sdkClient(tc.client))
				if err == nil || seserrors.MaybeAccepted(err) != tc.doubt {
					t.Errorf("got %v, want doubt %v", err, tc.doubt)
				}
			})
		}
	}
}

// A unit test's HTTP client may not look at the request at all.
func TestASuccessOfAClientThatReadsNoBodiesCounts(t *testing.T) {
	blind := func(r *http.Request) (*http.Response, error) { return response(r, 200, "", accepted), nil }
	for name, tc := range map[string]struct {
		client sesv2.HTTPClient
		taken  bool
	}{
		"a function":                 {doer(blind), true},
		"a RoundTripper":             {&http.Client{Transport: roundTripper(blind)}, true},
		"a function, after an octet": {doer(early(200, "", accepted, 1)), false},
	} {
		t.Run(name, func(t *testing.T) {
			client := sdkClient(tc.client)
			_, err := attempt(t.Context(), t, client)
			_, guarded := sdkClient(tc.client, Guard(sesguard.Options{})).SendEmail(t.Context(), rawInput())
			for _, err := range []error{err, guarded} {
				if (err == nil) != tc.taken || seserrors.MaybeAccepted(err) == tc.taken {
					t.Errorf("got %v, want success %v", err, tc.taken)
				}
			}
		})
	}
	for _, c := range []sesv2.HTTPClient{http.DefaultClient, &http.Client{Transport: &http.Transport{}}, sdkClient(nil).Options().HTTPClient} {
		if !readsBodies(c) {
			t.Errorf("%T does not count as a client that sends", c)
		}
	}
}

// An http.Client of the user's follows a redirect by a GET without the mail.
func TestTheAnswerToAnotherRequestIsNotTheMails(t *testing.T) {
	for _, first := range []int{301, 302, 303} {
		for name, last := range map[string]func(*http.Request) (*http.Response, error){
			"success": answer(200, "", accepted),
			"refusal": answer(400, "MessageRejected", `{"message":"Email address is not verified."}`),
			"trouble": answer(500, "", ``),
		} {
			t.Run(fmt.Sprint(first, " ", name), func(t *testing.T) {
				client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodGet {
						return last(r)
					}
					resp, err := answer(first, "", "")(r)
					if err == nil {
						resp.Header.Set("Location", "/elsewhere")
					}
					return resp, err
				})}
				_, err := attempt(t.Context(), t, sdkClient(client))
				_, guarded := sdkClient(client, Guard(sesguard.Options{Retry: retryPolicy(1, false)})).SendEmail(t.Context(), rawInput())
				for _, err := range []error{err, guarded} {
					if e := seserrors.Classify(err); e == nil || e.Reason != seserrors.ProtocolError || e.MaybeAccepted || e.Code != first {
						t.Errorf("got %+v, want a protocol error without doubt", e)
					}
				}
			})
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAFailureBeforeTheHTTPClientIsCalledLeavesNoDoubt(t *testing.T) {
	broken := errors.New("broken")
	for name, option := range map[string]func(*sesv2.Options){
		"no region": func(o *sesv2.Options) { o.Region = "" },
		"a step before the signature": func(o *sesv2.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Build.Add(middleware.BuildMiddlewareFunc("broken", func(context.Context, middleware.BuildInput, middleware.BuildHandler) (out middleware.BuildOutput, md middleware.Metadata, err error) {
					return out, md, io.ErrUnexpectedEOF
				}), middleware.After)
			})
		},
		"a step behind the signature": func(o *sesv2.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Finalize.Add(middleware.FinalizeMiddlewareFunc("broken", func(context.Context, middleware.FinalizeInput, middleware.FinalizeHandler) (out middleware.FinalizeOutput, md middleware.Metadata, err error) {
					return out, md, broken
				}), middleware.After)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := attempt(t.Context(), t, sdkClient(answer(200, "", accepted), option))
			if err == nil || seserrors.MaybeAccepted(err) {
				t.Errorf("got %v, want an error without doubt", err)
			}
		})
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
			_, err := attempt(ctx, t, sdkClient(doer(func(r *http.Request) (*http.Response, error) {
				resp, err := breaks(tc.leave)(r)
				cancel(cause)
				<-r.Context().Done()
				return resp, err
			})))
			if seserrors.MaybeAccepted(err) != tc.doubt || !errors.Is(err, seserrors.Canceled) || !errors.Is(err, cause) {
				t.Errorf("got %v (doubt %v), want Canceled, its cause, and doubt %v", err, seserrors.MaybeAccepted(err), tc.doubt)
			}
		})
	}
}

func TestAnAttemptHasItsOwnLimit(t *testing.T) {
	for _, tc := range []struct {
		name   string
		leave  int64
		doubt  bool
		reason seserrors.Reason
	}{{"within the body", 1, false, seserrors.RequestTimeout}, {"after it", 0, true, seserrors.ResponseLost}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := sdkClient(doer(func(r *http.Request) (*http.Response, error) {
					breaks(tc.leave)(r)
					<-r.Context().Done()
					return nil, r.Context().Err()
				}))
				_, err := New(client, Config{Timeout: time.Second}).Attempt(t.Context(), build(t, letter()))
				e := seserrors.Classify(err)
				if e == nil || e.Class != seserrors.Unavailable || e.Reason != tc.reason || e.MaybeAccepted != tc.doubt {
					t.Errorf("got %v, want %v", err, tc.reason)
				}
			})
		})
	}
}

func TestABodyIsSealedWhenTheCallHasEnded(t *testing.T) {
	var body io.ReadCloser
	attempt(t.Context(), t, sdkClient(doer(func(r *http.Request) (*http.Response, error) {
		body = r.Body
		return nil, io.EOF
	})))
	if n, err := io.ReadAll(body); len(n) != 0 {
		t.Errorf("read %d octets (%v) of a request that was reported as unsent", len(n), err)
	}
	r := &request{src: strings.NewReader("abc"), left: 3}
	r.Read(make([]byte, 1))
	r.returned(nil)
	if n, err := r.Read(make([]byte, 2)); n != 0 || err != errSealed {
		t.Errorf("a sealed body gave %d octets, %v", n, err)
	}
}

// The server has the mail when it has Content-Length octets.
func TestABodyThatIsLongerThanItsLengthIsWholeAtItsLength(t *testing.T) {
	r := &request{src: strings.NewReader("abcdef"), left: 3}
	n, err := r.Read(make([]byte, 10))
	if n != 3 || err != nil || !r.whole() {
		t.Errorf("read %d, %v, whole %v; want the 3 octets of the length", n, err, r.whole())
	}
}

// What the SDK's request log does, and tracing by a tee: the stream is wrapped
// and hides its length.
func TestAMiddlewareThatWrapsTheStreamDoesNotFailTheSend(t *testing.T) {
	wrapped := func(length func(int64) int64) func(*sesv2.Options) {
		return func(o *sesv2.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Finalize.Add(middleware.FinalizeMiddlewareFunc("wrap", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
					req := in.Request.(*smithyhttp.Request)
					n := req.ContentLength
					req, err := req.SetStream(io.MultiReader(req.GetStream()))
					if err != nil {
						return middleware.FinalizeOutput{}, middleware.Metadata{}, err
					}
					req.ContentLength = length(n)
					in.Request = req
					return next.HandleFinalize(ctx, in)
				}), middleware.After)
			})
		}
	}
	for name, option := range map[string]func(*sesv2.Options){
		"request log": func(o *sesv2.Options) {
			o.ClientLogMode, o.Logger = aws.LogRequestWithBody, logging.Nop{}
		},
		"its length in the header": wrapped(func(n int64) int64 { return n }),
		"no length at all":         wrapped(func(int64) int64 { return -1 }),
	} {
		t.Run(name, func(t *testing.T) {
			var read []byte
			reads := doer(func(r *http.Request) (resp *http.Response, err error) {
				read, err = io.ReadAll(r.Body)
				return response(r, 200, "", accepted), err
			})
			for door, send := range doors(sdkClient(reads, option), sdkClient(reads, option, Guard(sesguard.Options{}))) {
				if err := send(t.Context()); err != nil || !bytes.HasSuffix(read, []byte("}")) {
					t.Errorf("%s: %v, %q", door, err, read)
				}
			}
			_, err := attempt(t.Context(), t, sdkClient(doer(func(r *http.Request) (*http.Response, error) {
				io.Copy(io.Discard, r.Body)
				return nil, io.ErrUnexpectedEOF
			}), option))
			if !seserrors.MaybeAccepted(err) {
				t.Errorf("all was read: %v, want doubt", err)
			}
			_, err = attempt(t.Context(), t, sdkClient(doer(func(r *http.Request) (*http.Response, error) {
				io.CopyN(io.Discard, r.Body, 100)
				return nil, io.ErrUnexpectedEOF
			}), option))
			if err == nil || seserrors.MaybeAccepted(err) {
				t.Errorf("100 octets were read: %v, want no doubt", err)
			}
			if name == "no length at all" {
				return
			}
			_, err = attempt(t.Context(), t, sdkClient(breaks(0), option)) // without a look for the end
			if !seserrors.MaybeAccepted(err) {
				t.Errorf("Content-Length octets were read: %v, want doubt", err)
			}
		})
	}
}

// doors are the three ways through which a raw message goes out over client;
// guarded is the same with Guard.
func doors(client, guarded *sesv2.Client) map[string]func(context.Context) error {
	transport, wrapped := New(client, Config{}), Wrap(client, sesguard.Options{})
	return map[string]func(context.Context) error{
		"New": func(ctx context.Context) error {
			m, err := sesguard.Build(letter())
			if err == nil {
				_, err = transport.Attempt(ctx, m)
			}
			return err
		},
		"Wrap":  func(ctx context.Context) error { _, err := wrapped.SendEmail(ctx, rawInput()); return err },
		"Guard": func(ctx context.Context) error { _, err := guarded.SendEmail(ctx, rawInput()); return err },
	}
}

// A lives off the first region, then off the second: one attempt, two calls.
func TestOneCallInDoubtPutsTheAttemptInDoubt(t *testing.T) {
	refused := answer(400, "MessageRejected", `{"message":"no"}`)
	for _, tc := range []struct {
		name          string
		first, second doer
		doubt         bool
		duplicate     bool
	}{
		{"doubt, then a refusal", breaks(0), refused, true, false},
		{"a refusal, then doubt", refused, breaks(0), true, false},
		{"unsent, then a refusal", breaks(1), refused, false, false},
		{"doubt, then accepted", breaks(0), answer(200, "", accepted), false, true},
		{"unsent, then accepted", breaks(1), answer(200, "", accepted), false, false},
		{"unreadable, then unsent", answer(200, "", ""), breaks(1), true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			first, second := sdkClient(tc.first), sdkClient(tc.second)
			r, err := attempt(t.Context(), t, apiFunc(func(ctx context.Context, in *sesv2.SendEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
				if out, err := first.SendEmail(ctx, in, o...); err == nil {
					return out, nil
				}
				return second.SendEmail(ctx, in, o...)
			}))
			if seserrors.MaybeAccepted(err) != tc.doubt || r != nil && r.MaybeDuplicate != tc.duplicate {
				t.Errorf("got %+v, %v; want doubt %v", r, err, tc.doubt)
			}
		})
	}
}

func TestDoubtOutlastsALaterFailureToGetCredentials(t *testing.T) {
	first, second := sdkClient(breaks(0)), refusing(t, fromIMDS(nobody))
	_, err := attempt(t.Context(), t, apiFunc(func(ctx context.Context, in *sesv2.SendEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
		first.SendEmail(ctx, in, o...)
		return second.SendEmail(ctx, in, o...)
	}))
	if !seserrors.MaybeAccepted(err) {
		t.Errorf("got %v, want the doubt of the first call", err)
	}
}

func TestARetryingMiddlewareDoesNotHideDoubt(t *testing.T) {
	again := func(o *sesv2.Options) {
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Finalize.Add(middleware.FinalizeMiddlewareFunc("again", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
				out, md, err := next.HandleFinalize(ctx, in)
				if err != nil {
					in.Request.(*smithyhttp.Request).RewindStream()
					out, md, err = next.HandleFinalize(ctx, in)
				}
				return out, md, err
			}), middleware.After)
		})
	}
	_, err := attempt(t.Context(), t, sdkClient(inTurn(breaks(0), answer(400, "MessageRejected", `{}`)), again))
	if !seserrors.MaybeAccepted(err) {
		t.Errorf("got %v, want the doubt of the first call", err)
	}
	_, err = attempt(t.Context(), t, sdkClient(inTurn(breaks(1), answer(400, "MessageRejected", `{}`)), again))
	if err == nil || seserrors.MaybeAccepted(err) {
		t.Errorf("got %v, want no doubt: neither call was taken", err)
	}
}

// It stores the receipt in a database, say, and that fails.
func TestAnAPIThatFailsAfterAcceptanceIsInDoubt(t *testing.T) {
	client := sdkClient(answer(200, "", accepted))
	for name, fails := range map[string]error{
		"words": errors.New("dial tcp 10.0.0.9:5432: connect: connection refused"),
		"class": seserrors.Unavailable,
		"error": &seserrors.Error{Class: seserrors.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := attempt(t.Context(), t, apiFunc(func(ctx context.Context, in *sesv2.SendEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
				if _, err := client.SendEmail(ctx, in, o...); err != nil {
					t.Error(err)
				}
				return nil, fails
			}))
			if !seserrors.MaybeAccepted(err) {
				t.Errorf("got %v, want doubt", err)
			}
		})
	}
}

func TestAnAPIWithoutTheWitnessIsBelievedOnlyWhenSESRefuses(t *testing.T) {
	status := func(code int, err error) error {
		return &smithy.OperationError{ServiceID: "SESv2", OperationName: "SendEmail", Err: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: code}}, Err: err,
		}}
	}
	for _, tc := range []struct {
		name  string
		err   error
		doubt bool
	}{
		{"SES refuses", status(400, &sestypes.MessageRejected{Message: aws.String("no")}), false},
		{"SES refuses with a code that is not known", status(400, &smithy.GenericAPIError{Code: "Novel", Message: "no"}), false},
		{"an exception as a mock returns it", &sestypes.TooManyRequestsException{Message: aws.String("Maximum sending rate exceeded.")}, false},
		{"a 404 that is a page", status(404, errors.New("<html>")), false},
		{"a 429 that is a page", status(429, errors.New("<html>")), true},
		{"500", status(500, &smithy.GenericAPIError{Code: "InternalFailure"}), true},
		{"success that cannot be read", status(200, errors.New("cut")), true},
		{"another service refuses", &smithy.OperationError{ServiceID: "SQS", OperationName: "SendMessage", Err: &smithy.GenericAPIError{Code: "AccessDenied"}}, true},
		{"a dial", errors.New("dial tcp 10.0.0.9:443: connect: connection refused"), true},
		{"a bare class", seserrors.Throttled, true},
		{"EOF", io.EOF, true},
		{"words", errors.New("boom"), true},
		{"one that knows", &seserrors.Error{Class: seserrors.Unavailable}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := attempt(t.Context(), t, apiFunc(func(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
				return nil, tc.err
			}))
			if err == nil || seserrors.MaybeAccepted(err) != tc.doubt || !errors.Is(err, tc.err) {
				t.Errorf("got %v, want doubt %v", err, tc.doubt)
			}
		})
	}
}

func TestEachAttemptOfAGuardedClientIsJudgedByItsOwnRequests(t *testing.T) {
	var seen []bool
	l := limiter{observe: func(_ int, err error) { seen = append(seen, seserrors.MaybeAccepted(err)) }}
	opts := sesguard.Options{Retry: retryPolicy(3, true), Limiter: l}
	faults := func() doer { return inTurn(breaks(0), breaks(1), answer(200, "", accepted)) }
	for name, send := range map[string]apiCall{
		"Guard": sdkClient(faults(), Guard(opts)).SendEmail,
		"Wrap":  Wrap(sdkClient(faults()), opts).SendEmail,
	} {
		seen = nil
		if _, err := send(t.Context(), rawInput()); err != nil || !slices.Equal(seen, []bool{true, false, false}) {
			t.Errorf("%s: %v; doubts %v, want that of the first attempt only", name, err, seen)
		}
	}
}

func TestAClockSkewIsCorrectedForTheNextAttempt(t *testing.T) {
	var signed []string
	skewed := func(r *http.Request) (*http.Response, error) {
		signed = append(signed, r.Header.Get("X-Amz-Date"))
		resp, err := answer(403, "RequestTimeTooSkewed", `{"message":"the clock is wrong"}`)(r)
		resp.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		return resp, err
	}
	right := func(r *http.Request) (*http.Response, error) {
		signed = append(signed, r.Header.Get("X-Amz-Date"))
		return answer(200, "", accepted)(r)
	}
	client := sdkClient(inTurn(skewed, right, skewed, skewed), Guard(sesguard.Options{}))
	if _, err := client.SendEmail(t.Context(), rawInput()); err != nil {
		t.Fatal(err)
	}
	first, _ := time.Parse("20060102T150405Z", signed[0])
	second, _ := time.Parse("20060102T150405Z", signed[1])
	if d := second.Sub(first); d < 59*time.Minute || d > 61*time.Minute {
		t.Errorf("signed at %v: the second signature is %v later, want an hour", signed, d)
	}
	_, err := client.SendEmail(t.Context(), rawInput())
	if e := seserrors.Classify(err); e.Class != seserrors.Denied || e.Reason != seserrors.ClockSkew || len(signed) != 4 {
		t.Errorf("twice in a row: %v after %d requests, want denied after one immediate retry", err, len(signed)-2)
	}
}

func TestWhatAFailedAttemptLeftInTheOutputIsNotTheNextOnesID(t *testing.T) {
	client := sdkClient(inTurn(answer(200, "", `{"MessageId":"first", oops`), answer(200, "", `{}`)),
		Guard(sesguard.Options{Retry: retryPolicy(2, true)}))
	out, err := client.SendEmail(t.Context(), rawInput())
	if err == nil || !seserrors.MaybeAccepted(err) {
		t.Errorf("got %+v, %v; want doubt", out, err)
	}
}

// net/http sends a POST again by itself if it has GetBody and thinks that the
// request may be repeated.
func TestARequestForASendCannotBeRepeatedByNetHTTP(t *testing.T) {
	again := func(o *sesv2.Options) {
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Build.Add(middleware.BuildMiddlewareFunc("again", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
				req := in.Request.(*smithyhttp.Request)
				req.Header.Set("Idempotency-Key", "once")
				req.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
				return next.HandleBuild(ctx, in)
			}), middleware.After)
		})
	}
	look := doer(func(r *http.Request) (*http.Response, error) {
		if r.GetBody != nil || r.Header.Get("Idempotency-Key") != "" {
			t.Errorf("GetBody %v, Idempotency-Key %q", r.GetBody != nil, r.Header.Get("Idempotency-Key"))
		}
		if strings.Contains(r.Header.Get("Authorization"), "idempotency-key") {
			t.Error("the key was signed and taken away afterwards")
		}
		return answer(200, "", accepted)(r)
	})
	for name, send := range doors(sdkClient(look, again), sdkClient(look, again, Guard(sesguard.Options{}))) {
		if err := send(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARequestAfterTheEndOfItsAttemptIsNotSent(t *testing.T) {
	calls := 0
	client := sdkClient(doer(func(r *http.Request) (*http.Response, error) {
		calls++
		return answer(200, "", accepted)(r)
	}))
	var late func() error
	_, err := attempt(t.Context(), t, apiFunc(func(_ context.Context, in *sesv2.SendEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
		late = func() error { _, err := client.SendEmail(context.Background(), in, o...); return err }
		return nil, &seserrors.Error{Class: seserrors.Unavailable}
	}))
	if err == nil || late() == nil || calls != 0 {
		t.Errorf("%v, then %d requests", err, calls)
	}
}

// An api that sends to two regions at once, say, and leaves the slower call
// behind while it gets credentials.
func TestARequestThatIsLeftBehindIsNotSent(t *testing.T) {
	calls := 0
	asked, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
	client := sdkClient(doer(func(r *http.Request) (*http.Response, error) {
		calls++
		return answer(200, "", accepted)(r)
	}), func(o *sesv2.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			close(asked)
			<-release
			return testCredentials(ctx)
		})
	})
	_, err := attempt(t.Context(), t, apiFunc(func(ctx context.Context, in *sesv2.SendEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
		go func() {
			_, err := client.SendEmail(context.WithoutCancel(ctx), in, o...)
			done <- err
		}()
		<-asked
		return nil, &seserrors.Error{Class: seserrors.Unavailable}
	}))
	close(release)
	if late := <-done; seserrors.MaybeAccepted(err) || late == nil || calls != 0 {
		t.Errorf("%v, then %v and %d requests", err, late, calls)
	}
}
