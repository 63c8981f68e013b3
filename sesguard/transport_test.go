package sesguard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/smtp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

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

func overSMTP(t *testing.T, srv *sestest.Server) Transport {
	c, err := smtpclient.New(smtpclient.Config{
		Addr: srv.SMTPAddr, Username: srv.Username, Password: srv.Password, TLSConfig: srv.TLSConfig(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return SMTP(c)
}

func TestSMTPSendsTheMailAsItWasBuilt(t *testing.T) {
	srv := newFake(t)
	srv.Account.AddConfigurationSet("set")
	m := &Message{
		From: "Jürgen <a@example.com>", ReturnPath: "bounces@example.com",
		To: []string{"Ann <ann@bücher.example>", "x@example.org"}, Cc: []string{"c@example.net"}, Bcc: []string{"hidden@example.org", "x@EXAMPLE.org"},
		Subject: "Grüße", Text: "täxt\n.\n..\n", HTML: "<p>täxt</p>",
		Attachments: []Attachment{{Name: "a.txt", Content: bytes.Repeat([]byte("0123456789abcdef\r\n.\r\n"), 5000)}},
		Tags:        []Tag{{"campaign", "spring"}}, ConfigurationSet: "set",
	}
	mail, err := Build(m)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(overSMTP(t, srv), Options{}).SendBuilt(t.Context(), mail)
	if err != nil {
		t.Fatal(err)
	}
	got := srv.Accepted()
	if len(got) != 1 || got[0].ID != r.MessageID || r.Transport != "smtp" || r.Attempts != 1 {
		t.Fatalf("accepted %d mails, receipt %+v", len(got), r)
	}
	var want bytes.Buffer
	if _, err := mail.WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(got[0].Data, want.Bytes()) {
		t.Errorf("SES has\n%s\nwant\n%s", got[0].Data, want.Bytes())
	}
	if head := string(got[0].Data[:len(got[0].Data)-want.Len()]); strings.Contains(string(got[0].Data), "hidden@") || strings.Count(head, "\r\nX-SES-")+1 != strings.Count(head, "\r\n") {
		t.Errorf("before the mail there is %q, want lines for SES alone", head)
	}
	if to := []string{"ann@xn--bcher-kva.example", "x@example.org", "c@example.net", "hidden@example.org"}; got[0].From != "bounces@example.com" || !slices.Equal(got[0].To, to) {
		t.Errorf("envelope %s to %q", got[0].From, got[0].To)
	}
	if got[0].ConfigurationSet != "set" || got[0].Tags["campaign"] != "spring" {
		t.Errorf("SES was told %q, %v", got[0].ConfigurationSet, got[0].Tags)
	}
}

func TestALostReplyIsInDoubtAndNotSentAgain(t *testing.T) {
	srv := newFake(t)
	srv.Script(sestest.AcceptThenCut())
	_, err := New(overSMTP(t, srv), Options{Retry: retryPolicy(5, false)}).Send(t.Context(), letter())
	if !seserrors.MaybeAccepted(err) || seserrors.IsRetryable(err) || seserrors.IsFatal(err) {
		t.Errorf("got %v, want doubt", err)
	}
	if n := len(srv.Accepted()); n != 1 {
		t.Errorf("%d mails accepted, want 1", n)
	}
}

func TestAllowDuplicatesSendsAgainAndSaysSo(t *testing.T) {
	srv := newFake(t)
	srv.Script(sestest.AcceptThenCut())
	r, err := New(overSMTP(t, srv), Options{Retry: retryPolicy(5, true), TrackTag: "track"}).Send(t.Context(), letter())
	if err != nil || !r.MaybeDuplicate || r.Attempts != 2 || len(srv.Accepted()) != 2 {
		t.Fatalf("got %+v, %v and %d mails", r, err, len(srv.Accepted()))
	}
	for _, m := range srv.Accepted() {
		if m.Tags["track"] != r.TrackID || r.TrackID == "" {
			t.Errorf("SES has the id %q, the receipt %q", m.Tags["track"], r.TrackID)
		}
	}
}

func TestAttachmentsAreOpenedOncePerAttempt(t *testing.T) {
	srv := newFake(t)
	opened, closed := 0, 0
	m := letter()
	m.Attachments = []Attachment{{Name: "a.bin", Open: func() (io.ReadCloser, error) {
		opened++
		return closer{strings.NewReader("content"), &closed}, nil
	}}}
	srv.Script(sestest.Refuse(seserrors.SendRateExceeded), sestest.Refuse(seserrors.SendRateExceeded))
	if _, err := New(overSMTP(t, srv), Options{Retry: retryPolicy(5, false)}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if opened != 3 || closed != 3 {
		t.Errorf("opened %d and closed %d times in 3 attempts", opened, closed)
	}
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
			srv := newFake(t)
			m := letter()
			m.Attachments = []Attachment{{Name: "a.bin", Open: tc.open}}
			_, err := New(overSMTP(t, srv), Options{}).Send(t.Context(), m)
			if !errors.Is(err, seserrors.Invalid) || !errors.Is(err, seserrors.ContentUnreadable) || !errors.Is(err, broken) || seserrors.MaybeAccepted(err) {
				t.Errorf("got %v, want content-unreadable with its cause and without doubt", err)
			}
			if n := len(srv.Accepted()); n != 0 {
				t.Errorf("%d mails accepted", n)
			}
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// Around the transport a middleware sees each attempt, and may send another
// mail in the place of the one it was given.
func TestAMiddlewareBelowTheGuardMaySendAnotherMail(t *testing.T) {
	srv := newFake(t)
	next := overSMTP(t, srv)
	redirect := TransportFunc(func(ctx context.Context, m *Mail) (*Receipt, error) {
		changed := letter()
		changed.To = []string{"qa@example.org"}
		mail, err := Build(changed)
		if err != nil {
			return nil, err
		}
		return next.Attempt(ctx, mail)
	})
	if _, err := New(redirect, Options{}).Send(t.Context(), letter()); err != nil {
		t.Fatal(err)
	}
	if got := srv.Accepted(); len(got) != 1 || !slices.Equal(got[0].To, []string{"qa@example.org"}) {
		t.Errorf("accepted %+v", got)
	}
}

// smtpclient remembers a refused sign-in itself, and asks again for
// credentials: the breaker must not stand before it.
func TestARefusedSignInOverSMTPDoesNotOpenTheBreaker(t *testing.T) {
	srv := newFake(t)
	c, err := smtpclient.New(smtpclient.Config{Addr: srv.SMTPAddr, Username: srv.Username, Password: "wrong", TLSConfig: srv.TLSConfig()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	g := NewGuard(Options{})
	for range 3 {
		if _, err := g.Client(SMTP(c)).Send(t.Context(), letter()); !errors.Is(err, seserrors.CredentialsInvalid) {
			t.Fatalf("got %v, want credentials-invalid", err)
		}
	}
	if s := g.Stats(); s.BreakerWhy != nil {
		t.Errorf("the breaker is open: %v", s.BreakerWhy)
	}
	if _, err := g.Client(overSMTP(t, srv)).Send(t.Context(), letter()); err != nil {
		t.Errorf("with the right credentials: %v", err)
	}
}

func TestAPausedAccountOverSMTPOpensTheBreaker(t *testing.T) {
	srv := newFake(t)
	srv.Script(sestest.Refuse(seserrors.SendingPaused))
	g := NewGuard(Options{})
	c := g.Client(overSMTP(t, srv))
	for range 2 {
		if _, err := c.Send(t.Context(), letter()); !errors.Is(err, seserrors.SendingPaused) {
			t.Fatalf("got %v, want sending-paused", err)
		}
	}
	if n := len(srv.Accepted()); n != 0 || g.Stats().BreakerWhy == nil {
		t.Errorf("%d mails accepted, breaker %+v", n, g.Stats())
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

func TestADeadlineEndsSendAndSaysWhenToComeBack(t *testing.T) {
	srv := newFake(t)
	srv.Script(sestest.Refuse(seserrors.SendRateExceeded))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := New(overSMTP(t, srv), Options{}).Send(ctx, letter())
	if wait, ok := retry.After(err); !ok || wait < 5*time.Second || !errors.Is(err, seserrors.SendRateExceeded) {
		t.Errorf("got %v, come back %v %v; want at least 5s", err, wait, ok)
	}
}

func TestTheDoubtOfAnotherMailThatCanceledThisOneIsNotItsOwn(t *testing.T) {
	srv := newFake(t)
	srv.Script(sestest.Stall(sestest.MailFrom))
	ctx, cancel := context.WithCancelCause(t.Context())
	other := lost()
	go func() {
		for srv.FaultsLeft() > 0 {
			runtime.Gosched()
		}
		cancel(other)
	}()
	_, err := New(overSMTP(t, srv), Options{}).Send(ctx, letter())
	if seserrors.MaybeAccepted(err) || !errors.Is(err, other) || !errors.Is(err, seserrors.Canceled) {
		t.Errorf("got %v, want canceled without doubt, because of the other", err)
	}
}

// SES names who is not verified. Whether it is the sender or a recipient, and so
// what to do, the mail tells.
func TestARecipientThatIsNotVerifiedMeansTheSandbox(t *testing.T) {
	for _, tt := range []struct {
		name, identities string
		to               string
		recipients       []string
	}{
		{"a recipient", "B@example.org", "b@example.org", []string{"b@example.org"}},
		{"both", "a@example.com, b@example.org", "b@example.org", []string{"b@example.org"}},
		{"the sender", "a@example.com", "b@example.org", nil},
		{"the sender's domain", "example.com", "b@example.org", nil},
		{"the sender, who is the recipient too", "a@example.com", "a@example.com", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refusal := seserrors.FromSMTP("smtp end of data", 554,
				"Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: "+tt.identities)
			c := New(TransportFunc(func(context.Context, *Mail) (*Receipt, error) {
				return nil, fmt.Errorf("mine: %w", refusal)
			}), Options{})
			_, err := c.Send(t.Context(), &Message{From: "A <a@example.com>", To: []string{tt.to}, Text: "t"})
			e := seserrors.Classify(err)
			if e.Class != seserrors.Denied || e.Reason != seserrors.IdentityNotVerified || e.MaybeAccepted || !errors.Is(err, refusal) || !slices.Equal(e.Recipients, tt.recipients) {
				t.Errorf("got %+v", e)
			}
			text := err.Error()
			if strings.Contains(text, "sandbox") != (tt.recipients != nil) || strings.Contains(text, "b@example") {
				t.Errorf("got %s", text)
			}
		})
	}
}
