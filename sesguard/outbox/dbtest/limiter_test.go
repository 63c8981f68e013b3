package dbtest

import (
	"context"
	"database/sql"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// limitersInFakeTime runs body over n limiters on one SQLite file, as n processes
// have them.
func limitersInFakeTime(t *testing.T, n int, opts outbox.LimiterOptions, body func(t *testing.T, db *sql.DB, list []*outbox.Limiter)) {
	t.Helper()
	p := sqlitePlace(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, p, outbox.Options{})
		var list []*outbox.Limiter
		for range n {
			list = append(list, outbox.NewLimiter(p.open(t), opts))
		}
		body(t, b.db, list)
	})
}

// pass counts what 10 senders on each limiter pass, by limiter and by second.
func pass(ctx context.Context, list []*outbox.Limiter, seconds int) (byLimiter, bySecond []int) {
	begin := time.Now()
	end := begin.Add(time.Duration(seconds) * time.Second)
	type passed struct{ limiter, second int }
	events := make(chan passed)
	running := 0
	for i, l := range list {
		for range 10 {
			running++
			go func() {
				for time.Now().Before(end) {
					if l.WaitN(ctx, 1) != nil {
						break
					}
					events <- passed{i, int(time.Since(begin) / time.Second)}
				}
				events <- passed{-1, 0}
			}()
		}
	}
	byLimiter, bySecond = make([]int, len(list)), make([]int, seconds)
	for running > 0 {
		e := <-events
		switch {
		case e.limiter < 0:
			running--
		case e.second < seconds:
			byLimiter[e.limiter]++
			bySecond[e.second]++
		}
	}
	return byLimiter, bySecond
}

func TestLimiterKeepsOneRateForAllProcesses(t *testing.T) {
	for _, rate := range []float64{5, 14, 100} {
		limitersInFakeTime(t, 3, outbox.LimiterOptions{PerSecond: rate}, func(t *testing.T, _ *sql.DB, list []*outbox.Limiter) {
			byLimiter, bySecond := pass(t.Context(), list, 6)
			sum := 0
			for second, n := range bySecond {
				sum += n
				if most := rate*1.1 + 2; float64(n) > most {
					t.Errorf("%g/s: %d in second %d", rate, n, second)
				}
			}
			if float64(sum) < rate*6*0.9 {
				t.Errorf("%g/s: %d in 6 seconds", rate, sum)
			}
			for i, n := range byLimiter {
				if float64(n) < 0.7*float64(sum)/3 || float64(n) > 1.3*float64(sum)/3 {
					t.Errorf("%g/s: process %d has %d of %d", rate, i, n, sum)
				}
			}
		})
	}
}

func TestLimiterCountsRecipients(t *testing.T) {
	limitersInFakeTime(t, 1, outbox.LimiterOptions{PerSecond: 10}, func(t *testing.T, _ *sql.DB, list []*outbox.Limiter) {
		begin := time.Now()
		for range 4 {
			if err := list[0].WaitN(t.Context(), 50); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin).Round(100 * time.Millisecond); took != 15*time.Second {
			t.Errorf("the fourth mail passed after %v, want 15 s: those before it have 150 recipients", took)
		}
	})
}

func TestLimiterSlowsDownForAllAfterARefusal(t *testing.T) {
	limitersInFakeTime(t, 2, outbox.LimiterOptions{PerSecond: 100}, func(t *testing.T, _ *sql.DB, list []*outbox.Limiter) {
		wait := func(l *outbox.Limiter) time.Duration {
			begin := time.Now()
			if err := l.WaitN(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			return time.Since(begin)
		}
		wait(list[0])
		time.Sleep(time.Second)
		list[0].Observe(t.Context(), 1, refusal(seserrors.SendRateExceeded))
		wait(list[0])
		_, bySecond := pass(t.Context(), list[1:], 2)
		if n := bySecond[0] + bySecond[1]; n < 160 || n > 192 {
			t.Errorf("%d in 2 seconds after a refusal, want about 182", n)
		}
		list[0].Observe(t.Context(), 1, refusal(seserrors.SendRateExceeded))
		wait(list[0])
		if w := wait(list[1]); w > 6*time.Second {
			t.Errorf("another process stops for %v", w)
		}
		list[1].Observe(t.Context(), 1, refusal(seserrors.SendRateExceeded))
		if w := wait(list[1]); w < 9*time.Second || w > 11*time.Second {
			t.Errorf("a third refusal stops for %v, want 10 s", w)
		}
	})
}

func TestLimiterReadsTheQuotaOnceForAll(t *testing.T) {
	reads := 0
	quota := func(context.Context) (sesguard.Quota, error) {
		reads++
		return sesguard.Quota{PerSecond: 100, Max24Hours: 1000, Sent24Hours: 980}, nil
	}
	limitersInFakeTime(t, 3, outbox.LimiterOptions{Quota: quota}, func(t *testing.T, _ *sql.DB, list []*outbox.Limiter) {
		byLimiter, _ := pass(t.Context(), list, 2)
		if sum := byLimiter[0] + byLimiter[1] + byLimiter[2]; sum > 20 || sum < 10 || reads != 1 {
			t.Errorf("%d passed a quota of 20, %d reads", sum, reads)
		}
		err := list[0].WaitN(t.Context(), 50)
		if wait, _ := retry.After(err); seserrors.Classify(err).Class != seserrors.QuotaExceeded || wait < time.Minute {
			t.Errorf("%v, again after %v", err, wait)
		}
		time.Sleep(6 * time.Minute)
		if err := list[1].WaitN(t.Context(), 1); err != nil || reads != 2 {
			t.Errorf("after 6 minutes: %v, %d reads", err, reads)
		}
	})
}

func TestLimiterHealsAClockThatWasSetBack(t *testing.T) {
	limitersInFakeTime(t, 1, outbox.LimiterOptions{PerSecond: 10}, func(t *testing.T, db *sql.DB, list []*outbox.Limiter) {
		if err := list[0].WaitN(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("update sesguard_rate set free = free + 3600000000"); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := list[0].WaitN(t.Context(), 1); err != nil || time.Since(begin) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestLimiterRefusesWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	for _, local := range []float64{0, 10} {
		p := sqlitePlace(t)
		b := newBed(t, p, outbox.Options{})
		db := p.open(t)
		l := outbox.NewLimiter(db, outbox.LimiterOptions{PerSecond: 100, Local: local})
		if err := l.WaitN(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		b.exec("drop table sesguard_rate")
		err := error(nil)
		for i := 0; i < 20 && err == nil; i++ { // what is left of the slice
			err = l.WaitN(t.Context(), 1)
		}
		if (err == nil) != (local > 0) || err != nil && (seserrors.Classify(err).Class != seserrors.Unavailable || seserrors.MaybeAccepted(err)) {
			t.Errorf("Local %g: %v", local, err)
		}
	}
}

// A slice that nobody used is no part of the quota.
func TestLimiterGivesBackWhatASliceDidNotNeed(t *testing.T) {
	quota := func(context.Context) (sesguard.Quota, error) {
		return sesguard.Quota{PerSecond: 1000, Max24Hours: 100}, nil
	}
	limitersInFakeTime(t, 1, outbox.LimiterOptions{Quota: quota}, func(t *testing.T, _ *sql.DB, list []*outbox.Limiter) {
		for n := range 101 {
			err := list[0].WaitN(t.Context(), 1)
			if (err == nil) != (n < 100) {
				t.Fatalf("mail %d: %v", n+1, err)
			}
			time.Sleep(time.Second)
		}
	})
}

// The statements are the same on every database.
func TestLimiterOnEachDatabase(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		newBed(t, p, outbox.Options{})
		l := outbox.NewLimiter(p.open(t), outbox.LimiterOptions{Quota: func(context.Context) (sesguard.Quota, error) {
			return sesguard.Quota{PerSecond: 1000, Max24Hours: 100}, nil
		}})
		for range 5 {
			if err := l.WaitN(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
		}
		l.Observe(t.Context(), 1, refusal(seserrors.SendRateExceeded))
		if err := l.WaitN(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		l.Observe(t.Context(), 1, refusal(seserrors.DailyQuotaExceeded))
		if err := l.WaitN(t.Context(), 2); seserrors.Classify(err).Class != seserrors.QuotaExceeded {
			t.Errorf("%v", err)
		}
	})
}
