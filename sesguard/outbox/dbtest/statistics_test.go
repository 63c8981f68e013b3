package dbtest

import (
	"database/sql/driver"
	"sync/atomic"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// A new queue is loaded before PostgreSQL has ever analyzed its table. All that
// waits must not be read for each claim.
func TestClaimKeepsItsIndexWithoutStatistics(t *testing.T) {
	p := postgresPlace(t, "pgx")
	var claim atomic.Value
	b := newTappedBed(t, p, outbox.Options{}, tap{statement: func(_ driver.Conn, query string) string {
		if isClaim(query) {
			claim.Store(query)
		}
		return query
	}})
	b.exec("alter table sesguard_mail set (autovacuum_enabled = off)")
	id := b.enqueueMany(1, nil)[0]
	stop := b.start()
	b.until("sent", func() bool { return b.state(id) == outbox.Sent })
	stop()
	model := b.enqueueMany(1, nil)[0]
	b.exec(`insert into sesguard_mail (id, track, key, lane, grp, tenant, sender, cset, priority, state, recipients, size, created, due, expires, changed)
		select 'x' || i, track, key, lane, grp, tenant, sender, cset, priority, state, recipients, size, created, due + i, expires + i, changed
		from sesguard_mail, generate_series(1, 30000) as n(i) where id = $1`, model)
	if fault := b.claimOf20(p, claim.Load().(string), false); fault != "" {
		t.Error(fault)
	}
}
