// Command queue shows a queue's consumer: what it acknowledges, tries again,
// parks, holds and dead-letters, and how SES's events settle what is parked. The
// consumer is in consumer.go, the mails in doubt are in park.go; this file gives
// them mails and trouble, against the embedded fake SES.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func main() {
	ses := sestest.NewServer()
	err := run(context.Background(), ses, os.Stdout)
	ses.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "queue:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, ses *sestest.Server, out io.Writer) error {
	logger := log.New(out, "", 0)
	c, stop, err := newConsumer(ses, logger)
	if err != nil {
		return err
	}
	defer stop()
	publish(ses, "late@example.org")
	ses.Events.Subscribe(sestest.Subscription{Func: func(message []byte) { // a queue's reader, in its own goroutine
		if err := c.parked.hear(ctx, message); err != nil {
			logger.Print("events: ", err)
		}
	}})

	c.ready = []*job{
		order("plain", "shop@example.com", "ann@example.org"),
		order("throttled once", "shop@example.com", "throttled@example.org"),
		order("reply lost", "shop@example.com", "lost@example.org"),
		order("its event late", "shop@example.com", "late@example.org"),
		order("cut before the end", "shop@example.com", "cut@example.org"),
		order("new shop", "shop@new.example", "ann@example.org"),
		order("new shop again", "shop@new.example", "ben@example.org"),
		order("bad address", "shop@example.com", "ann@@example.org"),
		order("virus", "shop@example.com", "virus@example.org"),
	}
	if err := c.drain(ctx); err != nil {
		return err
	}
	logger.Printf("\n%d held, %d invalid, %d rejected; now new.example gets verified:\n\n",
		len(c.held), len(c.dead[seserrors.Invalid]), len(c.dead[seserrors.Rejected]))
	ses.Account.Verify("new.example")
	c.resume()
	if err := c.drain(ctx); err != nil {
		return err
	}
	if err := settleDoubts(ctx, c, ses, logger); err != nil {
		return err
	}
	logger.Printf("\nSES has %d mails; of those in doubt %d were accepted once and %d twice", ses.AcceptedCount(),
		c.parked.count(event.Accepted), c.parked.count(event.Duplicated))
	return nil
}

// settleDoubts shows the ways in which a mail in doubt can end. SES's words for
// it are the same whether it took the mail or not.
func settleDoubts(ctx context.Context, c *consumer, ses *sestest.Server, logger *log.Logger) error {
	ses.Events.Wait()
	logger.Print("\ntwo hours later:\n\n")
	if err := c.parked.doubts.Expire(ctx, time.Now().Add(2*time.Hour)); err != nil { // every minute in a program
		return err
	}
	logger.Print("\na person sends them again:\n\n")
	c.ready = c.parked.unconfirmed()
	if err := c.drain(ctx); err != nil {
		return err
	}
	ses.Events.Wait()
	logger.Print("\nand the late event comes:\n\n")
	for _, m := range ses.Accepted() {
		if m.To[0] == "late@example.org" {
			ses.Events.Schedule(nil)
			ses.Events.Send(m)
			break
		}
	}
	ses.Events.Wait()
	return nil
}

// publish has all events published, but for the first one about the recipient
// late.
func publish(ses *sestest.Server, late string) {
	ses.Account.SetConfigurationSet("all", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
	ses.Account.SetIdentity("example.com", sestest.Identity{ConfigurationSet: "all"})
	lost := false
	ses.Events.Schedule(func(_ string, m sestest.Mail) []time.Duration {
		if m.To[0] == late && !lost {
			lost = true
			return nil
		}
		return []time.Duration{0}
	})
}

func newConsumer(ses *sestest.Server, logger *log.Logger) (c *consumer, stop func() error, err error) {
	pool, err := smtpclient.New(smtpclient.Config{
		Addr:     ses.SMTPAddr,
		Username: ses.Username, Password: ses.Password,
		TLSConfig: ses.TLSConfig(),
	})
	if err != nil {
		return nil, nil, err
	}
	// Short waits for this example: leave Schedule out to wait as AWS documents.
	policy := retry.Policy{Schedule: retry.Schedule{Waits: []time.Duration{20 * time.Millisecond}}, MaxAttempts: 5}
	once := policy
	once.MaxAttempts = 1
	client := sesguard.New(sesguard.SMTP(pool), sesguard.Options{Retry: once, TrackTag: trackTag})
	return &consumer{
		send:    troubled(ses, client.SendBuilt),
		timeout: time.Minute,
		policy:  policy,
		log:     logger,
		parked:  newPark(logger),
		dead:    map[seserrors.Class][]*job{},
		paused:  map[string]bool{},
	}, pool.Close, nil
}

// troubled prepares the fake's answer to the first attempt to some recipients.
func troubled(ses *sestest.Server, next sendFunc) sendFunc {
	trouble := map[string]sestest.Fault{
		"throttled@example.org": sestest.Refuse(seserrors.SendRateExceeded),
		"lost@example.org":      sestest.AcceptThenCut(),
		"late@example.org":      sestest.AcceptThenCut(),
		"cut@example.org":       sestest.Cut(sestest.EndOfData),
		"virus@example.org":     sestest.Refuse(seserrors.MessageRejected),
	}
	return func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		to := m.Recipients()[0]
		if fault, ok := trouble[to]; ok {
			delete(trouble, to)
			ses.Script(fault)
		}
		return next(ctx, m)
	}
}

func order(subject, from, to string) *job {
	return &job{message: &sesguard.Message{From: from, To: []string{to}, Subject: subject, Text: "It is on its way."}}
}
