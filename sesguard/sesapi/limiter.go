package sesapi

import (
	"context"
	stderrors "errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

const (
	opAccountLimiter = "sesguard limiter"

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

// An AccountLimiter is a [sesguard.Limiter] that follows the account: it reads
// the sending rate and the 24-hour quota from GetAccount, stays 5 % below the
// rate, slows down when SES says send-rate-exceeded and recovers bit by bit.
// When the quota is spent it refuses at once with class QuotaExceeded, so that
// no attempt is burnt on it. It is safe for concurrent use. Create it with
// [NewAccountLimiter].
type AccountLimiter struct {
	reader accountReader
	rates  *sesguard.RateLimiter

	mu      sync.Mutex
	reading *reading                // under way, or nil
	account *sesv2.GetAccountOutput // as last read, or nil
	tryAt   time.Time               // of the last read, good or not
	failure *seserrors.Error        // of the last read
	quota   quota
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
// NewAccountLimiter panics if api is nil.
func NewAccountLimiter(api GetAccountAPI) *AccountLimiter {
	if api == nil {
		panic("sesapi: NewAccountLimiter with a nil API")
	}
	return &AccountLimiter{reader: accountReader{api: api}, rates: sesguard.NewRateLimiter(1)}
}

// Rate reports the recipients a second that the limiter lets pass now, and 0
// before the account was read.
func (l *AccountLimiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// Account returns what the limiter read last, nil before the first read. It is
// shared: do not change it.
func (l *AccountLimiter) Account() *sesv2.GetAccountOutput {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account
}

// WaitN blocks until n recipients may be sent to, in the order of the calls. It
// refuses at once when the 24-hour quota has no room for them (class
// QuotaExceeded), or when ctx's deadline comes before their turn (class
// Throttled, and [retry.After] is the time that would have been needed).
//
// [retry.After]: https://pkg.go.dev/github.com/sesguard/sesguard-go/retry#After
func (l *AccountLimiter) WaitN(ctx context.Context, n int) error {
	if err := l.look(ctx, n); err != nil {
		return err
	}
	if err := l.rates.WaitN(ctx, n); err != nil {
		return err
	}
	return l.book(n) // not before the turn: what waits uses no quota
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
			if r.panicked != nil {
				panic(r.panicked)
			}
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
	known := l.account != nil
	fits := known && l.quota.left() >= float64(n)
	switch {
	case !known && l.failure != nil && age < readAgain:
		return nil, l.failure
	case !known, !fits && (age >= quotaRefresh || l.reading != nil):
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
	done     chan struct{}
	err      *seserrors.Error // set before done is closed, where nothing is known
	panicked any              // the same; what the caller's code panicked with
	spent    float64          // quota.spent when it began
}

// read returns the read under way, and begins one if there is none. It does not
// end with the sender that happened to begin it: others need it too.
func (l *AccountLimiter) read(ctx context.Context) *reading {
	if l.reading == nil {
		l.reading = &reading{done: make(chan struct{}), spent: l.quota.spent}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		go func(r *reading) {
			defer cancel()
			l.fetch(ctx, r)
		}(l.reading)
	}
	return l.reading
}

// fetch calls the API, which may be the caller's own code, as the source of its
// credentials may. A panic there is the panic of those who wait for the read,
// and a goroutine that ends is a read that failed.
func (l *AccountLimiter) fetch(ctx context.Context, r *reading) {
	var account *sesv2.GetAccountOutput
	err := &seserrors.Error{
		Op: opGetAccount, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure,
		Message: "the code that reads the account did not return",
	}
	defer func() {
		r.panicked = recover()
		l.learn(r, account, err)
	}()
	account, err = l.reader.read(ctx)
}

// learn takes over what a read found.
func (l *AccountLimiter) learn(r *reading, account *sesv2.GetAccountOutput, err *seserrors.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading, l.tryAt, l.failure = nil, time.Now(), err
	defer close(r.done)
	if err != nil {
		if l.account == nil {
			r.err = err
		}
		return
	}
	l.account = account
	q := account.SendQuota
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

func (l *AccountLimiter) setRate(rate float64) {
	l.rate = rate
	l.rates.SetRate(rate)
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

// Observe learns from an attempt: send-rate-exceeded slows the limiter down,
// daily-quota-exceeded holds further sends, and mails that SES accepts let the
// rate recover.
func (l *AccountLimiter) Observe(_ context.Context, n int, err error) {
	e, _ := stderrors.AsType[*seserrors.Error](err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quota.settle(n, err == nil || seserrors.MaybeAccepted(err))
	now := time.Now()
	switch {
	case e != nil && e.Class == seserrors.QuotaExceeded && !l.quota.bounded:
		l.tryAt = time.Time{} // SES knows of a bound that we do not: the next send begins a read
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
