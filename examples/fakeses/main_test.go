package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// wantReply checks the SMTP reply that a send drew.
func wantReply(t *testing.T, err error, code int, words string) {
	t.Helper()
	reply, ok := err.(*textproto.Error)
	if !ok || reply.Code != code || !strings.Contains(reply.Msg, words) {
		t.Errorf("the send drew %v, want %d with %q", err, code, words)
	}
}

func TestTheFaultThatIsChosenStrikesTheNextSend(t *testing.T) {
	r := newRig(t)
	page := r.post("/faults", url.Values{"fault": {"refuse:send-rate-exceeded"}, "count": {"2"}})
	if !strings.Contains(page, said["queued"]) || strings.Count(page, "<bdi>refuse: send-rate-exceeded") != 2 {
		t.Errorf("the page does not list the faults: %s", page)
	}
	r.post("/faults", url.Values{"own": {"reply:rcpt:450:4.2.1 <busy>"}, "fault": {"pass"}, "count": {"1"}})
	for range 2 {
		wantReply(t, r.send(htmlMail("Hello")), 454, "Maximum sending rate exceeded")
	}
	if page := r.page("/faults"); strings.Contains(page, "<bdi>refuse:") || !strings.Contains(page, "4.2.1 &lt;busy&gt;") {
		t.Errorf("the page lists faults that have struck: %s", page)
	}
	wantReply(t, r.send(htmlMail("Hello")), 450, "4.2.1 <busy>")
	if err := r.send(htmlMail("Hello")); err != nil {
		t.Errorf("without a fault: %v", err)
	}
	r.post("/faults", url.Values{"fault": {"accept-then-cut"}, "count": {"3"}})
	if len(r.faults) != 3 {
		t.Errorf("%d faults are remembered, want the 3 that wait", len(r.faults))
	}
	r.post("/faults/drop", nil)
	if err := r.send(htmlMail("Hello")); err != nil {
		t.Errorf("after the faults were dropped: %v", err)
	}
}

func TestWhatIsNoFaultIsRefused(t *testing.T) {
	r := newRig(t)
	for _, own := range []string{"<script>", "refuse", "refuse:network", "refuse:", "cut", "cut:nowhere", "cut:data:x", "0*pass", "1001*pass", "-1*pass", "x*pass",
		"reply:rcpt:99:x", "reply:rcpt:250", "answer:1000:X:y", "answer:abc:X:y", "cut-body:-1", "cut-body:", "delay:rcpt:-1s", "delay:rcpt:2h", "delay:rcpt", "pass:x"} {
		req := httptest.NewRequest("POST", "/faults", strings.NewReader(url.Values{"own": {own}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := r.do(req)
		if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%q: %d", own, w.Code)
		}
	}
	if n := r.ses.FaultsLeft(); n != 0 {
		t.Errorf("%d faults wait", n)
	}
}

func TestEveryFaultOfThePageIsOne(t *testing.T) {
	for _, c := range append(readyFaults, refusalChoices()...) {
		if _, err := parseFaults("2*" + c.Value); err != nil {
			t.Errorf("%s: %v", c.Value, err)
		}
	}
	for _, s := range stages {
		for _, fault := range []string{"cut:", "reset:", "stall:", "drip:"} {
			if _, err := parseFaults(fault + s.name); err != nil {
				t.Error(err)
			}
		}
	}
	faults, err := parseFaults("3 * reply:end-of-data:451:4.4.2 a:b*c")
	if err != nil || len(faults) != 3 || faults[0].String() != "reply at end of data: 451 4.4.2 a:b*c" {
		t.Errorf("%v, %v", faults, err)
	}
}

func TestTheQueueOfFaultsIsLimited(t *testing.T) {
	r := newRig(t)
	all := func(n int) []sestest.Fault { f, _ := parseFaults(fmt.Sprint(n, "*pass")); return f }
	if err := r.script(all(maxFaults)); err != nil {
		t.Fatal(err)
	}
	if err := r.script(all(1)); err == nil || r.ses.FaultsLeft() != maxFaults {
		t.Errorf("%v, %d faults wait", err, r.ses.FaultsLeft())
	}
	if o := outcomes[0]; r.expect(o, maxFaults) != nil || r.expect(o, 1) == nil {
		t.Error("the queue of outcomes has no limit")
	}
}

func FuzzParseFaults(f *testing.F) {
	for _, c := range readyFaults {
		f.Add(c.Value)
	}
	f.Add("3*refuse:send-rate-exceeded")
	f.Fuzz(func(t *testing.T, text string) {
		if faults, err := parseFaults(text); (len(faults) == 0) != (err != nil) {
			t.Errorf("%d faults, %v", len(faults), err)
		}
	})
}

func FuzzLetter(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := newLetter(text, []sestest.File{{ContentID: "a", ContentType: "image/png", Data: []byte("x")}})
		if (l == nil) != (err != nil) {
			t.Errorf("%v, %v", l, err)
		}
	})
}

func TestWhatBecomesOfMailsIsChosen(t *testing.T) {
	r := newRig(t, "-outcome", "delivery")
	r.post("/outcomes", url.Values{"outcome": {"bounce"}, "count": {"1"}})
	r.sent(htmlMail("Hello"), "success@simulator.amazonses.com") // has an end of its own
	bounced, delivered := r.sent(htmlMail("Hello")), r.sent(htmlMail("Hello"), "bob@example.net")
	r.ses.Events.Wait()
	if page := r.page(bounced); !strings.Contains(page, "Bounce</span>") || !strings.Contains(page, "Permanent General smtp; 550 5.1.1 user unknown") || strings.Contains(page, "Delivery</span>") {
		t.Errorf("no bounce: %s", page)
	}
	if page := r.page(delivered); !strings.Contains(page, "Delivery</span>") || strings.Contains(page, "Bounce</span>") {
		t.Errorf("no delivery: %s", page)
	}
	suppressed := r.sent(htmlMail("Hello"))
	r.ses.Events.Wait()
	if page := r.page(suppressed); !strings.Contains(page, "OnAccountSuppressionList") || strings.Contains(page, "Delivery</span>") {
		t.Errorf("a mail to a suppressed address: %s", page)
	}
	if page := r.page("/account"); !strings.Contains(page, "ann@example.net</bdi>") {
		t.Error("the bounce put nobody on the suppression list")
	}
	for _, o := range outcomes {
		if page := r.post(delivered+"/outcome", url.Values{"outcome": {o.Name}}); !strings.Contains(page, said["published"]) {
			t.Errorf("%s: %s", o.Name, page)
		}
	}
	page := r.page("/events")
	wantClean(t, "/events", page)
	for _, kind := range []string{"Send", "Bounce", "Delivery", "Complaint", "DeliveryDelay", "Reject", "Open", "Click"} {
		if !strings.Contains(page, kind+"</span>") {
			t.Errorf("no %s in %s", kind, page)
		}
	}
}

func TestThePageSaysThatNobodyHearsOfAnEvent(t *testing.T) {
	r := newRig(t, "-sets", "")
	if page := r.post(r.sent(htmlMail("Hello"))+"/outcome", url.Values{"outcome": {"bounce"}}); !strings.Contains(page, said["unheard"]) {
		t.Error(page)
	}
}

func TestTheAccountIsChangedOnThePage(t *testing.T) {
	r := newRig(t, "-rate", "5")
	if page := r.post("/account", url.Values{"paused": {"on"}, "quota": {"200"}}); !strings.Contains(page, `name="paused" checked`) || !strings.Contains(page, `value="200"`) || strings.Contains(page, `value="5"`) {
		t.Error(page)
	}
	wantReply(t, r.send(htmlMail("Hello")), 554, "Sending paused for this account")
	r.post("/account", url.Values{})
	if err := r.send(htmlMail("Hello")); err != nil {
		t.Error(err)
	}
	r.post("/account/identity", url.Values{"name": {"example.com"}, "do": {"remove"}})
	wantReply(t, r.send(htmlMail("Hello")), 554, "not verified")
	r.post("/account/identity", url.Values{"name": {"shop@example.com"}, "do": {"verify"}})
	if err := r.send(htmlMail("Hello")); err != nil {
		t.Error(err)
	}
	if page := r.post("/account/suppression", url.Values{"address": {"bob@example.net"}, "do": {"add"}}); !strings.Contains(page, "bob@example.net") {
		t.Error("the address is not on the list")
	}
	if page := r.post("/account/suppression", url.Values{"address": {"bob@example.net"}, "do": {"remove"}}); strings.Contains(page, "bob@example.net") {
		t.Error("the address is still on the list")
	}
	for path, form := range map[string]url.Values{
		"/account":             {"rate": {"-1"}},
		"/account/identity":    {"name": {"a b"}},
		"/account/suppression": {"address": {"nobody"}},
		"/outcomes":            {"outcome": {"bounce"}, "count": {"0"}},
	} {
		req := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if code := r.do(req).Code; code != http.StatusBadRequest {
			t.Errorf("%s with %v: %d", path, form, code)
		}
	}
}

// The flags that describe the account and its troubles hold.
func TestFlagsDescribeTheAccount(t *testing.T) {
	for name, tt := range map[string]struct {
		args string
		code int
		want string
	}{
		"paused":      {"-paused", 554, "Sending paused"},
		"suspended":   {"-suspended", 554, "shut down"},
		"sandbox":     {"-sandbox", 554, "ann@example.net"},
		"unverified":  {"-identities example.org,example.net", 554, "shop@example.com"},
		"pending":     {"-identities example.com=pending", 554, "shop@example.com"},
		"quota":       {"-quota 0.5", 454, "Daily message quota"},
		"a fault":     {"-fault refuse:message-rejected", 554, "virus"},
		"two faults":  {"-fault reply:mail:451:one -fault reply:mail:451:two", 451, "one"},
		"nothing bad": {"-probation -rate 10 -sets a,b -suppressed a@example.net=complaint,b@example.net -deny ses:GetAccount -control-rate 1 -idle 1m -session-limit 5 -connection-limit 5", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, strings.Fields(tt.args)...)
			err := r.send(htmlMail("Hello"))
			if tt.code == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantReply(t, err, tt.code, tt.want)
		})
	}
}

func TestEventsGoWhereTheFlagsSay(t *testing.T) {
	var mu sync.Mutex
	var got []string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		events, _ := event.Parse(body)
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			got = append(got, string(e.Type))
		}
	}))
	defer hook.Close()
	r := newRig(t, "-notify", hook.URL, "-queue", "ses-events", "-event-copies", "2", "-outcome", "complaint")
	r.sent(htmlMail("Hello"))
	r.ses.Events.Wait()
	mu.Lock()
	defer mu.Unlock()
	if strings.Join(got, " ") != "Send Send Complaint Complaint" {
		t.Errorf("posted %q", got)
	}
	req, _ := http.NewRequest("POST", r.ses.URL, strings.NewReader(`{"QueueName":"ses-events","MaxNumberOfMessages":10}`))
	req.Header.Set("X-Amz-Target", "AmazonSQS.ReceiveMessage")
	resp, err := r.ses.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); bytes.Count(body, []byte("ReceiptHandle")) != 4 {
		t.Errorf("the queue holds %s", body)
	}
}

func TestOnlyTheNewestMailsAreKept(t *testing.T) {
	b := &mailbox{maxMails: 3, maxOctets: 1000}
	for i := range 10 {
		b.add(sestest.Mail{ID: fmt.Sprint(i), Data: make([]byte, 100), Request: make([]byte, 100)})
	}
	if s := b.mailPage(1); s.Total != 3 || s.Dropped != 7 || s.Items[0].ID != "9" || s.Items[2].ID != "7" || b.octets != 300 || s.Items[0].Request != nil {
		t.Errorf("%d kept, %d dropped, %d octets", s.Total, s.Dropped, b.octets)
	}
	b.add(sestest.Mail{ID: "a", Data: make([]byte, 900)})
	if s := b.mailPage(1); s.Total != 2 || b.octets != 1000 {
		t.Errorf("%d kept, %d octets", s.Total, b.octets)
	}
	b.add(sestest.Mail{ID: "b", Data: make([]byte, 5000)}) // the newest one is always there
	if s := b.mailPage(1); s.Total != 1 || s.Items[0].ID != "b" || b.octets != 5000 || b.find("a") != nil {
		t.Errorf("%d kept, %d octets", s.Total, b.octets)
	}
	for range 100 {
		b.addEvents(&event.Event{MessageID: "b"})
	}
	if n := len(b.eventsOf("b")); n != 3*eventsPerMail {
		t.Errorf("%d events kept", n)
	}
}

// What gathers in the server is taken over although nobody looks at the page.
func TestNothingGathersInTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "-keep", "2", "-outcome", "delivery")
		go r.run(t.Context())
		for i := range 20 {
			if err := r.send(fmt.Sprintf("%sSubject: mail %d\n\nHello\n", head, i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		if dropped, events := r.box.mailPage(1).Dropped, len(r.box.eventPage(1).Items); dropped < 18 || events < 2*eventsPerMail {
			t.Errorf("%d mails dropped and %d events kept", dropped, events)
		}
		if n, events := r.ses.AcceptedCount(), len(r.ses.Events.List()); n+events > 0 {
			t.Errorf("%d mails and %d events gather in the server", n, events)
		}
	})
}

func TestAMailThatIsNeverSentIsShownAsSuch(t *testing.T) {
	r := newRig(t)
	body := `{"FromEmailAddress":"shop@example.com","Destination":{"ToAddresses":["ann@example.net"]},"Content":{"Template":{"TemplateContent":{"Subject":"Hi {{name}}","Text":"x"},"TemplateData":"{}"}}}`
	resp, err := r.ses.HTTPClient().Post(r.ses.URL+"/v2/email/outbound-emails", "application/json", strings.NewReader(body))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	page := r.page("/")
	if !strings.Contains(page, "never sent") || !strings.Contains(page, ">API<") {
		t.Errorf("the list: %s", page)
	}
	id := regexp.MustCompile(`/mail/[^"]+`).FindString(page)
	if page := r.page(id); !strings.Contains(page, "Attribute &#39;name&#39; is not present") || strings.Contains(page, "/outcome") {
		t.Errorf("the mail: %s", page)
	}
}

// syncBuffer is a buffer that a program writes while a test reads. Its changed
// tells of each Write.
type syncBuffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan<- struct{}
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default: // told already
	}
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var anyPorts = []string{"-smtp", "127.0.0.1:0", "-smtps", "127.0.0.1:0", "-plain", "127.0.0.1:0", "-api", "127.0.0.1:0", "-page", "127.0.0.1:0"}

// started runs the program until the test ends and returns what it printed up to
// "ready".
func started(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changed := make(chan struct{}, 1)
	out, errOut := syncBuffer{changed: changed}, syncBuffer{changed: changed}
	done := make(chan int)
	go func() { done <- run(ctx, append(anyPorts, args...), &out, &errOut) }()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != 0 || errOut.String() != "" || !strings.HasSuffix(out.String(), "ready\nstopping\n") {
			t.Errorf("exit code %d: %s%s", code, &out, &errOut)
		}
	})
	for !strings.HasSuffix(out.String(), "ready\n") {
		<-changed
		if errOut.String() != "" {
			t.Fatal(errOut.String())
		}
	}
	return out.String()
}

func address(out, name string) string {
	return regexp.MustCompile(regexp.QuoteMeta(name) + ` +(\S+)`).FindStringSubmatch(out)[1]
}

func TestClientsOfOtherProcessesUseTheCertificate(t *testing.T) {
	cert := filepath.Join(t.TempDir(), "fakeses.pem")
	out := started(t, "-cert", cert, "-user", "me", "-password", "secret of the test")
	if strings.Contains(out, "secret") {
		t.Error("the password is printed")
	}
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	addr := address(out, "SMTP, STARTTLS")
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{RootCAs: roots, ServerName: "localhost"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(smtp.PlainAuth("", "me", "secret of the test", "127.0.0.1")); err != nil {
		t.Error(err)
	}
	wrapped, err := tls.Dial("tcp", address(out, "SMTP, TLS wrapper"), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	wrapped.Close()
	resp, err := http.Get(address(out, "page") + "/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !bytes.Equal(body, pem) {
		t.Errorf("the page's certificate is another: %s", body)
	}
}

func TestAPortThatIsTakenIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, name := range []string{"-smtp", "-smtps", "-plain", "-api", "-page"} {
		var out, errOut bytes.Buffer
		code := run(t.Context(), append(anyPorts, name, l.Addr().String()), &out, &errOut)
		if text := errOut.String(); code != 1 || !strings.Contains(text, l.Addr().String()) || !strings.Contains(text, name) || strings.Contains(out.String(), "ready") {
			t.Errorf("%s: exit code %d: %s", name, code, text)
		}
	}
	var out, errOut bytes.Buffer
	if code := run(t.Context(), append(anyPorts, "-cert", filepath.Join(t.TempDir(), "no", "such", "folder")), &out, &errOut); code != 1 {
		t.Errorf("a certificate that cannot be written: exit code %d", code)
	}
}

func TestItSaysWhatIsWrongWithTheCommandLine(t *testing.T) {
	for name, tt := range map[string]struct {
		args, want string
		code       int
	}{
		"help":                    {"-h", "refuse:REASON", 0},
		"no such flag":            {"-x", "not defined", 2},
		"an argument":             {"start", `"start" is no flag`, 2},
		"no such fault":           {"-fault explode", `"explode" is no fault`, 2},
		"no such reason":          {"-fault refuse:bad", `"bad"`, 2},
		"no such outcome":         {"-outcome lost", "bounce", 2},
		"a page for the world":    {"-page 0.0.0.0:2580", "on this machine", 2},
		"a page for the network":  {"-page :2580", "on this machine", 2},
		"a page under a name":     {"-page example.com:2580", "on this machine", 2},
		"nothing to keep":         {"-keep 0", "-keep", 2},
		"too many copies":         {"-event-copies 1000", "-event-copies", 2},
		"too many faults":         {"-fault 600*pass -fault 600*pass", "1200", 2},
		"an address without port": {"-smtp localhost", "missing port", 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // what starts all the same ends at once
			var out, errOut bytes.Buffer
			if code := run(ctx, strings.Fields(tt.args), &out, &errOut); code != tt.code || !strings.Contains(errOut.String()+out.String(), tt.want) {
				t.Errorf("exit code %d: %s", code, &errOut)
			}
		})
	}
}

// -h names every fault, stage and reason.
func TestHelpNamesAllWords(t *testing.T) {
	help := faultHelp()
	for _, reason := range sestest.Reasons("") {
		if !strings.Contains(help, string(reason)) {
			t.Errorf("no %s", reason)
		}
	}
	if !strings.Contains(help, string(seserrors.SendRateExceeded)) {
		t.Error("reasons are missing")
	}
	for line := range strings.Lines(help) {
		if len(line) > 100 {
			t.Errorf("a long line: %s", line)
		}
	}
}
