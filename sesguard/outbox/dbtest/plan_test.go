package dbtest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// scans is how the plans of both databases say that they read a whole table.
var scans = regexp.MustCompile(`Seq Scan on sesguard_(mail|content)|SCAN (m|sesguard_mail|sesguard_content)\b[^\n]*`)

// What is written for each mail must not cost more when more mails are there.
func TestMarksAndResultsUseAnIndex(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		b.enqueueMany(3000, func(_ int, e *outbox.Entry) { e.SendAt = time.Now().Add(time.Hour) })
		b.exec("analyze")
		var mu sync.Mutex
		seen := map[string]string{}
		db, err := openTapped(p, func(_ driver.Conn, query string) string {
			for _, kind := range []string{"set state = 'sending'", "other_id = case", "delete from sesguard_content"} {
				if strings.Contains(query, kind) {
					mu.Lock()
					seen[kind] = query
					mu.Unlock()
				}
			}
			return query
		})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		o, err := outbox.Open(t.Context(), db, outbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		id := b.enqueueMany(1, nil)[0]
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- o.Run(ctx, &fake{}) }()
		b.until("sent", func() bool { return b.state(id) == outbox.Sent })
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(seen) != 3 {
			t.Fatalf("%d statements, want 3", len(seen))
		}
		for kind, query := range seen {
			args := []any{`[["x", 1, "me", "sent", "", "", "", 0, 0]]`} // the rows of a batch
			if p.isSQLite() {
				args = slices.Repeat([]any{"x"}, 10) // the values of one, and the time
			}
			if plan := b.explain(p, query, args); scans.MatchString(plan) {
				t.Errorf("%s:\n%s", kind, plan)
			}
		}
	})
}

func (b *bed) explain(p place, query string, args []any) (plan string) {
	b.t.Helper()
	explain := "explain "
	if p.isSQLite() {
		explain = "explain query plan "
	}
	rows, err := b.db.Query(explain+query, args...)
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
