package event_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

// suppressions is what sesguard.Suppressed asks for.
type suppressions interface {
	Suppressed(ctx context.Context, address string) (bool, error)
}

var _ suppressions = (*event.SuppressionList)(nil)

func listed(t *testing.T, s suppressions, address string) bool {
	t.Helper()
	return must(s.Suppressed(context.Background(), address))(t)
}

func TestAddressesAreComparedWithoutCase(t *testing.T) {
	var l event.SuppressionList
	l.Add("Ann.Example@EXAMPLE.net", "recipient-unknown")
	for _, address := range []string{"Ann.Example@example.net", "ann.example@Example.Net", "Ann <ANN.EXAMPLE@example.net>", " ann.example@example.net. "} {
		if !listed(t, &l, address) {
			t.Errorf("%q is not listed", address)
		}
	}
	for _, address := range []string{"", "example.net", "bob@example.net", "ann.example@example.com"} {
		if listed(t, &l, address) {
			t.Errorf("%q is listed", address)
		}
	}
	for address, reason := range l.All() {
		if address != "Ann.Example@example.net" || reason != "recipient-unknown" {
			t.Error(address, reason)
		}
	}
	l.Remove("ANN.EXAMPLE@example.net")
	if listed(t, &l, "ann.example@example.net") {
		t.Error("listed after Remove")
	}
	l.Add("", "x")
	for range l.All() {
		t.Error("an empty address is listed")
	}
}

// failure returns a bounce on a day.
func failure(t *testing.T, kind, sub, diagnostic string, n int) *event.Event {
	e := one(t, bounceOf(kind, sub, "ann@example.net", diagnostic))
	e.FeedbackID = fmt.Sprint("feedback-", n)
	e.Time = e.Time.Add(time.Duration(n) * 24 * time.Hour)
	return e
}

func TestWhatSuppresses(t *testing.T) {
	const odd, listing = "smtp; 550 5.7.1 Kaboom", "smtp; 554 5.7.1 blocked using zen.spamhaus.org"
	for name, c := range map[string]struct {
		kind, sub, diagnostic string
		after                 int // failures until listed; 0: never
	}{
		"unknown user":            {"Permanent", "General", "smtp; 550 5.1.1 user unknown", 1},
		"hard bounce, no words":   {"Permanent", "General", "", 1},
		"block list":              {"Permanent", "General", listing, 0},
		"words not understood":    {"Permanent", "General", odd, 0},
		"DMARC":                   {"Permanent", "General", "smtp; 550 5.7.26 DMARC", 0},
		"spam":                    {"Permanent", "General", "smtp; 550 5.7.1 message rejected as spam", 0},
		"full":                    {"Transient", "MailboxFull", "", 3},
		"full for good":           {"Permanent", "General", "smtp; 552 5.2.2 mailbox full", 3},
		"policy":                  {"Permanent", "General", "smtp; 550 5.7.1 policy reasons", 3},
		"nobody knows why":        {"Undetermined", "Undetermined", "", 3},
		"undetermined, words odd": {"Undetermined", "Undetermined", odd, 0},
		"automatic reply":         {"Transient", "General", "", 0},
		"temporary, unknown user": {"Transient", "General", "smtp; 550 5.1.1 user unknown", 3},
		"receiver down":           {"Transient", "General", "smtp; 421 4.4.1 connection timed out", 0},
		"too large":               {"Transient", "MessageTooLarge", "", 0},
		"on the account's list":   {"Permanent", "OnAccountSuppressionList", "", 1},
		"unsubscribed":            {"Permanent", "UnsubscribedRecipient", "", 1},
	} {
		var l event.SuppressionList
		got := 0
		for i := 1; i <= 6 && got == 0; i++ {
			l.Observe(failure(t, c.kind, c.sub, c.diagnostic, i))
			if listed(t, &l, "ann@example.net") {
				got = i
			}
		}
		if got != c.after {
			t.Errorf("%s: listed after %d, want %d", name, got, c.after)
		}
	}
}

func TestStrikes(t *testing.T) {
	full := func(n int) *event.Event { return failure(t, "Transient", "MailboxFull", "", n) }
	delivered := one(t, samples["delivery"])
	for name, c := range map[string]struct {
		events []*event.Event
		want   bool
	}{
		"a copy counts once":         {[]*event.Event{full(1), full(1), full(1), full(2)}, false},
		"a delivery forgives":        {[]*event.Event{full(1), full(2), delivered, full(3), full(4)}, false},
		"within 30 days":             {[]*event.Event{full(1), full(2), full(31)}, true},
		"over 30 days":               {[]*event.Event{full(1), full(2), full(32)}, false},
		"out of order":               {[]*event.Event{full(31), full(1), full(2)}, true},
		"a delay counts for nothing": {[]*event.Event{full(1), full(2), one(t, strings.Replace(samples["delay"], "TransientCommunicationFailure", "MailboxFull", 1))}, false},
	} {
		var l event.SuppressionList
		for _, e := range c.events {
			l.Observe(e)
		}
		if got := listed(t, &l, "ann@example.net"); got != c.want {
			t.Errorf("%s: listed is %v", name, got)
		}
	}
}

func TestSuppressionListFromSeveralGoroutines(t *testing.T) {
	var l event.SuppressionList
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			address := fmt.Sprintf("u%d@example.net", i%4)
			l.Observe(failure(t, "Transient", "MailboxFull", "", i))
			l.Add(address, "x")
			for range l.All() {
			}
			_, _ = l.Suppressed(context.Background(), address)
			l.Remove(address)
		})
	}
	wg.Wait()
}
