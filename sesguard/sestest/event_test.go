package sestest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// eventful has all events of all mails of example.com published.
func eventful(s *sestest.Server) {
	s.Account.SetConfigurationSet("all", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
	s.Account.SetIdentity("example.com", sestest.Identity{ConfigurationSet: "all"})
}

// published lists types and recipients of the events.
func published(s *sestest.Server) (list []string) {
	s.Events.Wait()
	for _, text := range s.Events.List() {
		list = append(list, summary(text))
	}
	return list
}

func summary(text []byte) string {
	var e struct {
		EventType, NotificationType string
		Bounce                      struct {
			BounceType, BounceSubType string
			BouncedRecipients         []struct{ EmailAddress, Status, DiagnosticCode string }
		}
		Complaint struct {
			ComplaintFeedbackType, ComplaintSubType string
			ComplainedRecipients                    []struct{ EmailAddress string }
		}
		Delivery      struct{ Recipients []string }
		DeliveryDelay struct{ DelayType string }
		Failure       struct{ TemplateName, ErrorMessage string }
		Reject        struct{ Reason string }
		Click         struct{ Link string }
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return err.Error()
	}
	words := []string{e.EventType, e.NotificationType, e.Bounce.BounceType, e.Bounce.BounceSubType}
	for _, r := range e.Bounce.BouncedRecipients {
		words = append(words, r.EmailAddress, r.Status, r.DiagnosticCode)
	}
	words = append(words, e.Complaint.ComplaintFeedbackType, e.Complaint.ComplaintSubType)
	for _, r := range e.Complaint.ComplainedRecipients {
		words = append(words, r.EmailAddress)
	}
	words = append(append(words, e.Delivery.Recipients...), e.DeliveryDelay.DelayType, e.Failure.TemplateName, e.Failure.ErrorMessage, e.Reject.Reason, e.Click.Link)
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func wantPublished(t *testing.T, s *sestest.Server, want ...string) {
	t.Helper()
	if got := published(s); !slices.Equal(got, want) {
		t.Errorf("published\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheSimulatorActsByItself(t *testing.T) {
	const at = "@simulator.amazonses.com"
	tests := map[string]struct {
		to   []string
		want []string
	}{
		"nobody special": {[]string{to}, nil},
		"success":        {[]string{"success" + at}, []string{"Delivery success" + at}},
		"label":          {[]string{"success+news" + at}, []string{"Delivery success+news" + at}},
		"capitals":       {[]string{"Success@Simulator.AmazonSES.com"}, []string{"Delivery Success@Simulator.AmazonSES.com"}},
		"bounce":         {[]string{"bounce" + at}, []string{"Bounce Permanent General bounce" + at + " 5.1.1 smtp; 550 5.1.1 user unknown"}},
		"ooto":           {[]string{"ooto" + at}, []string{"Delivery ooto" + at, "Bounce Transient General ooto" + at}},
		"complaint":      {[]string{"complaint" + at}, []string{"Delivery complaint" + at, "Complaint abuse complaint" + at}},
		"suppressionlist": {[]string{"suppressionlist" + at}, []string{
			"Bounce Permanent General suppressionlist" + at + " 5.1.1 smtp; 550 5.1.1 As requested: user unknown (suppressed address)"}},
		"unknown": {[]string{"other" + at}, nil},
		"bounces of one request share an event": {[]string{"bounce+1" + at, to, "bounce+2" + at}, []string{
			"Bounce Permanent General bounce+1" + at + " 5.1.1 smtp; 550 5.1.1 user unknown bounce+2" + at + " 5.1.1 smtp; 550 5.1.1 user unknown"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
				eventful(s)
				wantSays(t, send(message, tt.to...), "")
				wantPublished(t, s, append([]string{"Send"}, tt.want...)...)
				if list := s.Account.SuppressionList(); len(list) != 0 {
					t.Errorf("the simulator put %v on the list", list)
				}
			})
		})
	}
}

func TestTheEICARFileIsRejectedInAnEvent(t *testing.T) {
	virus := []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-` + `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*` + "\r\n")
	for _, encoding := range []types.AttachmentContentTransferEncoding{"SEVEN_BIT", "BASE64", "QUOTED_PRINTABLE"} {
		t.Run(string(encoding), func(t *testing.T) {
			s := newServer(t)
			eventful(s)
			in := simpleInput()
			in.Destination = &types.Destination{ToAddresses: []string{"success@simulator.amazonses.com"}}
			in.Content.Simple.Attachments = []types.Attachment{{FileName: aws.String("eicar.com"), RawContent: virus, ContentTransferEncoding: encoding}}
			send(t, s, in)
			wantPublished(t, s, "Send", "Reject Bad content")
			in.Content.Simple.Attachments[0].RawContent = virus[1:]
			if _, err := apiClient(s).SendEmail(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			wantPublished(t, s, "Send", "Reject Bad content", "Send", "Delivery success@simulator.amazonses.com")
		})
	}
}

func TestMailToTheSimulatorCostsNoQuota(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		s.Account.SetMax24HourSend(1)
		wantSays(t, send(message, "success@simulator.amazonses.com", "bounce@simulator.amazonses.com"), "")
		wantSays(t, send(message, to), "")
		wantSays(t, send(message, to), quotaSpent)
	})
}

// accept sends a mail over SMTP and returns it as accepted.
func accept(t *testing.T, s *sestest.Server, to ...string) sestest.Mail {
	t.Helper()
	if err := overSMTP(t, s, message, to...); err != nil {
		t.Fatal(err)
	}
	all := s.Accepted()
	return all[len(all)-1]
}

func TestEventsByScript(t *testing.T) {
	tests := map[string]struct {
		say  func(e *sestest.Events, m sestest.Mail) bool
		want string
	}{
		"send":       {func(e *sestest.Events, m sestest.Mail) bool { return e.Send(m) }, "Send"},
		"deliver":    {func(e *sestest.Events, m sestest.Mail) bool { return e.Deliver(m) }, "Delivery a@example.org b@example.org"},
		"deliver to": {func(e *sestest.Events, m sestest.Mail) bool { return e.Deliver(m, "b@example.org") }, "Delivery b@example.org"},
		"bounce": {func(e *sestest.Events, m sestest.Mail) bool {
			return e.Bounce(m, "", "smtp; 550 5.7.1 blocked", "a@example.org")
		}, "Bounce Permanent General a@example.org 5.7.1 smtp; 550 5.7.1 blocked"},
		"soft bounce": {func(e *sestest.Events, m sestest.Mail) bool {
			return e.Bounce(m, "Transient/MailboxFull", "smtp; 452 full", "a@example.org")
		}, "Bounce Transient MailboxFull a@example.org 4.0.0 smtp; 452 full"},
		"address no code": {func(e *sestest.Events, m sestest.Mail) bool {
			return e.Bounce(m, "", "smtp; 550 5.1.2.3 is listed", "a@example.org")
		}, "Bounce Permanent General a@example.org 5.1.1 smtp; 550 5.1.2.3 is listed"},
		"folded reply": {func(e *sestest.Events, m sestest.Mail) bool {
			return e.Bounce(m, "", "smtp; 550-5.7.1 no\n550 5.7.1 no", "a@example.org")
		}, "Bounce Permanent General a@example.org 5.7.1 smtp; 550-5.7.1 no\n550 5.7.1 no"},
		"no report": {func(e *sestest.Events, m sestest.Mail) bool {
			return e.Bounce(m, "Undetermined/Undetermined", "", "a@example.org")
		}, "Bounce Undetermined Undetermined a@example.org"},
		"complain":  {func(e *sestest.Events, m sestest.Mail) bool { return e.Complain(m, "fraud") }, "Complaint fraud a@example.org b@example.org"},
		"delay":     {func(e *sestest.Events, m sestest.Mail) bool { return e.Delay(m, "", "") }, "DeliveryDelay TransientCommunicationFailure"},
		"delay as":  {func(e *sestest.Events, m sestest.Mail) bool { return e.Delay(m, "MailboxFull", "smtp; 452 full") }, "DeliveryDelay MailboxFull"},
		"reject":    {func(e *sestest.Events, m sestest.Mail) bool { return e.Reject(m) }, "Reject Bad content"},
		"rendering": {func(e *sestest.Events, m sestest.Mail) bool { return e.RenderingFailure(m, "hello", "no name") }, "Rendering Failure hello no name"},
		"open":      {func(e *sestest.Events, m sestest.Mail) bool { return e.Open(m) }, "Open"},
		"click":     {func(e *sestest.Events, m sestest.Mail) bool { return e.Click(m, "https://example.com/") }, "Click https://example.com/"},
		"subscription": {func(e *sestest.Events, m sestest.Mail) bool {
			return e.Publish("Subscription", m, map[string]string{"contactList": "x"})
		}, "Subscription"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *sestest.Server) {
				s.Account.SetSuppressedReasons()
				silent := accept(t, s, to)
				if tt.say(s.Events, silent) {
					t.Error("published although no destination asks for it")
				}
				eventful(s)
				m := accept(t, s, "a@example.org", "b@example.org")
				if !tt.say(s.Events, m) {
					t.Error("not published")
				}
				wantPublished(t, s, "Send", tt.want)
			})
		})
	}
	s := newServer(t)
	mustPanic(t, "no event of the type", func() { s.Events.Publish("Sent", sestest.Mail{}, nil) })
}

func TestEventsHaveTheShapeOfEventPublishing(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		in := simpleInput()
		in.EmailTags = tags("campaign", "spring")
		in.ConfigurationSetName = new("all")
		out, err := apiClient(s).SendEmail(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.Events.Bounce(s.Accepted()[0], "", "smtp; 550 5.1.1 user unknown", to)
		s.Events.Wait()
		var e map[string]any
		if err := json.Unmarshal(s.Events.List()[1], &e); err != nil {
			t.Fatal(err)
		}
		mail := e["mail"].(map[string]any)
		for path, want := range map[string]string{
			"eventType": "Bounce", "mail.timestamp": "2000-01-01T00:00:00.000Z", "mail.messageId": *out.MessageId,
			"mail.source": "Sender <sender@example.com>", "mail.sendingAccountId": "123456789012",
			"mail.sourceArn":   "arn:aws:ses:us-east-1:123456789012:identity/example.com",
			"mail.destination": "[to@example.org cc@example.org bcc@example.org]", "mail.headersTruncated": "false",
			"mail.tags":          "map[campaign:[spring] ses:caller-identity:[sestest] ses:configuration-set:[all] ses:from-domain:[example.com] ses:operation:[SendEmail] ses:source-ip:[127.0.0.1] ses:source-tls-version:[TLSv1.3]]",
			"mail.commonHeaders": "map[cc:[cc@example.org] date:Sat, 01 Jan 2000 00:00:00 +0000 from:[Sender <sender@example.com>] messageId:" + *out.MessageId + " replyTo:[reply@example.com] subject:Grüße to:[To <to@example.org>]]",
			"bounce.timestamp":   "2000-01-01T00:00:01.000Z", "bounce.reportingMTA": "dns; a8-70.smtp-out.amazonses.com", "bounce.remoteMtaIp": "192.0.2.25",
			"bounce.bouncedRecipients": "[map[action:failed diagnosticCode:smtp; 550 5.1.1 user unknown emailAddress:to@example.org status:5.1.1]]",
		} {
			if got := fmt.Sprint(at(e, path)); got != want {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
		if first := fmt.Sprint(mail["headers"].([]any)[0]); first != "map[name:From value:Sender <sender@example.com>]" {
			t.Errorf("first header field %s", first)
		}
	})
}

// at finds a member by its path.
func at(o map[string]any, path string) any {
	name, rest, more := strings.Cut(path, ".")
	if !more {
		return o[name]
	}
	return at(o[name].(map[string]any), rest)
}

func TestIdentityNotificationsHaveTheirOwnShape(t *testing.T) {
	const topic = "arn:aws:sns:us-east-1:123456789012:notes"
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		id := sestest.Identity{ConfigurationSet: "all", BounceTopic: topic}
		s.Account.SetIdentity("example.com", id)
		msg := "Message-ID: <own@example.com>\r\nX-SES-MESSAGE-TAGS: a=b\r\n" + message
		bounced := func() map[string]any {
			if err := overSMTP(t, s, msg, "bounce@simulator.amazonses.com"); err != nil {
				t.Fatal(err)
			}
			s.Events.Wait()
			all := s.Events.List()
			event, notified := map[string]any{}, map[string]any{}
			json.Unmarshal(all[len(all)-2], &event)
			json.Unmarshal(all[len(all)-1], &notified)
			if event["eventType"] != "Bounce" || notified["notificationType"] != "Bounce" || notified["eventType"] != nil {
				t.Fatalf("published %s", published(s))
			}
			if at(event, "bounce.feedbackId") != at(notified, "bounce.feedbackId") || at(event, "bounce.feedbackId") == "" {
				t.Error("the copies have feedback ids of their own")
			}
			if at(event, "mail.commonHeaders.messageId") != at(event, "mail.messageId") {
				t.Errorf("published with the message id %v", at(event, "mail.commonHeaders.messageId"))
			}
			return notified
		}
		n := bounced()
		if got := fmt.Sprint(at(n, "mail.tags"), at(n, "mail.headers"), at(n, "mail.sourceIp"), at(n, "mail.callerIdentity")); got != "<nil> <nil>127.0.0.1sestest" {
			t.Errorf("tags, header, address and caller: %s", got)
		}
		id.HeadersInNotifications = true
		s.Account.SetIdentity("example.com", id)
		if got := at(bounced(), "mail.commonHeaders.messageId"); got != "<own@example.com>" {
			t.Errorf("message id %v, want the caller's", got)
		}
	})
}

func TestLongHeadersAreCut(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		if err := overSMTP(t, s, strings.Repeat("X-Filler: "+strings.Repeat("x", 900)+"\r\n", 12)+message, to); err != nil {
			t.Fatal(err)
		}
		s.Events.Wait()
		var e map[string]any
		json.Unmarshal(s.Events.List()[0], &e)
		if n := len(at(e, "mail.headers").([]any)); n != 11 || at(e, "mail.headersTruncated") != true {
			t.Errorf("%d fields, truncated %v", n, at(e, "mail.headersTruncated"))
		}
	})
}

func TestDestinationsChooseTheirEvents(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		s.Account.SetIdentity("example.com", sestest.Identity{ConfigurationSet: "some"})
		s.Account.SetConfigurationSet("some", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{
			{Types: []string{"BOUNCE"}}, {Types: []string{"SEND"}, Disabled: true},
		}})
		accept(t, s, "bounce@simulator.amazonses.com", "success@simulator.amazonses.com")
		wantPublished(t, s, "Bounce Permanent General bounce@simulator.amazonses.com 5.1.1 smtp; 550 5.1.1 user unknown")
	})
}

func TestUnrenderedMailsPublishTheirFailure(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		s.Account.AddTemplate("hello", "Hello", "{{name}}", "")
		in := simpleInput()
		in.Content = templateContent("hello", "{}")
		if _, err := apiClient(s).SendEmail(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		wantPublished(t, s, "Send", "Rendering Failure hello Attribute 'name' is not present in the rendering data.")
		var e map[string]any
		json.Unmarshal(s.Events.List()[1], &e)
		if at(e, "mail.headers") != nil || at(e, "mail.commonHeaders") != nil || at(e, "mail.headersTruncated") != false {
			t.Errorf("a rendering failure with a header: %v", e)
		}
	})
}

func TestWhatIsTakenIsKeptNoLonger(t *testing.T) {
	s := newServer(t)
	eventful(s)
	in := simpleInput()
	in.Content = &types.EmailContent{Template: &types.Template{TemplateData: aws.String("{}"),
		TemplateContent: &types.EmailTemplateContent{Subject: aws.String("Hello {{name}}")}}}
	if _, err := apiClient(s).SendEmail(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	s.Events.Wait()
	for i, want := range [][2]int{{1, 2}, {0, 0}} { // Send and Rendering Failure
		if mails, events := len(s.TakeUnrendered()), len(s.Events.Take()); mails != want[0] || events != want[1] {
			t.Errorf("take %d: %d mails, %d events, want %v", i, mails, events, want)
		}
	}
	if n := len(s.Unrendered()) + len(s.Events.List()); n != 0 {
		t.Errorf("%d are still there", n)
	}
}

func TestEventsComeLateTwiceOrNotAtAll(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		s.Events.Schedule(func(kind string, m sestest.Mail) []time.Duration {
			if m.ID == "" {
				t.Error("no mail")
			}
			return map[string][]time.Duration{"Send": {time.Hour}, "Delivery": {0, time.Minute}}[kind]
		})
		type heard struct {
			what string
			at   time.Duration
		}
		var got []heard
		begin := time.Now()
		s.Events.Subscribe(sestest.Subscription{Raw: true, Func: func(b []byte) { got = append(got, heard{summary(b), time.Since(begin)}) }})
		accept(t, s, "complaint@simulator.amazonses.com")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		const delivery = "Delivery complaint@simulator.amazonses.com"
		if want := []heard{{delivery, 0}, {delivery, time.Minute}, {"Send", time.Hour}}; !slices.Equal(got, want) {
			t.Errorf("heard %v, want %v", got, want)
		}
		s.Events.Schedule(nil)
		accept(t, s, to)
		s.Events.Wait()
		if last := got[len(got)-1]; last.what != "Send" || last.at != 2*time.Hour {
			t.Errorf("heard %v at last", last)
		}
	})
}

func TestEventsOfOneMomentKeepTheirOrder(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		m := accept(t, s, to)
		s.Events.Schedule(func(string, sestest.Mail) []time.Duration { return []time.Duration{time.Second} })
		want := []string{"Send"}
		for i := range 20 {
			link := fmt.Sprintf("https://example.com/%d", i)
			s.Events.Click(m, link)
			want = append(want, "Click "+link)
		}
		time.Sleep(time.Second)
		wantPublished(t, s, want...)
	})
}

func TestWaitEndsWithTheServer(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		gate := make(chan struct{})
		s.Events.Subscribe(sestest.Subscription{Func: func([]byte) { <-gate }})
		accept(t, s, to)
		synctest.Wait()
		done := make(chan struct{})
		go func() { s.Events.Wait(); close(done) }()
		go s.Close()
		<-done
		close(gate)
	})
}

func TestSuppressedRecipientsAreAcceptedAndBounce(t *testing.T) {
	const note = "Amazon SES did not send the message to this address because it is on the suppression list for your account."
	tests := map[string]struct {
		prepare func(a *sestest.Account)
		want    []string
	}{
		"bounced before":      {func(a *sestest.Account) { a.Suppress("To@EXAMPLE.org", "BOUNCE") }, []string{"Bounce Permanent OnAccountSuppressionList to@example.org 5.1.1 " + note}},
		"complained before":   {func(a *sestest.Account) { a.Suppress(to, "COMPLAINT") }, []string{"Complaint OnAccountSuppressionList to@example.org"}},
		"taken off":           {func(a *sestest.Account) { a.Suppress(to, "BOUNCE"); a.Unsuppress(to) }, nil},
		"reason not in force": {func(a *sestest.Account) { a.Suppress(to, "BOUNCE"); a.SetSuppressedReasons("COMPLAINT") }, nil},
		"configuration set": {func(a *sestest.Account) {
			a.Suppress(to, "BOUNCE")
			a.SetConfigurationSet("all", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}, SuppressedReasons: []string{}})
		}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
				eventful(s)
				tt.prepare(s.Account)
				wantSays(t, send(message, to, "other@example.org"), "")
				wantPublished(t, s, append([]string{"Send"}, tt.want...)...)
				wantAccepted(t, s, 1)
			})
		})
	}
}

func TestHardBouncesAndComplaintsFillTheList(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		m := accept(t, s, "a@example.org", "b@example.org", "c@example.org")
		s.Events.Bounce(m, "", "", "b@example.org")
		s.Events.Bounce(m, "Transient/General", "", "c@example.org")
		s.Events.Complain(m, "abuse", "a@example.org")
		s.Account.SetSuppressedReasons()
		s.Events.Bounce(m, "", "", "c@example.org")
		var got []string
		for _, x := range s.Account.SuppressionList() {
			got = append(got, x.Address+" "+x.Reason+" "+x.Updated.Format(time.DateOnly))
		}
		if want := []string{"a@example.org COMPLAINT 2000-01-01", "b@example.org BOUNCE 2000-01-01"}; !slices.Equal(got, want) {
			t.Errorf("list %v, want %v", got, want)
		}
	})
}

func TestTheIdentitysConfigurationSetIsTheDefault(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		s.Account.SetIdentity("example.com", sestest.Identity{ConfigurationSet: "news"})
		wantSays(t, send(message, to), "Configuration set <news> does not exist.")
		s.Account.AddConfigurationSet("news")
		s.Account.AddConfigurationSet("other")
		wantSays(t, send(message, to), "")
		wantSays(t, send("X-SES-CONFIGURATION-SET: other\r\n"+message, to), "")
		s.Account.SetIdentity(from, sestest.Identity{}) // the address has none, and goes before its domain
		wantSays(t, send(message, to), "")
		var got []string
		for _, m := range s.Accepted() {
			got = append(got, m.ConfigurationSet)
		}
		if want := []string{"news", "other", ""}; !slices.Equal(got, want) {
			t.Errorf("configuration sets %q, want %q", got, want)
		}
	})
}

func TestIdentitiesThatAreNotReadyRefuse(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		s.Account.SetIdentity("example.com", sestest.Identity{Status: "PENDING"})
		wantSays(t, send(message, to), failedCheck+from)
		s.Account.SetIdentity("example.com", sestest.Identity{MailFromDomain: "mail.example.com", MailFromStatus: "FAILED"})
		wantSays(t, send(message, to), "")
		s.Account.SetIdentity("example.com", sestest.Identity{MailFromDomain: "mail.example.com", MailFromStatus: "FAILED", RejectOnMXFailure: true})
		if err := send(message, to); err == nil || !strings.Contains(strings.ToLower(err.Error()), "mail from domain") {
			t.Errorf("answered %v", err)
		}
	})
}

func tags(nameValue ...string) (list []types.MessageTag) {
	for i := 0; i < len(nameValue); i += 2 {
		list = append(list, types.MessageTag{Name: &nameValue[i], Value: &nameValue[i+1]})
	}
	return list
}

func templateContent(name, data string) *types.EmailContent {
	return &types.EmailContent{Template: &types.Template{TemplateName: &name, TemplateData: &data}}
}
