package smtpclient

import (
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const (
	lockoutMin = 5 * time.Second
	lockoutMax = time.Minute
)

// A lockout remembers that the account cannot sign in, so that 200 senders that
// wait do not become 200 failed logins. After a while one dial finds out whether
// it still is so; the while doubles.
type lockout struct {
	mu      sync.Mutex
	err     *seserrors.Error
	login   login // that failed
	until   time.Time
	wait    time.Duration
	probing bool
	gen     int // counts what was remembered and forgotten

	ceiling ceiling // what the same refusals say beside other connections
}

// A ticket admits one dial.
type ticket struct {
	gen   int
	probe bool
}

// lasting reports whether every other dial would fail in the same way.
func lasting(e *seserrors.Error) bool {
	account := !e.Class.Retryable() && e.Reason.Scope() == seserrors.ScopeAccount
	return account || e.Reason == seserrors.TooManyConnections
}

// admit returns the error that is remembered, or a ticket to dial.
func (o *lockout) admit(l login) (ticket, *seserrors.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil && o.err.Reason != seserrors.TooManyConnections && (l.username != o.login.username || l.password != o.login.password) {
		o.forget()
	}
	switch {
	case o.err == nil:
		return ticket{gen: o.gen}, nil
	case o.probing || time.Now().Before(o.until):
		e := *o.err
		return ticket{}, &e
	}
	o.probing = true
	return ticket{gen: o.gen, probe: true}, nil
}

func (o *lockout) forget() {
	o.err, o.wait, o.probing = nil, 0, false
	o.gen++
}

// report says what came of a dial. Failures of dials that began before the last
// one was remembered are the same failure. A crowded dial was refused beside
// other connections and locks nobody out.
func (o *lockout) report(t ticket, l login, e *seserrors.Error, crowded bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case e == nil:
		if o.err != nil {
			o.forget()
		}
	case t.gen != o.gen:
	case lasting(e) && !crowded:
		o.wait = min(max(2*o.wait, lockoutMin), lockoutMax)
		o.err, o.login, o.until, o.probing = e, l, time.Now().Add(o.wait), false
		o.gen++
	case t.probe:
		o.probing = false
	}
}
