package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/event"
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
		"reply lost           SES has it: acknowledge",
		"its event late       in doubt (response-lost): park",
		"its event late       no event came, which proves nothing: ask a person",
		"its event late       sent: acknowledge",
		"its event late       SES has it twice: acknowledge, and tell who sent it again",
		"cut before the end   in doubt (response-lost): park",
		"cut before the end   no event came, which proves nothing: ask a person",
		"cut before the end   sent: acknowledge",
		"cut before the end   SES has it: acknowledge",
		"new shop             identity-not-verified: hold and pause",
		"bad address          illegal-address: dead-letter as invalid",
		"virus                message-rejected: dead-letter as rejected",
		"2 held, 1 invalid, 1 rejected; now new.example gets verified:",
		"new shop             sent: acknowledge",
		"new shop again       sent: acknowledge",
		"SES has 8 mails; of those in doubt 2 were accepted once and 1 twice",
	} {
		if n := strings.Count(out.String(), want+"\n"); n != 1 {
			t.Errorf("%d times %q in\n%s", n, want, &out)
		}
	}
	var got []string
	for _, m := range ses.Accepted() {
		got = append(got, m.Subject())
	}
	slices.Sort(got)
	want := []string{"cut before the end", "its event late", "its event late", "new shop", "new shop again", "plain", "reply lost", "throttled once"}
	if !slices.Equal(got, want) {
		t.Errorf("SES has %q, want %q", got, want)
	}
}

func TestARefusalOfTheAccountHoldsTheWholeQueue(t *testing.T) {
	sends := 0
	c := newTestConsumer(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
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
	c := newTestConsumer(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
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
		c := newTestConsumer(func(_ context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
			sent = append(sent, m.To()[0]+" "+time.Since(start).String())
			return &sesguard.Receipt{}, nil
		})
		later, sooner := order("1", "a@example.com", "later@example.org"), order("2", "a@example.com", "sooner@example.org")
		later.due, sooner.due = start.Add(20*time.Minute), start.Add(5*time.Second)
		c.ready = []*job{later, sooner, order("3", "a@example.com", "now@example.org")}
		if err := c.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []string{"now@example.org 0s", "sooner@example.org 5s", "later@example.org 20m0s"}; !slices.Equal(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
	})
}

func TestAStoppedConsumerKeepsWhatWasNotSent(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	c := newTestConsumer(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
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

func TestASendWhoseTimeIsOverIsTriedAgainAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestConsumer(func(ctx context.Context, _ *sesguard.Mail) (*sesguard.Receipt, error) {
			<-ctx.Done()
			return nil, seserrors.FromContext(ctx, "smtp MAIL")
		})
		j := order("1", "a@example.com", "ann@example.org")
		c.ready = []*job{j}
		if err := c.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.dead[seserrors.Canceled]; !slices.Equal(got, []*job{j}) || j.attempts != 3 {
			t.Errorf("dead: %v after %d attempts, want the job after 3", got, j.attempts)
		}
	})
}

func TestAWrongClockIsTriedAgainOnceBeforeItHolds(t *testing.T) {
	sends := 0
	c := newTestConsumer(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
		sends++
		return nil, &seserrors.Error{Class: seserrors.Denied, Reason: seserrors.ClockSkew}
	})
	c.ready = []*job{order("1", "a@example.com", "ann@example.org")}
	if err := c.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.held) != 1 || sends != 2 {
		t.Errorf("%d held after %d sends, want 1 after 2", len(c.held), sends)
	}
}

// The event overtakes the end of the send.
func TestAnEventThatComesBeforeTheDoubtSettlesIt(t *testing.T) {
	c := newTestConsumer(func(_ context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		return nil, &seserrors.Error{Class: seserrors.Unavailable, Reason: seserrors.ResponseLost, MaybeAccepted: true, TrackID: m.TrackID()}
	})
	j := order("1", "a@example.com", "ann@example.org")
	var err error
	if j.mail, err = sesguard.Build(j.message); err != nil {
		t.Fatal(err)
	}
	message := fmt.Sprintf(`{"eventType":"Send","mail":{"messageId":"m1","tags":{%q:[%q]}}}`, trackTag, j.mail.TrackID())
	if err := c.parked.hear(t.Context(), []byte(message)); err != nil {
		t.Fatal(err)
	}
	c.ready = []*job{j}
	if err := c.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.parked.count(event.Accepted) != 1 {
		t.Error("the doubt is not settled")
	}
}

func newTestConsumer(send sendFunc) *consumer {
	logger := log.New(io.Discard, "", 0)
	return &consumer{
		send:    send,
		timeout: time.Minute,
		policy:  retry.Policy{Schedule: retry.Schedule{Waits: []time.Duration{time.Microsecond}}, MaxAttempts: 3},
		log:     logger,
		parked:  newPark(logger),
		dead:    map[seserrors.Class][]*job{},
		paused:  map[string]bool{},
	}
}
