package smtpclient

import (
	"encoding/base64"
	"errors"
	"net/smtp"
	"strings"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// promptedAuth is AUTH LOGIN.
type promptedAuth struct {
	answers []string
	n       int
}

func (a *promptedAuth) Start(*smtp.ServerInfo) (string, []byte, error) {
	a.n = 0
	return "LOGIN", nil, nil
}

func (a *promptedAuth) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	a.n++
	return []byte(a.answers[a.n-1]), nil
}

func TestSendMailOnLoopback(t *testing.T) {
	to := []string{someone, "carol@example.net"}
	t.Run("clear text where STARTTLS is not offered", func(t *testing.T) {
		s := newScript(t)
		s.ext = []string{"8BITMIME"}
		if err := SendMail(s.listen(), nil, sender, to, letter); err != nil {
			t.Fatal(err)
		}
		if got := s.mailbox(); len(got) != 1 || got[0] != string(letter) || len(s.rcpts[0]) != 2 {
			t.Errorf("%q", got)
		}
		if s.count("AUTH") != 0 {
			t.Error("AUTH without being asked")
		}
	})
	t.Run("STARTTLS where it is offered, and the certificate counts", func(t *testing.T) {
		s := newScript(t)
		err := SendMail(s.listen(), nil, sender, to, letter)
		want(t, err, seserrors.Denied, seserrors.CertificateInvalid, false)
	})
	t.Run("with AUTH as given", func(t *testing.T) {
		s := newScript(t)
		s.ext = []string{"AUTH PLAIN"}
		if err := SendMail(s.listen(), smtp.PlainAuth("", "user", secret, "127.0.0.1"), sender, to, letter); err != nil {
			t.Fatal(err)
		}
		if s.count("AUTH PLAIN") != 1 {
			t.Errorf("%q", s.said())
		}
	})
	t.Run("a server that repeats what AUTH told it", func(t *testing.T) {
		plain, login := smtp.PlainAuth("", "user", secret, "127.0.0.1"), &promptedAuth{answers: []string{"user", secret}}
		b64 := base64.StdEncoding.EncodeToString
		for _, c := range []struct {
			auth  smtp.Auth
			stage string
			form  string
		}{
			{plain, "AUTH", b64([]byte("\x00user\x00" + secret))},
			{plain, "AUTH", secret},
			{plain, "MAIL", b64([]byte(secret))},
			{login, "MAIL", b64([]byte(secret))},
			{login, "DOT", secret},
		} {
			t.Run(c.stage, func(t *testing.T) {
				s := newScript(t)
				s.ext = []string{"AUTH PLAIN LOGIN"}
				s.once(c.stage, "554 user said "+c.form)
				err := SendMail(s.listen(), c.auth, sender, to, letter)
				for e := err; e != nil; e = errors.Unwrap(e) {
					if strings.Contains(e.Error(), c.form) || !strings.Contains(e.Error(), "user said") {
						t.Error(e)
					}
				}
			})
		}
	})
	t.Run("AUTH that gives up is no network trouble", func(t *testing.T) {
		s := newScript(t)
		s.ext = []string{"AUTH PLAIN"}
		err := SendMail(s.listen(), smtp.PlainAuth("", "user", secret, "other.example.com"), sender, to, letter)
		e := want(t, err, seserrors.Denied, "", false)
		if !strings.Contains(e.Error(), "another host") {
			t.Error(err)
		}
	})
	t.Run("AUTH asked for and not offered", func(t *testing.T) {
		s := newScript(t)
		s.ext = []string{"8BITMIME"}
		err := SendMail(s.listen(), smtp.PlainAuth("", "user", secret, "127.0.0.1"), sender, to, letter)
		want(t, err, seserrors.Denied, "", false)
	})
	t.Run("nothing after 250 is an error", func(t *testing.T) {
		s := newScript(t)
		s.ext = []string{"8BITMIME"}
		s.once("QUIT", hangUp)
		if err := SendMail(s.listen(), nil, sender, to, letter); err != nil {
			t.Error(err)
		}
	})
	t.Run("an answer that never came is in doubt", func(t *testing.T) {
		s := newScript(t)
		s.ext = []string{"8BITMIME"}
		s.once("DOT", "\x00accept"+hangUp)
		want(t, SendMail(s.listen(), nil, sender, to, letter), seserrors.Unavailable, seserrors.ResponseLost, true)
	})
	t.Run("a refusal", func(t *testing.T) {
		s := newScript(t)
		s.ext = []string{"PIPELINING"}
		s.once("RCPT", "550 no")
		e := want(t, SendMail(s.listen(), nil, sender, to, letter), seserrors.Rejected, "", false)
		if len(e.Recipients) != 1 {
			t.Errorf("%+v", e)
		}
	})
}

func TestSendMailNeverSpeaksInClearTextToAnotherMachine(t *testing.T) {
	cfg, err := Config{Addr: "smtp.example.com:25"}.complete()
	if err != nil || cfg.TLS != TLSStartTLS {
		t.Errorf("%v, %v", cfg.TLS, err)
	}
	for _, addr := range []string{"", "smtp.example.com", "smtp.example.com:x"} {
		var e *seserrors.Error
		if err := SendMail(addr, nil, sender, []string{someone}, letter); !errors.As(err, &e) || e.Class != seserrors.Invalid {
			t.Errorf("%q: %v", addr, err)
		}
	}
}
