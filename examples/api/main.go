// Command api sends one real mail over the SES v2 API.
//
//	go run ./examples/api -region eu-west-1 -from you@your-domain -to success@simulator.amazonses.com
//
// Credentials are found as the AWS CLI finds them: environment, shared
// profile, SSO, the role of the machine. Exit code 1: the mail was not sent, or
// that is in doubt; 2: a setting is missing or wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

// run is main with everything it touches as an argument.
func run(ctx context.Context, args []string, out io.Writer, settings ...func(*config.LoadOptions) error) int {
	flags := flag.NewFlagSet("api", flag.ContinueOnError)
	flags.SetOutput(out)
	region := flags.String("region", "", "AWS region of your SES identity (default: that of the AWS environment)")
	from := flags.String("from", "", "sender, an identity that SES has verified")
	to := flags.String("to", "success@simulator.amazonses.com", "recipient; the default is SES's own test address")
	timeout := flags.Duration("timeout", time.Minute, "give up after")
	if flags.Parse(args) != nil {
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx, append(settings, config.WithRegion(*region))...)
	if err != nil {
		fmt.Fprintln(out, err)
		return 2
	}
	_, err = cfg.Credentials.Retrieve(ctx)
	if text := missing(*from != "", cfg.Region != "", err == nil); text != "" {
		fmt.Fprint(out, text)
		if err != nil {
			fmt.Fprintf(out, "\nNo credentials were found: %v\n", err)
		}
		return 2
	}
	client := sesguard.New(sesapi.New(sesv2.NewFromConfig(cfg), sesapi.Config{}), sesguard.Options{})
	receipt, err := client.Send(ctx, &sesguard.Message{
		From:    *from,
		To:      []string{*to},
		Subject: "A mail from sesguard",
		Text:    "Sent over the v2 API of Amazon SES.",
	})
	return report(out, receipt, err)
}

func report(out io.Writer, receipt *sesguard.Receipt, err error) int {
	if err == nil {
		fmt.Fprintf(out, "accepted as %s after %d attempt(s)\n", receipt.MessageID, receipt.Attempts)
		return 0
	}
	e := seserrors.Classify(err)
	fmt.Fprintf(out, "%v\n%s: %s\n", err, e.Reason, e.Reason.Advice())
	if seserrors.MaybeAccepted(err) {
		fmt.Fprintln(out, "SES may have the mail all the same. It was not sent again.")
	} else if wait, ok := retry.After(err); ok {
		fmt.Fprintf(out, "SES does not have the mail. Try again in %v.\n", wait.Round(time.Second))
	}
	if errors.Is(err, seserrors.Invalid) {
		return 2
	}
	return 1
}
