package smtpclient

import (
	"bytes"
	"context"
	"net/smtp"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// SendMail has the signature of net/smtp's SendMail and makes one attempt on a
// connection of its own, with the timeouts of Config's defaults.
//
// Port 465 and 2465 speak TLS from the first octet; elsewhere the connection is
// upgraded with STARTTLS, and the certificate must be for the host in addr.
// Only a server on a loopback address that does not offer STARTTLS gets clear
// text. a is used as it is; with nil there is no AUTH. Bare CR and LF in msg
// become CRLF.
//
// Unlike net/smtp it returns nil once the server has accepted the message,
// whatever happens afterwards, and any error is a *seserrors.Error that says
// whether the message may have been accepted.
func SendMail(addr string, a smtp.Auth, from string, to []string, msg []byte) error {
	source := bytes.NewReader(msg)
	if err := checkMail(from, to, source); err != nil {
		return err
	}
	cfg, err := Config{Addr: addr}.complete()
	if err != nil {
		return err
	}
	if cfg.TLS == TLSStartTLS && loopback(cfg.host()) {
		cfg.TLS = opportunistic
	}
	if f := sendOnce(&cfg, a, &mail{from: from, to: to, msg: source}); f != nil {
		return f
	}
	return nil
}

func sendOnce(cfg *Config, a smtp.Auth, m *mail) *seserrors.Error {
	ctx, cancel := context.WithTimeout(context.Background(), cfg.DialTimeout)
	defer cancel()
	s, err := open(ctx, cfg, login{auth: a})
	if err != nil {
		return err
	}
	defer s.quit()
	m.batch = s.pipelining
	if _, f := s.send(context.Background(), m); f != nil {
		return f.err
	}
	return nil
}
