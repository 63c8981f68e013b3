package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// settings is what the command line says.
type settings struct {
	smtp, smtps, plain, api, page string
	cert                          string
	region, username, password    string

	standing                               standing
	identities, sets, suppressed, denied   []string
	controlRate                            float64
	idle                                   time.Duration
	messagesPerSession, connections        int
	faults                                 []sestest.Fault
	outcome, notify, queue                 string
	eventDelay                             time.Duration
	eventCopies, keepMails, keepMegaoctets int
}

// parse reads the command line. It has said on out what is wrong with it.
func parse(args []string, out io.Writer) (*settings, error) {
	s := &settings{identities: []string{"example.com"}, sets: []string{"events"}}
	flags := flag.NewFlagSet("fakeses", flag.ContinueOnError)
	flags.SetOutput(out)
	s.network(flags)
	s.account(flags)
	s.trouble(flags)
	flags.Usage = func() {} // a page of flags would hide what is wrong
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, "fakeses is a fake Amazon SES for programs in any language.\n\n")
		flags.PrintDefaults()
		fmt.Fprint(out, "\n", faultHelp())
		return nil, err
	}
	if err == nil {
		if err = s.check(flags.Args()); err != nil {
			fmt.Fprintln(out, err)
		}
	}
	if err != nil {
		fmt.Fprintln(out, "-h lists the flags")
	}
	return s, err
}

func (s *settings) network(f *flag.FlagSet) {
	f.StringVar(&s.smtp, "smtp", "127.0.0.1:2587", "`host:port` of SMTP with STARTTLS")
	f.StringVar(&s.smtps, "smtps", "127.0.0.1:2465", "`host:port` of SMTP with TLS wrapper")
	f.StringVar(&s.api, "api", "127.0.0.1:2443", "`host:port` of the v2 API, over HTTPS")
	f.StringVar(&s.plain, "plain", "127.0.0.1:2525", "`host:port` of SMTP without TLS and sign-in, which SES does not have")
	f.StringVar(&s.page, "page", "127.0.0.1:2580", "`host:port` of the page, on this machine only")
	f.StringVar(&s.cert, "cert", "", "`file` to write the server's certificate to, in PEM")
	f.StringVar(&s.region, "region", sestest.DefaultRegion, "`region` of the account")
	f.StringVar(&s.username, "user", "", "SMTP user `name` (default that of AWS's examples)")
	f.StringVar(&s.password, "password", "", "SMTP `password` (default sestest-smtp-password)")
	f.IntVar(&s.keepMails, "keep", 500, "how many mails are kept, the newest `n`")
	f.IntVar(&s.keepMegaoctets, "keep-mb", 256, "how many `MB` of mails are kept")
}

func (s *settings) account(f *flag.FlagSet) {
	listVar(f, &s.identities, "identities", "verified domains and addresses, a `list` divided by commas; NAME=PENDING is not verified yet (default example.com)")
	listVar(f, &s.sets, "sets", "configuration sets, a `list`; each publishes all events, and the first serves mails that name none (default events)")
	listVar(f, &s.suppressed, "suppressed", "addresses on the suppression list, a `list`; ADDRESS=COMPLAINT for a complaint")
	listVar(f, &s.denied, "deny", "control calls for which permission is lacking, a `list` such as ses:GetAccount")
	f.BoolVar(&s.standing.Sandbox, "sandbox", false, "the account is in the sandbox")
	f.BoolVar(&s.standing.Paused, "paused", false, "sending is paused")
	f.BoolVar(&s.standing.Suspended, "suspended", false, "the account is shut down")
	f.BoolVar(&s.standing.Probation, "probation", false, "the account is under review, and sends")
	f.Float64Var(&s.standing.Rate, "rate", 0, "`recipients` a second; 0: no limit")
	f.Float64Var(&s.standing.Quota, "quota", 0, "`recipients` in 24 hours; 0: no limit")
	f.Float64Var(&s.controlRate, "control-rate", 0, "control calls a second, 1 at SES; 0: no limit")
}

func (s *settings) trouble(f *flag.FlagSet) {
	f.DurationVar(&s.idle, "idle", sestest.DefaultIdleLimit, "how long an SMTP client may be silent")
	f.IntVar(&s.messagesPerSession, "session-limit", 0, "`mails` of one SMTP connection; 0: no limit")
	f.IntVar(&s.connections, "connection-limit", 0, "SMTP connections at a time; 0: no limit")
	f.Func("fault", "a `fault` that waits for a mail or connection, such as 3*refuse:send-rate-exceeded; may be given several times, see below", func(text string) error {
		faults, err := parseFaults(text)
		s.faults = append(s.faults, faults...)
		return err
	})
	names := make([]string, len(outcomes))
	for i, o := range outcomes {
		names[i] = o.Name
	}
	f.StringVar(&s.outcome, "outcome", "", "what becomes of each accepted mail, an `outcome`: "+strings.Join(names, ", ")+" (default: of mails to the mailbox simulator what SES does, of others nothing)")
	f.StringVar(&s.notify, "notify", "", "`URL` that gets events as HTTP posts of SNS, signed; the subscription is confirmed already")
	f.StringVar(&s.queue, "queue", "", "`name` of an SQS queue for events, served beside the API; what nobody reads stays in it")
	f.DurationVar(&s.eventDelay, "event-delay", 0, "how late events are published")
	f.IntVar(&s.eventCopies, "event-copies", 1, "how many `times` each event is published; 0 loses all")
}

// listVar defines a flag that holds a list, in place of the default one.
func listVar(f *flag.FlagSet, list *[]string, name, usage string) {
	f.Func(name, usage, func(text string) error {
		*list = nil
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*list = append(*list, item)
			}
		}
		return nil
	})
}

func (s *settings) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%q is no flag", rest[0])
	}
	if s.outcome != "" {
		if _, err := parseOutcome(s.outcome); err != nil {
			return fmt.Errorf("-outcome: %w", err)
		}
	}
	switch {
	case !isLoopback(s.page):
		return errors.New("-page must be on this machine, such as 127.0.0.1:2580: it shows mails and credentials without a password")
	case s.keepMails < 1 || s.keepMegaoctets < 1:
		return errors.New("-keep and -keep-mb must be 1 at least")
	case s.eventCopies < 0 || s.eventCopies > 100:
		return errors.New("-event-copies must be from 0 to 100")
	case len(s.faults) > maxFaults:
		return fmt.Errorf("there are %d faults, %d may be", len(s.faults), maxFaults)
	}
	return nil
}

// isLoopback reports whether addr can be reached from this machine only.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// fake makes the server that the settings describe. It does not listen yet.
func (s *settings) fake() *fake {
	ses := sestest.NewUnstartedServer()
	ses.SMTPAddr, ses.SMTPSAddr, ses.PlainAddr, ses.URL = s.smtp, s.smtps, s.plain, "https://"+s.api
	ses.Region = cmp.Or(s.region, ses.Region)
	ses.Username, ses.Password = cmp.Or(s.username, ses.Username), cmp.Or(s.password, ses.Password)
	ses.SetIdleLimit(s.idle)
	ses.SetSessionLimit(s.messagesPerSession)
	ses.SetConnectionLimit(s.connections)
	s.fillAccount(ses.Account)
	f := &fake{ses: ses, box: &mailbox{maxMails: s.keepMails, maxOctets: s.keepMegaoctets << 20}, set: s.usualSet()}
	f.setStanding(s.standing)
	if o, err := parseOutcome(s.outcome); err == nil {
		f.usual = &o
	}
	_ = f.script(s.faults) // check has counted them
	publishing(ses.Events, s.eventCopies, s.eventDelay)
	if s.notify != "" {
		ses.Events.Subscribe(sestest.Subscription{URL: s.notify, Confirmed: true})
	}
	if s.queue != "" {
		ses.Events.Subscribe(sestest.Subscription{Queue: s.queue})
	}
	return f
}

func (s *settings) usualSet() string {
	if len(s.sets) == 0 {
		return ""
	}
	return s.sets[0]
}

func (s *settings) fillAccount(a *sestest.Account) {
	a.Unverify()
	for _, id := range s.identities {
		verify(a, id, s.usualSet())
	}
	for _, name := range s.sets {
		a.SetConfigurationSet(name, sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
	}
	for _, entry := range s.suppressed {
		suppress(a, entry)
	}
	a.Deny(s.denied...)
	a.SetControlRate(s.controlRate)
}

// faultHelp explains the words of -fault.
func faultHelp() string {
	var b strings.Builder
	fmt.Fprintln(&b, "A fault strikes once, N*FAULT strikes N times. Faults wait in a queue, and only\nthe first is looked at:")
	for _, k := range faultKinds {
		fmt.Fprintf(&b, "  %-28s %s\n", k.usage(), k.help)
	}
	names := make([]string, len(stages))
	for i, s := range stages {
		names[i] = s.name
	}
	reasons := sestest.Reasons("")
	slices.Sort(reasons)
	fmt.Fprintf(&b, "\nStages: %s.\n\nReasons: %s.\n", wrap(names), wrap(reasons))
	return b.String()
}

// wrap joins words by commas, in lines of about 80 characters.
func wrap[T ~string](words []T) string {
	var b strings.Builder
	column := 10
	for i, w := range words {
		if i > 0 {
			b.WriteString(",")
			column++
		}
		switch {
		case column+len(w) > 78:
			b.WriteString("\n  ")
			column = 2
		case i > 0:
			b.WriteString(" ")
			column++
		}
		b.WriteString(string(w))
		column += len(w)
	}
	return b.String()
}
