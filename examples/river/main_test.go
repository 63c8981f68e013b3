package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/outbox/dbtest/pgtest"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// jobVariable makes a copy of this test binary a worker that is to be killed.
const jobVariable = "RIVER_EXAMPLE_JOB"

const (
	completed = river.EventKindJobCompleted
	canceled  = river.EventKindJobCancelled
)

// postgres is a server of the tests' own; empty: there is none.
var postgres string

func TestMain(m *testing.M) {
	if text := os.Getenv(jobVariable); text != "" {
		if err := workAndHang(text); err != nil {
			fmt.Println(err)
		}
		os.Exit(1)
	}
	os.Exit(pgtest.Main(m, &postgres))
}

func TestEachAnswerOfSESHasItsEnd(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		for _, tt := range []struct {
			name     string
			fault    sestest.Fault
			state    string
			end      river.EventKind
			attempts int
			accepted int
		}{
			{"accepted", sestest.Pass(), "sent", completed, 1, 1},
			{"throttled, then accepted", sestest.Refuse(seserrors.SendRateExceeded), "sent", completed, 2, 1},
			{"refused", sestest.Refuse(seserrors.MessageRejected), "failed", canceled, 1, 0},
			{"accepted, and the reply is lost", sestest.AcceptThenCut(), "in doubt", canceled, 1, 1},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b := newBed(t, url)
				b.ses.Script(tt.fault)
				b.start(b.smtp())
				b.run(b.enqueue(), tt.end)
				b.want(tt.state, tt.attempts, tt.accepted)
			})
		}
	})
}

func TestAnEventSettlesTheDoubt(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		b := newBed(t, url)
		b.ses.Script(sestest.AcceptThenCut())
		b.start(b.smtp())
		b.run(b.enqueue(), canceled)
		b.want("in doubt", 1, 1)
		b.hear()
		b.want("sent", 1, 1)
	})
}

func TestAMailInDoubtIsSentAgainOnAPersonsWord(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		b := newBed(t, url)
		b.ses.Script(sestest.Cut(sestest.EndOfData))
		b.start(b.smtp())
		b.run(b.enqueue(), canceled)
		b.want("in doubt", 1, 0)
		var out bytes.Buffer
		if err := b.list(t.Context(), &out); err != nil || !strings.Contains(out.String(), b.track) || strings.Contains(out.String(), "ann@") {
			t.Errorf("%v, list:\n%s", err, &out)
		}
		b.run(b.resend(t.Context(), b.track), completed)
		b.want("sent", 2, 1)
		if err := b.resend(t.Context(), b.track); err == nil {
			t.Error("a sent mail is sent again")
		}
	})
}

func TestAJobThatRunsTwiceSendsOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		b := newBed(t, url)
		b.start(b.smtp())
		b.run(b.enqueue(), completed)
		b.run(insert(b, send{b.track}), completed)
		b.want("sent", 1, 1)
	})
}

func TestAMailWhoseJobIsGoneIsFoundAndSent(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		b := newBed(t, url)
		if err := b.enqueue(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.db.Exec("delete from river_job"); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := b.list(t.Context(), &out); err != nil || !strings.Contains(out.String(), b.track) {
			t.Errorf("%v, list:\n%s", err, &out)
		}
		b.start(b.smtp())
		b.run(b.resend(t.Context(), b.track), completed)
		b.want("sent", 1, 1)
	})
}

// River takes a run for dead that is only slow: its result still counts.
func TestTwoRunsAtOnceSendOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		b := newBed(t, url)
		begun, finish := make(chan struct{}, 2), make(chan struct{})
		real := b.smtp()
		b.start(transport(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
			begun <- struct{}{}
			<-finish
			return real.Attempt(ctx, m)
		}))
		if err := b.enqueue(); err != nil {
			t.Fatal(err)
		}
		<-begun
		b.run(insert(b, send{b.track}), canceled)
		b.want("in doubt", 1, 0)
		close(finish)
		b.await(completed)
		b.want("sent", 1, 1)
	})
}

// A worker is killed with kill -9 while it sends, and River runs the job again.
func TestAKilledWorkersMailIsInDoubtAndNotSentAgain(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		for _, tt := range []struct {
			name     string
			asked    bool // SES has been asked when the worker is killed
			accepted int
		}{
			{"before SES is asked", false, 0},
			{"after SES has accepted", true, 1},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, url)
				if err := b.enqueue(); err != nil {
					t.Fatal(err)
				}
				b.killAWorker(tt.asked)
				b.want("sending", 1, tt.accepted)
				b.passAnHour()
				b.start(b.smtp())
				b.await(canceled)
				b.want("in doubt", 1, tt.accepted)
				if tt.asked {
					b.hear()
				} else {
					b.run(b.resend(t.Context(), b.track), completed)
				}
				if n := b.ses.AcceptedCount(); n != 1 {
					t.Errorf("SES has %d mails, want 1", n)
				}
			})
		}
	})
}

func TestTheProgramTakesOrdersAndSendsThem(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		b := newBed(t, url)
		var out bytes.Buffer
		if err := run(t.Context(), b.url, []string{"order", "ann@example.org"}, &out); err != nil {
			t.Fatal(err)
		}
		b.results, _ = b.client.Subscribe(completed, canceled, river.EventKindJobFailed)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- b.work(ctx, smtpclient.Config{Addr: b.ses.SMTPAddr, Username: b.ses.Username, Password: b.ses.Password, TLSConfig: b.ses.TLSConfig()}, "")
		}()
		b.await(completed)
		stop()
		if err := <-done; err != nil || b.ses.AcceptedCount() != 1 {
			t.Errorf("%d mails sent: %v", b.ses.AcceptedCount(), err)
		}
		if err := run(t.Context(), b.url, []string{"list"}, &out); err != nil || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%v, list:\n%s", err, &out)
		}
		if err := run(t.Context(), b.url, []string{"send"}, &out); err == nil {
			t.Error("an unknown command")
		}
	})
}

func TestAnInvalidMailIsRefusedBeforeItIsStored(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		b := newBed(t, url)
		if err := b.order(t.Context(), "nobody"); !errors.Is(err, seserrors.Invalid) {
			t.Errorf("an order of nobody: %v", err)
		}
		var orders, mails, jobs int
		err := b.db.QueryRow("select (select count(*) from orders), (select count(*) from mails), (select count(*) from river_job)").Scan(&orders, &mails, &jobs)
		if err != nil || orders+mails+jobs != 0 {
			t.Errorf("%d orders, %d mails, %d jobs: %v", orders, mails, jobs, err)
		}
	})
}

func TestSettle(t *testing.T) {
	m := &mailer{retry: retry.Policy{MaxElapsed: maxAge}}
	refusal := func(r seserrors.Reason) error { return &seserrors.Error{Class: r.Class(), Reason: r} }
	for _, tt := range []struct {
		name     string
		attempts int
		elapsed  time.Duration
		err      error
		state    string
		wait     time.Duration // at least; negative: canceled
	}{
		{"throttled once", 1, 0, refusal(seserrors.SendRateExceeded), "waiting", 5 * time.Second},
		{"throttled four times", 4, time.Minute, refusal(seserrors.SendRateExceeded), "waiting", 20 * time.Minute},
		{"throttled for a day", 70, 24 * time.Hour, refusal(seserrors.SendRateExceeded), "failed", -1},
		{"over the quota", 1, 0, refusal(seserrors.DailyQuotaExceeded), "waiting", 20 * time.Minute},
		{"the program ends", 1, 0, refusal(seserrors.ContextCanceled), "waiting", 0},
		{"the account is paused", 9, time.Hour, refusal(seserrors.SendingPaused), "waiting", 20 * time.Minute},
		{"the account is paused for a day", 70, 24 * time.Hour, refusal(seserrors.SendingPaused), "failed", -1},
		{"the sender is not verified", 1, 0, refusal(seserrors.IdentityNotVerified), "waiting", 20 * time.Minute},
		{"a wrong password", 1, 0, refusal(seserrors.CredentialsInvalid), "waiting", 20 * time.Minute},
		{"a virus", 1, 0, refusal(seserrors.MessageRejected), "failed", -1},
		{"in doubt", 1, 0, &seserrors.Error{Class: seserrors.Throttled, MaybeAccepted: true}, "in doubt", -1},
	} {
		o := m.settle(tt.attempts, tt.elapsed, tt.err)
		snooze, snoozed := errors.AsType[*river.JobSnoozeError](o.river)
		_, given := errors.AsType[*river.JobCancelError](o.river)
		if o.state != tt.state || given != (tt.wait < 0) || snoozed == given || snoozed && snooze.Duration < tt.wait {
			t.Errorf("%s: %s, River is told %v", tt.name, o.state, o.river)
		}
	}
}

// A bed is a mailer with a fake SES, and one mail.
type bed struct {
	*mailer
	t       *testing.T
	url     string
	ses     *sestest.Server
	track   string
	results <-chan *river.Event
}

func newBed(t *testing.T, address string) *bed {
	t.Helper()
	b := &bed{t: t, url: database(t, address), ses: sestest.NewServer()}
	t.Cleanup(b.ses.Close)
	b.ses.Account.AddConfigurationSet("orders")
	b.mailer = openFast(t, b.url)
	return b
}

// openFast opens a mailer that polls and retries faster than a real one.
func openFast(t *testing.T, url string) *mailer {
	t.Helper()
	m, err := open(t.Context(), url, testConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.db.Close() })
	m.retry.Schedule.Waits = []time.Duration{time.Millisecond}
	return m
}

var testConfig = river.Config{
	FetchCooldown: 5 * time.Millisecond, FetchPollInterval: 5 * time.Millisecond,
	TestOnly: true, Logger: slog.New(slog.DiscardHandler),
}

func (b *bed) smtp() sesguard.Transport {
	b.t.Helper()
	pool, err := smtpclient.New(smtpclient.Config{Addr: b.ses.SMTPAddr, Username: b.ses.Username, Password: b.ses.Password, TLSConfig: b.ses.TLSConfig()})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { pool.Close() })
	return sesguard.SMTP(pool)
}

func (b *bed) start(t sesguard.Transport) {
	b.t.Helper()
	b.use(t, sesguard.NewRateLimiter(1000))
	b.results, _ = b.client.Subscribe(completed, canceled, river.EventKindJobFailed)
	if err := b.client.Start(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := b.client.StopAndCancel(context.Background()); err != nil {
			b.t.Error(err)
		}
	})
}

// enqueue stores the mail.
func (b *bed) enqueue() error {
	if err := b.order(b.t.Context(), "ann@example.org"); err != nil {
		return err
	}
	return b.db.QueryRow("select track from mails").Scan(&b.track)
}

func insert(b *bed, job send) error {
	_, err := b.client.Insert(b.t.Context(), job, nil)
	return err
}

// run waits until a job that was stored, as err says, ends in that way.
func (b *bed) run(err error, end river.EventKind) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	b.await(end)
}

func (b *bed) await(end river.EventKind) {
	b.t.Helper()
	select {
	case e := <-b.results:
		if e == nil || e.Kind != end {
			b.t.Fatalf("the job ended otherwise than %s: %+v", end, e)
		}
	case <-time.After(time.Minute):
		b.t.Fatal("the job does not end")
	}
}

func (b *bed) want(state string, attempts, accepted int) {
	b.t.Helper()
	var s string
	var n int
	var content bool
	if err := b.db.QueryRow("select state, attempts, mail is not null from mails where track = $1", b.track).Scan(&s, &n, &content); err != nil {
		b.t.Fatal(err)
	}
	if s != state || n != attempts || content == (state == "sent") {
		b.t.Errorf("%s after %d attempts, content kept: %t; want %s after %d", s, n, content, state, attempts)
	}
	if n := b.ses.AcceptedCount(); n != accepted {
		b.t.Errorf("SES has %d mails, want %d", n, accepted)
	}
}

// hear tells of what SES has accepted.
func (b *bed) hear() {
	b.t.Helper()
	for _, m := range b.ses.Accepted() {
		if err := b.mailer.hear(b.t.Context(), &event.Event{Type: event.Send, MessageID: m.ID, Tags: map[string][]string{trackTag: {m.Tags[trackTag]}}}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// A job is what a worker that is to be killed is told.
type job struct {
	URL, SMTP, Username, Password string
	Certificate                   []byte
	Asked                         bool // it hangs after SES was asked, else before
}

// killAWorker starts a worker in a process of its own and kills it while it
// sends.
func (b *bed) killAWorker(asked bool) {
	b.t.Helper()
	text, err := json.Marshal(job{b.url, b.ses.SMTPAddr, b.ses.Username, b.ses.Password, b.ses.CertPEM(), asked})
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if line != "sending\n" {
		b.t.Fatalf("the worker said %q", line)
	}
}

// workAndHang is the main of a worker that is to be killed.
func workAndHang(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(j.Certificate)
	pool, err := smtpclient.New(smtpclient.Config{Addr: j.SMTP, Username: j.Username, Password: j.Password, TLSConfig: &tls.Config{RootCAs: roots}})
	if err != nil {
		return err
	}
	m, err := open(context.Background(), j.URL, testConfig)
	if err != nil {
		return err
	}
	m.use(transport(func(ctx context.Context, mail *sesguard.Mail) (*sesguard.Receipt, error) {
		if j.Asked {
			if _, err := sesguard.SMTP(pool).Attempt(ctx, mail); err != nil {
				return nil, err
			}
		}
		fmt.Println("sending")
		select {}
	}), sesguard.NewRateLimiter(1000))
	if err := m.client.Start(context.Background()); err != nil {
		return err
	}
	<-m.client.Stopped()
	return errors.New("stopped")
}

// passAnHour makes River see that the worker is dead, without the wait.
func (b *bed) passAnHour() {
	b.t.Helper()
	before := "datetime('now', '-1 hour')"
	if strings.HasPrefix(b.url, "postgres") {
		before = "now() - interval '1 hour'"
	}
	for _, text := range []string{"delete from river_leader", "update river_job set attempted_at = " + before} {
		if _, err := b.db.Exec(text); err != nil {
			b.t.Fatal(err)
		}
	}
}

type transport func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error)

func (f transport) Attempt(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
	return f(ctx, m)
}

// eachDatabase runs body on SQLite and on PostgreSQL; database makes a database
// of what it is given.
func eachDatabase(t *testing.T, body func(t *testing.T, url string)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		body(t, "")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		if postgres == "" {
			t.Skip("no PostgreSQL")
		}
		body(t, postgres)
	})
}

var databases atomic.Int64

func database(t *testing.T, address string) string {
	t.Helper()
	if address == "" {
		return filepath.Join(t.TempDir(), "shop.db")
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("river_example_%d_%d", os.Getpid(), databases.Add(1))
	if _, err := admin.ExecContext(t.Context(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin.Exec("drop database " + name + " with (force)")
		admin.Close()
	})
	u.Path = "/" + name
	return u.String()
}
