package load

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

type settings struct {
	transport string
	senders   int
	messages  int
	length    time.Duration
	size      int
	rate      float64
	follow    bool
	timeout   time.Duration
	to        string

	rtt       time.Duration // of the fake
	accountAt float64

	ses          bool
	from, region string
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&s.transport, "transport", "smtp", "smtp or api")
	flags.IntVar(&s.senders, "senders", 10, "how many send at once, each over a connection of its own")
	flags.IntVar(&s.messages, "messages", 0, "how many to send (default 10000, to SES 60; none if there is -for)")
	flags.DurationVar(&s.length, "for", 0, "how long to send")
	flags.IntVar(&s.size, "size", 2048, "octets of a message, at least those of its header")
	flags.Float64Var(&s.rate, "rate", 0, "messages a second that sesguard.NewRateLimiter lets pass (default: no limit, to SES 1)")
	flags.BoolVar(&s.follow, "follow", false, "keep to the account's own rate, by sesapi.NewAccountLimiter")
	flags.DurationVar(&s.timeout, "timeout", time.Minute, "give up on a message after")
	flags.StringVar(&s.to, "to", "success@simulator.amazonses.com", "recipient, at the mailbox simulator")
	flags.DurationVar(&s.rtt, "rtt", 0, "round trip time to the fake")
	flags.Float64Var(&s.accountAt, "account-rate", 0, "recipients a second that the fake's account may send to (default: any number)")
	flags.BoolVar(&s.ses, "ses", false, "send to the mailbox simulator of the real SES: AWS charges for it")
	flags.StringVar(&s.from, "from", "", "with -ses: sender, an identity that SES has verified")
	flags.StringVar(&s.region, "region", "", "with -ses: AWS region (default: that of the AWS environment)")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	err := s.check(flags.Args())
	if err != nil {
		fmt.Fprintln(out, "load:", err)
	}
	s.setDefaults()
	return s, err
}

func (s *settings) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is no flag", rest[0])
	case s.transport != "smtp" && s.transport != "api":
		return fmt.Errorf("-transport is smtp or api, not %q", s.transport)
	case s.senders < 1 || s.messages < 0 || s.length < 0 || s.size < 0 || s.rate < 0 || s.timeout <= 0 || s.rtt < 0 || s.accountAt < 0:
		return errors.New("a number below 0, or no -senders or -timeout")
	case s.rate > 0 && s.follow:
		return errors.New("-rate and -follow exclude each other")
	case s.ses && (s.rtt > 0 || s.accountAt > 0):
		return errors.New("-rtt and -account-rate are for the fake, not for -ses")
	}
	return onlySimulator(s.to)
}

func (s *settings) setDefaults() {
	if s.messages == 0 && s.length == 0 {
		s.messages = 10000
		if s.ses {
			s.messages = 60
		}
	}
	if s.ses && s.rate == 0 && !s.follow {
		s.rate = 1 // what an account in the sandbox may do
	}
}

// onlySimulator refuses every address where someone might read the mails.
func onlySimulator(to ...string) error {
	for _, text := range to {
		a, err := sesguard.ParseAddress(text)
		if err == nil && strings.EqualFold(a.Domain, "simulator.amazonses.com") {
			continue
		}
		return &seserrors.Error{
			Op: "recipient", Class: seserrors.Invalid, Reason: seserrors.IllegalAddress, Err: err,
			Message: "mails go to the mailbox simulator, simulator.amazonses.com, and nowhere else",
		}
	}
	return nil
}
