package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func TestInAWorldInWhichMailLeavesNothingIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.cfg.RealSend, w.cfg.Await = true, func(context.Context, string) error { return nil }
		report := w.run(t.Context())
		if !report.OK() {
			t.Error("not OK")
		}
		slugs := map[string]bool{}
		for _, f := range report.Findings {
			slugs[f.Check] = true
			if f.Status != OK && f.Check != checkAuthorization {
				t.Errorf("%v", f)
			}
			if f.Check == checkEndpoint && f.Detail != "resolves to 192.0.2.1" {
				t.Errorf("%v", f)
			}
		}
		if len(slugs) != len(checks) {
			t.Errorf("%d of %d checks reported", len(slugs), len(checks))
		}
		var sent []string
		for _, m := range w.server.Accepted() {
			sent = append(sent, m.To...)
		}
		if !slices.Equal(sent, []string{"success@simulator.amazonses.com", "bounce@simulator.amazonses.com"}) {
			t.Errorf("sent to %q", sent)
		}
	})
}

func text(r *Report) string {
	var b strings.Builder
	_, _ = r.WriteTo(&b)
	return b.String()
}

// hidesSecrets looks for what no report may hold.
func hidesSecrets(t *testing.T, w *world, report *Report) {
	t.Helper()
	js, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{w.cfg.SMTP.Password, w.server.Password, secret, w.cfg.SMTP.Username, "s.abc"} {
		if len(s) > 3 && (strings.Contains(text(report), s) || strings.Contains(string(js), s)) {
			t.Errorf("the report holds the secret %q", s)
		}
	}
}

// to connects to another port of the server.
func (w *world) to(port string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return w.server.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	}
}

// lose makes a port lose large packets.
func (w *world) lose(port string) {
	w.set(func(ctx context.Context) (net.Conn, error) {
		conn, err := w.server.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		return &filtered{Conn: conn}, err
	}, port)
}

// A shortAPI cannot list the suppression list.
type shortAPI struct{ API }

func TestControlCallsStartASecondApartAndWhatDoesNotFitIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.cfg.API = shortAPI{w.cfg.API}
		for i := range 30 {
			w.cfg.To = append(w.cfg.To, fmt.Sprintf("User%d@example.net", i))
		}
		report := w.run(t.Context())
		if w.took > runTime {
			t.Errorf("took %v", w.took)
		}
		for i := 1; i < len(w.calls); i++ {
			if gap := w.calls[i].at.Sub(w.calls[i-1].at); gap < time.Second {
				t.Errorf("call %d comes %v after the one before it", i, gap)
			}
		}
		if n := len(w.calls); n != 15 && n != 16 { // the last one's turn comes in the instant in which the run ends
			t.Errorf("%d calls, want 15 or 16", n)
		}
		looked, skipped := 0, 0
		for _, f := range report.Findings {
			switch {
			case f.Check == checkSuppression && f.Status == OK:
				looked++
			case f.Check == checkSuppression && f.Status == Skipped && f.Detail == outOfTime:
				skipped++
			}
		}
		if looked < 4 || looked+skipped != 31 {
			t.Errorf("%d recipients looked at, %d skipped", looked, skipped)
		}
	})
}

func TestTheSuppressionListIsReadOnceIfItIsShort(t *testing.T) {
	for _, tt := range []struct {
		entries, calls int // beside the six that a run makes
	}{{1000, 0}, {1001, 3}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.cfg.To = []string{"a@example.net", "B@example.net"}
			for i := range tt.entries {
				w.account.Suppress(fmt.Sprintf("user%d@example.org", i), "BOUNCE")
			}
			w.account.Suppress("user0@example.org", "COMPLAINT")
			if report := w.run(t.Context()); !report.OK() || len(w.calls) != 6+tt.calls {
				t.Errorf("%d entries: %d calls\n%s", tt.entries, len(w.calls), text(report))
			}
		})
	}
}

func TestAnOperationThatIsNotAllowedIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.cfg.To = []string{"a@example.net", "B@example.net", "c@example.net"}
		w.account.Deny("ses:ListSuppressedDestinations", "ses:GetSuppressedDestination")
		w.run(t.Context())
		if len(w.calls) != 7 {
			t.Errorf("%v, want 7", w.calls)
		}
	})
}

func TestARunThatIsCanceledEndsAtOnceAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set(drops)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		report := w.run(ctx)
		if w.took != 1500*time.Millisecond {
			t.Errorf("took %v", w.took)
		}
		slugs := map[string]bool{}
		for _, f := range report.Findings {
			slugs[f.Check] = true
			if f.Status == Fail {
				t.Errorf("fails: %v", f)
			}
		}
		if len(slugs) != len(checks) {
			t.Errorf("%d of %d checks reported", len(slugs), len(checks))
		}
	})
}

// hangs does not heed its context.
type hangs struct{}

func (hangs) LookupHost(context.Context, string) ([]string, error)   { return hang[[]string]() }
func (hangs) LookupMX(context.Context, string) ([]*net.MX, error)    { return hang[[]*net.MX]() }
func (hangs) LookupTXT(context.Context, string) ([]string, error)    { return hang[[]string]() }
func (hangs) dial(context.Context, string, string) (net.Conn, error) { return hang[net.Conn]() }

func hang[T any]() (v T, err error) {
	time.Sleep(30 * time.Minute)
	return v, nil
}

func TestARunEndsInTimeThoughEverythingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.cfg.Resolver, w.cfg.SMTP.DialContext = hangs{}, hangs{}.dial
		w.answers[""] = answer{}
		w.cfg.RealSend = true
		report := w.run(t.Context())
		if w.took > runTime || strings.Count(text(report), "FAIL") != 1 || !strings.Contains(text(report), "FAIL endpoint") {
			t.Errorf("took %v:\n%s", w.took, text(report))
		}
		for _, c := range checks {
			if !strings.Contains(text(report), " "+c.slug+" ") {
				t.Errorf("nothing about %s", c.slug)
			}
		}
	})
}

func TestFindingsAreToldAsTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set(drops, "2465")
		start := time.Now()
		came := map[string]time.Duration{}
		n := 0
		w.cfg.Found = func(f Finding) { came[f.Check] = time.Since(start); n++ }
		report := w.run(t.Context())
		if n != len(report.Findings) {
			t.Errorf("%d told of %d", n, len(report.Findings))
		}
		for check, want := range map[string]time.Duration{checkEndpoint: 0, checkSending: 0, checkIdentity: 2 * time.Second, checkPorts: stepTime} {
			if came[check] != want {
				t.Errorf("%s came after %v, want %v", check, came[check], want)
			}
		}
	})
}

func TestARealSendGoesOverWhatWorks(t *testing.T) {
	late := func(ctx context.Context, id string) error { <-ctx.Done(); return ctx.Err() }
	for _, tt := range []struct {
		name  string
		spoil func(w *world)
		want  Status
		words string
		over  string // "" if nothing is sent
	}{
		{"SMTP", func(*world) {}, OK, "accepted as ", "smtp"},
		{"API", func(w *world) { w.cfg.SMTP = smtpclient.Config{} }, OK, "accepted as ", "api"},
		{"from another account's identity", func(w *world) { w.cfg.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/example.com" }, OK, "accepted as ", "smtp"},
		{"from another account's identity over the API", func(w *world) {
			w.cfg.SMTP, w.cfg.FromARN = smtpclient.Config{}, "arn:aws:ses:us-east-1:123456789012:identity/example.com"
		}, OK, "accepted as ", "api"},
		{"beside many recipients", func(w *world) {
			w.cfg.API = shortAPI{w.cfg.API}
			for i := range 30 {
				w.cfg.To = append(w.cfg.To, fmt.Sprintf("user%d@example.net", i))
			}
		}, OK, "accepted as ", "smtp"},
		{"refused over SMTP", func(w *world) { w.server.Script(sestest.Refuse(seserrors.IdentityNotVerified)) }, Fail, "not verified", ""},
		{"refused for what another check has said", func(w *world) { w.account.Unverify() }, Warn, "not verified", ""},
		{"refused over the API", func(w *world) {
			w.cfg.SMTP = smtpclient.Config{}
			w.server.Script(sestest.Refuse(seserrors.IdentityNotVerified))
		}, Fail, "not verified", ""},
		{"the event does not come", func(w *world) { w.cfg.Await = late }, Warn, "did not come in time", "smtp"},
		{"the wait does not heed its context", func(w *world) {
			w.cfg.Await = func(context.Context, string) error { time.Sleep(time.Hour); return nil }
		}, Warn, "did not come in time", "smtp"},
		{"no way", func(w *world) { w.cfg.SMTP, w.cfg.API = smtpclient.Config{}, shortAPI{w.cfg.API} }, Skipped, "no way", ""},
		{"a line end in a name", func(w *world) { w.cfg.ConfigurationSet = "a\r\nBcc: x@y.example" }, Skipped, "line end", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.cfg.RealSend = true
				tt.spoil(w)
				report := w.run(t.Context())
				f := report.Findings[len(report.Findings)-1]
				if f.Check != checkRealSend || f.Status != tt.want || !strings.Contains(f.Detail, tt.words) {
					t.Errorf("got %v", f)
				}
				over := ""
				for _, m := range w.server.Accepted() {
					over = m.Transport
					if m.ConfigurationSet != w.cfg.ConfigurationSet || m.FromARN != w.cfg.FromARN {
						t.Errorf("sent with %q and %q", m.ConfigurationSet, m.FromARN)
					}
				}
				if over != tt.over || w.took > runTime {
					t.Errorf("sent over %q, in %v", over, w.took)
				}
				hidesSecrets(t, w, report)
			})
		})
	}
}

func TestAFoundThatIsSlowDelaysNoCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var once sync.Once
		w.cfg.Found = func(Finding) { once.Do(func() { time.Sleep(time.Hour) }) }
		report := w.run(t.Context())
		for _, f := range report.Findings {
			if f.Status == Skipped && strings.Contains(f.Detail, "ended before") {
				t.Errorf("%v", f)
			}
		}
	})
}

func TestAPanicOfWhatIsCalledIsRunsOwn(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"Found":       func(w *world) { w.cfg.Found = func(Finding) { panic("mine") } },
		"DialContext": func(w *world) { w.set(func(context.Context) (net.Conn, error) { panic("mine") }, "2587") },
		"Credentials": func(w *world) { w.vault(func() (string, string, error) { panic("mine") }) },
		"Await":       func(w *world) { w.cfg.Await = func(context.Context, string) error { panic("mine") } },
		"API":         func(w *world) { w.cfg.API = shortAPI{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.cfg.RealSend = true
				spoil(w)
				defer func() {
					if p := recover(); p != "mine" && name != "API" || p == nil {
						t.Errorf("panicked %v", p)
					}
				}()
				w.run(t.Context())
			})
		})
	}
}

func TestAConnectionThatComesTooLateIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		client, server := net.Pipe()
		w.set(func(context.Context) (net.Conn, error) { time.Sleep(time.Minute); return client, nil }, "2587")
		w.run(t.Context())
		if _, err := server.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read %v", err)
		}
	})
}

func TestADialThatEndsItsGoroutineIsAPortThatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set(func(context.Context) (net.Conn, error) { runtime.Goexit(); return nil, nil })
		if report := w.run(t.Context()); !strings.Contains(text(report), "FAIL ports") {
			t.Errorf("%s", text(report))
		}
	})
}

func TestNothingSecretIsSaidBeforeTheCertificateIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.cfg.SMTP.TLSConfig = &tls.Config{}
		w.cfg.RealSend = true
		report := w.run(t.Context())
		if n := w.server.Logins(); n != 0 {
			t.Errorf("%d sign-ins", n)
		}
		for _, f := range report.Findings {
			if f.Check == checkSignIn && (f.Status != Skipped || !strings.Contains(f.Detail, "nothing secret")) || f.Check == checkTLSMode && f.Status != OK {
				t.Errorf("got %v", f)
			}
		}
		for _, line := range w.server.Commands() {
			if strings.Contains(strings.ToUpper(line), "AUTH") {
				t.Errorf("said %q", line)
			}
		}
	})
}

func TestOverASocketTheMTUIsKnown(t *testing.T) {
	s := sestest.NewServer()
	defer s.Close()
	report := Run(t.Context(), Config{SMTP: smtpclient.Config{Addr: s.SMTPAddr, Username: s.Username, Password: s.Password, TLSConfig: s.TLSConfig()}})
	want := "ok   mtu                   127.0.0.1: packets of full size get through"
	if runtime.GOOS == "linux" {
		want += "; this machine sends up to "
	}
	if !report.OK() || !strings.Contains(text(report), want) {
		t.Errorf("want %q:\n%s", want, text(report))
	}
}

func TestWhereTheConfiguredPortIsClosedAnotherOneIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set(refuses, "587", "2587")
		report := text(w.run(t.Context()))
		for _, want := range []string{"skip tls-mode", "ok   certificate", "ok   smtp-sign-in", "ok   mtu"} {
			if !strings.Contains(report, want) {
				t.Errorf("want %q:\n%s", want, report)
			}
		}
	})
}

func TestAFindingIsTextAndJSON(t *testing.T) {
	f := Finding{Check: checkPorts, Subject: "host", Status: Fail, Detail: "port 587 refused", Advice: "Open it.", Source: "A page", Reason: seserrors.Network, Took: time.Second}
	if got, want := f.String(), "FAIL ports                 host: port 587 refused\n       → Open it.\n         A page\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	js, err := json.Marshal(f)
	want := `{"check":"ports","subject":"host","status":"fail","detail":"port 587 refused","advice":"Open it.","source":"A page","reason":"network","took":1000000000}`
	if err != nil || string(js) != want {
		t.Errorf("got %s, %v", js, err)
	}
	var back Finding
	if err := json.Unmarshal(js, &back); err != nil || back != f {
		t.Errorf("read back %v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"status":"fine"}`), &back); err == nil {
		t.Error("an unknown status is read")
	}
}

func FuzzRecords(f *testing.F) {
	f.Add("v=DMARC1; p=reject; adkim=s")
	f.Add("k=rsa;p=MIGf")
	f.Add("v=spf1 include:amazonses.com ~all")
	f.Fuzz(func(t *testing.T, record string) {
		for name := range tags(record) {
			if name != strings.ToLower(strings.TrimSpace(name)) {
				t.Errorf("tag %q", name)
			}
		}
	})
}
