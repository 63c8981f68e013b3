package dbtest

import (
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// Three processes share one rate. What counts is not when a busy machine lets them
// send, but the slots that they take from the database: the slices follow each
// other without overlap, and no mail comes before its slot.
func TestThreeProcessesKeepOneRate(t *testing.T) {
	const rate, mails = 100, 250
	eachDatabase(t, func(t *testing.T, p place) {
		if p.driver == "postgres" {
			t.Skip("pgx stands for both drivers")
		}
		f := newFarm(t, p)
		f.job.Rate = rate
		f.logSlices(p)
		ids := f.enqueueMany(mails, nil)
		if err := f.Hold(t.Context(), outbox.AccountHold, "until all are here"); err != nil {
			t.Fatal(err)
		}
		workers := []*worker{f.hire(), f.hire(), f.hire()}
		if err := f.Release(t.Context(), outbox.AccountHold); err != nil {
			t.Fatal(err)
		}
		f.until("sent", func() bool { return f.stats().N(outbox.Sent) == len(ids) })
		f.terminate()
		begin := f.checkSlices(rate)
		for _, w := range workers {
			if n := f.number("select count(*) from marks where owner = '" + w.id + "'"); n < mails/6 {
				t.Errorf("a process has %d of %d mails, a third would be fair", n, mails)
			}
		}
		for n, m := range f.oracle.Accepted() {
			if most := rate*m.Time.Sub(begin).Seconds() + 2; float64(n+1) > most {
				t.Errorf("%d mails %v after the first slot, want %.0f at most", n+1, m.Time.Sub(begin).Round(time.Millisecond), most)
			}
		}
		if v := f.judge(ids); v != (verdict{}) {
			t.Errorf("%+v", v)
		}
	})
}

// logSlices notes each slice of the rate that is taken, and whose each mark is.
func (f *farm) logSlices(p place) {
	f.t.Helper()
	f.exec("create table slices (n integer, free bigint, taken double precision)")
	f.exec("create table marks (owner text)")
	if p.isSQLite() {
		f.exec(`create trigger slices after update of free on sesguard_rate when new.free <> old.free
			begin insert into slices select count(*), new.free, new.taken from slices; end`)
		f.exec(`create trigger marks after update of state on sesguard_mail when new.state = 'sending'
			begin insert into marks values (new.owner); end`)
		return
	}
	f.exec(`create function slices() returns trigger language plpgsql as
		'begin insert into slices select count(*), new.free, new.taken from slices; return new; end'`)
	f.exec(`create trigger slices after update of free on sesguard_rate for each row when (new.free <> old.free) execute function slices()`)
	f.exec("create function marks() returns trigger language plpgsql as 'begin insert into marks values (new.owner); return new; end'")
	f.exec("create trigger marks after update of state on sesguard_mail for each row when (new.state = 'sending') execute function marks()")
}

// checkSlices checks that in no second there are more slots than the rate, and
// returns when the first is.
func (f *farm) checkSlices(rate float64) time.Time {
	f.t.Helper()
	rows, err := f.db.Query("select free, taken from slices order by n")
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	var slots []float64 // in seconds
	for before := 0.0; rows.Next(); {
		var free, taken float64
		if err := rows.Scan(&free, &taken); err != nil {
			f.t.Fatal(err)
		}
		end := free / 1e6
		begin := end - taken/rate
		if begin < before-0.001 {
			f.t.Errorf("a slice begins %.3f s before the end of the one before", before-begin)
		}
		if taken > max(1, rate/10) {
			f.t.Errorf("a slice of %g", taken)
		}
		for n := range int(taken) {
			slots = append(slots, begin+float64(n)/rate)
		}
		before = end
	}
	if len(slots) == 0 {
		f.t.Fatal("no slices")
	}
	for i := range slots {
		n := 0
		for _, slot := range slots[i:] {
			if slot < slots[i]+1 {
				n++
			}
		}
		if float64(n) > rate+1 {
			f.t.Errorf("%d slots in one second", n)
		}
	}
	return time.UnixMicro(int64(slots[0] * 1e6))
}
