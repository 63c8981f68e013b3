package smtpclient

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

var pipelining = []string{"8BITMIME", "STARTTLS", "PIPELINING", "AUTH PLAIN LOGIN"}

func force(cfg *Config) { cfg.Pipelining = PipelineForce }

// A delay before every answer shows how often the client waits: answers that
// are asked for together come together.
func TestPipeliningSavesRoundTrips(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, row := range []struct {
		name  string
		ext   []string
		mode  PipelineMode
		trips int
	}{
		{"not offered", nil, PipelineAuto, 6}, // MAIL, 3 RCPT, DATA, message
		{"offered", pipelining, PipelineAuto, 2},
		{"forced", nil, PipelineForce, 2},
		{"never", pipelining, PipelineNever, 6},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(cfg *Config) { cfg.Pipelining = row.mode }, func(t *testing.T, s *script, c *Client) {
				s.ext = row.ext
				s.mustPost(t, c)
				s.reply = func(p *peer, stage, _ string) string {
					if p.r.Buffered() == 0 && stage != "BODY" {
						time.Sleep(rtt)
					}
					return ""
				}
				start := time.Now()
				if _, err := c.post(t.Context(), someone, "carol@example.net", "dave@example.net"); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took.Round(rtt/10) != time.Duration(row.trips)*rtt {
					t.Errorf("took %v, want %d round trips of %v", took, row.trips, rtt)
				}
			})
		})
	}
}

func TestInABatchTheFirstRefusalDecides(t *testing.T) {
	for _, row := range []struct {
		name       string
		answers    map[string]string // by stage and argument
		class      seserrors.Class
		code       int
		op         string
		recipients int
		cut        bool
	}{
		{"MAIL refused, the rest an echo", map[string]string{"MAIL": "451 later", "RCPT": "503 MAIL first", "DATA": "503 RCPT first"}, seserrors.Unavailable, 451, "smtp MAIL", 0, false},
		{"MAIL refused, DATA 554", map[string]string{"MAIL": "501 Invalid MAIL FROM address provided", "RCPT": "503 no", "DATA": "554 no valid recipients"}, seserrors.Rejected, 501, "smtp MAIL", 0, false},
		{"one recipient refused, DATA refused", map[string]string{"carol": "550 no such user", "DATA": "554 no"}, seserrors.Rejected, 550, "smtp RCPT", 1, false},
		{"one recipient refused, DATA taken", map[string]string{"carol": "450 later"}, seserrors.Unavailable, 450, "smtp RCPT", 1, true},
		{"two refused, one for good", map[string]string{"bob": "450 later", "carol": "550 no", "DATA": "503 no"}, seserrors.Rejected, 550, "smtp RCPT", 2, false},
		{"two refused, the first for good", map[string]string{"bob": "550 no", "carol": "450 later", "DATA": "503 no"}, seserrors.Rejected, 550, "smtp RCPT", 2, false},
		{"MAIL refused, DATA taken", map[string]string{"MAIL": "451 later", "RCPT": "503 no"}, seserrors.Unavailable, 451, "smtp MAIL", 0, true},
		{"DATA refused alone", map[string]string{"DATA": "451 later"}, seserrors.Unavailable, 451, "smtp DATA", 0, false},
		{"refused, then cut", map[string]string{"carol": "550 no", "DATA": hangUp}, seserrors.Rejected, 550, "smtp RCPT", 1, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *script, c *Client) {
				s.ext = pipelining
				s.reply = func(p *peer, stage, arg string) string {
					for key, said := range row.answers {
						if key == stage || (stage == "RCPT" && strings.Contains(arg, key)) {
							return said
						}
					}
					return ""
				}
				_, err := c.post(t.Context(), someone, "carol@example.net")
				e := want(t, err, row.class, "", false)
				if e.Code != row.code || e.Op != row.op || len(e.Recipients) != row.recipients {
					t.Errorf("got %s %d about %q", e.Op, e.Code, e.Recipients)
				}
				synctest.Wait()
				s.reply = nil
				s.mustPost(t, c)
				conns, _, _ := s.connections()
				if cut := conns == 2; cut != row.cut {
					t.Errorf("connection cut: %v, want %v", cut, row.cut)
				}
				if got := s.mailbox(); len(got) != 1 || got[0] != string(letter) {
					t.Errorf("mailbox %q", got)
				}
			})
		})
	}
}

func TestAfterThreeCutsDATAWaitsForTheAnswers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.ext = pipelining
		bad := true
		s.reply = func(p *peer, stage, arg string) string {
			if stage == "RCPT" && bad && strings.Contains(arg, "carol") {
				return "550 no"
			}
			return ""
		}
		conns := func() int { n, _, _ := s.connections(); return n }
		refuse := func() {
			_, err := c.post(t.Context(), someone, "carol@example.net")
			want(t, err, seserrors.Rejected, "", false)
		}
		for range 3 {
			refuse()
		}
		if st := c.Stats(); st.Closed.Cut != 3 || st.Open != 0 {
			t.Errorf("the connections were not cut at once: %+v", st)
		}
		if conns() != 3 {
			t.Errorf("%d connections for three cuts", conns())
		}
		refuse()
		refuse()
		if conns() != 4 {
			t.Errorf("%d connections: DATA was still in the batch", conns())
		}
		time.Sleep(orphanPause)
		refuse()
		refuse()
		if conns() != 6 {
			t.Errorf("%d connections: DATA never came back into the batch", conns())
		}
	})
}

func TestForcedPipeliningIsRepeatedInLockStepAndGivenUp(t *testing.T) {
	for name, objection := range map[string]string{"5xx": "554 SMTP synchronization error", "cut": hangUp, "garbage": "??"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, force, func(t *testing.T, s *script, c *Client) {
				s.reply = func(p *peer, stage, _ string) string {
					if stage == "MAIL" && p.r.Buffered() > 0 {
						return objection
					}
					return ""
				}
				if got := s.mustPost(t, c); got != 2 {
					t.Errorf("%d connections, want 2", got)
				}
				if got := s.mustPost(t, c); got != 2 {
					t.Errorf("still forcing: %d connections", got)
				}
				if st := c.Stats(); st.Redials != 1 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

func TestForcedPipeliningReportsWhatLockStepSays(t *testing.T) {
	bubble(t, force, func(t *testing.T, s *script, c *Client) {
		s.reply = func(p *peer, stage, arg string) string {
			if stage == "RCPT" && strings.Contains(arg, "carol") {
				return "553 <carol@example.net> address unknown"
			}
			return ""
		}
		_, err := c.post(t.Context(), someone, "carol@example.net")
		want(t, err, seserrors.Rejected, seserrors.RecipientSyntax, false)
		if c.unforced.Load() {
			t.Error("a refusal that lock step draws too ended the forcing")
		}
		if len(s.mailbox()) != 0 {
			t.Error("a mail was accepted")
		}
	})
}

func TestForcedPipeliningOutlivesAnIdleConnection(t *testing.T) {
	bubble(t, force, func(t *testing.T, s *script, c *Client) {
		s.mustPost(t, c)
		s.once("MAIL", "421 idle too long")
		s.mustPost(t, c)
		if c.unforced.Load() {
			t.Error("an idle connection ended the forcing")
		}
	})
}

func TestManyRecipientsGoOutInWindows(t *testing.T) {
	var to []string
	for i := range 3*window + 7 {
		to = append(to, fmt.Sprintf("user%d@example.net", i))
	}
	for _, n := range []int{1, window - 2, window - 1, window, len(to)} {
		bubble(t, nil, func(t *testing.T, s *script, c *Client) {
			s.ext = pipelining
			if _, err := c.post(t.Context(), to[:n]...); err != nil {
				t.Fatal(err)
			}
			if got := len(s.rcpts[0]); got != n {
				t.Errorf("%d recipients, want %d", got, n)
			}
		})
	}
}

func TestLockStepAsksAllRecipientsAndNamesTheRefused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.reply = func(p *peer, stage, arg string) string {
			switch {
			case strings.Contains(arg, "bob"):
				return "450 later"
			case strings.Contains(arg, "dave"):
				return "550 no"
			}
			return ""
		}
		_, err := c.post(t.Context(), someone, "carol@example.net", "dave@example.net")
		e := want(t, err, seserrors.Rejected, "", false)
		if len(e.Recipients) != 2 || e.Recipients[0] != someone || e.Recipients[1] != "dave@example.net" || e.Code != 550 {
			t.Errorf("%+v", e)
		}
		if s.count("RCPT") != 3 || s.count("DATA") != 0 {
			t.Errorf("%q", s.said())
		}
		synctest.Wait()
	})
}

func TestAConnectionThatDiedWhileIdleSaysNothingAboutForcing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c := s.client(t, func(cfg *Config) { cfg.MaxConns, cfg.Pipelining = 1, PipelineForce })
		if _, err := c.post(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.all[0].Close()
		s.mu.Unlock()
		if _, err := c.post(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); c.unforced.Load() || st.Closed.Stale != 1 || st.Redials != 1 {
			t.Errorf("unforced %v, %+v", c.unforced.Load(), st)
		}
	})
}
