package doctor

import (
	"context"
	"errors"
	"net"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
	"golang.org/x/net/idna"
)

// API is the part of *sesv2.Client that the doctor calls. The calls only read.
type API interface {
	GetAccount(context.Context, *sesv2.GetAccountInput, ...func(*sesv2.Options)) (*sesv2.GetAccountOutput, error)
	GetEmailIdentity(context.Context, *sesv2.GetEmailIdentityInput, ...func(*sesv2.Options)) (*sesv2.GetEmailIdentityOutput, error)
	GetConfigurationSet(context.Context, *sesv2.GetConfigurationSetInput, ...func(*sesv2.Options)) (*sesv2.GetConfigurationSetOutput, error)
	GetConfigurationSetEventDestinations(context.Context, *sesv2.GetConfigurationSetEventDestinationsInput, ...func(*sesv2.Options)) (*sesv2.GetConfigurationSetEventDestinationsOutput, error)
	GetSuppressedDestination(context.Context, *sesv2.GetSuppressedDestinationInput, ...func(*sesv2.Options)) (*sesv2.GetSuppressedDestinationOutput, error)
}

// A Resolver looks names up. *net.Resolver is one. What does not exist must be a
// *net.DNSError with IsNotFound.
type Resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// A Config says what to look at. A zero field leaves its checks out, and the
// report says so. Run copies it and changes nothing in it.
type Config struct {
	// API asks SES about the account. Nil: only DNS and SMTP are looked at.
	API API

	// SMTP is the settings that mail is sent with. With neither Region nor Addr
	// nothing is asked of the SMTP interface; without credentials nobody signs
	// in. Timeouts and the pool's limits play no part.
	SMTP smtpclient.Config

	// From is the sender, spelled as in the mails: SES tells the letter case of
	// verified addresses apart. A display name may stand before it.
	From string

	// To is recipients. They get no mail.
	To []string

	// ConfigurationSet is the one that mails name. Default: the one that the
	// identity has, if any.
	ConfigurationSet string

	// FromARN is the identity of another account that lets this one send.
	FromARN string

	// Ports are tried side by side. Default: 587, 2587, 465, 2465 and 25 at an
	// endpoint of SES, and the configured port at any other.
	Ports []int

	// Resolver defaults to net.DefaultResolver.
	Resolver Resolver

	// Region is where the identities are. Default: the region of SMTP, else
	// that of the API if it is a *sesv2.Client.
	Region string

	// Found, if not nil, is called with each finding as it comes, by one
	// goroutine at a time. It should return soon.
	Found func(Finding)

	// RealSend sends one mail from From to SES's mailbox simulator, over SMTP
	// if there are credentials for it, else over the API if that can
	// SendEmail. With Await it sends a second one, that bounces.
	RealSend bool

	// Await, if not nil, returns when the event of this message has come: a
	// delivery for the first mail of RealSend, a bounce for the second. It must
	// return when ctx ends, which is within the run's 15 seconds.
	Await func(ctx context.Context, messageID string) error
}

const (
	runTime  = 15 * time.Second // a whole run
	stepTime = 5 * time.Second  // a dial, a reply, a control call without its wait, a lookup
)

// Run looks at everything that cfg names and returns what it found. It never
// fails: what could not be looked at is a finding. It ends within 15 seconds, or
// when ctx does, and waits for all that it started.
func Run(ctx context.Context, cfg Config) *Report {
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	start := time.Now()
	r := newRun(cfg)
	return r.run(ctx, start)
}

func (r *run) run(ctx context.Context, start time.Time) *Report {
	var wg sync.WaitGroup
	wg.Go(func() { r.smtp(ctx) })
	wg.Go(func() {
		ctx, cancel := context.WithDeadline(ctx, start.Add(r.accountTime()))
		defer cancel()
		r.account(ctx)
	})
	wg.Wait()
	r.realSend(ctx)
	r.unlooked(ctx)
	r.report.sort()
	return &r.report
}

// A run is one Run.
type run struct {
	Config
	host       string // of SMTP, "" if it is not asked for
	port       int    // of SMTP, as configured
	from       address
	to         []address
	interfaces func() ([]net.Interface, error)

	mu     sync.Mutex // guards report and the order of Found
	report Report

	// What one check leaves for another. Each is written before the checks that
	// read it start.
	usable     []int // ports that TLS was set up on
	acct       *sesv2.GetAccountOutput
	identities map[string]*identity
	denied     map[string]bool // operations that this account may not call
	hears      bool            // an event destination gets bounces
}

// An address is taken apart. SES takes domains without regard to letter case.
type address struct {
	spelled string // without display name
	local   string
	domain  string // Punycode, lower case
	err     error
}

func newRun(cfg Config) *run {
	r := &run{Config: cfg, interfaces: net.Interfaces, identities: map[string]*identity{}, denied: map[string]bool{}}
	if r.Resolver == nil {
		r.Resolver = net.DefaultResolver
	}
	r.place()
	if cfg.From != "" {
		r.from = parseAddress(cfg.From)
	}
	for _, to := range cfg.To {
		r.to = append(r.to, parseAddress(to))
	}
	return r
}

func parseAddress(s string) address {
	parsed, err := mail.ParseAddress(s)
	if err != nil {
		return address{spelled: s, err: err}
	}
	a := address{spelled: parsed.Address}
	at := strings.LastIndexByte(a.spelled, '@')
	a.local = a.spelled[:at]
	a.domain, a.err = idna.Lookup.ToASCII(strings.ToLower(a.spelled[at+1:]))
	return a
}

// asked returns the address as SES is asked for it: as it is spelled, but with an
// international domain in Punycode.
func (a address) asked() string {
	if strings.EqualFold(a.spelled, a.local+"@"+a.domain) {
		return a.spelled
	}
	return a.local + "@" + a.domain
}

// simulated reports whether the address is one of SES's mailbox simulator.
func (a address) simulated() bool { return a.domain == "simulator.amazonses.com" }

// accountTime is how long control calls may take: a real send needs time too.
func (r *run) accountTime() time.Duration {
	if r.RealSend {
		return runTime - stepTime
	}
	return runTime
}

// path returns the address as it stands in a command and a header.
func (a address) path() string {
	return (&mail.Address{Address: a.local + "@" + a.domain}).String()
}

// found adds a finding and tells of it.
func (r *run) found(start time.Time, f Finding) {
	f.Source = checks[order(f.Check)].source
	f.Took = time.Since(start)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Findings = append(r.report.Findings, f)
	if r.Found != nil {
		r.Found(f)
	}
}

// skip says why checks were left out.
func (r *run) skip(why string, slugs ...string) {
	for _, slug := range slugs {
		r.found(time.Now(), Finding{Check: slug, Status: Skipped, Detail: why})
	}
}

// unlooked says of checks without a finding that the time was over.
func (r *run) unlooked(ctx context.Context) {
	seen := map[string]bool{}
	for _, f := range r.report.Findings {
		seen[f.Check] = true
	}
	why := "the run ended before it: " + runTime.String() + " were over"
	if ctx.Err() != nil && context.Cause(ctx) != context.DeadlineExceeded {
		why = "the run was ended before it"
	}
	for _, c := range checks {
		if !seen[c.slug] {
			r.skip(why, c.slug)
		}
	}
}

// words returns what an error says: of SES's and the system's errors their own
// words, of anything else, which may hold a secret of a proxy or a vault, nothing.
func words(err error) string {
	var ses *seserrors.Error
	var op *net.OpError
	var own *failure
	switch {
	case errors.As(err, &ses):
		return ses.Error()
	case errors.As(err, &op) && op.Err != nil:
		return op.Op + ": " + op.Err.Error()
	case isTimeout(err):
		return "no answer within " + stepTime.String()
	case errors.As(err, &own) && own.kind > unreachable:
		return own.err.Error()
	}
	return "it failed"
}
