package smtpclient

import (
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
)

var (
	wrong   = conn.Login{Username: "a", Password: "b"}
	denied  = seserrors.Error{Op: "smtp AUTH", Class: seserrors.Denied, Reason: seserrors.NotSubscribed, Code: 535}
	tooMuch = seserrors.Error{Op: "smtp greeting", Class: seserrors.Unavailable, Reason: seserrors.TooManyConnections, Code: 421}
)

// refuse has a dial fail beside so many others.
func (a *admission) refuse(t ticket, e seserrors.Error, others int) (again bool) {
	a.ended(&t)
	return a.refused(t, wrong, &e, 0, others, time.Now())
}

// Dials that began before a refusal was remembered do not make it a second one.
func TestDialsOfOneTimeAreRefusedOnce(t *testing.T) {
	a := &admission{most: 10, changed: func() {}}
	now := time.Now()
	var tickets []ticket
	for range 10 {
		ticket, err := a.admit(wrong, now)
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	for _, ticket := range tickets {
		a.refuse(ticket, denied, 0)
	}
	if a.wait != backoffMin {
		t.Errorf("remembered for %v", a.wait)
	}
	if _, err := a.admit(wrong, now); err == nil || err.Reason != seserrors.NotSubscribed {
		t.Errorf("%v", err)
	}
	for others, ticket := range tickets[1:] {
		if !a.refuse(ticket, tooMuch, 9-others) {
			t.Error("not to wait on")
		}
	}
	if a.limit != 1 || a.riseWait != backoffMin {
		t.Errorf("a ceiling of %d, tried again after %v", a.limit, a.riseWait)
	}
}

// A probe that fails in another way leaves the next one free to probe.
func TestAProbeThatTellsNothingLetsTheNextTry(t *testing.T) {
	other := seserrors.Error{Op: "smtp dial", Class: seserrors.Unavailable, Reason: seserrors.Network}
	for name, e := range map[string]seserrors.Error{"network": other, "too many connections": tooMuch} {
		a := &admission{most: 10, changed: func() {}}
		now := time.Now()
		first, _ := a.admit(wrong, now)
		a.refuse(first, denied, 0)
		now = now.Add(backoffMin + time.Second)
		probe, err := a.admit(wrong, now)
		if err != nil || !probe.probe {
			t.Fatalf("%+v, %v", probe, err)
		}
		if _, err := a.admit(wrong, now); err == nil {
			t.Error("two probes at one time")
		}
		a.refuse(probe, e, 1)
		if again, err := a.admit(wrong, now); err != nil || !again.probe {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
	}
}

// A dial ends where it fails and again where its waiter is told: in between the
// next one may have begun to probe.
func TestAProbeThatHasEndedDoesNotEndTheNext(t *testing.T) {
	a := &admission{most: 10, changed: func() {}}
	now := time.Now()
	first, _ := a.admit(wrong, now)
	a.refuse(first, denied, 0)
	now = now.Add(backoffMin + time.Second)
	probe, _ := a.admit(wrong, now)
	a.ended(&probe)
	if next, err := a.admit(wrong, now); err != nil || !next.probe {
		t.Fatalf("%+v, %v", next, err)
	}
	a.ended(&probe)
	if _, err := a.admit(wrong, now); err == nil {
		t.Error("two probes at one time")
	}
}

// A dial that began before a success tells nothing after it: its refusal is not
// remembered, and it is not the probe of a later refusal.
func TestAnOldDialSaysNothingAfterASuccess(t *testing.T) {
	start := func(t *testing.T) (a *admission, old ticket, now time.Time) {
		a, now = &admission{most: 10, changed: func() {}}, time.Now()
		first, _ := a.admit(wrong, now)
		a.refuse(first, denied, 0)
		now = now.Add(backoffMin + time.Second)
		old, err := a.admit(wrong, now)
		if err != nil || !old.probe {
			t.Fatalf("%+v, %v", old, err)
		}
		a.succeeded(1, now)
		return a, old, now
	}
	t.Run("refused", func(t *testing.T) {
		a, old, _ := start(t)
		a.refuse(old, denied, 0)
		if _, err := a.admit(wrong, time.Now()); err != nil {
			t.Errorf("the refusal of an old dial is remembered: %v", err)
		}
	})
	for name, e := range map[string]seserrors.Error{
		"network":              {Op: "smtp dial", Class: seserrors.Unavailable, Reason: seserrors.Network},
		"too many connections": tooMuch,
	} {
		t.Run(name+" beside a later probe", func(t *testing.T) {
			a, old, now := start(t)
			next, _ := a.admit(wrong, now)
			a.refuse(next, denied, 0)
			now = now.Add(backoffMin + time.Second)
			if probe, err := a.admit(wrong, now); err != nil || !probe.probe {
				t.Fatalf("%+v, %v", probe, err)
			}
			a.refuse(old, e, 1)
			if _, err := a.admit(wrong, now); err == nil {
				t.Error("two probes at one time")
			}
		})
	}
}

// Only a 421 in place of the greeting speaks of the other connections.
func TestWhatIsNotAboutTheNumberOfConnectionsLowersNoCeiling(t *testing.T) {
	for _, e := range []seserrors.Error{
		{Op: "smtp greeting", Class: seserrors.Denied, Reason: seserrors.AccessDenied, Code: 554},
		{Op: "smtp AUTH", Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Code: 421},
		{Op: "smtp dial", Class: seserrors.Unavailable, Reason: seserrors.Network},
	} {
		a := &admission{most: 10, changed: func() {}}
		ticket, _ := a.admit(wrong, time.Now())
		reason := e.Reason
		if again := a.refused(ticket, wrong, &e, 3, 1, time.Now()); again || e.Reason != reason || a.ceiling() != 10 {
			t.Errorf("%s %d: to wait on %v, reason %s, a ceiling of %d", e.Op, e.Code, again, e.Reason, a.ceiling())
		}
	}
}

// A timer of a ceiling that is gone may still run.
func TestNoCeilingComesFromALateTimer(t *testing.T) {
	a := &admission{most: 10, changed: func() {}}
	a.tick(time.Now())
	if a.ceiling() != 10 {
		t.Errorf("a ceiling of %d", a.ceiling())
	}
}

// Two refusals of one login in a row count. Other failures are not the first.
func TestOnlyARefusedLoginMakesTheNextOneTheSecond(t *testing.T) {
	invalid := seserrors.Error{Op: "smtp AUTH", Class: seserrors.Denied, Reason: seserrors.CredentialsInvalid, Code: 535}
	a := &admission{most: 10, changed: func() {}}
	ticket, _ := a.admit(wrong, time.Now())
	a.refuse(ticket, seserrors.Error{Op: "smtp dial", Class: seserrors.Unavailable, Reason: seserrors.Network}, 0)
	a.refuse(ticket, invalid, 0)
	if _, err := a.admit(wrong, time.Now()); err != nil {
		t.Errorf("the first 535 is remembered: %v", err)
	}
	a.refuse(ticket, invalid, 0)
	if _, err := a.admit(wrong, time.Now()); err == nil {
		t.Error("the second 535 is not remembered")
	}
}

func TestOtherCredentialsDoNotMakeRoomForConnections(t *testing.T) {
	a := &admission{most: 10, changed: func() {}}
	ticket, _ := a.admit(wrong, time.Now())
	a.refuse(ticket, tooMuch, 0)
	if _, err := a.admit(conn.Login{Username: "c", Password: "d"}, time.Now()); err == nil {
		t.Error("the server is dialled again at once")
	}
}
