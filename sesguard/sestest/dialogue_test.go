package sestest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A dialogue is a raw SMTP client that reads like a script.
type dialogue struct {
	t    testing.TB
	conn net.Conn
	r    *textproto.Reader
}

func dial(t testing.TB, s *sestest.Server, addr string) *dialogue {
	t.Helper()
	c, err := s.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	d := &dialogue{t: t}
	d.use(c)
	return d
}

func (d *dialogue) use(c net.Conn) {
	d.conn = c
	d.r = textproto.NewReader(bufio.NewReader(c))
}

// start dials the plain address and greets.
func start(t testing.TB, s *sestest.Server) *dialogue {
	t.Helper()
	d := dial(t, s, s.PlainAddr)
	d.expect(220, "ESMTP")
	d.cmd(250, "Ok", "EHLO client.example.com")
	return d
}

func (d *dialogue) send(format string, args ...any) {
	d.t.Helper()
	if _, err := fmt.Fprintf(d.conn, format, args...); err != nil {
		d.t.Fatalf("write: %v", err)
	}
}

// expect reads a reply and returns its text.
func (d *dialogue) expect(code int, part string) string {
	d.t.Helper()
	got, text, err := d.r.ReadResponse(0)
	if err != nil {
		d.t.Fatalf("want %d %q, got %v", code, part, err)
	}
	if got != code || !strings.Contains(text, part) {
		d.t.Fatalf("want %d %q, got %d %q", code, part, got, text)
	}
	return text
}

func (d *dialogue) cmd(code int, part, format string, args ...any) string {
	d.t.Helper()
	d.send(format+"\r\n", args...)
	return d.expect(code, part)
}

// expectEnd reads the orderly end of the connection.
func (d *dialogue) expectEnd() {
	d.t.Helper()
	if line, err := d.r.ReadLine(); err != io.EOF {
		d.t.Fatalf("want the end of the connection, got %q, %v", line, err)
	}
}

func (d *dialogue) startTLS(s *sestest.Server) {
	d.t.Helper()
	d.cmd(220, "", "STARTTLS")
	d.secure(s)
}

// secure puts TLS on the connection.
func (d *dialogue) secure(s *sestest.Server) {
	cfg := s.TLSConfig()
	cfg.ServerName = "localhost"
	d.use(tls.Client(d.conn, cfg))
}

func plainCredentials(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

// envelope sends MAIL, RCPT and DATA.
func (d *dialogue) envelope(from string, to ...string) {
	d.t.Helper()
	d.cmd(250, "Ok", "MAIL FROM:<%s>", from)
	for _, a := range to {
		d.cmd(250, "Ok", "RCPT TO:<%s>", a)
	}
	d.cmd(354, "", "DATA")
}

const (
	from    = "sender@example.com"
	to      = "to@example.org"
	message = "From: sender@example.com\r\nTo: to@example.org\r\nSubject: Hello\r\n\r\nHello.\r\n"
)

// mail sends a whole message and expects this answer to its dot.
func (d *dialogue) mail(msg string, code int, part string) string {
	d.t.Helper()
	d.envelope(from, to)
	d.send("%s.\r\n", msg)
	return d.expect(code, part)
}

func newServer(t testing.TB) *sestest.Server {
	s := sestest.NewServer()
	t.Cleanup(s.Close)
	return s
}

func wantAccepted(t testing.TB, s *sestest.Server, want int) []sestest.Mail {
	t.Helper()
	got := s.Accepted()
	if len(got) != want {
		t.Fatalf("%d messages accepted, want %d", len(got), want)
	}
	return got
}

// script sends every first string as a line, and expects a line that begins
// with every second one.
func (d *dialogue) script(lines ...string) {
	d.t.Helper()
	for i := 0; i < len(lines); i += 2 {
		if _, err := io.WriteString(d.conn, lines[i]+"\r\n"); err != nil {
			d.t.Fatal(err)
		}
		for {
			got, err := d.r.ReadLine()
			if err != nil || !strings.HasPrefix(got, lines[i+1]) {
				d.t.Fatalf("%q draws %q, %v, want %q", lines[i], got, err, lines[i+1])
			}
			if len(got) < 4 || got[3] != '-' {
				break
			}
		}
	}
}
