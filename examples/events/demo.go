package main

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// demo sends mails through a fake SES and reads what became of them.
func demo(ctx context.Context, ses *sestest.Server, t *table) error {
	publish(ses)
	ses.Events.Subscribe(sestest.Subscription{Queue: "ses-events"})
	if err := send(ctx, ses); err != nil {
		return err
	}
	happen(ses)
	r := fakeReader(ses, t)
	for {
		if n, err := r.once(ctx, time.Second); n == 0 {
			return err
		}
	}
}

// publish makes mails of example.com publish their events.
func publish(ses *sestest.Server) {
	ses.Account.SetConfigurationSet("all", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
	ses.Account.SetIdentity("example.com", sestest.Identity{ConfigurationSet: "all"})
}

// send sends mails to the mailbox simulator, which answers as its addresses say,
// and to three people.
func send(ctx context.Context, ses *sestest.Server) error {
	pool, err := smtpclient.New(smtpclient.Config{
		Addr:     ses.SMTPAddr,
		Username: ses.Username, Password: ses.Password,
		TLSConfig: ses.TLSConfig(), DialContext: ses.DialContext,
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	sender := sesguard.New(sesguard.SMTP(pool), sesguard.Options{})
	for _, to := range []string{
		"success@simulator.amazonses.com", "bounce@simulator.amazonses.com", "complaint@simulator.amazonses.com", "ooto@simulator.amazonses.com",
		"ann@example.org", "ben@example.org", "cleo@example.org",
	} {
		if _, err := sender.Send(ctx, &sesguard.Message{From: "shop@example.com", To: []string{to}, Subject: "Your order", Text: "It is on its way."}); err != nil {
			return err
		}
	}
	return nil
}

// happen says what becomes of the mails to people.
func happen(ses *sestest.Server) {
	for _, m := range ses.Accepted() {
		switch m.To[0] {
		case "ann@example.org": // a permanent bounce, and yet a good address
			ses.Events.Bounce(m, "Permanent/General", "smtp; 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org")
		case "ben@example.org":
			ses.Events.Bounce(m, "Transient/MailboxFull", "smtp; 552 5.2.2 Mailbox full")
		case "cleo@example.org":
			ses.Events.Delay(m, "TransientCommunicationFailure", "smtp; 421 4.4.1 Failed to establish connection")
		}
	}
	ses.Events.Wait()
}

// fakeReader reads the queues of the fake.
func fakeReader(ses *sestest.Server, t *table) *reader {
	const queues = "https://sqs.us-east-1.amazonaws.com/123456789012/"
	client := sqs.New(sqs.Options{
		Region: ses.Region, BaseEndpoint: &ses.URL, HTTPClient: ses.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: ses.AccessKeyID, SecretAccessKey: ses.SecretAccessKey}, nil
		}),
	})
	return &reader{client: client, queue: queues + "ses-events", parked: queues + "ses-events-parked", handle: t.handle}
}
