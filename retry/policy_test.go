package retry_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// exact is AWS's schedule without jitter, so that waits can be compared.
var exact = retry.Schedule{Jitter: -1}

var (
	throttled   = &seserrors.Error{Op: "smtp DATA", Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded, Code: 454}
	unavailable = &seserrors.Error{Op: "smtp DATA", Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Code: 451}
	overQuota   = &seserrors.Error{Op: "smtp DATA", Class: seserrors.QuotaExceeded, Reason: seserrors.DailyQuotaExceeded, Code: 454}
	rejected    = &seserrors.Error{Op: "smtp DATA", Class: seserrors.Rejected, Reason: seserrors.MessageRejected, Code: 554}
	skew        = &seserrors.Error{Op: "ses SendEmail", Class: seserrors.Denied, Reason: seserrors.ClockSkew, Code: 403}
	lost        = &seserrors.Error{Op: "smtp end of data", Class: seserrors.Unavailable, Reason: seserrors.ResponseLost, MaybeAccepted: true}
)

// A slowDown asks for a wait of its own, as a limiter or a server may.
type slowDown struct {
	error
	wait time.Duration
}

func (s slowDown) RetryAfter() time.Duration { return s.wait }
func (s slowDown) Unwrap() error             { return s.error }

func TestNextDecidesByClass(t *testing.T) {
	class := func(c seserrors.Class) error { return &seserrors.Error{Op: "smtp DATA", Class: c} }
	tests := []struct {
		name  string
		err   error
		wait  time.Duration
		again bool
	}{
		{"success", nil, 0, false},
		{"throttled", throttled, 5 * time.Second, true},
		{"throttled, wrapped", fmt.Errorf("job 7: %w", throttled), 5 * time.Second, true},
		{"unavailable", unavailable, 5 * time.Second, true},
		{"quota exceeded", overQuota, 20 * time.Minute, true},
		{"clock skew", skew, 0, true},
		{"in doubt", lost, 0, false},
		{"in doubt beneath a throttle", errors.Join(throttled, lost), 0, false},
		{"canceled", class(seserrors.Canceled), 0, false},
		{"invalid", class(seserrors.Invalid), 0, false},
		{"rejected", rejected, 0, false},
		{"denied", class(seserrors.Denied), 0, false},
		{"suspended", class(seserrors.Suspended), 0, false},
		{"unknown", class(seserrors.Unknown), 0, false},
		{"marked as permanent", backoff.Permanent(throttled), 0, false},
		{"asks for longer", slowDown{throttled, time.Minute}, time.Minute, true},
		{"asks for less than documented", slowDown{throttled, time.Second}, 5 * time.Second, true},
		{"asks for nonsense", slowDown{throttled, -time.Minute}, 5 * time.Second, true},
		{"rejected and asks to wait", slowDown{rejected, time.Minute}, 0, false},
		{"given up by Do", &retry.Error{Attempts: 3, RetryAfter: 30 * time.Second, Err: throttled}, 30 * time.Second, true},
	}
	p := retry.Policy{Schedule: exact}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if wait, again := p.Next(1, 0, tt.err); wait != tt.wait || again != tt.again {
				t.Errorf("Next = %v, %t, want %v, %t", wait, again, tt.wait, tt.again)
			}
		})
	}
}

func TestNextFollowsTheSchedule(t *testing.T) {
	for i, want := range documented {
		if wait, again := (retry.Policy{Schedule: exact}).Next(i+1, 0, throttled); wait != want || !again {
			t.Errorf("Next after attempt %d = %v, %t, want %v, true", i+1, wait, again, want)
		}
		if wait, _ := (retry.Policy{}).Next(i+1, 0, throttled); wait < want || wait > want+want/10 {
			t.Errorf("with jitter: Next after attempt %d = %v, want %v to a tenth more", i+1, wait, want)
		}
	}
}

func TestNextPolicyFields(t *testing.T) {
	every := func(d time.Duration) func() backoff.BackOff {
		return func() backoff.BackOff { return backoff.NewConstantBackOff(d) }
	}
	tests := []struct {
		name    string
		policy  retry.Policy
		attempt int
		elapsed time.Duration
		err     error
		wait    time.Duration
		again   bool
	}{
		{"below MaxAttempts", retry.Policy{MaxAttempts: 3}, 2, 0, throttled, 10 * time.Second, true},
		{"at MaxAttempts", retry.Policy{MaxAttempts: 3}, 3, 0, throttled, 0, false},
		{"negative MaxAttempts is no bound", retry.Policy{MaxAttempts: -1}, 9, 0, throttled, 5 * time.Second, true},
		{"the wait just fits", retry.Policy{MaxElapsed: time.Minute}, 1, 55 * time.Second, throttled, 5 * time.Second, true},
		{"the wait just does not fit", retry.Policy{MaxElapsed: time.Minute}, 1, 55*time.Second + 1, throttled, 0, false},
		{"an hour without MaxElapsed", retry.Policy{}, 1, time.Hour - 5*time.Second, throttled, 5 * time.Second, true},
		{"more than an hour without MaxElapsed", retry.Policy{}, 1, time.Hour - 5*time.Second + 1, throttled, 0, false},
		{"no bound", retry.Policy{MaxElapsed: -1}, 1, 100 * time.Hour, throttled, 5 * time.Second, true},
		{"negative elapsed counts as 0", retry.Policy{MaxElapsed: time.Minute}, 1, math.MinInt64, throttled, 5 * time.Second, true},
		{"longest elapsed", retry.Policy{MaxElapsed: time.Second}, 1, math.MaxInt64, throttled, 0, false},
		{"attempt 0 counts as the first", retry.Policy{}, 0, 0, throttled, 5 * time.Second, true},
		{"attempt below 0 counts as the first", retry.Policy{}, math.MinInt, 0, throttled, 5 * time.Second, true},
		{"last attempt there can be", retry.Policy{}, math.MaxInt, 0, throttled, 30 * time.Second, true},
		{"clock skew a second time", retry.Policy{}, 2, 0, skew, 0, false},
		{"quota waits the policy's pause", retry.Policy{Schedule: retry.Schedule{Pause: time.Hour}}, 1, 0, overQuota, time.Hour, true},
		{"quota without a pause waits 20 minutes", retry.Policy{Schedule: retry.Schedule{Waits: []time.Duration{1}}}, 1, 0, overQuota, 20 * time.Minute, true},
		{"quota waits the pause beside NewBackOff", retry.Policy{NewBackOff: every(1)}, 1, 0, overQuota, 20 * time.Minute, true},
		{"doubt may be repeated", retry.Policy{AllowDuplicates: true}, 1, 0, lost, 5 * time.Second, true},
		{"doubt of a class that is not retryable may be repeated too", retry.Policy{AllowDuplicates: true}, 1, 0,
			&seserrors.Error{Class: seserrors.Canceled, MaybeAccepted: true}, 5 * time.Second, true},
		{"NewBackOff", retry.Policy{NewBackOff: every(7 * time.Second)}, 5, 0, throttled, 7 * time.Second, true},
		{"NewBackOff of 0", retry.Policy{NewBackOff: every(0)}, 5, 0, throttled, 0, true},
		{"NewBackOff says stop", retry.Policy{NewBackOff: every(backoff.Stop)}, 1, 0, throttled, 0, false},
		{"NewBackOff is negative", retry.Policy{NewBackOff: every(math.MinInt64)}, 1, 0, throttled, 0, false},
		{"NewBackOff is huge", retry.Policy{NewBackOff: every(math.MaxInt64), MaxElapsed: math.MaxInt64}, 1, 1, throttled, 0, false},
		{"NewBackOff gives nil", retry.Policy{NewBackOff: func() backoff.BackOff { return nil }}, 2, 0, throttled, 10 * time.Second, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.policy.Schedule.Jitter = -1
			wait, again := tt.policy.Next(tt.attempt, tt.elapsed, tt.err)
			if wait != tt.wait || again != tt.again {
				t.Errorf("Next = %v, %t, want %v, %t", wait, again, tt.wait, tt.again)
			}
		})
	}
}

func TestNextStepsANewBackOffToTheAttempt(t *testing.T) {
	p := retry.Policy{NewBackOff: func() backoff.BackOff { return &counting{} }}
	for attempt := 1; attempt <= 5; attempt++ {
		if wait, _ := p.Next(attempt, 0, throttled); wait != time.Duration(attempt) {
			t.Errorf("Next after attempt %d waits %d, want %d", attempt, wait, attempt)
		}
	}
}

// counting waits 1 ns, 2 ns, 3 ns and so on, and starts in the wrong place
// unless it is reset.
type counting struct {
	n     time.Duration
	reset bool
}

func (c *counting) Reset() { c.n, c.reset = 0, true }
func (c *counting) NextBackOff() time.Duration {
	if !c.reset {
		return backoff.Stop
	}
	c.n++
	return c.n
}

func TestPermanentMarksWhatMustNotBeRepeated(t *testing.T) {
	tests := []struct {
		name   string
		policy retry.Policy
		err    error
		marked bool
	}{
		{"throttled", retry.Policy{}, throttled, false},
		{"unavailable", retry.Policy{}, unavailable, false},
		{"quota exceeded", retry.Policy{}, overQuota, false},
		{"rejected", retry.Policy{}, rejected, true},
		{"clock skew", retry.Policy{}, skew, true},
		{"in doubt", retry.Policy{}, lost, true},
		{"in doubt, duplicates allowed", retry.Policy{AllowDuplicates: true}, lost, false},
		{"canceled", retry.Policy{}, context.Canceled, true},
		{"tried again already", retry.Policy{}, fmt.Errorf("send: %w", &retry.Error{Attempts: 2, Err: throttled}), true},
		{"marked already", retry.Policy{}, backoff.Permanent(throttled), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.policy.Permanent(tt.err)
			if _, marked := errors.AsType[*backoff.PermanentError](got); marked != tt.marked {
				t.Errorf("marked: %t, want %t", marked, tt.marked)
			}
			if !errors.Is(got, tt.err) {
				t.Errorf("%v does not hold %v", got, tt.err)
			}
		})
	}
	if err := (retry.Policy{}).Permanent(nil); err != nil {
		t.Errorf("Permanent(nil) = %v, want nil", err)
	}
}

func TestPermanentStopsBackoffRetry(t *testing.T) {
	calls := 0
	var p retry.Policy
	err := backoff.Retry(func() error {
		calls++
		if calls == 1 {
			return p.Permanent(throttled)
		}
		return p.Permanent(lost)
	}, retry.Schedule{Waits: []time.Duration{1}}.BackOff())
	if calls != 2 || !errors.Is(err, lost) {
		t.Errorf("%d calls and %v, want 2 and %v", calls, err, lost)
	}
}

func TestAfter(t *testing.T) {
	class := func(c seserrors.Class) error { return &seserrors.Error{Op: "smtp DATA", Class: c} }
	tests := []struct {
		name string
		err  error
		wait time.Duration
		ok   bool
	}{
		{"success", nil, 0, false},
		{"throttled", throttled, 5 * time.Second, true},
		{"unavailable", unavailable, 5 * time.Second, true},
		{"quota exceeded", overQuota, 20 * time.Minute, true},
		{"canceled", class(seserrors.Canceled), 0, true},
		{"canceled in doubt", &seserrors.Error{Class: seserrors.Canceled, MaybeAccepted: true}, 0, false},
		{"in doubt", lost, 0, false},
		{"rejected", rejected, 0, false},
		{"rejected, asks to wait", slowDown{rejected, time.Hour}, 0, false},
		{"invalid", class(seserrors.Invalid), 0, false},
		{"denied", class(seserrors.Denied), 0, false},
		{"suspended", class(seserrors.Suspended), 0, false},
		{"unknown", class(seserrors.Unknown), 0, false},
		{"asks for a wait", fmt.Errorf("limiter: %w", slowDown{throttled, 3 * time.Second}), 3 * time.Second, true},
		{"asks for nonsense", slowDown{throttled, -1}, 5 * time.Second, true},
		{"given up by Do", fmt.Errorf("job 7: %w", &retry.Error{Attempts: 4, RetryAfter: time.Minute, Err: throttled}), time.Minute, true},
		{"given up by Do, doubt elsewhere", errors.Join(&retry.Error{Attempts: 4, RetryAfter: time.Minute, Err: throttled}, lost), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if wait, ok := retry.After(tt.err); wait != tt.wait || ok != tt.ok {
				t.Errorf("After = %v, %t, want %v, %t", wait, ok, tt.wait, tt.ok)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("smtp DATA: throttled")
	tests := []struct {
		name string
		err  *retry.Error
		want string
	}{
		{"one attempt", &retry.Error{Attempts: 1, Elapsed: time.Second, Err: cause}, "smtp DATA: throttled"},
		{"no attempt", &retry.Error{Err: cause}, "smtp DATA: throttled"},
		{"several", &retry.Error{Attempts: 3, Elapsed: 15*time.Second + 123456789, Err: cause}, "3 attempts in 15.123s: smtp DATA: throttled"},
		{"no cause", &retry.Error{Attempts: 2}, "gave up after 2 attempts"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("Error() = %q, want %q", got, tt.want)
			}
		})
	}
}
