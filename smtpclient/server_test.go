package smtpclient

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A script is a peer that the tests write by hand: a server that behaves,
// except where a hook says otherwise.
type script struct {
	tb      testing.TB
	ext     []string // EHLO lines; nil: what SES says today
	tls     *tls.Config
	wrapper bool

	// reply, if not nil, is asked before each answer. stage is the verb, or
	// "CONNECT", "BODY" (before the dot is looked for), "DOT". It returns the
	// answer, "" for the usual one, or one of the marks below.
	reply func(conn *peer, stage, arg string) string

	// wrap, if not nil, is put around each connection before it is counted.
	wrap func(net.Conn) net.Conn

	sockets int // that the process had before

	mu       sync.Mutex
	accepted []string // bodies, stuffed dots removed
	rcpts    [][]string
	lines    []string // commands of all connections
	conns    int
	open     int
	maxOpen  int
	wg       sync.WaitGroup
	all      []net.Conn
	clients  []*pipeConn // the other ends of dial
}

// Marks for script.reply.
const (
	hangUp = "\x00hang up" // close without a word
	mute   = "\x00mute"    // read on, answer nothing
)

// A peer is one connection of a script.
type peer struct {
	net.Conn
	n     int // counts connections from 1
	mails int
	r     *bufio.Reader
}

func (p *peer) say(format string, args ...any) { fmt.Fprintf(p.Conn, format+"\r\n", args...) }

func newScript(tb testing.TB) *script {
	tb.Helper()
	s := &script{tb: tb, tls: serverTLS, sockets: sockets()}
	tb.Cleanup(s.stop)
	return s
}

// stop runs after the clients of the test were closed: none of their
// connections may be left, at either end, and none of their goroutines.
func (s *script) stop() {
	ended := make(chan struct{})
	go func() { s.wg.Wait(); close(ended) }()
	limit := time.Minute
	if inBubble() {
		limit = 2 * time.Hour // a hook may sleep
	}
	select {
	case <-ended:
	case <-time.After(limit):
		_, open, _ := s.connections()
		s.tb.Errorf("the server still has %d connections", open)
	}
	s.mu.Lock()
	for _, c := range s.all {
		c.Close()
	}
	for i, c := range s.clients {
		if !c.isClosed() {
			s.tb.Errorf("the client did not close connection %d of %d", i+1, len(s.clients))
		}
	}
	s.mu.Unlock()
	<-ended
	if !inBubble() { // which looks after its goroutines itself
		checkLeaks(s.tb, s.sockets)
	}
}

// dial is a DialContext over net.Pipe-like memory connections.
func (s *script) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	client, server := newPipe()
	s.mu.Lock()
	s.clients = append(s.clients, client)
	s.mu.Unlock()
	s.serve(server)
	return client, nil
}

// listen serves on loopback TCP and returns the address.
func (s *script) listen() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { ln.Close() })
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.serve(c)
		}
	})
	return ln.Addr().String()
}

func (s *script) serve(c net.Conn) {
	if s.wrap != nil {
		c = s.wrap(c)
	}
	s.mu.Lock()
	s.conns++
	s.open++
	s.maxOpen = max(s.maxOpen, s.open)
	s.all = append(s.all, c)
	p := &peer{Conn: c, n: s.conns}
	s.mu.Unlock()
	s.wg.Go(func() {
		s.session(p)
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
		c.Close()
	})
}

func (s *script) extensions(secure bool) []string {
	if s.ext != nil {
		return s.ext
	}
	if secure {
		return []string{"8BITMIME", "AUTH PLAIN LOGIN", "Ok"}
	}
	return []string{"8BITMIME", "STARTTLS", "AUTH PLAIN LOGIN", "Ok"}
}

// ask asks the hook, if there is one.
func (s *script) ask(p *peer, stage, arg string) string {
	s.mu.Lock()
	reply := s.reply
	s.mu.Unlock()
	if reply == nil {
		return ""
	}
	return reply(p, stage, arg)
}

// answer says what the hook wants, or usual. It reports whether to go on.
func (s *script) answer(p *peer, stage, arg, usual string) (said string, ok bool) {
	said = usual
	if r := s.ask(p, stage, arg); r != "" {
		said = r
	}
	switch said {
	case hangUp:
		return said, false
	case mute:
		io.Copy(io.Discard, p.r)
		return said, false
	}
	if said != "" {
		if _, err := io.WriteString(p.Conn, strings.ReplaceAll(said, "\n", "\r\n")+"\r\n"); err != nil {
			return said, false
		}
	}
	return said, true
}

func (s *script) session(p *peer) {
	secure := s.wrapper
	if s.wrapper {
		p.Conn = tls.Server(p.Conn, s.tls)
	}
	p.r = bufio.NewReader(p.Conn)
	if _, ok := s.answer(p, "CONNECT", "", "220 email-smtp.amazonaws.com ESMTP SimpleEmailService"); !ok {
		return
	}
	var rcpts []string
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, arg, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		s.mu.Lock()
		s.lines = append(s.lines, line)
		s.mu.Unlock()
		usual := "250 Ok"
		switch verb {
		case "EHLO":
			ext := s.extensions(secure)
			usual = "250-email-smtp.amazonaws.com\n250-" + strings.Join(ext, "\n250-")
			i := strings.LastIndex(usual, "250-")
			usual = usual[:i] + "250 " + usual[i+4:]
		case "STARTTLS":
			usual = "220 Ready to start TLS"
		case "AUTH":
			usual = "235 Authentication successful."
			if arg == "LOGIN" {
				usual = "334 VXNlcm5hbWU6"
			}
		case "RCPT":
			rcpts = append(rcpts, arg)
		case "DATA":
			usual = "354 End data with <CR><LF>.<CR><LF>"
		case "QUIT":
			usual = "221 Bye"
		case "RSET", "MAIL":
			rcpts = nil
		}
		said, ok := s.answer(p, verb, arg, usual)
		if !ok {
			return
		}
		switch {
		case verb == "STARTTLS" && strings.HasPrefix(said, "220"):
			tc := tls.Server(p.Conn, s.tls)
			p.Conn, p.r, secure = tc, bufio.NewReader(tc), true
		case verb == "AUTH" && arg == "LOGIN" && strings.HasPrefix(said, "334"):
			user, _ := p.r.ReadString('\n')
			p.say("334 UGFzc3dvcmQ6")
			pass, _ := p.r.ReadString('\n')
			s.mu.Lock()
			s.lines = append(s.lines, decode64(user), decode64(pass))
			s.mu.Unlock()
			p.say("235 ok")
		case verb == "DATA" && strings.HasPrefix(said, "354"):
			if !s.data(p, rcpts) {
				return
			}
		case verb == "QUIT":
			return
		}
	}
}

func decode64(line string) string {
	b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	return string(b)
}

// data reads a message and accepts it, unless the hook says otherwise.
func (s *script) data(p *peer, rcpts []string) bool {
	if _, ok := s.answer(p, "BODY", "", ""); !ok {
		return false
	}
	var body bytes.Buffer
	for {
		line, err := p.r.ReadBytes('\n')
		if err != nil {
			return false
		}
		if string(line) == ".\r\n" {
			break
		}
		body.Write(bytes.TrimPrefix(line, []byte(".")))
	}
	p.mails++
	usual := "250 Ok 0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000"
	said := usual
	if r := s.ask(p, "DOT", ""); r != "" {
		said = r
	}
	if strings.HasPrefix(said, "2") || strings.HasPrefix(said, "\x00accept") {
		s.mu.Lock()
		s.accepted = append(s.accepted, body.String())
		s.rcpts = append(s.rcpts, rcpts)
		s.mu.Unlock()
		said = strings.TrimPrefix(said, "\x00accept")
	}
	switch {
	case said == "" || said == hangUp:
		return false
	case said == mute:
		io.Copy(io.Discard, p.r)
		return false
	}
	_, err := io.WriteString(p.Conn, strings.ReplaceAll(said, "\n", "\r\n")+"\r\n")
	return err == nil
}

func (s *script) mailbox() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.accepted...)
}

// said returns the commands that the server has read.
func (s *script) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

func (s *script) connections() (total, open, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns, s.open, s.maxOpen
}

var serverTLS, clientTLS = certificate()

// certificate makes a key pair for "127.0.0.1" and "smtp.example.com", valid in
// a bubble's year 2000 too.
func certificate() (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames: []string{"smtp.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, _ := x509.ParseCertificate(der)
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: roots}
}
