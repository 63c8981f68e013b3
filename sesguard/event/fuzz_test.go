package event_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

// FuzzParse: no input panics; what is found has a type, its Raw gives the same
// event again, and every question about it has an answer.
func FuzzParse(f *testing.F) {
	for _, sample := range samples {
		for _, wrap := range carriers {
			f.Add([]byte(wrap(sample)))
		}
	}
	for _, n := range notifications {
		f.Add([]byte(n))
	}
	f.Add([]byte(gzipped(samples["send"])))
	f.Add([]byte(strings.Repeat("[", 1000)))
	f.Add([]byte(`{"Records":[{"body":"{\"Message\":\"[]\",\"TopicArn\":1}"}]}{`))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := event.Parse(data)
		if err != nil && !strings.HasPrefix(err.Error(), "event: ") {
			t.Error(err)
		}
		n := 0
		for e, streamed := range event.Read(bytes.NewReader(data)) {
			if e != nil {
				n++
			} else if err == nil {
				t.Error("Read fails, Parse does not:", streamed)
			}
		}
		if n != len(events) {
			t.Errorf("Parse found %d, Read %d", len(events), n)
		}
		var list event.SuppressionList
		var rates event.Reputation
		for _, e := range events {
			again, err := event.Parse(e.Raw)
			if err != nil || len(again) != 1 || again[0].Key() != e.Key() || e.Type == "" {
				t.Errorf("%v %v of %q", again, err, e.Raw)
			}
			if len(e.Advice()) != len(e.Recipients) {
				t.Error("advice for some recipients only")
			}
			if err := e.Err(); err != nil && (!utf8.ValidString(err.Message) || len(err.Message) > 1024 || strings.ContainsAny(err.Message, "\r\n")) {
				t.Errorf("message %q", err.Message)
			}
			list.Observe(e)
			rates.Observe(e)
			_ = e.State()
		}
	})
}

// FuzzHandler: nothing that is not signed is handled or visited beyond the
// host of SNS, and no answer but the documented ones is given.
func FuzzHandler(f *testing.F) {
	for _, p := range []map[string]any{newPost(samples["bounce"]), newConfirmation()} {
		genuine := sign(p)
		f.Add(genuine, "")
		p["Signature"] = "AAAA"
		f.Add(encode(p), "")
		p["SigningCertURL"] = "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem"
		f.Add(encode(p), "true")
	}
	f.Add([]byte(samples["bounce"]), "true")
	r := newReceiver()
	r.Logger = nil
	r.HTTPClient = &http.Client{Transport: roundTripper(func(q *http.Request) (*http.Response, error) {
		if q.URL.Host != "sns.eu-west-1.amazonaws.com" || q.URL.Scheme != "https" {
			panic("visited " + q.URL.String())
		}
		return r.sns.RoundTrip(q)
	})}
	r.Handle = func(_ context.Context, e *event.Event) error {
		if e.FeedbackID != "0102019a-feed-back-000000" {
			panic("a forged event was handled")
		}
		return nil
	}
	f.Fuzz(func(t *testing.T, body []byte, raw string) {
		request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		request.Header.Set("x-amz-sns-rawdelivery", raw)
		recorder := httptest.NewRecorder()
		r.ServeHTTP(recorder, request)
		switch recorder.Code {
		case 200, 403, 413, 500:
		default:
			t.Error(recorder.Code)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

// FuzzDiagnose: every text has a diagnosis within bounds, and what an address in
// it says changes nothing.
func FuzzDiagnose(f *testing.F) {
	for _, file := range []string{"diagnostics.jsonl", "more.jsonl"} {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			f.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(data)) {
			if n++; n%10 != 0 {
				continue
			}
			var l struct{ Text string }
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				f.Fatal(err)
			}
			f.Add(l.Text)
		}
	}
	f.Add(strings.Repeat("ip ", 2000))
	f.Add(strings.Repeat("<550 ", 500) + strings.Repeat(">", 500))
	f.Fuzz(func(t *testing.T, text string) {
		d := event.Diagnose(text)
		if d.Reason == "" || d.Code < 0 || d.Code > 599 || len(d.Enhanced) > 9 || len(d.BlockList) > 300 {
			t.Errorf("%+v", d)
		}
		if len(text) < 3000 && d.Reason == "unrecognized" && !strings.ContainsAny(text, "<>'\"") {
			if again := event.Diagnose(text + " <user.unknown@mailbox-full.example>"); again.Reason != d.Reason {
				t.Errorf("%v, with an address %v: %q", d.Reason, again.Reason, text)
			}
		}
	})
}
