package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// once answers said at stage one time, on messages after the first skip.
func (s *script) once(stage, said string) {
	var used atomic.Bool
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply = func(p *peer, at, arg string) string {
		if at == stage && used.CompareAndSwap(false, true) {
			return said
		}
		return ""
	}
}

// want checks an error against what is expected of it; class Unknown stands for
// no error at all.
func want(t *testing.T, err error, class seserrors.Class, reason seserrors.Reason, maybe bool) *seserrors.Error {
	t.Helper()
	if class == seserrors.Unknown {
		if err != nil {
			t.Errorf("got %v, want no error", err)
		}
		return nil
	}
	e, ok := errors.AsType[*seserrors.Error](err)
	if !ok {
		t.Fatalf("got %v (%T), want a *seserrors.Error", err, err)
	}
	if e.Class != class || (reason != "" && e.Reason != reason) || e.MaybeAccepted != maybe || seserrors.MaybeAccepted(err) != maybe {
		t.Errorf("got %v, want %v (%v), maybe accepted %v", err, class, reason, maybe)
	}
	if e.Op == "" || e.Endpoint == "" && e.Op != "smtpclient New" {
		t.Errorf("%v has no op, or no endpoint", err)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error holds the password: %v", err)
	}
	return e
}

// count returns how many commands of a verb the server has read.
func (s *script) count(verb string) (n int) {
	for _, line := range s.said() {
		if strings.HasPrefix(strings.ToUpper(line), verb) {
			n++
		}
	}
	return n
}

// A phaseRow is what becomes of one mail when the server answers unusually.
type phaseRow struct {
	name   string
	reused bool   // a mail went over the connection before
	stage  string // where the server answers
	said   string
	class  seserrors.Class
	reason seserrors.Reason
	maybe  bool
	got    int // mails that the server accepted of this one
	conns  int // in all, with the mail before and the one after
	rsets  int
}

// halfEarly is the beginning of a reply that comes before the message.
const halfEarly = "354 go\n250-early"

func phaseTable() []phaseRow {
	const (
		none = seserrors.Unknown
		unav = seserrors.Unavailable
		rej  = seserrors.Rejected
	)
	const early = "354 go\n250 Ok early"
	return []phaseRow{
		// waiting, dial, greeting, EHLO, AUTH: nothing in doubt, dropped
		{"greeting 421 too many", false, "CONNECT", "421 Too many concurrent SMTP connections", unav, seserrors.TooManyConnections, false, 0, 2, 0},
		{"greeting 554", false, "CONNECT", "554 No SMTP service here", seserrors.Denied, "", false, 0, 2, 0},
		{"greeting hang up", false, "CONNECT", hangUp, unav, seserrors.Network, false, 0, 2, 0},
		{"EHLO 421", false, "EHLO", "421 busy", unav, "", false, 0, 2, 0},
		{"EHLO 502", false, "EHLO", "502 what", seserrors.Denied, "", false, 0, 2, 0},
		{"EHLO garbage", false, "EHLO", "hello there", unav, seserrors.ProtocolError, false, 0, 2, 0},
		{"AUTH 454", false, "AUTH", "454 Temporary authentication failure", unav, seserrors.AuthUnavailable, false, 0, 2, 0},
		{"AUTH 535", false, "AUTH", "535 Authentication Credentials Invalid", seserrors.Denied, seserrors.CredentialsInvalid, false, 0, 2, 0},
		{"AUTH 554 unknown", false, "AUTH", "554 no", seserrors.Denied, "", false, 0, 2, 0},

		// first command on a reused connection
		{"reused, EOF", true, "MAIL", hangUp, none, "", false, 1, 2, 0},
		{"reused, 421", true, "MAIL", "421 closing", none, "", false, 1, 2, 0},
		{"reused, 451 4.4.2", true, "MAIL", "451 4.4.2 Timeout waiting for data from client.", none, "", false, 1, 2, 0},
		{"reused, 451 without 4.4.2", true, "MAIL", "451 Timeout waiting for data from client", none, "", false, 1, 2, 0},
		{"reused, garbage", true, "MAIL", "!!", none, "", false, 1, 2, 0},
		{"reused, silence", true, "MAIL", mute, none, "", false, 1, 2, 0},
		{"reused, 503", true, "MAIL", "503 nested MAIL", none, "", false, 1, 2, 0},
		{"reused, session limit", true, "MAIL", "421 Connection closed by server. Maximum message count per session reached.", none, "", false, 1, 2, 0},
		{"reused, EOF at RCPT", true, "RCPT", hangUp, none, "", false, 1, 2, 0},
		{"reused, EOF at DATA", true, "DATA", hangUp, none, "", false, 1, 2, 0},
		{"reused, too many connections", true, "MAIL", "421 Too many concurrent SMTP connections", unav, seserrors.TooManyConnections, false, 0, 2, 0},
		{"reused, 451 service failure", true, "MAIL", "451 Temporary service failure", unav, seserrors.ServiceFailure, false, 0, 1, 1},
		{"reused, 554", true, "MAIL", "554 no", rej, "", false, 0, 1, 1},
		{"fresh, EOF", false, "MAIL", hangUp, unav, seserrors.Network, false, 0, 2, 0},
		{"fresh, 421", false, "MAIL", "421 closing", unav, "", false, 0, 2, 0},
		{"fresh, session limit", false, "MAIL", "421 Too many messages in one session", unav, seserrors.SessionMessageLimit, false, 0, 2, 0},
		{"fresh, silence", false, "MAIL", mute, unav, "", false, 0, 2, 0},

		// MAIL, RCPT or DATA refused: RSET and keep
		{"MAIL 501", false, "MAIL", "501 Invalid MAIL FROM address provided", rej, seserrors.MailFromSyntax, false, 0, 1, 1},
		{"MAIL 530", false, "MAIL", "530 Authentication required", seserrors.Denied, seserrors.AuthRequired, false, 0, 1, 1},
		{"RCPT 553", false, "RCPT", "553 <bob@example.net> address unknown", rej, seserrors.RecipientSyntax, false, 0, 1, 1},
		{"RCPT 452", false, "RCPT", "452 later", unav, "", false, 0, 1, 1},
		{"RCPT 421", false, "RCPT", "421 closing", unav, "", false, 0, 2, 0},
		{"DATA 451", false, "DATA", "451 Temporary service failure", unav, seserrors.ServiceFailure, false, 0, 1, 1},
		{"DATA 554", false, "DATA", "554 no", rej, "", false, 0, 1, 1},
		{"RCPT 354", false, "RCPT", "354 what", unav, seserrors.ProtocolError, false, 0, 2, 0},
		{"MAIL mixed codes", false, "MAIL", "250-a\n251 b", unav, seserrors.ProtocolError, false, 0, 2, 0},
		{"stray 450 behind MAIL", false, "MAIL", "250 Ok\n450 later", unav, "", false, 0, 2, 0},
		{"stray 250 behind MAIL", false, "MAIL", "250 Ok\n250 Ok", unav, seserrors.ProtocolError, false, 0, 2, 0},
		{"stray 250 behind MAIL, reused", true, "MAIL", "250 Ok\n250 Ok", none, "", false, 1, 2, 0},
		{"DATA 250", false, "DATA", "250 Ok", unav, seserrors.ProtocolError, false, 0, 2, 0},

		// the body
		{"early 250", false, "DATA", early, unav, seserrors.ProtocolError, false, 0, 2, 0},
		{"early 552", false, "DATA", "354 go\n552 Message is too long.", rej, seserrors.MessageTooLong, false, 0, 2, 0},
		{"early garbage", false, "DATA", "354 go\n???", unav, seserrors.ProtocolError, false, 0, 2, 0},
		{"early half a reply", false, "DATA", halfEarly, unav, seserrors.Network, false, 0, 2, 0},
		{"hang up in the body", false, "BODY", hangUp, unav, seserrors.Network, false, 0, 2, 0},

		// after the dot
		{"no reply", false, "DOT", hangUp, unav, seserrors.ResponseLost, true, 0, 2, 0},
		{"accepted, no reply", false, "DOT", "\x00accept" + hangUp, unav, seserrors.ResponseLost, true, 1, 2, 0},
		{"silence", false, "DOT", mute, unav, seserrors.ResponseLost, true, 0, 2, 0},
		{"garbage", false, "DOT", "Ok I think", unav, seserrors.ProtocolError, true, 0, 2, 0},
		{"mixed codes", false, "DOT", "250-Ok\n550 no", unav, seserrors.ProtocolError, true, 1, 2, 0},
		{"1yz", false, "DOT", "150 wait", unav, seserrors.ProtocolError, true, 0, 2, 0},
		{"3yz", false, "DOT", "354 more", unav, seserrors.ProtocolError, true, 0, 2, 0},
		{"bare 250", false, "DOT", "250", none, "", false, 1, 1, 0},
		{"multi-line 250", false, "DOT", "250-Ok\n250 queued", none, "", false, 1, 1, 0},
		{"251", false, "DOT", "251 whatever", none, "", false, 1, 1, 0},
		{"454 rate", false, "DOT", "454 Throttling failure: Maximum sending rate exceeded.", seserrors.Throttled, seserrors.SendRateExceeded, false, 0, 1, 1},
		{"454 quota", false, "DOT", "454 Throttling failure: Daily message quota exceeded", seserrors.QuotaExceeded, seserrors.DailyQuotaExceeded, false, 0, 1, 1},
		{"554 identity", false, "DOT", "554 Message rejected: Email address is not verified. The following identities failed the check in region US-EAST-1: a@b.example", seserrors.Denied, seserrors.IdentityNotVerified, false, 0, 1, 1},
		{"552 folded", false, "DOT", "552-5.3.4 Message is\n552 too long.", rej, seserrors.MessageTooLong, false, 0, 1, 1},
		{"421 after the dot", false, "DOT", "421 closing", unav, "", false, 0, 2, 0},
		{"idle timeout after the dot", false, "DOT", "451 Timeout waiting for data from client.", unav, seserrors.IdleTimeout, false, 0, 2, 0},
		{"session limit after the dot", false, "DOT", "421 Maximum message count per session reached.", unav, seserrors.SessionMessageLimit, false, 0, 2, 0},
		{"252", false, "DOT", "252 cannot verify", unav, seserrors.ProtocolError, true, 1, 2, 0},
		{"221", false, "DOT", "221 bye", unav, seserrors.ProtocolError, true, 1, 2, 0},
		{"220 of another backend", false, "DOT", "220 hello", unav, seserrors.ProtocolError, true, 1, 2, 0},
		{"211", false, "DOT", "211 status", unav, seserrors.ProtocolError, true, 1, 2, 0},
		{"214", false, "DOT", "214 help", unav, seserrors.ProtocolError, true, 1, 2, 0},
		{"250 and 421 behind it", false, "DOT", "250 Ok\n421 bye", none, "", false, 1, 2, 0},
	}
}

func TestPhaseTable(t *testing.T) {
	for _, row := range phaseTable() {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				row.run(t, s, s.client(t, func(cfg *Config) { cfg.MaxConns = 1 }))
			})
		})
	}
}

// TestPhaseTableOnSockets is the same over TCP, with and without TLS, where the
// look for unread octets asks the socket. Rows that take time, or depend on
// it, are left out.
func TestPhaseTableOnSockets(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, row := range phaseTable() {
			if row.said == mute || row.said == halfEarly || row.stage == "BODY" || row.setUp() {
				continue
			}
			t.Run(fmt.Sprintf("TLS %v, %s", secure, row.name), func(t *testing.T) {
				s := newScript(t)
				s.wrapper = secure
				row.run(t, s, s.client(t, s.onSocket, func(cfg *Config) { cfg.MaxConns = 1 }))
			})
		}
	}
}

// onSocket makes a client use the script over TCP.
func (s *script) onSocket(cfg *Config) {
	cfg.Addr, cfg.TLS, cfg.DialContext = s.listen(), TLSWrapper, nil
	if !s.wrapper {
		cfg.TLS, cfg.Username, cfg.Password = TLSNone, "", ""
	}
}

func (row phaseRow) setUp() bool {
	switch row.stage {
	case "CONNECT", "EHLO", "AUTH":
		return true
	}
	return false
}

func (row phaseRow) run(t *testing.T, s *script, c *Client) {
	before := 0
	if row.reused {
		if _, err := c.post(t.Context()); err != nil {
			t.Fatal(err)
		}
		before = 1
	}
	s.once(row.stage, row.said)
	_, err := c.post(t.Context())
	want(t, err, row.class, row.reason, row.maybe)
	if got := len(s.mailbox()) - before; got != row.got {
		t.Errorf("server accepted %d, want %d", got, row.got)
	}
	if row.stage == "AUTH" || row.stage == "CONNECT" {
		time.Sleep(backoffMin) // remembered; another test looks at that
	}
	if _, err := c.post(t.Context()); err != nil {
		t.Errorf("the next mail: %v", err)
	}
	if conns, _, _ := s.connections(); conns != row.conns {
		t.Errorf("%d connections, want %d", conns, row.conns)
	}
	if n := s.count("RSET"); n != row.rsets {
		t.Errorf("%d RSETs, want %d", n, row.rsets)
	}
	if got := s.mailbox(); len(got) != before+row.got+1 || slices.ContainsFunc(got, func(m string) bool { return m != string(letter) }) {
		t.Errorf("mailbox %q", got)
	}
}

// writeTo is a message that does what a test wants.
type writeTo func(w io.Writer) (int64, error)

func (f writeTo) WriteTo(w io.Writer) (int64, error) { return f(w) }

func write(w io.Writer, p string) (int64, error) {
	n, err := io.WriteString(w, p)
	return int64(n), err
}

func TestTheContextEndsWithoutDoubtBeforeTheDotAndInDoubtAfterIt(t *testing.T) {
	for _, row := range []struct {
		stage string
		maybe bool
	}{{"CONNECT", false}, {"EHLO", false}, {"STARTTLS", false}, {"AUTH", false}, {"MAIL", false}, {"RCPT", false}, {"DATA", false}, {"DOT", true}} {
		t.Run(row.stage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				s.once(row.stage, mute)
				c := s.client(t)
				why := errors.New("enough")
				ctx, cancel := context.WithTimeoutCause(t.Context(), 7*time.Second, why)
				defer cancel()
				start := time.Now()
				_, err := c.post(ctx)
				want(t, err, seserrors.Canceled, seserrors.DeadlineExceeded, row.maybe)
				if !errors.Is(err, why) {
					t.Errorf("%v lacks the context's cause", err)
				}
				if took := time.Since(start); took > 7*time.Second+lateReply {
					t.Errorf("took %v", took)
				}
				if _, err := c.post(t.Context()); err != nil {
					t.Errorf("the next mail: %v", err)
				}
			})
		})
	}
}

func TestAContextThatEndsInsideTheBodyCutsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c := s.client(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := c.Send(ctx, sender, []string{someone}, writeTo(func(w io.Writer) (int64, error) {
			n, err := write(w, "Subject: half\r\n\r\nThis is only ha")
			cancel()
			return n, err
		}))
		want(t, err, seserrors.Canceled, seserrors.ContextCanceled, false)
		synctest.Wait()
		if got := s.mailbox(); len(got) != 0 {
			t.Errorf("half a mail was accepted: %q", got)
		}
		if s.count("QUIT") != 0 || s.count("RSET") != 0 {
			t.Errorf("orderly end: %q", s.said())
		}
		if st := c.Stats(); st.Closed.Cut != 1 || st.Open != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestAnAnswerThatIsThereWhenTheContextEndsIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		ctx, cancel := context.WithCancel(t.Context())
		s.reply = func(p *peer, stage, arg string) string {
			if stage == "DOT" {
				cancel()
				time.Sleep(lateReply / 2)
				io.WriteString(p.Conn, "250 O") // in two pieces
				time.Sleep(lateReply / 4)
				io.WriteString(p.Conn, "k late\r\n")
				return "250 unread"
			}
			return ""
		}
		c := s.client(t)
		r, err := c.post(ctx)
		if err != nil || r.Text != "Ok late" {
			t.Errorf("got %+v, %v", r, err)
		}
		if st := c.Stats(); st.Open != 0 {
			t.Error("an interrupted connection was kept")
		}
	})
}

func TestNothingAfterThe250IsAnError(t *testing.T) {
	for _, behind := range []string{"QUIT refused", "QUIT unanswered"} {
		t.Run(behind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				said := "500 never"
				if behind == "QUIT unanswered" {
					said = mute
				}
				s.once("QUIT", said)
				c := s.client(t, func(cfg *Config) { cfg.MaxMessagesPerConn = 1 })
				if _, err := c.post(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * goodbye)
				if st := c.Stats(); st.Messages != 1 || st.Closed.Messages != 1 || st.Open != 0 || (said == mute && st.QuitErrors != 1) {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}
