package sesapi

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// An apiCall is SendEmail of a guarded client.
type apiCall = func(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)

// guardedClients runs f over Guard, Wrap, and a client that has both.
func guardedClients(t *testing.T, opts sesguard.Options, f func(t *testing.T, srv *sestest.Server, send apiCall)) {
	t.Run("Guard", func(t *testing.T) { srv := newFake(t); f(t, srv, sdkOf(srv, Guard(opts)).SendEmail) })
	t.Run("Wrap", func(t *testing.T) { srv := newFake(t); f(t, srv, Wrap(sdkOf(srv), opts).SendEmail) })
	t.Run("Wrap of Guard", func(t *testing.T) {
		srv := newFake(t)
		f(t, srv, Wrap(sdkOf(srv, Guard(opts)), opts).SendEmail)
	})
}

// limiter is a sesguard.Limiter of two functions.
type limiter struct {
	wait    func(context.Context, int) error
	observe func(int, error)
}

func (l limiter) WaitN(ctx context.Context, n int) error {
	if l.wait == nil {
		return nil
	}
	return l.wait(ctx, n)
}

func (l limiter) Observe(_ context.Context, n int, err error) {
	if l.observe != nil {
		l.observe(n, err)
	}
}

func TestGuardedClientsLogInvalidInputs(t *testing.T) {
	var log bytes.Buffer
	opts := sesguard.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	guardedClients(t, opts, func(t *testing.T, srv *sestest.Server, send apiCall) {
		log.Reset()
		in := simpleInput()
		in.EmailTags = []sestypes.MessageTag{{Name: aws.String("a b"), Value: aws.String("c")}}
		_, err := send(t.Context(), in)
		text := log.String()
		if !errors.Is(err, seserrors.InvalidTag) || strings.Count(text, "\n") != 1 || !strings.Contains(text, "reason=invalid-tag") {
			t.Errorf("got %v, logged %q, want one line", err, text)
		}
		if strings.Contains(text, "ann@") || srv.APIRequests() > 0 {
			t.Errorf("logged %q, sent %d requests", text, srv.APIRequests())
		}
	})
}

func TestInputsThatTheSDKRefusesAreInvalid(t *testing.T) {
	guardedClients(t, sesguard.Options{}, func(t *testing.T, srv *sestest.Server, send apiCall) {
		in := simpleInput()
		in.Content.Simple.Subject = nil
		_, err := send(t.Context(), in)
		var own smithy.InvalidParamsError
		if e := seserrors.Classify(err); e == nil || e.Class != seserrors.Invalid || e.Reason != seserrors.InvalidParameter || e.MaybeAccepted {
			t.Errorf("got %+v", e)
		}
		if !errors.As(err, &own) || srv.APIRequests() > 0 {
			t.Errorf("got %v, and %d requests", err, srv.APIRequests())
		}
	})
}

func TestGuardedClientsRetryAndReport(t *testing.T) {
	guardedClients(t, sesguard.Options{Retry: retryPolicy(4, false)}, func(t *testing.T, srv *sestest.Server, send apiCall) {
		srv.Script(sestest.Refuse("send-rate-exceeded"), sestest.Refuse("service-failure"), sestest.Pass(),
			sestest.AcceptThenFail(), sestest.Refuse("identity-not-verified"))
		in := simpleInput()
		out, err := send(t.Context(), in)
		if err != nil || aws.ToString(out.MessageId) == "" {
			t.Fatalf("got %v, %v", out, err)
		}
		if in.Destination.ToAddresses[0] != "Ann <ann@bücher.example>" || *in.FromEmailAddress != "Jürgen <a@example.com>" {
			t.Errorf("the caller's input was changed: %q", in.Destination.ToAddresses)
		}
		if got := srv.Accepted(); len(got) != 1 || got[0].To[0] != "ann@xn--bcher-kva.example" {
			t.Errorf("accepted %+v", got)
		}
		if _, err = send(t.Context(), in); !seserrors.MaybeAccepted(err) {
			t.Errorf("accepted, then failed: %v, want doubt", err)
		}
		_, err = send(t.Context(), in)
		var rejected *sestypes.MessageRejected
		if !errors.Is(err, seserrors.IdentityNotVerified) || !errors.As(err, &rejected) {
			t.Errorf("got %v, want the reason and the SDK's own type", err)
		}
		if n := len(srv.Accepted()); n != 2 {
			t.Errorf("%d mails accepted, want 2", n)
		}
	})
}

func TestGuardedClientsTakeEveryKindOfContent(t *testing.T) {
	guardedClients(t, sesguard.Options{}, func(t *testing.T, srv *sestest.Server, send apiCall) {
		srv.Account.AddTemplate("welcome", "Hello {{name}}", "Hi {{name}}", "")
		headersOnly := rawInput()
		headersOnly.Destination, headersOnly.FromEmailAddress = nil, nil
		template := simpleInput()
		template.Content = &sestypes.EmailContent{Template: &sestypes.Template{TemplateName: aws.String("welcome"), TemplateData: aws.String(`{"name":"Ann"}`)}}
		for name, in := range map[string]*sesv2.SendEmailInput{"simple": simpleInput(), "raw": rawInput(), "raw without a destination": headersOnly, "template": template} {
			if _, err := send(t.Context(), in); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(srv.Accepted()); n != 4 {
			t.Errorf("%d mails accepted, want 4", n)
		}
	})
}

func TestGuardedClientsValidateBeforeAnythingIsSent(t *testing.T) {
	guardedClients(t, sesguard.Options{}, func(t *testing.T, srv *sestest.Server, send apiCall) {
		for name, change := range map[string]func(*sesv2.SendEmailInput){
			"address":       func(in *sesv2.SendEmailInput) { in.Destination.CcAddresses = []string{"jürgen@example.org"} },
			"sender":        func(in *sesv2.SendEmailInput) { in.FromEmailAddress = aws.String("a@b\r\nBcc: x@y.z") },
			"no recipients": func(in *sesv2.SendEmailInput) { in.Destination = nil },
			"configuration": func(in *sesv2.SendEmailInput) { in.ConfigurationSetName = aws.String("no spaces") },
			"tag": func(in *sesv2.SendEmailInput) {
				in.EmailTags = []sestypes.MessageTag{{Name: aws.String("a:b"), Value: aws.String("c")}}
			},
			"many":     func(in *sesv2.SendEmailInput) { in.Destination.BccAddresses = manyAddresses(50) },
			"reply to": func(in *sesv2.SendEmailInput) { in.ReplyToAddresses = []string{"@"} },
			"raw, no To": func(in *sesv2.SendEmailInput) {
				*in = *rawInput()
				in.Destination = nil
				in.Content.Raw.Data = []byte("From: a@example.com\r\n\r\nx")
			},
			"raw, 51 in Bcc": func(in *sesv2.SendEmailInput) {
				*in = *rawInput()
				in.Destination = nil
				in.Content.Raw.Data = []byte("From: a@example.com\r\nBcc: " + strings.Join(manyAddresses(51), ",\r\n ") + "\r\n\r\nx")
			},
			"raw, over 40 MB": func(in *sesv2.SendEmailInput) {
				*in = *rawInput()
				in.Content.Raw.Data = make([]byte, maxMessage+1)
			},
		} {
			in := simpleInput()
			change(in)
			_, err := send(t.Context(), in)
			var invalid *sesguard.ValidationError
			if !errors.Is(err, seserrors.Invalid) || !errors.As(err, &invalid) {
				t.Errorf("%s: got %v, want a *ValidationError", name, err)
			}
		}
		if _, err := send(t.Context(), nil); !errors.Is(err, seserrors.Invalid) {
			t.Errorf("no input: %v", err)
		}
		if n := srv.APIRequests(); n != 0 {
			t.Errorf("%d requests reached the network", n)
		}
	})
}

func TestAGuardIsToldWhatIsKnownOfTheSend(t *testing.T) {
	var got sesguard.Info
	opts := sesguard.Options{TrackTag: "mail", Limiter: limiter{wait: func(ctx context.Context, n int) error {
		got, _ = sesguard.InfoFrom(ctx)
		if n != got.Recipients {
			t.Errorf("the limiter was asked for %d, the send has %d", n, got.Recipients)
		}
		return nil
	}}}
	parameters := simpleInput()
	parameters.Destination.BccAddresses = []string{"b@EXAMPLE.org", "c@example.org"} // the first one twice
	parameters.ConfigurationSetName, parameters.TenantName = aws.String("set"), aws.String("tenant")
	header := rawInput()
	header.Destination, header.FromEmailAddress = nil, nil
	header.Content.Raw.Data = []byte("From: A <a@example.com>\r\nTo: x@example.org, Y <y@example.org>\r\nCc: x@Example.org\r\nBcc: z@example.org\r\n" +
		"X-SES-CONFIGURATION-SET: set\r\nX-SES-TENANT: tenant\r\n\r\nhello\r\n")
	srv := newFake(t)
	srv.Account.AddConfigurationSet("set")
	for door, send := range map[string]apiCall{"Guard": sdkOf(srv, Guard(opts)).SendEmail, "Wrap": Wrap(sdkOf(srv), opts).SendEmail} {
		for name, in := range map[string]*sesv2.SendEmailInput{"parameters": parameters, "header": header} {
			if _, err := send(t.Context(), in); err != nil {
				t.Fatalf("%s, %s: %v", door, name, err)
			}
			if len(got.TrackID) < 26 {
				t.Errorf("%s, %s: track id %q", door, name, got.TrackID)
			}
			got.TrackID = ""
			if want := (sesguard.Info{From: "a@example.com", ConfigurationSet: "set", Tenant: "tenant", TrackTag: "mail", Recipients: 3}); got != want {
				t.Errorf("%s, %s: told %+v, want %+v", door, name, got, want)
			}
		}
	}
}

func TestTheTrackTagGoesOutAsAnEmailTag(t *testing.T) {
	tag := func(name, value string) []sestypes.MessageTag {
		return []sestypes.MessageTag{{Name: &name, Value: &value}}
	}
	for _, door := range []string{"Guard", "Wrap"} {
		t.Run(door, func(t *testing.T) {
			srv := newFake(t)
			var ids []string
			opts := sesguard.Options{TrackTag: "mail", Retry: retryPolicy(2, false), Limiter: limiter{wait: func(ctx context.Context, _ int) error {
				i, _ := sesguard.InfoFrom(ctx)
				ids = append(ids, i.TrackID)
				return nil
			}}}
			send := sdkOf(srv, Guard(opts)).SendEmail
			if door == "Wrap" {
				send = Wrap(sdkOf(srv), opts).SendEmail
			}
			own := simpleInput()
			own.EmailTags = tag("campaign", "spring")
			header := rawInput()
			header.Content.Raw.Data = append([]byte("X-SES-MESSAGE-TAGS: campaign=spring, user=ann\r\n"), header.Content.Raw.Data...)
			srv.Script(sestest.Refuse("send-rate-exceeded"))
			for _, in := range []*sesv2.SendEmailInput{own, header} {
				tags := len(in.EmailTags)
				if _, err := send(t.Context(), in); err != nil {
					t.Fatal(err)
				}
				if len(in.EmailTags) != tags {
					t.Error("the caller's input was changed")
				}
			}
			got := srv.Accepted()
			if len(got) != 2 || len(ids) != 3 || ids[0] != ids[1] || ids[1] == ids[2] {
				t.Fatalf("%d mails, ids %q; want one id for each send", len(got), ids)
			}
			for i, m := range got {
				if m.Tags["mail"] != ids[i+1] || m.Tags["campaign"] != "spring" || i == 1 && m.Tags["user"] != "ann" {
					t.Errorf("mail %d has tags %v, want those of its own and mail=%s", i, m.Tags, ids[i+1])
				}
			}
			own.EmailTags = tag("mail", "taken")
			header.Content.Raw.Data = append([]byte("X-SES-MESSAGE-TAGS: mail=taken\r\n"), header.Content.Raw.Data...)
			for _, in := range []*sesv2.SendEmailInput{own, header} {
				if _, err := send(t.Context(), in); !errors.Is(err, seserrors.InvalidTag) {
					t.Errorf("a tag of that name: %v, want invalid-tag", err)
				}
			}
			if n := srv.APIRequests(); n != 3 {
				t.Errorf("%d requests, want 3", n)
			}
		})
	}
}

func TestGuardLeavesOtherOperationsToTheSDK(t *testing.T) {
	calls := 0
	client := sdkClient(doer(func(r *http.Request) (*http.Response, error) {
		calls++
		if calls < 3 {
			return answer(500, "", `{}`)(r)
		}
		return answer(200, "", `{"SendQuota":{"MaxSendRate":14}}`)(r)
	}), Guard(sesguard.Options{}))
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

// Two clients of one account, say: what one learns holds for the other.
func TestAGuardCanBeShared(t *testing.T) {
	srv := newFake(t)
	var asked []int
	g := sesguard.NewGuard(sesguard.Options{Limiter: limiter{wait: func(_ context.Context, n int) error { asked = append(asked, n); return nil }}})
	for _, send := range []apiCall{sdkOf(srv, GuardBy(g)).SendEmail, WrapBy(sdkOf(srv), g).SendEmail} {
		if _, err := send(t.Context(), simpleInput()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(asked, []int{2, 2}) {
		t.Errorf("the limiter was asked for %v", asked)
	}
}

// The client's guard tries again, and its verdict stands.
func TestATransportOverAGuardedClientReportsWhatItsGuardSays(t *testing.T) {
	srv := newFake(t)
	tr := New(sdkOf(srv, Guard(sesguard.Options{Retry: retryPolicy(3, false)})), Config{})
	srv.Script(sestest.Refuse("send-rate-exceeded"), sestest.Pass(), sestest.AcceptThenFail())
	r, err := tr.Attempt(t.Context(), build(t, letter()))
	if err != nil || r.MessageID != srv.Accepted()[0].ID || r.Region != "us-east-1" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := tr.Attempt(t.Context(), build(t, letter())); !seserrors.MaybeAccepted(err) {
		t.Errorf("accepted, then failed: %v, want doubt", err)
	}
	if n := srv.AcceptedCount(); n != 2 {
		t.Errorf("%d mails accepted, want 2", n)
	}
}

func TestWhatCannotSendPanicsWithAReason(t *testing.T) {
	for name, f := range map[string]func(){
		"New":               func() { New(nil, Config{}) },
		"Wrap":              func() { Wrap(nil, sesguard.Options{}) },
		"WrapBy":            func() { WrapBy(apiFunc(nil), nil) },
		"GuardBy":           func() { GuardBy(nil) },
		"NewAccountLimiter": func() { NewAccountLimiter(nil) },
		"Quota":             func() { Quota(nil) },
		"Ping":              func() { Ping(t.Context(), nil) },
	} {
		func() {
			defer func() {
				if r, ok := recover().(string); !ok || !strings.HasPrefix(r, "sesapi: ") || !strings.Contains(r, "nil") {
					t.Errorf("%s(nil): panic %v", name, r)
				}
			}()
			f()
		}()
	}
}
