package smtpclient

import (
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
)

const (
	backoffMin = 5 * time.Second
	backoffMax = time.Minute

	// lingering is how long a connection that said QUIT may still count at the
	// server, and retryAfter how long to leave the server alone meanwhile.
	lingering  = time.Second
	retryAfter = 100 * time.Millisecond
)

// An admission is what dials have taught: whether another one can work at all,
// and how many connections the server allows. The client's lock guards it.
//
// A refusal that every other dial would meet too (wrong credentials, an account
// without SES, no connection allowed at all) is remembered for 5 seconds,
// doubling up to a minute, so that 200 senders do not become 200 logins. One
// dial at a time finds out whether it has passed. A single 535 is not enough:
// SES answers so once in a while to credentials that are right.
//
// Too many connections, beside others of this client, makes their number the
// ceiling. After 5 seconds, doubling up to a minute while it is refused, one
// more is tried. Right after a QUIT it teaches nothing: the connection that was
// closed may still count.
type admission struct {
	most    int    // MaxConns
	changed func() // called in a goroutine of its own when a while is over

	refusal *seserrors.Error // nil: none
	of      conn.Login       // that drew it
	until   time.Time
	wait    time.Duration
	probing bool       // a dial is finding out
	suspect conn.Login // drew a 535, and nothing else came since
	gen     int        // counts what was remembered and forgotten

	limit    int           // the ceiling; 0: none but most
	reached  int           // connections that were allowed when it was set
	riseAt   time.Time     // when one more is tried
	riseWait time.Duration // how long that was put off
	lowered  int           // counts refusals beside others; those of dials begun before the last one are the same
	goodbye  time.Time     // when a connection last ended with QUIT
	resumeAt time.Time     // no dial before this
}

// A ticket admits one dial.
type ticket struct {
	gen, lowered int
	probe        bool
}

// ceiling is the number of connections that may be open now.
func (a *admission) ceiling() int {
	if a.limit == 0 {
		return a.most
	}
	return a.limit
}

// open reports whether another dial may begin beside so many slots in use.
func (a *admission) open(held int, now time.Time) bool {
	return held < a.ceiling() && !now.Before(a.resumeAt)
}

// admit returns the refusal that is remembered, or a ticket to dial with l.
func (a *admission) admit(l conn.Login, now time.Time) (ticket, *seserrors.Error) {
	if a.refusal != nil && a.refusal.Reason != seserrors.TooManyConnections && l != a.of {
		a.forget()
	}
	t := ticket{gen: a.gen, lowered: a.lowered}
	switch {
	case a.refusal == nil:
		return t, nil
	case a.probing || now.Before(a.until):
		e := *a.refusal
		return t, &e
	}
	a.probing, t.probe = true, true
	return t, nil
}

// ended lets another dial probe when that of this ticket has ended, in whatever way.
func (a *admission) ended(t *ticket) {
	if t.probe && t.gen == a.gen {
		a.probing = false
	}
	t.probe = false
}

func (a *admission) forget() {
	a.refusal, a.wait, a.probing = nil, 0, false
	a.gen++
}

// succeeded learns from a dial that made the number of connections open. One
// more than the server allowed before means that it allows more now, so the
// next is tried soon.
func (a *admission) succeeded(open int, now time.Time) {
	a.suspect = conn.Login{}
	if a.refusal != nil {
		a.forget()
	}
	if a.limit > 0 && open > a.reached {
		a.reached, a.riseWait = open, backoffMin
		a.planRise(now)
	}
}

// refused learns from a dial that failed beside so many open connections and
// other dials. It reports whether its waiter may wait on: for one of those, or
// for a connection that still counts at the server.
func (a *admission) refused(t ticket, l conn.Login, e *seserrors.Error, open, dialling int, now time.Time) (again bool) {
	if e.Code == 421 && e.Op == "smtp greeting" && open > 0 {
		e.Reason = seserrors.TooManyConnections // in other words
	}
	if e.Reason == seserrors.TooManyConnections {
		switch others := open + dialling; {
		case now.Sub(a.goodbye) < lingering:
			a.resumeAt = now.Add(retryAfter)
			time.AfterFunc(retryAfter, a.changed)
			again = true
		case others > 0:
			a.lower(t, others, now)
			again = true
		default:
			a.limit, a.riseWait = 0, 0 // no connection, no ceiling: who waits is told
		}
	}
	if !again {
		a.remember(t, l, e, now)
	}
	return again
}

// remember keeps a refusal that every other dial would meet. Those of dials that
// began before the last one was kept are the same refusal.
func (a *admission) remember(t ticket, l conn.Login, e *seserrors.Error, now time.Time) {
	lasting := e.Reason == seserrors.TooManyConnections || !e.Class.Retryable() && e.Reason.Scope() == seserrors.ScopeAccount
	first := e.Reason == seserrors.CredentialsInvalid && l != a.suspect
	if first {
		a.suspect = l
	}
	if t.gen == a.gen && lasting && !first {
		a.wait = min(max(2*a.wait, backoffMin), backoffMax)
		kept := *e // this one gets its caller's facts added
		a.refusal, a.of, a.until = &kept, l, now.Add(a.wait)
		a.gen++
	}
}

// lower makes the number of others the ceiling.
func (a *admission) lower(t ticket, others int, now time.Time) {
	if t.lowered == a.lowered {
		a.lowered++
		a.riseWait = min(max(2*a.riseWait, backoffMin), backoffMax)
		a.planRise(now)
	}
	a.limit = min(a.ceiling(), others)
	a.reached = a.limit
}

// tick lets one more connection be tried, if it is time.
func (a *admission) tick(now time.Time) {
	switch {
	case a.limit == 0 || now.Before(a.riseAt):
	case a.limit+1 >= a.most:
		a.limit, a.riseWait = 0, 0
	default:
		a.limit++
		a.planRise(now)
	}
}

func (a *admission) planRise(now time.Time) {
	a.riseAt = now.Add(a.riseWait)
	time.AfterFunc(a.riseWait, a.changed)
}
