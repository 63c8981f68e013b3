package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// serveGoSMTP runs a go-smtp server until it is killed: the same options, log
// and mailbox as the servers in the folder servers.
func serveGoSMTP(options string) error {
	var o Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return err
	}
	file, err := os.OpenFile(o.Log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	b := &backend{Options: o, log: file, rng: rand.New(rand.NewPCG(o.Seed, 0))}
	s := smtp.NewServer(b)
	s.Domain = "go-smtp.test"
	s.MaxMessageBytes = 50 << 20
	s.AllowInsecureAuth = o.TLS == "none"
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.ReadTimeout = 5 * time.Minute
	if o.Idle > 0 {
		s.ReadTimeout = time.Duration(o.Idle * float64(time.Second))
	}
	if o.TLS != "none" {
		cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return err
		}
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.Port))
	if err != nil {
		return err
	}
	if o.TLS == "wrapper" {
		l = tls.NewListener(l, s.TLSConfig)
	}
	return s.Serve(l)
}

type backend struct {
	Options
	log     *os.File
	mu      sync.Mutex
	rng     *rand.Rand
	clients atomic.Int64
}

func (b *backend) random() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rng.Float64()
}

func (b *backend) chance(p float64) bool { return p > 0 && b.random() < p }

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	n := b.clients.Add(1)
	s := &session{b: b, conn: c}
	if b.MaxClients > 0 && n > int64(b.MaxClients) {
		b.clients.Add(-1)
		return nil, reply(421, "Too many concurrent SMTP connections")
	}
	return s, nil
}

type session struct {
	b     *backend
	conn  *smtp.Conn
	user  bool
	mails int
	from  string
	to    []string
}

func reply(code int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 3, 2}, Message: text}
}

var errCut = errors.New("cut")

// cut ends the connection in one of the ways that networks know.
func (s *session) cut() error {
	raw := s.conn.Conn()
	if t, ok := raw.(*tls.Conn); ok && s.b.random() < 0.7 {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok && s.b.random() < 0.6 {
		t.SetLinger(0)
	}
	raw.Close()
	return errCut
}

func (s *session) stage() error {
	b := s.b
	if b.chance(b.Cut) {
		return s.cut()
	}
	if b.chance(b.Stall) {
		time.Sleep(time.Duration(b.StallFor * float64(time.Second)))
	}
	return s.refusal()
}

func (s *session) refusal() error {
	if !s.b.chance(s.b.Refuse) {
		return nil
	}
	switch n := int(s.b.random() * 6); n {
	case 0:
		return reply(554, "no")
	case 1:
		return reply(421, "going down")
	case 2:
		return reply(454, "Throttling failure: Maximum sending rate exceeded.")
	default:
		return reply(450+n/4, "later")
	}
}

func (s *session) AuthMechanisms() []string {
	if s.b.Login {
		return []string{sasl.Login}
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(mech string) (sasl.Server, error) {
	check := func(user, pass string) error {
		if user != "user" || pass != "pass" {
			return smtp.ErrAuthFailed
		}
		s.user = true
		return nil
	}
	if mech == sasl.Login {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, pass string) error { return check(user, pass) }), nil
}

// A loginServer is the server's side of LOGIN, which go-sasl no longer has.
type loginServer struct {
	check func(user, pass string) error
	step  int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { s.b.clients.Add(-1); return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.b.Auth && !s.user {
		return smtp.ErrAuthRequired
	}
	s.mails++
	if s.b.MaxMsgs > 0 && s.mails > s.b.MaxMsgs {
		if s.b.SoftLimit {
			return reply(451, "Too many messages in this session")
		}
		defer time.AfterFunc(10*time.Millisecond, func() { s.conn.Conn().Close() })
		return reply(421, "Too many messages for this session")
	}
	s.from = from
	return s.stage()
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return s.stage()
}

func (s *session) Data(r io.Reader) error {
	b := s.b
	if b.chance(b.CutBody) {
		io.ReadFull(r, make([]byte, 50))
		return s.cut()
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if b.chance(b.CutBefore) {
		return s.cut()
	}
	if err := s.refusal(); err != nil {
		return err
	}
	id, err := b.store(content, s.from, s.to)
	if err != nil {
		return err
	}
	switch {
	case b.chance(b.CutAfter):
		switch n := b.random(); {
		case n < 0.2:
			io.WriteString(s.conn.Conn(), "25")
		case n < 0.3:
			io.WriteString(s.conn.Conn(), "250-half\r\n")
		case n < 0.4:
			time.Sleep(time.Duration(b.StallFor * float64(time.Second)))
		}
		return s.cut()
	case b.chance(b.Garbage):
		io.WriteString(s.conn.Conn(), "I am a teapot\r\n")
		return s.cut()
	case b.chance(b.CutLater):
		time.AfterFunc(time.Millisecond, func() { s.cut() })
	}
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.NoEnhancedCode, Message: "Ok " + id}
}

// store records an accepted message before it is acknowledged.
func (b *backend) store(content []byte, from string, to []string) (id string, err error) {
	id = idOf(content)
	_, body, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := fmt.Fprintf(b.log, "%s %s %d\n", id, sum(body), len(content)); err != nil {
		return "", err
	}
	if b.Dir == "" {
		return id, nil
	}
	for n := 0; ; n++ {
		name := filepath.Join(b.Dir, fmt.Sprintf("%s.%d.eml", id, n))
		if _, err := os.Stat(name); err == nil {
			continue
		}
		envelope, _ := json.Marshal(map[string]any{"from": from, "to": to})
		os.WriteFile(name[:len(name)-4]+".json", envelope, 0o600)
		return id, os.WriteFile(name, content, 0o600)
	}
}
