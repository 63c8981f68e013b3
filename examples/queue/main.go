// Command queue shows a queue's consumer: what it acknowledges, tries again,
// parks, holds and dead-letters. The consumer is in consumer.go; this file
// gives it mails and trouble, against the embedded fake SES.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
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
	c, stop, err := newConsumer(ses, out)
	if err != nil {
		return err
	}
	defer stop()

	c.ready = []*job{
		order("plain", "shop@example.com", "ann@example.org"),
		order("throttled once", "shop@example.com", "ann@example.org"),
		order("reply lost", "shop@example.com", "ann@example.org"),
		order("new shop", "shop@new.example", "ann@example.org"),
		order("new shop again", "shop@new.example", "ben@example.org"),
		order("bad address", "shop@example.com", "ann@@example.org"),
		order("virus", "shop@example.com", "ann@example.org"),
	}
	if err := c.drain(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d parked, %d held, %d invalid, %d rejected; now new.example gets verified:\n\n",
		len(c.parked), len(c.held), len(c.dead[seserrors.Invalid]), len(c.dead[seserrors.Rejected]))
	ses.Account.Verify("new.example")
	c.resume()
	if err := c.drain(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nSES has %d mails; %d parked\n", len(ses.Accepted()), len(c.parked))
	return nil
}

func newConsumer(ses *sestest.Server, log io.Writer) (c *consumer, stop func() error, err error) {
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
	client := sesguard.New(sesguard.SMTP(pool), sesguard.Options{Retry: once})
	return &consumer{
		sender: troubled(ses, client),
		policy: policy,
		log:    log,
		dead:   map[seserrors.Class][]*job{},
		paused: map[string]bool{},
	}, pool.Close, nil
}

// troubled prepares the fake's answer to the first attempt of some mails.
func troubled(ses *sestest.Server, next sesguard.Sender) sesguard.Sender {
	trouble := map[string]sestest.Fault{
		"throttled once": sestest.Refuse(seserrors.SendRateExceeded),
		"reply lost":     sestest.AcceptThenCut(),
		"virus":          sestest.Refuse(seserrors.MessageRejected),
	}
	return sesguard.SenderFunc(func(ctx context.Context, m *sesguard.Message) (*sesguard.Receipt, error) {
		if fault, ok := trouble[m.Subject]; ok {
			delete(trouble, m.Subject)
			ses.Script(fault)
		}
		return next.Send(ctx, m)
	})
}

func order(subject, from, to string) *job {
	return &job{mail: &sesguard.Message{From: from, To: []string{to}, Subject: subject, Text: "It is on its way."}}
}
