// Command dropin shows existing mail code and the one line that changes in
// each to put the guard around it. It runs against the embedded fake SES.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func main() {
	ses := sestest.NewServer()
	err := run(context.Background(), ses, os.Stdout)
	ses.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dropin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, ses *sestest.Server, out io.Writer) error {
	ses.Account.AddTemplate("shipped", "Order {{order}}", "Your order {{order}} is on its way.", "")
	cfg := aws.Config{
		Region:       ses.Region,
		BaseEndpoint: &ses.URL,
		HTTPClient:   ses.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: ses.AccessKeyID, SecretAccessKey: ses.SecretAccessKey}, nil
		}),
	}

	// 1. A concrete client. Before: sesv2.NewFromConfig(cfg).
	client := sesv2.NewFromConfig(cfg, sesapi.Guard(sesguard.Options{})) // <- changed

	// 2. Code that holds an interface. Before: mailer{ses: sesv2.NewFromConfig(cfg)}.
	m := mailer{ses: sesapi.Wrap(sesv2.NewFromConfig(cfg), sesguard.Options{})} // <- changed

	for _, send := range []func(context.Context, *sesv2.Client) error{sendSimple, sendRaw, sendTemplate} {
		if err := send(ctx, client); err != nil {
			return err
		}
	}
	if err := m.notify(ctx, "ann@example.org"); err != nil {
		return err
	}
	// 3. net/smtp: the changed line is in legacy.go.
	if err := sendOldWay(ses.PlainAddr); err != nil {
		return err
	}
	for _, mail := range ses.Accepted() {
		fmt.Fprintf(out, "accepted over %-4s from %s to %v\n", mail.Transport, mail.From, mail.To)
	}
	return nil
}
