package doctor

import (
	"context"
	"errors"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

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
	// in. What smtpclient.New refuses is found. Timeouts and the pool's limits
	// play no part.
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

	// Region is where mail is sent and the identities are. Default: the region
	// of SMTP, else that of the API if it is a *sesv2.Client.
	Region string

	// Found, if not nil, is called with each finding as it comes, by the
	// goroutine that called Run. A slow one delays the end of Run, but no check.
	Found func(Finding)

	// RealSend sends one mail from From to SES's mailbox simulator, over SMTP
	// if there are credentials for it, else over the API if that can
	// SendEmail. With Await it sends a second one, that bounces.
	RealSend bool

	// Await, if not nil, returns when the event of this message has come: a
	// delivery for the first mail of RealSend, a bounce for the second. Its ctx
	// ends with the run's 15 seconds.
	Await func(ctx context.Context, messageID string) error
}

const (
	runTime  = 15 * time.Second // a whole run
	stepTime = 5 * time.Second  // a dial, a reply, a control call without its wait, a lookup
)

// Run looks at everything that cfg names and returns what it found. It never
// fails: what could not be looked at is a finding. It ends within 15 seconds, or
// when ctx does, even if what is called in cfg does not heed its context: that is
// left behind. Only for Found it waits. A panic of Found, or of anything else in cfg
// that is called, is Run's own.
func Run(ctx context.Context, cfg Config) *Report {
	return newRun(cfg).run(ctx)
}

// run has the checks run beside it and tells of what they find: a Found that is
// slow delays none of them.
func (r *run) run(ctx context.Context) *Report {
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	var panicked any
	go func() {
		defer close(r.told)
		defer func() { panicked = recover() }()
		r.check(ctx)
	}()
	for f := range r.told {
		if r.Found != nil {
			r.Found(f)
		}
	}
	if panicked != nil {
		panic(panicked)
	}
	slices.SortStableFunc(r.report.Findings, func(a, b Finding) int { return order(a.Check) - order(b.Check) })
	return &r.report
}

func (r *run) check(ctx context.Context) {
	together(func() { r.smtp(ctx) }, func() {
		limit := runTime
		if r.RealSend { // which needs time too
			limit -= stepTime
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		r.account(ctx)
	})
	r.realSend(ctx)
	why := "the run ended before it"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why += ": its time was over"
	}
	for _, c := range checks {
		r.skip(why, c.slug)
	}
}

// together runs functions side by side and returns when all have ended. A panic
// of one is raised again here.
func together(functions ...func()) {
	var wg sync.WaitGroup
	panics := make(chan any, len(functions))
	for _, f := range functions {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panics <- p
				}
			}()
			f()
		})
	}
	wg.Wait()
	if len(panics) > 0 {
		panic(<-panics)
	}
}

// each returns what f makes of each of all, side by side.
func each[T, R any](all []T, f func(T) R) []R {
	results := make([]R, len(all))
	var calls []func()
	for i, v := range all {
		calls = append(calls, func() { results[i] = f(v) })
	}
	together(calls...)
	return results
}

// within calls a function of the caller's, and leaves it behind if ctx ends first.
// A connection that it returns too late is closed. Its panic is raised here.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value    T
		err      error
		panicked any
	}
	results := make(chan result)
	go func() {
		var res result
		defer func() {
			res.panicked = recover()
			select {
			case results <- res:
			case <-ctx.Done():
				if c, ok := any(res.value).(net.Conn); ok {
					c.Close()
				}
			}
		}()
		res.err = errEnded // unless it returns
		res.value, res.err = f()
	}()
	select {
	case res := <-results:
		if res.panicked != nil {
			panic(res.panicked)
		}
		return res.value, res.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

var errEnded = errors.New("the goroutine was ended")

// A run is one Run.
type run struct {
	Config
	host    string             // of SMTP, "" if it is not asked for
	port    int                // of SMTP, as configured
	sends   string             // the region that mail is sent in, "" if that is not known; Region is the API's
	tls     smtpclient.TLSMode // as configured, TLSAuto if that contradicts the port
	from    address
	to      []address
	told    chan Finding  // for Found; has room for all that a run can find
	reached chan struct{} // closed when it is known whether SMTP can be reached

	mu     sync.Mutex // guards report
	report Report

	// What one check leaves for another. Each is written before the checks that
	// read it start.
	usable     []int // ports that TLS was set up on
	answers    bool  // the API can be used
	acct       *sesv2.GetAccountOutput
	identities map[string]*identity
	denied     map[string]bool // operations that this account may not call
	hears      bool            // an event destination gets bounces
}

// An address is taken apart. SES takes domains without regard to letter case.
type address struct {
	spelled string // without display name
	local   string
	domain  string // Punycode, lower case; "" with err
	err     error
}

func newRun(cfg Config) *run {
	r := &run{Config: cfg, identities: map[string]*identity{}, denied: map[string]bool{},
		told: make(chan Finding, 2*(len(checks)+len(cfg.To))), reached: make(chan struct{})}
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
	if strings.ContainsFunc(a.local, func(c rune) bool { return c > unicode.MaxASCII }) {
		a.err = errors.New("there are non-ASCII characters before the @")
	}
	if a.err != nil {
		a.domain = ""
	}
	return a
}

// asked returns the address as SES knows it: it minds the letter case before the @.
func (a address) asked() string { return a.local + "@" + a.domain }

// path returns the address as it stands in a field of a header.
func (a address) path() string { return (&mail.Address{Address: a.asked()}).String() }

// simulated reports whether the address is one of SES's mailbox simulator.
func (a address) simulated() bool { return a.domain == "simulator.amazonses.com" }

// found adds a finding and has it told.
func (r *run) found(start time.Time, f Finding) {
	f.Source = checks[order(f.Check)].source
	f.Took = time.Since(start)
	r.mu.Lock()
	r.report.Findings = append(r.report.Findings, f)
	r.mu.Unlock()
	r.told <- f
}

// has reports whether something was found that is so.
func (r *run) has(so func(Finding) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.report.Findings, so)
}

// skip says why checks were left out, of which nothing was found yet.
func (r *run) skip(why string, slugs ...string) {
	for _, slug := range slugs {
		if !r.has(func(f Finding) bool { return f.Check == slug }) {
			r.found(time.Now(), Finding{Check: slug, Detail: why})
		}
	}
}

// words returns what an error says: of SES's and the system's errors their own
// words, of anything else, which may hold a secret of a proxy or a vault, nothing.
func words(err error) string {
	ses, isSES := errors.AsType[*seserrors.Error](err)
	op, isOp := errors.AsType[*net.OpError](err)
	own, isOwn := errors.AsType[*failure](err)
	switch {
	case isOp && op.Err != nil && (!isSES || ses.Reason == seserrors.Network || ses.Reason == seserrors.NameNotFound):
		return op.Op + ": " + op.Err.Error()
	case isSES:
		return ses.Error()
	case isTimeout(err):
		return "no answer within " + stepTime.String()
	case isOwn && own.kind > unreachable:
		return own.err.Error()
	}
	return "it failed"
}
