package sesguard

import (
	"context"
	stderrors "errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// GetAccountAPI is the part of the SES v2 client that tells the account's
// limits. *[sesv2.Client] satisfies it. The caller needs the IAM permission
// ses:GetAccount.
type GetAccountAPI interface {
	GetAccount(ctx context.Context, in *sesv2.GetAccountInput, optFns ...func(*sesv2.Options)) (*sesv2.GetAccountOutput, error)
}

const (
	opGetAccount = "ses GetAccount"

	accountShare    = 0.95            // of MaxSendRate: a client at exactly its rate still draws refusals
	accountRefresh  = 5 * time.Minute // age at which the account's limits are read again
	quotaRefresh    = time.Minute     // the same while the quota is spent: it comes back bit by bit
	readTimeout     = 30 * time.Second
	rateBackOff     = 0.7         // of the rate is left after a send-rate-exceeded
	rateFloor       = 0.05        // of the account's share: never slower
	rateRecovery    = 0.02        // of the account's share is added for each second without refusal
	rateChangeEvery = time.Second // the refusals of one second are one event
)

// An AdaptiveLimiter is a [Limiter] that follows the account: it reads the
// sending rate and the 24-hour quota from GetAccount, stays a little below the
// rate, slows down when SES says send-rate-exceeded and recovers bit by bit.
// When the quota is spent it refuses at once with class QuotaExceeded, so that
// no attempt is burnt on it. Create it with [AccountLimiter].
type AdaptiveLimiter struct {
	api     GetAccountAPI
	reading chan struct{} // held by the one call that reads the account
	bucket  *RateLimiter

	mu      sync.Mutex
	readAt  time.Time // of the last good read; zero: none yet
	tryAt   time.Time // of the last read, good or not
	share   float64   // recipients a second that the account allows us
	rate    float64   // what we use of it now
	changed time.Time // of the last change of rate
	quota   float64   // recipients left in the 24 hours; negative: no bound
	bounded bool      // the account has a quota
}

// AccountLimiter returns a Limiter whose rate follows the account of api. It
// reads nothing yet: the first WaitN does, and fails when it cannot, with the
// class and reason of that failure. Later reads, one in five minutes, happen
// within a WaitN too; when they fail the last known limits stay in force.
//
// All senders of one account and region should share one AccountLimiter. What
// other processes send is seen only in the quota, and in the refusals that make
// the limiter slow down.
func AccountLimiter(api GetAccountAPI) *AdaptiveLimiter {
	return &AdaptiveLimiter{api: api, reading: make(chan struct{}, 1), bucket: NewLimiter(1)}
}

// Rate reports the recipients a second that the limiter lets pass now, and 0
// before the account was read.
func (l *AdaptiveLimiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// WaitN blocks until n recipients may be sent to. It refuses at once when the
// 24-hour quota has no room for them (class QuotaExceeded), or when ctx's
// deadline comes first (class Throttled).
func (l *AdaptiveLimiter) WaitN(ctx context.Context, n int) error {
	if err := l.refresh(ctx); err != nil {
		return err
	}
	if err := l.spend(n); err != nil {
		return err
	}
	if err := l.bucket.WaitN(ctx, n); err != nil {
		l.restore(n)
		return err
	}
	return nil
}

// refresh reads the account when what is known of it is too old. One call reads;
// the others go on with what is known, or wait if nothing is.
func (l *AdaptiveLimiter) refresh(ctx context.Context) error {
	if known, fresh := l.known(time.Now()); fresh {
		return nil
	} else if known {
		select {
		case l.reading <- struct{}{}:
		default:
			return nil
		}
	} else {
		select {
		case l.reading <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-l.reading }()
	known, fresh := l.known(time.Now())
	if fresh {
		return nil // read while this call waited
	}
	if err := l.read(ctx); err != nil && !known {
		return err
	}
	return nil
}

// known reports whether the account has been read, and whether there is no
// need to read it now.
func (l *AdaptiveLimiter) known(now time.Time) (known, fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	every := accountRefresh
	if l.bounded && l.quota < 1 {
		every = quotaRefresh
	}
	known = !l.readAt.IsZero()
	return known, known && now.Sub(l.tryAt) < every
}

func (l *AdaptiveLimiter) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	out, err := l.api.GetAccount(ctx, &sesv2.GetAccountInput{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tryAt = time.Now()
	if err != nil {
		e := seserrors.FromAPI(opGetAccount, err)
		e.MaybeAccepted = false // a read sends no mail
		return e
	}
	if out == nil || out.SendQuota == nil {
		return &seserrors.Error{Op: opGetAccount, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Message: "an answer without SendQuota"}
	}
	l.readAt = l.tryAt
	q := out.SendQuota
	l.bounded = q.Max24HourSend >= 0 // SES writes no limit as -1
	l.quota = q.Max24HourSend - q.SentLast24Hours
	l.follow(q.MaxSendRate * accountShare)
	return nil
}

// follow takes over the account's rate, keeping the fraction of it that
// refusals have left.
func (l *AdaptiveLimiter) follow(share float64) {
	fraction := 1.0
	if l.share > 0 {
		fraction = l.rate / l.share
	}
	l.share = share
	l.setRate(share * fraction)
}

func (l *AdaptiveLimiter) setRate(rate float64) {
	l.rate = rate
	l.bucket.set(rate)
}

// spend takes n recipients of the quota.
func (l *AdaptiveLimiter) spend(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bounded && l.quota < float64(n) {
		return &seserrors.Error{
			Op: opLimiter, Class: seserrors.QuotaExceeded, Reason: seserrors.DailyQuotaExceeded,
			Message: "the account's 24-hour quota has no room for this message",
		}
	}
	l.quota -= float64(n)
	return nil
}

// restore gives n recipients of the quota back: SES did not take them.
func (l *AdaptiveLimiter) restore(n int) {
	l.mu.Lock()
	l.quota += float64(n)
	l.mu.Unlock()
}

// Observe learns from an attempt: send-rate-exceeded slows the limiter down,
// daily-quota-exceeded holds further sends, and anything else lets the rate
// recover.
func (l *AdaptiveLimiter) Observe(n int, err error) {
	var e *seserrors.Error
	stderrors.As(err, &e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && !seserrors.MaybeAccepted(err) {
		l.quota += float64(n)
	}
	now := time.Now()
	switch {
	case e != nil && e.Class == seserrors.QuotaExceeded:
		l.quota, l.tryAt = 0, now
	case e != nil && e.Class == seserrors.Throttled:
		if now.Sub(l.changed) >= rateChangeEvery {
			l.changed = now
			l.setRate(max(l.rate*rateBackOff, l.share*rateFloor))
		}
	case l.rate < l.share:
		if seconds := now.Sub(l.changed).Seconds(); seconds >= 1 {
			l.changed = now
			l.setRate(min(l.rate+l.share*rateRecovery*seconds, l.share))
		}
	}
}
