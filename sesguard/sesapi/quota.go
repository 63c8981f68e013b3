package sesapi

import (
	"fmt"
	"math"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A quota keeps the account of the recipients that may be sent to in 24 hours.
// The window rolls: what falls out of it is seen at the next read only.
type quota struct {
	bounded bool
	most    float64 // Max24HourSend
	room    float64 // at the last read
	spent   float64 // since then: SES took them, or may have
	pending float64 // in attempts that have not ended
	booked  float64 // of them, since the last read
}

func (q *quota) left() float64 {
	if !q.bounded {
		return math.Inf(1)
	}
	return q.room - q.spent - q.pending
}

// set takes over a read that began when before was spent. What was spent during
// it may be in it or not, so it counts. Attempts from before the last read must
// have ended; if nobody said how, they are forgotten.
func (q *quota) set(most, sent, before float64) {
	q.bounded = most >= 0 // SES writes no limit as -1
	q.most, q.room = most, most-sent
	q.spent -= before
	q.pending, q.booked = min(q.pending, q.booked), 0
}

func (q *quota) book(n int) {
	q.pending += float64(n)
	q.booked += float64(n)
}

// settle ends an attempt.
func (q *quota) settle(n int, taken bool) {
	q.pending = max(q.pending-float64(n), 0)
	if taken {
		q.spent += float64(n)
	}
}

// exhaust is for when SES knows better, until the next read.
func (q *quota) exhaust() { q.room = min(q.room, q.spent+q.pending) }

func (q *quota) spentFor(n int) error {
	return &seserrors.Error{
		Op: opAccountLimiter, Class: seserrors.QuotaExceeded, Reason: seserrors.DailyQuotaExceeded,
		Message: fmt.Sprintf("%d recipients do not fit: %.0f of the account's %.0f in 24 hours are left", n, max(q.left(), 0), q.most),
	}
}
