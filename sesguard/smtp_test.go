package sesguard

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A memorySMTP is a server on a pipe. What it accepted is sent to mails, what was
// cut is not.
type memorySMTP struct{ mails chan string }

// transportTo returns a transport to s.
func (s *memorySMTP) transport(t *testing.T) Transport {
	t.Helper()
	c, err := smtpclient.New(smtpclient.Config{
		Addr: "127.0.0.1:25", TLS: smtpclient.TLSNone,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go s.serve(server)
			return client, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return SMTP(c)
}

func (s *memorySMTP) serve(conn net.Conn) {
	defer conn.Close()
	say := func(text string) { io.WriteString(conn, text+"\r\n") }
	say("220 ready")
	var mail strings.Builder
	lines := bufio.NewScanner(conn)
	for body := false; lines.Scan(); {
		line := lines.Text()
		switch {
		case body && line == ".":
			body = false
			s.mails <- mail.String()
			say("250 Ok 0107")
		case body:
			mail.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
		case line == "DATA":
			body = true
			say("354 go")
		case strings.HasPrefix(line, "EHLO"):
			say("250-memory\r\n250 8BITMIME")
		case line == "QUIT":
			say("221 bye")
			return
		default:
			say("250 Ok")
		}
	}
}

func TestSMTPSendsTheMailBehindWhatSESReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &memorySMTP{make(chan string, 1)}
		transport := srv.transport(t)
		m := everything()
		m.Text = "a\n.b\n"
		m.Attachments = append(m.Attachments, Attachment{Name: "s.bin", Open: streamOf([]byte("streamed"))})
		mail := built(t, m)
		receipt, err := transport.Attempt(t.Context(), mail)
		if err != nil || receipt.MessageID != "0107" || receipt.Transport != "smtp" || receipt.Attempts != 1 {
			t.Fatalf("%+v, %v", receipt, err)
		}
		data, err := octets(mail)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := <-srv.mails, string(mail.sesLines())+string(data); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestAnAttemptEndsWithItsContextWhoeverStandsStill(t *testing.T) {
	for _, in := range []string{"Open", "Read"} {
		t.Run(in, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &memorySMTP{make(chan string, 1)}
				transport := srv.transport(t)
				gate, closed := make(chan struct{}), 0
				mail := built(t, streaming(func() (io.ReadCloser, error) {
					if in == "Open" {
						<-gate
					}
					return gated{strings.NewReader("x"), gate, &closed}, nil
				}))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				_, err := transport.Attempt(ctx, mail)
				e, ok := errors.AsType[*seserrors.Error](err)
				if !ok || e.Class != seserrors.Canceled && !errors.Is(err, context.DeadlineExceeded) || seserrors.MaybeAccepted(err) || time.Since(start) > time.Minute+5*time.Second {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				close(gate)
				synctest.Wait()
				if closed != 1 || len(srv.mails) > 0 {
					t.Errorf("the file was closed %d times, %d mails arrived", closed, len(srv.mails))
				}
			})
		})
	}
}

func TestAFileThatFailsOverSMTPSaysWhy(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name   string
		open   func() (io.ReadCloser, error)
		reason seserrors.Reason
		cause  error
	}{
		{"Open", func() (io.ReadCloser, error) { return nil, boom }, seserrors.ContentUnreadable, boom},
		{"Read", func() (io.ReadCloser, error) { return io.NopCloser(failing{boom}), nil }, seserrors.ContentUnreadable, boom},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &memorySMTP{make(chan string, 1)}
				_, err := srv.transport(t).Attempt(t.Context(), built(t, streaming(tt.open)))
				e, ok := errors.AsType[*seserrors.Error](err)
				if !ok || e.Class != seserrors.Invalid || e.Reason != tt.reason || tt.cause != nil && !errors.Is(err, tt.cause) || seserrors.MaybeAccepted(err) {
					t.Errorf("got %v", err)
				}
				synctest.Wait()
				if len(srv.mails) > 0 {
					t.Error("a part of the mail was accepted")
				}
			})
		})
	}
}

func TestTheRegionIsInTheNameOfTheEndpoint(t *testing.T) {
	for addr, want := range map[string]string{
		"email-smtp.eu-west-1.amazonaws.com:587":                         "eu-west-1",
		"EMAIL-SMTP.US-EAST-1.AMAZONAWS.COM:465":                         "us-east-1",
		"email-smtp-fips.us-west-2.amazonaws.com:587":                    "us-west-2",
		"email-smtp.eu-west-1.api.aws:587":                               "eu-west-1",
		"vpce-0a1b-xyz.email-smtp.ap-southeast-2.vpce.amazonaws.com:587": "ap-southeast-2",
		"127.0.0.1:25":                                       "",
		"relay.example.com:25":                               "",
		"email-smtp.eu-west-1.example.com:587":               "",
		"email-smtp.eu-west-1.amazonaws.com.example.com:587": "",
		"email-smtp.amazonaws.com:587":                       "",
		"fake-email-smtp.eu-west-1.amazonaws.com:587":        "",
	} {
		c, err := smtpclient.New(smtpclient.Config{Addr: addr, Username: "u", Password: "p"})
		if err != nil {
			t.Fatal(err)
		}
		if got := SMTP(c).(smtpTransport).region; got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
		c.Close()
	}
}

func TestTheMessageIDThatRecipientsSee(t *testing.T) {
	for want, r := range map[string]Receipt{
		"<0107-0@email.amazonses.com>":     {MessageID: "0107-0", Region: "us-east-1"},
		"<0107-0@eu-west-1.amazonses.com>": {MessageID: "0107-0", Region: "eu-west-1"},
		"":                                 {MessageID: "0107-0"},
	} {
		if got := r.HeaderID(); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
		if _, err := Build(&Message{From: "a@b.c", To: []string{"d@e.f"}, Headers: []Header{{"In-Reply-To", want}}}); (err == nil) != (want != "") {
			t.Errorf("In-Reply-To: %s: %v", want, err)
		}
	}
	if id := (&Receipt{Region: "eu-west-1"}).HeaderID(); id != "" {
		t.Errorf("without a message id: %s", id)
	}
}
