package sestest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func TestRepliesAreSaidAtTheirStage(t *testing.T) {
	for _, at := range []sestest.Stage{
		sestest.Connect, sestest.EHLO, sestest.StartTLS, sestest.Auth, sestest.MailFrom, sestest.Rcpt,
		sestest.Data, sestest.EndOfData, sestest.Rset, sestest.Noop, sestest.Quit,
	} {
		t.Run(at.String(), func(t *testing.T) {
			s := newServer(t)
			s.Script(sestest.Reply(at, 451, "first\nTemporary service failure"))
			stage, text := walk(t, s)
			if stage != at || text != "first\nTemporary service failure" {
				t.Errorf("refused at %v with %q", stage, text)
			}
			if s.FaultsLeft() != 0 {
				t.Error("the fault was not consumed")
			}
		})
	}
}

// walk goes through every stage of a session until one refuses.
func walk(t *testing.T, s *sestest.Server) (sestest.Stage, string) {
	t.Helper()
	d := dial(t, s, s.SMTPAddr)
	for _, step := range []struct {
		at   sestest.Stage
		line string
	}{
		{sestest.Connect, ""},
		{sestest.EHLO, "EHLO client.example.com"},
		{sestest.StartTLS, "STARTTLS"},
		{sestest.EHLO, "EHLO client.example.com"},
		{sestest.Auth, "AUTH PLAIN " + plainCredentials(s.Username, s.Password)},
		{sestest.MailFrom, "MAIL FROM:<" + from + ">"},
		{sestest.Rcpt, "RCPT TO:<" + to + ">"},
		{sestest.Data, "DATA"},
		{sestest.EndOfData, message + "."},
		{sestest.Rset, "RSET"},
		{sestest.Noop, "NOOP"},
		{sestest.Quit, "QUIT"},
	} {
		if step.line != "" {
			d.send("%s\r\n", step.line)
		}
		code, text, err := d.r.ReadResponse(0)
		if err != nil {
			t.Fatalf("%v: %v", step.at, err)
		}
		if code >= 400 {
			return step.at, text
		}
		if step.at == sestest.StartTLS {
			d.secure(s)
		}
	}
	t.Fatal("nothing was refused")
	return 0, ""
}

func TestAScriptIsConsumedInOrderByThoseWhoReachIt(t *testing.T) {
	s := newServer(t)
	s.Script(sestest.Pass(), sestest.Refuse(seserrors.SendRateExceeded), sestest.Reply(sestest.Rcpt, 450, "later"))
	d := start(t, s)
	d.mail(message, 250, "Ok")
	d.mail(message, 454, "Throttling failure: Maximum sending rate exceeded.")
	d.cmd(503, "", "MAIL FROM:<%s>", from)
	d.cmd(250, "Ok", "RSET")
	d.cmd(250, "Ok", "MAIL FROM:<%s>", from)
	d.cmd(450, "later", "RCPT TO:<%s>", to)
	d.cmd(250, "Ok", "RCPT TO:<%s>", "other@example.org")
	d.cmd(354, "", "DATA")
	d.send("%s.\r\n", message)
	d.expect(250, "Ok")
	got := wantAccepted(t, s, 2)
	if to := strings.Join(got[1].To, " "); to != "other@example.org" {
		t.Errorf("accepted for %q, want the recipient that was not refused", to)
	}
	if s.FaultsLeft() != 0 {
		t.Errorf("%d faults left", s.FaultsLeft())
	}
}

func TestAFaultWaitsForItsTransport(t *testing.T) {
	s := newServer(t)
	s.Script(sestest.Refuse(seserrors.Conflict), sestest.Refuse(seserrors.IdleTimeout))
	d := start(t, s)
	d.mail(message, 250, "Ok") // SMTP cannot say conflict, and idle-timeout stands behind it
	_, err := apiClient(s).SendEmail(context.Background(), rawInput(message))
	wantAPIError(t, err, "ConcurrentModificationException")
	d.cmd(451, "4.4.2", "MAIL FROM:<%s>", from)
	d.expectEnd()
}

func wantAPIError(t *testing.T, err error, code string) {
	t.Helper()
	if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
}

// dropped are the faults after which the client has no answer to its message.
var dropped = []struct {
	fault    sestest.Fault
	accepted int
	reset    bool
}{
	{sestest.Cut(sestest.EndOfData), 0, false},
	{sestest.Reset(sestest.EndOfData), 0, true},
	{sestest.CutBody(10), 0, false},
	{sestest.CutBody(1 << 20), 0, false},
	{sestest.AcceptThenCut(), 1, false},
}

func TestDroppedMessagesOverSMTP(t *testing.T) {
	for _, tt := range dropped {
		t.Run(tt.fault.String(), func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *sestest.Server) {
				s.Script(tt.fault)
				d := start(t, s)
				d.envelope(from, to)
				d.send("%s.\r\n", message)
				_, err := d.r.ReadLine()
				if tt.reset != errors.Is(err, syscall.ECONNRESET) || !tt.reset && err != io.EOF {
					t.Errorf("the client sees %v", err)
				}
				wantAccepted(t, s, tt.accepted)
			})
		})
	}
}

func TestDroppedMessagesOverTheAPI(t *testing.T) {
	for _, tt := range dropped {
		for name, newServer := range map[string]func() *sestest.Server{
			"HTTP2": sestest.NewServer, "HTTP1": sestest.NewMemoryServer,
		} {
			t.Run(name+" "+tt.fault.String(), func(t *testing.T) {
				s := newServer()
				defer s.Close()
				s.Script(tt.fault)
				_, err := apiClient(s).SendEmail(context.Background(), rawInput(message))
				if _, answered := errors.AsType[smithy.APIError](err); err == nil || answered {
					t.Errorf("the client got an answer: %v", err)
				}
				wantAccepted(t, s, tt.accepted)
			})
		}
	}
}

func TestACutBodyCountsOctetsOnTheWire(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		s.Script(sestest.CutBody(5))
		d := start(t, s)
		d.envelope(from, to)
		d.send("From")
		synctest.Wait()
		if n := s.Connections().Open; n != 1 {
			t.Fatalf("%d connections after 4 octets, want 1", n)
		}
		d.send(":")
		synctest.Wait()
		if n := s.Connections().Open; n != 0 {
			t.Fatalf("%d connections after 5 octets, want 0", n)
		}
	})
}

func TestAcceptThenFailLiesOverTheAPIOnly(t *testing.T) {
	s := newServer(t)
	s.Script(sestest.AcceptThenFail(), sestest.AcceptThenFail())
	_, err := apiClient(s).SendEmail(context.Background(), rawInput(message))
	wantAPIError(t, err, "InternalFailure")
	wantAccepted(t, s, 1)
	d := start(t, s)
	d.envelope(from, to)
	d.send("%s.\r\n", message)
	d.expectEnd()
	wantAccepted(t, s, 2)
}

func TestAStallLastsUntilTheClientLeaves(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		s.Script(sestest.Stall(sestest.EndOfData), sestest.Stall(sestest.EndOfData))
		d := start(t, s)
		d.envelope(from, to)
		d.send("%s.\r\n", message)
		time.Sleep(time.Hour)
		if n := s.Connections().Open; n != 1 {
			t.Errorf("%d connections open during the stall", n)
		}
		d.conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := apiClient(s).SendEmail(ctx, rawInput(message))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the API answered: %v", err)
		}
		synctest.Wait()
		if s.Connections().Open+s.APIConnections().Open != 0 {
			t.Error("the stalled connections are still open")
		}
		wantAccepted(t, s, 0)
	})
}

func TestStalledConnectionsEndWithTheServer(t *testing.T) {
	for _, at := range []sestest.Stage{sestest.Connect, sestest.EHLO, sestest.EndOfData} {
		t.Run(at.String(), func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *sestest.Server) {
				s.Script(sestest.Stall(at))
				d := dial(t, s, s.PlainAddr)
				if at != sestest.Connect {
					d.expect(220, "")
				}
				d.send("EHLO client.example.com\r\n")
				if at == sestest.EndOfData {
					d.expect(250, "")
					d.envelope(from, to)
					d.send("%s.\r\n", message)
				}
				synctest.Wait()
				s.Close()
				if _, err := d.r.ReadLine(); err != io.EOF {
					t.Errorf("the client sees %v", err)
				}
			})
		})
	}
}

func TestAHalfClosedServerStillReads(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		s.Script(sestest.HalfClose(sestest.MailFrom))
		d := start(t, s)
		d.send("MAIL FROM:<%s>\r\n", from)
		d.expectEnd()
		d.send("QUIT\r\n")
		synctest.Wait()
		if n := s.Connections().Open; n != 1 {
			t.Errorf("%d connections open, want 1", n)
		}
	})
}

func TestADelayIsNoRefusal(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		s.Script(sestest.Delay(sestest.EndOfData, time.Minute), sestest.Refuse(seserrors.ServiceFailure))
		d := start(t, s)
		begin := time.Now()
		d.mail(message, 451, "Temporary service failure") // the next fault strikes after the delay
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("answered after %v", took)
		}
		wantAccepted(t, s, 0)
	})
}

func TestRepliesCanBeMangled(t *testing.T) {
	tests := map[string]struct {
		fault sestest.Fault
		want  string
		ends  bool
	}{
		"drip":          {sestest.Drip(sestest.Noop), "250 Ok\r\n", false},
		"raw":           {sestest.Raw(sestest.Noop, "garb\x00age"), "garb\x00age", false},
		"raw past TLS":  {sestest.RawTCP(sestest.Noop, "421 bye\r\n"), "421 bye\r\n", false},
		"cut in reply":  {sestest.CutReply(sestest.Noop, 5), "250 O", true},
		"cut behind it": {sestest.CutReply(sestest.Noop, 99), "250 Ok\r\n", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *sestest.Server) {
				s.Script(tt.fault)
				d := start(t, s)
				d.send("NOOP\r\n")
				got := make([]byte, len(tt.want))
				if _, err := io.ReadFull(d.r.R, got); err != nil || string(got) != tt.want {
					t.Fatalf("read %q, %v", got, err)
				}
				if tt.ends {
					d.expectEnd()
					return
				}
				d.cmd(250, "Ok", "NOOP")
			})
		})
	}
}

func TestClearTextCanBreakIntoTLS(t *testing.T) {
	s := newServer(t)
	s.Script(sestest.RawTCP(sestest.EHLO, "421 idle\r\n"))
	d := dial(t, s, s.SMTPSAddr)
	d.secure(s)
	d.expect(220, "")
	d.send("EHLO client.example.com\r\n")
	if _, err := d.r.ReadLine(); err == nil || !strings.Contains(err.Error(), "tls:") {
		t.Errorf("the client sees %v, want a TLS record error", err)
	}
}

func TestACutReplyToTheDotFollowsAcceptance(t *testing.T) {
	s := newServer(t)
	s.Script(sestest.CutReply(sestest.EndOfData, 3))
	d := start(t, s)
	d.envelope(from, to)
	d.send("%s.\r\n", message)
	got, err := io.ReadAll(d.r.R)
	if string(got) != "250" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	wantAccepted(t, s, 1)
}

func TestAReplyOfSuccessTakesEffect(t *testing.T) {
	s := newServer(t)
	s.Script(
		sestest.Reply(sestest.EHLO, 250, "x\nPIPELINING\nOk"),
		sestest.Reply(sestest.EndOfData, 250, ""),
		sestest.Reply(sestest.EndOfData, 354, "what"),
	)
	d := dial(t, s, s.PlainAddr)
	d.expect(220, "")
	d.cmd(250, "PIPELINING", "EHLO client.example.com")
	d.envelope(from, to)
	d.send("%s.\r\n", message)
	if line, err := d.r.ReadLine(); line != "250" || err != nil {
		t.Fatalf("read %q, %v, want a bare 250", line, err)
	}
	wantAccepted(t, s, 1)
	d.envelope(from, to)
	d.send("%s.\r\n", message)
	d.expect(354, "what")
	wantAccepted(t, s, 1)
}

func TestA421Closes(t *testing.T) {
	s := newServer(t)
	s.Script(sestest.Reply(sestest.Rcpt, 421, "closing"))
	d := start(t, s)
	d.cmd(250, "Ok", "MAIL FROM:<%s>", from)
	d.cmd(421, "closing", "RCPT TO:<%s>", to)
	d.expectEnd()
}

func TestAPIAnswersCanBeAnything(t *testing.T) {
	tests := map[string]struct {
		fault  sestest.Fault
		status int
		code   string
		body   string
	}{
		"coded":     {sestest.APIReply(400, "LimitExceededException", "no"), 400, "LimitExceededException", `{"message":"no"}`},
		"empty":     {sestest.APIReply(502, "", ""), 502, "", ""},
		"bare 200":  {sestest.APIBody(200, "{}"), 200, "", "{}"},
		"HTML page": {sestest.APIBody(504, "<html>"), 504, "", "<html>"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.Script(tt.fault)
			resp, err := s.HTTPClient().Post(s.URL+"/v2/email/outbound-emails", "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || resp.Header.Get("X-Amzn-Errortype") != tt.code || string(b) != tt.body {
				t.Errorf("%d %v %q", resp.StatusCode, resp.Header, b)
			}
			if resp.Header.Get("X-Amzn-Requestid") == "" {
				t.Error("no request id")
			}
			wantAccepted(t, s, 0)
		})
	}
}

func TestAPIConnectionsCanFailAtConnect(t *testing.T) {
	for _, f := range []sestest.Fault{sestest.Cut(sestest.Connect), sestest.Reset(sestest.Connect)} {
		t.Run(f.String(), func(t *testing.T) {
			s := newServer(t)
			s.Script(f)
			resp, err := s.HTTPClient().Get(s.URL + "/v2/email/account")
			if err == nil {
				t.Fatalf("answered: %v", resp.Status)
			}
			if resp, err = s.HTTPClient().Get(s.URL + "/v2/email/account"); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("the next connection: %v", err)
			}
			resp.Body.Close()
		})
	}
}

func TestRefuseKnowsItsCauses(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an unknown cause was taken")
		}
	}()
	sestest.Refuse("out-of-cheese")
}

func TestTheTLSHandshakeCanFail(t *testing.T) {
	cuts := []sestest.Fault{sestest.Cut(sestest.Handshake), sestest.Reset(sestest.Handshake), sestest.HalfClose(sestest.Handshake)}
	clear := []sestest.Fault{sestest.Raw(sestest.Handshake, "451 not now\r\n"), sestest.Reply(sestest.Handshake, 454, "TLS not available")}
	for _, f := range cuts {
		t.Run("STARTTLS "+f.String(), func(t *testing.T) {
			s := sestest.NewMemoryServer()
			defer s.Close()
			s.Script(f)
			d := dial(t, s, s.SMTPAddr)
			d.expect(220, "")
			d.startTLS(s)
			wantNoHandshake(t, s, d)
		})
	}
	for _, f := range append(cuts, clear...) {
		t.Run("wrapper "+f.String(), func(t *testing.T) {
			s := sestest.NewMemoryServer()
			defer s.Close()
			s.Script(f)
			d := dial(t, s, s.SMTPSAddr)
			d.secure(s)
			wantNoHandshake(t, s, d)
		})
	}
}

func wantNoHandshake(t *testing.T, s *sestest.Server, d *dialogue) {
	t.Helper()
	if err := d.conn.(*tls.Conn).Handshake(); err == nil || s.FaultsLeft() != 0 {
		t.Errorf("handshake %v, %d faults left", err, s.FaultsLeft())
	}
}

func TestAcceptedRequestsCanBeAnsweredWithAnything(t *testing.T) {
	for name, newServer := range map[string]func() *sestest.Server{"HTTP2": sestest.NewServer, "HTTP1": sestest.NewMemoryServer} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			defer s.Close()
			s.Script(sestest.AcceptThenReply(200, "{}"), sestest.AcceptThenReply(200, `{"MessageId":"`).WithHeader("Content-Length", "100"))
			out, err := apiClient(s).SendEmail(context.Background(), rawInput(message))
			if err != nil || out.MessageId != nil {
				t.Errorf("answered %v, %v", out, err)
			}
			if _, err = apiClient(s).SendEmail(context.Background(), rawInput(message)); err == nil {
				t.Error("a cut body was read as a success")
			}
			wantAccepted(t, s, 2)
		})
	}
}

func TestAnswersCanCarryFields(t *testing.T) {
	s := newServer(t)
	plain := sestest.APIBody(307, "")
	s.Script(plain.WithHeader("Location", "/v2/email/account"), plain)
	client := s.HTTPClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, want := range []string{"/v2/email/account", ""} {
		resp, err := client.Post(s.URL+"/v2/email/outbound-emails", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 307 || resp.Header.Get("Location") != want {
			t.Errorf("%s to %q, want %q", resp.Status, resp.Header.Get("Location"), want)
		}
	}
}
