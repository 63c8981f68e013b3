package outbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// An address is where the fake SES is.
type address struct {
	SMTP, Username, Password string
	Certificate              []byte
}

// beSES is a fake SES that forgets what it accepts.
func beSES(ctx context.Context, _ json.RawMessage, tell func(any) error) error {
	s := sestest.NewServer()
	defer s.Close()
	if err := tell(address{s.SMTPAddr, s.Username, s.Password, s.CertPEM()}); err != nil {
		return err
	}
	for ctx.Err() == nil {
		s.TakeAccepted()
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// pool is that of a process with so many connections.
func (a address) pool(connections int) (*smtpclient.Client, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.Certificate)
	return smtpclient.New(smtpclient.Config{
		Addr: a.SMTP, Username: a.Username, Password: a.Password, TLSConfig: &tls.Config{RootCAs: roots}, MaxConns: connections,
	})
}
