// Command quickstart sends a small batch through a fake SES that it starts
// itself, over SMTP and over the API, with trouble on the way, and prints what
// became of each mail. It needs no account, no settings and no network.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func main() {
	ses := sestest.NewServer()
	err := run(context.Background(), ses, os.Stdout)
	ses.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, ses *sestest.Server, out io.Writer) error {
	pool, err := smtpclient.New(smtpclient.Config{
		Addr:     ses.SMTPAddr,
		Username: ses.Username, Password: ses.Password,
		TLSConfig: ses.TLSConfig(),
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	api := sesv2.New(sesv2.Options{
		Region:       ses.Region,
		BaseEndpoint: &ses.URL,
		HTTPClient:   ses.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: ses.AccessKeyID, SecretAccessKey: ses.SecretAccessKey}, nil
		}),
	})

	// Short waits, so that you need not sit through AWS's: the zero Options
	// wait 5 s, 10 s, 30 s, then 20 minutes.
	options := sesguard.Options{Retry: retry.Policy{
		Schedule: retry.Schedule{Waits: []time.Duration{50 * time.Millisecond}},
	}}
	overSMTP := sesguard.New(sesguard.SMTP(pool), options)
	overAPI := sesguard.New(sesapi.New(api, sesapi.Config{}), options)

	report := newReport(out)
	send := func(transport string, sender sesguard.Sender, b step) {
		ses.Script(b.trouble...)
		receipt, err := sender.Send(ctx, b.mail)
		report.add(b.name, transport, receipt, err)
	}
	for _, b := range batch {
		send("smtp", overSMTP, b)
	}
	for _, b := range batch {
		if !b.onlySMTP {
			send("api", overAPI, b)
		}
	}
	return report.balance(ses.Accepted())
}
