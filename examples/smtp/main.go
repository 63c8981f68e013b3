// Command smtp sends one real mail over SES's SMTP interface.
//
//	go run ./examples/smtp -region eu-west-1 -from you@your-domain -to success@simulator.amazonses.com
//
// The password comes from the environment only: a flag would show it in the
// list of processes. Exit code 1: the mail was not sent, or that is in doubt;
// 2: a setting is missing or wrong.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, nil))
}

// run is main with everything it touches as an argument; trust is nil outside
// of tests.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer, trust *tls.Config) int {
	flags := flag.NewFlagSet("smtp", flag.ContinueOnError)
	flags.SetOutput(out)
	region := flags.String("region", cmp.Or(getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION")), "AWS region of your SES identity")
	addr := flags.String("addr", "", "host:port of the SMTP endpoint (default: port 587 of the region's)")
	from := flags.String("from", "", "sender, an identity that SES has verified")
	to := flags.String("to", "success@simulator.amazonses.com", "recipient; the default is SES's own test address")
	timeout := flags.Duration("timeout", time.Minute, "give up after")
	if flags.Parse(args) != nil {
		return 2
	}
	config := smtpclient.Config{Region: *region, Addr: *addr, TLSConfig: trust}
	config.Username, config.Password = credentials(getenv, *region)
	if text := missing(*from != "", *region+*addr != "", config.Username != ""); text != "" {
		fmt.Fprint(out, text)
		return 2
	}
	pool, err := smtpclient.New(config)
	if err != nil {
		fmt.Fprintln(out, err)
		return 2
	}
	defer pool.Close()

	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	receipt, err := sesguard.New(sesguard.SMTP(pool), sesguard.Options{}).Send(ctx, &sesguard.Message{
		From:    *from,
		To:      []string{*to},
		Subject: "A mail from sesguard",
		Text:    "Sent over the SMTP interface of Amazon SES.",
	})
	return report(out, receipt, err)
}

// credentials returns SES's SMTP user name and password, or derives them from
// the access key of an IAM user. The key of a role cannot be used: SES takes no
// temporary credentials over SMTP.
func credentials(getenv func(string) string, region string) (username, password string) {
	if name, password := getenv("SES_SMTP_USERNAME"), getenv("SES_SMTP_PASSWORD"); name != "" && password != "" {
		return name, password
	}
	id, secret := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" || region == "" || getenv("AWS_SESSION_TOKEN") != "" {
		return "", ""
	}
	return id, smtpclient.DerivePassword(secret, region)
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
