package sesapi

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

func TestQuotaReadsWhatTheAccountMaySend(t *testing.T) {
	srv := newFake(t)
	srv.Account.SetMaxSendRate(14)
	srv.Account.SetMax24HourSend(50000)
	quota := Quota(sdkOf(srv))
	if _, err := sdkOf(srv).SendEmail(t.Context(), rawInput()); err != nil {
		t.Fatal(err)
	}
	q, err := quota(t.Context())
	if want := (sesguard.Quota{PerSecond: 14, Max24Hours: 50000, Sent24Hours: 1}); err != nil || q != want {
		t.Errorf("got %+v, %v; want %+v", q, err, want)
	}
	srv.Account.SetMax24HourSend(0)
	if q, err = quota(t.Context()); err != nil || q.Max24Hours != -1 {
		t.Errorf("got %+v, %v; want no bound", q, err)
	}
}

// once is a client of one attempt that cannot retry.
func once(d sesv2.HTTPClient, optFns ...func(*sesv2.Options)) *sesv2.Client {
	return sdkClient(d, append(optFns, func(o *sesv2.Options) { o.Retryer = aws.NopRetryer{} })...)
}

// The mail is not refused because the account could not be read.
func TestAFailedReadOfTheAccountIsAboutTheAccountOrTemporary(t *testing.T) {
	for _, tc := range []struct {
		name   string
		api    GetAccountAPI
		class  seserrors.Class
		reason seserrors.Reason
	}{
		{"unknown words", &fakeAccount{err: errors.New("no route")}, seserrors.Unavailable, seserrors.ServiceFailure},
		{"a panel of the company", once(answer(404, "", "<html>")), seserrors.Unavailable, seserrors.ServiceFailure},
		{"a code that is not known", once(answer(400, "Novel", `{"message":"no"}`)), seserrors.Unavailable, seserrors.ServiceFailure},
		{"over GetAccount's own rate", once(answer(429, "TooManyRequestsException", `{"message":"Rate exceeded"}`)), seserrors.Unavailable, seserrors.ServiceFailure},
		{"no permission", once(answer(403, "AccessDeniedException", `{"message":"User is not authorized to perform: ses:GetAccount"}`)), seserrors.Denied, seserrors.AccessDenied},
		{"wrong key", once(answer(403, "UnrecognizedClientException", `{"message":"The security token included in the request is invalid."}`)), seserrors.Denied, seserrors.CredentialsInvalid},
		{"clock", once(answer(403, "RequestTimeTooSkewed", `{"message":"the clock is wrong"}`)), seserrors.Denied, seserrors.ClockSkew},
		{"no connection", once(doer(nobody)), seserrors.Unavailable, seserrors.Network},
		{"500", once(answer(500, "", `{}`)), seserrors.Unavailable, seserrors.ServiceFailure},
		{"an answer without a quota", once(answer(200, "", `{}`)), seserrors.Unavailable, seserrors.ServiceFailure},
		{"no role", refusing(t, fromIMDS(instanceWithout(answer(404, "", "")))), seserrors.Denied, seserrors.CredentialsUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // calls are a second apart
				l := NewAccountLimiter(tc.api)
				_, quota := Quota(tc.api)(t.Context())
				for name, err := range map[string]error{"limiter": l.WaitN(t.Context(), 1), "Quota": quota, "Ping": Ping(t.Context(), tc.api)} {
					e := seserrors.Classify(err)
					if e == nil || e.Class != tc.class || e.Reason != tc.reason || e.MaybeAccepted || e.Op != opGetAccount {
						t.Errorf("%s: got %+v, want %v, %v", name, e, tc.class, tc.reason)
					}
				}
			})
		})
	}
}

func TestALimiterThatNeverHadCredentialsSaysSoSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := refusing(t, fromIMDS(nobody), func(o *sesv2.Options) { o.Retryer = aws.NopRetryer{} })
		l := NewAccountLimiter(client)
		first := l.WaitN(t.Context(), 1)
		time.Sleep(readAgain)
		second := l.WaitN(t.Context(), 1)
		if !seserrors.IsRetryable(first) || !errors.Is(second, seserrors.CredentialsUnavailable) || !seserrors.IsFatal(second) {
			t.Errorf("got %v, then %v; want Unavailable, then Denied", first, second)
		}
		if err := Ping(t.Context(), client); !errors.Is(err, seserrors.CredentialsUnavailable) || !seserrors.IsFatal(err) {
			t.Errorf("Ping: %v, want Denied: it has no second attempt", err)
		}
	})
}

func TestPingTellsWhetherTheAccountMaySend(t *testing.T) {
	state := func(body string) *sesv2.Client {
		return once(answer(200, "", `{"SendQuota":{"MaxSendRate":14},`+body+`}`))
	}
	for _, tc := range []struct {
		name   string
		client *sesv2.Client
		reason seserrors.Reason
	}{
		{"production", state(`"SendingEnabled":true,"ProductionAccessEnabled":true,"EnforcementStatus":"HEALTHY"`), ""},
		{"sandbox", state(`"SendingEnabled":true,"ProductionAccessEnabled":false`), ""},
		{"probation", state(`"SendingEnabled":true,"EnforcementStatus":"PROBATION"`), ""},
		{"paused", state(`"SendingEnabled":false,"EnforcementStatus":"HEALTHY"`), seserrors.SendingPaused},
		{"shut down", state(`"SendingEnabled":false,"EnforcementStatus":"SHUTDOWN"`), seserrors.AccountSuspended},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Ping(t.Context(), tc.client)
			if e := seserrors.Classify(err); tc.reason == "" && err != nil || tc.reason != "" && (e == nil || e.Reason != tc.reason || e.Class != seserrors.Suspended) {
				t.Errorf("got %v, want %q", err, tc.reason)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Ping(ctx, once(doer(func(r *http.Request) (*http.Response, error) { return nil, r.Context().Err() }))); !errors.Is(err, seserrors.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}
