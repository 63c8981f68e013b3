package sestest_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A handler that panics would draw no answer at all.
func TestWhateverABodyHoldsDrawsAnAnswer(t *testing.T) {
	s := newServer(t)
	s.Account.AddTemplate("x", "{{a}}", "", "")
	s.Events.Subscribe(sestest.Subscription{Queue: "q"})
	bodies := map[string]string{
		"nothing": "", "null": "null", "a list": "[]", "half an object": "{", "a number": "1e999", "a string": `"x"`, "no JSON": "\x00\xff",
		"an empty object": "{}", "a deep list": strings.Repeat("[", 100_000), "a deep object": strings.Repeat(`{"Content":`, 20_000),
		"nulls":         `{"Content":null,"Destination":null,"BulkEmailEntries":null,"DefaultContent":null,"TemplateContent":null,"Entries":null}`,
		"empty content": `{"Content":{},"FromEmailAddress":"","DefaultContent":{"Template":{}},"BulkEmailEntries":[{}],"TemplateName":"","EmailAddress":"@"}`,
		"wrong types":   `{"Content":1,"Destination":"x","BulkEmailEntries":{},"TemplateName":[],"EmailAddress":{},"QueueName":1}`,
		"both kinds":    `{"Content":{"Raw":{"Data":""},"Simple":{}},"EmailTags":[{}],"Destination":{"ToAddresses":[""]}}`,
		"empty raw":     `{"Content":{"Raw":{"Data":""}}}`,
		"no base64":     `{"Content":{"Raw":{"Data":"*"}}}`,
		"empty simple":  `{"Content":{"Simple":{"Attachments":[{}],"Headers":[{}]}},"FromEmailAddress":"a@example.com","Destination":{"ToAddresses":["b@example.org"]}}`,
		"odd numbers":   `{"QueueName":"q","MaxNumberOfMessages":-1,"WaitTimeSeconds":-1,"VisibilityTimeout":-1,"Entries":[{}]}`,
	}
	calls := []struct{ method, path, target string }{
		{"POST", "/v2/email/outbound-emails", ""}, {"POST", "/v2/email/outbound-bulk-emails", ""},
		{"POST", "/v2/email/templates", ""}, {"POST", "/v2/email/templates/x/render", ""}, {"GET", "/v2/email/templates/%ff", ""},
		{"PUT", "/v2/email/suppression/addresses", ""}, {"DELETE", "/v2/email/suppression/addresses/%40", ""},
		{"GET", "/v2/email/suppression/addresses?PageSize=0", ""}, {"GET", "/v2/email/suppression/addresses?PageSize=1&NextToken=%00&Reason=", ""},
		{"GET", "/v2/email/account", ""}, {"GET", "/v2/email/identities/%40", ""}, {"GET", "/v2/email/configuration-sets/%20/event-destinations", ""},
		{"GET", "/?Action=ConfirmSubscription&Token=&TopicArn=", ""}, {"GET", "/?Action=%00", ""}, {"GET", "/x.pem", ""}, {"PATCH", "/v2/email", ""},
		{"POST", "/", ""}, {"POST", "/", "AmazonSQS."}, {"POST", "/", "AmazonSQS.SendMessage"}, {"POST", "/", "AmazonSQS.ReceiveMessage"},
		{"POST", "/", "AmazonSQS.DeleteMessage"}, {"POST", "/", "AmazonSQS.DeleteMessageBatch"}, {"POST", "/", "AmazonSQS.ChangeMessageVisibilityBatch"},
	}
	client := s.HTTPClient()
	for name, body := range bodies {
		for _, c := range calls {
			t.Run(name+" to "+c.method+" "+c.path+" "+c.target, func(t *testing.T) {
				req, err := http.NewRequestWithContext(t.Context(), c.method, s.URL+c.path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Amz-Target", c.target)
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode >= 500 {
					t.Errorf("status %d", resp.StatusCode)
				}
			})
		}
	}
	wantAccepted(t, s, 0)
}

func TestAHugeHeaderDrawsAnAnswer(t *testing.T) {
	tests := map[string]string{
		"one folded field": "X: " + strings.Repeat("a\r\n ", 1<<11) + "\r\n",
		"many fields":      strings.Repeat("X: a\r\n", 1<<11),
		"many addresses":   "Cc: " + strings.Repeat("\"a\" (b) <c@example.com>,\r\n ", 1<<10) + "\r\n",
		"open brackets":    "Cc: " + strings.Repeat("<", 1<<12) + "\r\n",
		"open comments":    "Cc: " + strings.Repeat("(", 1<<12) + "\r\n",
		"open quotes":      "Cc: " + strings.Repeat("\" ", 1<<12) + "\r\n",
		"many commas":      "Cc: " + strings.Repeat(",", 1<<12) + "\r\n",
		"many tags":        "X-SES-MESSAGE-TAGS: " + strings.Repeat("a=b,", 1<<12) + "\r\n",
		"many parameters":  "Content-Type: text/plain" + strings.Repeat("; a=b", 1<<10) + "\r\n",
	}
	s := newServer(t)
	eventful(s)
	for name, field := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t, s)
			d.envelope(from, to)
			d.send("From: %s\r\nTo: %s\r\n%s\r\nbody\r\n.\r\n", from, to, field)
			if _, _, err := d.r.ReadResponse(0); err != nil {
				t.Fatal(err)
			}
			for _, m := range s.TakeAccepted() {
				m.Subject()
				m.Files()
			}
		})
	}
}

func TestCloseEndsWhateverIsOpen(t *testing.T) {
	before := runtime.NumGoroutine()
	s := sestest.NewServer()
	eventful(s)
	hung := make(chan struct{})
	defer close(hung)
	s.Events.Subscribe(sestest.Subscription{Confirmed: true, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })})
	s.Events.Schedule(func(string, sestest.Mail) []time.Duration { return []time.Duration{0, time.Hour} })
	for range 3 {
		d := start(t, s) // between commands
		d.envelope(from, to)
		d.send("From: %s", from) // in the body
		idle, err := net.Dial("tcp", s.SMTPSAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close() // before TLS
	}
	d := start(t, s)
	d.mail(message, 250, "Ok ")
	s.Script(sestest.Stall(sestest.EndOfData), sestest.Stall(sestest.Data), sestest.Delay(sestest.EndOfData, time.Hour))
	var calls sync.WaitGroup
	client := s.HTTPClient()
	defer client.CloseIdleConnections()
	for range 3 {
		calls.Go(func() {
			if resp, err := client.Post(s.URL+"/v2/email/outbound-emails", "application/json", strings.NewReader("{}")); err == nil {
				resp.Body.Close()
			}
		})
		calls.Go(func() { // a body without an end
			r, w := io.Pipe()
			defer w.Close()
			if resp, err := client.Post(s.URL+"/v2/email/outbound-emails", "application/json", r); err == nil {
				resp.Body.Close()
			}
		})
	}
	for s.FaultsLeft() > 0 || s.APIRequests() < 6 {
		runtime.Gosched()
	}
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(s.Close)
	}
	closers.Wait()
	calls.Wait()
	s.Events.Wait() // the server is closed: there is nothing to wait for
	wantNoMoreGoroutines(t, before)
}

func wantNoMoreGoroutines(t *testing.T, before int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestAServerThatWasNotStartedReachesNothing(t *testing.T) {
	s := sestest.NewUnstartedServer()
	s.Region = ""
	for _, addr := range []string{"email-smtp.us-east-1.amazonaws.com:587", "127.0.0.1:1", ""} {
		if c, err := s.DialContext(t.Context(), "tcp", addr); err == nil || !strings.Contains(err.Error(), "not started") {
			t.Errorf("dialled %q: %v, %v", addr, c, err)
		}
	}
	if _, err := s.HTTPClient().Get("https://email.us-east-1.amazonaws.com/"); err == nil {
		t.Error("the client got an answer")
	}
	s.TLSConfig()
	s.CertPEM()
	s.Script(sestest.Pass())
	s.Events.Subscribe(sestest.Subscription{Queue: "q"})
	s.Events.Bounce(sestest.Mail{}, "", "")
	if len(s.Accepted())+len(s.Unrendered())+s.AcceptedCount()+len(s.TakeAccepted())+len(s.Commands())+s.Logins() != 0 {
		t.Error("something was accepted")
	}
	s.Close()
	s.Close()
	s.Events.Wait()
	mustPanic(t, "closed", func() { s.Start() })
	mustPanic(t, "closed", s.StartMemory)
}

func TestAServerStartsOnce(t *testing.T) {
	s := sestest.NewServer()
	defer s.Close()
	addr := s.SMTPAddr
	mustPanic(t, "started before", func() { s.Start() })
	mustPanic(t, "started before", s.StartMemory)
	start(t, s).mail(message, 250, "Ok ")
	if s.SMTPAddr != addr {
		t.Errorf("the address became %s", s.SMTPAddr)
	}
	m := sestest.NewMemoryServer()
	defer m.Close()
	mustPanic(t, "started before", func() { m.Start() })
	start(t, m).mail(message, 250, "Ok ")
}

func TestWaitOnAServerThatWasNotStartedPanics(t *testing.T) {
	s := sestest.NewUnstartedServer()
	defer s.Close()
	s.Account.SetConfigurationSet("all", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
	s.Events.Bounce(sestest.Mail{ConfigurationSet: "all"}, "", "")
	mustPanic(t, "not started", s.Events.Wait)
}

func TestFaultsThatCannotBeArePanics(t *testing.T) {
	mustPanic(t, "status 99", func() { sestest.APIReply(99, "X", "") })
	mustPanic(t, "status 100", func() { sestest.APIBody(100, "") })
	mustPanic(t, "status 1000", func() { sestest.AcceptThenReply(1000, "") })
	mustPanic(t, "-1 octets", func() { sestest.CutReply(sestest.EHLO, -1) })
	mustPanic(t, "-1 octets", func() { sestest.CutBody(-1) })
	mustPanic(t, "no reply for the reason", func() { sestest.Refuse(seserrors.Network) })
}

// What a test passes to the account it may change afterwards.
func TestTheAccountKeepsCopies(t *testing.T) {
	s := newServer(t)
	types, reasons, actions := []string{"BOUNCE"}, []string{"BOUNCE"}, []string{"ses:GetAccount"}
	list := []sestest.EventDestination{{Types: types}}
	s.Account.SetConfigurationSet("all", sestest.ConfigurationSet{Destinations: list, SuppressedReasons: reasons})
	s.Account.SetSuppressedReasons(reasons...)
	s.Account.Deny(actions...)
	types[0], reasons[0], actions[0] = "SEND", "COMPLAINT", "ses:Other"
	list[0] = sestest.EventDestination{Disabled: true}
	resp, err := s.HTTPClient().Get(s.URL + "/v2/email/account")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("GetAccount draws %d", resp.StatusCode)
	}
	s.Account.Deny()
	for path, want := range map[string]string{
		"account":                `["BOUNCE"]`,
		"configuration-sets/all": `["BOUNCE"]`,
		"configuration-sets/all/event-destinations": `"Enabled":true,"MatchingEventTypes":["BOUNCE"]`,
	} {
		resp, err := s.HTTPClient().Get(s.URL + "/v2/email/" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
}

func TestManyGoroutinesMayAskWhileOthersSend(t *testing.T) {
	s := newServer(t)
	eventful(s)
	var got sync.Map
	s.Events.Subscribe(sestest.Subscription{Func: func(b []byte) { got.Store(string(b), true) }})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				s.Script(sestest.Pass())
				s.ClearScript()
				if list := s.Accepted(); len(list) > 0 {
					s.Events.Open(list[len(list)-1])
				}
				s.Events.List()
				s.Events.Schedule(func(string, sestest.Mail) []time.Duration { return []time.Duration{0} })
				s.Account.SetConfigurationSet("other", sestest.ConfigurationSet{})
				s.Account.Suppress("x@example.org", "BOUNCE")
				_, _, _, _ = s.Commands(), s.Connections(), s.APIConnections(), s.FaultsLeft()
				s.SetSessionLimit(0)
			}
		})
	}
	const mails = 10
	for range 4 {
		all.Go(func() {
			for i := range mails {
				body := fmt.Sprintf("From: %s\r\nTo: %s\r\n\r\n%d", from, to, i)
				if err := smtp.SendMail(s.PlainAddr, nil, from, []string{to}, []byte(body)); err != nil {
					t.Error(err)
				}
				if _, err := apiClient(s).SendEmail(t.Context(), rawInput(message)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s.Events.Wait()
	wantAccepted(t, s, 2*4*mails)
}

func TestASubscriberThatHangsDoesNotHoldABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sestest.NewMemoryServer()
		eventful(s)
		s.Events.Subscribe(sestest.Subscription{Confirmed: true, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })})
		d := start(t, s)
		d.mail(message, 250, "Ok ")
		s.Close()
		d.conn.Close()
	})
}
