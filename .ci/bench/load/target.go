package load

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A network is how SES is reached; the zero value is the machine's own.
type network struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	trust *tls.Config
}

// A target is where the mails go.
type target struct {
	name string
	from string
	smtp smtpclient.Config
	api  *sesv2.Client
	tidy func() // now and then
	end  []func()

	dials *atomic.Int64 // by both transports
}

func (t *target) close() {
	for _, f := range t.end {
		f()
	}
}

func open(ctx context.Context, set settings, net network) (to *target, missing string) {
	if set.ses {
		return toSES(ctx, set, net)
	}
	return toFake(set, sestest.NewServer()), ""
}

// toFake closes the fake at the end, and empties its mailbox on the way.
func toFake(set settings, ses *sestest.Server) *target {
	ses.Account.SetMaxSendRate(set.accountAt)
	t := &target{name: "a fake SES in this process, which shares its CPUs", from: "load@example.com", tidy: func() { ses.TakeAccepted() }, dials: new(atomic.Int64)}
	t.end = append(t.end, ses.Close)
	t.smtp = smtpclient.Config{Addr: ses.SMTPAddr, Username: ses.Username, Password: ses.Password}
	cfg := aws.Config{Region: ses.Region, BaseEndpoint: &ses.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: ses.AccessKeyID, SecretAccessKey: ses.SecretAccessKey}, nil
	})}
	t.connect(set, cfg, network{dial: far(set.rtt, ses.DialContext), trust: ses.TLSConfig()})
	return t
}

// toSES takes region and credentials from the AWS environment, as the
// examples smtp and api do.
func toSES(ctx context.Context, set settings, net network) (t *target, missing string) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(set.region))
	if err != nil {
		return nil, err.Error() + "\n"
	}
	t = &target{name: "the mailbox simulator of SES in " + cfg.Region, from: set.from, tidy: func() {}, dials: new(atomic.Int64)}
	found := true
	if set.transport == "smtp" {
		t.smtp = smtpclient.Config{Region: cfg.Region}
		t.smtp.Username, t.smtp.Password = smtpCredentials(cfg.Region)
		found = t.smtp.Username != ""
	}
	if found && (set.transport == "api" || set.follow) {
		_, err = cfg.Credentials.Retrieve(ctx)
		found = err == nil
	}
	if text := missingText(set.from != "", cfg.Region != "", found, err); text != "" {
		return nil, text
	}
	t.connect(set, cfg, net)
	return t, ""
}

// connect sets up both transports: as many connections as senders, counted.
func (t *target) connect(set settings, cfg aws.Config, net network) {
	t.smtp.MaxConns, t.smtp.TLSConfig = set.senders, net.trust
	t.smtp.DialContext = t.counted(net.dial)
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxIdleConnsPerHost, tr.IdleConnTimeout = set.senders, 5*time.Second
	dial := tr.DialContext
	if net.dial != nil {
		dial, tr.TLSClientConfig = net.dial, net.trust
	}
	tr.DialContext = t.counted(dial)
	cfg.HTTPClient = &http.Client{Transport: tr}
	t.api = sesv2.NewFromConfig(cfg)
	t.end = append([]func(){tr.CloseIdleConnections}, t.end...)
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func (t *target) counted(dial dialFunc) dialFunc {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		t.dials.Add(1)
		return dial(ctx, network, addr)
	}
}

// smtpCredentials are SES's own, or derived from the access key of an IAM user.
// A role's temporary key does not work over SMTP.
func smtpCredentials(region string) (username, password string) {
	if name, password := os.Getenv("SES_SMTP_USERNAME"), os.Getenv("SES_SMTP_PASSWORD"); name != "" && password != "" {
		return name, password
	}
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" || region == "" || os.Getenv("AWS_SESSION_TOKEN") != "" {
		return "", ""
	}
	return id, smtpclient.DerivePassword(secret, region)
}
