package smtpclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// sent returns the AUTH commands and passwords that the server has read.
func (s *script) sentSecrets() (secrets []string) {
	for _, line := range s.said() {
		if strings.HasPrefix(line, "AUTH") || strings.Contains(line, secret) {
			secrets = append(secrets, line)
		}
	}
	return secrets
}

func TestAServerWithoutSTARTTLSGetsNoCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.ext = []string{"8BITMIME", "AUTH PLAIN LOGIN"}
		_, err := s.client(t).post(t.Context())
		want(t, err, seserrors.Denied, seserrors.TLSRequired, false)
		if got := s.sentSecrets(); got != nil {
			t.Errorf("sent %q", got)
		}
	})
}

func TestExtensionsAreReadWithoutRegardToCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		first := true
		s.reply = func(p *peer, stage, arg string) string {
			if stage == "EHLO" && first {
				first = false
				return "250-x\n250 starttls"
			}
			return ""
		}
		if _, err := s.client(t).post(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestClearTextBehindTheAnswerToSTARTTLSIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.once("STARTTLS", "220 go\n250 injected")
		_, err := s.client(t).post(t.Context())
		want(t, err, seserrors.Unavailable, seserrors.ProtocolError, false)
		if got := s.sentSecrets(); got != nil {
			t.Errorf("sent %q", got)
		}
	})
}

func TestSetUpNeverRefusesAMessage(t *testing.T) {
	texts := []string{"421 x", "450 x", "451 Temporary service failure", "452 x", "454 TLS not available", "454 Throttling failure: Maximum sending rate exceeded",
		"500 x", "501 x", "502 x", "503 x", "504 x", "521 x", "530 Authentication required", "535 Account not subscribed to SES", "550 x", "552 Message is too long.",
		"553 <a@b.example> Invalid email address", "554 Message rejected: Email address is not verified. The following identities failed the check in region x: y", "554 Transaction failed: Illegal address"}
	for _, stage := range []string{"CONNECT", "EHLO", "STARTTLS", "AUTH"} {
		for _, said := range texts {
			t.Run(stage+" "+said, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScript(t)
					s.once(stage, said)
					_, err := s.client(t).post(t.Context())
					e := seserrors.Classify(err)
					if e == nil || e.MaybeAccepted || e.Class == seserrors.Rejected || e.Class == seserrors.Invalid || e.Class == seserrors.Unknown {
						t.Fatalf("%v", err)
					}
					if e.Class.Retryable() != (said[0] == '4') || strconv.Itoa(e.Code) != said[:3] {
						t.Errorf("%v", err)
					}
					if sc := e.Reason.Scope(); sc == seserrors.ScopeMessage || sc == seserrors.ScopeRecipient || sc == seserrors.ScopeSender {
						t.Errorf("%v is said to be about %v", err, sc)
					}
				})
			})
		}
	}
}

func TestLOGINIsUsedWherePLAINIsNotOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.wrapper = true
		s.ext = []string{"AUTH LOGIN CRAM-MD5"}
		if _, err := s.client(t).post(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.said(); !slices.Contains(got, "AKIAIOSFODNN7EXAMPLE") || !slices.Contains(got, secret) {
			t.Errorf("%q", got)
		}
	})
}

func TestPLAINCarriesItsInitialResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		if _, err := s.client(t).post(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.sentSecrets(); len(got) != 1 || !strings.HasPrefix(got[0], "AUTH PLAIN ") || decode64(got[0][11:]) != "\x00AKIAIOSFODNN7EXAMPLE\x00"+secret {
			t.Errorf("%q", got)
		}
	})
}

func TestAServerWithoutAUTHIsToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.wrapper = true
		s.ext = []string{"8BITMIME"}
		_, err := s.client(t).post(t.Context())
		e := want(t, err, seserrors.Denied, "", false)
		if !strings.Contains(e.Error(), "AUTH") {
			t.Error(err)
		}
	})
}

func TestACertificateForAnotherNameIsRefused(t *testing.T) {
	for _, port := range []string{"587", "465"} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			s.wrapper = port == "465"
			_, err := s.client(t, func(cfg *Config) { cfg.Addr = "other.example.com:" + port }).post(t.Context())
			want(t, err, seserrors.Denied, seserrors.CertificateInvalid, false)
			if got := s.sentSecrets(); got != nil {
				t.Errorf("sent %q", got)
			}
		})
	}
}

func TestAWrongTLSModeIsDiagnosed(t *testing.T) {
	t.Run("wrapper against STARTTLS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			_, err := s.client(t, func(cfg *Config) { cfg.TLS, cfg.Addr = TLSWrapper, "smtp.example.com:1587" }).post(t.Context())
			e := want(t, err, seserrors.Denied, seserrors.TLSModeMismatch, false)
			if !strings.Contains(e.Error(), "TLSStartTLS") {
				t.Error(err)
			}
		})
	})
	t.Run("STARTTLS against wrapper", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			s.wrapper = true
			start := time.Now()
			_, err := s.client(t, func(cfg *Config) { cfg.TLS, cfg.Addr = TLSStartTLS, "smtp.example.com:1465" }).post(t.Context())
			e := want(t, err, seserrors.Denied, seserrors.TLSModeMismatch, false)
			if !strings.Contains(e.Error(), "TLSWrapper") || time.Since(start) > defaultDialTimeout {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	})
	t.Run("a server that is silent for good", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			s.once("CONNECT", mute)
			start := time.Now()
			_, err := s.client(t).post(t.Context())
			want(t, err, seserrors.Unavailable, "", false)
			if took := time.Since(start); took != defaultDialTimeout {
				t.Errorf("took %v", took)
			}
		})
	})
}

func TestDialErrorsNameWhatIsKnownAboutThem(t *testing.T) {
	fails := func(err error) func(*Config) {
		return func(cfg *Config) {
			cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, err }
		}
	}
	t.Run("port 25", func(t *testing.T) {
		s := newScript(t)
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
		_, err := s.client(t, fails(refused), func(cfg *Config) { cfg.Addr = "smtp.example.com:25" }).post(t.Context())
		e := want(t, err, seserrors.Unavailable, "", false)
		if !strings.Contains(e.Error(), "EC2") || !strings.Contains(e.Error(), "587") {
			t.Error(err)
		}
	})
	t.Run("unknown name", func(t *testing.T) {
		s := newScript(t)
		missing := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}
		_, err := s.client(t, fails(missing), func(cfg *Config) { cfg.Addr, cfg.Region = "", "eu-west-9" }).post(t.Context())
		e := want(t, err, seserrors.Unavailable, seserrors.NameNotFound, false)
		if !strings.Contains(e.Error(), "Config.Region") {
			t.Error(err)
		}
	})
	t.Run("the name of a region's endpoint is not found", func(t *testing.T) {
		s := newScript(t)
		missing := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}
		_, err := s.client(t, fails(missing), func(cfg *Config) { cfg.Addr, cfg.Region = "", "eu-west-1" }).post(t.Context())
		e := want(t, err, seserrors.Unavailable, seserrors.NameNotFound, false)
		if !strings.Contains(e.Error(), "resolver") {
			t.Error(err)
		}
	})
	t.Run("anything else", func(t *testing.T) {
		s := newScript(t)
		_, err := s.client(t, fails(errors.New("proxy says no"))).post(t.Context())
		want(t, err, seserrors.Unavailable, seserrors.Network, false)
	})
}

// flood is a server that never stops talking.
func TestAServerCannotMakeTheClientReadWithoutEnd(t *testing.T) {
	for name, flood := range map[string]string{
		"banner line":   strings.Repeat("2", 4096),
		"banner lines":  strings.Repeat("220-more\r\n", 400),
		"EHLO lines":    "220 x\r\n" + strings.Repeat("250-more\r\n", 400),
		"long EHLO":     "220 x\r\n250-" + strings.Repeat("x", 4096),
		"only newlines": strings.Repeat("\r\n", 2048),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var read atomic.Int64
				c := newScript(t).client(t, func(cfg *Config) {
					cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
						client, server := newPipe()
						go func() {
							defer server.Close()
							for err := error(nil); err == nil; {
								var n int
								n, err = io.WriteString(server, flood)
								read.Add(int64(n))
							}
						}()
						return client, nil
					}
				})
				_, err := c.post(t.Context())
				want(t, err, seserrors.Unavailable, "", false)
				if len(err.Error()) > 8<<10 {
					t.Errorf("the error has %d octets", len(err.Error()))
				}
				if n := read.Load(); n > 3*pipeBuffer {
					t.Errorf("the client took %d octets", n)
				}
			})
		})
	}
}

func TestAServerThatDripsIsHeldToTheTimeouts(t *testing.T) {
	for stage, limit := range map[string]time.Duration{"CONNECT": defaultDialTimeout, "EHLO": defaultDialTimeout, "AUTH": defaultDialTimeout,
		"MAIL": defaultCommandTimeout, "RCPT": defaultCommandTimeout, "DATA": defaultCommandTimeout, "DOT": defaultDataTimeout} {
		t.Run(stage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				s.reply = func(p *peer, at, _ string) string {
					if at != stage {
						return ""
					}
					for {
						if _, err := io.WriteString(p.Conn, "2"); err != nil {
							return hangUp
						}
						time.Sleep(time.Second)
					}
				}
				start := time.Now()
				_, err := s.client(t).post(t.Context())
				if err == nil {
					t.Fatal("no error")
				}
				want(t, err, seserrors.Unavailable, "", stage == "DOT")
				if took := time.Since(start); took > limit+time.Millisecond || took < limit*8/10 {
					t.Errorf("took %v, want %v", took, limit)
				}
			})
		})
	}
}

func TestAServerThatRepeatsThePasswordCannotPutItIntoErrorsOrLogs(t *testing.T) {
	b64 := []string{base64.StdEncoding.EncodeToString([]byte("\x00AKIAIOSFODNN7EXAMPLE\x00" + secret)), base64.StdEncoding.EncodeToString([]byte(secret)), secret}
	for _, stage := range []string{"AUTH", "MAIL", "RCPT", "DATA", "DOT"} {
		for _, said := range append([]string{}, b64...) {
			for _, code := range []string{"554 ", "250-", "???"} {
				synctest.Test(t, func(t *testing.T) {
					s := newScript(t)
					s.once(stage, code+"you said "+said)
					var logged bytes.Buffer
					log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
					c := s.client(t, func(cfg *Config) {
						cfg.Logger = log
						cfg.CommandTimeout = time.Second
						cfg.DialTimeout = time.Second
						cfg.DataTimeout = time.Second
					})
					_, err := c.post(t.Context())
					if err == nil {
						t.Fatal("no error")
					}
					log.Info("send", "err", err)
					for _, form := range b64 {
						if strings.Contains(logged.String(), form) || strings.Contains(err.Error(), form) {
							t.Errorf("%s: %v", stage, err)
						}
						for e := err; e != nil; e = errors.Unwrap(e) {
							if strings.Contains(e.Error(), form) {
								t.Errorf("%s: the chain holds it: %v", stage, e)
							}
						}
					}
					c.Close()
				})
			}
		}
	}
}

func TestABadCredentialsFunctionIsNoFailureOfTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		answers := []struct {
			user, pass string
			err        error
			class      seserrors.Class
		}{
			{"", "", errors.New("vault is sealed"), seserrors.Unavailable},
			{"ASIAIOSFODNN7EXAMPLE", "x", nil, seserrors.Denied},
			{"AKIAIOSFODNN7EXAMPLE", secret, nil, seserrors.Unknown},
		}
		i := 0
		c := s.client(t, func(cfg *Config) {
			cfg.Username, cfg.Password = "", ""
			cfg.Credentials = func(ctx context.Context) (string, string, error) {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("the context has no deadline")
				}
				a := answers[i]
				return a.user, a.pass, a.err
			}
		})
		for i = range answers {
			_, err := c.post(t.Context())
			want(t, err, answers[i].class, "", false)
		}
	})
}

func TestAWrongPasswordIsNotTriedByEveryWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		wrong := atomic.Bool{}
		wrong.Store(true)
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "AUTH" && wrong.Load() {
				return "535 Authentication Credentials Invalid"
			}
			return ""
		}
		c := s.client(t)
		logins := func() int { return s.count("AUTH") }
		burst := func(n int) {
			done := make(chan error)
			for range n {
				go func() { _, err := c.post(t.Context()); done <- err }()
			}
			for range n {
				want(t, <-done, seserrors.Denied, seserrors.CredentialsInvalid, false)
			}
		}
		burst(200)
		first := logins()
		if first > defaultMaxConns+1 { // the first 535 alone says little
			t.Errorf("200 senders were %d logins", first)
		}
		// One probe after 5 s, then after 10, 20, 40, 60, 60.
		for _, wait := range []time.Duration{5, 10, 20, 40, 60, 60} {
			time.Sleep(wait*time.Second - time.Millisecond)
			before := logins()
			burst(20)
			if n := logins() - before; n != 0 {
				t.Errorf("%d logins before %ds were over", n, wait)
			}
			time.Sleep(time.Millisecond)
			burst(20)
			if n := logins() - before; n != 1 {
				t.Errorf("%d logins after %ds, want one probe", n, wait)
			}
		}
		wrong.Store(false)
		time.Sleep(time.Minute)
		if _, err := c.post(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Nobody else may probe while one does: one that never tells would lock all out.
func TestAProbeThatPanicsLetsTheNextTry(t *testing.T) {
	for name, burst := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			var broken bool
			change := func(cfg *Config) {
				dial := cfg.DialContext
				cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if broken {
						burst()
					}
					return dial(ctx, network, addr)
				}
			}
			bubble(t, change, func(t *testing.T, s *script, c *Client) {
				s.once("AUTH", "535 Account not subscribed to SES")
				_, err := c.post(t.Context())
				want(t, err, seserrors.Denied, seserrors.NotSubscribed, false)
				time.Sleep(backoffMin)
				broken = true
				func() {
					defer func() { recover() }()
					c.post(t.Context())
				}()
				broken = false
				s.mustPost(t, c)
			})
		})
	}
}

// SES answers 535 now and then to credentials that are right.
func TestASingleRefusedLoginIsNotRemembered(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxMessagesPerConn = 1 }, func(t *testing.T, s *script, c *Client) {
		for range 5 {
			s.once("AUTH", "535 Authentication Credentials Invalid")
			_, err := c.post(t.Context())
			want(t, err, seserrors.Denied, seserrors.CredentialsInvalid, false)
			s.mustPost(t, c) // which makes the next refusal the first in a row again
			time.Sleep(goodbye)
		}
	})
}

func TestOtherCredentialsAreTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.reply = func(p *peer, stage, arg string) string {
			if stage == "AUTH" && strings.HasSuffix(decode64(strings.TrimPrefix(arg, "PLAIN ")), "old-password") {
				return "535 Authentication Credentials Invalid"
			}
			return ""
		}
		pass := "old-password"
		c := s.client(t, func(cfg *Config) {
			cfg.Username, cfg.Password = "", ""
			cfg.Credentials = func(context.Context) (string, string, error) { return "AKIAIOSFODNN7EXAMPLE", pass, nil }
		})
		for range 5 {
			_, err := c.post(t.Context())
			want(t, err, seserrors.Denied, seserrors.CredentialsInvalid, false)
		}
		if n := s.count("AUTH"); n != 2 {
			t.Errorf("%d logins with the old password", n)
		}
		pass = "new-password"
		if _, err := c.post(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestADialOutlivesItsWaiterAndItsConnectionIsPooled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c := s.client(t, func(cfg *Config) {
			dial := cfg.DialContext
			cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				time.Sleep(3 * time.Second)
				return dial(ctx, network, addr)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.post(ctx)
		want(t, err, seserrors.Canceled, seserrors.DeadlineExceeded, false)
		if time.Since(start) != time.Second {
			t.Errorf("the waiter was held %v", time.Since(start))
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if st := c.Stats(); st.Idle != 1 || st.Dials != 1 {
			t.Errorf("stats %+v", st)
		}
		if _, err := c.post(t.Context()); err != nil {
			t.Error(err)
		}
		if n, _, _ := s.connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestTheErrorOfADialNobodyWaitsForIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.once("AUTH", "535 Account not subscribed to SES")
		c := s.client(t, func(cfg *Config) {
			dial := cfg.DialContext
			cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				time.Sleep(3 * time.Second)
				return dial(ctx, network, addr)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.post(ctx)
		time.Sleep(3 * time.Second)
		if st := c.Stats(); st.DialErrors != 1 || st.Open != 0 {
			t.Errorf("stats %+v", st)
		}
		_, err := c.post(t.Context())
		want(t, err, seserrors.Denied, seserrors.NotSubscribed, false)
		if n := s.count("AUTH"); n != 1 {
			t.Errorf("%d logins: the error was not kept", n)
		}
	})
}

func TestEHLOIsSaidOnceBeforeTLSAndOnceBehindIt(t *testing.T) {
	for mode, want := range map[TLSMode]int{TLSStartTLS: 2, TLSWrapper: 1} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			s.wrapper = mode == TLSWrapper
			c := s.client(t, func(cfg *Config) { cfg.TLS = mode })
			s.mustPost(t, c)
			if n := s.count("EHLO"); n != want {
				t.Errorf("mode %v: %d EHLOs, want %d", mode, n, want)
			}
		})
	}
}
