package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
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
	server  *sestest.Server
	http    *http.Transport
	account *sestest.Account
	dns     *fakeDNS
	ports   map[string]func(ctx context.Context) (net.Conn, error) // in place of the server's
	answers map[string]answer                                      // in place of the API's, by operation; "" is all
	cfg     Config
	ahead   time.Duration // of SES's clock
	took    time.Duration // what the run took

	mu    sync.Mutex
	calls []apiCall
}

// An apiCall is a request that reached the API, or the answer in its place.
type apiCall struct {
	op string
	at time.Time
}

// secret has the form of an IAM key's.
const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

const host = "email-smtp.us-east-1.amazonaws.com"

// publicKey is one of RSA.
const publicKey = "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDo+MmFRJPH646LxibKNYtvGNEQ0bECHXnAYUFphJuAqSlSLgHw7ReXI11y41ewuRB4s7r39/MAEYJqMSRV+vqpUxoz3axG/z8Et7FpmY9Y54pH1Ase91G64yREVjl2KNmh+vQd8edA7hQFKGFj72QryeJeCZSYCpdYVWfG8xyM1QIDAQAB"

func newWorld() *world {
	s := sestest.NewMemoryServer()
	s.Password = smtpclient.DerivePassword(secret, "us-east-1")
	w := &world{server: s, http: &http.Transport{DialContext: s.DialContext, TLSClientConfig: s.TLSConfig()}, account: s.Account, ports: map[string]func(context.Context) (net.Conn, error){}, answers: map[string]answer{}}
	s.Account.SetMax24HourSend(50000)
	s.Account.SetIdentity("example.com", goodIdentity())
	w.hear("BOUNCE", "COMPLAINT", "SEND", "RENDERING_FAILURE")
	w.dns = &fakeDNS{
		hosts: map[string]string{host: "192.0.2.1"},
		mx:    map[string][]string{"bounce.example.com": {"feedback-smtp.us-east-1.amazonses.com"}},
		cname: map[string]string{},
		txt: map[string][]string{
			"bounce.example.com": {"v=spf1 include:amazonses.com ~all"},
			"_dmarc.example.com": {"v=DMARC1; p=quarantine"},
		},
		rcode: map[string]dnsmessage.RCode{},
	}
	for _, token := range []string{"one", "two", "three"} {
		w.dns.cname[token+"._domainkey.example.com"] = token + ".dkim.amazonses.com"
		w.dns.txt[token+".dkim.amazonses.com"] = []string{publicKey}
	}
	w.cfg = Config{
		API:  w.client("us-east-1"),
		SMTP: smtpclient.Config{Region: "us-east-1", Username: s.Username, Password: s.Password, TLSConfig: s.TLSConfig(), DialContext: w.dial},
		From: "News <news@example.com>", To: []string{"ann@example.net"}, ConfigurationSet: "main",
		Resolver: w.dns.resolver(),
	}
	return w
}

func goodIdentity() sestest.Identity {
	return sestest.Identity{DKIMTokens: []string{"one", "two", "three"}, MailFromDomain: "bounce.example.com"}
}

// identity changes example.com.
func (w *world) identity(change func(*sestest.Identity)) {
	id := goodIdentity()
	change(&id)
	w.account.SetIdentity("example.com", id)
}

// hear has an event destination hear of these.
func (w *world) hear(types ...string) {
	w.account.SetConfigurationSet("main", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{Types: types}}})
}

// send sends to so many recipients.
func (w *world) send(n int) {
	var to []string
	for i := range n {
		to = append(to, fmt.Sprintf("user%d@example.net", i))
	}
	_, err := w.client("us-east-1").SendEmail(context.Background(), &sesv2.SendEmailInput{
		FromEmailAddress: &[]string{"news@example.com"}[0], Destination: &types.Destination{BccAddresses: to},
		Content: &types.EmailContent{Raw: &types.RawMessage{Data: []byte("From: news@example.com\r\nTo: undisclosed:;\r\n\r\nHello")}},
	})
	if err != nil {
		panic(err)
	}
}

// client returns a client of the API in a region.
func (w *world) client(region string) *sesv2.Client {
	return sesv2.New(sesv2.Options{Region: region, BaseEndpoint: &w.server.URL, HTTPClient: w, Credentials: aws.CredentialsProviderFunc(
		func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: w.server.AccessKeyID, SecretAccessKey: w.server.SecretAccessKey}, nil
		})})
}

// An answer is the API's. The zero value is none at all.
type answer struct {
	status        int
	code, message string
	err           error // of the network
}

// Do makes a world the HTTP client of its API clients.
func (w *world) Do(req *http.Request) (*http.Response, error) {
	path, name, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/email/"), "/")
	op := map[string]string{"account": "GetAccount", "identities": "GetEmailIdentity", "configuration-sets": "GetConfigurationSet",
		"suppression": "GetSuppressedDestination", "outbound-emails": "SendEmail"}[path]
	switch {
	case name == "addresses":
		op = "ListSuppressedDestinations"
	case strings.HasSuffix(name, "/event-destinations"):
		op = "GetConfigurationSetEventDestinations"
	}
	w.mu.Lock()
	w.calls = append(w.calls, apiCall{op, time.Now()})
	w.mu.Unlock()
	a, ok := w.answers[op]
	if !ok {
		a, ok = w.answers[""]
	}
	switch {
	case !ok:
		resp, err := w.http.RoundTrip(req)
		if err == nil {
			resp.Header.Set("Date", time.Now().Add(w.ahead).UTC().Format(http.TimeFormat))
		}
		return resp, err
	case a.err != nil:
		return nil, &url.Error{Op: "Get", URL: req.URL.String(), Err: a.err}
	case a.status == 0:
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	body := fmt.Sprintf(`{"message":%q}`, a.message)
	return &http.Response{StatusCode: a.status, Header: http.Header{"X-Amzn-Errortype": {a.code}, "Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: req, ProtoMajor: 1, ProtoMinor: 1}, nil
}

// run runs the doctor, and then waits for functions that it left behind.
func (w *world) run(ctx context.Context) *Report {
	defer time.Sleep(time.Hour)
	defer w.server.Close()
	defer w.http.CloseIdleConnections()
	defer func(start time.Time) { w.took = time.Since(start) }(time.Now())
	return Run(ctx, w.cfg)
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

func closes(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	server.Close()
	return client, nil
}

// says plays a server in clear text.
func says(greeting string, answers map[string]string) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go speak(server, greeting, answers)
		return client, nil
	}
}

// speak greets and answers each line that begins with a key. A line without an
// answer gets none; "close" closes.
func speak(conn net.Conn, greeting string, answers map[string]string) {
	defer conn.Close()
	if greeting != "" {
		if _, err := io.WriteString(conn, greeting+"\r\n"); err != nil {
			return
		}
	}
	lines := bufio.NewReader(conn)
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
			if _, err := io.WriteString(conn, answer+"\r\n"); err != nil {
				return
			}
		}
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

// A fakeDNS is a server that speaks DNS over connections in memory.
type fakeDNS struct {
	hosts  map[string]string
	mx     map[string][]string
	cname  map[string]string
	txt    map[string][]string
	rcode  map[string]dnsmessage.RCode // in place of answers
	silent string                      // names with this in them get no answer; "" is none
	cut    bool                        // answers over UDP are cut off
}

func (d *fakeDNS) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		go d.serve(server, strings.HasPrefix(network, "udp"))
		if strings.HasPrefix(network, "udp") {
			return packets{client}, nil
		}
		return client, nil
	}}
}

// packets tells the resolver that no length stands before a message.
type packets struct{ net.Conn }

func (packets) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, errors.ErrUnsupported }
func (packets) WriteTo([]byte, net.Addr) (int, error)  { return 0, errors.ErrUnsupported }

// serve answers queries, over TCP with a length before each (RFC 1035, section 4.2.2).
func (d *fakeDNS) serve(c net.Conn, udp bool) {
	defer c.Close()
	buf := make([]byte, 65535)
	for {
		n, err := 0, error(nil)
		if udp {
			n, err = c.Read(buf)
		} else if _, err = io.ReadFull(c, buf[:2]); err == nil {
			n, err = io.ReadFull(c, buf[:binary.BigEndian.Uint16(buf)])
		}
		if err != nil {
			return
		}
		answer := d.answer(buf[:n], udp)
		if answer == nil {
			continue
		}
		if !udp {
			answer = append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func (d *fakeDNS) answer(query []byte, udp bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	if d.silent != "" && strings.Contains(name, d.silent) {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if m.RCode = d.rcode[name]; m.RCode == 0 {
		m.Answers = d.records(q, name)
		if _, known := d.hosts[name]; len(m.Answers) == 0 && !known {
			m.RCode = dnsmessage.RCodeNameError
		}
	}
	if udp && d.cut {
		m.Truncated, m.Answers = true, nil
	}
	out, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return out
}

// records returns the records of a name, which may be an alias.
func (d *fakeDNS) records(q dnsmessage.Question, name string) (all []dnsmessage.Resource) {
	add := func(kind dnsmessage.Type, body dnsmessage.ResourceBody) {
		all = append(all, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name + "."), Type: kind, Class: q.Class, TTL: 60}, Body: body})
	}
	if target, ok := d.cname[name]; ok {
		add(dnsmessage.TypeCNAME, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(target + ".")})
		name = target
	}
	switch q.Type {
	case dnsmessage.TypeA:
		if ip, ok := d.hosts[name]; ok {
			add(q.Type, &dnsmessage.AResource{A: netip.MustParseAddr(ip).As4()})
		}
	case dnsmessage.TypeMX:
		for _, host := range d.mx[name] {
			add(q.Type, &dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName(host + ".")})
		}
	case dnsmessage.TypeTXT:
		for _, text := range d.txt[name] {
			var parts []string
			for ; len(text) > 255; text = text[255:] {
				parts = append(parts, text[:255])
			}
			add(q.Type, &dnsmessage.TXTResource{TXT: append(parts, text)})
		}
	}
	return all
}
