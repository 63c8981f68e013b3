package retry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// What SES answers when a mail is sent too fast.
var tooFast = seserrors.FromSMTP("smtp DATA", 454, "Throttling failure: Maximum sending rate exceeded.")

func Example() {
	answers := []error{tooFast, tooFast, nil}
	send := func(ctx context.Context) error {
		err := answers[0]
		answers = answers[1:]
		return err
	}

	p := retry.Policy{
		// So that the example ends soon. Leave it out, and AWS's schedule holds.
		Schedule:  retry.Schedule{Waits: []time.Duration{time.Millisecond, 2 * time.Millisecond}, Jitter: -1},
		OnAttempt: func(a retry.Attempt) { fmt.Println("attempt", a.N, "again:", a.Again, "wait:", a.Wait) },
	}
	fmt.Println(retry.Do(context.Background(), p, send))
	// Output:
	// attempt 1 again: true wait: 1ms
	// attempt 2 again: true wait: 2ms
	// attempt 3 again: false wait: 0s
	// <nil>
}

// There is no time to wait for the next attempt: Do returns at once, and After
// says when the mail may be tried again.
func ExampleDo_deadline() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	p := retry.Policy{Schedule: retry.Schedule{Jitter: -1}}
	err := retry.Do(ctx, p, func(context.Context) error { return tooFast })

	wait, ok := retry.After(err)
	fmt.Println(errors.Is(err, seserrors.Throttled), ok, wait)
	// Output: true true 5s
}

func ExampleError() {
	p := retry.Policy{MaxAttempts: 3, Schedule: retry.Schedule{Waits: []time.Duration{time.Millisecond}}}
	err := retry.Do(context.Background(), p, func(context.Context) error { return tooFast })

	var gaveUp *retry.Error
	if errors.As(err, &gaveUp) {
		fmt.Println(gaveUp.Attempts, "attempts, retryable:", seserrors.IsRetryable(err))
	}
	// Output: 3 attempts, retryable: true
}

func ExampleAfter() {
	for _, err := range []error{
		tooFast,
		seserrors.QuotaExceeded,
		seserrors.Rejected,
		&seserrors.Error{Class: seserrors.Unavailable, MaybeAccepted: true},
	} {
		fmt.Println(retry.After(err))
	}
	// Output:
	// 5s true
	// 20m0s true
	// 0s false
	// 0s false
}

func ExampleSchedule_Bounds() {
	var s retry.Schedule // AWS's
	for n := 1; n <= 5; n++ {
		fmt.Println(s.Bounds(n))
	}
	// Output:
	// 5s 5.5s
	// 10s 11s
	// 30s 33s
	// 20m0s 22m0s
	// 5s 5.5s
}

// Code that calls backoff.Retry already takes its waits from a Schedule, and
// marks with a Policy what must not be repeated.
func ExampleSchedule_BackOff() {
	s := retry.Schedule{Waits: []time.Duration{time.Millisecond}}
	p := retry.Policy{Schedule: s}
	answers := []error{tooFast, seserrors.FromSMTP("smtp DATA", 552, "Message is too long.")}
	n := 0
	err := backoff.Retry(func() error {
		n++
		return p.Permanent(answers[n-1])
	}, s.BackOff())
	fmt.Println(n, "attempts, fatal:", seserrors.IsFatal(err))
	// Output: 2 attempts, fatal: true
}

// Another BackOff gives the waits instead of the schedule.
func ExamplePolicy_newBackOff() {
	p := retry.Policy{
		NewBackOff: func() backoff.BackOff {
			b := backoff.NewExponentialBackOff()
			b.InitialInterval, b.RandomizationFactor = 10*time.Second, 0
			return b
		},
	}
	fmt.Println(p.Next(1, 0, tooFast))
	fmt.Println(p.Next(2, 0, tooFast))
	// Output:
	// 10s true
	// 15s true
}

// A queue keeps its own time. For each failed send it asks, in this order.
func ExamplePolicy_Next_queue() {
	policy := retry.Policy{MaxAttempts: 5, Schedule: retry.Schedule{Jitter: -1}}

	decide := func(attempt int, elapsed time.Duration, err error) string {
		if seserrors.MaybeAccepted(err) {
			return "park: it may have gone out"
		}
		if seserrors.IsFatal(err) {
			switch seserrors.Classify(err).Reason.Scope() {
			case seserrors.ScopeSender, seserrors.ScopeAccount, seserrors.ScopeConnection:
				return "hold it and pause the queue: the next would fail too"
			}
		}
		if wait, again := policy.Next(attempt, elapsed, err); again {
			return fmt.Sprint("requeue in ", wait)
		}
		return "dead-letter"
	}

	lost := &seserrors.Error{
		Op: "smtp end of data", Class: seserrors.Unavailable,
		Reason: seserrors.ResponseLost, MaybeAccepted: true,
	}
	unverified := seserrors.FromSMTP("smtp DATA", 554, "Message rejected: Email address is not verified. "+
		"The following identities failed the check in region EU-WEST-1: sender@example.com")
	tooLong := seserrors.FromSMTP("smtp DATA", 552, "Message is too long.")

	fmt.Println(decide(1, 0, lost))
	fmt.Println(decide(1, 0, unverified))
	fmt.Println(decide(1, 0, tooFast))
	fmt.Println(decide(4, 45*time.Second, tooFast))
	fmt.Println(decide(5, 21*time.Minute, tooFast))
	fmt.Println(decide(1, 0, tooLong))
	// Output:
	// park: it may have gone out
	// hold it and pause the queue: the next would fail too
	// requeue in 5s
	// requeue in 20m0s
	// dead-letter
	// dead-letter
}
