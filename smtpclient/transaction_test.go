package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

func (c *Client) pour(ctx context.Context, f writeTo) (Reply, error) {
	return c.Send(ctx, sender, []string{someone}, f)
}

func TestABrokenSourceNeverLetsAMailThrough(t *testing.T) {
	broken := errors.New("disk on fire")
	var kept io.Writer
	rows := []struct {
		name   string
		source writeTo
		reason seserrors.Reason
		cause  error
	}{
		{"fails at once", func(w io.Writer) (int64, error) { return 0, broken }, seserrors.ContentUnreadable, broken},
		{"fails in the middle", func(w io.Writer) (int64, error) { n, _ := write(w, "Subject: x\r\n\r\nhalf"); return n, broken }, seserrors.ContentUnreadable, broken},
		{"fails after megabytes", func(w io.Writer) (int64, error) {
			n, _ := write(w, strings.Repeat("line\r\n", 1<<18))
			return n, broken
		}, seserrors.ContentUnreadable, broken},
		{"fails with the end of a file", func(w io.Writer) (int64, error) {
			n, _ := write(w, "Subject: x\r\n\r\nhalf")
			return n, io.EOF
		}, seserrors.ContentUnreadable, io.ErrUnexpectedEOF},
		{"writes nothing", func(w io.Writer) (int64, error) { return 0, nil }, seserrors.ContentUnreadable, nil},
		{"was drained", new(bytes.Buffer).WriteTo, seserrors.ContentUnreadable, nil},
		{"line too long", func(w io.Writer) (int64, error) { return write(w, strings.Repeat("x", 999)) }, seserrors.InvalidParameter, nil},
		{"line too long, and does not care", func(w io.Writer) (int64, error) {
			write(w, strings.Repeat("x", 5000))
			write(w, "\r\nmore")
			return 0, nil
		}, seserrors.InvalidParameter, nil},
		{"writes after it returned", func(w io.Writer) (int64, error) { kept = w; return 0, broken }, seserrors.ContentUnreadable, broken},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *script, c *Client) {
				_, err := c.pour(t.Context(), row.source)
				want(t, err, seserrors.Invalid, row.reason, false)
				if row.cause != nil && !errors.Is(err, row.cause) {
					t.Errorf("%v lacks the cause", err)
				}
				if st := c.Stats(); st.Closed.Cut != 1 || st.Open != 0 {
					t.Errorf("the connection was not cut: %+v", st)
				}
				if kept != nil {
					if _, err := write(kept, "late"); err == nil {
						t.Error("a kept writer still works")
					}
					kept = nil
				}
				s.mustPost(t, c)
				synctest.Wait()
				if got := s.mailbox(); len(got) != 1 || got[0] != string(letter) {
					t.Errorf("%d mails were accepted, %.100q", len(got), got)
				}
				if s.count("RSET")+s.count("QUIT") != 0 {
					t.Errorf("orderly end of half a mail")
				}
			})
		})
	}
}

func TestAPanicInTheSourceCutsAndGoesOn(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Errorf("recovered %v", r)
				}
			}()
			c.pour(t.Context(), func(w io.Writer) (int64, error) { write(w, "half"); panic("boom") })
		}()
		if st := c.Stats(); st.Closed.Cut != 1 || st.Open != 0 {
			t.Errorf("the connection was not cut: %+v", st)
		}
		s.mustPost(t, c) // the slot is free again
		if got := s.mailbox(); len(got) != 1 || got[0] != string(letter) {
			t.Errorf("mailbox %q", got)
		}
	})
}

func TestASourceThatWritesFromTwoGoroutinesCannotReachTheNextMail(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		_, err := c.pour(t.Context(), func(w io.Writer) (int64, error) {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						write(w, "stray\r\n")
						time.Sleep(time.Microsecond)
					}
				}
			})
			return write(w, string(letter))
		})
		if err != nil {
			t.Error(err)
		}
		for range 20 {
			s.mustPost(t, c)
		}
		close(stop)
		wg.Wait()
		for _, m := range s.mailbox()[1:] {
			if m != string(letter) {
				t.Fatalf("mail %q", m)
			}
		}
	})
}

func TestWriteToIsCalledOnceAndOnlyForAServerThatIsReady(t *testing.T) {
	for _, stage := range []string{"CONNECT", "MAIL", "RCPT", "DATA", "DOT"} {
		bubble(t, nil, func(t *testing.T, s *script, c *Client) {
			s.mustPost(t, c)
			s.once(stage, hangUp)
			calls := 0
			c.pour(t.Context(), func(w io.Writer) (int64, error) { calls++; return write(w, "x\r\n") })
			if calls != 1 {
				t.Errorf("%s: %d calls", stage, calls)
			}
		})
	}
}

func TestTheReasonForACutInTheBodyIsRead(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "BODY" {
				io.ReadFull(p.r, make([]byte, 100<<10))
				p.say("552 Message is too long.")
				return hangUp
			}
			return ""
		}
		_, err := c.pour(t.Context(), func(w io.Writer) (int64, error) { return write(w, strings.Repeat("0123456789\r\n", 1<<18)) })
		want(t, err, seserrors.Rejected, seserrors.MessageTooLong, false)
	})
}

func TestASlowLineIsNotCutAsLongAsItMoves(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "BODY" {
				for range 20 { // an hour in all
					time.Sleep(chunkTimeout - time.Second)
					if _, err := io.ReadFull(p.r, make([]byte, 3*chunk)); err != nil {
						return hangUp
					}
				}
			}
			return ""
		}
		if _, err := c.pour(t.Context(), func(w io.Writer) (int64, error) { return write(w, strings.Repeat("0123456789abcd\r\n", 1<<18)) }); err != nil {
			t.Error(err)
		}
	})
}

func TestALineThatStandsStillIsCutAfterThreeMinutes(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "BODY" {
				time.Sleep(time.Hour)
			}
			return ""
		}
		start := time.Now()
		_, err := c.pour(t.Context(), func(w io.Writer) (int64, error) { return write(w, strings.Repeat("0123456789\r\n", 1<<18)) })
		want(t, err, seserrors.Unavailable, "", false)
		if took := time.Since(start); took < chunkTimeout || took > chunkTimeout+lastWords+time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestEightBitMailGoesOnlyToAServerThatTakesIt(t *testing.T) {
	const umlaut = "Subject: x\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
	for _, offered := range []bool{true, false} {
		bubble(t, nil, func(t *testing.T, s *script, c *Client) {
			s.ext = []string{"STARTTLS", "SMTPUTF8", "AUTH PLAIN"}
			if offered {
				s.ext = append(s.ext, "8BITMIME")
			}
			_, err := c.pour(t.Context(), func(w io.Writer) (int64, error) { return write(w, umlaut) })
			if offered {
				want(t, err, seserrors.Unknown, "", false)
			} else {
				want(t, err, seserrors.Invalid, "", false)
			}
			if got := strings.Contains(strings.Join(s.said(), "\n"), "BODY=8BITMIME"); got != offered {
				t.Errorf("BODY=8BITMIME said: %v", got)
			}
			if s.count("MAIL FROM:<alice@example.com> SMTPUTF8") != 0 {
				t.Error("SMTPUTF8 said")
			}
			if got := len(s.mailbox()); (got == 1) != offered {
				t.Errorf("%d mails", got)
			}
		})
	}
}

func TestTheSizeThatTheServerAdvertisesIsHonoured(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.ext = []string{"STARTTLS", "SIZE 1000", "AUTH PLAIN"}
		for size, class := range map[int]seserrors.Class{1000: seserrors.Unknown, 1001: seserrors.Invalid} {
			_, err := c.pour(t.Context(), func(w io.Writer) (int64, error) {
				return write(w, strings.Repeat("x\r\n", 300)+strings.Repeat("y", size-902)+"\n")
			})
			want(t, err, class, "", false)
		}
	})
}

func TestTheFirstAnswerOnAReusedConnectionHasTenSeconds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.mustPost(t, c)
		s.once("MAIL", mute)
		start := time.Now()
		if got := s.mustPost(t, c); got != 2 {
			t.Errorf("%d connections", got)
		}
		if took := time.Since(start).Round(time.Millisecond); took != firstAnswer {
			t.Errorf("took %v", took)
		}
	})
}

func TestASilentRedialHappensOnceAndNotToAnotherOldConnection(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		hold := make(chan struct{})
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "MAIL" {
				<-hold
			}
			return ""
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { c.post(t.Context()) })
		}
		synctest.Wait()
		close(hold)
		wg.Wait()
		synctest.Wait()
		s.reply = func(p *peer, stage, _ string) string { // the five are dead, and so is the next
			if stage == "MAIL" && p.n <= 6 {
				return hangUp
			}
			return ""
		}
		_, err := c.post(t.Context())
		want(t, err, seserrors.Unavailable, seserrors.Network, false)
		if n, _, _ := s.connections(); n != 6 || c.Stats().Redials != 1 {
			t.Errorf("%d connections, %+v", n, c.Stats())
		}
		s.mustPost(t, c) // takes another dead one, and replaces it
	})
}

func TestWhatTheServerSaysToAnIdleConnectionIsNoAnswerToTheNextMail(t *testing.T) {
	for _, said := range []string{"421 idle too long\r\n", "451 4.4.2 Timeout waiting for data from client.\r\n", "250 Ok\r\n", ""} {
		bubble(t, nil, func(t *testing.T, s *script, c *Client) {
			s.reply = func(p *peer, stage, _ string) string {
				if stage == "DOT" && p.n == 1 {
					go func() {
						time.Sleep(time.Second)
						io.WriteString(p.Conn, said)
						if said != "250 Ok\r\n" {
							p.Conn.Close()
						}
					}()
				}
				return ""
			}
			s.mustPost(t, c)
			time.Sleep(2 * time.Second)
			if got := s.mustPost(t, c); got != 2 {
				t.Errorf("%q: %d connections", said, got)
			}
			if st := c.Stats(); st.Closed.Stale != 1 || s.count("MAIL") != 2 {
				t.Errorf("%q: %+v", said, st)
			}
		})
	}
}

func TestARefusedRSETDropsTheConnectionAndChangesNoResult(t *testing.T) {
	for _, said := range []string{"500 no", "421 no", hangUp, "what"} {
		bubble(t, nil, func(t *testing.T, s *script, c *Client) {
			s.once("DOT", "554 Transaction failed: Illegal address")
			_, err := c.post(t.Context())
			want(t, err, seserrors.Rejected, "", false)
			if s.count("RSET") != 0 {
				t.Error("RSET was said at once")
			}
			s.once("RSET", said)
			if got := s.mustPost(t, c); got != 2 {
				t.Errorf("%q: %d connections", said, got)
			}
		})
	}
}

func TestAnEndedContextDoesNotPoisonTheNextMail(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
		for i := range 40 { // the context ends somewhere within the dialogue
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
			c.post(ctx)
			cancel()
			s.mustPost(t, c)
		}
	})
}

func TestASendWithAnEndedContextTouchesNothing(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.post(ctx)
		want(t, err, seserrors.Canceled, seserrors.ContextCanceled, false)
		want(t, c.Ping(ctx), seserrors.Canceled, seserrors.ContextCanceled, false)
		if n, _, _ := s.connections(); n != 0 {
			t.Error("dialled")
		}
	})
}

// gate is a connection that fails or watches at a certain write.
type gate struct {
	net.Conn
	write func(p []byte) error
}

func (g *gate) Write(p []byte) (int, error) {
	if err := g.write(p); err != nil {
		return 0, err
	}
	return g.Conn.Write(p)
}

func plain(write func(p []byte) error) func(*Config) {
	return func(cfg *Config) {
		dial := cfg.DialContext
		cfg.Addr, cfg.TLS = "127.0.0.1:2525", TLSNone
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &gate{conn, write}, err
		}
	}
}

func TestDoubtBeginsWithTheWriteThatEndsTheMessage(t *testing.T) {
	for _, row := range []struct {
		name  string
		fails func(p []byte) bool
		maybe bool
	}{
		{"a write of the body", func(p []byte) bool { return bytes.HasPrefix(p, []byte("0123456789")) && len(p) > lastWrite+10 }, false},
		{"the last write", func(p []byte) bool { return bytes.HasSuffix(p, []byte("\r\n.\r\n")) || string(p) == ".\r\n" }, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, plain(func(p []byte) error {
				if row.fails(p) {
					return errors.New("broken pipe")
				}
				return nil
			}), func(t *testing.T, s *script, c *Client) {
				_, err := c.pour(t.Context(), func(w io.Writer) (int64, error) { return write(w, strings.Repeat("0123456789\r\n", 1<<14)) })
				want(t, err, seserrors.Unavailable, "", row.maybe)
				if len(s.mailbox()) != 0 {
					t.Error("a mail was accepted")
				}
			})
		})
	}
}

func TestPingProvesTheSettings(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		for _, verb := range []string{"EHLO", "STARTTLS", "AUTH", "NOOP"} {
			if s.count(verb) == 0 {
				t.Errorf("no %s", verb)
			}
		}
		s.once("NOOP", hangUp)
		if err := c.Ping(t.Context()); err != nil {
			t.Errorf("a dead connection was not replaced: %v", err)
		}
		s.once("NOOP", "500 no")
		if err := c.Ping(t.Context()); err == nil {
			t.Error("a refusal was ignored")
		}
	})
}

// brokenLine cannot write the end of a message, which the server answers all
// the same.
type brokenLine struct {
	net.Conn
	answer string
	rest   []byte
}

func (b *brokenLine) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte("\r\n.\r\n")) {
		b.rest = []byte(b.answer)
		return len(p) / 2, syscall.EPIPE
	}
	return b.Conn.Write(p)
}

func (b *brokenLine) Read(p []byte) (int, error) {
	if len(b.rest) > 0 {
		n := copy(p, b.rest)
		b.rest = b.rest[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

func TestOnlyARefusalTakesTheDoubtFromAnEndThatCouldNotBeWritten(t *testing.T) {
	for _, row := range []struct {
		answer string
		class  seserrors.Class
		reason seserrors.Reason
		maybe  bool
	}{
		{"552 Message is too long.\r\n", seserrors.Rejected, seserrors.MessageTooLong, false},
		{"250 Ok\r\n", seserrors.Unavailable, seserrors.ResponseLost, true},
		{"", seserrors.Unavailable, seserrors.ResponseLost, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			c := s.client(t, inClearText, s.through(func(conn net.Conn) net.Conn { return &brokenLine{Conn: conn, answer: row.answer} }))
			_, err := c.post(t.Context())
			e := want(t, err, row.class, row.reason, row.maybe)
			if row.maybe && !errors.Is(e, syscall.EPIPE) {
				t.Errorf("%v does not say why", err)
			}
			if st := c.Stats(); st.Open != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// An acceptance cannot be for a message whose end was not sent, so nothing is
// read for it.
func TestAContextThatEndsWhileTheEndIsWrittenEndsSendAtOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "BODY" {
				time.Sleep(time.Hour) // without reading
			}
			return ""
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := c.pour(ctx, func(w io.Writer) (int64, error) {
			n, err := w.Write(bytes.Repeat([]byte("0123456789abcd\r\n"), (pipeBuffer-64)/16)) // with TLS, all but the end fits
			return int64(n), err
		})
		e := want(t, err, seserrors.Canceled, seserrors.DeadlineExceeded, true)
		if took := time.Since(start); took != time.Minute || e.Op != opEnd {
			t.Errorf("%s took %v", e.Op, took)
		}
	})
}

// tardyLine takes 1 KB a second of what is more than a command, and only tells
// when a write is done.
type tardyLine struct {
	net.Conn
	deadline time.Time
}

func (l *tardyLine) SetDeadline(t time.Time) error {
	l.deadline = t
	return l.Conn.SetDeadline(t)
}

func (l *tardyLine) Write(p []byte) (int, error) {
	if len(p) > 1<<10 {
		time.Sleep(time.Duration(len(p)) * time.Second >> 10)
	}
	if !l.deadline.IsZero() && time.Now().After(l.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return l.Conn.Write(p)
}

func TestALineThatMovesIsNotCutForTheSizeOfAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c := s.client(t, inClearText, s.through(func(conn net.Conn) net.Conn { return &tardyLine{Conn: conn} }))
		if _, err := c.Send(t.Context(), sender, []string{someone}, bytes.NewReader(benchMessage(2<<20))); err != nil {
			t.Error(err)
		}
	})
}
