package sesguard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
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

func wait(t *testing.T, l Limiter, n int) {
	t.Helper()
	if err := l.WaitN(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

func TestAccountLimiterStaysBelowTheAccountsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := AccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}})
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

func TestAccountLimiterSlowsDownAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := AccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}})
		wait(t, l, 1)
		refusal := seserrors.Classify(seserrors.SendRateExceeded)
		time.Sleep(time.Second)
		for range 10 {
			l.Observe(1, refusal) // the refusals of one moment are one event
		}
		slow := l.Rate()
		if slow < 66 || slow > 67 {
			t.Errorf("rate %v after a refusal, want 0.7 of 95", slow)
		}
		for range 100 {
			time.Sleep(time.Second)
			l.Observe(1, refusal)
		}
		if l.Rate() < 95*rateFloor-0.001 || l.Rate() > 95*rateFloor+0.001 {
			t.Errorf("rate %v after many refusals, want the floor %v", l.Rate(), 95*rateFloor)
		}
		start := time.Now()
		for l.Rate() < 95 {
			time.Sleep(time.Second)
			l.Observe(1, nil)
		}
		if got := time.Since(start); got < 45*time.Second || got > 50*time.Second {
			t.Errorf("recovered in %v, want 2%% a second", got)
		}
	})
}

func TestAccountLimiterHoldsSendsWhenTheQuotaIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1000, Max24HourSend: 200, SentLast24Hours: 190}}
		l := AccountLimiter(a)
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
		l := AccountLimiter(&fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 1000, Max24HourSend: 10}})
		for range 5 {
			wait(t, l, 10)
			l.Observe(10, seserrors.Classify(seserrors.MessageRejected))
		}
		wait(t, l, 10)
		l.Observe(10, lost())
		if err := l.WaitN(t.Context(), 1); !errors.Is(err, seserrors.QuotaExceeded) {
			t.Errorf("got %v; a send in doubt uses the quota up", err)
		}
	})
}

func TestAccountLimiterFailsWhenTheAccountWasNeverRead(t *testing.T) {
	a := &fakeAccount{err: seserrors.Classify(seserrors.AccessDenied)}
	l := AccountLimiter(a)
	if err := l.WaitN(t.Context(), 1); !errors.Is(err, seserrors.AccessDenied) {
		t.Errorf("got %v, want the refusal of GetAccount", err)
	}
	a.err, a.quota = nil, sestypes.SendQuota{MaxSendRate: 14, Max24HourSend: 50000}
	wait(t, l, 1)
}

func TestAccountLimiterKeepsTheLastLimitsWhenAReadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAccount{quota: sestypes.SendQuota{MaxSendRate: 100, Max24HourSend: -1}}
		l := AccountLimiter(a)
		wait(t, l, 1)
		a.err = errors.New("no route")
		time.Sleep(accountRefresh)
		wait(t, l, 1)
		wait(t, l, 1)
		if a.reads != 2 || l.Rate() != 95 {
			t.Errorf("%d reads, rate %v; want one failed read and the old rate", a.reads, l.Rate())
		}
	})
}
