package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/progress"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func TestByDefaultItMeasuresAFake(t *testing.T) {
	for _, transport := range []string{"smtp", "api"} {
		t.Run(transport, func(t *testing.T) {
			var out bytes.Buffer
			code := run(t.Context(), []string{"-transport", transport, "-messages", "50", "-senders", "4"}, &out, false, network{})
			want := regexp.MustCompile(`(?s)^50 messages of 2048 octets by 4 senders over ` + transport + `, no limiter,
to a fake SES .*100 %  50 sent .*
accepted     50 of 50 in .*
attempts     50, 0 of them retries, 0 throttled
connections  [1-4] dialled.*
LATENCY .*
send .*
attempt `)
			if code != 0 || !want.Match(out.Bytes()) {
				t.Errorf("exit code %d, want 0 and a report like\n%v\ngot\n%s", code, want, &out)
			}
		})
	}
}

func TestATerminalShowsABar(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"-messages", "5"}, &out, true, network{}); code != 0 || !strings.Contains(out.String(), "\r["+strings.Repeat("#", 24)+"] 100 %  5 sent ") {
		t.Errorf("exit code %d, %q", code, &out)
	}
	for _, c := range []struct {
		set  settings
		sent int
		now  time.Duration
		want string
	}{
		{settings{messages: 100}, 50, time.Hour, "[############------------]  50 %"},
		{settings{length: time.Minute}, 0, 15 * time.Second, "[######------------------]  25 %"},
		{settings{messages: 100, length: time.Minute}, 75, 30 * time.Second, "[##################------]  75 %"},
		{settings{length: time.Minute}, 0, time.Hour, "[########################] 100 %"}, // the last mails take longer
	} {
		l := &load{settings: c.set, meter: newMeter(), begin: time.Now().Add(-c.now)}
		l.meter.sends = make([]time.Duration, c.sent)
		if got := l.line(true); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// inBubble runs a load against a fake in fake time, where every duration is
// exact but for the jitter of the waits.
func inBubble(t *testing.T, args []string, faults ...sestest.Fault) (l *load, report string) {
	synctest.Test(t, func(t *testing.T) {
		set, err := parse(args, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		ses := sestest.NewMemoryServer()
		ses.Script(faults...)
		to := toFake(set, ses)
		defer to.close()
		if l, err = newLoad(set, to); err != nil {
			t.Fatal(err)
		}
		defer l.close()
		l.run(t.Context(), &progress.Line{Out: io.Discard, Every: time.Second})
		var out bytes.Buffer
		l.report(&out)
		report = out.String()
	})
	return l, report
}

func TestTheReportSaysWhatWentWrong(t *testing.T) {
	for _, transport := range []string{"smtp", "api"} {
		t.Run(transport, func(t *testing.T) {
			l, report := inBubble(t, []string{"-senders", "1", "-messages", "4", "-transport", transport},
				sestest.Pass(), sestest.Refuse(seserrors.SendRateExceeded), sestest.Pass(), sestest.Refuse(seserrors.MessageRejected), sestest.AcceptThenCut())
			for _, want := range []string{
				"accepted     2 of 4 in ", "refused      1\n", "in doubt     1\n", "attempts     5, 1 of them retries, 1 throttled\n",
				"       1  throttled      send-rate-exceeded\n", "       1  rejected       message-rejected\n", " response-lost\n",
			} {
				if !strings.Contains(report, want) {
					t.Errorf("no %q in\n%s", want, report)
				}
			}
			longest := l.meter.sends[3]
			if longest < 5*time.Second || longest > 5500*time.Millisecond || l.meter.tries[4] > time.Millisecond {
				t.Errorf("the longest send took %v and the longest attempt %v, want the first documented wait and next to nothing", longest, l.meter.tries[4])
			}
		})
	}
}

func TestARoundTripTimeIsPaidOncePerExchange(t *testing.T) {
	l, _ := inBubble(t, []string{"-senders", "2", "-messages", "20", "-rtt", "20ms"})
	// MAIL, RCPT, DATA, message. In memory smtpclient waits twice for a tenth of
	// a millisecond to see whether something has arrived.
	if p50 := percentile(l.meter.tries, 50); p50.Round(time.Millisecond) != 4*20*time.Millisecond {
		t.Errorf("p50 %v, want 80 ms", p50)
	}
}

func TestTheLimitsHold(t *testing.T) {
	for _, c := range []struct {
		name      string
		args      []string
		sent      int
		took      time.Duration
		throttled bool
	}{
		{"rate", []string{"-messages", "31", "-rate", "10"}, 31, 2100 * time.Millisecond, false}, // a burst of 10 is free
		{"follows the account", []string{"-messages", "48", "-account-rate", "10", "-follow"}, 48, 4100 * time.Millisecond, false},
		{"time", []string{"-for", "10s", "-rate", "1", "-senders", "1"}, 11, 10 * time.Second, false},
		{"account", []string{"-messages", "31", "-account-rate", "10"}, 31, 5 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, report := inBubble(t, c.args)
			if l.meter.accepted != c.sent || l.took < c.took || l.took > 2*c.took+30*time.Second || (l.meter.throttled > 0) != c.throttled {
				t.Errorf("%d accepted in %v, want %d in %v, throttled %v\n%s", l.meter.accepted, l.took, c.sent, c.took, c.throttled, report)
			}
		})
	}
}

func TestItSendsToTheSimulatorAndNowhereElse(t *testing.T) {
	var out bytes.Buffer
	for _, to := range []string{"ann@example.org", "success@simulator.amazonses.com.example.org", "success@amazonses.com", "", "simulator.amazonses.com", "a@b@simulator.amazonses.com"} {
		out.Reset()
		if code := run(t.Context(), []string{"-to", to}, &out, false, network{}); code != 2 || !strings.Contains(out.String(), "nowhere else") {
			t.Errorf("%q: exit code %d\n%s", to, code, &out)
		}
	}
	sent := 0
	transport := guarded(sesguard.TransportFunc(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
		sent++
		return &sesguard.Receipt{}, nil
	}))
	good, bad := []string{"bounce@Simulator.AmazonSES.com"}, []string{"ann@example.org"}
	for _, m := range []*sesguard.Message{{To: bad}, {To: good, Cc: bad}, {To: good, Bcc: bad}, {To: append(good, bad...)}} {
		if _, err := transport.Attempt(t.Context(), built(t, m)); seserrors.Classify(err) == nil || seserrors.Classify(err).Class != seserrors.Invalid || sent != 0 {
			t.Errorf("%v: error %v, %d sent", m, err, sent)
		}
	}
	if _, err := transport.Attempt(t.Context(), built(t, &sesguard.Message{To: good, Cc: good})); err != nil || sent != 1 {
		t.Errorf("error %v, %d sent; want none and 1", err, sent)
	}
}

func built(t *testing.T, m *sesguard.Message) *sesguard.Mail {
	m.From, m.Text = "load@example.com", "Hello."
	mail, err := sesguard.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	return mail
}

// environment sets nothing of AWS but what is given.
func environment(t *testing.T, set map[string]string) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "SES_") {
			t.Setenv(name, "")
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for name, value := range set {
		t.Setenv(name, value)
	}
}

var unplugged = network{dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("the cable is out") }}

func TestToldToItSendsToSES(t *testing.T) {
	for transport, follow := range map[string]bool{"smtp": false, "api": true} {
		t.Run(transport, func(t *testing.T) {
			ses := sestest.NewServer() // in the place of the real one, under its names
			defer ses.Close()
			environment(t, map[string]string{
				"AWS_REGION": ses.Region, "SES_SMTP_USERNAME": ses.Username, "SES_SMTP_PASSWORD": ses.Password,
				"AWS_ACCESS_KEY_ID": ses.AccessKeyID, "AWS_SECRET_ACCESS_KEY": ses.SecretAccessKey,
			})
			args := []string{"-ses", "-from", "shop@example.com", "-transport", transport, "-messages", "5"}
			if follow {
				args = append(args, "-follow")
			} else {
				args = append(args, "-rate", "1000")
			}
			var out bytes.Buffer
			code := run(t.Context(), args, &out, false, network{dial: ses.DialContext, trust: ses.TLSConfig()})
			mails := ses.Accepted()
			if code != 0 || len(mails) != 5 || !strings.Contains(out.String(), "the mailbox simulator of SES in us-east-1") {
				t.Fatalf("exit code %d, %d mails, want 0 and 5\n%s", code, len(mails), &out)
			}
			for _, m := range mails {
				if m.Transport != transport || m.From != "shop@example.com" || !slices.Equal(m.To, []string{"success@simulator.amazonses.com"}) {
					t.Errorf("a mail over %s from %s to %q", m.Transport, m.From, m.To)
				}
			}
			if strings.Contains(out.String(), ses.SecretAccessKey) || strings.Contains(out.String(), ses.Password) {
				t.Error("a secret is in the output")
			}
		})
	}
}

func TestToSESItIsSlowUnlessToldOtherwise(t *testing.T) {
	s, err := parse([]string{"-ses"}, io.Discard)
	if err != nil || s.rate != 1 || s.messages != 60 {
		t.Errorf("rate %v, %d messages, %v; want 1 and 60", s.rate, s.messages, err)
	}
}

func TestWithoutSettingsItSaysWhatIsMissing(t *testing.T) {
	key := map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
	role := map[string]string{"AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
	smtp := map[string]string{"SES_SMTP_USERNAME": "user", "SES_SMTP_PASSWORD": "secret"}
	settled := []string{"-from", "shop@example.com", "-region", "us-east-1"}
	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		want string
	}{
		{"nothing at all", nil, nil, "the sender (-from), the region, credentials"},
		{"no sender", key, settled[2:], "the sender (-from)"},
		{"no region", smtp, settled[:2], "the region"},
		{"no credentials, smtp", nil, settled, "credentials"},
		{"no credentials, api", nil, append(settled, "-transport", "api"), "credentials"},
		{"smtp with the key of a role", role, settled, "credentials"},
		{"smtp that follows the account without a key", smtp, append(settled, "-follow"), "credentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			environment(t, c.env)
			var out bytes.Buffer
			code := run(t.Context(), append([]string{"-ses", "-timeout", "1s"}, c.args...), &out, false, unplugged)
			if code != 2 || !strings.HasPrefix(out.String(), "Missing: "+c.want+".\n") || strings.Contains(out.String(), "secret") {
				t.Errorf("exit code %d, want 2 and that %s is missing\n%s", code, c.want, &out)
			}
		})
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-transport", "carrier-pigeon"}, {"-senders", "0"}, {"-messages", "-1"}, {"-rate", "5", "-follow"},
		{"-ses", "-rtt", "20ms"}, {"-ses", "-account-rate", "1"}, {"success"}, {"-no-such-flag"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), args, &out, false, network{}); code != 2 || out.Len() == 0 {
			t.Errorf("%q: exit code %d, want 2 and a word about it\n%s", args, code, &out)
		}
	}
}

func TestCtrlCPrintsTheReport(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if code := run(ctx, []string{"-for", "1h"}, &out, false, network{}); code != 1 || !strings.Contains(out.String(), "accepted     0 of 0 ") {
		t.Errorf("exit code %d\n%s", code, &out)
	}
}

func TestALetterHasItsSize(t *testing.T) {
	for _, size := range []int{1000, 1001, 2048, 100_000} {
		var out bytes.Buffer
		if _, err := letter("a@example.com", "success@simulator.amazonses.com", size).WriteTo(&out); err != nil || out.Len() != size {
			t.Errorf("%d octets, want %d; %v", out.Len(), size, err)
		}
	}
}

func TestPercentiles(t *testing.T) {
	var list []time.Duration
	for i := range 1000 {
		list = append(list, time.Duration(i+1))
	}
	for p, want := range map[int]time.Duration{50: 500, 90: 900, 99: 990, 100: 1000} {
		if got := percentile(list, p); got != want {
			t.Errorf("p%d of 1 to 1000 is %d, want %d", p, got, want)
		}
		if got := percentile(list[:1], p); got != 1 {
			t.Errorf("p%d of one value is %d", p, got)
		}
	}
}
