package dbtest

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// scans is how the plans of both databases say that they read a whole table.
var scans = regexp.MustCompile(`Seq Scan on sesguard_(mail|content)|SCAN (m|sesguard_mail|sesguard_content)\b[^\n]*`)

// What is written for each mail must not cost more when more mails are there.
func TestMarksAndResultsUseAnIndex(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		var mu sync.Mutex
		seen := map[string]string{}
		b := newTappedBed(t, p, outbox.Options{}, tap{statement: func(_ driver.Conn, query string) string {
			for _, kind := range []string{"set state = 'sending'", "other_id = case", "delete from sesguard_content"} {
				if strings.Contains(query, kind) {
					mu.Lock()
					seen[kind] = query
					mu.Unlock()
				}
			}
			return query
		}})
		b.enqueueMany(3000, func(_ int, e *outbox.Entry) { e.SendAt = time.Now().Add(time.Hour) })
		b.exec("analyze")
		id := b.enqueueMany(1, nil)[0]
		stop := b.start()
		b.until("sent", func() bool { return b.state(id) == outbox.Sent })
		stop()
		if len(seen) != 3 {
			t.Fatalf("%d statements, want 3", len(seen))
		}
		for kind, query := range seen {
			args := []any{`[["x", 1, "me", "sent", "", "", "", 0, 0]]`} // the rows of a batch
			if p.isSQLite() {
				args = slices.Repeat([]any{"x"}, 10) // the values of one, and the time
			}
			if plan := b.explain(b.db, p, query, args); scans.MatchString(plan) {
				t.Errorf("%s:\n%s", kind, plan)
			}
		}
	})
}

// A bulk load meets the statistics of a drained queue: hardly anything waits. The
// claim keeps its limit and its index, also in the plan that runs a subselect
// once for each row.
func TestClaimKeepsItsLimitAndItsIndexAfterABulkLoad(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		if p.driver == "postgres" {
			t.Skip("the plan is the server's, whatever the driver")
		}
		b, claim := loaded(t, p, 100_000)
		for _, nested := range []bool{false, true} {
			if fault := b.claimOf20(p, claim, nested); fault != "" {
				t.Errorf("nested loops %t: %s", nested, fault)
			}
		}
	})
}

// loaded is a bed whose table was drained and analyzed before it got mails, and
// the statement that claims them.
func loaded(t *testing.T, p place, mails int) (b *bed, claim string) {
	t.Helper()
	var seen atomic.Value
	b = newTappedBed(t, p, outbox.Options{}, tap{statement: func(_ driver.Conn, query string) string {
		if isClaim(query) {
			seen.Store(query)
		}
		return query
	}})
	b.enqueueMany(500, nil)
	stop := b.start()
	b.until("the drain", func() bool { return b.stats().N(outbox.Sent) == 500 })
	stop()
	b.exec("analyze")
	model := b.enqueueMany(1, func(_ int, e *outbox.Entry) { e.SendAt = time.Now().Add(time.Hour) })[0]
	b.exec(fmt.Sprintf(`insert into sesguard_mail (id, track, key, lane, grp, tenant, sender, cset, priority, state, recipients, size, created, due, expires, changed)
		with recursive n(i) as (select 1 union all select i + 1 from n where i < %d)
		select 'x' || i, track, key, lane, grp, tenant, sender, cset, priority, state, recipients, size, created, i, expires, changed from sesguard_mail, n where id = '%s'`, mails, model))
	return b, seen.Load().(string)
}

// claimOf20 runs a claim of 20 and tells what is wrong with it.
func (b *bed) claimOf20(p place, claim string, nested bool) (fault string) {
	b.t.Helper()
	tx, err := b.db.Begin()
	if err != nil {
		b.t.Fatal(err)
	}
	defer tx.Rollback()
	if nested && !p.isSQLite() {
		for _, way := range []string{"hashagg", "sort", "hashjoin", "mergejoin"} {
			if _, err := tx.Exec("set local enable_" + way + " = off"); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	args := []any{1, "", 20, "me"}
	if err := tx.QueryRow("select min(lane) from sesguard_mail").Scan(&args[1]); err != nil {
		b.t.Fatal(err)
	}
	if p.isSQLite() {
		args = append(args, time.Now().UnixMicro())
	}
	plan := b.explain(tx, p, claim, args)
	rows, err := tx.Query(claim, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	claimed := 0
	for rows.Next() {
		claimed++
	}
	if rows.Err() != nil || claimed != 20 || !strings.Contains(plan, "sesguard_mail_due") || scans.MatchString(plan) {
		return fmt.Sprintf("%d claimed, want 20, %v; the plan:\n%s", claimed, rows.Err(), plan)
	}
	return ""
}

func (b *bed) explain(x interface {
	Query(query string, args ...any) (*sql.Rows, error)
}, p place, query string, args []any) (plan string) {
	b.t.Helper()
	explain := "explain "
	if p.isSQLite() {
		explain = "explain query plan "
	}
	rows, err := x.Query(explain+query, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(sql.RawBytes)
		}
		rows.Scan(values...)
		plan += string(*values[len(values)-1].(*sql.RawBytes)) + "\n"
	}
	return plan
}
