package event_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

// A ledger makes events of mails that are all different.
type ledger struct {
	*event.Reputation
	n int
}

func (l *ledger) observe(kind event.Type, sub, address, diagnostic string) {
	l.n++
	e := &event.Event{Type: kind, MessageID: fmt.Sprint("m", l.n), From: "shop@Mail.Example.com", Time: time.Unix(int64(l.n), 0),
		Recipients: []event.Recipient{{Address: address, Diagnostic: diagnostic}}}
	switch kind {
	case event.Bounce:
		e.BounceType, e.BounceSubType, _ = strings.Cut(sub, "/")
		_, e.BounceSubType, _ = strings.Cut(sub, "/")
		e.FeedbackID = fmt.Sprint("f", l.n)
	case event.Complaint:
		e.ComplaintSubType, e.FeedbackID = sub, fmt.Sprint("f", l.n)
	}
	l.Observe(e)
}

func (l *ledger) send(n int) {
	for i := range n {
		l.observe(event.Send, "", fmt.Sprintf("u%d@example.net", i), "")
	}
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		bounces, complaints int
		want                event.Level
	}{
		{0, 0, event.Good}, {19, 0, event.Good}, {20, 0, event.Watch}, {49, 0, event.Watch}, {50, 0, event.Review},
		{99, 0, event.Review}, {100, 0, event.Pause}, {0, 1, event.Review}, {0, 4, event.Review}, {0, 5, event.Pause}, {100, 1, event.Pause}, {20, 1, event.Review},
	} {
		l := ledger{Reputation: new(event.Reputation)}
		l.send(1000)
		for range c.bounces {
			l.observe(event.Bounce, "Permanent/General", "x@example.net", "")
		}
		for range c.complaints {
			l.observe(event.Complaint, "", "x@example.net", "")
		}
		for _, domain := range []string{"", "mail.example.com", "MAIL.example.com"} {
			r := l.Rates(domain)
			if r.Level != c.want || r.Sent != 1000 || r.Bounced != c.bounces || r.Complained != c.complaints || r.Bounce != float64(c.bounces)/1000 {
				t.Errorf("%d bounces, %d complaints of %q: %+v, want %v", c.bounces, c.complaints, domain, r, c.want)
			}
		}
	}
}

func TestWhatCountsForRates(t *testing.T) {
	for name, c := range map[string]struct {
		kind                      event.Type
		sub, address, diagnostic  string
		sent, bounced, complained int // beside 200 that were sent
	}{
		"hard bounce":               {event.Bounce, "Permanent/General", "x@example.net", "", 0, 1, 0},
		"no such email":             {event.Bounce, "Permanent/NoEmail", "x@example.net", "", 0, 1, 0},
		"global list":               {event.Bounce, "Permanent/Suppressed", "x@example.net", "", 0, 1, 0},
		"account's list":            {event.Bounce, "Permanent/OnAccountSuppressionList", "x@example.net", "", -1, 0, 0},
		"tenant's list":             {event.Bounce, "Permanent/OnTenantSuppressionList", "x@example.net", "", -1, 0, 0},
		"unsubscribed":              {event.Bounce, "Permanent/UnsubscribedRecipient", "x@example.net", "", 0, 0, 0},
		"validation":                {event.Bounce, "Permanent/EmailValidationSuppressed", "x@example.net", "", 0, 0, 0},
		"block list":                {event.Bounce, "Permanent/General", "x@example.net", "554 5.7.1 blocked using zen.spamhaus.org", 0, 0, 0},
		"spam":                      {event.Bounce, "Permanent/General", "x@example.net", "554 5.7.1 message rejected as spam", 0, 1, 0},
		"automatic reply":           {event.Bounce, "Transient/General", "x@example.net", "", 0, 0, 0},
		"full mailbox":              {event.Bounce, "Transient/MailboxFull", "x@example.net", "", 0, 0, 0},
		"undetermined":              {event.Bounce, "Undetermined/Undetermined", "x@example.net", "", 0, 0, 0},
		"own domain":                {event.Bounce, "Permanent/General", "x@Own.example", "", 0, 0, 0},
		"own subdomain":             {event.Bounce, "Permanent/General", "x@a.own.example", "", 0, 0, 0},
		"domain that ends like own": {event.Bounce, "Permanent/General", "x@notown.example", "", 0, 1, 0},
		"simulator":                 {event.Bounce, "Permanent/General", "bounce@simulator.amazonses.com", "", 0, 0, 0},
		"sent to the simulator":     {event.Send, "", "success@simulator.amazonses.com", "", 0, 0, 0},
		"sent to the own domain":    {event.Send, "", "x@own.example", "", 0, 0, 0},
		"sent":                      {event.Send, "", "x@example.net", "", 1, 0, 0},
		"complaint":                 {event.Complaint, "", "x@example.net", "", 0, 0, 1},
		"complaint not sent":        {event.Complaint, "OnAccountSuppressionList", "x@example.net", "", 0, 0, 0},
		"delivery":                  {event.Delivery, "", "x@example.net", "", 0, 0, 0},
		"delay":                     {event.DeliveryDelay, "", "x@example.net", "", 0, 0, 0},
	} {
		l := ledger{Reputation: &event.Reputation{VerifiedDomains: []string{"OWN.example"}}}
		l.send(200)
		l.observe(c.kind, c.sub, c.address, c.diagnostic)
		if r := l.Rates(""); r.Sent != 200+c.sent || r.Bounced != c.bounced || r.Complained != c.complained {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestCopiesCountOnce(t *testing.T) {
	var p event.Reputation
	for range 3 {
		for _, s := range []string{samples["send"], samples["bounce"], notifications["bounce"], samples["complaint"], notifications["complaint"]} {
			p.Observe(one(t, s))
		}
	}
	if r := p.Rates(""); r.Sent != 2 || r.Bounced != 1 || r.Complained != 1 || r.Level != event.Good {
		t.Errorf("%+v; and too little was sent to tell", r)
	}
	if r := p.Rates("mail.example.com"); r.Sent != 2 {
		t.Errorf("domain: %+v", r)
	}
	if r := p.Rates("other.example"); r != (event.Rates{}) {
		t.Errorf("other: %+v", r)
	}
}

// The window moves with the mails: old bounces leave it.
func TestWindowMoves(t *testing.T) {
	l := ledger{Reputation: &event.Reputation{Window: 1000}}
	var levels []string
	l.Changed = func(domain string, r event.Rates) {
		levels = append(levels, domain+":"+r.Level.String())
		l.Rates(domain) // not under a lock
	}
	l.send(500)
	for range 60 {
		l.observe(event.Bounce, "Permanent/General", "x@example.net", "")
	}
	if r := l.Rates(""); r.Level != event.Pause {
		t.Errorf("%+v", r)
	}
	l.send(1100)
	if r := l.Rates(""); r.Level != event.Good || r.Bounced != 0 || r.Sent > 1000 || r.Sent < 960 {
		t.Errorf("%+v", r)
	}
	want := "watch review pause review watch good"
	var account []string
	for _, s := range levels {
		if rest, ok := strings.CutPrefix(s, ":"); ok {
			account = append(account, rest)
		}
	}
	if got := strings.Join(account, " "); !strings.HasPrefix(got, "watch review pause") || !strings.HasSuffix(got, "good") || len(levels) != 2*len(account) {
		t.Errorf("levels %q, want like %q", levels, want)
	}
}

func TestLittleMailHasNoLevel(t *testing.T) {
	l := ledger{Reputation: new(event.Reputation)}
	l.send(99)
	for range 50 {
		l.observe(event.Bounce, "Permanent/General", "x@example.net", "")
	}
	if r := l.Rates(""); r.Level != event.Good || r.Bounce < 0.5 {
		t.Errorf("%+v", r)
	}
	l.send(1)
	if r := l.Rates(""); r.Level != event.Pause {
		t.Errorf("%+v", r)
	}
}

func TestReputationFromSeveralGoroutines(t *testing.T) {
	var p event.Reputation
	p.Changed = func(string, event.Rates) {}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				p.Observe(&event.Event{Type: event.Send, MessageID: fmt.Sprint(g, "/", i), Recipients: []event.Recipient{{Address: "x@example.net"}}})
				p.Rates("")
			}
		})
	}
	wg.Wait()
	if r := p.Rates(""); r.Sent != 800 {
		t.Errorf("%+v", r)
	}
}
