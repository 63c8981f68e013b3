package sesguard

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

const opLimiter = "sesguard limiter"

// A Limiter keeps a guard within the account's send rate. SES counts
// recipients, not messages, so n is the number of recipients of one message.
// Implementations are safe for concurrent use.
type Limiter interface {
	// WaitN blocks until n recipients may be sent to, or refuses. A
	// *seserrors.Error is returned from Send as it is, when ctx ended the
	// error is of class Canceled, and any other error counts as Throttled.
	// Nothing has been sent yet, so the error is never in doubt.
	WaitN(ctx context.Context, n int) error

	// Observe is told how each attempt ended, nil included: it is how a
	// limiter learns. It must not block.
	Observe(ctx context.Context, n int, err error)
}

// A RateLimiter is a [Limiter] with a fixed rate, a token bucket of
// [golang.org/x/time/rate]. Create it with [NewRateLimiter].
type RateLimiter struct{ bucket *rate.Limiter }

// NewRateLimiter returns a Limiter that lets perSecond recipients pass a second,
// with bursts of as many (at least one). Give it your account's sending rate,
// which the SES console and GetAccount show as MaxSendRate, less a few per
// cent: a client that sends at exactly its rate still draws refusals.
//
// A message with more recipients than the rate waits until its last recipient
// is due. With a rate of 0, less, or NaN nothing passes and every WaitN is
// refused at once; +Inf is no limit.
func NewRateLimiter(perSecond float64) *RateLimiter {
	if math.IsNaN(perSecond) || perSecond < 0 {
		perSecond = 0
	}
	return &RateLimiter{rate.NewLimiter(rate.Limit(perSecond), burst(perSecond))}
}

// burst is one second's worth, so that a message after a pause need not wait.
func burst(perSecond float64) int {
	return int(max(1, min(perSecond, math.MaxInt32)))
}

// WaitN blocks until n recipients may be sent to. It refuses at once, with
// class Throttled, when ctx's deadline comes first; [retry.After] of that error
// is the time that would have been needed.
func (l *RateLimiter) WaitN(ctx context.Context, n int) error {
	if l.bucket.Limit() <= 0 {
		return throttled("the limiter's rate is 0: nothing may pass", nil)
	}
	now := time.Now()
	held, delay := l.reserve(now, n)
	if deadline, ok := ctx.Deadline(); ok && now.Add(delay).After(deadline) {
		cancel(held, now)
		return late(n, delay)
	}
	if err := sleep(ctx, delay); err != nil {
		cancel(held, time.Now())
		return err
	}
	return nil
}

// reserve takes n tokens in portions that the bucket can hold; the last
// portion is due last.
func (l *RateLimiter) reserve(now time.Time, n int) (held []*rate.Reservation, delay time.Duration) {
	for n > 0 {
		portion := min(n, l.bucket.Burst())
		r := l.bucket.ReserveN(now, portion)
		held = append(held, r)
		delay = r.DelayFrom(now)
		n -= portion
	}
	return held, delay
}

// cancel gives reservations back, the latest first: only then does the bucket
// restore them in full.
func cancel(held []*rate.Reservation, now time.Time) {
	for _, r := range slices.Backward(held) {
		r.CancelAt(now)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// SetRate changes the rate, also for those who wait.
func (l *RateLimiter) SetRate(perSecond float64) { l.bucket.SetLimit(rate.Limit(perSecond)) }

// A Quota is what an account may send: the recipients a second, and those of a
// rolling 24 hours with how many of them are spent. Max24Hours is -1 without a
// bound.
type Quota struct{ PerSecond, Max24Hours, Sent24Hours float64 }

// Observe does nothing: the rate is fixed.
func (l *RateLimiter) Observe(context.Context, int, error) {}

// late is the refusal of a message whose turn would come after the deadline.
func late(n int, delay time.Duration) error {
	return &retry.Error{RetryAfter: delay, Err: throttled(fmt.Sprintf("the turn of %d recipients comes after the context's deadline", n), context.DeadlineExceeded)}
}

func throttled(message string, cause error) *seserrors.Error {
	return &seserrors.Error{
		Op: opLimiter, Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded,
		Message: message, Err: cause,
	}
}
