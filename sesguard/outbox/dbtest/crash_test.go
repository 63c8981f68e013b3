package dbtest

import (
	"context"
	stderrors "errors"
	"flag"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/sesguard/outbox/dbtest/pgtest"
)

var crashes = flag.Int("crashes", 3, "of PostgreSQL while mails flow")

// The server is stopped at once and started again, and one of its processes is
// killed. The outbox lives: nothing is in doubt when all is over.
func TestMailsFlowAgainAfterPostgresCrashed(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start("fsync=off")
	if stderrors.Is(err, pgtest.ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			p := placeOn(t, server.URL, driver)
			synctest.Test(t, func(t *testing.T) { crash(t, server, p) })
		})
	}
}

func crash(t *testing.T, server *pgtest.Server, p place) {
	b, box := newBed(t, p, outbox.Options{}), newBed(t, p, outbox.Options{Concurrency: 20})
	b.db.SetMaxIdleConns(50)
	box.db.SetMaxIdleConns(50)
	parts := *crashes + 2
	mails := 250 * parts
	ids := b.enqueueMany(mails, nil)
	// Fake time stands still while mails flow, so nobody could wait for them with it.
	progress := make(chan int)
	transport := func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		select {
		case progress <- b.ses.count():
		default:
		}
		return b.marked(ctx, m)
	}
	defer box.startWith(transport)()
	defer box.startWith(transport)()
	for n := 1; n < parts; n++ {
		for <-progress < n*mails/parts {
		}
		if n == parts-1 {
			b.killBackend()
			continue
		}
		if err := server.Crash(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Enqueue(t.Context(), outbox.Entry{Message: message(1)}); err == nil {
			t.Error("Enqueue without a database returns no error")
		}
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	b.until("the database", func() bool {
		b.db.SetMaxIdleConns(0) // closes those of a server that is gone
		b.db.SetMaxIdleConns(2)
		return b.db.Ping() == nil
	})
	b.sent(mails)
	b.once(ids)
}

// killBackend kills the process of PostgreSQL that serves some connection of the
// outbox; the server then restarts all of them.
func (b *bed) killBackend() {
	b.t.Helper()
	pid := 0
	b.until("a connection", func() bool {
		return b.db.QueryRow(`select pid from pg_stat_activity where datname = current_database()
			and pid <> pg_backend_pid() and backend_type = 'client backend' limit 1`).Scan(&pid) == nil
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		b.t.Fatal(err)
	}
	b.db.Exec("select pg_sleep(60)") // the restart ends it
}
