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

// A world is a fake SES with the network and the DNS around it, in which the
// sender's domain and the configuration set of the command line exist.
type world struct {
	server *sestest.Server
	domain string
	api    *account
	dns    zone
	closed map[string]error // by port
	cfg    doctor.Config
}

// worlds says for each world what is broken in it.
var worlds = map[string]struct {
	about string
	spoil func(w *world)
}{
	"sound":         {"nothing is broken", func(w *world) {}},
	"firewall":      {"every port is refused", func(w *world) { w.close("25", "465", "587", "2465", "2587") }},
	"port-587":      {"port 587 is refused, the others are open", func(w *world) { w.close("587") }},
	"tls-mode":      {"the settings ask for the TLS wrapper on port 587", func(w *world) { w.cfg.SMTP.TLS = smtpclient.TLSWrapper }},
	"middlebox":     {"TLS is intercepted", func(w *world) { w.cfg.SMTP.TLSConfig = nil }},
	"iam-secret":    {"the secret of the IAM key stands where the SMTP password should", func(w *world) { w.cfg.SMTP.Password = secret }},
	"other-region":  {"the SMTP password is of another region", func(w *world) { w.cfg.SMTP.Password = smtpclient.DerivePassword(secret, "eu-west-1") }},
	"temporary-key": {"the key is a role's", func(w *world) { w.cfg.SMTP.Username = "ASIAIOSFODNN7EXAMPLE" }},
	"sandbox":       {"the account is in the sandbox", func(w *world) { w.api.account.ProductionAccessEnabled = false }},
	"paused":        {"sending is paused", func(w *world) { w.api.account.SendingEnabled = false }},
	"quota":         {"the quota is spent", func(w *world) { w.api.account.SendQuota.SentLast24Hours = 50000 }},
	"unverified":    {"nothing is verified", func(w *world) { clear(w.api.identities) }},
	"dkim":          {"the DKIM keys are gone from DNS", func(w *world) { w.remove("_domainkey") }},
	"mail-from":     {"the MAIL FROM domain has no MX, and SES may not fall back", func(w *world) { w.breakMailFrom() }},
	"dmarc":         {"there is no DMARC record", func(w *world) { w.remove("_dmarc") }},
	"config-set":    {"the configuration set does not exist", func(w *world) { w.api.set = "" }},
	"suppressed":    {"the recipient is on the suppression list", func(w *world) { w.suppress() }},
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
	set = cmp.Or(set, "main")
	s := sestest.NewMemoryServer()
	s.Password = smtpclient.DerivePassword(secret, s.Region)
	s.Account.Verify(sender.Domain)
	s.Account.AddConfigurationSet(set)
	domain := strings.ToLower(sender.Domain)
	w := &world{server: s, domain: domain, api: soundAccount(domain, set), dns: soundZone(s.Region, domain), closed: map[string]error{}}
	w.cfg = doctor.Config{
		API: w.api, Region: s.Region, Resolver: w.dns,
		SMTP: smtpclient.Config{Region: s.Region, Username: s.Username, Password: s.Password, TLSConfig: s.TLSConfig(), DialContext: w.dial},
		From: sender.Addr(), To: to, ConfigurationSet: set,
	}
	chosen.spoil(w)
	return w, nil
}

func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, _ := net.SplitHostPort(addr)
	if err := w.closed[port]; err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return w.server.DialContext(ctx, network, addr)
}

func (w *world) close(ports ...string) {
	for _, p := range ports {
		w.closed[p] = os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
}

func (w *world) remove(part string) {
	maps.DeleteFunc(w.dns.txt, func(name string, _ string) bool { return strings.Contains(name, part) })
}

func (w *world) breakMailFrom() {
	clear(w.dns.mx)
	m := w.api.identities[w.domain].MailFromAttributes
	m.MailFromDomainStatus, m.BehaviorOnMxFailure = types.MailFromDomainStatusFailed, types.BehaviorOnMxFailureRejectMessage
}

func (w *world) suppress() {
	for _, to := range w.cfg.To {
		if a, err := sesguard.ParseAddress(to); err == nil {
			w.api.suppressed[a.Addr()] = true
		}
	}
}

// A zone is a DNS with these records and no others.
type zone struct{ txt, mx map[string]string }

func soundZone(region, domain string) zone {
	return zone{
		mx: map[string]string{"bounce." + domain: "feedback-smtp." + region + ".amazonses.com."},
		txt: map[string]string{
			"bounce." + domain:         "v=spf1 include:amazonses.com ~all",
			"one._domainkey." + domain: "p=MIGf", "two._domainkey." + domain: "p=MIGf", "three._domainkey." + domain: "p=MIGf",
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

// An account answers the API's calls.
type account struct {
	account    sesv2.GetAccountOutput
	identities map[string]*sesv2.GetEmailIdentityOutput
	suppressed map[string]bool
	set        string // the configuration set that exists
}

func soundAccount(domain, set string) *account {
	return &account{
		set: set,
		account: sesv2.GetAccountOutput{ProductionAccessEnabled: true, SendingEnabled: true, EnforcementStatus: aws.String("HEALTHY"),
			SendQuota: &types.SendQuota{Max24HourSend: 50000, MaxSendRate: 14, SentLast24Hours: 1200}},
		identities: map[string]*sesv2.GetEmailIdentityOutput{domain: {
			VerifiedForSendingStatus: true, VerificationStatus: types.VerificationStatusSuccess, FeedbackForwardingStatus: true,
			DkimAttributes: &types.DkimAttributes{SigningEnabled: true, Status: types.DkimStatusSuccess, Tokens: []string{"one", "two", "three"}},
			MailFromAttributes: &types.MailFromAttributes{MailFromDomain: aws.String("bounce." + domain),
				MailFromDomainStatus: types.MailFromDomainStatusSuccess, BehaviorOnMxFailure: types.BehaviorOnMxFailureUseDefaultValue},
		}},
		suppressed: map[string]bool{},
	}
}

func (a *account) GetAccount(context.Context, *sesv2.GetAccountInput, ...func(*sesv2.Options)) (*sesv2.GetAccountOutput, error) {
	return &a.account, nil
}

func (a *account) GetEmailIdentity(_ context.Context, in *sesv2.GetEmailIdentityInput, _ ...func(*sesv2.Options)) (*sesv2.GetEmailIdentityOutput, error) {
	if id := a.identities[*in.EmailIdentity]; id != nil {
		return id, nil
	}
	return nil, &types.NotFoundException{Message: aws.String("Email identity " + *in.EmailIdentity + " does not exist.")}
}

func (a *account) GetConfigurationSet(_ context.Context, in *sesv2.GetConfigurationSetInput, _ ...func(*sesv2.Options)) (*sesv2.GetConfigurationSetOutput, error) {
	if *in.ConfigurationSetName != a.set {
		return nil, &types.NotFoundException{Message: aws.String("Configuration set " + *in.ConfigurationSetName + " does not exist.")}
	}
	return &sesv2.GetConfigurationSetOutput{SendingOptions: &types.SendingOptions{SendingEnabled: true}}, nil
}

func (a *account) GetConfigurationSetEventDestinations(context.Context, *sesv2.GetConfigurationSetEventDestinationsInput, ...func(*sesv2.Options)) (*sesv2.GetConfigurationSetEventDestinationsOutput, error) {
	return &sesv2.GetConfigurationSetEventDestinationsOutput{EventDestinations: []types.EventDestination{{Enabled: true,
		MatchingEventTypes: []types.EventType{types.EventTypeBounce, types.EventTypeComplaint, types.EventTypeSend, types.EventTypeRenderingFailure}}}}, nil
}

func (a *account) GetSuppressedDestination(_ context.Context, in *sesv2.GetSuppressedDestinationInput, _ ...func(*sesv2.Options)) (*sesv2.GetSuppressedDestinationOutput, error) {
	if !a.suppressed[*in.EmailAddress] {
		return nil, &types.NotFoundException{Message: aws.String("The address is not on your suppression list.")}
	}
	return &sesv2.GetSuppressedDestinationOutput{SuppressedDestination: &types.SuppressedDestination{
		EmailAddress: in.EmailAddress, Reason: types.SuppressionListReasonBounce}}, nil
}
