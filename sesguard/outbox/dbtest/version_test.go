package dbtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

func TestOpenMigratesOnceAndRefusesNewerTables(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		if _, err := outbox.Open(t.Context(), p.open(t), outbox.Options{NoMigrate: true}); err == nil {
			t.Error("Open with NoMigrate finds tables in an empty database")
		}
		var all sync.WaitGroup
		for range 4 {
			db := p.open(t)
			all.Go(func() {
				if _, err := outbox.Open(t.Context(), db, outbox.Options{}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		b := newBed(t, p, outbox.Options{NoMigrate: true})
		b.exec("update sesguard_schema set version = 99")
		newBed(t, p, outbox.Options{})
		b.exec("update sesguard_schema set min_reader = 99")
		if _, err := outbox.Open(t.Context(), p.open(t), outbox.Options{}); err == nil {
			t.Error("Open takes tables that only a newer program understands")
		}
	})
}

// newer is what the migration of a newer version does: it adds.
func (b *bed) newer(reader int) {
	b.t.Helper()
	tx, err := b.db.Begin()
	if err != nil {
		b.t.Fatal(err)
	}
	defer tx.Rollback()
	for _, text := range []string{
		"alter table sesguard_mail add column note text not null default ''",
		"alter table sesguard_process add column version bigint not null default 1",
		"create index sesguard_mail_note on sesguard_mail (note) where note <> ''",
		"create table sesguard_notes (id text primary key)",
		fmt.Sprintf("update sesguard_schema set version = version + 1, min_reader = %d", reader),
	} {
		if _, err := tx.Exec(text); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.t.Fatal(err)
	}
}

// A deployment replaces one program after the other. The first of the new version
// migrates while the old ones send.
func TestTwoVersionsWorkSideBySide(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{Poll: 10 * time.Millisecond})
		ids := b.enqueueMany(100, nil)
		half := make(chan bool, 1)
		old := b.startWith(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
			if b.ses.count() >= 20 {
				select {
				case half <- true:
				default:
				}
			}
			return b.marked(ctx, m)
		})
		<-half
		b.newer(1)
		young := newBed(t, p, outbox.Options{})
		young.ses = b.ses
		other := young.startWith(b.marked)
		ids = append(ids, b.enqueueMany(50, nil)...)
		ids = append(ids, young.enqueueMany(50, nil)...)
		b.until("sent", func() bool { return b.stats().N(outbox.Sent) == len(ids) })
		old()
		other()
		b.once(ids)
	})
}

// One day the older version does not understand what the newer writes.
func TestTheOlderVersionRefusesWithTheReason(t *testing.T) {
	inFakeTime(t, outbox.Options{}, func(t *testing.T, b *bed) {
		done := make(chan error, 1)
		go func() { done <- b.Run(t.Context(), b.ses) }()
		time.Sleep(time.Second)
		b.newer(2)
		time.Sleep(15 * time.Second)
		const reason = "need a program of version 2"
		if len(done) == 0 {
			t.Fatal("it goes on")
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("Run that was there already: %v", err)
		}
		if n := len(b.stats().Processes); n > 0 {
			t.Errorf("%d processes are left", n)
		}
		if err := b.Run(t.Context(), b.ses); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("Run: %v", err)
		}
		if _, err := outbox.Open(t.Context(), b.db, outbox.Options{}); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("Open: %v", err)
		}
		b.exec("update sesguard_schema set version = 0")
		_, err := outbox.Open(t.Context(), b.db, outbox.Options{NoMigrate: true})
		if err == nil || !strings.Contains(err.Error(), "version 0, version 1 is needed") {
			t.Errorf("Open on the tables of the version before: %v", err)
		}
	})
}
