package dbtest

import (
	"sync"
	"testing"

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
