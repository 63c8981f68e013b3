package sesguard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

type mark string

// marks are what the start hooks below left in ctx.
func marks(ctx context.Context) string {
	var b strings.Builder
	for _, m := range []mark{"send", "attempt"} {
		if v := ctx.Value(m); v != nil {
			fmt.Fprintf(&b, "[%v]", v)
		}
	}
	return b.String()
}

func TestHooksAreToldOfEachStepInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		note := func(ctx context.Context, format string, args ...any) {
			info, ok := InfoFrom(ctx)
			if !ok || info.From != "a@example.com" || info.Recipients != 2 || info.TrackID == "" {
				t.Errorf("%s: InfoFrom = %+v, %v", format, info, ok)
			}
			log = append(log, marks(ctx)+fmt.Sprintf(format, args...))
		}
		hooks := Hooks{
			SendStart: func(ctx context.Context, info Info) context.Context {
				note(ctx, "send starts")
				return context.WithValue(ctx, mark("send"), "s")
			},
			SendDone: func(ctx context.Context, r *Receipt, err error) { note(ctx, "send done: %v, %v", r.MessageID, err) },
			AttemptStart: func(ctx context.Context, n int) context.Context {
				note(ctx, "attempt %d starts", n)
				return context.WithValue(ctx, mark("attempt"), n)
			},
			AttemptDone: func(ctx context.Context, a Attempt) {
				reason := seserrors.Reason("")
				if a.Err != nil {
					reason = a.Err.Reason
				}
				note(ctx, "attempt %d done: took %v, %s, again %v after %v", a.N, a.Took, reason, a.Again, a.Wait)
			},
			Waited: func(ctx context.Context, why string, took time.Duration) { note(ctx, "waited for %s %v", why, took) },
		}
		calls := 0
		transport := TransportFunc(func(ctx context.Context, _ *Mail) (*Receipt, error) {
			note(ctx, "transport")
			time.Sleep(time.Second)
			if calls++; calls == 1 {
				return nil, seserrors.Classify(seserrors.SendRateExceeded)
			}
			return &Receipt{MessageID: "id"}, nil
		})
		l := limiter{
			wait:    func(ctx context.Context, _ int) error { note(ctx, "limiter"); time.Sleep(2 * time.Second); return nil },
			observe: func(int, error) {},
		}
		onAttempt := func(retry.Attempt) { t.Error("Retry.OnAttempt was called") }
		c := New(transport, Options{Limiter: l, Hooks: hooks, Retry: retry.Policy{Schedule: retry.Schedule{Jitter: -1}, OnAttempt: onAttempt}})
		c.guard.budget.credit = -10 * time.Second
		if _, err := c.Send(t.Context(), letter()); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"send starts",
			"[s]limiter", "[s]waited for limiter 2s",
			"[s]attempt 1 starts", "[s][1]transport", "[s][1]attempt 1 done: took 1s, send-rate-exceeded, again true after 5s",
			"[s]waited for retry 5s", "[s]waited for budget 3.8s", "[s]limiter", "[s]waited for limiter 2s",
			"[s]attempt 2 starts", "[s][2]transport", "[s][2]attempt 2 done: took 1s, , again false after 0s",
			"[s]send done: id, <nil>",
		}
		if !slices.Equal(log, want) {
			t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(log, "\n\t"), strings.Join(want, "\n\t"))
		}
	})
}

func TestAHookThatReturnsNoContextKeepsTheGivenOne(t *testing.T) {
	seen := 0
	check := func(ctx context.Context) {
		if info, ok := InfoFrom(ctx); ok && info.From == "a@example.com" {
			seen++
		}
	}
	c := New(TransportFunc(func(ctx context.Context, _ *Mail) (*Receipt, error) { check(ctx); return nil, nil }), Options{Hooks: Hooks{
		SendStart:    func(context.Context, Info) context.Context { return nil },
		AttemptStart: func(context.Context, int) context.Context { return nil },
		AttemptDone:  func(ctx context.Context, _ Attempt) { check(ctx) },
		SendDone:     func(ctx context.Context, _ *Receipt, _ error) { check(ctx) },
	}})
	if _, err := c.Send(t.Context(), letter()); err != nil || seen != 3 {
		t.Errorf("%v; the context came through %d times, want 3", err, seen)
	}
}

// Only the transport makes attempts.
func TestRefusalsOfLimiterAndBreakerAreNoAttempts(t *testing.T) {
	attempts, sends := 0, 0
	refusal := seserrors.Classify(seserrors.AccessDenied)
	c := New(&script{}, Options{
		Limiter: limiter{wait: func(context.Context, int) error { return refusal }},
		Hooks: Hooks{
			AttemptStart: func(context.Context, int) context.Context { attempts++; return nil },
			AttemptDone:  func(context.Context, Attempt) { attempts++ },
			SendDone: func(_ context.Context, r *Receipt, err error) {
				if r == nil && errors.Is(err, seserrors.AccessDenied) {
					sends++
				}
			},
		},
	})
	if _, err := c.Send(t.Context(), letter()); !errors.Is(err, seserrors.AccessDenied) || attempts != 0 || sends != 1 {
		t.Errorf("got %v, %d calls of attempt hooks, %d of SendDone", err, attempts, sends)
	}
}

func TestTheWaitThatTheContextEndsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []string
		c := New(&script{errs: []error{seserrors.Classify(seserrors.SendRateExceeded)}}, Options{Hooks: Hooks{
			Waited: func(_ context.Context, why string, took time.Duration) {
				waits = append(waits, fmt.Sprint(why, " ", took))
			},
		}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, cancel)
		c.Send(ctx, letter())
		if want := []string{"retry 2s"}; !slices.Equal(waits, want) {
			t.Errorf("got %q, want %q", waits, want)
		}
	})
}

func TestTheBreakerTellsEachChangeOnceAndUnderNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var changes []string
		var c *Client
		refuses := true
		c = New(TransportFunc(func(context.Context, *Mail) (*Receipt, error) {
			if refuses {
				return nil, paused()
			}
			return nil, nil
		}), Options{
			Logger: slog.New(slog.NewTextHandler(&out, nil)),
			Hooks: Hooks{Breaker: func(open bool, why *seserrors.Error) {
				if s := c.guard.Stats(); open != (s.BreakerWhy != nil) {
					t.Errorf("open %v, but Stats say %+v", open, s)
				}
				changes = append(changes, fmt.Sprint(open, " ", why.Reason))
			}},
		})
		for range 100 {
			c.Send(t.Context(), letter())
		}
		for range 3 { // probes
			time.Sleep(time.Minute)
			c.Send(t.Context(), letter())
		}
		refuses = false
		time.Sleep(time.Minute)
		for range 100 {
			if _, err := c.Send(t.Context(), letter()); err != nil {
				t.Fatal(err)
			}
		}
		if want := []string{"true sending-paused", "false sending-paused"}; !slices.Equal(changes, want) {
			t.Errorf("told of %q, want %q", changes, want)
		}
		for words, want := range map[string]int{"breaker opened": 1, "breaker closed": 1, "attempt failed": 4, "no attempt made": 0, "not accepted": 4} {
			if n := strings.Count(out.String(), words); n != want {
				t.Errorf("%d lines say %q, want %d:\n%s", n, words, want, out.String())
			}
		}
	})
}

type handler struct {
	slog.Handler
	contexts []context.Context
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.contexts = append(h.contexts, ctx)
	return h.Handler.Handle(ctx, r)
}

func TestLogLinesSayWhatHappenedAndToWhom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := &seserrors.Error{
			Op: "smtp end of data", Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded, Code: 454,
			Message: "Throttling failure for <b@example.org>", Endpoint: "smtp.example:587", Recipients: []string{"b@example.org"},
		}
		refused := &seserrors.Error{Op: "ses SendEmail", Class: seserrors.Rejected, Reason: seserrors.MessageRejected, Endpoint: "us-east-1"}
		var out bytes.Buffer
		h := &handler{Handler: slog.NewTextHandler(&out, nil)}
		c := New(&script{errs: []error{throttle, refused}}, Options{
			TrackTag: "track", Logger: slog.New(h), Retry: retry.Policy{Schedule: retry.Schedule{Jitter: -1}},
		})
		ctx := context.WithValue(t.Context(), mark("send"), "s")
		_, err := c.Send(ctx, letter())
		id := seserrors.Classify(err).TrackID
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		want := [][]string{
			{"attempt failed", "track_id=" + id, "attempt=1", "transport=smtp", "endpoint=smtp.example:587", "class=throttled", "reason=send-rate-exceeded", "again=true", "wait=5s", "advice=", "maybe_accepted=false"},
			{"attempt failed", "track_id=" + id, "attempt=2", "transport=api", "endpoint=us-east-1", "class=rejected", "reason=message-rejected", "again=false", "wait=0s", "advice="},
			{"level=ERROR", "not accepted", "track_id=" + id, "attempt=2", "transport=api", "class=rejected", "again=false", "advice="},
		}
		if len(lines) != len(want) {
			t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(want), out.String())
		}
		for i, words := range want {
			for _, w := range words {
				if !strings.Contains(lines[i], w) {
					t.Errorf("line %d lacks %q: %s", i, w, lines[i])
				}
			}
		}
		for _, secret := range []string{"b@example.org", "c@example.org", "hello"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
		for _, ctx := range h.contexts {
			if ctx.Value(mark("send")) != "s" {
				t.Error("a line was not written with the send's own context")
			}
		}
	})
}

func TestTheLastLineSaysWhenToTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		New(&script{errs: []error{seserrors.Classify(seserrors.SendRateExceeded)}}, Options{
			Logger: slog.New(slog.NewTextHandler(&out, nil)), Retry: retry.Policy{Schedule: retry.Schedule{Jitter: -1}},
		}).Send(ctx, letter())
		if s := out.String(); !strings.Contains(s, "retry_after=5s") || !strings.Contains(s, "level=WARN msg=\"sesguard: not accepted\"") {
			t.Errorf("got %s", s)
		}
	})
}

// A handler may do what it likes: it runs under no lock.
func TestALoggerMayAskTheGuard(t *testing.T) {
	var c *Client
	h := &asking{Handler: slog.NewTextHandler(io.Discard, nil), ask: func() { c.guard.Stats() }}
	c = New(&script{errs: []error{paused()}}, Options{Logger: slog.New(h)})
	c.Send(t.Context(), letter())
	if h.asked != 3 { // the breaker, the attempt, the send
		t.Errorf("%d lines, want 3", h.asked)
	}
}

type asking struct {
	slog.Handler
	ask   func()
	asked int
}

func (h *asking) Handle(ctx context.Context, r slog.Record) error {
	h.asked++
	h.ask()
	return nil
}

func TestTheTrackIDIsTheMailsOwnAndStandsInReceiptAndError(t *testing.T) {
	mail, err := Build(letter())
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	fail := true
	shared := lost()
	transport := TransportFunc(func(ctx context.Context, m *Mail) (*Receipt, error) {
		info, _ := InfoFrom(ctx)
		for _, tag := range m.Tags() {
			seen = append(seen, tag.Name+"="+tag.Value)
		}
		if info.TrackTag != "track" || info.TrackID != m.TrackID() {
			t.Errorf("Info says %q=%q", info.TrackTag, info.TrackID)
		}
		if fail {
			return nil, shared
		}
		return nil, nil
	})
	c := New(transport, Options{TrackTag: "track"})
	_, err = c.SendBuilt(t.Context(), mail)
	var e *seserrors.Error
	if !errors.As(err, &e) || e.TrackID != mail.TrackID() || !seserrors.MaybeAccepted(err) {
		t.Errorf("the error bears %q, want the mail's %q: %v", e.TrackID, mail.TrackID(), err)
	}
	if shared.TrackID != "" {
		t.Error("the transport's own error was changed")
	}
	fail = false
	r, err := c.SendBuilt(t.Context(), mail)
	if err != nil || r.TrackID != mail.TrackID() {
		t.Errorf("got %+v, %v; want the id %q", r, err, mail.TrackID())
	}
	if want := "track=" + mail.TrackID(); !slices.Equal(seen, []string{want, want}) {
		t.Errorf("the transport was given %q, want twice %q", seen, want)
	}
}

func TestWithoutATrackTagTheIDIsNotSent(t *testing.T) {
	mail, err := Build(letter())
	if err != nil {
		t.Fatal(err)
	}
	c := New(TransportFunc(func(ctx context.Context, m *Mail) (*Receipt, error) {
		if info, _ := InfoFrom(ctx); info.TrackTag != "" || info.TrackID != m.TrackID() || len(m.Tags()) != 0 {
			t.Errorf("Info %+v, tags %v", info, m.Tags())
		}
		return nil, nil
	}), Options{})
	if r, err := c.SendBuilt(t.Context(), mail); err != nil || r.TrackID != "" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestDoGivesASendItsID(t *testing.T) {
	g := NewGuard(Options{TrackTag: "track"})
	var ids []string
	for _, given := range []string{"", "", "own"} {
		r, err := g.Do(t.Context(), Info{TrackID: given, Recipients: 1}, func(ctx context.Context) (*Receipt, error) {
			info, _ := InfoFrom(ctx)
			ids = append(ids, info.TrackID)
			return nil, nil
		})
		if err != nil || r.TrackID != ids[len(ids)-1] {
			t.Errorf("got %+v, %v", r, err)
		}
	}
	if len(ids[0]) < 26 || ids[0] == ids[1] || ids[2] != "own" {
		t.Errorf("ids %q, want two of 128 random bits and the given one", ids)
	}
}

func TestATagOfTheTrackTagsNameIsRefused(t *testing.T) {
	m, s := letter(), &script{}
	m.Tags = []Tag{{"track", "mine"}}
	_, err := New(s, Options{TrackTag: "track"}).Send(t.Context(), m)
	var invalid *ValidationError
	if !errors.As(err, &invalid) || !errors.Is(err, seserrors.Invalid) || s.calls != 0 {
		t.Errorf("got %v after %d attempts, want a *ValidationError", err, s.calls)
	}
}

// Each error that the guard can return has the id where errors.As looks first,
// and keeps its text, its class and its doubt.
func TestTheTrackIDChangesNothingElseOfAnError(t *testing.T) {
	throttle := seserrors.FromSMTP("smtp end of data", 454, "Throttling failure: Maximum sending rate exceeded.")
	for name, errs := range map[string][]error{
		"a refusal":            {paused()},
		"wrapped":              {fmt.Errorf("middleware: %w", paused())},
		"foreign":              slices.Repeat([]error{io.EOF}, 4),
		"after doubt":          {lost(), throttle, paused()},
		"out of attempts":      {throttle, throttle, throttle, throttle},
		"with a wider doubt":   slices.Repeat([]error{errors.Join(throttle, lost())}, 4),
		"a limiter of its own": {&retry.Error{RetryAfter: time.Second, Err: throttle}},
	} {
		var got [2]error
		for i, tag := range []string{"", "track"} {
			_, got[i] = New(&script{errs: errs}, Options{TrackTag: tag, Retry: retryPolicy(4, true)}).Send(t.Context(), letter())
		}
		var e *seserrors.Error
		if !errors.As(got[1], &e) || e.TrackID == "" {
			t.Errorf("%s: no TrackID in %v", name, got[1])
		}
		plain, tracked := seserrors.Classify(got[0]), seserrors.Classify(got[1])
		if plain.Class != tracked.Class || plain.Reason != tracked.Reason || plain.MaybeAccepted != tracked.MaybeAccepted {
			t.Errorf("%s: %v became %v", name, plain, tracked)
		}
		cut := func(err error) string { // without the time it took and the id
			s := strings.ReplaceAll(err.Error(), " as "+e.TrackID, "")
			return s[strings.Index(s, ":")+1:]
		}
		if !errors.As(got[1], new(*retry.Error)) || cut(got[0]) != cut(got[1]) {
			t.Errorf("%s: the text %q became %q", name, got[0], got[1])
		}
	}
}
