package event_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

// one parses exactly one event.
func one(t testing.TB, data string) *event.Event {
	t.Helper()
	events := must(event.Parse([]byte(data)))(t)
	if len(events) != 1 {
		t.Fatalf("%d events, want 1, of %.200s", len(events), data)
	}
	return events[0]
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// Whatever carries an event, it is the same event.
func TestEveryCarrierGivesTheEvent(t *testing.T) {
	kinds := map[string]string{}
	for name, s := range samples {
		kinds[name] = s
	}
	for name, s := range notifications {
		kinds[name+" notification"] = s
	}
	for kind, sample := range kinds {
		want := one(t, sample)
		for carrier, wrap := range carriers {
			got := one(t, wrap(sample))
			got.Raw, want.Raw = nil, nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s in %s:\n%+v, want\n%+v", kind, carrier, got, want)
			}
		}
	}
}

func TestFieldsOfEachKind(t *testing.T) {
	mail := event.Event{
		Time: at("2026-05-04T10:11:12.345Z"), MessageID: "0102019a-1111-2222-000000", SentAt: at("2026-05-04T10:11:12.345Z"),
		From: "Shop <shop@mail.example.com>", SourceARN: "arn:aws:ses:eu-west-1:111122223333:identity/mail.example.com", AccountID: "111122223333",
		To:      []string{"ann@example.net", "bob@example.org"},
		Headers: []event.Header{{Name: "From", Value: "Shop <shop@mail.example.com>"}, {Name: "Subject", Value: "Hello"}},
		Common: event.CommonHeaders{From: []string{"Shop <shop@mail.example.com>"}, To: []string{"ann@example.net"}, Cc: []string{"bob@example.org"}, ReplyTo: []string{"help@example.com"},
			Date: "Mon, 4 May 2026 10:11:12 +0000", Subject: "Hello", MessageID: "0102019a-1111-2222-000000"},
		Tags: map[string][]string{"ses:configuration-set": {"news"}, "ses:from-domain": {"mail.example.com"}, "sesguard-id": {"abcdefghijklmnopqrstuvwxyz"}},
	}
	both := []event.Recipient{{Address: "ann@example.net"}, {Address: "bob@example.org"}}
	tests := map[string]func(e *event.Event){
		"send":   func(e *event.Event) { e.Type, e.Recipients = event.Send, both },
		"reject": func(e *event.Event) { e.Type, e.Recipients, e.Problem = event.Reject, both, "Bad content" },
		"bounce": func(e *event.Event) {
			e.Type, e.Time = event.Bounce, at("2026-05-04T10:11:13Z")
			e.BounceType, e.BounceSubType, e.FeedbackID = "Permanent", "General", "0102019a-feed-back-000000"
			e.Recipients = []event.Recipient{{Address: "ann@example.net", Action: "failed", Status: "5.1.1", Diagnostic: "smtp; 550 5.1.1 user unknown"}}
			e.ReportingMTA, e.RemoteIP = "dsn; a8-70.smtp-out.amazonses.com", "192.0.2.7"
		},
		"complaint": func(e *event.Event) {
			e.Type, e.Time = event.Complaint, at("2026-05-05T10:11:13Z")
			e.FeedbackID, e.UserAgent, e.ComplaintType = "0102019a-feed-back-000001", "Feedback/1", "abuse"
			e.ArrivedAt = at("2026-05-04T10:11:14Z")
			e.Recipients = both[1:]
		},
		"delivery": func(e *event.Event) {
			e.Type, e.Time, e.Recipients = event.Delivery, at("2026-05-04T10:11:14Z"), both
			e.Processing, e.Response, e.ReportingMTA, e.RemoteIP = 1655*time.Millisecond, "250 2.6.0 Message received", "mta.example.com", "192.0.2.8"
		},
		"open": func(e *event.Event) {
			e.Type, e.Time, e.IP, e.UserAgent, e.Bot = event.Open, at("2026-05-04T11:00:00Z"), "192.0.2.9", "Reader/1", true
		},
		"click": func(e *event.Event) {
			e.Type, e.Time, e.IP, e.UserAgent = event.Click, at("2026-05-04T11:01:00Z"), "192.0.2.9", "Reader/1"
			e.Link, e.LinkTags = "https://example.com/x", map[string][]string{"place": {"top", "left"}}
		},
		"delay": func(e *event.Event) {
			e.Type, e.Time, e.DelayType = event.DeliveryDelay, at("2026-05-04T10:21:14.095Z"), "TransientCommunicationFailure"
			e.Expires, e.ReportingMTA = at("2026-05-05T00:11:12Z"), "192.0.2.44"
			e.Recipients = []event.Recipient{{Address: "ann@example.net", Status: "4.4.1", Diagnostic: "smtp; 421 4.4.1 Unable to connect to remote host"}}
		},
		"subscription": func(e *event.Event) {
			e.Type, e.Time = event.Subscription, at("2026-05-04T12:00:00Z")
			e.Preferences = &event.Preferences{ContactList: "readers", Source: "UnsubscribeHeader",
				Old: event.TopicPreferences{Topics: map[string]string{"news": "OptIn"}},
				New: event.TopicPreferences{UnsubscribeAll: true, Topics: map[string]string{"news": "OptOut"}, Defaults: map[string]string{"tips": "OptIn"}}}
		},
		"unknown kind": func(e *event.Event) { e.Type = "Teleported" },
		"rendering failure": func(e *event.Event) {
			*e = event.Event{Type: event.RenderingFailure, Time: e.Time, SentAt: e.SentAt, MessageID: e.MessageID, To: e.To[:1],
				Recipients: both[:1], Tags: map[string][]string{"ses:configuration-set": {"news"}},
				Template: "welcome", Problem: "Attribute 'name' is not present in the rendering data."}
		},
	}
	for kind, change := range tests {
		want := mail
		change(&want)
		got := one(t, samples[kind])
		if string(got.Raw) != samples[kind] {
			t.Errorf("%s: Raw is not what SES wrote", kind)
		}
		got.Raw, got.ArrivedAt = nil, got.ArrivedAt.UTC()
		if got.ArrivedAt.IsZero() {
			got.ArrivedAt = time.Time{}
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\n%+v, want\n%+v", kind, *got, want)
		}
	}
	if len(tests) != len(samples) {
		t.Errorf("%d kinds tested of %d", len(tests), len(samples))
	}

	n := one(t, notifications["bounce"])
	if n.Tags != nil || n.SourceIP != "192.0.2.1" || n.CallerIdentity != "mailer" || !n.SentAt.Equal(at("2026-05-04T10:11:12Z")) {
		t.Errorf("notification: %+v", n)
	}
}

// Documentation, emulators and coming versions differ in types; an event is of
// use all the same.
func TestOddFieldsAreForgiven(t *testing.T) {
	for name, c := range map[string]struct {
		json string
		ok   func(*event.Event) bool
	}{
		"headersTruncated as a text":  {`{"eventType":"Send","mail":{"messageId":"m","headersTruncated":"true"}}`, func(e *event.Event) bool { return e.HeadersTruncated }},
		"headersTruncated as a bool":  {`{"eventType":"Send","mail":{"messageId":"m","headersTruncated":true}}`, func(e *event.Event) bool { return e.HeadersTruncated }},
		"account as a number":         {`{"eventType":"Send","mail":{"messageId":"m","sendingAccountId":111122223333}}`, func(e *event.Event) bool { return e.AccountID == "111122223333" }},
		"one destination":             {`{"eventType":"Send","mail":{"messageId":"m","destination":"a@example.com"}}`, func(e *event.Event) bool { return e.To[0] == "a@example.com" }},
		"tag that is no list":         {`{"eventType":"Send","mail":{"messageId":"m","tags":{"k":"v"}}}`, func(e *event.Event) bool { return e.Tag("k") == "v" }},
		"bounce that is a text":       {`{"eventType":"Bounce","bounce":"x","mail":{"messageId":"m"}}`, func(e *event.Event) bool { return e.MessageID == "m" }},
		"message id that is a number": {`{"eventType":"Send","mail":{"messageId":7,"source":"a@example.com"}}`, func(e *event.Event) bool { return e.From == "a@example.com" }},
		"nulls":                       {`{"eventType":"Complaint","complaint":{"arrivalDate":null,"userAgent":null,"complainedRecipients":null},"mail":{"messageId":"m","destination":null,"headers":null,"tags":null}}`, func(e *event.Event) bool { return e.Type == event.Complaint && e.Recipients == nil }},
		"time that is none":           {`{"eventType":"Send","mail":{"messageId":"m","timestamp":"yesterday"}}`, func(e *event.Event) bool { return e.Time.IsZero() }},
		"time without colon":          {`{"eventType":"Send","mail":{"messageId":"m","timestamp":"2026-05-04T10:00:00.000+0200"}}`, func(e *event.Event) bool { return e.Time.Equal(at("2026-05-04T08:00:00Z")) }},
		"keys twice":                  {`{"eventType":"Bounce","eventType":"Send","mail":{"messageId":"a"},"mail":{"messageId":"m"}}`, func(e *event.Event) bool { return e.Type == event.Send && e.MessageID == "m" }},
		"new fields":                  {`{"eventType":"Send","mail":{"messageId":"m","aura":{"deep":[1]}},"extra":1}`, func(e *event.Event) bool { return bytes.Contains(e.Raw, []byte("aura")) }},
		"open of a single recipient":  {`{"eventType":"Open","open":{},"mail":{"messageId":"m","destination":["a@example.com"]}}`, func(e *event.Event) bool { return e.Recipients[0].Address == "a@example.com" }},
	} {
		if e := one(t, c.json); !c.ok(e) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestWhatIsNoEventGivesNone(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":                       "",
		"white space":                   " \n\t",
		"note of event publishing":      "Successfully validated SNS topic for Amazon SES event publishing.\n",
		"the same in an envelope":       envelope("Successfully validated SNS topic for Amazon SES event publishing."),
		"note of an identity":           envelope(`{"notificationType":"AmazonSnsSubscriptionSucceeded","message":"You have successfully subscribed"}`),
		"another publisher's text":      envelope("disk is full"),
		"another publisher's JSON":      envelope(`{"eventType":"OrderPlaced","order":7}`),
		"advisor of EventBridge":        `{"version":"0","detail-type":"Advisor Recommendation Status Open","source":"aws.ses","detail":{"version":"1.0","data":"DKIM is not set up."}}`,
		"another source of EventBridge": `{"version":"0","detail-type":"EC2 Instance State-change","source":"aws.ec2","detail":{"state":"running"}}`,
		"mail that was received":        `{"Records":[{"eventSource":"aws:ses","ses":{"mail":{"messageId":"m"},"receipt":{}}}]}`,
		"empty queue":                   `{"Messages":[]}`,
		"S3 test event":                 `{"Service":"Amazon S3","Event":"s3:TestEvent"}`,
		"scalar":                        "7 true null \"x\"",
	} {
		if events := must(event.Parse([]byte(data)))(t); len(events) != 0 {
			t.Errorf("%s: %d events", name, len(events))
		}
	}
}

func TestSeveralEventsInARow(t *testing.T) {
	compact := func(s string) string { return strings.ReplaceAll(s, "\n", "") }
	a, b, c := compact(samples["send"]), compact(samples["delivery"]), compact(envelope(samples["bounce"]))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, a+b+c)
	_ = z.Close()
	for name, data := range map[string]string{
		"without line ends": a + b + c,
		"with line ends":    a + "\n" + b + "\r\n" + c + "\n",
		"over lines":        samples["send"] + "\n\n" + samples["delivery"] + c,
		"array":             "[" + a + "," + b + "," + c + "]",
		"gzip":              zipped.String(),
		"gzip members":      zipped.String()[:0] + gzipped(a) + gzipped(b+c),
	} {
		var types []event.Type
		for _, e := range must(event.Parse([]byte(data)))(t) {
			types = append(types, e.Type)
		}
		var streamed []event.Type
		for e, err := range event.Read(strings.NewReader(data)) {
			if err != nil {
				t.Fatal(name, err)
			}
			streamed = append(streamed, e.Type)
		}
		want := []event.Type{event.Send, event.Delivery, event.Bounce}
		if !reflect.DeepEqual(types, want) || !reflect.DeepEqual(streamed, want) {
			t.Errorf("%s: Parse %v, Read %v", name, types, streamed)
		}
	}
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func TestErrorsNameTheOffset(t *testing.T) {
	a := `{"eventType":"Send","mail":{"messageId":"m"}}`
	for name, c := range map[string]struct {
		data, want string
		events     int
	}{
		"no JSON":            {"Hello", "at offset 1:", 0},
		"second value":       {a + "\n{]", "at offset 48:", 1},
		"cut":                {a + `{"eventType":`, "unexpected EOF", 1},
		"within an envelope": {envelope(`{"eventType":`), "in a message", 0},
		"one of a batch":     {`{"Messages":[{"Body":"{x"},{"Body":` + quote(a) + `}]}`, "in a message: at offset 2", 1},
		"no gzip":            {"\x1f\x8bnonsense", "gzip", 0},
		"deep":               {strings.Repeat("[", 20_000), "exceeded max depth", 0},
		"carriers in carriers": {func() string {
			s := a
			for range 12 {
				s = bridge(s)
			}
			return s
		}(), "too many carriers", 0},
	} {
		events, err := event.Parse([]byte(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "event: ") || len(events) != c.events {
			t.Errorf("%s: %d events, %v; want %q", name, len(events), err, c.want)
		}
	}
}

// An endless value and a file that unpacks to very much are cut off.
func TestSizesAreBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"x":"`), zeros{})
	for _, err := range event.Read(endless) {
		if err == nil || !strings.Contains(err.Error(), "longer than 16 MiB") {
			t.Error(err)
		}
	}
	if underRace {
		return // slow there, and nothing runs at once
	}
	var b bytes.Buffer
	z := must(gzip.NewWriterLevel(&b, gzip.BestSpeed))(t)
	blank := []byte(`{"x":"` + strings.Repeat("0", 1<<20) + `"}`)
	for range 65 {
		_, _ = z.Write(blank)
	}
	_ = z.Close()
	if _, err := event.Parse(b.Bytes()); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestReadStopsWhenTheCallerDoes(t *testing.T) {
	for range event.Read(strings.NewReader(samples["send"] + samples["send"])) {
		break
	}
}

// Some senders to SQS encode the event twice; that loses nothing.
func TestEventInAString(t *testing.T) {
	twice, err := json.Marshal(samples["send"])
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{string(twice), "[" + string(twice) + "]"} {
		if events, err := event.Parse([]byte(data)); err != nil || len(events) != 1 || events[0].Type != event.Send {
			t.Errorf("%v %v", events, err)
		}
	}
	if events, err := event.Parse([]byte(`"a sentence"`)); err != nil || events != nil {
		t.Errorf("a sentence: %v %v", events, err)
	}
}
