package event_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	stderrors "errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

const (
	topic   = "arn:aws:sns:eu-west-1:111122223333:ses-events"
	certURL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
)

// keyOf makes one key for all tests.
var keyOf = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// fakeSNS signs posts and serves its certificate through an http.Client.
type fakeSNS struct {
	certificate []byte
	answer      func(*http.Request) (*http.Response, error) // instead of its own
	mu          sync.Mutex
	visited     []string
}

func newSNS(from, until time.Time) *fakeSNS {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, keyOf().Public(), keyOf())
	if err != nil {
		panic(err)
	}
	return &fakeSNS{certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (f *fakeSNS) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.visited = append(f.visited, r.URL.String())
	f.mu.Unlock()
	if f.answer != nil {
		return f.answer(r)
	}
	return reply(200, string(f.certificate)), nil
}

func (f *fakeSNS) visits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.visited)
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// newPost returns a post of the fake, published now.
func newPost(message string) map[string]any {
	return map[string]any{
		"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": topic,
		"Subject": "Amazon SES Email Event Notification", "Message": message,
		"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "SignatureVersion": "2", "SigningCertURL": certURL,
		"UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=x",
	}
}

func newConfirmation() map[string]any {
	p := newPost("You have chosen to subscribe to the topic. To confirm, visit the SubscribeURL.")
	delete(p, "Subject")
	delete(p, "UnsubscribeURL")
	p["Type"], p["Token"] = "SubscriptionConfirmation", "2336412f37"
	p["SubscribeURL"] = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=2336412f37"
	return p
}

// sign signs a post as the SNS Developer Guide says.
func sign(p map[string]any) []byte {
	names := []string{"Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type"}
	var b strings.Builder
	for _, name := range names {
		if v, ok := p[name].(string); ok {
			b.WriteString(name + "\n" + v + "\n")
		}
	}
	algorithm, sum := crypto.SHA256, sha256.Sum256([]byte(b.String()))
	digest := sum[:]
	if p["SignatureVersion"] == "1" {
		old := sha1.Sum([]byte(b.String()))
		algorithm, digest = crypto.SHA1, old[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, keyOf(), algorithm, digest)
	if err != nil {
		panic(err)
	}
	p["Signature"] = base64.StdEncoding.EncodeToString(signature)
	return encode(p)
}

func encode(p map[string]any) []byte {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return data
}

// A receiver is a handler with its fake.
type receiver struct {
	event.Handler
	sns *fakeSNS
	got []*event.Event
	log bytes.Buffer
}

func newReceiver() *receiver {
	now := time.Now()
	r := &receiver{sns: newSNS(now.Add(-time.Hour), now.Add(365*24*time.Hour))}
	r.Topics = []string{topic}
	r.Handle = func(_ context.Context, e *event.Event) error {
		r.got = append(r.got, e)
		return nil
	}
	r.HTTPClient = &http.Client{Transport: r.sns}
	r.Logger = slog.New(slog.NewTextHandler(&r.log, nil))
	return r
}

// deliver posts a body and returns the status.
func (r *receiver) deliver(body []byte, headers ...string) int {
	request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	request.Header.Set("Content-Type", "text/plain; charset=UTF-8")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	r.ServeHTTP(recorder, request)
	return recorder.Code
}

func TestGenuinePostsAreHandled(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"as it comes":       func(map[string]any) {},
		"signed with SHA-1": func(p map[string]any) { p["SignatureVersion"] = "1" },
		"subject is null":   func(p map[string]any) { p["Subject"] = nil },
		"no subject":        func(p map[string]any) { delete(p, "Subject") },
		"empty subject":     func(p map[string]any) { p["Subject"] = "" },
		"new fields": func(p map[string]any) {
			p["MessageAttributes"] = map[string]any{"a": map[string]string{"Type": "String"}}
		},
		"certificate without name": func(p map[string]any) {
			p["SigningCertURL"] = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService.pem"
		},
		"an hour late": func(p map[string]any) { p["Timestamp"] = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano) },
	} {
		r := newReceiver()
		p := newPost(samples["bounce"])
		change(p)
		if status := r.deliver(sign(p)); status != 200 || len(r.got) != 1 || r.got[0].Type != event.Bounce || r.log.Len() != 0 {
			t.Errorf("%s: status %d, %d events, log %s", name, status, len(r.got), &r.log)
		}
	}
}

func TestOtherPartitions(t *testing.T) {
	for arn, host := range map[string]string{
		"arn:aws-cn:sns:cn-north-1:111122223333:t":        "sns.cn-north-1.amazonaws.com.cn",
		"arn:aws-us-gov:sns:us-gov-west-1:111122223333:t": "sns.us-gov-west-1.amazonaws.com",
		"arn:aws-eusc:sns:eusc-de-east-1:111122223333:t":  "sns.eusc-de-east-1.amazonaws.eu",
		"arn:aws:sns:ap-southeast-3:111122223333:t.fifo":  "sns.ap-southeast-3.amazonaws.com",
	} {
		r := newReceiver()
		r.Topics = append(r.Topics, arn)
		p := newPost(samples["send"])
		p["TopicArn"], p["SigningCertURL"] = arn, "https://"+host+"/SimpleNotificationService-1.pem"
		if status := r.deliver(sign(p)); status != 200 || len(r.got) != 1 {
			t.Errorf("%s: %d %s", arn, status, &r.log)
		}
	}
}

// Whatever can be refused without the certificate is refused without fetching
// anything.
func TestForgeriesAreRefusedAndNothingIsFetched(t *testing.T) {
	url := func(u string) func(map[string]any) { return func(p map[string]any) { p["SigningCertURL"] = u } }
	set := func(name string, v any) func(map[string]any) { return func(p map[string]any) { p[name] = v } }
	const host = "https://sns.eu-west-1.amazonaws.com"
	for name, change := range map[string]func(map[string]any){
		"another account's topic":     set("TopicArn", "arn:aws:sns:eu-west-1:999999999999:ses-events"),
		"another region's topic":      set("TopicArn", "arn:aws:sns:us-east-1:111122223333:ses-events"),
		"topic in capitals":           set("TopicArn", strings.ToUpper(topic)),
		"topic and more":              set("TopicArn", topic+"x"),
		"no topic":                    set("TopicArn", ""),
		"unknown type":                set("Type", "Notice"),
		"no type":                     set("Type", nil),
		"type in lower case":          set("Type", "notification"),
		"older than a day":            set("Timestamp", time.Now().Add(-25*time.Hour).UTC().Format(time.RFC3339Nano)),
		"from the future":             set("Timestamp", time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)),
		"no time":                     set("Timestamp", "now"),
		"unknown signature version":   set("SignatureVersion", "3"),
		"no signature version":        set("SignatureVersion", ""),
		"message that is no text":     set("Message", map[string]string{"a": "b"}),
		"http":                        url("http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"),
		"port":                        url("https://sns.eu-west-1.amazonaws.com:443/SimpleNotificationService-1.pem"),
		"another port":                url("https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-1.pem"),
		"user":                        url("https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-1.pem"),
		"user at the host":            url("https://a:b@sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"),
		"suffix":                      url("https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem"),
		"prefix":                      url("https://evilsns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"),
		"bucket":                      url("https://s3.amazonaws.com/sns/SimpleNotificationService-1.pem"),
		"bucket named sns":            url("https://sns.s3-eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"),
		"bucket of the region":        url("https://sns.s3.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"),
		"another region":              url("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"),
		"another partition":           url("https://sns.eu-west-1.amazonaws.com.cn/SimpleNotificationService-1.pem"),
		"host in capitals":            url("https://SNS.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"),
		"dot at the end":              url("https://sns.eu-west-1.amazonaws.com./SimpleNotificationService-1.pem"),
		"query":                       url(certURL + "?x=1"),
		"empty query":                 url(certURL + "?"),
		"fragment":                    url(certURL + "#x"),
		"empty fragment":              url(certURL + "#"),
		"path":                        url(host + "/x/SimpleNotificationService-1.pem"),
		"path climbs":                 url(host + "/../SimpleNotificationService-1.pem"),
		"path is escaped":             url(host + "/Simple%4eotificationService-1.pem"),
		"slash is escaped":            url(host + "/x%2fSimpleNotificationService-1.pem"),
		"another file":                url(host + "/SimpleNotificationService-1.pem.evil"),
		"another end":                 url(host + "/SimpleNotificationService-1.crt"),
		"line end":                    url(certURL + "\n"),
		"back slash":                  url(`https://evil.example\@sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem`),
		"no scheme":                   url("//sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"),
		"no URL":                      url(""),
		"cyrillic letter in the host": url("https://sns.eu-west-1.аmazonaws.com/SimpleNotificationService-1.pem"),
	} {
		r := newReceiver()
		p := newPost(samples["bounce"])
		change(p)
		body := sign(p)
		if status := r.deliver(body); status != 403 || len(r.got) != 0 || r.sns.visits() != 0 || strings.Count(r.log.String(), "\n") != 1 {
			t.Errorf("%s: status %d, %d events, visited %v, log %s", name, status, len(r.got), r.sns.visited, &r.log)
		}
	}
}

func TestSwappedFieldsAreRefused(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"message":            func(p map[string]any) { p["Message"] = samples["complaint"] },
		"message id":         func(p map[string]any) { p["MessageId"] = "other" },
		"subject":            func(p map[string]any) { p["Subject"] = "other" },
		"subject taken":      func(p map[string]any) { delete(p, "Subject") },
		"time":               func(p map[string]any) { p["Timestamp"] = time.Now().Add(time.Minute).UTC().Format(time.RFC3339Nano) },
		"type":               func(p map[string]any) { p["Type"] = "UnsubscribeConfirmation" },
		"signature":          func(p map[string]any) { p["Signature"] = base64.StdEncoding.EncodeToString(make([]byte, 256)) },
		"no signature":       func(p map[string]any) { p["Signature"] = "" },
		"no base64":          func(p map[string]any) { p["Signature"] = "!" },
		"version of another": func(p map[string]any) { p["SignatureVersion"] = "1" },
	} {
		r := newReceiver()
		p := newPost(samples["bounce"])
		sign(p)
		change(p)
		if status := r.deliver(encode(p)); status != 403 || len(r.got) != 0 {
			t.Errorf("%s: status %d, %d events", name, status, len(r.got))
		}
	}
}

// Of keys that occur twice, the one that is used is the one that is verified.
func TestKeysThatOccurTwice(t *testing.T) {
	genuine := string(sign(newPost(samples["send"])))
	forged := quote(samples["complaint"])
	r := newReceiver()
	for _, body := range []string{
		strings.Replace(genuine, `{`, `{"message":`+forged+`,`, 1), // the last counts: genuine
		genuine[:len(genuine)-1] + `,"message":` + forged + `}`,
		genuine[:len(genuine)-1] + `,"Message":` + forged + `}`,
	} {
		r.deliver([]byte(body))
	}
	if len(r.got) != 1 || r.got[0].Type != event.Send {
		t.Errorf("%d events", len(r.got))
	}
}

func TestWhatIsNoPost(t *testing.T) {
	r := newReceiver()
	genuine := sign(newPost(samples["send"]))
	for name, c := range map[string]struct {
		body    []byte
		headers []string
		status  int
	}{
		"raw delivery":            {[]byte(samples["bounce"]), []string{"x-amz-sns-rawdelivery", "true"}, 403},
		"raw delivery, of a post": {genuine, []string{"X-Amz-Sns-Rawdelivery", "true"}, 403},
		"bare event":              {[]byte(samples["bounce"]), nil, 403},
		"no JSON":                 {[]byte("hello"), nil, 403},
		"nothing":                 {nil, nil, 403},
		"array":                   {[]byte("[" + string(genuine) + "]"), nil, 403},
		"deep":                    {[]byte(strings.Repeat(`{"a":`, 100_000)), nil, 403},
		"two posts":               {append(slices.Clone(genuine), genuine...), nil, 403},
		"over 1 MiB":              {bytes.Repeat([]byte(" "), 1<<20+1), nil, 413},
		"1 MiB":                   {append(bytes.Repeat([]byte(" "), 1<<20-len(genuine)), genuine...), nil, 200},
	} {
		if status := r.deliver(c.body, c.headers...); status != c.status {
			t.Errorf("%s: status %d, want %d", name, status, c.status)
		}
	}
	if len(r.got) != 1 {
		t.Errorf("%d events", len(r.got))
	}
	recorder := httptest.NewRecorder()
	r.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	if recorder.Code != 405 {
		t.Error("GET:", recorder.Code)
	}
}

func TestNoTopicsRefuseAll(t *testing.T) {
	r := newReceiver()
	r.Topics = nil
	if status := r.deliver(sign(newPost(samples["send"]))); status != 403 {
		t.Error(status)
	}
}

// SNS must come again for whatever is not the post's fault.
func TestTroubleOfOursIs500(t *testing.T) {
	failing := func(r *receiver, f func(*http.Request) (*http.Response, error)) { r.sns.answer = f }
	for name, prepare := range map[string]func(*receiver){
		"Handle fails":  func(r *receiver) { r.Handle = func(context.Context, *event.Event) error { return io.ErrUnexpectedEOF } },
		"Handle panics": func(r *receiver) { r.Handle = func(context.Context, *event.Event) error { panic("oh") } },
		"Handle aborts": func(r *receiver) {
			r.Handle = func(context.Context, *event.Event) error { panic(http.ErrAbortHandler) }
		},
		"Handle is nil": func(r *receiver) { r.Handle = nil },
		"Handle's own limit": func(r *receiver) {
			r.Handle = func(context.Context, *event.Event) error { return &http.MaxBytesError{} }
		},
		"no connection": func(r *receiver) {
			failing(r, func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
		},
		"not found": func(r *receiver) {
			failing(r, func(*http.Request) (*http.Response, error) { return reply(404, ""), nil })
		},
		"redirect": func(r *receiver) {
			failing(r, func(*http.Request) (*http.Response, error) {
				response := reply(302, "")
				response.Header.Set("Location", "https://evil.example/x.pem")
				return response, nil
			})
		},
		"no certificate": func(r *receiver) {
			failing(r, func(*http.Request) (*http.Response, error) { return reply(200, "hello"), nil })
		},
		"damaged": func(r *receiver) {
			r.sns.certificate = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		},
		"long": func(r *receiver) { r.sns.certificate = append(bytes.Repeat([]byte("x"), 64<<10), r.sns.certificate...) },
		"expired": func(r *receiver) {
			r.sns.certificate = newSNS(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)).certificate
		},
		"not yet valid": func(r *receiver) {
			r.sns.certificate = newSNS(time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)).certificate
		},
		"fetching panics": func(r *receiver) {
			failing(r, func(*http.Request) (*http.Response, error) { return nil, stderrors.New("x") })
		},
	} {
		r := newReceiver()
		prepare(r)
		if status := r.deliver(sign(newPost(samples["bounce"]))); status != 500 || r.sns.visits() != 1 || strings.Count(r.log.String(), "\n") != 1 {
			t.Errorf("%s: status %d, visited %v, log %s", name, status, r.sns.visited, &r.log)
		}
	}
	r := newReceiver()
	if status := r.deliver(sign(newPost(`{"eventType":`))); status != 500 {
		t.Error("an event that is damaged:", status)
	}
	if status := r.deliver(sign(newPost("Successfully validated SNS topic for Amazon SES event publishing."))); status != 200 || len(r.got) != 0 {
		t.Error("a note:", status)
	}
}

func TestLogsSayNothingOfTheMail(t *testing.T) {
	r := newReceiver()
	p := newConfirmation()
	r.sns.answer = func(q *http.Request) (*http.Response, error) {
		if strings.HasSuffix(q.URL.Path, ".pem") {
			return reply(200, string(r.sns.certificate)), nil
		}
		return nil, stderrors.New("no route")
	}
	r.deliver(sign(p))
	q := newPost(samples["bounce"])
	q["Signature"] = "AAAA"
	r.deliver(encode(q))
	if s := r.log.String(); strings.Contains(s, "2336412f37") || strings.Contains(s, "ann@") || strings.Count(s, "\n") != 2 {
		t.Error(s)
	}
}

func TestSubscriptions(t *testing.T) {
	const host = "https://sns.eu-west-1.amazonaws.com/"
	set := func(u string) func(map[string]any) { return func(p map[string]any) { p["SubscribeURL"] = u } }
	for name, c := range map[string]struct {
		change func(map[string]any)
		status int
		visits int // the certificate's included
	}{
		"confirmed":         {func(map[string]any) {}, 200, 2},
		"signed with SHA-1": {func(p map[string]any) { p["SignatureVersion"] = "1" }, 200, 2},
		"ended":             {func(p map[string]any) { p["Type"] = "UnsubscribeConfirmation" }, 200, 1},
		"another host":      {set("https://evil.example/?Action=ConfirmSubscription&TopicArn=" + topic), 403, 1},
		"another region":    {set("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + topic), 403, 1},
		"another action":    {set(host + "?Action=DeleteTopic&TopicArn=" + topic), 403, 1},
		"two actions":       {set(host + "?Action=ConfirmSubscription&Action=DeleteTopic&TopicArn=" + topic), 403, 1},
		"another topic":     {set(host + "?Action=ConfirmSubscription&TopicArn=" + topic + "x"), 403, 1},
		"another path":      {set(host + "x?Action=ConfirmSubscription&TopicArn=" + topic), 403, 1},
		"http":              {set("http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + topic), 403, 1},
	} {
		r := newReceiver()
		p := newConfirmation()
		c.change(p)
		if status := r.deliver(sign(p)); status != c.status || r.sns.visits() != c.visits || len(r.got) != 0 {
			t.Errorf("%s: status %d, visited %v", name, status, r.sns.visited)
		}
	}

	r := newReceiver()
	p := newConfirmation()
	p["Signature"] = sign(p) // any text: it does not fit
	p["Signature"] = base64.StdEncoding.EncodeToString([]byte("forged"))
	if status := r.deliver(encode(p)); status != 403 || r.sns.visits() != 1 {
		t.Errorf("a forged confirmation: status %d, visited %v", status, r.sns.visited)
	}

	r = newReceiver()
	r.sns.answer = func(q *http.Request) (*http.Response, error) {
		if strings.HasSuffix(q.URL.Path, ".pem") {
			return reply(200, string(r.sns.certificate)), nil
		}
		return reply(503, ""), nil
	}
	if status := r.deliver(sign(newConfirmation())); status != 500 {
		t.Error("a confirmation that failed:", status)
	}
}

// Both sides of each limit of time.
func TestAgeOfPosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			maxAge, age time.Duration
			status      int
		}{
			{0, 24 * time.Hour, 200}, {0, 24*time.Hour + time.Millisecond, 403},
			{2 * time.Hour, 2 * time.Hour, 200}, {2 * time.Hour, 2*time.Hour + time.Millisecond, 403},
			{0, -15 * time.Minute, 200}, {0, -15*time.Minute - time.Millisecond, 403},
		} {
			r := newReceiver()
			r.MaxAge = c.maxAge
			p := newPost(samples["send"])
			p["Timestamp"] = time.Now().Add(-c.age).UTC().Format(time.RFC3339Nano)
			if status := r.deliver(sign(p)); status != c.status {
				t.Errorf("%v of %v: %d", c.age, c.maxAge, status)
			}
		}
	})
}

func TestCertificateIsFetchedOnceUntilItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver()
		r.sns = newSNS(time.Now().Add(-time.Hour), time.Now().Add(10*time.Minute))
		r.HTTPClient = &http.Client{Transport: r.sns}
		for range 5 {
			r.deliver(sign(newPost(samples["send"])))
		}
		time.Sleep(10*time.Minute - time.Second)
		r.deliver(sign(newPost(samples["send"])))
		if r.sns.visits() != 1 || len(r.got) != 6 {
			t.Errorf("visits %d, events %d", r.sns.visits(), len(r.got))
		}
		time.Sleep(time.Second)
		r.sns.certificate = newSNS(time.Now(), time.Now().Add(time.Hour)).certificate
		if status := r.deliver(sign(newPost(samples["send"]))); status != 200 || r.sns.visits() != 2 {
			t.Errorf("after its end: status %d, visits %d", status, r.sns.visits())
		}
	})
}

// Many posts at once need one fetch, and a first sender who goes away takes it
// from nobody.
func TestOneFetchServesAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver()
		var handled atomic.Int32
		r.Handle = func(context.Context, *event.Event) error { handled.Add(1); return nil }
		r.sns.answer = func(q *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
				return reply(200, string(r.sns.certificate)), nil
			case <-q.Context().Done():
				return nil, q.Context().Err()
			}
		}
		body := sign(newPost(samples["send"]))
		gone, leave := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for i := range 50 {
			ctx := context.Background()
			if i == 0 {
				ctx = gone
			}
			wg.Go(func() {
				r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body)))
			})
			if i == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		leave()
		wg.Wait()
		if r.sns.visits() != 1 || handled.Load() != 50 {
			t.Errorf("visits %d, handled %d", r.sns.visits(), handled.Load())
		}
	})
}

// Forgers choose the certificate's name. They get one fetch a second, and do
// not keep a genuine certificate that is known from being used or renewed.
func TestForgersCauseFewFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver()
		r.Logger = nil
		r.sns.answer = func(q *http.Request) (*http.Response, error) {
			if q.URL.String() == certURL {
				return reply(200, string(r.sns.certificate)), nil
			}
			return reply(403, ""), nil
		}
		genuine := sign(newPost(samples["send"]))
		if status := r.deliver(genuine); status != 200 {
			t.Fatal(status)
		}
		p := newPost(samples["complaint"])
		p["Signature"] = "AAAA"
		for second := range 3 {
			for i := range 1000 {
				p["SigningCertURL"] = fmt.Sprintf("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-%d%d.pem", second, i)
				if status := r.deliver(encode(p)); status != 500 {
					t.Fatal(status)
				}
				if i%100 == 0 && r.deliver(genuine) != 200 {
					t.Fatal("a genuine post was refused")
				}
			}
			time.Sleep(time.Second)
		}
		if got := r.sns.visits(); got != 4 {
			t.Errorf("%d fetches, want the genuine one and one a second", got)
		}
	})
}

func TestFetchesEndAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver()
		r.sns.answer = func(q *http.Request) (*http.Response, error) {
			<-q.Context().Done()
			return nil, q.Context().Err()
		}
		start := time.Now()
		if status := r.deliver(sign(newPost(samples["send"]))); status != 500 || time.Since(start) != 5*time.Second {
			t.Error(status, time.Since(start))
		}
	})
}

func TestAtMostSixteenCertificatesAreKept(t *testing.T) {
	r := newReceiver()
	for i := range 40 {
		p := newPost(samples["send"])
		p["SigningCertURL"] = fmt.Sprintf("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-%d.pem", i)
		if status := r.deliver(sign(p)); status != 200 {
			t.Fatal(i, status)
		}
	}
	before := r.sns.visits()
	for i := range 40 {
		p := newPost(samples["send"])
		p["SigningCertURL"] = fmt.Sprintf("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-%d.pem", i)
		r.deliver(sign(p))
	}
	if again := r.sns.visits() - before; again < 24 {
		t.Errorf("%d of 40 fetched again: more than 16 were kept", again)
	}
}

// Over a real connection: a body that never ends is cut, and a Handle that is
// slow keeps its context.
func TestSlowBodiesAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver()
		r.Handle = func(ctx context.Context, _ *event.Event) error {
			select {
			case <-time.After(12 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		client, stop := serve(r)
		defer stop()
		body, w := io.Pipe()
		defer w.Close()
		start := time.Now()
		request, _ := http.NewRequest(http.MethodPost, "http://handler/", body)
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		response, err = client.Post("http://handler/", "text/plain", bytes.NewReader(sign(newPost(samples["send"]))))
		if err != nil || response.StatusCode != 200 {
			t.Errorf("slow Handle: %v %v", response, err)
		}
		if err == nil {
			response.Body.Close()
		}
	})
}

// With GODEBUG=fips140=only, SHA-1 panics. Version 2 works, version 1 is our
// trouble and says what to do.
func TestFIPSOnly(t *testing.T) {
	if os.Getenv("EVENT_FIPS") == "" {
		r := newReceiver()
		old := newPost(samples["send"])
		old["SignatureVersion"] = "1"
		c := exec.Command(os.Args[0], "-test.run=^TestFIPSOnly$", "-test.v")
		c.Env = append(os.Environ(), "GODEBUG=fips140=only", "EVENT_FIPS="+base64.StdEncoding.EncodeToString(bytes.Join(
			[][]byte{r.sns.certificate, sign(newPost(samples["send"])), sign(old)}, []byte("\x00"))))
		out, err := c.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	given, _ := base64.StdEncoding.DecodeString(os.Getenv("EVENT_FIPS"))
	parts := bytes.Split(given, []byte("\x00"))
	r := &receiver{sns: &fakeSNS{certificate: parts[0]}}
	r.Topics, r.HTTPClient = []string{topic}, &http.Client{Transport: r.sns}
	r.Handle = func(context.Context, *event.Event) error { return nil }
	r.Logger = slog.New(slog.NewTextHandler(&r.log, nil))
	if status := r.deliver(parts[1]); status != 200 {
		t.Errorf("version 2: %d %s", status, &r.log)
	}
	if status := r.deliver(parts[2]); status != 500 || !strings.Contains(r.log.String(), "SignatureVersion to 2") {
		t.Errorf("version 1: %d %s", status, &r.log)
	}
}

// A forged post with everything right but its signature is the dearest one.
func BenchmarkForgedPost(b *testing.B) {
	r := newReceiver()
	r.Logger = nil
	p := newPost(samples["bounce"])
	r.deliver(sign(p))
	p["MessageId"] = "other"
	body := encode(p)
	for b.Loop() {
		if r.deliver(body) != 403 {
			b.Fatal("taken")
		}
	}
}
