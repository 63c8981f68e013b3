package smtpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// caught runs f and returns its panic.
func caught(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

// handler is a slog.Handler that is one function.
type handler func()

func (handler) Enabled(context.Context, slog.Level) bool    { return true }
func (h handler) Handle(context.Context, slog.Record) error { h(); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h handler) WithGroup(string) slog.Handler             { return h }

// misbehave returns a function that panics or ends its goroutine so many times.
func misbehave(how string, times int64) func() {
	var n atomic.Int64
	return func() {
		switch {
		case n.Add(1) > times:
		case how == "panic":
			panic("boom")
		default:
			runtime.Goexit()
		}
	}
}

// What the caller's functions do to their goroutine becomes the answer of the
// one who waits for it, and the slot is free again.
func TestAPanicOrGoexitInAFunctionOfConfigIsTheWaitersOwn(t *testing.T) {
	for _, where := range []string{"DialContext", "Credentials", "Logger"} {
		for _, how := range []string{"panic", "Goexit"} {
			t.Run(where+" "+how, func(t *testing.T) {
				f := misbehave(how, 3)
				bubble(t, func(cfg *Config) {
					cfg.MaxConns = 1
					dial := cfg.DialContext
					switch where {
					case "DialContext":
						cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
							f()
							return dial(ctx, network, addr)
						}
					case "Credentials":
						user, pass := cfg.Username, cfg.Password
						cfg.Username, cfg.Password = "", ""
						cfg.Credentials = func(context.Context) (string, string, error) { f(); return user, pass, nil }
					case "Logger":
						cfg.Logger = slog.New(handler(f))
					}
				}, func(t *testing.T, s *script, c *Client) {
					failed := 0
					for range 5 {
						var err error
						v := caught(func() { _, err = c.post(t.Context()) })
						if v == nil && err == nil {
							continue
						}
						failed++
						if how == "panic" && v != "boom" {
							t.Errorf("recovered %v, error %v", v, err)
						}
						if how == "Goexit" {
							want(t, err, seserrors.Unavailable, seserrors.Network, false)
						}
					}
					if failed == 0 || failed > 3 || len(s.mailbox()) != 5-failed {
						t.Errorf("%d failed, %d mails", failed, len(s.mailbox()))
					}
					if st := c.Stats(); !st.balanced() || c.slots() != st.Open {
						t.Errorf("%d slots, %+v", c.slots(), st)
					}
				})
			})
		}
	}
}

func TestNothingWaitsForAPanicWhoseWaiterHasLeft(t *testing.T) {
	bubble(t, func(cfg *Config) {
		dial, first := cfg.DialContext, true
		cfg.MaxConns = 1
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if first {
				first = false
				time.Sleep(2 * time.Second)
				panic("nobody hears this")
			}
			return dial(ctx, network, addr)
		}
	}, func(t *testing.T, s *script, c *Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.post(ctx)
		want(t, err, seserrors.Canceled, seserrors.DeadlineExceeded, false)
		time.Sleep(2 * time.Second)
		s.mustPost(t, c)
		if st := c.Stats(); st.DialErrors != 1 || !st.balanced() {
			t.Errorf("%+v", st)
		}
	})
}

func TestADialThatGivesNothingIsAnError(t *testing.T) {
	bubble(t, func(cfg *Config) {
		cfg.MaxConns = 1
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	}, func(t *testing.T, s *script, c *Client) {
		for range 3 {
			_, err := c.post(t.Context())
			want(t, err, seserrors.Unavailable, seserrors.Network, false)
			if !strings.Contains(err.Error(), "neither a connection nor an error") {
				t.Error(err)
			}
		}
	})
}

func TestALoggerMayCallTheClient(t *testing.T) {
	var c *Client
	calls := 0
	bubble(t, func(cfg *Config) {
		cfg.MaxMessagesPerConn = 1
		cfg.Logger = slog.New(handler(func() { calls++; c.Stats(); _ = fmt.Sprint(c) }))
	}, func(t *testing.T, s *script, client *Client) {
		c = client
		s.mustPost(t, c)
		s.once("AUTH", "454 Temporary authentication failure")
		c.post(t.Context())
		time.Sleep(time.Minute)
		if calls != 3 { // opened, closed, cannot be set up
			t.Errorf("%d calls", calls)
		}
	})
}

func TestTheLogSaysWhyAConnectionCannotBeSetUp(t *testing.T) {
	var log bytes.Buffer
	fails := true
	bubble(t, func(cfg *Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		dial := cfg.DialContext
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if fails {
				return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no route to host")}
			}
			return dial(ctx, network, addr)
		}
	}, func(t *testing.T, s *script, c *Client) {
		c.post(t.Context())
		fails = false
		s.once("AUTH", "535 Authentication Credentials Invalid")
		c.post(t.Context())
		lines := append(strings.Split(log.String(), "\n"), "")
		for i, words := range [][]string{
			{"level=WARN", "cannot be set up", "smtp dial", "smtp.example.com:587", "reason=network", "no route to host"},
			{"level=WARN", "cannot be set up", "smtp AUTH", "smtp.example.com:587", "reason=credentials-invalid", "code=535", "Authentication Credentials Invalid"},
		} {
			for _, w := range words {
				if !strings.Contains(lines[i], w) {
					t.Errorf("the line does not say %q: %s", w, lines[i])
				}
			}
		}
		if strings.Contains(log.String(), secret) || strings.Contains(log.String(), "code=0") {
			t.Errorf("got %s", log.String())
		}
	})
}

// Errors of the source of credentials say nothing about SES.
func TestTroubleWithCredentialsIsNotSESsVerdict(t *testing.T) {
	for _, row := range []struct {
		err   error
		class seserrors.Class
	}{
		{errors.New("vault is sealed"), seserrors.Unavailable},
		{&seserrors.Error{Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded}, seserrors.Unavailable},
		{&seserrors.Error{Class: seserrors.Rejected, MaybeAccepted: true}, seserrors.Unavailable},
		{&seserrors.Error{Class: seserrors.Denied, Reason: seserrors.AccessDenied}, seserrors.Denied},
	} {
		bubble(t, func(cfg *Config) {
			cfg.Username, cfg.Password = "", ""
			cfg.Credentials = func(context.Context) (string, string, error) { return "", "", row.err }
		}, func(t *testing.T, s *script, c *Client) {
			_, err := c.post(t.Context())
			e, _ := errors.AsType[*seserrors.Error](err)
			if e == nil || e.Class != row.class || e.Reason != seserrors.CredentialsUnavailable || e.MaybeAccepted || !errors.Is(err, row.err) {
				t.Errorf("%v", err)
			}
			if n, _, _ := s.connections(); n != 0 {
				t.Error("the server was dialled")
			}
		})
	}
}

func TestCredentialsWithALineEndAreNamed(t *testing.T) {
	bubble(t, func(cfg *Config) {
		cfg.Username, cfg.Password = "", ""
		cfg.Credentials = func(context.Context) (string, string, error) { return "AKIAIOSFODNN7EXAMPLE", secret + "\n", nil }
	}, func(t *testing.T, s *script, c *Client) {
		_, err := c.post(t.Context())
		want(t, err, seserrors.Denied, seserrors.CredentialsInvalid, false)
		if n, _, _ := s.connections(); n != 0 || !strings.Contains(err.Error(), "Password") {
			t.Errorf("%d connections, %v", n, err)
		}
	})
}

func TestNothingThatIsPrintedHoldsThePassword(t *testing.T) {
	cfg := Config{Region: "eu-west-1", Username: "AKIAIOSFODNN7EXAMPLE", Password: secret, Logger: slog.Default(), DialContext: new(net.Dialer).DialContext}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	type holder struct{ Config any }
	for name, v := range map[string]any{"Config": cfg, "*Config": &cfg, "*Client": c} {
		var printed bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %[1]v"} {
			fmt.Fprintf(&printed, verb+"\n", v)
			fmt.Fprintf(&printed, verb+"\n", holder{v})
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&printed, nil), slog.NewJSONHandler(&printed, nil)} {
			slog.New(h).Info("x", "v", v, "holder", holder{v}, slog.Group("g", "v", v))
		}
		data, err := json.Marshal(holder{v})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		printed.Write(data)
		got := printed.String()
		if strings.Contains(got, secret) || strings.Contains(got, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s prints the password:\n%s", name, got)
		}
		if n := strings.Count(got, "[redacted]"); n < 20 || !strings.Contains(got, "AKIAIOSFODNN7EXAMPLE") || !strings.Contains(got, "eu-west-1") {
			t.Errorf("%s prints too little, [redacted] %d times:\n%s", name, n, got)
		}
	}
}

func TestEveryErrorSaysWhere(t *testing.T) {
	s := newScript(t)
	c := s.client(t)
	s.once("DOT", "554 Transaction failed: Illegal address")
	_, refused := c.post(t.Context())
	_, invalid := c.Send(t.Context(), "nobody", []string{someone}, bytes.NewReader(letter))
	c.Close()
	_, closed := c.post(t.Context())
	for _, err := range []error{refused, invalid, closed, c.Ping(t.Context())} {
		if e, ok := errors.AsType[*seserrors.Error](err); !ok || e.Endpoint != "smtp.example.com:587" {
			t.Errorf("%#v", err)
		}
	}
	if e, ok := errors.AsType[*seserrors.Error](SendMail("127.0.0.1:1", nil, sender, []string{someone}, letter)); !ok || e.Endpoint != "127.0.0.1:1" {
		t.Errorf("%v", e)
	}
}
