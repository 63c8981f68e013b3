package retry

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The waits that AWS documents in "SMTP response codes returned by Amazon SES".
var awsWaits = [...]time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second}

const (
	awsPause      = 20 * time.Minute // from the same page, after the third retry
	defaultJitter = 0.1
)

// A Schedule is a round of waits that repeats without end: each of Waits, then
// Pause. The zero value is the one that AWS documents: 5 s, 10 s, 30 s, 20 min,
// then 5 s again.
type Schedule struct {
	// Waits are the waits of a round in their order. Empty: 5 s, 10 s, 30 s.
	// A negative one counts as 0.
	Waits []time.Duration

	// Pause is the wait that ends a round, and the wait before every retry
	// after QuotaExceeded. 0: 20 minutes if Waits is empty; with Waits set the
	// round has no pause and Waits repeat. Negative: no pause in either case.
	// Without a pause a retry after QuotaExceeded waits 20 minutes.
	Pause time.Duration

	// Jitter lengthens each wait by a random part, between 0 and Jitter times
	// the wait, and never shortens one. 0: 0.1. Negative or NaN: none.
	Jitter float64
}

// Bounds returns the shortest and the longest that the nth wait can be. The
// first wait, between the first attempt and the second, has n = 1; a smaller n
// counts as 1. A longest wait beyond the range of time.Duration (292 years) is
// cut to it.
func (s Schedule) Bounds(n int) (min, max time.Duration) {
	return s.bounds(s.documented(n))
}

// BackOff returns the schedule as a backoff.BackOff that starts at the first
// wait, for backoff.Retry and anything else that takes one. It never says Stop
// and sees no error, so mark what must not be repeated with [Policy.Permanent].
// It is not safe for concurrent use: take one for each operation.
func (s Schedule) BackOff() backoff.BackOff {
	return &scheduleBackOff{schedule: s}
}

type scheduleBackOff struct {
	schedule Schedule
	n        int // waits given out so far
}

func (b *scheduleBackOff) NextBackOff() time.Duration {
	if b.n < math.MaxInt {
		b.n++
	}
	return b.schedule.wait(b.n)
}

func (b *scheduleBackOff) Reset() { b.n = 0 }

// wait draws the nth wait.
func (s Schedule) wait(n int) time.Duration {
	return s.draw(s.documented(n))
}

// quotaWait draws the wait after QuotaExceeded.
func (s Schedule) quotaWait() time.Duration {
	if pause := s.pause(); pause > 0 {
		return s.draw(pause)
	}
	return s.draw(awsPause)
}

// documented returns the nth wait without jitter.
func (s Schedule) documented(n int) time.Duration {
	waits := s.Waits
	if len(waits) == 0 {
		waits = awsWaits[:]
	}
	round := len(waits)
	if s.pause() > 0 {
		round++
	}
	i := (max(n, 1) - 1) % round
	if i == len(waits) {
		return s.pause()
	}
	return max(waits[i], 0)
}

// pause returns the pause of a round, 0 if it has none.
func (s Schedule) pause() time.Duration {
	if s.Pause == 0 && len(s.Waits) == 0 {
		return awsPause
	}
	return max(s.Pause, 0)
}

// bounds returns the range that jitter draws from.
func (s Schedule) bounds(wait time.Duration) (min, max time.Duration) {
	jitter := s.Jitter
	if jitter == 0 {
		jitter = defaultJitter
	}
	extra := float64(wait) * jitter
	switch {
	case !(extra > 0): // negative, NaN, or no wait at all
		return wait, wait
	case extra >= float64(math.MaxInt64-wait):
		return wait, math.MaxInt64
	}
	return wait, wait + time.Duration(extra)
}

func (s Schedule) draw(wait time.Duration) time.Duration {
	min, max := s.bounds(wait)
	if min == max {
		return min
	}
	// max-min is below MaxInt64: jitter applies to positive waits only.
	return min + time.Duration(rand.Int64N(int64(max-min)+1))
}
