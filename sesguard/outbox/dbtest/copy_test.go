package dbtest

import (
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

func TestRunRefusesTheDatabaseOfAnother(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		newBed(t, p, outbox.Options{Name: "production"})
		staging := newBed(t, p, outbox.Options{Name: "staging"})
		if err := staging.Run(t.Context(), staging.ses); err == nil || !strings.Contains(err.Error(), "production") {
			t.Errorf("staging runs it: %v", err)
		}
	})
}

// A backup was taken while mails waited and one was being sent. The original has
// sent them all when the copy comes to life.
func TestACopySendsNothingTwice(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("AllowDuplicates %t", again), func(t *testing.T) {
			eachCopy(t, func(t *testing.T, p place, duplicate func() place) {
				copyAndAdopt(t, p, duplicate, outbox.Options{Retry: retry.Policy{AllowDuplicates: again}})
			})
		})
	}
}

func copyAndAdopt(t *testing.T, p place, duplicate func() place, opts outbox.Options) {
	original := newBed(t, p, opts)
	original.db.SetMaxIdleConns(0) // a connection would keep PostgreSQL from copying it
	ids := original.enqueueMany(20, nil)
	original.exec("update sesguard_mail set state = 'sending', owner = 'lost', attempts = 1 where id = '" + ids[0] + "'")
	q := duplicate()
	original.exec("update sesguard_mail set state = 'waiting', owner = ''")
	stop := original.start()
	original.until("sent", func() bool { return original.stats().N(outbox.Sent) == 20 })
	stop()

	b := newBed(t, q, opts)
	if err := b.Run(ctxFor(t, 5*time.Second), b.ses); err == nil || !strings.Contains(err.Error(), "Adopt") {
		t.Errorf("a copy runs: %v", err)
	}
	if err := b.Adopt(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	fresh := b.enqueueMany(1, nil)[0]
	stop = b.start()
	b.until("sent", func() bool { return b.state(fresh) == outbox.Sent })
	stop()
	if s := b.stats(); b.ses.count() != 1 || s.N(outbox.InDoubt) != 20 {
		t.Errorf("the copy sends %d old mails, %d are in doubt", b.ses.count()-1, s.N(outbox.InDoubt))
	}
}

func TestACopySendsWhatItIsToldTo(t *testing.T) {
	t.Parallel()
	eachCopy(t, func(t *testing.T, p place, duplicate func() place) {
		original := newBed(t, p, outbox.Options{})
		original.db.SetMaxIdleConns(0)
		original.enqueueMany(20, nil)
		b := newBed(t, duplicate(), outbox.Options{})
		if err := b.Adopt(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		defer b.start()()
		b.until("sent", func() bool { return b.stats().N(outbox.Sent) == 20 })
	})
}

// SES told of the mails while the copy lay in a drawer: the silence since then is
// no evidence, however well the events of the neighbours come.
func TestResolveLeavesTheDoubtsOfACopyAlone(t *testing.T) {
	t.Parallel()
	opts := outbox.Options{ResendUnseen: time.Minute, Poll: time.Second}
	inFakeTime(t, opts, func(t *testing.T, b *bed) {
		set := func(_ int, e *outbox.Entry) { e.Message.ConfigurationSet = "orders" }
		old := b.enqueueMany(3, set)
		if err := b.Adopt(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		defer b.start()()
		for range 3 {
			for _, id := range b.enqueueMany(5, set) {
				time.Sleep(2 * time.Second)
				if err := b.Settle(t.Context(), id, b.get(id).MessageID, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Hour)
		for _, id := range old {
			if s := b.state(id); s != outbox.InDoubt {
				t.Errorf("%s", s)
			}
		}
		if err := b.Retry(t.Context(), old[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if s := b.state(old[0]); s != outbox.Sent {
			t.Errorf("after Retry: %s", s)
		}
	})
}

// eachCopy runs body with each way in which a database is copied.
func eachCopy(t *testing.T, body func(t *testing.T, p place, duplicate func() place)) {
	t.Run("a copied file", func(t *testing.T) {
		p := sqlitePlace(t)
		body(t, p, func() place {
			q := sqlitePlace(t)
			file, _, _ := strings.Cut(strings.TrimPrefix(q.source, "file:"), "?")
			if _, err := p.open(t).Exec("vacuum into '" + file + "'"); err != nil {
				t.Fatal(err)
			}
			return q
		})
	})
	t.Run("a restored dump", func(t *testing.T) {
		p := postgresPlace(t, "pgx")
		if _, err := exec.LookPath("pg_dump"); err != nil {
			t.Skip("no pg_dump")
		}
		body(t, p, func() place {
			q := postgresPlace(t, "pgx")
			dump, err := exec.Command("pg_dump", p.source).Output()
			if err != nil {
				t.Fatal(err)
			}
			restore := exec.Command("psql", "-q", "-v", "ON_ERROR_STOP=1", q.source)
			restore.Stdin = strings.NewReader(string(dump))
			if out, err := restore.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return q
		})
	})
	t.Run("a copied database", func(t *testing.T) {
		p := postgresPlace(t, "pgx")
		body(t, p, func() place {
			q := postgresPlace(t, "pgx")
			admin := place{"pgx", postgresURL}.open(t)
			from, _ := url.Parse(p.source)
			to, _ := url.Parse(q.source)
			for _, text := range []string{
				"drop database " + to.Path[1:],
				"create database " + to.Path[1:] + " template " + from.Path[1:],
			} {
				if _, err := admin.Exec(text); err != nil {
					t.Fatal(err)
				}
			}
			return q
		})
	})
}
