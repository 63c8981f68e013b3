// Command doctor finds out why mail does not leave through Amazon SES.
//
//	go run ./examples/doctor -region eu-west-1 -from you@your-domain -to ann@example.net
//
// It looks at ports, TLS, sign-in, the account, the identity, DNS, the
// configuration set and the suppression list, sends nothing unless -send is
// given, and shows each finding as it comes. With -fake it looks at a broken world
// of its own, without an account or a network, in which the domain of -from is
// verified:
//
//	go run ./examples/doctor -fake iam-secret
//
// SMTP credentials come from SES_SMTP_USERNAME and SES_SMTP_PASSWORD, or are
// derived from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Those of the API are
// found as the AWS CLI finds them. Exit code 0: nothing failed; 1: something did;
// 2: it could not run, or was interrupted before anything failed.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/sesguard/sesguard-go/sesguard/doctor"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr, colourful(os.Stdout, os.Getenv)))
}

// run is main with everything it touches as an argument.
func run(ctx context.Context, args []string, getenv func(string) string, out, problems io.Writer, colour bool) int {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(problems)
	s := settings{getenv: getenv}
	flags.StringVar(&s.region, "region", "", "AWS region that sends (default: that of the AWS environment)")
	flags.StringVar(&s.addr, "addr", "", "host:port of the SMTP endpoint (default: the region's)")
	flags.IntVar(&s.port, "port", 0, "SMTP port at the region's endpoint (default 587)")
	flags.StringVar(&s.from, "from", "", "sender, spelled as in your mails")
	flags.StringVar(&s.to, "to", "", "recipients, divided by commas; they get no mail")
	flags.StringVar(&s.set, "config-set", "", "configuration set that mails name")
	flags.StringVar(&s.arn, "from-arn", "", "ARN of the identity of another account")
	flags.BoolVar(&s.send, "send", false, "send one mail to SES's mailbox simulator")
	asJSON := flags.Bool("json", false, "print an array of findings at the end")
	fake := flags.String("fake", "", "look at one of these worlds instead:\n"+worldNames())
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	cfg, done, err := s.config(ctx, *fake)
	if err != nil {
		fmt.Fprintln(problems, err)
		return 2
	}
	defer done()
	if !*asJSON {
		cfg.Found = func(f doctor.Finding) { io.WriteString(out, paint(f, colour)) }
	}
	report := doctor.Run(ctx, cfg)
	if *asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		_ = enc.Encode(report.Findings)
	} else {
		fmt.Fprint(out, "\n", summary(report), "\n")
	}
	switch {
	case !report.OK():
		return 1
	case ctx.Err() != nil:
		return 2
	}
	return 0
}

// settings is what the command line says.
type settings struct {
	getenv                           func(string) string
	region, addr, from, to, set, arn string
	port                             int
	send                             bool
}

// config returns what to look at, and what to call afterwards.
func (s *settings) config(ctx context.Context, fake string) (doctor.Config, func(), error) {
	var to []string
	for _, a := range strings.Split(s.to, ",") {
		if a = strings.TrimSpace(a); a != "" {
			to = append(to, a)
		}
	}
	if fake != "" {
		if s.region != "" || s.addr != "" || s.port != 0 || s.arn != "" {
			return doctor.Config{}, nil, errors.New("the world of -fake has a region and an endpoint of its own: leave out -region, -addr, -port and -from-arn")
		}
		w, err := newWorld(fake, s.from, to, s.set)
		if err != nil {
			return doctor.Config{}, nil, err
		}
		w.cfg.RealSend = s.send
		return w.cfg, w.server.Close, nil
	}
	if s.from == "" {
		return doctor.Config{}, nil, fmt.Errorf("missing: the sender (-from).\n\n%s", needed)
	}
	cfg := doctor.Config{From: s.from, To: to, ConfigurationSet: s.set, FromARN: s.arn, RealSend: s.send}
	account, err := config.LoadDefaultConfig(ctx, config.WithRegion(s.region))
	if err != nil {
		return cfg, nil, err
	}
	region := cmp.Or(s.region, account.Region)
	if region == "" && s.addr == "" {
		return cfg, nil, fmt.Errorf("missing: the region (-region).\n\n%s", needed)
	}
	cfg.Region = region
	cfg.SMTP = smtpclient.Config{Region: region, Addr: s.addr, Port: s.port}
	cfg.SMTP.Username, cfg.SMTP.Password = credentials(s.getenv, region)
	find, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err = account.Credentials.Retrieve(find); (err == nil || cfg.SMTP.Username == "") && region != "" {
		cfg.API = sesv2.NewFromConfig(account) // without any credentials the doctor says why
	}
	return cfg, func() {}, nil
}

// credentials returns SES's SMTP user name and password, or derives them from the
// access key of an IAM user.
func credentials(getenv func(string) string, region string) (username, password string) {
	if name, password := getenv("SES_SMTP_USERNAME"), getenv("SES_SMTP_PASSWORD"); name != "" || password != "" {
		return name, password
	}
	id, secret := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" || region == "" || getenv("AWS_SESSION_TOKEN") != "" {
		return "", ""
	}
	return id, smtpclient.DerivePassword(secret, region)
}

// colourful reports whether out is a terminal that shows colours.
func colourful(out *os.File, getenv func(string) string) bool {
	info, err := out.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// paint returns a finding as text, its verdict in colour.
func paint(f doctor.Finding, colour bool) string {
	text := f.String()
	if !colour {
		return text
	}
	code := map[doctor.Status]string{doctor.OK: "32", doctor.Warn: "33", doctor.Fail: "1;31", doctor.Skipped: "2"}[f.Status]
	word, rest, _ := strings.Cut(text, " ")
	return "\x1b[" + code + "m" + word + "\x1b[0m " + rest
}

func summary(r *doctor.Report) string {
	var n [doctor.Fail + 1]int
	for _, f := range r.Findings {
		n[f.Status]++
	}
	return fmt.Sprintf("%d failed, %d to mend, %d in order, %d skipped", n[doctor.Fail], n[doctor.Warn], n[doctor.OK], n[doctor.Skipped])
}

const needed = `To find out why mail does not leave, say what you send with:

  -from ADDRESS        the sender, spelled as in your mails
  -region REGION       or AWS_REGION: where you send, such as eu-west-1
  -to ADDRESS,…        recipients (optional)
  -config-set NAME     the configuration set of your mails (optional)
  SES_SMTP_USERNAME    and SES_SMTP_PASSWORD, if you send over SMTP

The API is asked with the credentials that the AWS CLI finds. They may lack
permissions: what they cannot read is skipped.

Nothing at hand? go run ./examples/doctor -fake iam-secret needs nothing.`
