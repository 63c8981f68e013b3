package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/doctor"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// secret is the example key of AWS's documentation.
const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

// publicKey is a key of DKIM.
const publicKey = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

// A world is a fake SES with the network and the DNS around it, in which the
// sender's domain and the configuration set of the command line exist.
type world struct {
	server   *sestest.Server
	account  *sestest.Account
	domain   string
	identity sestest.Identity // of the domain
	set      string           // the configuration set
	dns      zone
	closed   map[string]bool // ports
	cfg      doctor.Config
}

// worlds says for each world what is broken in it.
var worlds = map[string]struct {
	about string
	spoil func(w *world)
}{
	"sound":         {"nothing is broken", func(w *world) {}},
	"firewall":      {"every port is refused", func(w *world) { w.close("25", "465", "587", "2465", "2587") }},
	"port-587":      {"port 587 is refused, the others are open", func(w *world) { w.close("587") }},
	"region":        {"the region has no SMTP interface", func(w *world) { w.cfg.SMTP.Region = "me-south-1" }},
	"tls-mode":      {"the settings ask for the TLS wrapper on port 587", func(w *world) { w.cfg.SMTP.TLS = smtpclient.TLSWrapper }},
	"middlebox":     {"TLS is intercepted", func(w *world) { w.cfg.SMTP.TLSConfig = nil }},
	"iam-secret":    {"the secret of the IAM key stands where the SMTP password should", func(w *world) { w.cfg.SMTP.Password = secret }},
	"other-region":  {"the SMTP password is of another region", func(w *world) { w.cfg.SMTP.Password = smtpclient.DerivePassword(secret, "eu-west-1") }},
	"temporary-key": {"the key is a role's", func(w *world) { w.cfg.SMTP.Username = "ASIAIOSFODNN7EXAMPLE" }},
	"permission":    {"the API's credentials may not read identities", func(w *world) { w.account.Deny("ses:GetEmailIdentity") }},
	"sandbox":       {"the account is in the sandbox", func(w *world) { w.account.SetSandbox(true) }},
	"paused":        {"sending is paused", func(w *world) { w.account.SetSendingPaused(true) }},
	"quota":         {"the quota is spent", (*world).spend},
	"unverified":    {"nothing is verified", func(w *world) { w.account.Unverify() }},
	"dkim":          {"the DKIM keys are gone from DNS", func(w *world) { w.remove("_domainkey") }},
	"mail-from":     {"the MAIL FROM domain has no MX, and SES may not fall back", (*world).breakMailFrom},
	"dmarc":         {"there is no DMARC record", func(w *world) { w.remove("_dmarc") }},
	"config-set":    {"the configuration set does not exist", func(w *world) { w.account.RemoveConfigurationSet(w.set) }},
	"suppressed":    {"the recipient is on the suppression list", (*world).suppress},
}

func worldNames() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(worlds)) {
		fmt.Fprintf(&b, "  %-14s %s\n", name, worlds[name].about)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// newWorld makes a world that is sound for this sender and breaks it.
func newWorld(name, from string, to []string, set string) (*world, error) {
	chosen, ok := worlds[name]
	if !ok {
		return nil, fmt.Errorf("%q is no world. There are:\n%s", name, worldNames())
	}
	sender, err := sesguard.ParseAddress(cmp.Or(from, "news@example.com"))
	if err != nil {
		return nil, fmt.Errorf("-from: %w", err)
	}
	if to == nil {
		to = []string{"ann@example.net"}
	}
	s := sestest.NewMemoryServer()
	s.Password = smtpclient.DerivePassword(secret, s.Region)
	domain := strings.ToLower(sender.Domain)
	w := &world{
		server: s, account: s.Account, domain: domain, set: cmp.Or(set, "main"), dns: soundZone(s.Region, domain), closed: map[string]bool{},
		identity: sestest.Identity{DKIMTokens: []string{"one", "two", "three"}, MailFromDomain: "bounce." + domain},
	}
	w.account.Unverify()
	w.account.SetIdentity(domain, w.identity)
	w.account.SetConfigurationSet(w.set, sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
	w.account.SetMax24HourSend(50000)
	w.account.SetMaxSendRate(14)
	w.cfg = doctor.Config{
		API: client(s), Resolver: w.dns,
		SMTP: smtpclient.Config{Region: s.Region, Username: s.Username, Password: s.Password, TLSConfig: s.TLSConfig(), DialContext: w.dial},
		From: sender.Addr(), To: to, ConfigurationSet: w.set,
	}
	chosen.spoil(w)
	return w, nil
}

func client(s *sestest.Server) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region: s.Region, BaseEndpoint: &s.URL, HTTPClient: s.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}, nil
		}),
	})
}

func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if _, port, _ := net.SplitHostPort(addr); w.closed[port] {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return w.server.DialContext(ctx, network, addr)
}

func (w *world) close(ports ...string) {
	for _, p := range ports {
		w.closed[p] = true
	}
}

// spend sends a mail to one recipient, and lets no second one be sent to.
func (w *world) spend() {
	_, err := client(w.server).SendEmail(context.Background(), &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("news@" + w.domain), Destination: &types.Destination{ToAddresses: []string{"ann@example.net"}},
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: &types.Content{Data: aws.String("Hello")}, Body: &types.Body{Text: &types.Content{Data: aws.String("Hello")}},
		}},
	})
	if err != nil {
		panic(err)
	}
	w.account.SetMax24HourSend(1)
}

func (w *world) remove(part string) {
	maps.DeleteFunc(w.dns.txt, func(name string, _ string) bool { return strings.Contains(name, part) })
}

func (w *world) breakMailFrom() {
	clear(w.dns.mx)
	w.identity.MailFromStatus, w.identity.RejectOnMXFailure = "FAILED", true
	w.account.SetIdentity(w.domain, w.identity)
}

func (w *world) suppress() {
	for _, to := range w.cfg.To {
		w.account.Suppress(to, "BOUNCE")
	}
}

// A zone is a DNS with these records and no others.
type zone struct{ txt, mx map[string]string }

func soundZone(region, domain string) zone {
	return zone{
		mx: map[string]string{"bounce." + domain: "feedback-smtp." + region + ".amazonses.com."},
		txt: map[string]string{
			"bounce." + domain:         "v=spf1 include:amazonses.com ~all",
			"one._domainkey." + domain: publicKey, "two._domainkey." + domain: publicKey, "three._domainkey." + domain: publicKey,
			"_dmarc." + domain: "v=DMARC1; p=quarantine; rua=mailto:dmarc@" + domain,
		},
	}
}

func (z zone) LookupHost(context.Context, string) ([]string, error) {
	return []string{"192.0.2.1"}, nil
}

func (z zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	if host, ok := z.mx[name]; ok {
		return []*net.MX{{Host: host, Pref: 10}}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if text, ok := z.txt[name]; ok {
		return []string{text}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
