package smtpclient

import (
	"bytes"
	"context"
	"net/smtp"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
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
	err := checkMail(from, to, source)
	if err == nil {
		err = sendOnce(addr, a, &conn.Mail{From: from, To: to, Body: source})
	}
	if err == nil {
		return nil
	}
	err.Endpoint = addr
	return err
}

func sendOnce(addr string, a smtp.Auth, m *conn.Mail) *seserrors.Error {
	cfg, err := Config{Addr: addr}.complete()
	if err != nil {
		return err
	}
	line := cfg.line()
	if line.TLS == conn.STARTTLS && conn.Loopback(cfg.host()) {
		line.TLS = conn.Opportunistic
	}
	ctx, cancel := context.WithTimeout(context.Background(), cfg.DialTimeout)
	defer cancel()
	c, err := conn.Open(ctx, &line, conn.Login{Auth: a})
	if err != nil {
		return err
	}
	defer c.Close(conn.ClosedShutdown)
	if _, f := c.Send(context.Background(), m); f != nil {
		return f.Err
	}
	return nil
}
