package dbtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

var (
	killMails = flag.Int("mails", 300, "mails of each kill test")
	long      = flag.Bool("long", false, "every driver and case of the kill tests")
	kills     = flag.Int("kills", 8, "kills of each kill test")
	cuts      = flag.Int("cuts", 60, "commits that get no answer in each test of that")
	seed      = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
)

// jobVariable makes a copy of this test binary a worker.
const jobVariable = "SESGUARD_OUTBOX_JOB"

// A job is what a worker is told.
type job struct {
	Driver, Source           string
	SMTP, Username, Password string
	Certificate              []byte
	Fault                    string        // how it is broken; empty: not at all
	Rate                     float64       // of a shared limiter; 0: none
	ResendUnseen             time.Duration // see outbox.Options
}

// work is the worker's main.
func work(text string) int {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		fmt.Println(err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := j.run(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func (j job) run(ctx context.Context) error {
	db, err := sql.Open(j.Driver, j.Source)
	if j.Fault == "no mark" || j.Fault == "mark after the call" {
		db, err = openTapped(place{j.Driver, j.Source}, tap{statement: withoutMark})
	}
	if err != nil {
		return err
	}
	defer db.Close()
	opts := outbox.Options{Poll: 20 * time.Millisecond, ResendUnseen: j.ResendUnseen, Retry: retry.Policy{AllowDuplicates: j.Fault == "resend"}}
	if j.Rate > 0 {
		opts.Limiter = outbox.NewLimiter(db, outbox.LimiterOptions{PerSecond: j.Rate})
	}
	box, err := outbox.Open(ctx, db, opts)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(j.Certificate)
	pool, err := smtpclient.New(smtpclient.Config{Addr: j.SMTP, Username: j.Username, Password: j.Password, TLSConfig: &tls.Config{RootCAs: roots}})
	if err != nil {
		return err
	}
	defer pool.Close()
	transport := sesguard.SMTP(pool)
	if j.Fault == "mark after the call" {
		transport = markAfter(db, transport)
	}
	return box.Run(ctx, transport)
}

// A worker is a process that runs an outbox.
type worker struct {
	cmd *exec.Cmd
	id  string // its row in the table of processes
}

// A farm is workers on one database with an oracle.
type farm struct {
	*bed
	oracle  *sestest.Server
	job     job
	random  *rand.Rand
	workers []*worker
}

func newFarm(t *testing.T, p place) *farm {
	t.Helper()
	oracle := sestest.NewServer()
	t.Cleanup(oracle.Close)
	oracle.Account.AddConfigurationSet("orders")
	f := &farm{bed: newBed(t, p, outbox.Options{}), oracle: oracle, random: rand.New(rand.NewPCG(*seed, 1))}
	t.Logf("-seed %d", *seed)
	f.job = job{
		Driver: p.driver, Source: p.source, Certificate: oracle.CertPEM(),
		SMTP: oracle.SMTPAddr, Username: oracle.Username, Password: oracle.Password,
	}
	t.Cleanup(func() {
		for _, w := range f.workers {
			w.cmd.Process.Kill()
			w.cmd.Wait()
		}
	})
	return f
}

// hire starts a worker and waits for its row.
func (f *farm) hire() *worker {
	f.t.Helper()
	before := f.processes()
	text, err := json.Marshal(f.job)
	if err != nil {
		f.t.Fatal(err)
	}
	w := &worker{cmd: exec.Command(os.Args[0])}
	w.cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	w.cmd.Stderr, w.cmd.Stdout = os.Stderr, os.Stderr
	if err := w.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.workers = append(f.workers, w)
	f.until("a worker's first sign of life", func() bool {
		for _, id := range f.processes() {
			if !slices.Contains(before, id) {
				w.id = id
				return true
			}
		}
		return false
	})
	return w
}

func (f *farm) processes() (ids []string) {
	f.t.Helper()
	rows, err := f.db.Query("select id from sesguard_process")
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			f.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// kill kills a worker and lets its lease be over.
func (f *farm) kill(w *worker) {
	f.t.Helper()
	w.cmd.Process.Kill()
	w.cmd.Wait()
	f.workers = slices.DeleteFunc(f.workers, func(o *worker) bool { return o == w })
	_, err := f.db.Exec("update sesguard_process set alive = 0 where id = '" + w.id + "'")
	if err != nil {
		f.t.Fatal(err)
	}
}

// terminate ends all workers as a deployment does.
func (f *farm) terminate() {
	f.t.Helper()
	for _, w := range f.workers {
		w.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, w := range f.workers {
		if err := w.cmd.Wait(); err != nil {
			f.t.Errorf("worker: %v", err)
		}
	}
	f.workers = nil
}

// A verdict is what the oracle says of the mails after chaos.
type verdict struct{ lost, doubled, doubts int }

// judge compares the records with what the oracle accepted.
func (f *farm) judge(ids []string) (v verdict) {
	f.t.Helper()
	accepted := map[string]int{}
	for _, m := range f.oracle.Accepted() {
		accepted[m.Tags[outbox.TrackTag]]++
	}
	for _, id := range ids {
		r := f.get(id)
		n := accepted[r.TrackID]
		switch {
		case n > 1:
			v.doubled++
		case r.State == outbox.InDoubt:
			v.doubts++
		case n == 0 || r.State != outbox.Sent:
			v.lost++
		}
	}
	return v
}

// chaos sends mails with workers that are killed at random.
func (f *farm) chaos(mails, kills, processes int) (ids []string) {
	f.t.Helper()
	begin := f.oracle.AcceptedCount()
	ids = f.enqueueMany(mails, func(_ int, e *outbox.Entry) { e.Message.ConfigurationSet = "orders" })
	for range processes {
		f.hire()
	}
	for k := range kills {
		goal := (k + 1) * mails * 4 / 5 / (kills + 1)
		goal += f.random.IntN(mails/10 + 1)
		f.until("progress", func() bool { return f.oracle.AcceptedCount()-begin >= min(goal, mails-20) })
		f.kill(f.workers[f.random.IntN(len(f.workers))])
		f.hire()
	}
	f.until("the end", func() bool {
		s := f.stats()
		return s.N(outbox.Waiting)+s.N(outbox.Sending) == 0
	})
	return ids
}

const inFlight = 10 // of each worker: the default Concurrency

func TestKillLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		processes int
		rate      float64
		long      bool
	}{
		{"one process", 1, 0, false},
		{"three processes", 3, 0, false},
		{"one process behind a limiter", 1, 200, true},
		{"three processes behind a limiter", 3, 200, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long && !*long {
				t.Skip("without -long")
			}
			eachDatabase(t, func(t *testing.T, p place) {
				if p.driver == "postgres" && !*long {
					t.Skip("pgx stands for both drivers, without -long")
				}
				f := newFarm(t, p)
				f.job.Rate = c.rate
				ids := f.chaos(*killMails, *kills, c.processes)
				v := f.judge(ids)
				t.Logf("%+v", v)
				if v.lost > 0 || v.doubled > 0 || v.doubts > *kills*inFlight {
					t.Errorf("%+v", v)
				}
				f.settleDoubts(ids)
			})
		})
	}
}

// settleDoubts gives the outbox the oracle's list as SES's events, and lets the
// grace be over: then each mail was accepted exactly once.
func (f *farm) settleDoubts(ids []string) {
	f.t.Helper()
	witnesses := f.enqueueMany(5, func(_ int, e *outbox.Entry) { e.Message.ConfigurationSet = "orders" })
	ids = append(ids, witnesses...)
	f.until("witnesses", func() bool { return f.stats().N(outbox.Waiting)+f.stats().N(outbox.Sending) == 0 })
	f.terminate()
	for _, m := range f.oracle.Accepted() {
		if err := f.Settle(f.t.Context(), m.Tags[outbox.TrackTag], m.ID, m.Time); err != nil {
			f.t.Fatal(err)
		}
	}
	f.exec("update sesguard_mail set changed = changed - 3600000000")
	f.job.ResendUnseen = time.Minute
	f.hire()
	f.until("all sent", func() bool { return f.stats().N(outbox.Sent) == len(ids) })
	f.terminate()
	if v := f.judge(ids); v != (verdict{}) {
		f.t.Errorf("after Resolve: %+v", v)
	}
}

func TestTerminationLeavesNothingInDoubt(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, p place) {
		f := newFarm(t, p)
		ids := f.enqueueMany(200, nil)
		for range 4 {
			goal := f.oracle.AcceptedCount() + 30
			f.hire()
			f.until("progress", func() bool { return f.oracle.AcceptedCount() >= goal })
			f.terminate()
			s := f.stats()
			if s.N(outbox.Sending)+s.N(outbox.InDoubt) > 0 || len(s.Processes) > 0 {
				t.Errorf("left behind: %+v", s)
			}
			if n := f.number("select count(*) from sesguard_mail where owner <> ''"); n > 0 {
				t.Errorf("%d mails are still claimed", n)
			}
		}
		f.hire()
		f.until("the end", func() bool { return f.stats().N(outbox.Sent) == len(ids) })
		f.terminate()
		if v := f.judge(ids); v != (verdict{}) {
			t.Errorf("%+v", v)
		}
	})
}

// A process that was stopped for longer than its lease wakes up among mails that
// are not its own any more.
func TestAStoppedProcessDoublesNothing(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, p place) {
		f := newFarm(t, p)
		ids := f.enqueueMany(*killMails, nil)
		stopped := f.hire()
		f.until("progress", func() bool { return f.oracle.AcceptedCount() >= *killMails/6 })
		stopped.cmd.Process.Signal(syscall.SIGSTOP)
		if p.isSQLite() && f.lockedBy(stopped) {
			return // with SQLite's lock nobody else can write: nothing to see
		}
		f.exec("update sesguard_process set alive = 0 where id = '" + stopped.id + "'")
		f.hire()
		f.until("progress of the other", func() bool { return f.oracle.AcceptedCount() >= *killMails/2 })
		stopped.cmd.Process.Signal(syscall.SIGCONT)
		f.until("the end", func() bool {
			s := f.stats()
			return s.N(outbox.Waiting)+s.N(outbox.Sending) == 0
		})
		f.terminate()
		if v := f.judge(ids); v.lost > 0 || v.doubled > 0 || v.doubts > inFlight {
			t.Errorf("%+v", v)
		}
	})
}

// lockedBy reports whether a stopped process holds SQLite's lock. It goes on
// then, and is stopped elsewhere.
func (f *farm) lockedBy(w *worker) bool {
	for range 20 {
		ctx, cancel := context.WithTimeout(f.t.Context(), 100*time.Millisecond)
		_, err := f.db.ExecContext(ctx, "update sesguard_process set host = host")
		cancel()
		if err == nil {
			return false
		}
		w.cmd.Process.Signal(syscall.SIGCONT)
		w.cmd.Process.Signal(syscall.SIGSTOP)
	}
	return true
}

// The kill test must be able to fail.
func TestProofCanFail(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"no mark", "mark after the call", "resend"} {
		t.Run(fault, func(t *testing.T) {
			f := newFarm(t, sqlitePlace(t))
			f.job.Fault = fault
			doubled := 0
			for try := 0; try < 20 && doubled == 0; try++ {
				doubled += f.judge(f.chaos(*killMails, *kills, 1)).doubled
				f.terminate()
			}
			if doubled == 0 {
				t.Errorf("an outbox with the fault %q passes", fault)
			}
		})
	}
	t.Run("synchronous=OFF", func(t *testing.T) {
		random, found := rand.New(rand.NewPCG(*seed, 5)), verdict{}
		for try := 0; try < 100 && (found.lost == 0 || found.doubled == 0); try++ {
			v := powerCut(t, random, true)
			found.lost, found.doubled = found.lost+v.lost, found.doubled+v.doubled
		}
		if found.lost == 0 || found.doubled == 0 {
			t.Errorf("power cuts do too little to an outbox that waits for no disk: %+v", found)
		}
	})
	t.Run("a claim by in (… limit)", func(t *testing.T) {
		p := postgresPlace(t, "pgx")
		b, claim := loaded(t, p, 2000)
		if b.claimOf20(p, plainClaim(claim), true) == "" {
			t.Error("a claim that ignores its limit passes")
		}
	})
}
