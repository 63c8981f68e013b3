package sestest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest/internal/memnet"
)

// DefaultRegion is the region of a server that was given none.
const DefaultRegion = "us-east-1"

// The names under which a memory server can be dialled through its
// DialContext. They end in .invalid (RFC 6761 section 6.4), so that a client
// that forgets DialContext can never reach the real SES.
const (
	memSMTPHost = "email-smtp.sestest.invalid"
	memAPIHost  = "email.sestest.invalid"
	memPlain    = "127.0.0.1:1025"
)

// A Server is a fake SES. Its fields may be set between NewUnstartedServer
// and Start and must not be changed afterwards; its methods are safe for
// concurrent use.
type Server struct {
	// The addresses. What is set before Start is listened on: an empty
	// address, or one with port 0, gets a free port on 127.0.0.1. Afterwards
	// they are the addresses to dial.
	SMTPAddr  string // "host:port" of the SMTP endpoint that requires STARTTLS
	SMTPSAddr string // "host:port" of the SMTP endpoint with TLS wrapper
	PlainAddr string // "host:port" of a local relay: no TLS and no AUTH needed, same mailbox
	URL       string // "https://host:port", the base endpoint of the v2 API

	Region string // where the account is; "us-east-1" if nothing else was set

	Username, Password           string // SMTP credentials
	AccessKeyID, SecretAccessKey string // for API clients; signatures are not checked

	Account *Account // what the account may do; for both transports
	Events  *Events  // what becomes of accepted mails

	memory    map[string]*memnet.Listener // nil for a server on loopback
	dialNames map[string]string           // SES's own names, to the addresses above
	api       *http.Server
	listeners []net.Listener
	done      chan struct{} // closed by Close
	wg        sync.WaitGroup

	script script
	log    commandLog

	mu         sync.Mutex
	closed     bool
	conns      map[net.Conn]struct{}
	smtp, http Connections
	limits     limits
	logins     int
	requests   int
	accepted   []Mail
	unrendered []Mail
}

// limits are those that SES sets for a connection.
type limits struct {
	idle       time.Duration
	messages   int
	conns      int
	extensions []string
}

// Connections counts connections as the server sees them.
type Connections struct {
	Open  int // now
	Max   int // at the same time, ever
	Total int // since the server started
}

// NewServer starts a fake SES on free ports of 127.0.0.1. Close it when done.
// It panics if it cannot listen, as net/http/httptest does, and inside a
// testing/synctest bubble, whose clock waits on sockets would stop: there,
// call NewMemoryServer.
func NewServer() *Server {
	s := NewUnstartedServer()
	if err := s.Start(); err != nil {
		panic("sestest: " + err.Error())
	}
	return s
}

// NewMemoryServer starts a fake SES without sockets: only its DialContext and
// its HTTPClient reach it. Create, use and close it inside one
// testing/synctest bubble; every wait of its connections is durably blocking
// there, so the bubble's clock moves on. It works outside of bubbles too.
func NewMemoryServer() *Server {
	s := NewUnstartedServer()
	s.StartMemory()
	return s
}

// NewUnstartedServer returns a server that does not listen yet. Set its
// addresses, region or credentials, script what is to happen, and call Start
// or StartMemory.
func NewUnstartedServer() *Server {
	s := &Server{
		Region:          DefaultRegion,
		Username:        "AKIAIOSFODNN7EXAMPLE",
		Password:        "sestest-smtp-password",
		AccessKeyID:     "AKIAIOSFODNN7EXAMPLE",
		SecretAccessKey: "sestest-secret-access-key",
		Account:         newAccount(),
		done:            make(chan struct{}),
		conns:           make(map[net.Conn]struct{}),
		limits:          limits{idle: DefaultIdleLimit},
	}
	s.Events = newEvents(s)
	return s
}

// Start listens on the addresses that are set, so that other processes can
// use the server too: they need CertPEM beside the addresses. An error says
// which address could not be listened on; nothing is started then. Start
// panics inside a testing/synctest bubble, and if the server was started or
// closed before.
func (s *Server) Start() error {
	s.mustBeNew()
	if inBubble() {
		panic("sestest: a server on sockets stops the clock of a testing/synctest bubble: use NewMemoryServer or StartMemory there")
	}
	host := ""
	if s.URL != "" {
		u, err := url.Parse(s.URL)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("the API's URL is not https://host:port: %s", s.URL)
		}
		host = u.Host
	}
	var all []net.Listener
	for _, addr := range []string{s.SMTPAddr, s.SMTPSAddr, s.PlainAddr, host} {
		l, err := net.Listen("tcp", cmp.Or(addr, "127.0.0.1:0"))
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			return err
		}
		all = append(all, l)
	}
	addr := func(i int) string { return all[i].Addr().String() }
	s.SMTPAddr, s.SMTPSAddr, s.PlainAddr, s.URL = addr(0), addr(1), addr(2), "https://"+addr(3)
	s.serve(addr(3), all[0], all[1], all[2], all[3])
	return nil
}

// StartMemory starts the server without sockets, as NewMemoryServer does. It
// sets all addresses. It panics if the server was started or closed before.
func (s *Server) StartMemory() {
	s.mustBeNew()
	api := memAPIHost + ":443"
	s.SMTPAddr, s.SMTPSAddr, s.PlainAddr, s.URL = memSMTPHost+":587", memSMTPHost+":465", memPlain, "https://"+api
	smtp, smtps, plain, https := memnet.Listen(587), memnet.Listen(465), memnet.Listen(1025), memnet.Listen(443)
	s.memory = map[string]*memnet.Listener{s.SMTPAddr: smtp, s.SMTPSAddr: smtps, s.PlainAddr: plain, api: https}
	s.serve(api, smtp, smtps, plain, https)
}

func (s *Server) mustBeNew() {
	if s.listeners != nil {
		panic("sestest: the server was started before")
	}
	if read(s, &s.closed) {
		panic("sestest: the server is closed")
	}
}

// inBubble reports whether the caller runs in a testing/synctest bubble. The
// standard library has no function that tells; the goroutine's own traceback
// does.
func inBubble() bool {
	trace := make([]byte, 256)
	trace = trace[:runtime.Stack(trace, false)]
	first, _, _ := bytes.Cut(trace, []byte("\n"))
	return bytes.Contains(first, []byte("synctest bubble"))
}

// smtpHost and apiHost are the names of SES's endpoints in a region.
func smtpHost(region string) string { return "email-smtp." + region + ".amazonaws.com" }
func apiHost(region string) string  { return "email." + region + ".amazonaws.com" }

// sesNames maps the addresses of the real endpoints of the region, on every
// port on which SES answers ("Connecting to an Amazon SES SMTP endpoint",
// Amazon SES Developer Guide), to the fake's.
func (s *Server) sesNames(api string) map[string]string {
	names := map[string]string{apiHost(s.Region) + ":443": api, snsHost(s.Region) + ":443": api}
	for _, port := range []string{"25", "587", "2587"} {
		names[smtpHost(s.Region)+":"+port] = s.SMTPAddr
	}
	for _, port := range []string{"465", "2465"} {
		names[smtpHost(s.Region)+":"+port] = s.SMTPSAddr
	}
	return names
}

// serve starts all that listens. apiAddr is the API's address.
func (s *Server) serve(apiAddr string, smtp, smtps, plain, api net.Listener) {
	s.Region = cmp.Or(s.Region, DefaultRegion)
	s.Account.region = s.Region
	s.dialNames = s.sesNames(apiAddr)
	s.listeners = []net.Listener{smtp, smtps, plain}
	s.wg.Go(func() { s.acceptSMTP(smtp, modeStartTLS) })
	s.wg.Go(func() { s.acceptSMTP(smtps, modeWrapper) })
	s.wg.Go(func() { s.acceptSMTP(plain, modePlain) })
	s.api = s.newAPIServer()
	s.wg.Go(s.Events.run)
	s.wg.Go(func() { s.api.ServeTLS(&apiListener{Listener: api, srv: s}, "", "") })
}

// Close closes the listeners and every connection and waits for all of the
// server's goroutines. What was accepted stays readable. A second Close does
// nothing.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.done)
	conns := make([]net.Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, l := range s.listeners {
		l.Close()
	}
	if s.api != nil {
		s.api.Close()
	}
	for _, c := range conns {
		c.Close()
	}
	s.Events.stop()
	s.wg.Wait()
}

// serverTLS is the server's side of TLS.
func (s *Server) serverTLS(protos ...string) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificate(s.Region)},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   protos,
	}
}

// TLSConfig returns a new client configuration that trusts the server and
// nothing else. Set ServerName where the code under test does not.
func (s *Server) TLSConfig() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(certificate(s.Region).Leaf)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// CertPEM returns the server's certificate in PEM, for programs that take the
// certificates they trust from a file: AWS_CA_BUNDLE in the AWS SDKs,
// SSL_CERT_FILE in Go and OpenSSL, NODE_EXTRA_CA_CERTS in Node.js. It is made
// anew in each process, for the names of SES's endpoints in the region,
// localhost, 127.0.0.1 and ::1.
func (s *Server) CertPEM() []byte { return certPEM(certificate(s.Region)) }

// HTTPClient returns a new client that reaches the API at URL and trusts it:
// over HTTP/2 for a server on loopback, over HTTP/1.1 for one in memory, whose
// connections it does not keep (an idle connection's goroutines would outlive
// a testing/synctest bubble that forgets to close them).
func (s *Server) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         s.DialContext,
		TLSClientConfig:     s.TLSConfig(),
		ForceAttemptHTTP2:   s.memory == nil,
		DisableKeepAlives:   s.memory != nil,
		MaxIdleConnsPerHost: 64,
	}}
}

// DialContext connects to one of the server's addresses, or to SES's own
// names in the server's region: email-smtp.REGION.amazonaws.com on its five
// ports, email.REGION.amazonaws.com:443 and, for the certificate that signs
// events, sns.REGION.amazonaws.com:443. A server on loopback dials
// every other address as net.Dialer does; one in memory knows no other and
// returns a *net.OpError of a dial whose cause is a *net.DNSError.
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if s.listeners == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("the sestest.Server was not started")}
	}
	if to, ok := s.dialNames[addr]; ok {
		addr = to
	}
	if s.memory == nil {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	if l, ok := s.memory[addr]; ok {
		return l.Dial(ctx)
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	cause := &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	return nil, &net.OpError{Op: "dial", Net: network, Err: cause}
}

// Connections counts the connections to the three SMTP addresses.
func (s *Server) Connections() Connections { return read(s, &s.smtp) }

// APIConnections counts the connections to the API.
func (s *Server) APIConnections() Connections { return read(s, &s.http) }

// Logins counts successful AUTH commands.
func (s *Server) Logins() int { return read(s, &s.logins) }

// APIRequests counts the HTTP requests whose head arrived, whatever became of
// them.
func (s *Server) APIRequests() int { return read(s, &s.requests) }

// DefaultIdleLimit is how long SES waits for a client: about ten seconds
// ("Using the Amazon SES SMTP interface to send email", Amazon SES Developer
// Guide).
const DefaultIdleLimit = 10 * time.Second

// SetIdleLimit sets how long the SMTP side waits for octets from the client
// before it writes "451 4.4.2 Timeout waiting for data from client." and
// closes the connection. 0 sets DefaultIdleLimit; negative: it waits for ever.
// It holds from the next wait on.
func (s *Server) SetIdleLimit(d time.Duration) {
	s.set(func() { s.limits.idle = cmp.Or(d, DefaultIdleLimit) })
}

// SetSessionLimit sets how many MAIL commands one SMTP connection may give;
// the next draws 421 and the connection is closed. 0, the default: no limit.
// SES has one that it does not document.
func (s *Server) SetSessionLimit(messages int) { s.set(func() { s.limits.messages = messages }) }

// SetConnectionLimit sets how many SMTP connections may be open at the same
// time; a further one is greeted with 421 and closed. 0, the default: no
// limit.
func (s *Server) SetConnectionLimit(n int) { s.set(func() { s.limits.conns = n }) }

// SetExtensions sets EHLO lines that the server announces beside those of
// SES, such as "PIPELINING" or "SIZE 10485760". Their first words are then
// allowed as MAIL parameters. The server takes pipelined commands whether it
// announces them or not.
func (s *Server) SetExtensions(lines ...string) {
	s.set(func() { s.limits.extensions = slices.Clone(lines) })
}

func (s *Server) currentLimits() limits { return read(s, &s.limits) }

// read returns a field that the server's mutex guards.
func read[T any](s *Server, field *T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *field
}

// set changes fields that the server's mutex guards.
func (s *Server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// track counts a connection and has Close close it. It reports the
// connection's number and how many are open now; ok is false if the server is
// closed.
func (s *Server) track(c net.Conn, count *Connections) (number, open int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, 0, false
	}
	s.conns[c] = struct{}{}
	count.Open++
	count.Total++
	count.Max = max(count.Max, count.Open)
	return count.Total, count.Open, true
}

func (s *Server) untrack(c net.Conn, count *Connections) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; ok {
		delete(s.conns, c)
		count.Open--
	}
}

// reset closes a connection without an orderly end.
func reset(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	c.Close()
}

// sleep waits for d, and reports false if the server was closed before.
func (s *Server) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.done:
		return false
	}
}
