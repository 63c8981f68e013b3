package sesapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func TestAPIParametersAreSet(t *testing.T) {
	var in *sesv2.SendEmailInput
	spy := apiFunc(func(_ context.Context, i *sesv2.SendEmailInput, _ ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
		in = i
		return &sesv2.SendEmailOutput{MessageId: aws.String("id")}, nil
	})
	m := letter()
	m.Cc, m.Bcc, m.ReturnPath = []string{"cc@example.org"}, []string{"bcc@example.org"}, "bounce@example.com"
	m.ConfigurationSet, m.Tenant, m.Tags = "set", "tenant", []sesguard.Tag{{Name: "k", Value: "v"}}
	m.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/example.com"
	m.ReturnPathARN = m.FromARN
	m.List = &sesguard.List{ContactList: "news", Topic: "sports"}
	mail, err := build(t, m).Track("mail")
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(spy, Config{EndpointID: "abc.def"}).Attempt(t.Context(), mail)
	if err != nil || r.MessageID != "id" || r.Transport != "api" || r.Attempts != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for name, got := range map[string]*string{
		"set": in.ConfigurationSetName, "tenant": in.TenantName, "a@example.com": in.FromEmailAddress,
		"bounce@example.com": in.FeedbackForwardingEmailAddress, "abc.def": in.EndpointId,
		m.FromARN: in.FromEmailAddressIdentityArn, "news": in.ListManagementOptions.ContactListName,
		"sports": in.ListManagementOptions.TopicName, "k": in.EmailTags[0].Name, "v": in.EmailTags[0].Value,
		"mail": in.EmailTags[1].Name, mail.TrackID(): in.EmailTags[1].Value,
	} {
		if aws.ToString(got) != name {
			t.Errorf("got %q, want %q", aws.ToString(got), name)
		}
	}
	if got := aws.ToString(in.FeedbackForwardingEmailAddressIdentityArn); got != m.ReturnPathARN {
		t.Errorf("return path ARN %q", got)
	}
	d := in.Destination
	if !slices.Equal(d.ToAddresses, m.To) || !slices.Equal(d.CcAddresses, m.Cc) || !slices.Equal(d.BccAddresses, m.Bcc) {
		t.Errorf("destination %+v", d)
	}
}

func TestARefusalOverTheAPIHasItsReason(t *testing.T) {
	for _, reason := range []seserrors.Reason{
		seserrors.SendRateExceeded, seserrors.DailyQuotaExceeded, seserrors.AccessDenied, seserrors.IdentityNotVerified,
		seserrors.MailFromDomainNotVerified, seserrors.SendingPaused, seserrors.ConfigurationSetMissing,
		seserrors.ConfigurationSetPaused, seserrors.MessageTooLong, seserrors.IllegalAddress, seserrors.TooManyRecipients,
		seserrors.RecipientSuppressed, seserrors.IllegalHeader, seserrors.DuplicateHeader, seserrors.InvalidTag, seserrors.MessageRejected,
	} {
		t.Run(string(reason), func(t *testing.T) {
			srv := newFake(t)
			srv.Script(refuse(reason))
			_, err := attempt(t.Context(), t, sdkOf(srv))
			e := seserrors.Classify(err)
			if e == nil || e.Reason != reason || e.Class != reason.Class() || e.MaybeAccepted || e.RequestID == "" || !strings.HasPrefix(srv.URL, "https://"+e.Endpoint) {
				t.Errorf("got %+v, want %s without doubt, with the host and the request's id", e, reason)
			}
			if !strings.HasPrefix(e.Error(), "ses SendEmail") {
				t.Errorf("%q does not begin with what was done", e)
			}
			if n := len(srv.Accepted()); n != 0 {
				t.Errorf("%d mails accepted", n)
			}
		})
	}
}

// sources are mails of one content that reach the wire in different ways.
func sources(content []byte) map[string]*sesguard.Message {
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	date := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	base := sesguard.Message{From: "a@example.com", To: []string{"b@example.org"}, Subject: "s", Text: "t", Date: date}
	held, streamed := base, base
	held.Attachments = []sesguard.Attachment{{Name: "a.bin", Content: content}}
	streamed.Attachments = []sesguard.Attachment{{Name: "a.bin", Open: open}}
	raw := "From: a@example.com\r\nTo: b@example.org\r\n\r\n" + strings.Repeat("0123456789\r\n", len(content)/12)
	return map[string]*sesguard.Message{
		"held": &held, "streamed": &streamed,
		"raw": {From: "a@example.com", To: []string{"b@example.org"}, Raw: strings.NewReader(raw)},
	}
}

// The same mail in the SDK's own way is the judge.
func TestALargeMailIsTheSameRequestAsInTheSDKsOwnWay(t *testing.T) {
	for _, size := range []int{1, 1000, streamFrom, 3 * block} {
		content := bytes.Repeat([]byte{0, 1, 2, 254, 255, '\r', '\n'}, size/7+1)[:size]
		for name, m := range sources(content) {
			srv := newFake(t)
			mail := build(t, m)
			var data bytes.Buffer
			if _, err := mail.WriteTo(&data); err != nil {
				t.Fatal(err)
			}
			in := New(sdkOf(srv), Config{}).(*transport).input(mail)
			in.Content.Raw.Data = data.Bytes()
			if _, err := sdkOf(srv).SendEmail(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			noop := func(o *sesv2.Options) { o.APIOptions = append(o.APIOptions, nothing) }
			logs := func(o *sesv2.Options) { o.ClientLogMode, o.Logger = aws.LogRequestWithBody, logging.Nop{} }
			for _, client := range []*sesv2.Client{sdkOf(srv), sdkOf(srv, noop), sdkOf(srv, logs), sdkOf(srv, Guard(sesguard.Options{}))} {
				if _, err := New(client, Config{}).Attempt(t.Context(), mail); err != nil {
					t.Fatal(err)
				}
				if _, err := Wrap(client, sesguard.Options{}).SendEmail(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			}
			if len(in.Content.Raw.Data) != data.Len() {
				t.Error("the caller's input lost its data")
			}
			got := srv.Accepted()
			for i, a := range got {
				if !bytes.Equal(a.Data, got[0].Data) || !sameJSON(a.Request, got[0].Request) {
					t.Errorf("%s of %d octets: request %d differs from the SDK's", name, size, i)
				}
			}
			if len(got) != 9 {
				t.Errorf("%d mails accepted", len(got))
			}
		}
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && string(mustJSON(x)) == string(mustJSON(y))
}

func mustJSON(v any) []byte { b, _ := json.Marshal(v); return b }

func TestAPIAttachmentsAreClosedAsOftenAsOpened(t *testing.T) {
	srv := newFake(t)
	opened, closed := 0, 0
	m := letter()
	m.Attachments = []sesguard.Attachment{{Name: "a.bin", Open: func() (io.ReadCloser, error) {
		opened++
		return closer{strings.NewReader("content"), &closed}, nil
	}}}
	srv.Script(sestest.Refuse("send-rate-exceeded"), sestest.Refuse("send-rate-exceeded"))
	if _, err := sesguard.New(New(sdkOf(srv), Config{}), sesguard.Options{Retry: retryPolicy(5, false)}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if opened != 6 || closed != 6 {
		t.Errorf("opened %d and closed %d times in 3 attempts, want twice in each", opened, closed)
	}
}

func TestAnAttachmentIsClosedWhenTheConnectionBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, closed := 0, 0
		m := letter()
		m.Attachments = []sesguard.Attachment{{Name: "a.bin", Open: func() (io.ReadCloser, error) {
			opened++
			return closer{strings.NewReader(strings.Repeat("x", 200_000)), &closed}, nil
		}}}
		_, err := attemptOf(t, sdkClient(breaks(100_000)), m)
		synctest.Wait()
		if err == nil || opened != 2 || closed != 2 {
			t.Errorf("%v; opened %d and closed %d times, want twice", err, opened, closed)
		}
	})
}

// attemptOver makes one attempt of m over an HTTP client.
func attemptOver(t *testing.T, m *sesguard.Mail, client doer) (*sesguard.Receipt, error) {
	t.Helper()
	return New(sdkClient(client), Config{}).Attempt(t.Context(), m)
}

// attemptOf makes one attempt of m over api.
func attemptOf(t *testing.T, api SendEmailAPI, m *sesguard.Message) (*sesguard.Receipt, error) {
	t.Helper()
	return New(api, Config{}).Attempt(t.Context(), build(t, m))
}

type closer struct {
	io.Reader
	closed *int
}

func (c closer) Close() error { *c.closed++; return nil }

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestASourceThatFailsSendsNothing(t *testing.T) {
	broken := errors.New("disk on fire")
	half := strings.Repeat("x", 300_000)
	second := func(r func() io.Reader) func() (io.ReadCloser, error) { // what comes when it is opened again
		n := 0
		return func() (io.ReadCloser, error) {
			if n++; n%2 == 1 {
				return io.NopCloser(strings.NewReader(half)), nil
			}
			return io.NopCloser(r()), nil
		}
	}
	for _, tc := range []struct {
		name   string
		open   func() (io.ReadCloser, error)
		reason seserrors.Reason
		cause  error
	}{
		{"cannot be opened", func() (io.ReadCloser, error) { return nil, broken }, seserrors.ContentUnreadable, broken},
		{"cannot be read to its end", func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(half), errReader{broken})), nil
		}, seserrors.ContentUnreadable, broken},
		{"cannot be opened again", func() func() (io.ReadCloser, error) {
			n := 0
			return func() (io.ReadCloser, error) {
				if n++; n%2 == 1 {
					return io.NopCloser(strings.NewReader(half)), nil
				}
				return nil, broken
			}
		}(), seserrors.ContentUnreadable, broken},
		{"fails when read again", second(func() io.Reader {
			return io.MultiReader(strings.NewReader(half[1:]), errReader{broken})
		}), seserrors.ContentUnreadable, broken},
		{"has shrunk", second(func() io.Reader { return strings.NewReader(half[1000:]) }), seserrors.ContentUnreadable, nil},
		{"has grown", second(func() io.Reader { return strings.NewReader(half + half) }), seserrors.ContentUnreadable, nil},
		{"has another octet", second(func() io.Reader { return strings.NewReader(half[1:] + "y") }), seserrors.ContentUnreadable, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, send := range map[string]func(*sestest.Server, *sesguard.Mail) error{
				"transport": func(srv *sestest.Server, m *sesguard.Mail) error {
					_, err := New(sdkOf(srv), Config{}).Attempt(t.Context(), m)
					return err
				},
				"over an HTTP client that keeps the cause to itself": func(_ *sestest.Server, m *sesguard.Mail) error {
					_, err := attemptOver(t, m, func(r *http.Request) (*http.Response, error) {
						io.Copy(io.Discard, r.Body)
						return nil, io.ErrUnexpectedEOF
					})
					return err
				},
				"over the SDK's HTTP client": func(srv *sestest.Server, m *sesguard.Mail) error {
					_, err := New(sdkClient(buildable(srv), func(o *sesv2.Options) { o.BaseEndpoint = &srv.URL }), Config{}).Attempt(t.Context(), m)
					return err
				},
			} {
				srv := newFake(t)
				m := letter()
				m.Attachments = []sesguard.Attachment{{Name: "a.bin", Open: tc.open}}
				err := send(srv, build(t, m))
				if !errors.Is(err, seserrors.Invalid) || !errors.Is(err, tc.reason) || tc.cause != nil && !errors.Is(err, tc.cause) || seserrors.MaybeAccepted(err) {
					t.Errorf("%s: got %v, want %s with its cause and without doubt", name, err, tc.reason)
				}
				if n := len(srv.Accepted()); n != 0 {
					t.Errorf("%s: %d mails accepted", name, n)
				}
			}
		})
	}
}

func TestAStreamedMailOver40MBIsTooLong(t *testing.T) {
	mock := apiFunc(func(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
		t.Error("it was sent")
		return nil, io.EOF
	})
	for _, api := range []SendEmailAPI{sdkClient(doer(nobody)), mock} {
		m := letter()
		m.Attachments = []sesguard.Attachment{{Name: "a.bin", Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.LimitReader(zeros{}, maxMessage*3/4)), nil
		}}}
		_, err := New(api, Config{}).Attempt(t.Context(), build(t, m))
		if !errors.Is(err, seserrors.Invalid) || !errors.Is(err, seserrors.MessageTooLong) || seserrors.MaybeAccepted(err) {
			t.Errorf("got %v, want message-too-long", err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The reader stands still in the first pass, or when the request is under way.
func TestASourceThatStandsStillDoesNotHoldASendBeyondItsContext(t *testing.T) {
	for _, pass := range []int{1, 2} {
		for name, api := range map[string]func(*sestest.Server) SendEmailAPI{
			"the SDK's client": func(srv *sestest.Server) SendEmailAPI {
				return sdkClient(buildable(srv), func(o *sesv2.Options) { o.BaseEndpoint = &srv.URL })
			},
			"an interface": func(srv *sestest.Server) SendEmailAPI { return apiFunc(sdkOf(srv).SendEmail) },
		} {
			if pass == 2 && name == "an interface" {
				continue // its content is read once
			}
			t.Run(name, func(t *testing.T) {
				srv := newFake(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				left := errors.New("the user left")
				release := make(chan struct{})
				defer close(release)
				n := 0
				m := letter()
				m.Attachments = []sesguard.Attachment{{Name: "a.bin", Open: func() (io.ReadCloser, error) {
					if n++; n < pass {
						return io.NopCloser(strings.NewReader(strings.Repeat("x", 200_000))), nil
					}
					return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), stuck{func() { cancel(left) }, release})), nil
				}}}
				_, err := New(api(srv), Config{}).Attempt(ctx, build(t, m))
				if !errors.Is(err, seserrors.Canceled) || !errors.Is(err, left) || seserrors.MaybeAccepted(err) || len(srv.Accepted()) != 0 {
					t.Errorf("pass %d: got %v, want canceled by its cause and without doubt", pass, err)
				}
			})
		}
	}
}

// A source that knows the context ends with it, and may know of the end before
// what was derived from that context.
func TestASourceThatFailsWithTheContextIsCanceled(t *testing.T) {
	for _, doubt := range []bool{false, true} {
		ctx, cancel := context.WithCancelCause(t.Context())
		left := errors.New("the user left")
		cancel(left)
		w := new(door).witness()
		if doubt { // because of an earlier call
			w.begin("us-east-1", false).doubt = true
		}
		unreadable := &seserrors.Error{Op: "sesguard read attachment", Class: seserrors.Invalid, Reason: seserrors.ContentUnreadable, Err: ctx.Err()}
		e := seserrors.Classify(w.verdict(ctx, fmt.Errorf("operation error: %w", unreadable)))
		if e.Class != seserrors.Canceled || e.Reason != seserrors.ContextCanceled || !errors.Is(e, left) || e.MaybeAccepted != doubt {
			t.Errorf("got %v, want canceled by its cause and doubt %v", e, doubt)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	refused := seserrors.Classify(seserrors.MessageRejected)
	if err := new(door).witness().verdict(ctx, refused); err != error(refused) {
		t.Errorf("got %v: what SES has said does not end with the context", err)
	}
}

// net/http reads the second pass in a goroutine of its own.
func TestAPanicOfASourceIsTheSenders(t *testing.T) {
	for pass := range 2 {
		srv := newFake(t)
		n := 0
		m := build(t, sources([]byte("x"))["raw"])
		client := sdkClient(buildable(srv), at(srv))
		open := opener(func(context.Context) (io.ReadCloser, error) {
			if n++; n > pass {
				return io.NopCloser(panics{}), nil
			}
			return io.NopCloser(strings.NewReader(strings.Repeat("x", 100_000))), nil
		})
		transport := New(client, Config{}).(*transport)
		func() {
			defer func() {
				if r := recover(); r != "out of paper" {
					t.Errorf("pass %d: panic %v", pass+1, r)
				}
			}()
			w := transport.door.witness()
			in := transport.input(m)
			_, err := client.SendEmail(context.WithValue(t.Context(), contentKey{}, open), in, transport.door.watch(w))
			t.Errorf("pass %d: %v", pass+1, err)
		}()
		if srv.AcceptedCount() != 0 {
			t.Error("a mail was accepted")
		}
	}
}

type panics struct{}

func (panics) Read([]byte) (int, error) { panic("out of paper") }

func TestASourceThatStandsStillMeetsTheAttemptsLimit(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	m := letter()
	m.Attachments = []sesguard.Attachment{{Name: "a.bin", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(stuck{func() {}, release}), nil
	}}}
	for _, api := range []SendEmailAPI{sdkClient(doer(nobody)), apiFunc(sdkClient(doer(nobody)).SendEmail)} {
		_, err := New(api, Config{Timeout: time.Millisecond}).Attempt(t.Context(), build(t, m))
		if e := seserrors.Classify(err); e.Class != seserrors.Unavailable || e.Reason != seserrors.RequestTimeout || e.MaybeAccepted {
			t.Errorf("got %v, want request-timeout: the caller's context is alive", err)
		}
	}
}

// stuck stands still in Read.
type stuck struct {
	reached func()
	release chan struct{}
}

func (s stuck) Read([]byte) (int, error) { s.reached(); <-s.release; return 0, io.EOF }

// Nobody else's code is in a plain client, so that a large mail needs not be
// held for it.
func TestAMiddlewareFindsTheContentInTheInput(t *testing.T) {
	srv := newFake(t)
	var seen int
	spy := func(o *sesv2.Options) { o.APIOptions = append(o.APIOptions, spyOn(&seen)) }
	held := sources(make([]byte, 200_000))["held"]
	mail := build(t, held)
	if _, err := New(sdkOf(srv, spy), Config{}).Attempt(t.Context(), mail); err != nil || int64(seen) != mail.Size() {
		t.Errorf("%v; a middleware saw %d octets of %d", err, seen, mail.Size())
	}
	seen = 0
	intercepted := func(o *sesv2.Options) { o.Interceptors.AddBeforeExecution(interceptor{&seen}) }
	if _, err := New(sdkOf(srv, intercepted), Config{}).Attempt(t.Context(), mail); err != nil || int64(seen) != mail.Size() {
		t.Errorf("%v; an interceptor saw %d octets of %d", err, seen, mail.Size())
	}
	mock := apiFunc(func(_ context.Context, in *sesv2.SendEmailInput, _ ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
		seen = len(in.Content.Raw.Data)
		return &sesv2.SendEmailOutput{MessageId: aws.String("id")}, nil
	})
	for name, m := range sources(make([]byte, 200_000)) {
		if seen = 0; name != "" {
			if _, err := New(mock, Config{}).Attempt(t.Context(), build(t, m)); err != nil || seen < 200_000 {
				t.Errorf("%s: %v; a mock saw %d octets", name, err, seen)
			}
		}
	}
}

func TestALargeMailWorksWithHTTP2AndRetries(t *testing.T) {
	srv := sestest.NewServer() // HTTP/2 needs sockets
	defer srv.Close()
	m := sources(make([]byte, 500_000))["streamed"]
	srv.Script(sestest.Refuse("send-rate-exceeded"), sestest.Refuse("service-failure"))
	client := sdkClient(buildable(srv), func(o *sesv2.Options) { o.BaseEndpoint = &srv.URL })
	r, err := sesguard.New(New(client, Config{}), sesguard.Options{Retry: retryPolicy(5, false)}).Send(t.Context(), m)
	if err != nil || r.Attempts != 3 || len(srv.Accepted()) != 1 {
		t.Errorf("%+v, %v, %d accepted", r, err, len(srv.Accepted()))
	}
}

type interceptor struct{ octets *int }

func (i interceptor) BeforeExecution(_ context.Context, c *smithyhttp.InterceptorContext) error {
	*i.octets = len(c.Input.(*sesv2.SendEmailInput).Content.Raw.Data)
	return nil
}

// The signature covers the octets that go out: a server that computes it anew
// finds the same.
func TestTheSignatureIsOfTheOctetsThatAreSent(t *testing.T) {
	mail := build(t, sources(make([]byte, 200_000))["streamed"])
	var sent []byte
	var signed string
	client := sdkClient(doer(func(r *http.Request) (resp *http.Response, err error) {
		sent, err = io.ReadAll(r.Body)
		signed = r.Header.Get("Authorization")
		if int64(len(sent)) != r.ContentLength {
			t.Errorf("%d octets of %d", len(sent), r.ContentLength)
		}
		return response(r, 200, "", accepted), err
	}), func(o *sesv2.Options) { o.HTTPSignerV4 = hashes{} })
	if _, err := New(client, Config{}).Attempt(t.Context(), mail); err != nil {
		t.Fatal(err)
	}
	if want := hashOf(sent); signed != want {
		t.Errorf("signed the hash %s, sent %s", signed, want)
	}
}
