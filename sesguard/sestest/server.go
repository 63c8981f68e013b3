package sestest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The names under which a server can be dialled through its DialContext. The
// memory server's own names end in .invalid (RFC 6761 section 6.4), so that a
// client that forgets DialContext can never reach the real SES.
const (
	region      = "us-east-1"
	sesSMTPHost = "email-smtp." + region + ".amazonaws.com"
	sesAPIHost  = "email." + region + ".amazonaws.com"
	memSMTPHost = "email-smtp.sestest.invalid"
	memAPIHost  = "email.sestest.invalid"
	memPlain    = "127.0.0.1:1025"
)

// A Server is a fake SES. Its fields are set by NewServer and NewMemoryServer
// and must not be changed; its methods are safe for concurrent use.
type Server struct {
	SMTPAddr  string // "host:port" of the SMTP endpoint that requires STARTTLS
	SMTPSAddr string // "host:port" of the SMTP endpoint with TLS wrapper
	PlainAddr string // "host:port" of a local relay: no TLS and no AUTH needed, same mailbox
	URL       string // "https://host:port", the base endpoint of the v2 API
	Region    string // "us-east-1"

	Username, Password           string // SMTP credentials
	AccessKeyID, SecretAccessKey string // for API clients; signatures are not checked

	Account *Account // what the account may do; for both transports

	memory    map[string]*memListener // nil for a server on loopback
	dialNames map[string]string       // SES's own names, to the addresses above
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

// NewServer starts a fake SES on loopback TCP ports. Close it when done. It
// panics if it cannot listen, as net/http/httptest does.
func NewServer() *Server {
	s := newServer()
	var smtp, smtps, plain, api net.Listener = listen(), listen(), listen(), listen()
	s.SMTPAddr, s.SMTPSAddr, s.PlainAddr = smtp.Addr().String(), smtps.Addr().String(), plain.Addr().String()
	s.URL = "https://" + api.Addr().String()
	s.dialNames = sesNames(s.SMTPAddr, s.SMTPSAddr, api.Addr().String())
	s.start(smtp, smtps, plain, api)
	return s
}

// NewMemoryServer starts a fake SES without sockets: only its DialContext and
// its HTTPClient reach it. Create, use and close it inside one
// testing/synctest bubble; every wait of its connections is durably blocking
// there, so the bubble's clock moves on. It works outside of bubbles too.
func NewMemoryServer() *Server {
	s := newServer()
	s.SMTPAddr, s.SMTPSAddr, s.PlainAddr = memSMTPHost+":587", memSMTPHost+":465", memPlain
	s.URL = "https://" + memAPIHost + ":443"
	s.dialNames = sesNames(s.SMTPAddr, s.SMTPSAddr, memAPIHost+":443")
	smtp, smtps, plain, api := newMemListener(587), newMemListener(465), newMemListener(1025), newMemListener(443)
	s.memory = map[string]*memListener{
		s.SMTPAddr: smtp, s.SMTPSAddr: smtps, s.PlainAddr: plain, memAPIHost + ":443": api,
	}
	s.start(smtp, smtps, plain, api)
	return s
}

func newServer() *Server {
	return &Server{
		Region:          region,
		Username:        "AKIAIOSFODNN7EXAMPLE",
		Password:        "sestest-smtp-password",
		AccessKeyID:     "AKIAIOSFODNN7EXAMPLE",
		SecretAccessKey: "sestest-secret-access-key",
		Account:         newAccount(),
		done:            make(chan struct{}),
		conns:           make(map[net.Conn]struct{}),
		limits:          limits{idle: DefaultIdleLimit},
	}
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("sestest: listen on a loopback port: " + err.Error())
	}
	return l
}

// sesNames maps the addresses of the real endpoints of the region, on every
// port on which SES answers ("Connecting to an Amazon SES SMTP endpoint",
// Amazon SES Developer Guide), to the fake's.
func sesNames(smtp, smtps, api string) map[string]string {
	names := map[string]string{sesAPIHost + ":443": api}
	for _, port := range []string{"25", "587", "2587"} {
		names[sesSMTPHost+":"+port] = smtp
	}
	for _, port := range []string{"465", "2465"} {
		names[sesSMTPHost+":"+port] = smtps
	}
	return names
}

func (s *Server) start(smtp, smtps, plain, api net.Listener) {
	s.listeners = []net.Listener{smtp, smtps, plain}
	s.wg.Go(func() { s.acceptSMTP(smtp, modeStartTLS) })
	s.wg.Go(func() { s.acceptSMTP(smtps, modeWrapper) })
	s.wg.Go(func() { s.acceptSMTP(plain, modePlain) })
	s.api = s.newAPIServer()
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
	s.api.Close()
	for _, c := range conns {
		c.Close()
	}
	s.wg.Wait()
}

// serverTLS is the server's side of TLS.
func serverTLS(protos ...string) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificate()},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   protos,
	}
}

// TLSConfig returns a new client configuration that trusts the server and
// nothing else. Set ServerName where the code under test does not.
func (s *Server) TLSConfig() *tls.Config {
	return &tls.Config{RootCAs: rootPool(), MinVersion: tls.VersionTLS12}
}

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
// names in the server's region: email-smtp.us-east-1.amazonaws.com on its five
// ports and email.us-east-1.amazonaws.com:443. A server on loopback dials
// every other address as net.Dialer does; one in memory knows no other and
// returns a *net.OpError of a dial whose cause is a *net.DNSError.
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if to, ok := s.dialNames[addr]; ok {
		addr = to
	}
	if s.memory == nil {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	if l, ok := s.memory[addr]; ok {
		return l.dial(ctx)
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	cause := &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	return nil, &net.OpError{Op: "dial", Net: network, Err: cause}
}

// Connections counts the connections to the three SMTP addresses.
func (s *Server) Connections() Connections {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.smtp
}

// APIConnections counts the connections to the API.
func (s *Server) APIConnections() Connections {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.http
}

// Logins counts successful AUTH commands.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// APIRequests counts the HTTP requests whose head arrived, whatever became of
// them.
func (s *Server) APIRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// DefaultIdleLimit is how long SES waits for a client: about ten seconds
// ("Using the Amazon SES SMTP interface to send email", Amazon SES Developer
// Guide).
const DefaultIdleLimit = 10 * time.Second

// SetIdleLimit sets how long the SMTP side waits for octets from the client
// before it writes "451 4.4.2 Timeout waiting for data from client." and
// closes the connection. 0 sets DefaultIdleLimit; negative: it waits for ever.
// It holds from the next wait on.
func (s *Server) SetIdleLimit(d time.Duration) {
	if d == 0 {
		d = DefaultIdleLimit
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.idle = d
}

// SetSessionLimit sets how many MAIL commands one SMTP connection may give;
// the next draws 421 and the connection is closed. 0, the default: no limit.
// SES has one that it does not document.
func (s *Server) SetSessionLimit(messages int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.messages = messages
}

// SetConnectionLimit sets how many SMTP connections may be open at the same
// time; a further one is greeted with 421 and closed. 0, the default: no
// limit.
func (s *Server) SetConnectionLimit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.conns = n
}

// SetExtensions sets EHLO lines that the server announces beside those of
// SES, such as "PIPELINING" or "SIZE 10485760". Their first words are then
// allowed as MAIL parameters. The server takes pipelined commands whether it
// announces them or not.
func (s *Server) SetExtensions(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.extensions = slices.Clone(lines)
}

func (s *Server) currentLimits() limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limits
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

// sleep waits for d, or until the server is closed.
func (s *Server) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.done:
	}
}
