package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A fake is the server with what the page shows of it and changes in it. It is
// safe for concurrent use.
type fake struct {
	ses *sestest.Server
	box *mailbox
	set string // configuration set of mails that name none

	mu       sync.Mutex
	standing standing
	faults   []sestest.Fault // those of the script; the ones that struck stand first
	next     []outcome       // of the next mails
	usual    *outcome        // of all others, or nil
}

// A standing is what AWS thinks of the account.
type standing struct {
	Sandbox, Paused, Suspended, Probation bool
	Rate, Quota                           float64 // 0: no limit
}

func (s standing) apply(a *sestest.Account) {
	a.SetSandbox(s.Sandbox)
	a.SetSendingPaused(s.Paused)
	a.SetSuspended(s.Suspended)
	a.SetProbation(s.Probation)
	a.SetMaxSendRate(s.Rate)
	a.SetMax24HourSend(s.Quota)
}

func (f *fake) setStanding(s standing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.standing = s
	s.apply(f.ses.Account)
}

func (f *fake) currentStanding() standing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.standing
}

// script queues faults, all or none of them.
func (f *fake) script(faults []sestest.Fault) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ses.FaultsLeft()+len(faults) > maxFaults {
		return errTooMany
	}
	f.faults = append(f.faults[f.struck():], faults...)
	f.ses.Script(faults...)
	return nil
}

// struck returns how many of the faults met somebody.
func (f *fake) struck() int { return max(0, len(f.faults)-f.ses.FaultsLeft()) }

// waiting returns the faults that nobody has met yet.
func (f *fake) waiting() []sestest.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.faults[f.struck():])
}

func (f *fake) clearFaults() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ses.ClearScript()
	f.faults = nil
}

// expect queues what becomes of the next mails.
func (f *fake) expect(o outcome, count int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next)+count > maxFaults {
		return errTooMany
	}
	f.next = append(f.next, slices.Repeat([]outcome{o}, count)...)
	return nil
}

func (f *fake) expected() []outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.next)
}

func (f *fake) clearExpected() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = nil
}

// collect takes over what the server has accepted and published since the last
// time, and has the world act on new mails.
func (f *fake) collect() {
	f.mu.Lock()
	defer f.mu.Unlock()
	accepted := f.ses.TakeAccepted()
	all := append(f.ses.TakeUnrendered(), accepted...)
	slices.SortStableFunc(all, func(a, b sestest.Mail) int { return a.Time.Compare(b.Time) })
	f.box.add(all...)
	for _, m := range accepted {
		if to := reached(f.ses.Account, m); len(to) > 0 {
			if o := f.outcomeOf(); o != nil {
				o.publish(f.ses.Events, m, to...)
			}
		}
	}
	for _, text := range f.ses.Events.Take() {
		events, _ := event.Parse(text) // the server writes only what can be read
		for _, e := range events {
			e.Headers = nil // the mail has them
		}
		f.box.addEvents(events...)
	}
}

// outcomeOf returns what becomes of the next mail, or nil.
func (f *fake) outcomeOf() *outcome {
	if len(f.next) == 0 {
		return f.usual
	}
	o := f.next[0]
	f.next = f.next[1:]
	return &o
}

// collectEvery bounds what gathers in the server while nobody looks at the page.
const collectEvery = 100 * time.Millisecond

// run collects until the context ends.
func (f *fake) run(ctx context.Context) {
	t := time.NewTicker(collectEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f.collect()
		}
	}
}

// settle gives what was just published a moment to be delivered, so that the
// page that follows shows it. A subscriber who is slow is not waited for.
func (f *fake) settle() {
	done := make(chan struct{})
	go func() { // ends with the server at the latest
		f.ses.Events.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Second / 2):
	}
}

// verify adds an identity or changes it: "example.com" or "example.com=PENDING".
// Its mails use the configuration set unless they name one.
func verify(a *sestest.Account, identity, set string) {
	name, status, _ := strings.Cut(identity, "=")
	a.SetIdentity(name, sestest.Identity{Status: strings.ToUpper(status), ConfigurationSet: set})
}

// suppress puts an address on the list: "ann@example.net", with the reason
// BOUNCE, or "ann@example.net=COMPLAINT".
func suppress(a *sestest.Account, entry string) {
	address, reason, _ := strings.Cut(entry, "=")
	a.Suppress(address, strings.ToUpper(cmp.Or(reason, "BOUNCE")))
}
