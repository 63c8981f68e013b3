package sesapi

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

// The sources of credentials that the SDK knows, each over a fake of its
// service.
func fromIMDS(fake doer) aws.CredentialsProvider {
	return ec2rolecreds.New(func(o *ec2rolecreds.Options) {
		o.Client = imds.New(imds.Options{HTTPClient: fake, Retryer: aws.NopRetryer{}})
	})
}

func fromECS(fake doer) aws.CredentialsProvider {
	return endpointcreds.New("http://169.254.170.2/role", func(o *endpointcreds.Options) {
		o.HTTPClient, o.Retryer = fake, aws.NopRetryer{}
	})
}

func fromSTS(fake doer) aws.CredentialsProvider {
	return stscreds.NewAssumeRoleProvider(stsOver(fake), "arn:aws:iam::123456789012:role/mail")
}

func stsOver(fake doer) *sts.Client {
	return sts.New(sts.Options{Region: "us-east-1", HTTPClient: fake, Retryer: aws.NopRetryer{}, Credentials: aws.CredentialsProviderFunc(testCredentials)})
}

func fromWebIdentity(t *testing.T, fake doer) aws.CredentialsProvider {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("not-a-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	return stscreds.NewWebIdentityRoleProvider(stsOver(fake), "arn:aws:iam::123456789012:role/mail", stscreds.IdentityTokenFile(token))
}

func fromSSO(t *testing.T, fake doer) aws.CredentialsProvider {
	token := filepath.Join(t.TempDir(), "token.json")
	if err := os.WriteFile(token, []byte(`{"accessToken":"not-a-token","expiresAt":"2099-01-01T00:00:00Z","region":"us-east-1","startUrl":"https://example.com"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	client := sso.New(sso.Options{Region: "us-east-1", HTTPClient: fake, Retryer: aws.NopRetryer{}})
	return ssocreds.New(client, "123456789012", "mail", "https://example.com", func(o *ssocreds.Options) { o.CachedTokenFilepath = token })
}

// stsError is an error as STS puts it.
func stsError(status int, code string) doer {
	return answer(status, "", `<ErrorResponse><Error><Type>Sender</Type><Code>`+code+`</Code><Message>no</Message></Error><RequestId>r</RequestId></ErrorResponse>`)
}

// instanceWithout answers at the metadata address: a session token, and this for
// the role.
func instanceWithout(role doer) doer {
	return func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/api/token") {
			resp := response(r, 200, "", "token")
			resp.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			return resp, nil
		}
		return role(r)
	}
}

// nobody is what a connection to an address draws where nobody listens.
func nobody(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// refusing is a client whose credentials come from p, and that must not be
// called.
func refusing(t *testing.T, p aws.CredentialsProvider, optFns ...func(*sesv2.Options)) *sesv2.Client {
	return sdkClient(doer(func(r *http.Request) (*http.Response, error) {
		t.Error("SES was asked")
		return response(r, 500, "", ""), nil
	}), append(optFns, func(o *sesv2.Options) { o.Credentials = p })...)
}

func TestARefusalOfCredentialsIsNotSESsVerdict(t *testing.T) {
	throttled := answer(429, "TooManyRequestsException", `{"message":"Rate exceeded"}`)
	for _, tc := range []struct {
		name     string
		provider aws.CredentialsProvider
		class    seserrors.Class
		service  string // that the text names
	}{
		{"IMDS: no role", fromIMDS(instanceWithout(answer(404, "", "<html>"))), seserrors.Denied, "ec2imds"},
		{"IMDS: forbidden", fromIMDS(answer(403, "", "")), seserrors.Denied, "ec2imds"},
		{"ECS: no role", fromECS(answer(404, "", `{"code":"NotFound","message":"no role"}`)), seserrors.Denied, "failed to load credentials"},
		{"ECS: bad request", fromECS(answer(400, "", `{"code":"BadRequest","message":"no role"}`)), seserrors.Denied, "failed to load credentials"},
		{"STS: not allowed to assume the role", fromSTS(stsError(403, "AccessDenied")), seserrors.Denied, "STS"},
		{"STS: invalid identity", fromWebIdentity(t, stsError(400, "InvalidIdentityToken")), seserrors.Denied, "STS"},
		{"STS: validation", fromSTS(stsError(400, "ValidationError")), seserrors.Denied, "STS"},
		{"STS: region", fromSTS(stsError(403, "RegionDisabledException")), seserrors.Denied, "STS"},
		{"STS: throttled", fromSTS(stsError(400, "Throttling")), seserrors.Unavailable, "STS"},
		{"STS: trouble", fromSTS(stsError(503, "ServiceUnavailable")), seserrors.Unavailable, "STS"},
		{"SSO: forbidden", fromSSO(t, answer(403, "ForbiddenException", `{"message":"No access"}`)), seserrors.Denied, "SSO"},
		{"SSO: unauthorized", fromSSO(t, answer(401, "UnauthorizedException", `{"message":"Session token not found or invalid"}`)), seserrors.Denied, "SSO"},
		{"SSO: grant", fromSSO(t, answer(400, "InvalidGrantException", `{}`)), seserrors.Denied, "SSO"},
		{"SSO: throttled", fromSSO(t, throttled), seserrors.Unavailable, "SSO"},
		{"a provider of the user's", aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, os.ErrNotExist
		}), seserrors.Denied, "file does not exist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := attempt(t.Context(), t, refusing(t, tc.provider))
			e := seserrors.Classify(err)
			if e == nil || e.Class != tc.class || e.MaybeAccepted || e.Reason != seserrors.CredentialsUnavailable {
				t.Fatalf("got %+v, want %v", e, tc.class)
			}
			if text := e.Err.Error(); !strings.Contains(text, "get credentials") || !strings.Contains(text, tc.service) {
				t.Errorf("the text names neither the step nor %s: %s", tc.service, text)
			}
			if e.Endpoint != "us-east-1" {
				t.Errorf("endpoint %q, want the region: no host was asked", e.Endpoint)
			}
		})
	}
}

// A laptop with nothing configured: the SDK tries the metadata address last.
func TestADoorThatNeverHadCredentialsSaysSoSoon(t *testing.T) {
	for door, send := range map[string]func(*sesv2.Client) func(context.Context) error{
		"New": func(c *sesv2.Client) func(context.Context) error {
			tr := New(c, Config{})
			return func(ctx context.Context) error { _, err := tr.Attempt(ctx, build(t, letter())); return err }
		},
		"Wrap": func(c *sesv2.Client) func(context.Context) error {
			w := Wrap(c, sesguard.Options{Retry: retryPolicy(1, false)})
			return func(ctx context.Context) error { _, err := w.SendEmail(ctx, rawInput()); return err }
		},
	} {
		t.Run(door, func(t *testing.T) {
			try := send(refusing(t, fromIMDS(nobody)))
			for i, want := range []seserrors.Class{seserrors.Unavailable, seserrors.Denied, seserrors.Denied} {
				e := seserrors.Classify(try(t.Context()))
				if e == nil || e.Class != want || e.MaybeAccepted {
					t.Errorf("attempt %d: %v, want %v", i+1, e, want)
				}
			}
		})
	}
	t.Run("Guard", func(t *testing.T) {
		client := refusing(t, fromIMDS(nobody), Guard(sesguard.Options{Retry: retryPolicy(9, false)}))
		start := time.Now()
		_, err := client.SendEmail(t.Context(), rawInput())
		if e := seserrors.Classify(err); e.Class != seserrors.Denied || e.Reason != seserrors.CredentialsUnavailable {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestNobodyIsToldThatThereAreNoCredentialsBecauseOfOthersAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(refusing(t, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			time.Sleep(time.Second)
			_, err := nobody(nil)
			return aws.Credentials{}, err
		})), Config{})
		errs := make(chan error)
		for range 5 {
			go func() { _, err := tr.Attempt(t.Context(), build(t, letter())); errs <- err }()
		}
		for range 5 {
			if err := <-errs; !seserrors.IsRetryable(err) {
				t.Errorf("got %v, want Unavailable: no attempt was a second one", err)
			}
		}
	})
}

func TestASourceOfCredentialsThatHangsIsNotWaitedForLongTheFirstTime(t *testing.T) {
	for _, tc := range []struct {
		hangs time.Duration
		class seserrors.Class
	}{{credentialsPatience - time.Nanosecond, seserrors.Unavailable}, {credentialsPatience, seserrors.Denied}} {
		synctest.Test(t, func(t *testing.T) {
			p := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
				ctx, cancel := context.WithTimeout(ctx, tc.hangs)
				defer cancel()
				<-ctx.Done()
				return aws.Credentials{}, ctx.Err()
			})
			_, err := attempt(t.Context(), t, refusing(t, p))
			if e := seserrors.Classify(err); e.Class != tc.class || e.Reason != seserrors.CredentialsUnavailable || e.MaybeAccepted {
				t.Errorf("after %v: %v, want %v", tc.hangs, err, tc.class)
			}
		})
	}
}

func TestADoorThatHadCredentialsWaitsForTheirSource(t *testing.T) {
	var fail error
	p := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		if fail != nil {
			return aws.Credentials{}, fail
		}
		return testCredentials(ctx)
	})
	tr := New(sdkClient(answer(200, "", accepted), func(o *sesv2.Options) { o.Credentials = p }), Config{})
	if _, err := tr.Attempt(t.Context(), build(t, letter())); err != nil {
		t.Fatal(err)
	}
	_, fail = nobody(nil)
	for range 3 {
		if _, err := tr.Attempt(t.Context(), build(t, letter())); !seserrors.IsRetryable(err) {
			t.Errorf("got %v, want Unavailable: there were credentials before", err)
		}
	}
}

// The file with the token is replaced from outside, and read anew each time.
func TestAnExpiredTokenIsTriedOnceMore(t *testing.T) {
	expired := stsError(400, "ExpiredTokenException")
	fresh := answer(200, "", `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKIDEXAMPLE</AccessKeyId><SecretAccessKey>not-a-secret</SecretAccessKey><SessionToken>none</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
	sts := fromWebIdentity(t, inTurn(expired, fresh, expired, expired))
	tr := New(sdkClient(answer(200, "", accepted), func(o *sesv2.Options) { o.Credentials = sts }), Config{})
	const expiry, unavailable = seserrors.CredentialsExpired, seserrors.CredentialsUnavailable
	for i, want := range []*seserrors.Error{{Class: seserrors.Unavailable, Reason: expiry}, nil, {Class: seserrors.Unavailable, Reason: expiry}, {Class: seserrors.Denied, Reason: unavailable}} {
		_, err := tr.Attempt(t.Context(), build(t, letter()))
		e := seserrors.Classify(err)
		if (e == nil) != (want == nil) || e != nil && (e.Class != want.Class || e.Reason != want.Reason || e.MaybeAccepted) {
			t.Errorf("attempt %d: %v, want %v", i+1, err, want)
		}
	}
}

func TestAContextThatEndsWhileCredentialsAreGotIsTheCallers(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		cancel()
		<-ctx.Done()
		return aws.Credentials{}, ctx.Err()
	})
	_, err := attempt(ctx, t, refusing(t, p))
	if e := seserrors.Classify(err); e.Class != seserrors.Canceled || e.MaybeAccepted {
		t.Errorf("got %v, want Canceled", err)
	}
}

func TestAClientWithoutARegionIsDeniedAtOnce(t *testing.T) {
	unset := func(o *sesv2.Options) { o.Region = "" }
	never := doer(func(*http.Request) (*http.Response, error) { panic("a request went out") })
	client := sdkClient(never, unset)
	_, limited := sesguard.New(New(client, Config{}), sesguard.Options{Limiter: NewAccountLimiter(client)}).Send(t.Context(), letter())
	_, sent := sesguard.New(New(client, Config{}), sesguard.Options{}).Send(t.Context(), letter())
	_, guarded := sdkClient(never, unset, Guard(sesguard.Options{})).SendEmail(t.Context(), simpleInput())
	_, wrapped := Wrap(client, sesguard.Options{}).SendEmail(t.Context(), simpleInput())
	for name, err := range map[string]error{"Ping": Ping(t.Context(), client), "AccountLimiter": limited, "New": sent, "Guard": guarded, "Wrap": wrapped} {
		e := seserrors.Classify(err)
		if e.Class != seserrors.Denied || e.Reason != seserrors.ConfigInvalid || seserrors.MaybeAccepted(err) || !strings.Contains(err.Error(), "AWS_REGION") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
