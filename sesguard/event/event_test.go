package event_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

// Copies of an event have one key, whatever carried them and in both shapes.
func TestKeyIsTheSameForCopies(t *testing.T) {
	keys := map[string]string{}
	for kind, sample := range samples {
		key := one(t, sample).Key()
		if other, ok := keys[key]; ok {
			t.Errorf("%s and %s share a key", kind, other)
		}
		keys[key] = kind
		for carrier, wrap := range carriers {
			if one(t, wrap(sample)).Key() != key {
				t.Errorf("%s: another key in %s", kind, carrier)
			}
		}
		if strings.Contains(key, "@") || len(key) != 32 {
			t.Errorf("%s: key %q", kind, key)
		}
	}
	for kind, n := range notifications {
		if one(t, n).Key() != one(t, samples[kind]).Key() {
			t.Errorf("%s: the notification has another key", kind)
		}
	}
}

func TestKeyTellsEventsApart(t *testing.T) {
	replace := func(kind string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(samples[kind]) }
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"another bounce":                {samples["bounce"], replace("bounce", "feed-back-000000", "feed-back-000009"), false},
		"a later open":                  {samples["open"], replace("open", "11:00:00", "11:00:01"), false},
		"another link at the same time": {samples["click"], replace("click", "com/x", "com/y"), false},
		"another mail":                  {samples["send"], replace("send", "0102019a-1111", "0102019a-9999"), false},
		"another recipient":             {samples["delivery"], replace("delivery", `["ann@example.net","bob@example.org"],"smtp`, `["ann@example.net"],"smtp`), false},
		"recipients in another order":   {samples["delivery"], replace("delivery", `["ann@example.net","bob@example.org"],"smtp`, `["Bob@example.org","ann@example.net"],"smtp`), true},
		"the same time written apart":   {samples["open"], replace("open", "11:00:00.000Z", "13:00:00+02:00"), true},
		"no ids at all":                 {`{"eventType":"X","mail":{}}`, `{"eventType":"X","mail":{},"a":1}`, false},
	} {
		if same := one(t, c.a).Key() == one(t, c.b).Key(); same != c.same {
			t.Errorf("%s: same is %v", name, same)
		}
	}
}

// The state of a mail does not depend on the order of its events.
func TestStateFoldsInAnyOrder(t *testing.T) {
	auto := bounceOf("Transient", "General", "ann@example.net", "")
	for name, c := range map[string]struct {
		events []string
		want   event.State
	}{
		"nothing":                     {nil, event.Unseen},
		"accepted":                    {[]string{samples["send"]}, event.Sent},
		"kept waiting":                {[]string{samples["send"], samples["delay"]}, event.Delayed},
		"given up":                    {[]string{samples["send"], samples["delay"], auto}, event.GivenUp},
		"delivered after a delay":     {[]string{samples["send"], samples["delay"], samples["delivery"]}, event.Delivered},
		"automatic reply":             {[]string{samples["send"], samples["delivery"], auto}, event.Delivered},
		"bounced after the delivery":  {[]string{samples["delivery"], samples["bounce"]}, event.Failed},
		"virus":                       {[]string{samples["send"], samples["reject"]}, event.Failed},
		"template":                    {[]string{samples["send"], samples["rendering failure"]}, event.Failed},
		"complaint":                   {[]string{samples["send"], samples["delivery"], samples["open"], samples["complaint"]}, event.Complained},
		"opened, its delivery lost":   {[]string{samples["send"], samples["open"]}, event.Delivered},
		"unsubscribed":                {[]string{samples["subscription"]}, event.Delivered},
		"clicked":                     {[]string{samples["click"]}, event.Delivered},
		"only a kind nobody knows":    {[]string{samples["unknown kind"]}, event.Sent},
		"an event of no mail":         {[]string{`{"eventType":"Bounce","mail":{}}`}, event.Unseen},
		"complaint that was not sent": {[]string{strings.Replace(samples["complaint"], `"complaintSubType":null`, `"complaintSubType":"OnAccountSuppressionList"`, 1)}, event.Failed},
	} {
		for range 10 {
			rand.Shuffle(len(c.events), func(i, j int) { c.events[i], c.events[j] = c.events[j], c.events[i] })
			var state event.State
			for _, s := range c.events {
				state = max(state, one(t, s).State())
			}
			if state != c.want {
				t.Errorf("%s: %v, want %v", name, state, c.want)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{event.Complained.String(), "complained"}, {event.State(99).String(), "unknown"},
		{event.Suppress.String(), "suppress"}, {event.Duplicated.String(), "duplicated"}, {event.Pause.String(), "pause"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
