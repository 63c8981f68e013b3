package main

import (
	"context"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

// A meter counts and times: sends, which include waits and the limiter, and
// tries, which are one exchange with SES each.
type meter struct {
	mu                         sync.Mutex
	sends, tries               []time.Duration
	accepted, refused, inDoubt int
	attempts, retries          int
	throttled                  int
	failures                   map[failure]int
}

// A failure is why an attempt failed.
type failure struct {
	class  seserrors.Class
	reason seserrors.Reason
}

func newMeter() *meter { return &meter{failures: map[failure]int{}} }

func (m *meter) sent() int { return len(m.sends) }

// send notes what Send said.
func (m *meter) send(took time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sends = append(m.sends, took)
	switch {
	case err == nil:
		m.accepted++
	case seserrors.MaybeAccepted(err):
		m.inDoubt++
	default:
		m.refused++
	}
}

// attempt counts for retry.Policy.OnAttempt. An attempt may end in the limiter
// and reach no transport.
func (m *meter) attempt(a retry.Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts++
	if a.N > 1 {
		m.retries++
	}
	if a.Err == nil {
		return
	}
	e := seserrors.Classify(a.Err)
	m.failures[failure{e.Class, e.Reason}]++
	if e.Class == seserrors.Throttled {
		m.throttled++
	}
}

// timed puts the meter around a transport.
func (m *meter) timed(next sesguard.Sender) sesguard.Sender {
	return sesguard.SenderFunc(func(ctx context.Context, msg *sesguard.Message) (*sesguard.Receipt, error) {
		begin := time.Now()
		receipt, err := next.Send(ctx, msg)
		took := time.Since(begin)
		m.mu.Lock()
		m.tries = append(m.tries, took)
		m.mu.Unlock()
		return receipt, err
	})
}
