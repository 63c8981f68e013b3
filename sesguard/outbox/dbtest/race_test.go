package dbtest

import (
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// Two that meet at one mail. On SQLite one writer waits for the other, so only
// PostgreSQL, where the second reads what the first has not committed yet, can be
// wrong here.

// failed is a mail that SES refused.
func (b *bed) failed() (id string) {
	b.t.Helper()
	b.ses.answers(func(*sesguard.Mail) error { return refusal(seserrors.MessageRejected) })
	id = b.enqueueMany(1, nil)[0]
	stop := b.start()
	b.until("failed", func() bool { return b.state(id) == outbox.Failed })
	stop()
	b.ses.answers(nil)
	return id
}

// during runs f while a transaction has run statements that it commits only when f
// waits for it, or has not.
func (b *bed) during(f func() error, statements ...string) (err error) {
	b.t.Helper()
	tx, err := b.db.Begin()
	if err != nil {
		b.t.Fatal(err)
	}
	defer tx.Rollback()
	for _, s := range statements {
		if _, err := tx.Exec(s); err != nil {
			b.t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	waits := func() bool {
		return b.number("select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") > 0
	}
	b.until("the end or a lock", func() bool { return len(done) > 0 || waits() })
	if err := tx.Commit(); err != nil {
		b.t.Fatal(err)
	}
	return <-done
}

const (
	retryOf = "update sesguard_mail set state = 'waiting', changed = changed + 1 where id = '"
	lockOf  = "select 1 from sesguard_mail where id = '"
	eraseOf = "delete from sesguard_content where id = '"
)

func TestEraseAndRetryDoNotBothHappen(t *testing.T) {
	eachDriver(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		id := b.failed()
		err := b.during(func() error { return b.Erase(t.Context(), id) }, lockOf+id+"' for update", retryOf+id+"'")
		if _, gone := b.Mail(t.Context(), id); err != outbox.ErrState || gone != nil {
			t.Errorf("Erase during Retry: %v; the content of the waiting mail: %v", err, gone)
		}
		id = b.failed()
		err = b.during(func() error { return b.Retry(t.Context(), id) }, lockOf+id+"' for update", eraseOf+id+"'")
		if s := b.state(id); err != outbox.ErrErased || s != outbox.Failed {
			t.Errorf("Retry during Erase: %v; the mail without content is %s", err, s)
		}
	})
}

// The record's time is over, and a person sends the mail after all.
func TestRetentionSparesWhatIsSentAfterAll(t *testing.T) {
	eachDriver(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{Retention: time.Hour})
		id := b.failed()
		b.exec("update sesguard_mail set changed = 1")
		var stop func()
		err := b.during(func() error {
			stop = b.start()
			for {
				if r, err := b.Get(t.Context(), id); err != nil || r.State == outbox.Sent {
					return err
				}
				time.Sleep(10 * time.Millisecond)
			}
		}, lockOf+id+"' for update", retryOf+id+"'")
		if err != nil {
			t.Error(err)
		}
		stop()
		if n := b.ses.count(); n != 1 {
			t.Errorf("%d sent, want 1", n)
		}
	})
}
