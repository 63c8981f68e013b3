package retry

import (
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// defaultMaxElapsed lets the documented schedule come round twice.
const defaultMaxElapsed = time.Hour

// A Policy says which failures are tried again, when and how often. The zero
// value follows AWS's schedule for up to an hour and never sends a mail twice.
// A Policy may be used by several goroutines if NewBackOff and OnAttempt may be
// called by them.
type Policy struct {
	// Schedule gives the waits. Zero: AWS's 5 s, 10 s, 30 s, 20 min.
	Schedule Schedule

	// MaxAttempts bounds the attempts, the first one included. 0 or negative:
	// no bound.
	MaxAttempts int

	// MaxElapsed bounds the time from the start of the first attempt to the
	// start of the last, so it counts the coming wait: a retry that would begin
	// later is not waited for. It does not cut an attempt short. 0: 1 hour.
	// Negative: no bound.
	MaxElapsed time.Duration

	// AllowDuplicates chooses between at most once (false, the default) and at
	// least once (true) for an attempt that SES may have accepted although no
	// success was seen. With true it is tried again, whatever its class, and the
	// mail may arrive twice.
	AllowDuplicates bool

	// NewBackOff, if not nil, replaces Schedule for Throttled and Unavailable:
	// each Do and each Next takes a new one. A negative wait stops, as
	// backoff.Stop does. QuotaExceeded still waits Schedule.Pause. A BackOff
	// that is nil counts as not given.
	NewBackOff func() backoff.BackOff

	// OnAttempt, if not nil, is called by Do after every attempt, also the
	// successful one, in Do's goroutine and before the wait. For counters and
	// logs.
	OnAttempt func(Attempt)
}

// An Attempt is what Policy.OnAttempt is told of one attempt.
type Attempt struct {
	N     int           // 1 for the first
	Took  time.Duration // how long the attempt took
	Err   error         // as the operation returned it; nil: success
	Again bool          // another attempt follows after Wait, unless the context ends first
	Wait  time.Duration // 0 if no attempt follows, or if one follows at once
}

// Next tells whether an operation whose attempt number attempt (from 1) failed
// with err should be tried again, and after which wait. It keeps no state and
// never sleeps: it is what a queue asks that counts attempts and keeps time
// itself. Elapsed is the time since the first attempt began; a queue that keeps
// mails longer than an hour sets MaxElapsed.
//
// The error of an earlier [Do] is judged like any other, and its RetryAfter
// lengthens the wait, so a queue may use Next above Do. clock-skew is tried again
// only after attempt 1. A nil err is not tried again.
func (p Policy) Next(attempt int, elapsed time.Duration, err error) (wait time.Duration, again bool) {
	attempt = max(attempt, 1)
	if err == nil || isPermanent(err) || p.spent(attempt) {
		return 0, false
	}
	v := p.judge(seserrors.Classify(err), attempt > 1)
	b := p.newBackOff()
	for i := 1; b != nil && i < attempt; i++ {
		b.NextBackOff()
	}
	wait, again = p.wait(v, attempt, b, err)
	if !again || !p.withinElapsed(wait, elapsed) {
		return 0, false
	}
	return wait, true
}

// Permanent marks err with backoff.Permanent unless p would try it again. It is
// for an operation that is driven by backoff.Retry and [Schedule.BackOff], which
// see no error and would repeat all of them. An error that holds an [*Error] is
// marked too: it was tried again already. nil stays nil.
//
// Permanent knows no attempt number and no waits: MaxAttempts and MaxElapsed do
// not count, clock-skew is marked, and QuotaExceeded is not marked although
// backoff.Retry will not wait Pause for it. [Do] has none of these limits.
func (p Policy) Permanent(err error) error {
	if err == nil || isPermanent(err) {
		return err
	}
	if p.judge(seserrors.Classify(err), true) == stop || isRetried(err) {
		return backoff.Permanent(err)
	}
	return err
}

// A verdict says how an operation is tried again after an error.
type verdict uint8

const (
	stop verdict = iota
	atOnce
	onSchedule
	afterPause
)

// judge is the table of the package documentation. Skewed: the one immediate
// retry for clock-skew is used up.
func (p Policy) judge(e *seserrors.Error, skewed bool) verdict {
	switch {
	case e.MaybeAccepted && !p.AllowDuplicates:
		return stop
	case e.Class == seserrors.QuotaExceeded:
		return afterPause
	case e.MaybeAccepted, e.Class.Retryable():
		return onSchedule
	case e.Reason == seserrors.ClockSkew && !skewed:
		return atOnce
	}
	return stop
}

// wait returns the wait before attempt n+1, false if the BackOff says to stop.
// No wait is shorter than err asks for.
func (p Policy) wait(v verdict, n int, b backoff.BackOff, err error) (time.Duration, bool) {
	var d time.Duration
	switch {
	case v == stop:
		return 0, false
	case v == afterPause:
		d = p.Schedule.quotaWait()
	case v == onSchedule && b != nil:
		d = b.NextBackOff()
	case v == onSchedule:
		d = p.Schedule.wait(n)
	}
	if d < 0 { // backoff.Stop, and whatever else cannot be waited
		return 0, false
	}
	return max(d, asked(err)), true
}

// withinElapsed reports whether a wait that begins when elapsed has passed ends
// within MaxElapsed.
func (p Policy) withinElapsed(wait, elapsed time.Duration) bool {
	limit := p.MaxElapsed
	if limit == 0 {
		limit = defaultMaxElapsed
	}
	return limit < 0 || wait <= limit-max(elapsed, 0)
}

func (p Policy) spent(attempts int) bool {
	return p.MaxAttempts > 0 && attempts >= p.MaxAttempts
}

func (p Policy) newBackOff() backoff.BackOff {
	if p.NewBackOff == nil {
		return nil
	}
	b := p.NewBackOff()
	if b != nil {
		b.Reset()
	}
	return b
}

func isPermanent(err error) bool {
	_, ok := errors.AsType[*backoff.PermanentError](err)
	return ok
}

func isRetried(err error) bool {
	_, ok := errors.AsType[*Error](err)
	return ok
}
