package dbtest

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// Any number of runs of one mail is harmless: at each step of the machine one Run
// is stopped, or two take it at once. PostgreSQL lets both in; on SQLite one
// writer waits for the other.

// steps are the statements of the machine, in the order of a mail's life.
var steps = []struct {
	name string
	is   func(query string) bool
}{
	{"sign of life", func(q string) bool { return strings.HasPrefix(q, "insert into sesguard_process") }},
	{"sweep of claims", func(q string) bool {
		return strings.HasPrefix(q, "update sesguard_mail set owner = ''") && strings.Contains(q, "not exists")
	}},
	{"sweep of attempts", func(q string) bool {
		return strings.Contains(q, "where state = 'sending'") && strings.Contains(q, "not exists")
	}},
	{"expiry", func(q string) bool { return strings.HasPrefix(q, "update sesguard_mail set state = 'expired'") }},
	{"retention", func(q string) bool { return strings.HasPrefix(q, "delete from sesguard_mail") }},
	{"claim", isClaim},
	{"mark", isMark},
	{"result", isResult},
	{"audit", func(q string) bool { return strings.HasPrefix(q, "select id, claim") }},
}

// A Run is stopped before a step until it is thought dead and another one has done
// everything; then it goes on as if nothing had been.
func TestAStopBeforeAnyStepIsHarmless(t *testing.T) {
	t.Parallel()
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			p := postgresPlace(t, "pgx")
			synctest.Test(t, func(t *testing.T) {
				stopped, goOn := make(chan bool), make(chan bool)
				var once sync.Once
				a := newTappedBed(t, p, outbox.Options{}, tap{statement: func(_ driver.Conn, query string) string {
					if step.is(query) {
						once.Do(func() { close(stopped) })
					}
					// Between transactions, so that it holds no lock that the other waits for.
					if query == "begin" || step.is(query) {
						select {
						case <-stopped:
							<-goOn
						default:
						}
					}
					return query
				}})
				b := newBed(t, p, outbox.Options{})
				b.ses = a.ses
				ids := b.enqueueMany(1, nil)
				b.exec("insert into sesguard_mail select 'old', 'old', key, lane, grp, tenant, sender, cset, priority, 'failed', owner, claim, attempts, recipients, size, created, due, expires, 1 from sesguard_mail")
				stopA := a.startWith(b.marked)
				<-stopped
				b.exec("update sesguard_process set alive = 0")
				stopB := b.startWith(b.marked)
				time.Sleep(5 * time.Second) // less than the statement's own time limit
				close(goOn)
				time.Sleep(20 * time.Second)
				stopA()
				stopB()
				b.once(ids)
			})
		})
	}
}

// Both take the same step at the same time.
func TestTwoRunsTakeEachStepAtOnce(t *testing.T) {
	t.Parallel()
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			p := postgresPlace(t, "pgx")
			synctest.Test(t, func(t *testing.T) { together(t, p, step.is) })
		})
	}
}

func together(t *testing.T, p place, is func(query string) bool) {
	var mu sync.Mutex
	reported := map[string]int{}
	opts := outbox.Options{OnChange: func(c outbox.Change) {
		mu.Lock()
		defer mu.Unlock()
		reported[fmt.Sprintf("%s: %s > %s", c.ID, c.From, c.To)]++
	}}
	b := newBed(t, p, outbox.Options{})
	ids := b.enqueueMany(4, nil)
	b.exec("update sesguard_mail set owner = 'lost' where id in ($1, $2)", ids[0], ids[1])
	b.exec("update sesguard_mail set state = 'sending', attempts = 1 where id = $1", ids[1])
	b.exec("update sesguard_mail set expires = 1 where id = $1", ids[2])
	b.exec("update sesguard_mail set state = 'failed', changed = 1 where id = $1", ids[3])
	ids = append(ids, b.enqueueMany(8, nil)...)

	var arrived atomic.Int64
	both := make(chan bool)
	meet := func() tap {
		var once sync.Once
		return tap{statement: func(_ driver.Conn, query string) string {
			if is(query) {
				once.Do(func() {
					if arrived.Add(1) == 2 {
						close(both)
					}
					select {
					case <-both:
					case <-time.After(5 * time.Second): // the other has nothing to do
					}
				})
			}
			return query
		}}
	}
	for range 2 {
		run := newTappedBed(t, p, opts, meet())
		run.ses = b.ses
		defer run.startWith(b.marked)()
	}
	time.Sleep(20 * time.Second)
	for i, id := range ids {
		want := outbox.Sent
		switch i {
		case 1:
			want = outbox.InDoubt
		case 2:
			want = outbox.Expired
		case 3:
			if _, err := b.Get(t.Context(), id); err != outbox.ErrNotFound {
				t.Errorf("a record whose time is over: %v", err)
			}
			continue
		}
		if r := b.get(id); r.State != want {
			t.Errorf("mail %d is %s, want %s", i, r.State, want)
		}
	}
	if n := len(b.ses.tries()); n != 9 {
		t.Errorf("%d attempts, want 9", n)
	}
	mu.Lock()
	defer mu.Unlock()
	for change, n := range reported {
		if n != 1 {
			t.Errorf("%q is reported %d times", change, n)
		}
	}
}
