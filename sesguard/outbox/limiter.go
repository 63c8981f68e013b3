package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	stderrors "errors"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

const (
	accountShare = 0.95                   // of the account's rate, as sesapi.AccountLimiter takes it
	quotaAge     = 5 * time.Minute        // after which one process reads the quota again
	quotaTimeout = 10 * time.Second       // of that
	slice        = 100 * time.Millisecond // of the rate is taken from the row at once
	ceiling      = 60 * time.Second       // the row is never further ahead: it heals a clock that was set back
	rateBackOff  = 0.9                    // of the rate is left after a refusal
	rateFloor    = 0.05                   // of the share: never slower
	rateRecovery = 0.005                  // of the share comes back each second
	strikeWindow = 10 * time.Second       // a second refusal within it stops everybody for a while
)

// LimiterOptions say what a [Limiter] shares.
type LimiterOptions struct {
	// Account names what has the rate: an account in a region. Limiters of the
	// same name share a rate. Empty: "default".
	Account string

	// PerSecond is the rate in recipients a second. 0: what Quota says. SES
	// refuses at exactly the account's rate: set 95 % of it.
	PerSecond float64

	// Quota reads the account's limits, as sesapi.Quota does. One process does it
	// for all, every 5 minutes. PerSecond is then 95 % of its rate unless it is
	// set, and sending stops when the day's quota is spent. Nil: no quota.
	Quota func(context.Context) (sesguard.Quota, error)

	// Local is the rate in recipients a second with which this process goes on
	// when the database is away. 0: it refuses. An outbox needs none.
	Local float64

	// Prefix is that of the tables: see Options.
	Prefix string
}

// A Limiter is a [sesguard.Limiter] that shares one rate between all processes on
// a database. Each takes a tenth of a second of the rate at once, and sends
// evenly within it; none is ever ahead of its part. It is safe for concurrent
// use, and starts no goroutine. Create it with [NewLimiter]; [Open] creates its
// table.
//
// When SES says that the rate was exceeded, all processes send at nine tenths of
// it and recover by half a per cent a second; after a second such refusal within
// 10 seconds all stop for 5 s, then 10 s, 30 s, 20 min.
type Limiter struct {
	opts  LimiterOptions
	db    *sql.DB
	local *sesguard.RateLimiter
	turn  chan struct{} // one statement under way in this process; waiters queue

	slowDown atomic.Bool // SES said so and the row does not know yet
	spent    atomic.Bool

	// These belong to the turn's holder.
	d         *database // nil: not used yet
	next, end time.Time // of the slice in hand
	cost      time.Duration
	left      float64 // recipients of the slice in hand that nobody used: the quota gets them back
}

// NewLimiter returns a Limiter on the tables that [Open] made in db. It needs no
// outbox otherwise: a plain Client may use it too.
func NewLimiter(db *sql.DB, opts LimiterOptions) *Limiter {
	if opts.Account == "" {
		opts.Account = "default"
	}
	return &Limiter{opts: opts, db: db, local: sesguard.NewRateLimiter(opts.Local), turn: make(chan struct{}, 1)}
}

// WaitN blocks until n recipients may be sent to, by processes in the order in
// which they come. It refuses with class QuotaExceeded when the day's quota is
// spent, with Throttled when the turn comes after ctx's deadline or all have to
// stop, and with Unavailable when the database is away; nothing is sent then.
func (l *Limiter) WaitN(ctx context.Context, n int) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	start, err := l.slot(ctx, n)
	<-l.turn
	if err != nil {
		if _, ok := stderrors.AsType[*seserrors.Error](err); ok || ctx.Err() != nil {
			return err
		}
		if l.opts.Local > 0 {
			return l.local.WaitN(ctx, n)
		}
		return &seserrors.Error{Op: opLimiter, Class: seserrors.Unavailable, Reason: seserrors.Network, Message: "the limiter's database does not answer", Err: err}
	}
	return sleep(ctx, time.Until(start))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const opLimiter = "outbox limiter"

// Observe learns from how attempts end. It never blocks: the next WaitN tells
// the other processes.
func (l *Limiter) Observe(_ context.Context, _ int, err error) {
	if err == nil {
		return
	}
	switch seserrors.Classify(err).Class {
	case seserrors.Throttled:
		l.slowDown.Store(true)
	case seserrors.QuotaExceeded:
		l.spent.Store(l.opts.Quota != nil)
	}
}

// slot returns when n recipients may be sent to: out of the slice in hand, or of
// a new one.
func (l *Limiter) slot(ctx context.Context, n int) (time.Time, error) {
	if err := l.begin(ctx); err != nil {
		return time.Time{}, err
	}
	if err := l.tell(ctx); err != nil {
		return time.Time{}, err
	}
	if now := time.Now(); l.next.Before(now) {
		l.next = now // what was not used in its time is not made up for
	}
	if l.cost <= 0 || l.next.Add(time.Duration(n)*l.cost).After(l.end) {
		if err := l.take(ctx, n); err != nil {
			return time.Time{}, err
		}
	}
	start := l.next
	l.left -= float64(n)
	l.next = l.next.Add(time.Duration(n) * l.cost)
	return start, nil
}

// begin finds out which database this is and writes the row.
func (l *Limiter) begin(ctx context.Context) error {
	if l.d != nil {
		return nil
	}
	postgres, err := detect(ctx, l.db)
	if err != nil {
		return err
	}
	d, err := newDatabase(l.db, postgres, l.opts.Prefix)
	if err != nil {
		return err
	}
	_, err = d.update(ctx, `insert into {rate} as r (key, rate, share, slowed, strikes, free, until, room, spent, read)
		values ($1, $2, $2, 0, 0, 0, 0, -1, 0, 0) on conflict (key) do update set rate = excluded.share, share = excluded.share
		where excluded.share > 0 and excluded.share <> r.share`, l.opts.Account, max(0, l.opts.PerSecond))
	if err == nil {
		l.d = d
	}
	return err
}

// row runs a statement on the row. It need not be on the disk: a crash of the
// database is longer than a slice.
func (l *Limiter) row(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) (found bool, err error) {
	each := func(r *sql.Rows) error {
		found = true
		return scan(r)
	}
	args = append([]any{l.opts.Account}, args...)
	if l.d.postgres {
		err = l.d.query(ctx, l.db, text, each, args...)
		return found, err
	}
	err = l.d.write(ctx, func(x querier) error { return l.d.query(ctx, x, text, each, args...) })
	return found, err
}

var (
	// The rate recovers with the time since it was slowed.
	effective = fmt.Sprintf("{min}(share, rate + share * %g * ({clock} - slowed) / 1000000.0)", rateRecovery)

	// What is spent, less what the slice before did not need.
	unused = "{max}(0, spent - cast($4 as double precision))"

	// The row's lock makes the order of the processes; the clock is read after
	// it. A slice is a tenth of a second, no more than the quota has left, or as
	// much as one mail needs.
	amount = fmt.Sprintf("{max}(cast($2 as double precision), {min}(floor(%s * %g), case when room < 0 then 1e9 else room - %s end))",
		effective, slice.Seconds(), unused)
	begins    = fmt.Sprintf("{max}({min}(free, {clock} + %d), {clock}, until)", ceiling.Microseconds())
	takeSlice = fmt.Sprintf(`update {rate} set taken = %[1]s, spent = %[4]s + %[1]s, free = %[2]s + cast(%[1]s * 1000000.0 / %[3]s as bigint)
		where key = $1 and share > 0 and (room < 0 or %[4]s + %[1]s <= room) and %[2]s <= {clock} + $3
		returning free - {clock}, taken, %[3]s`, amount, begins, effective, unused)

	strike = fmt.Sprintf("{clock} < {max}(slowed, until) + %d", strikeWindow.Microseconds())
	slowed = fmt.Sprintf(`update {rate} set rate = {max}(%[1]s * %[2]g, share * %[3]g), slowed = {clock},
		strikes = case when %[4]s then strikes + 1 else 0 end,
		until = case when %[4]s then {clock} + case strikes when 0 then 5000000 when 1 then 10000000 when 2 then 30000000 else 1200000000 end else until end
		where key = $1 and {clock} >= slowed + 1000000 and {clock} >= until returning key`, effective, rateBackOff, rateFloor, strike)
)

// tell writes what Observe heard. The refusals of one second are one.
func (l *Limiter) tell(ctx context.Context) error {
	for _, news := range []struct {
		heard *atomic.Bool
		text  string
	}{{&l.slowDown, slowed}, {&l.spent, "update {rate} set room = 0 where key = $1 returning key"}} {
		if !news.heard.Swap(false) {
			continue
		}
		l.end = time.Time{} // the slice in hand was of the old rate
		if _, err := l.row(ctx, news.text, nothing); err != nil {
			news.heard.Store(true)
			return err
		}
	}
	return nil
}

// take takes the next slice. While another process reads the account for the
// first time, it waits for that.
func (l *Limiter) take(ctx context.Context, n int) error {
	patience := ceiling
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(time.Until(deadline), patience)
	}
	for {
		if err := l.read(ctx); err != nil {
			return err
		}
		var ahead int64
		var got, rate float64
		found, err := l.row(ctx, takeSlice, func(r *sql.Rows) error { return r.Scan(&ahead, &got, &rate) },
			n, patience.Microseconds(), l.left)
		if err != nil {
			return err
		}
		if found {
			l.end = time.Now().Add(time.Duration(ahead) * time.Microsecond)
			l.cost = time.Duration(float64(time.Second) / rate)
			l.left = got
			l.next = l.end.Add(-time.Duration(got * float64(l.cost)))
			l.end = l.end.Add(time.Microsecond * time.Duration(got+1)) // what rounding took
			return nil
		}
		again, err := l.refused(ctx, n)
		if !again || err != nil {
			return err
		}
		if err := sleep(ctx, slice); err != nil {
			return err
		}
	}
}

// refused tells why the row gave no slice; again: only because the account is
// being read.
func (l *Limiter) refused(ctx context.Context, n int) (again bool, err error) {
	var share, room, spent float64
	var ahead int64
	_, err = l.row(ctx, "select share, room, spent, {max}(free, until) - {clock} from {rate} where key = $1",
		func(r *sql.Rows) error { return r.Scan(&share, &room, &spent, &ahead) })
	switch {
	case err != nil:
		return false, err
	case share <= 0 && l.opts.Quota != nil:
		return true, nil
	case share <= 0:
		return false, limited(seserrors.SendRateExceeded, "the limiter's rate is 0: nothing may pass", 0)
	case room >= 0 && max(0, spent-l.left)+float64(n) > room:
		return false, limited(seserrors.DailyQuotaExceeded, "the quota of 24 hours has no room", quotaAge)
	}
	return false, limited(seserrors.SendRateExceeded, "the turn comes too late", time.Duration(ahead)*time.Microsecond)
}

func limited(reason seserrors.Reason, message string, wait time.Duration) error {
	e := &seserrors.Error{Op: opLimiter, Class: reason.Class(), Reason: reason, Message: message}
	return &retry.Error{RetryAfter: wait, Err: e}
}

// read reads the account's limits for all processes, if it is time. What was
// read last stays in force when that fails.
func (l *Limiter) read(ctx context.Context) error {
	if l.opts.Quota == nil {
		return nil
	}
	var before float64
	mine, err := l.row(ctx, fmt.Sprintf("update {rate} set read = {clock} where key = $1 and (read < {clock} - %d or read > {clock}) returning share",
		quotaAge.Microseconds()), func(r *sql.Rows) error { return r.Scan(&before) })
	if err != nil || !mine {
		return err
	}
	reading, cancel := context.WithTimeout(ctx, quotaTimeout)
	q, failure := l.opts.Quota(reading)
	cancel()
	if failure != nil {
		// Another try in 5 seconds, AWS's first documented wait.
		_, err := l.row(context.WithoutCancel(ctx), fmt.Sprintf("update {rate} set read = {clock} - %d where key = $1 returning key",
			(quotaAge-5*time.Second).Microseconds()), nothing)
		if before > 0 {
			return err
		}
		return &seserrors.Error{Op: opLimiter, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Message: "the account's limits cannot be read", Err: failure}
	}
	share, room := l.opts.PerSecond, -1.0
	if share <= 0 {
		share = q.PerSecond * accountShare
	}
	if q.Max24Hours >= 0 {
		room = math.Max(0, q.Max24Hours-q.Sent24Hours)
	}
	_, err = l.row(ctx, `update {rate} set rate = case when share > 0 then {min}(rate * $2 / share, $2) else $2 end,
		share = $2, room = $3, spent = 0 where key = $1 returning key`, nothing, share, room)
	return err
}
