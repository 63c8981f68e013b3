package sesguard

import (
	"context"
	"errors"
	"slices"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// suppressions is a Suppressions of one function.
type suppressions func(ctx context.Context, address string) (bool, error)

func (f suppressions) Suppressed(ctx context.Context, address string) (bool, error) {
	return f(ctx, address)
}

func TestNothingIsSentToASuppressedRecipientNorBesideOne(t *testing.T) {
	var asked []string
	list := suppressions(func(_ context.Context, address string) (bool, error) {
		asked = append(asked, address)
		return address == "bob@example.org" || address == "eve@xn--bcher-kva.example", nil
	})
	s := &script{}
	send := Suppressed(New(s, Options{}), list)
	m := &Message{
		From: "a@example.com", To: []string{"Ann <ann@EXAMPLE.org>", "bob@example.org"}, Cc: []string{"bob@Example.org"}, Bcc: []string{"Eve <eve@bücher.example>"},
		Text: "t",
	}
	_, err := send.Send(t.Context(), m)
	e := seserrors.Classify(err)
	if !errors.Is(err, seserrors.RecipientSuppressed) || e.Class != seserrors.Invalid || s.calls != 0 {
		t.Errorf("got %v after %d attempts, want recipient-suppressed after none", err, s.calls)
	}
	if want := []string{"bob@example.org", "eve@xn--bcher-kva.example"}; !slices.Equal(e.Recipients, want) {
		t.Errorf("recipients %q, want %q", e.Recipients, want)
	}
	if want := []string{"ann@example.org", "bob@example.org", "eve@xn--bcher-kva.example"}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want each once, bare and in lower case: %q", asked, want)
	}
	m.To, m.Cc, m.Bcc = m.To[:1], nil, nil
	if _, err := send.Send(t.Context(), m); err != nil || s.calls != 1 {
		t.Errorf("a message to nobody on the list: %v after %d attempts", err, s.calls)
	}
}

func TestAListThatFailsIsUnavailableAndSendsNothing(t *testing.T) {
	for name, failure := range map[string]error{
		"of its own":              errors.New("redis: connection reset by peer"),
		"classified":              seserrors.Classify(seserrors.AccessDenied),
		"in doubt of other mails": lost(),
	} {
		s := &script{}
		_, err := Suppressed(New(s, Options{}), suppressions(func(context.Context, string) (bool, error) { return false, failure })).Send(t.Context(), letter())
		if !errors.Is(err, seserrors.Unavailable) || !seserrors.IsRetryable(err) || seserrors.MaybeAccepted(err) || s.calls != 0 {
			t.Errorf("%s: got %v after %d attempts, want Unavailable after none", name, err, s.calls)
		}
		if _, ok := retry.After(err); !ok {
			t.Errorf("%s: %v says nothing of when to try again", name, err)
		}
	}
}

func TestAContextThatEndsWhileTheListIsAskedIsCanceled(t *testing.T) {
	cause := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	list := suppressions(func(ctx context.Context, _ string) (bool, error) { cancel(cause); return false, ctx.Err() })
	_, err := Suppressed(New(&script{}, Options{}), list).Send(ctx, letter())
	if !errors.Is(err, seserrors.Canceled) || !errors.Is(err, cause) {
		t.Errorf("got %v, want Canceled with its cause", err)
	}
}

func TestWhatIsMalformedIsLeftToTheNextSender(t *testing.T) {
	list := suppressions(func(context.Context, string) (bool, error) { return false, nil })
	var invalid *ValidationError
	send := Suppressed(New(&script{}, Options{}), list)
	if _, err := send.Send(t.Context(), &Message{From: "a@example.com", To: []string{"@"}, Text: "t"}); !errors.As(err, &invalid) {
		t.Errorf("got %v, want a *ValidationError", err)
	}
	if _, err := send.Send(t.Context(), nil); !errors.Is(err, seserrors.Invalid) {
		t.Errorf("no message: %v", err)
	}
}
