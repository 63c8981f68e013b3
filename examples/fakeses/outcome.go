package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// An outcome is what the world does to a mail after SES accepted it.
type outcome struct {
	Name, Label string
	publish     publisher
}

// A publisher publishes the event of an outcome for these recipients of a mail,
// or for all, and reports whether anybody hears of it.
type publisher func(e *sestest.Events, m sestest.Mail, to ...string) bool

var outcomes = []outcome{
	{"delivery", "Delivered", (*sestest.Events).Deliver},
	{"bounce", "Bounce: no such user", bounce("", "smtp; 550 5.1.1 user unknown")},
	{"mailbox-full", "Bounce: mailbox full", bounce("Transient/MailboxFull", "smtp; 552 5.2.2 mailbox full")},
	{"content-rejected", "Bounce: content rejected", bounce("Transient/ContentRejected", "smtp; 554 5.7.1 message refused as spam")},
	{"complaint", "Complaint", func(e *sestest.Events, m sestest.Mail, to ...string) bool { return e.Complain(m, "abuse", to...) }},
	{"delay", "Delivery is delayed", func(e *sestest.Events, m sestest.Mail, to ...string) bool {
		return e.Delay(m, "", "smtp; 451 4.7.1 greylisted, try again later", to...)
	}},
	{"reject", "Rejected: a virus", func(e *sestest.Events, m sestest.Mail, _ ...string) bool { return e.Reject(m) }},
	{"open", "Opened", func(e *sestest.Events, m sestest.Mail, _ ...string) bool { return e.Open(m) }},
	{"click", "Link clicked", func(e *sestest.Events, m sestest.Mail, _ ...string) bool { return e.Click(m, "https://example.com/") }},
}

func bounce(kind, diagnostic string) publisher {
	return func(e *sestest.Events, m sestest.Mail, to ...string) bool {
		return e.Bounce(m, kind, diagnostic, to...)
	}
}

func parseOutcome(name string) (o outcome, err error) {
	var names []string
	for _, o := range outcomes {
		if o.Name == name {
			return o, nil
		}
		names = append(names, o.Name)
	}
	return o, fmt.Errorf("%q is none of %s", name, strings.Join(names, ", "))
}

// publishing sets when events are published: each copies times, late.
func publishing(e *sestest.Events, copies int, late time.Duration) {
	times := slices.Repeat([]time.Duration{late}, copies)
	e.Schedule(func(string, sestest.Mail) []time.Duration { return times })
}

// reached returns the recipients of a mail to which SES really sends it: not
// those of its simulator, which answer by themselves, and not those on the
// suppression list.
func reached(a *sestest.Account, m sestest.Mail) []string {
	list := a.SuppressionList()
	return slices.DeleteFunc(slices.Clone(m.To), func(to string) bool {
		return strings.HasSuffix(strings.ToLower(to), "@simulator.amazonses.com") ||
			slices.ContainsFunc(list, func(s sestest.Suppressed) bool { return strings.EqualFold(s.Address, to) })
	})
}
