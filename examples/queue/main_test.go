package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func TestTheConsumerSaysWhatBecomesOfEachMail(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	var out bytes.Buffer
	if err := run(t.Context(), ses, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"plain                sent: acknowledge",
		"throttled once       send-rate-exceeded: requeue",
		"throttled once       sent: acknowledge",
		"reply lost           in doubt (response-lost): park",
		"new shop             identity-not-verified: hold and pause",
		"bad address          illegal-address: dead-letter as invalid",
		"virus                message-rejected: dead-letter as rejected",
		"1 parked, 2 held, 1 invalid, 1 rejected; now new.example gets verified:",
		"new shop             sent: acknowledge",
		"new shop again       sent: acknowledge",
	} {
		if n := strings.Count(out.String(), want+"\n"); n != 1 {
			t.Errorf("%d times %q in\n%s", n, want, &out)
		}
	}
	want := []string{"new shop", "new shop again", "plain", "reply lost", "throttled once"}
	if got := subjects(ses.Accepted()); !slices.Equal(got, want) {
		t.Errorf("SES has %q, want %q", got, want)
	}
}

func TestARefusalOfTheAccountHoldsTheWholeQueue(t *testing.T) {
	sends := 0
	c := newTestConsumer(func(context.Context, *sesguard.Message) (*sesguard.Receipt, error) {
		sends++
		return nil, &seserrors.Error{Class: seserrors.Suspended, Reason: seserrors.SendingPaused}
	})
	c.ready = []*job{order("1", "a@example.com", "ann@example.org"), order("2", "b@example.com", "ann@example.org")}
	if err := c.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.held) != 2 || sends != 1 {
		t.Errorf("%d held after %d sends, want 2 after 1", len(c.held), sends)
	}
}

func TestATooOftenRefusedMailIsDeadLettered(t *testing.T) {
	c := newTestConsumer(func(context.Context, *sesguard.Message) (*sesguard.Receipt, error) {
		return nil, &seserrors.Error{Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure}
	})
	j := order("1", "a@example.com", "ann@example.org")
	c.ready = []*job{j}
	if err := c.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.dead[seserrors.Unavailable]; !slices.Equal(got, []*job{j}) || j.attempts != 3 {
		t.Errorf("dead: %v after %d attempts, want the job after 3", got, j.attempts)
	}
}

func TestTheMailThatIsDueFirstIsSentFirstAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var sent []string
		c := newTestConsumer(func(_ context.Context, m *sesguard.Message) (*sesguard.Receipt, error) {
			sent = append(sent, m.Subject+" "+time.Since(start).String())
			return &sesguard.Receipt{}, nil
		})
		later, sooner := order("later", "a@example.com", "ann@example.org"), order("sooner", "a@example.com", "ann@example.org")
		later.due, sooner.due = start.Add(20*time.Minute), start.Add(5*time.Second)
		c.ready = []*job{later, sooner, order("now", "a@example.com", "ann@example.org")}
		if err := c.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []string{"now 0s", "sooner 5s", "later 20m0s"}; !slices.Equal(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
	})
}

func TestAStoppedConsumerKeepsWhatWasNotSent(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	c := newTestConsumer(func(context.Context, *sesguard.Message) (*sesguard.Receipt, error) {
		stop(stopped)
		return nil, &seserrors.Error{Class: seserrors.Canceled, Reason: seserrors.ContextCanceled}
	})
	j := order("1", "a@example.com", "ann@example.org")
	c.ready = []*job{j}
	for err := c.drain(ctx); !errors.Is(err, stopped); err = c.drain(ctx) {
		if err == nil {
			t.Fatal("the queue is empty")
		}
	}
	if !slices.Equal(c.ready, []*job{j}) || j.attempts != 0 {
		t.Errorf("ready: %v after %d attempts, want the job after 0", c.ready, j.attempts)
	}
}

func newTestConsumer(send sesguard.SenderFunc) *consumer {
	return &consumer{
		sender: send,
		policy: retry.Policy{Schedule: retry.Schedule{Waits: []time.Duration{time.Microsecond}}, MaxAttempts: 3},
		log:    io.Discard,
		dead:   map[seserrors.Class][]*job{},
		paused: map[string]bool{},
	}
}

func subjects(all []sestest.Mail) []string {
	var got []string
	for _, m := range all {
		_, subject, _ := strings.Cut(string(m.Data), "\r\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		got = append(got, subject)
	}
	slices.Sort(got)
	return got
}
