package load

import (
	"context"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
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

// attempt counts for sesguard.Hooks.AttemptDone.
func (m *meter) attempt(_ context.Context, a sesguard.Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts++
	m.tries = append(m.tries, a.Took)
	if a.N > 1 {
		m.retries++
	}
	if a.Err == nil {
		return
	}
	m.failures[failure{a.Err.Class, a.Err.Reason}]++
	if a.Err.Class == seserrors.Throttled {
		m.throttled++
	}
}
