package sestest_test

import (
	"crypto/tls"
	"net/smtp"
	"regexp"
	"strings"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

var idShape = regexp.MustCompile(`^0100[0-9a-f]{12}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-000000$`)

func TestNetSMTPSendsThroughSTARTTLS(t *testing.T) {
	s := newServer(t)
	c, err := smtp.Dial(s.SMTPAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cfg := s.TLSConfig()
	cfg.ServerName = "127.0.0.1"
	if err := c.StartTLS(cfg); err != nil {
		t.Fatal(err)
	}
	sendWith(t, s, c)
}

func TestNetSMTPSendsThroughTheTLSWrapper(t *testing.T) {
	s := newServer(t)
	conn, err := tls.Dial("tcp", s.SMTPSAddr, s.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sendWith(t, s, c)
}

func sendWith(t *testing.T, s *sestest.Server, c *smtp.Client) {
	t.Helper()
	if err := c.Auth(smtp.PlainAuth("", s.Username, s.Password, "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail(from); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(to); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(message))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	m := wantAccepted(t, s, 1)[0]
	if m.From != from || strings.Join(m.To, " ") != to || string(m.Data) != message || m.Transport != "smtp" {
		t.Errorf("accepted %+v", m)
	}
	if !idShape.MatchString(m.ID) {
		t.Errorf("id %q is not shaped like one of SES's", m.ID)
	}
	if s.Logins() != 1 {
		t.Errorf("%d logins, want 1", s.Logins())
	}
}

func TestSendMailReachesThePlainAddress(t *testing.T) {
	s := newServer(t)
	if err := smtp.SendMail(s.PlainAddr, nil, from, []string{to}, []byte(message)); err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, s, 1)
}
