package dbtest

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// What a process does that is alive and was thought dead, because it was stopped
// or its signs of life did not get through.

// limiterFunc is a Limiter that only waits.
type limiterFunc func(ctx context.Context) error

func (f limiterFunc) WaitN(ctx context.Context, _ int) error { return f(ctx) }

func (f limiterFunc) Observe(context.Context, int, error) {}

// The mail comes back to the process that still waits with the old claim: only
// one send is under way, and the audit does not take the mark from it.
func TestAClaimThatComesBackIsSentOnce(t *testing.T) {
	for _, slow := range []time.Duration{3 * time.Second, 30 * time.Second} { // than the attempt or not
		waits := 0
		limiter := limiterFunc(func(context.Context) error {
			if waits++; waits == 1 {
				time.Sleep(slow)
			}
			return nil
		})
		inFakeTime(t, outbox.Options{Limiter: limiter}, func(t *testing.T, b *bed) {
			id := b.enqueueMany(1, nil)[0]
			attempts := 0
			stop := b.startWith(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
				attempts++
				time.Sleep(20 * time.Second)
				return &sesguard.Receipt{MessageID: "ses-1"}, nil
			})
			time.Sleep(500 * time.Millisecond)
			b.exec("update sesguard_mail set owner = ''") // another process sweeps
			time.Sleep(2 * time.Minute)
			if s := b.state(id); attempts != 1 || s != outbox.Sent {
				t.Errorf("after a wait of %v: %d attempts, %s", slow, attempts, s)
			}
			stop()
		})
	}
}

// The others sweep it. It need not do so itself: it knows what it does.
func TestAProcessDoesNotSweepItself(t *testing.T) {
	p := sqlitePlace(t)
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		b := newTappedBed(t, p, outbox.Options{}, tap{statement: func(_ driver.Conn, query string) string {
			if away.Load() && strings.HasPrefix(query, "insert into sesguard_process") {
				return "select no_database"
			}
			return query
		}})
		id := b.enqueueMany(1, nil)[0]
		stop := b.startWith(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
			time.Sleep(2 * time.Minute)
			return &sesguard.Receipt{MessageID: "ses-1"}, nil
		})
		time.Sleep(time.Second)
		away.Store(true)
		time.Sleep(100 * time.Second)
		if s := b.state(id); s != outbox.Sending {
			t.Errorf("while its attempt goes on, the mail is %s", s)
		}
		time.Sleep(time.Minute)
		if s := b.state(id); s != outbox.Sent {
			t.Errorf("%s", s)
		}
		stop()
	})
}

// A machine was suspended between the mark and the attempt: by now the others may
// have decided about the mail.
func TestAnOldMarkIsNotUsed(t *testing.T) {
	for _, c := range []struct {
		late time.Duration
		want int64 // the number of the claim with which SES is asked
	}{{14 * time.Second, 1}, {16 * time.Second, 2}} {
		p := sqlitePlace(t)
		synctest.Test(t, func(t *testing.T) {
			var marking, delayed atomic.Bool
			b := newTappedBed(t, p, outbox.Options{}, tap{statement: func(_ driver.Conn, query string) string {
				if isMark(query) {
					marking.Store(true)
				}
				if query == "commit" && marking.Load() && !delayed.Swap(true) {
					time.Sleep(c.late)
				}
				return query
			}})
			id := b.enqueueMany(1, nil)[0]
			claim := int64(0)
			defer b.startWith(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
				claim = b.number("select claim from sesguard_mail")
				return &sesguard.Receipt{MessageID: "ses-1"}, nil
			})()
			time.Sleep(time.Minute)
			if r := b.get(id); claim != c.want || r.State != outbox.Sent || r.Attempts != 1 {
				t.Errorf("a mark %v old: claim %d, %s after %d attempts", c.late, claim, r.State, r.Attempts)
			}
		})
	}
}

// The result was written, but its commit got no answer. Written once more, it
// must not pass for an event of SES, which is what Resolve goes by.
func TestAResultThatIsWrittenTwiceIsNoWitness(t *testing.T) {
	p := sqlitePlace(t)
	synctest.Test(t, func(t *testing.T) {
		var result, lost atomic.Bool
		b := newTappedBed(t, p, outbox.Options{}, tap{
			statement: func(_ driver.Conn, query string) string {
				if isResult(query) {
					result.Store(true)
				}
				return query
			},
			lost: func(query string) bool { return query == "commit" && result.Load() && !lost.Swap(true) },
		})
		id := b.enqueueMany(1, nil)[0]
		defer b.start()()
		time.Sleep(5 * time.Second)
		if seen := b.number("select seen from sesguard_mail"); !lost.Load() || b.state(id) != outbox.Sent || seen != 0 {
			t.Errorf("%s, seen %d", b.state(id), seen)
		}
	})
}

// What was begun without an answer must not keep the lock.
func TestABeginWithoutAnswerLeavesNoLock(t *testing.T) {
	var lost atomic.Bool
	b := newTappedBed(t, sqlitePlace(t), outbox.Options{}, tap{lost: func(query string) bool {
		return query == "begin immediate" && lost.Load()
	}})
	lost.Store(true)
	if _, err := b.Enqueue(t.Context(), outbox.Entry{Message: message(1)}); err == nil {
		t.Fatal("Enqueue does not notice")
	}
	lost.Store(false)
	b.enqueueMany(1, nil)
	b.exec("delete from sesguard_mail")
}
