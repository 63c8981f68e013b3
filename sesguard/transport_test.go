package sesguard

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/smtp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func newFake(t *testing.T) *sestest.Server {
	srv := sestest.NewServer()
	t.Cleanup(srv.Close)
	return srv
}

func overSMTP(t *testing.T, srv *sestest.Server) Sender {
	c, err := smtpclient.New(smtpclient.Config{
		Addr: srv.SMTPAddr, Username: srv.Username, Password: srv.Password, TLSConfig: srv.TLSConfig(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return SMTP(c)
}

func sdkOf(srv *sestest.Server, optFns ...func(*sesv2.Options)) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region: srv.Region, BaseEndpoint: &srv.URL, HTTPClient: srv.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: srv.AccessKeyID, SecretAccessKey: srv.SecretAccessKey}, nil
		}),
	}, optFns...)
}

func overAPI(srv *sestest.Server) Sender { return API(sdkOf(srv)) }

// transports runs f over both.
func transports(t *testing.T, f func(t *testing.T, srv *sestest.Server, transport Sender)) {
	t.Run("smtp", func(t *testing.T) { srv := newFake(t); f(t, srv, overSMTP(t, srv)) })
	t.Run("api", func(t *testing.T) { srv := newFake(t); f(t, srv, overAPI(srv)) })
}

// withoutSES is data without the X-SES-* lines of its header, which SES takes
// out of every mail.
func withoutSES(data []byte) string {
	head, body, _ := strings.Cut(string(data), "\r\n\r\n")
	var lines []string
	skip := false
	for line := range strings.SplitSeq(head, "\r\n") {
		if line[0] != ' ' && line[0] != '\t' {
			skip = strings.HasPrefix(strings.ToUpper(line), "X-SES-")
		}
		if !skip {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

func parityMessages() map[string]*Message {
	date := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	raw := "From: a@example.com\r\nTo: b@example.org\r\nSubject: raw\r\n\r\n.dot\r\n..two\r\nFrom here\r\n"
	file := bytes.Repeat([]byte("0123456789abcdef\r\n.\r\n"), 5000)
	return map[string]*Message{
		"text": {From: "a@example.com", To: []string{"b@example.org"}, Subject: "s", Text: "hello\n.\n..\nworld", Date: date},
		"everything": {
			From: "Jürgen <a@example.com>", ReturnPath: "bounces@example.com",
			To: []string{"Ann <ann@bücher.example>", "x@example.org"}, Cc: []string{"c@example.net"}, Bcc: []string{"hidden@example.org", "x@EXAMPLE.org"},
			ReplyTo: []string{"Müller <reply@example.com>"}, Subject: "Grüße", Text: "täxt", HTML: "<p>täxt <img src=cid:logo></p>", Date: date,
			Headers:          []Header{{"X-Campaign", "spring"}},
			Attachments:      []Attachment{{Name: "a.txt", Content: file}, {Name: "logo.png", ContentID: "logo", Content: []byte("png")}},
			ConfigurationSet: "set", Tags: []Tag{{"campaign", "spring"}, {"user", "a.b@c"}},
		},
		"streamed": {
			From: "a@example.com", To: []string{"b@example.org"}, Subject: "s", Text: "t", Date: date,
			Attachments: []Attachment{{Name: "big.bin", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }}},
		},
		"raw":      {From: "a@example.com", To: []string{"b@example.org", "d@example.org"}, Raw: strings.NewReader(raw)},
		"bcc only": {From: "a@example.com", Bcc: []string{"b@example.org"}, Subject: "s", Text: "t", Date: date},
	}
}

func TestBothTransportsSendTheSame(t *testing.T) {
	for name := range parityMessages() {
		t.Run(name, func(t *testing.T) {
			srv := newFake(t)
			srv.Account.AddConfigurationSet("set")
			var ids []string
			for _, transport := range []Sender{overSMTP(t, srv), overAPI(srv)} {
				r, err := New(transport, Options{}).Send(t.Context(), parityMessages()[name])
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, r.MessageID)
			}
			got := srv.Accepted()
			if len(got) != 2 {
				t.Fatalf("%d mails accepted, want 2", len(got))
			}
			a, b := got[0], got[1]
			if a.ID != ids[0] || b.ID != ids[1] {
				t.Errorf("ids %q, %q; the receipts say %q", a.ID, b.ID, ids)
			}
			if a.From != b.From || !slices.Equal(a.To, b.To) {
				t.Errorf("envelopes differ: smtp %s %q, api %s %q", a.From, a.To, b.From, b.To)
			}
			if withoutSES(a.Data) != withoutSES(b.Data) {
				t.Errorf("messages differ:\n%s\n----\n%s", a.Data, b.Data)
			}
			if a.ConfigurationSet != b.ConfigurationSet || !maps.Equal(a.Tags, b.Tags) {
				t.Errorf("SES fields differ: smtp %q %v, api %q %v", a.ConfigurationSet, a.Tags, b.ConfigurationSet, b.Tags)
			}
			if name == "everything" {
				if a.ConfigurationSet != "set" || len(a.Tags) != 2 || a.From != "bounces@example.com" || len(a.To) != 4 || strings.Contains(string(a.Data), "hidden@") {
					t.Errorf("got %q %v %s %q", a.ConfigurationSet, a.Tags, a.From, a.To)
				}
			}
		})
	}
}

func TestBothTransportsGiveTheSameClassForTheSameCause(t *testing.T) {
	for _, cause := range []seserrors.Reason{
		seserrors.SendRateExceeded, seserrors.DailyQuotaExceeded, seserrors.AccessDenied, seserrors.IdentityNotVerified,
		seserrors.MailFromDomainNotVerified, seserrors.SendingPaused, seserrors.ConfigurationSetMissing,
		seserrors.ConfigurationSetPaused, seserrors.MessageTooLong, seserrors.IllegalAddress, seserrors.TooManyRecipients,
		seserrors.RecipientSuppressed, seserrors.IllegalHeader, seserrors.DuplicateHeader, seserrors.InvalidTag, seserrors.MessageRejected,
	} {
		t.Run(string(cause), func(t *testing.T) {
			want := seserrors.Classify(cause).Class
			transports(t, func(t *testing.T, srv *sestest.Server, transport Sender) {
				srv.Script(sestest.Refuse(cause))
				_, err := transport.Send(t.Context(), letter())
				e := seserrors.Classify(err)
				if e == nil || e.Reason != cause || e.Class != want || e.MaybeAccepted {
					t.Errorf("got %+v, want %s (%s) without doubt", e, cause, want)
				}
				if n := len(srv.Accepted()); n != 0 {
					t.Errorf("%d mails accepted", n)
				}
			})
		})
	}
}

func TestALostReplyIsInDoubtAndNotSentAgain(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault sestest.Fault
	}{{"accepted, then cut", sestest.AcceptThenCut()}, {"accepted, then failed", sestest.AcceptThenFail()}} {
		t.Run(tc.name, func(t *testing.T) {
			transports(t, func(t *testing.T, srv *sestest.Server, transport Sender) {
				srv.Script(tc.fault)
				_, err := New(transport, Options{Retry: retryPolicy(5, false)}).Send(t.Context(), letter())
				if !seserrors.MaybeAccepted(err) || seserrors.IsRetryable(err) || seserrors.IsFatal(err) {
					t.Errorf("got %v, want doubt", err)
				}
				if n := len(srv.Accepted()); n != 1 {
					t.Errorf("%d mails accepted, want 1", n)
				}
			})
		})
	}
}

func TestAllowDuplicatesSendsAgainAndSaysSo(t *testing.T) {
	transports(t, func(t *testing.T, srv *sestest.Server, transport Sender) {
		srv.Script(sestest.AcceptThenCut())
		r, err := New(transport, Options{Retry: retryPolicy(5, true)}).Send(t.Context(), letter())
		if err != nil || !r.MaybeDuplicate || r.Attempts != 2 || len(srv.Accepted()) != 2 {
			t.Errorf("got %+v, %v and %d mails", r, err, len(srv.Accepted()))
		}
	})
}

func TestAttachmentsAreOpenedOncePerAttempt(t *testing.T) {
	transports(t, func(t *testing.T, srv *sestest.Server, transport Sender) {
		opened, closed := 0, 0
		m := letter()
		m.Attachments = []Attachment{{Name: "a.bin", Open: func() (io.ReadCloser, error) {
			opened++
			return closer{strings.NewReader("content"), &closed}, nil
		}}}
		srv.Script(sestest.Refuse(seserrors.SendRateExceeded), sestest.Refuse(seserrors.SendRateExceeded))
		if _, err := New(transport, Options{Retry: retryPolicy(5, false)}).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if opened != 3 || closed != 3 {
			t.Errorf("opened %d and closed %d times in 3 attempts", opened, closed)
		}
	})
}

type closer struct {
	io.Reader
	closed *int
}

func (c closer) Close() error { *c.closed++; return nil }

func TestASourceThatFailsSendsNothing(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, tc := range []struct {
		name string
		open func() (io.ReadCloser, error)
	}{
		{"cannot be opened", func() (io.ReadCloser, error) { return nil, broken }},
		{"cannot be read to its end", func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 300000)), errReader{broken})), nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			transports(t, func(t *testing.T, srv *sestest.Server, transport Sender) {
				m := letter()
				m.Attachments = []Attachment{{Name: "a.bin", Open: tc.open}}
				_, err := New(transport, Options{}).Send(t.Context(), m)
				if !errors.Is(err, seserrors.Invalid) || !errors.Is(err, seserrors.ContentUnreadable) || !errors.Is(err, broken) || seserrors.MaybeAccepted(err) {
					t.Errorf("got %v, want content-unreadable with its cause and without doubt", err)
				}
				if n := len(srv.Accepted()); n != 0 {
					t.Errorf("%d mails accepted", n)
				}
			})
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestATransportAloneValidates(t *testing.T) {
	transports(t, func(t *testing.T, srv *sestest.Server, transport Sender) {
		_, err := transport.Send(t.Context(), &Message{From: "not an address"})
		var invalid *ValidationError
		if !errors.As(err, &invalid) || len(invalid.Problems) != 2 {
			t.Errorf("got %v, want problems with From and To", err)
		}
		if _, err := transport.Send(t.Context(), nil); !errors.Is(err, seserrors.Invalid) {
			t.Errorf("no message: %v", err)
		}
		if srv.Logins()+srv.APIRequests() != 0 {
			t.Error("something reached the network")
		}
	})
}

func TestAMiddlewareBelowTheGuardMayChangeTheMessage(t *testing.T) {
	transports(t, func(t *testing.T, srv *sestest.Server, transport Sender) {
		redirect := SenderFunc(func(ctx context.Context, m *Message) (*Receipt, error) {
			changed := *m
			changed.To = []string{"qa@example.org"}
			changed.Cc, changed.Bcc = nil, nil
			return transport.Send(ctx, &changed)
		})
		if _, err := New(redirect, Options{}).Send(t.Context(), letter()); err != nil {
			t.Fatal(err)
		}
		if got := srv.Accepted(); len(got) != 1 || !slices.Equal(got[0].To, []string{"qa@example.org"}) {
			t.Errorf("accepted %+v", got)
		}
	})
}

func TestAPIParametersAreSet(t *testing.T) {
	srv := newFake(t)
	srv.Account.AddConfigurationSet("set")
	var in *sesv2.SendEmailInput
	spy := apiFunc(func(ctx context.Context, i *sesv2.SendEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
		in = i
		return &sesv2.SendEmailOutput{MessageId: aws.String("id")}, nil
	})
	m := letter()
	m.Cc, m.Bcc, m.ReturnPath = []string{"cc@example.org"}, []string{"bcc@example.org"}, "bounce@example.com"
	m.ConfigurationSet, m.Tenant, m.Tags = "set", "tenant", []Tag{{"k", "v"}}
	m.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/example.com"
	m.ReturnPathARN = m.FromARN
	m.List = &List{ContactList: "news", Topic: "sports"}
	if _, err := API(spy).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]*string{
		"set": in.ConfigurationSetName, "tenant": in.TenantName, "a@example.com": in.FromEmailAddress,
		"bounce@example.com": in.FeedbackForwardingEmailAddress,
		m.FromARN:            in.FromEmailAddressIdentityArn, "news": in.ListManagementOptions.ContactListName,
		"sports": in.ListManagementOptions.TopicName, "k": in.EmailTags[0].Name, "v": in.EmailTags[0].Value,
	} {
		if aws.ToString(got) != name {
			t.Errorf("got %q, want %q", aws.ToString(got), name)
		}
	}
	d := in.Destination
	if !slices.Equal(d.ToAddresses, m.To) || !slices.Equal(d.CcAddresses, m.Cc) || !slices.Equal(d.BccAddresses, m.Bcc) {
		t.Errorf("destination %+v", d)
	}
}

// apiFunc is a SendEmailAPI of one function.
type apiFunc func(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)

func (f apiFunc) SendEmail(ctx context.Context, in *sesv2.SendEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
	return f(ctx, in, o...)
}

// An apiCall is SendEmail of a guarded client.
type apiCall = func(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)

// guardedClients runs f over Guard, Wrap, and a client that has both.
func guardedClients(t *testing.T, opts Options, f func(t *testing.T, srv *sestest.Server, send apiCall)) {
	t.Run("Guard", func(t *testing.T) { srv := newFake(t); f(t, srv, sdkOf(srv, Guard(opts)).SendEmail) })
	t.Run("Wrap", func(t *testing.T) { srv := newFake(t); f(t, srv, Wrap(sdkOf(srv), opts).SendEmail) })
	t.Run("Wrap of Guard", func(t *testing.T) {
		srv := newFake(t)
		f(t, srv, Wrap(sdkOf(srv, Guard(opts)), opts).SendEmail)
	})
}

func simpleInput() *sesv2.SendEmailInput {
	return &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("Jürgen <a@example.com>"),
		Destination:      &sestypes.Destination{ToAddresses: []string{"Ann <ann@bücher.example>", "b@example.org"}},
		Content: &sestypes.EmailContent{Simple: &sestypes.Message{
			Subject: &sestypes.Content{Data: aws.String("s")}, Body: &sestypes.Body{Text: &sestypes.Content{Data: aws.String("t")}},
		}},
	}
}

func TestGuardedClientsRetryAndReport(t *testing.T) {
	guardedClients(t, Options{Retry: retryPolicy(4, false)}, func(t *testing.T, srv *sestest.Server, send apiCall) {
		srv.Script(sestest.Refuse(seserrors.SendRateExceeded), sestest.Refuse(seserrors.ServiceFailure), sestest.Pass(),
			sestest.AcceptThenFail(), sestest.Refuse(seserrors.IdentityNotVerified))
		in := simpleInput()
		out, err := send(t.Context(), in)
		if err != nil || aws.ToString(out.MessageId) == "" {
			t.Fatalf("got %v, %v", out, err)
		}
		if in.Destination.ToAddresses[0] != "Ann <ann@bücher.example>" || *in.FromEmailAddress != "Jürgen <a@example.com>" {
			t.Errorf("the caller's input was changed: %q", in.Destination.ToAddresses)
		}
		if got := srv.Accepted(); len(got) != 1 || got[0].To[0] != "ann@xn--bcher-kva.example" {
			t.Errorf("accepted %+v", got)
		}
		if _, err = send(t.Context(), in); !seserrors.MaybeAccepted(err) {
			t.Errorf("accepted, then failed: %v, want doubt", err)
		}
		_, err = send(t.Context(), in)
		var rejected *sestypes.MessageRejected
		if !errors.Is(err, seserrors.IdentityNotVerified) || !errors.As(err, &rejected) {
			t.Errorf("got %v, want the reason and the SDK's own type", err)
		}
		if n := len(srv.Accepted()); n != 2 {
			t.Errorf("%d mails accepted, want 2", n)
		}
	})
}

func TestGuardedClientsTakeEveryKindOfContent(t *testing.T) {
	guardedClients(t, Options{}, func(t *testing.T, srv *sestest.Server, send apiCall) {
		srv.Account.AddTemplate("welcome", "Hello {{name}}", "Hi {{name}}", "")
		raw := rawInput()
		headersOnly := rawInput()
		headersOnly.Destination, headersOnly.FromEmailAddress = nil, nil
		template := simpleInput()
		template.Content = &sestypes.EmailContent{Template: &sestypes.Template{TemplateName: aws.String("welcome"), TemplateData: aws.String(`{"name":"Ann"}`)}}
		for name, in := range map[string]*sesv2.SendEmailInput{"simple": simpleInput(), "raw": raw, "raw without a destination": headersOnly, "template": template} {
			if _, err := send(t.Context(), in); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(srv.Accepted()); n != 4 {
			t.Errorf("%d mails accepted, want 4", n)
		}
	})
}

func TestGuardedClientsValidateBeforeAnythingIsSent(t *testing.T) {
	guardedClients(t, Options{}, func(t *testing.T, srv *sestest.Server, send apiCall) {
		for name, change := range map[string]func(*sesv2.SendEmailInput){
			"address":       func(in *sesv2.SendEmailInput) { in.Destination.CcAddresses = []string{"jürgen@example.org"} },
			"sender":        func(in *sesv2.SendEmailInput) { in.FromEmailAddress = aws.String("a@b\r\nBcc: x@y.z") },
			"no recipients": func(in *sesv2.SendEmailInput) { in.Destination = nil },
			"configuration": func(in *sesv2.SendEmailInput) { in.ConfigurationSetName = aws.String("no spaces") },
			"tag": func(in *sesv2.SendEmailInput) {
				in.EmailTags = []sestypes.MessageTag{{Name: aws.String("a:b"), Value: aws.String("c")}}
			},
			"many":     func(in *sesv2.SendEmailInput) { in.Destination.BccAddresses = manyAddresses(50) },
			"reply to": func(in *sesv2.SendEmailInput) { in.ReplyToAddresses = []string{"@"} },
			"raw, no To": func(in *sesv2.SendEmailInput) {
				*in = *rawInput()
				in.Destination = nil
				in.Content.Raw.Data = []byte("From: a@example.com\r\n\r\nx")
			},
			"raw, 51 in Bcc": func(in *sesv2.SendEmailInput) {
				*in = *rawInput()
				in.Destination = nil
				in.Content.Raw.Data = []byte("From: a@example.com\r\nBcc: " + strings.Join(manyAddresses(51), ",\r\n ") + "\r\n\r\nx")
			},
		} {
			in := simpleInput()
			change(in)
			_, err := send(t.Context(), in)
			var invalid *ValidationError
			if !errors.Is(err, seserrors.Invalid) || !errors.As(err, &invalid) {
				t.Errorf("%s: got %v, want a *ValidationError", name, err)
			}
		}
		if n := srv.APIRequests(); n != 0 {
			t.Errorf("%d requests reached the network", n)
		}
	})
}

func manyAddresses(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "user" + strings.Repeat("x", i) + "@example.org"
	}
	return out
}

func TestGuardCountsRecipientsForTheLimiter(t *testing.T) {
	srv := newFake(t)
	var counted []int
	l := limiter{wait: func(_ context.Context, n int) error { counted = append(counted, n); return nil }, observe: func(int, error) {}}
	client := sdkOf(srv, Guard(Options{Limiter: l}))
	twice := simpleInput()
	twice.Destination.BccAddresses = []string{"b@EXAMPLE.org", "c@example.org"}
	headers := rawInput()
	headers.Destination = nil
	headers.Content.Raw.Data = []byte("From: a@example.com\r\nTo: x@example.org, Y <y@example.org>\r\nCc: x@Example.org\r\nBcc: z@example.org\r\n\r\nhello\r\n")
	for _, in := range []*sesv2.SendEmailInput{twice, headers} {
		if _, err := client.SendEmail(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(counted, []int{3, 3}) {
		t.Errorf("counted %v recipients, want 3 and 3", counted)
	}
}

func TestSendMailStandsInForNetSMTP(t *testing.T) {
	srv := newFake(t)
	var _ func(string, smtp.Auth, string, []string, []byte) error = SendMail
	msg := []byte("From: a@example.com\r\nTo: b@example.org\r\nSubject: s\r\n\r\nhello\r\n")
	if err := SendMail(srv.PlainAddr, nil, "a@example.com", []string{"b@bücher.example", "b@BÜCHER.example"}, msg); err != nil {
		t.Fatal(err)
	}
	if got := srv.Accepted(); len(got) != 1 || !slices.Equal(got[0].To, []string{"b@xn--bcher-kva.example"}) || !bytes.Equal(got[0].Data, msg) {
		t.Errorf("accepted %+v", got)
	}
	srv.Script(sestest.AcceptThenCut())
	if err := SendMail(srv.PlainAddr, nil, "a@example.com", []string{"b@example.org"}, msg); !seserrors.MaybeAccepted(err) {
		t.Errorf("a lost reply: %v, want doubt", err)
	}
	if err := SendMail(srv.PlainAddr, nil, "a@example.com> SIZE=1", []string{"b@example.org"}, msg); !errors.Is(err, seserrors.Invalid) {
		t.Errorf("an injection: %v, want Invalid", err)
	}
	if n := len(srv.Accepted()); n != 2 {
		t.Errorf("%d mails accepted, want 2", n)
	}
}

func TestHTTPClientKeepsAsManyConnectionsAsSenders(t *testing.T) {
	srv := newFake(t)
	hc := HTTPClient(8)
	hc.Transport.(*http.Transport).TLSClientConfig = srv.TLSConfig()
	t.Cleanup(hc.CloseIdleConnections)
	send := New(API(sdkOf(srv, func(o *sesv2.Options) { o.HTTPClient = hc })), Options{})
	for range 5 { // bursts
		done := make(chan error)
		for range 8 {
			go func() { _, err := send.Send(t.Context(), letter()); done <- err }()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	if c := srv.APIConnections(); c.Total > 8 {
		t.Errorf("%d connections dialled for 8 senders", c.Total)
	}
}

func TestADeadlineEndsSendAndSaysWhenToComeBack(t *testing.T) {
	transports(t, func(t *testing.T, srv *sestest.Server, transport Sender) {
		srv.Script(sestest.Refuse(seserrors.SendRateExceeded))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := New(transport, Options{}).Send(ctx, letter())
		if wait, ok := retry.After(err); !ok || wait < 5*time.Second || !errors.Is(err, seserrors.SendRateExceeded) {
			t.Errorf("got %v, come back %v %v; want at least 5s", err, wait, ok)
		}
	})
}

func TestTheDoubtOfAnotherMailThatCanceledThisOneIsNotItsOwn(t *testing.T) {
	for name, stall := range map[string]sestest.Stage{"smtp": sestest.MailFrom, "api": sestest.Connect} {
		t.Run(name, func(t *testing.T) {
			srv := newFake(t)
			srv.Script(sestest.Stall(stall))
			transport := overAPI(srv)
			if name == "smtp" {
				transport = overSMTP(t, srv)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			other := lost()
			go func() {
				for srv.FaultsLeft() > 0 {
					runtime.Gosched()
				}
				cancel(other)
			}()
			_, err := New(transport, Options{}).Send(ctx, letter())
			if seserrors.MaybeAccepted(err) || !errors.Is(err, other) || !errors.Is(err, seserrors.Canceled) {
				t.Errorf("got %v, want canceled without doubt, because of the other", err)
			}
		})
	}
}
