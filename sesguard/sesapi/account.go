package sesapi

import (
	"context"
	stderrors "errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

// GetAccountAPI is the part of the SES v2 client that tells the account's
// limits. *[sesv2.Client] satisfies it. The caller needs the IAM permission
// ses:GetAccount.
type GetAccountAPI interface {
	GetAccount(ctx context.Context, in *sesv2.GetAccountInput, optFns ...func(*sesv2.Options)) (*sesv2.GetAccountOutput, error)
}

const (
	opGetAccount = "ses GetAccount"
	opLimiter    = "sesguard limiter"

	accountShare    = 0.95            // of MaxSendRate: a client at exactly its rate still draws refusals
	accountRefresh  = 5 * time.Minute // age at which the account's limits are read again
	quotaRefresh    = time.Minute     // the same while the quota has no room: it comes back bit by bit
	readAgain       = 5 * time.Second // how long the failure of the first read stands: AWS's first documented wait
	readTimeout     = 10 * time.Second
	rateBackOff     = 0.9         // of the rate is left after a send-rate-exceeded
	rateRecovery    = 0.005       // of the account's share is added for each second without refusal
	rateFloor       = 0.05        // of the account's share: never slower
	rateChangeEvery = time.Second // the refusals of one second are one event
)

// An AccountLimiter is a [Limiter] that follows the account: it reads the
// sending rate and the 24-hour quota from GetAccount, stays a little below the
// rate, slows down when SES says send-rate-exceeded and recovers bit by bit.
// When the quota is spent it refuses at once with class QuotaExceeded, so that
// no attempt is burnt on it. Create it with [AccountLimiter].
type AccountLimiter struct {
	api    GetAccountAPI
	turn   chan struct{} // held by the one send that waits for the bucket
	bucket *sesguard.RateLimiter

	mu      sync.Mutex
	reading *reading  // under way, or nil
	known   bool      // the account has been read
	tryAt   time.Time // of the last read, good or not
	failure *seserrors.Error
	quota   quota
	queued  int       // recipients that wait for their turn
	share   float64   // recipients a second that the account allows us
	rate    float64   // what we use of it now
	changed time.Time // of the last change of rate
	slowed  time.Time // of the last one downwards
}

// NewAccountLimiter returns a Limiter whose rate follows the account of api. It
// reads nothing yet: the first WaitN does, and all that wait with it fail when
// it cannot, with the class and reason of that failure. Later reads, one in five
// minutes, delay nobody while there is quota left; when they fail, the last
// known limits stay in force.
//
// All senders of one account and region should share one AccountLimiter. What
// other processes send is seen only in the quota, and in the refusals that make
// the limiter slow down until they share the rate. Whether the account may send
// at all is not looked at: SES tells the first send, and then the guard stops.
//
// AccountLimiter panics if api is nil.
func NewAccountLimiter(api GetAccountAPI) *AccountLimiter {
	if api == nil {
		panic("sesapi: NewAccountLimiter with a nil API")
	}
	return &AccountLimiter{api: api, turn: make(chan struct{}, 1), bucket: sesguard.NewRateLimiter(1)}
}

// Rate reports the recipients a second that the limiter lets pass now, and 0
// before the account was read.
func (l *AccountLimiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// WaitN blocks until n recipients may be sent to, in the order of the calls. It
// refuses at once when the 24-hour quota has no room for them (class
// QuotaExceeded), or when ctx's deadline comes before their turn (class
// Throttled, and [retry.After] is the time that would have been needed).
func (l *AccountLimiter) WaitN(ctx context.Context, n int) error {
	if err := l.look(ctx, n); err != nil {
		return err
	}
	if err := l.queue(ctx, n); err != nil {
		return err
	}
	defer func() { <-l.turn }()
	if err := l.book(n); err != nil {
		return err
	}
	if err := l.bucket.WaitN(ctx, n); err != nil {
		l.release(n)
		return err
	}
	return nil
}

// look makes sure that the account is known, and that its quota has room for n
// as far as is known. It waits for a read only where there is nothing better to
// go by.
func (l *AccountLimiter) look(ctx context.Context, n int) error {
	for {
		r, err := l.judge(ctx, n)
		if r == nil {
			return err
		}
		select {
		case <-r.done:
			if r.err != nil {
				return r.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// judge returns the read to wait for, or else whether n may pass.
func (l *AccountLimiter) judge(ctx context.Context, n int) (*reading, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	age := time.Since(l.tryAt)
	fits := l.known && l.quota.left() >= float64(n)
	switch {
	case !l.known && l.failure != nil && age < readAgain:
		return nil, l.failure
	case !l.known, !fits && (age >= quotaRefresh || l.reading != nil):
		return l.read(ctx), nil
	case !fits:
		return nil, l.quota.spentFor(n)
	case age >= accountRefresh:
		l.read(ctx)
	}
	return nil, nil
}

// A reading is one call of GetAccount, which all senders share.
type reading struct {
	done  chan struct{}
	err   *seserrors.Error // set before done is closed, where nothing is known
	spent float64          // quota.spent when it began
}

// read returns the read under way, and begins one if there is none. It does not
// end with the sender that happened to begin it: others need it too.
func (l *AccountLimiter) read(ctx context.Context) *reading {
	if l.reading == nil {
		l.reading = &reading{done: make(chan struct{}), spent: l.quota.spent}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		go func(r *reading) {
			defer cancel()
			q, err := l.fetch(ctx)
			l.learn(r, q, err)
		}(l.reading)
	}
	return l.reading
}

func (l *AccountLimiter) fetch(ctx context.Context) (*sestypes.SendQuota, *seserrors.Error) {
	out, err := l.api.GetAccount(ctx, &sesv2.GetAccountInput{})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &seserrors.Error{Op: opGetAccount, Class: seserrors.Unavailable, Reason: seserrors.Network, Message: fmt.Sprintf("no answer within %v", readTimeout), Err: err}
	case err != nil:
		e := seserrors.FromAPI(opGetAccount, err)
		e.MaybeAccepted = false // a read sends no mail
		return nil, e
	case out == nil || out.SendQuota == nil:
		return nil, &seserrors.Error{Op: opGetAccount, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Message: "an answer without SendQuota"}
	}
	return out.SendQuota, nil
}

// learn takes over what a read found.
func (l *AccountLimiter) learn(r *reading, q *sestypes.SendQuota, err *seserrors.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading, l.tryAt, l.failure = nil, time.Now(), err
	defer close(r.done)
	if err != nil {
		if !l.known {
			r.err = err
		}
		return
	}
	l.known = true
	l.quota.set(q.Max24HourSend, q.SentLast24Hours, r.spent)
	l.follow(q.MaxSendRate * accountShare)
}

// follow takes over the account's rate, keeping the fraction of it that
// refusals have left.
func (l *AccountLimiter) follow(share float64) {
	fraction := 1.0
	if l.share > 0 {
		fraction = l.rate / l.share
	}
	l.share = share
	l.setRate(share * fraction)
}

// setRate leaves no more for a burst than what the share keeps free, so that no
// second sees more than the account's rate.
func (l *AccountLimiter) setRate(rate float64) {
	l.rate = rate
	l.bucket.SetRate(rate)
}

// queue waits for the turn of n recipients. Only one send at a time reserves in
// the bucket, so that a change of the rate holds for all that wait.
func (l *AccountLimiter) queue(ctx context.Context, n int) error {
	if err := l.enter(ctx, n); err != nil {
		return err
	}
	defer l.leave(n)
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter refuses what would be due after ctx's deadline at the present rate.
func (l *AccountLimiter) enter(ctx context.Context, n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if deadline, ok := ctx.Deadline(); ok && l.rate > 0 {
		delay := time.Duration(float64(l.queued+n) / l.rate * float64(time.Second))
		if time.Now().Add(delay).After(deadline) {
			return &retry.Error{RetryAfter: delay, Err: &seserrors.Error{Op: opLimiter, Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded, Err: context.DeadlineExceeded}}
		}
	}
	l.queued += n
	return nil
}

func (l *AccountLimiter) leave(n int) {
	l.mu.Lock()
	l.queued -= n
	l.mu.Unlock()
}

func (l *AccountLimiter) book(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quota.left() < float64(n) {
		return l.quota.spentFor(n)
	}
	l.quota.book(n)
	return nil
}

func (l *AccountLimiter) release(n int) {
	l.mu.Lock()
	l.quota.settle(n, false)
	l.mu.Unlock()
}

// Observe learns from an attempt: send-rate-exceeded slows the limiter down,
// daily-quota-exceeded holds further sends, and mails that SES accepts let the
// rate recover.
func (l *AccountLimiter) Observe(_ context.Context, n int, err error) {
	var e *seserrors.Error
	stderrors.As(err, &e)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quota.settle(n, err == nil || seserrors.MaybeAccepted(err))
	now := time.Now()
	switch {
	case e != nil && e.Class == seserrors.QuotaExceeded:
		l.quota.exhaust()
		l.tryAt = now
	case e != nil && e.Class == seserrors.Throttled:
		if now.Sub(l.slowed) >= rateChangeEvery {
			l.changed, l.slowed = now, now
			l.setRate(max(l.rate*rateBackOff, l.share*rateFloor))
		}
	case err == nil && l.rate < l.share:
		if seconds := now.Sub(l.changed).Seconds(); seconds >= 1 {
			l.changed = now
			l.setRate(min(l.rate+l.share*rateRecovery*seconds, l.share))
		}
	}
}

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
func (q *quota) exhaust() {
	q.bounded, q.room = true, min(q.room, q.spent+q.pending)
}

func (q *quota) spentFor(n int) error {
	return &seserrors.Error{
		Op: opLimiter, Class: seserrors.QuotaExceeded, Reason: seserrors.DailyQuotaExceeded,
		Message: fmt.Sprintf("%d recipients do not fit: %.0f of the account's %.0f in 24 hours are left", n, max(q.left(), 0), q.most),
	}
}
