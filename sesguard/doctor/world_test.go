package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
	"golang.org/x/net/dns/dnsmessage"
)

// The resolver reads /etc/resolv.conf and nsswitch.conf once, guarded by channels that
// belong to whoever is first: that must not be a bubble.
func TestMain(m *testing.M) {
	r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("closed") }}
	_, _ = r.LookupTXT(context.Background(), "start.example.")
	_, _ = r.LookupHost(context.Background(), "start.example.")
	os.Exit(m.Run())
}

// A world is an account, a network and a DNS in which mail leaves. Tests break it.
type world struct {
	server *sestest.Server
	api    *fakeAPI
	dns    *fakeDNS
	ports  map[string]func(ctx context.Context) (net.Conn, error) // in place of the server's
	cfg    Config
	mtu    int
}

// secret has the form of an IAM key's.
const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

const host = "email-smtp.us-east-1.amazonaws.com"

func newWorld() *world {
	s := sestest.NewMemoryServer()
	s.Account.AddConfigurationSet("main")
	s.Password = smtpclient.DerivePassword(secret, "us-east-1")
	w := &world{server: s, ports: map[string]func(context.Context) (net.Conn, error){}, mtu: 1500}
	w.api = &fakeAPI{
		account: &sesv2.GetAccountOutput{ProductionAccessEnabled: true, SendingEnabled: true, EnforcementStatus: ptr("HEALTHY"),
			SendQuota:             &types.SendQuota{Max24HourSend: 50000, MaxSendRate: 14, SentLast24Hours: 100},
			SuppressionAttributes: &types.SuppressionAttributes{SuppressedReasons: []types.SuppressionListReason{"BOUNCE", "COMPLAINT"}}},
		identities:   map[string]*sesv2.GetEmailIdentityOutput{"example.com": goodIdentity()},
		sets:         map[string]*sesv2.GetConfigurationSetOutput{"main": {SendingOptions: &types.SendingOptions{SendingEnabled: true}}},
		destinations: map[string][]types.EventDestination{"main": {{Enabled: true, MatchingEventTypes: []types.EventType{"BOUNCE", "COMPLAINT", "SEND", "RENDERING_FAILURE"}}}},
		suppressed:   map[string]types.SuppressionListReason{},
		errs:         map[string]error{},
	}
	w.dns = &fakeDNS{
		hosts: map[string]bool{host: true},
		mx:    map[string][]string{"bounce.example.com": {"feedback-smtp.us-east-1.amazonses.com"}},
		txt: map[string][]string{
			"bounce.example.com":         {"v=spf1 include:amazonses.com ~all"},
			"one._domainkey.example.com": {"p=MIGf"}, "two._domainkey.example.com": {"k=rsa; p=MIGf"}, "three._domainkey.example.com": {"p=MIGf"},
			"_dmarc.example.com": {"v=DMARC1; p=quarantine"},
		},
	}
	w.cfg = Config{
		API:  w.api,
		SMTP: smtpclient.Config{Region: "us-east-1", Username: s.Username, Password: s.Password, TLSConfig: s.TLSConfig(), DialContext: w.dial},
		From: "News <news@example.com>", To: []string{"ann@example.net"}, ConfigurationSet: "main",
		Resolver: w.dns.resolver(),
	}
	return w
}

func ptr[T any](v T) *T { return &v }

func goodIdentity() *sesv2.GetEmailIdentityOutput {
	return &sesv2.GetEmailIdentityOutput{
		VerifiedForSendingStatus: true, VerificationStatus: "SUCCESS", FeedbackForwardingStatus: true, IdentityType: "DOMAIN",
		DkimAttributes:     &types.DkimAttributes{SigningEnabled: true, Status: "SUCCESS", Tokens: []string{"one", "two", "three"}},
		MailFromAttributes: &types.MailFromAttributes{MailFromDomain: ptr("bounce.example.com"), MailFromDomainStatus: "SUCCESS", BehaviorOnMxFailure: "USE_DEFAULT_VALUE"},
	}
}

func (w *world) run(ctx context.Context) *Report {
	defer w.server.Close()
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	r := newRun(w.cfg)
	r.interfaces = func() ([]net.Interface, error) {
		return []net.Interface{{Name: "lo", MTU: 65536, Flags: net.FlagUp | net.FlagLoopback}, {Name: "eth0", MTU: w.mtu, Flags: net.FlagUp}}, nil
	}
	return r.run(ctx, start)
}

func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, _ := net.SplitHostPort(addr)
	if f := w.ports[port]; f != nil {
		return f(ctx)
	}
	return w.server.DialContext(ctx, network, addr)
}

// set lets ports do what f does; "" is all of SES's.
func (w *world) set(f func(context.Context) (net.Conn, error), ports ...string) {
	if len(ports) == 0 {
		ports = []string{"25", "587", "2587", "465", "2465"}
	}
	for _, p := range ports {
		w.ports[p] = f
	}
}

func refuses(context.Context) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

func drops(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
}

func noRoute(context.Context) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
}

// says plays a server: it writes the greeting and answers each line that begins
// with a key. A line without an answer gets none; "close" closes.
func says(greeting string, answers map[string]string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if greeting != "" {
				if _, err := io.WriteString(server, greeting+"\r\n"); err != nil {
					return
				}
			}
			lines := bufio.NewReader(server)
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				for key, answer := range answers {
					if !strings.HasPrefix(line, key) {
						continue
					}
					if answer == "close" {
						return
					}
					if _, err := io.WriteString(server, answer+"\r\n"); err != nil {
						return
					}
				}
			}
		}()
		return client, nil
	}
}

// A filtered connection loses writes larger than an Ethernet packet from the
// moment on that it carried so many writes.
type filtered struct {
	net.Conn
	lost bool
}

func (c *filtered) Write(p []byte) (int, error) {
	if c.lost = c.lost || len(p) > 3000; c.lost {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// A fakeAPI is an account of SES.
type fakeAPI struct {
	mu           sync.Mutex
	calls        []string
	times        []time.Time
	account      *sesv2.GetAccountOutput
	identities   map[string]*sesv2.GetEmailIdentityOutput
	sets         map[string]*sesv2.GetConfigurationSetOutput
	destinations map[string][]types.EventDestination
	suppressed   map[string]types.SuppressionListReason
	errs         map[string]error // by operation
}

func (a *fakeAPI) call(ctx context.Context, op string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, op)
	a.times = append(a.times, time.Now())
	if err := a.errs[op]; err != nil {
		return err
	}
	return a.errs["*"]
}

func notFound(what string) error { return &types.NotFoundException{Message: &what} }

func apiError(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message, Fault: smithy.FaultClient}
}

func (a *fakeAPI) GetAccount(ctx context.Context, _ *sesv2.GetAccountInput, _ ...func(*sesv2.Options)) (*sesv2.GetAccountOutput, error) {
	return a.account, a.call(ctx, "GetAccount")
}

func (a *fakeAPI) GetEmailIdentity(ctx context.Context, in *sesv2.GetEmailIdentityInput, _ ...func(*sesv2.Options)) (*sesv2.GetEmailIdentityOutput, error) {
	err := a.call(ctx, "GetEmailIdentity")
	out := a.identities[*in.EmailIdentity]
	if err == nil && out == nil {
		err = notFound("Email identity does not exist.")
	}
	return out, err
}

func (a *fakeAPI) GetConfigurationSet(ctx context.Context, in *sesv2.GetConfigurationSetInput, _ ...func(*sesv2.Options)) (*sesv2.GetConfigurationSetOutput, error) {
	err := a.call(ctx, "GetConfigurationSet")
	out := a.sets[*in.ConfigurationSetName]
	if err == nil && out == nil {
		err = notFound("Configuration set does not exist.")
	}
	return out, err
}

func (a *fakeAPI) GetConfigurationSetEventDestinations(ctx context.Context, in *sesv2.GetConfigurationSetEventDestinationsInput, _ ...func(*sesv2.Options)) (*sesv2.GetConfigurationSetEventDestinationsOutput, error) {
	return &sesv2.GetConfigurationSetEventDestinationsOutput{EventDestinations: a.destinations[*in.ConfigurationSetName]}, a.call(ctx, "GetConfigurationSetEventDestinations")
}

func (a *fakeAPI) GetSuppressedDestination(ctx context.Context, in *sesv2.GetSuppressedDestinationInput, _ ...func(*sesv2.Options)) (*sesv2.GetSuppressedDestinationOutput, error) {
	err := a.call(ctx, "GetSuppressedDestination")
	reason, ok := a.suppressed[*in.EmailAddress]
	if err == nil && !ok {
		err = notFound("Email address does not exist on your suppression list.")
	}
	return &sesv2.GetSuppressedDestinationOutput{SuppressedDestination: &types.SuppressedDestination{
		EmailAddress: in.EmailAddress, Reason: reason, LastUpdateTime: ptr(time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC))}}, err
}

// A sendingAPI can send too.
type sendingAPI struct {
	*fakeAPI
	sent []string
}

func (a *sendingAPI) SendEmail(ctx context.Context, in *sesv2.SendEmailInput, _ ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
	if err := a.call(ctx, "SendEmail"); err != nil {
		return nil, err
	}
	a.sent = append(a.sent, in.Destination.ToAddresses...)
	return &sesv2.SendEmailOutput{MessageId: ptr(fmt.Sprintf("id-%d", len(a.sent)))}, nil
}

// A fakeDNS is a server that speaks DNS over connections in memory.
type fakeDNS struct {
	hosts  map[string]bool
	mx     map[string][]string
	txt    map[string][]string
	silent map[string]bool // names that get no answer
	down   bool
}

func (d *fakeDNS) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		client, server := net.Pipe()
		go d.serve(server)
		return client, nil
	}}
}

// serve answers queries with a length before each, as over TCP (RFC 1035, section
// 4.2.2): the resolver does so on a connection that is no net.PacketConn.
func (d *fakeDNS) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		answer := d.answer(query)
		if answer == nil {
			continue
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func (d *fakeDNS) answer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	if d.down || d.silent[name] {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
	add := func(body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: body})
	}
	switch q.Type {
	case dnsmessage.TypeA:
		if d.hosts[name] {
			add(&dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}})
		}
	case dnsmessage.TypeMX:
		for _, host := range d.mx[name] {
			add(&dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName(host + ".")})
		}
	case dnsmessage.TypeTXT:
		for _, text := range d.txt[name] {
			add(&dnsmessage.TXTResource{TXT: []string{text}})
		}
	}
	if len(m.Answers) == 0 && !d.hosts[name] {
		m.RCode = dnsmessage.RCodeNameError
	}
	out, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return out
}
