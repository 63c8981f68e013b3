package sesapi

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// fakeAccount answers GetAccount.
type fakeAccount struct {
	quota sestypes.SendQuota
	err   error
	reads int
}

func (a *fakeAccount) GetAccount(context.Context, *sesv2.GetAccountInput, ...func(*sesv2.Options)) (*sesv2.GetAccountOutput, error) {
	a.reads++
	if a.err != nil {
		return nil, a.err
	}
	q := a.quota
	return &sesv2.GetAccountOutput{SendQuota: &q}, nil
}

func wait(t *testing.T, l sesguard.Limiter, n int) {
	t.Helper()
	if err := l.WaitN(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

func TestAccountLimiterStaysBelowTheAccountsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}})
		wait(t, l, 1)
		if l.Rate() != 95 {
			t.Fatalf("rate %v, want 95", l.Rate())
		}
		start := time.Now()
		for range 95 * 20 {
			wait(t, l, 1)
		}
		if got := time.Since(start); got < 19*time.Second-10*time.Millisecond {
			t.Errorf("1900 recipients in %v, want no less than 19s", got)
		}
	})
}

func TestNoSecondAfterAPauseSeesMoreThanTheAccountsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}})
		wait(t, l, 1)
		time.Sleep(time.Minute)
		start, passed := time.Now(), 0
		for time.Since(start) < time.Second {
			wait(t, l, 1)
			passed++
		}
		if passed > 101 || passed < 90 { // the last one passes when the second is over
			t.Errorf("%d recipients in a second", passed)
		}
	})
}

func TestAccountLimiterSlowsDownAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}})
		wait(t, l, 1)
		refusal := seserrors.Classify(seserrors.SendRateExceeded)
		time.Sleep(time.Second)
		for range 10 {
			l.Observe(t.Context(), 1, refusal) // the refusals of one moment are one event
		}
		near := func(rate float64) bool { return l.Rate() > rate-0.001 && l.Rate() < rate+0.001 }
		if !near(95 * 0.9) {
			t.Errorf("rate %v after a refusal, want 0.9 of 95", l.Rate())
		}
		time.Sleep(time.Second)
		l.Observe(t.Context(), 1, nil)
		l.Observe(t.Context(), 1, refusal) // a recovery in the same second does not hide it
		if !near((95*0.9 + 95*0.005) * 0.9) {
			t.Errorf("rate %v after a recovery and a refusal", l.Rate())
		}
		for range 100 {
			time.Sleep(time.Second)
			l.Observe(t.Context(), 1, refusal)
		}
		if !near(95 * rateFloor) {
			t.Errorf("rate %v after many refusals, want the floor %v", l.Rate(), 95*rateFloor)
		}
		l.Observe(t.Context(), 1, seserrors.Classify(seserrors.Network))
		time.Sleep(time.Minute)
		l.Observe(t.Context(), 1, seserrors.Classify(seserrors.Network))
		if !near(95 * rateFloor) {
			t.Errorf("rate %v: it recovered although nothing was accepted", l.Rate())
		}
		start := time.Now()
		for l.Rate() < 95 {
			time.Sleep(time.Second)
			l.Observe(t.Context(), 1, nil)
		}
		if got := time.Since(start); got > 190*time.Second || got < 125*time.Second {
			t.Errorf("recovered in %v, want half a per cent a second", got)
		}
	})
}

func TestAccountLimiterHoldsSendsWhenTheQuotaIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1000, Max24HourSend: 200, SentLast24Hours: 190}}
		l := NewAccountLimiter(a)
		start := time.Now()
		wait(t, l, 9)
		if err := l.WaitN(t.Context(), 2); !errors.Is(err, seserrors.DailyQuotaExceeded) || seserrors.MaybeAccepted(err) {
			t.Fatalf("got %v, want the daily quota", err)
		}
		wait(t, l, 1)
		a.quota.SentLast24Hours = 100
		time.Sleep(time.Until(start.Add(quotaRefresh - time.Nanosecond)))
		if err := l.WaitN(t.Context(), 1); !errors.Is(err, seserrors.QuotaExceeded) || a.reads != 1 {
			t.Fatalf("got %v after %d reads, want no new read within a minute", err, a.reads)
		}
		time.Sleep(time.Nanosecond)
		wait(t, l, 1)
	})
}

func TestAccountLimiterCountsOnlyWhatSESMayHaveTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1000, Max24HourSend: 10}})
		for range 5 {
			wait(t, l, 10)
			l.Observe(t.Context(), 10, seserrors.Classify(seserrors.MessageRejected))
		}
		wait(t, l, 10)
		l.Observe(t.Context(), 10, &seserrors.Error{Class: seserrors.Unavailable, Reason: seserrors.ResponseLost, MaybeAccepted: true})
		if err := l.WaitN(t.Context(), 1); !errors.Is(err, seserrors.QuotaExceeded) {
			t.Errorf("got %v; a send in doubt uses the quota up", err)
		}
	})
}

// The second send waits for its turn in the limiter while the first draws the
// refusal that opens the breaker.
func TestWhatTheBreakerRefusesUsesNoQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1, Max24HourSend: 4}})
		c := sesguard.New(sesguard.TransportFunc(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
			return nil, &seserrors.Error{Class: seserrors.Suspended, Reason: seserrors.SendingPaused}
		}), sesguard.Options{Limiter: l})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := c.Send(t.Context(), letter()); !errors.Is(err, seserrors.SendingPaused) {
					t.Errorf("got %v, want sending-paused", err)
				}
			})
		}
		wg.Wait()
		wait(t, l, 4)
	})
}

func TestAccountLimiterFailsWhenTheAccountWasNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAccount{err: seserrors.Classify(seserrors.AccessDenied)}
		l := NewAccountLimiter(a)
		for range 50 {
			if err := l.WaitN(t.Context(), 1); !errors.Is(err, seserrors.AccessDenied) || seserrors.MaybeAccepted(err) {
				t.Errorf("got %v, want the refusal of GetAccount", err)
			}
		}
		time.Sleep(readAgain - time.Nanosecond)
		if err := l.WaitN(t.Context(), 1); err == nil || a.reads != 1 {
			t.Errorf("%v after %d reads; the failure stands for 5 s", err, a.reads)
		}
		a.err, a.quota = nil, sestypes.SendQuota{MaxSendRate: 14, Max24HourSend: 50000}
		time.Sleep(time.Nanosecond)
		wait(t, l, 1)
	})
}

func TestAccountLimiterKeepsTheLastLimitsWhenAReadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}}
		l := NewAccountLimiter(a)
		wait(t, l, 1)
		a.err = errors.New("no route")
		time.Sleep(accountRefresh)
		for range 2 {
			wait(t, l, 1)
			synctest.Wait()
		}
		if a.reads != 2 || l.Rate() != 95 {
			t.Errorf("%d reads, rate %v; want one failed read and the old rate", a.reads, l.Rate())
		}
	})
}

func TestAReadChangesTheAccountsShareAndNotTheSlowdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}}
		l := NewAccountLimiter(a)
		wait(t, l, 1)
		l.Observe(t.Context(), 1, seserrors.Classify(seserrors.SendRateExceeded))
		a.quota.MaxSendRate = 200
		time.Sleep(accountRefresh)
		wait(t, l, 1)
		synctest.Wait()
		if a.reads != 2 || math.Abs(l.Rate()-190*0.9) > 0.001 {
			t.Errorf("rate %v after %d reads, want 0.9 of 190", l.Rate(), a.reads)
		}
	})
}

// All of them fit when they come, and wait for their turn.
func TestWhoWaitsForATurnUsesNoMoreThanTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1, Max24HourSend: 10}})
		wait(t, l, 1)
		var passed, refused atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				switch err := l.WaitN(t.Context(), 1); {
				case err == nil:
					passed.Add(1)
				case errors.Is(err, seserrors.QuotaExceeded):
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		if passed.Load() != 9 || refused.Load() != 11 {
			t.Errorf("%d passed and %d were refused, want 9 and 11", passed.Load(), refused.Load())
		}
	})
}

// A send that does not fit waits for a read that may bring room, and is told of
// the quota if the read fails.
func TestWhatDoesNotFitWaitsForTheReadUnderWay(t *testing.T) {
	for name, fails := range map[string]error{"room": nil, "a failure": errors.New("no route")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &slowly{fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1000, Max24HourSend: 10, SentLast24Hours: 10}}, 0}
				l := NewAccountLimiter(a)
				if err := l.WaitN(t.Context(), 1); !errors.Is(err, seserrors.QuotaExceeded) {
					t.Fatalf("got %v", err)
				}
				a.quota.SentLast24Hours, a.err, a.d = 0, fails, time.Second
				time.Sleep(quotaRefresh)
				start := time.Now()
				errs := make(chan error)
				for range 2 { // the first begins the read, and the second finds it
					go func() { errs <- l.WaitN(t.Context(), 1) }()
				}
				for range 2 {
					err := <-errs
					if fails == nil && err != nil || fails != nil && !errors.Is(err, seserrors.QuotaExceeded) {
						t.Errorf("got %v", err)
					}
				}
				if took := time.Since(start); took < time.Second || a.reads != 2 {
					t.Errorf("%d reads, %v", a.reads, took)
				}
			})
		})
	}
}

// slowly answers GetAccount after d, or never if the context ends first.
type slowly struct {
	fakeAccount
	d time.Duration
}

func (a *slowly) GetAccount(ctx context.Context, in *sesv2.GetAccountInput, o ...func(*sesv2.Options)) (*sesv2.GetAccountOutput, error) {
	select {
	case <-time.After(a.d):
	case <-ctx.Done():
		a.reads++
		return nil, ctx.Err()
	}
	return a.fakeAccount.GetAccount(ctx, in, o...)
}

func TestAThousandSendersShareOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &slowly{fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1e6, Max24HourSend: -1}}, time.Second}
		l := NewAccountLimiter(a)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := l.WaitN(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err) // and its read goes on for the others
		}
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { wait(t, l, 1) })
		}
		wg.Wait()
		if a.reads != 1 {
			t.Errorf("%d reads", a.reads)
		}
	})
}

func TestAHangingReadFailsAllWhoWaitTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &slowly{d: time.Hour}
		l := NewAccountLimiter(a)
		start := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				err := l.WaitN(t.Context(), 1)
				if !errors.Is(err, seserrors.Unavailable) || !seserrors.IsRetryable(err) || time.Since(start) != readTimeout {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		}
		wg.Wait()
		if a.reads != 1 {
			t.Errorf("%d reads", a.reads)
		}
	})
}

// misbehaving is an account whose code panics or ends its goroutine.
type misbehaving func()

func (m misbehaving) GetAccount(context.Context, *sesv2.GetAccountInput, ...func(*sesv2.Options)) (*sesv2.GetAccountOutput, error) {
	time.Sleep(time.Second)
	m()
	return nil, nil
}

func TestAPanicOrGoexitInTheAPIIsThatOfThoseWhoWaitForIt(t *testing.T) {
	for name, f := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewAccountLimiter(misbehaving(f))
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						var err error
						defer func() {
							if p := recover(); (p != nil) != (name == "panic") {
								t.Errorf("recovered %v", p)
							} else if p == nil && !seserrors.IsRetryable(err) {
								t.Errorf("got %v, want a failure that passes", err)
							}
						}()
						err = l.WaitN(t.Context(), 1)
					})
				}
				wg.Wait()
				l.reader.api = &fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}}
				time.Sleep(readAgain)
				wait(t, l, 1)
			})
		})
	}
}

func TestAPanicInAReadThatNobodyWaitsForChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}})
		wait(t, l, 1)
		l.reader.api = misbehaving(func() { panic("boom") })
		for range 2 {
			time.Sleep(accountRefresh)
			wait(t, l, 1)
		}
		time.Sleep(time.Minute)
		if l.Rate() != 95 {
			t.Errorf("rate %v", l.Rate())
		}
	})
}

func TestASlowReadHoldsNobodyUpWhileLimitsAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &slowly{fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: 1000}}, 0}
		l := NewAccountLimiter(a)
		wait(t, l, 1)
		a.d, a.quota.MaxSendRate = 5*time.Second, 200
		time.Sleep(accountRefresh)
		start := time.Now()
		wait(t, l, 1)
		if time.Since(start) != 0 {
			t.Errorf("held up for %v", time.Since(start))
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if l.Rate() != 190 {
			t.Errorf("rate %v after the read, want 190", l.Rate())
		}
		// Without room a send waits for news of the quota before it is refused.
		l.Observe(t.Context(), 1, seserrors.Classify(seserrors.DailyQuotaExceeded))
		time.Sleep(quotaRefresh)
		start = time.Now()
		wait(t, l, 1)
		if time.Since(start) != 5*time.Second {
			t.Errorf("passed after %v, want the read's 5s", time.Since(start))
		}
	})
}

func TestWhatIsSpentDuringAReadCounts(t *testing.T) {
	for name, end := range map[string]time.Duration{"accepted before the read ends": time.Second / 2, "accepted behind it": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &slowly{fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1e6, Max24HourSend: 100}}, 0}
				l := NewAccountLimiter(a)
				wait(t, l, 10)
				l.Observe(t.Context(), 10, nil)
				a.d, a.quota.SentLast24Hours = time.Second, 10
				time.Sleep(accountRefresh)
				wait(t, l, 80) // begins the read
				time.AfterFunc(end, func() { l.Observe(t.Context(), 80, nil) })
				for range 2 { // after the read, and after the send
					time.Sleep(3 * time.Second / 2)
					synctest.Wait()
					if err := l.WaitN(t.Context(), 11); !errors.Is(err, seserrors.QuotaExceeded) {
						t.Errorf("got %v: the send was forgotten", err)
					}
				}
				wait(t, l, 10)
			})
		})
	}
}

// A waiter's place in the queue obeys the rate of now, not of when it came.
func TestARefusalSlowsThoseWhoWaitAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}})
		wait(t, l, 1)
		var wg sync.WaitGroup
		start := time.Now()
		for range 950 {
			wg.Go(func() { wait(t, l, 1) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		err := l.WaitN(ctx, 1)
		if after, ok := retry.After(err); !errors.Is(err, seserrors.Throttled) || !ok || after < 9*time.Second || after > 11*time.Second || time.Since(start) != 0 {
			t.Errorf("got %v, %v after %v; want Throttled at once and about 10s", err, after, time.Since(start))
		}
		for range 40 {
			time.Sleep(time.Second)
			l.Observe(t.Context(), 1, seserrors.Classify(seserrors.SendRateExceeded))
		}
		wg.Wait()
		if took := time.Since(start); took < 20*time.Second {
			t.Errorf("950 recipients in %v although the rate fell to the floor", took)
		}
	})
}

func TestAQuotaSmallerThanOneMessageIsSaid(t *testing.T) {
	l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1, Max24HourSend: 10}})
	err := l.WaitN(t.Context(), 50)
	if !errors.Is(err, seserrors.QuotaExceeded) || !strings.Contains(err.Error(), "50 recipients do not fit: 10 of the account's 10") {
		t.Errorf("got %v", err)
	}
	if after, ok := retry.After(err); !ok || after != 20*time.Minute {
		t.Errorf("After = %v, %v", after, ok)
	}
}

func TestAccountsRateOfZeroLetsNothingPass(t *testing.T) {
	l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 0, Max24HourSend: 200}})
	if err := l.WaitN(t.Context(), 1); !errors.Is(err, seserrors.Throttled) {
		t.Errorf("got %v, want Throttled", err)
	}
}

// sendFor sends to a fake account for so long in fake time, from so many
// processes with a limiter each, and returns what each got through.
func sendFor(t *testing.T, d time.Duration, processes int, perSecond float64) (sent []int64, refused int64) {
	t.Helper()
	sent = make([]int64, processes)
	synctest.Test(t, func(t *testing.T) {
		srv := sestest.NewMemoryServer()
		defer srv.Close()
		srv.Account.SetMaxSendRate(perSecond)
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		var wg sync.WaitGroup
		var no atomic.Int64
		for i := range processes {
			c, err := smtpclient.New(smtpclient.Config{
				Addr: srv.PlainAddr, TLS: smtpclient.TLSNone, DialContext: srv.DialContext, MaxMessagesPerConn: -1, MaxConnLifetime: -1,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			counted := sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
				r, err := sesguard.SMTP(c).Attempt(ctx, m)
				if errors.Is(err, seserrors.Throttled) { // refused by SES, not by the limiter
					no.Add(1)
				}
				return r, err
			})
			guarded := sesguard.New(counted, sesguard.Options{Limiter: NewAccountLimiter(sdkOf(srv))})
			for range 3 * int(perSecond) {
				wg.Go(func() {
					for ctx.Err() == nil {
						if _, err := guarded.Send(ctx, letter()); err != nil {
							return // there is no time for another
						}
						atomic.AddInt64(&sent[i], 1)
					}
				})
			}
		}
		wg.Wait()
		refused = no.Load()
		if got := int64(srv.AcceptedCount()); got < sum(sent) {
			t.Errorf("SES took %d, Send said %d", got, sum(sent))
		}
	})
	return sent, refused
}

func sum(list []int64) (n int64) {
	for _, x := range list {
		n += x
	}
	return n
}

func TestOneLimiterUsesTheAccountsRate(t *testing.T) {
	sent, refused := sendFor(t, 10*time.Minute, 1, 5)
	t.Logf("%d sent, %d refused", sent, refused)
	if sent[0] < 5*600*90/100 || refused != 0 {
		t.Errorf("%d sent of 3000 possible, %d refused; want at least 90 %% and none", sent[0], refused)
	}
}

func TestTwoLimitersShareTheAccountsRate(t *testing.T) {
	sent, refused := sendFor(t, 10*time.Minute, 2, 5)
	t.Logf("%d sent, %d refused", sent, refused)
	total := sum(sent)
	if total < 5*600*85/100 || refused*100 > 10*total {
		t.Errorf("%d sent of 3000 possible, %d refused; want at least 85 %% and under 10 %%", sent, refused)
	}
	if min(sent[0], sent[1])*4 < total {
		t.Errorf("%d sent: that is no sharing", sent)
	}
}

func TestWhatAReadHasSeenIsNotCountedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1e6, Max24HourSend: 100}}
		l := NewAccountLimiter(a)
		wait(t, l, 10)
		l.Observe(t.Context(), 10, nil)
		a.quota.SentLast24Hours = 10
		time.Sleep(accountRefresh)
		wait(t, l, 1) // begins the read
		l.Observe(t.Context(), 1, seserrors.Classify(seserrors.MessageRejected))
		synctest.Wait()
		wait(t, l, 90)
		if err := l.WaitN(t.Context(), 1); !errors.Is(err, seserrors.QuotaExceeded) {
			t.Errorf("got %v; 100 of 100 are used", err)
		}
	})
}

// A program that calls WaitN and never Observe would else use its quota up
// without a mail.
func TestAnAttemptThatNobodySaysTheEndOfIsForgottenAfterTwoReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1e6, Max24HourSend: 100}}
		l := NewAccountLimiter(a)
		wait(t, l, 100)
		for _, room := range []bool{false, true} {
			time.Sleep(quotaRefresh)
			err := l.WaitN(t.Context(), 100) // waits for a read
			if room != (err == nil) {
				t.Errorf("got %v, want room %v", err, room)
			}
		}
	})
}

func TestAQuotaExceededOfAnUnlimitedAccountHoldsOnlyItsOwnMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1e6, Max24HourSend: -1}}
		l := NewAccountLimiter(a)
		wait(t, l, 1)
		l.Observe(t.Context(), 1, seserrors.Classify(seserrors.DailyQuotaExceeded))
		wait(t, l, 1)
		time.Sleep(time.Second) // between two calls
		synctest.Wait()
		if a.reads != 2 {
			t.Errorf("%d reads, want a new one: SES may know of a bound", a.reads)
		}
		wait(t, l, 1)
		a.quota.Max24HourSend, a.quota.SentLast24Hours = 50, 50
		l.Observe(t.Context(), 1, seserrors.Classify(seserrors.DailyQuotaExceeded))
		l.WaitN(t.Context(), 1) // begins the read, and may see its result
		time.Sleep(time.Second)
		synctest.Wait()
		if err := l.WaitN(t.Context(), 1); !errors.Is(err, seserrors.QuotaExceeded) || !strings.Contains(err.Error(), "0 of the account's 50") {
			t.Errorf("got %v, want the bound that was read", err)
		}
	})
}

func TestTheLimiterTellsWhatItRead(t *testing.T) {
	l := NewAccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 14, Max24HourSend: 50000}})
	if l.Account() != nil || l.Rate() != 0 {
		t.Error("something is known before the first read")
	}
	wait(t, l, 1)
	if got := l.Account(); got.SendQuota.MaxSendRate != 14 || got.SendQuota.Max24HourSend != 50000 {
		t.Errorf("read %+v", got)
	}
}
