package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"syscall"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A trouble is how a port failed.
type trouble uint8

const (
	none        trouble = iota
	refused             // the dial was refused: somebody says no
	dropped             // nobody answers the dial
	unreachable         // the dial failed in another way
	silent              // it is open, and nobody greets
	stuck               // TLS begins and is not answered
	swapped             // TLS from the first octet where clear text begins, or the reverse
	masked              // something between here and SES changes what is said
	turnedAway          // the server refuses to talk
	broken              // TLS, or the connection, fails in another way
	untrusted           // TLS works, but with a certificate that is not to be trusted
)

// A failure is the end of a dialogue before TLS was set up as it should be.
type failure struct {
	kind trouble
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// A session is a dialogue with one port, up to EHLO over TLS.
type session struct {
	tcp       net.Conn // below TLS
	conn      net.Conn
	text      *textproto.Conn
	leaf      *x509.Certificate // nil in clear text
	offersTLS bool
	stop      func() bool
}

// maxHeard bounds what one server may say in a dialogue.
const maxHeard = 256 << 10

// talk returns the lines of a connection, which may be so long and no longer.
func talk(c net.Conn) *textproto.Conn {
	return textproto.NewConn(struct {
		io.Reader
		io.Writer
		io.Closer
	}{io.LimitReader(c, maxHeard), c, c})
}

// dial connects to a port.
func (r *run) dial(ctx context.Context, port int) (net.Conn, *failure) {
	dial := r.SMTP.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	conn, err := within(ctx, func() (net.Conn, error) { return dial(ctx, "tcp", net.JoinHostPort(r.host, fmt.Sprint(port))) })
	switch {
	case err == nil && conn != nil:
		return conn, nil
	case err == nil:
		return nil, &failure{unreachable, errors.New("DialContext returned no connection")}
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, &failure{refused, err}
	case isTimeout(err) || ctx.Err() != nil:
		return nil, &failure{dropped, err}
	}
	return nil, &failure{unreachable, err}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// open holds the dialogue with a port until TLS is set up and EHLO was answered.
// The session's deadline is stepTime after the dial; the end of ctx closes it.
func (r *run) open(ctx context.Context, port int) (*session, *failure) {
	conn, fail := r.dial(ctx, port)
	if fail != nil {
		return nil, fail
	}
	_ = conn.SetDeadline(time.Now().Add(stepTime)) // a connection without deadlines is closed with ctx
	s := &session{tcp: conn, conn: conn, text: talk(conn), stop: context.AfterFunc(ctx, func() { conn.Close() })}
	greet := func() *failure { return s.greeting(r.isSES()) }
	encrypt := func() *failure { return s.encrypt(r.tlsConfig()) }
	steps := map[smtpclient.TLSMode][]func() *failure{
		smtpclient.TLSWrapper:  {encrypt, greet, s.hello},
		smtpclient.TLSStartTLS: {greet, s.hello, s.startTLS, encrypt, s.hello},
		smtpclient.TLSNone:     {greet, s.hello},
	}[r.mode(port)]
	for _, step := range steps {
		if fail == nil {
			fail = step()
		}
	}
	if fail != nil {
		s.close()
		return nil, fail
	}
	return s, nil
}

func (s *session) close() {
	s.stop()
	s.conn.Close()
}

// command says a line and returns the reply, whatever its code.
func (s *session) command(format string, args ...any) (int, string, error) {
	if err := s.text.PrintfLine(format, args...); err != nil {
		return 0, "", err
	}
	return s.text.ReadResponse(0)
}

func (s *session) greeting(ses bool) *failure {
	code, text, err := s.text.ReadResponse(0)
	var protocol textproto.ProtocolError
	switch {
	case errors.As(err, &protocol):
		return &failure{masked, errors.New("the greeting is no SMTP")}
	case err != nil && isTimeout(err):
		return &failure{silent, err}
	case err != nil:
		return &failure{broken, fmt.Errorf("closed before the greeting: %w", err)}
	case code != 220:
		return &failure{turnedAway, seserrors.FromSMTP("smtp greeting", code, text)}
	case strings.Contains(text, "***"):
		return &failure{masked, errors.New("the greeting is masked with asterisks")}
	case ses && !strings.Contains(strings.ToLower(text), "amazonaws.com"):
		return &failure{masked, errors.New("the greeting is not that of SES")}
	}
	return nil
}

func (s *session) hello() *failure {
	code, text, err := s.command("EHLO localhost")
	switch {
	case err != nil:
		return &failure{broken, fmt.Errorf("EHLO: %w", err)}
	case code != 250:
		return &failure{turnedAway, seserrors.FromSMTP("smtp EHLO", code, text)}
	}
	s.offersTLS = slices.Contains(strings.Split(strings.ToUpper(text), "\n"), "STARTTLS")
	return nil
}

func (s *session) startTLS() *failure {
	if !s.offersTLS {
		return &failure{masked, errors.New("EHLO offers no STARTTLS")}
	}
	code, text, err := s.command("STARTTLS")
	switch {
	case err != nil:
		return &failure{broken, fmt.Errorf("STARTTLS: %w", err)}
	case code != 220:
		return &failure{masked, seserrors.FromSMTP("smtp STARTTLS", code, text)}
	case s.text.R.Buffered() > 0:
		return &failure{masked, errors.New("clear text follows the answer to STARTTLS")}
	}
	return nil
}

// encrypt sets up TLS.
func (s *session) encrypt(conf *tls.Config) *failure {
	t := tls.Client(s.conn, conf)
	err := t.Handshake()
	header, isHeader := errors.AsType[tls.RecordHeaderError](err)
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case err == nil:
		s.conn, s.text = t, talk(t)
		s.leaf = t.ConnectionState().PeerCertificates[0]
		return nil
	case isCertificate:
		return &failure{untrusted, err}
	case isHeader && string(header.RecordHeader[:3]) == "220":
		return &failure{swapped, errors.New("it greets in clear text")}
	case isHeader:
		return &failure{masked, errors.New("the answer is no TLS")}
	case isTimeout(err):
		return &failure{stuck, err}
	}
	return &failure{broken, fmt.Errorf("TLS: %w", err)}
}

// tlsConfig returns the settings' TLS.
func (r *run) tlsConfig() *tls.Config {
	if r.SMTP.TLSConfig == nil {
		return &tls.Config{ServerName: r.host}
	}
	conf := r.SMTP.TLSConfig.Clone()
	conf.ServerName = cmp.Or(conf.ServerName, r.host)
	return conf
}
