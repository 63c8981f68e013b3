package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/net/publicsuffix"
)

// A zone is what DNS holds about a sender.
type zone struct {
	keys    []dkimKey // of DKIM
	keysErr error
	mx      []*net.MX // of the MAIL FROM domain
	mxErr   error
	spf     bool // lets SES send
	spfErr  error
	policy  map[string]string // of DMARC, nil if there is none
	at      string            // the domain that the policy was found at
	why     string            // why there is no policy
	dnsErr  error             // DNS gave no answer about it
}

// dns looks the sender's records up, and then judges them. What SPF does tells how
// much it matters that DKIM does not, and both whether DMARC passes. A nil id means
// that the identity is not known.
func (r *run) dns(ctx context.Context, id *identity) {
	start := time.Now()
	if id != nil && id.foreign {
		id = nil
	}
	var z zone
	look := []func(){func() { r.lookUpPolicy(ctx, &z) }}
	if id != nil {
		look = append(look, func() { z.keys, z.keysErr = r.lookUpKeys(ctx, id.signer()) })
		if m := id.mailFrom(); m != nil {
			domain := aws.ToString(m.MailFromDomain)
			look = append(look, func() { z.mx, z.mxErr = lookup(ctx, r.Resolver.LookupMX, domain) },
				func() { z.spf, z.spfErr = r.includesSES(ctx, domain) })
		}
	}
	together(look...)
	if ctx.Err() != nil {
		return
	}
	if id == nil {
		r.skip("the sender's identity is not known", checkDKIM, checkMailFrom)
		r.dmarc(start, &z, nil)
		return
	}
	a := &alignment{id: id, spf: r.mailFrom(start, &z, id)}
	a.dkim = r.dkim(start, &z, a)
	r.dmarc(start, &z, a)
}

func lookup[T any](ctx context.Context, f func(context.Context, string) ([]T, error), name string) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	records, err := within(ctx, func() ([]T, error) { return f(ctx, name) })
	if isNotFound(err) {
		return nil, nil
	}
	return records, err
}

// isNotFound reports whether DNS answered that there is no such name or record.
func isNotFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// noAnswer says that DNS gave none about something, and what it said instead.
func noAnswer(about string, err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		about += " (" + dns.Err + ")"
	}
	return "DNS gave no answer about " + about
}

const askAgain = "Check that the domain's name servers answer from outside too, and run this again."

// tags parses "a=b; c=d", the form of DKIM and DMARC records (RFC 6376, section
// 3.2). The last of a name that stands twice counts.
func tags(record string) map[string]string {
	all := map[string]string{}
	for _, part := range strings.Split(record, ";") {
		if name, v, ok := strings.Cut(part, "="); ok {
			all[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(v)
		}
	}
	return all
}

// includesSES reports whether the SPF record of a domain lets SES send, following
// include and redirect up to ten lookups (RFC 7208, section 4.6.4). The error is
// one of DNS, or says what makes the record void.
func (r *run) includesSES(ctx context.Context, domain string) (bool, error) {
	lookups := 0
	var look func(domain string) (bool, error)
	look = func(domain string) (bool, error) {
		if lookups++; lookups > 10 {
			return false, voidRecord("it needs more than ten lookups")
		}
		texts, err := lookup(ctx, r.Resolver.LookupTXT, domain)
		if err != nil {
			return false, err
		}
		record, n := "", 0
		for _, t := range texts {
			if low := strings.ToLower(t); low == "v=spf1" || strings.HasPrefix(low, "v=spf1 ") {
				record, n = low, n+1
			}
		}
		if n > 1 {
			return false, voidRecord(fmt.Sprintf("%s has %d of them, which counts as none", domain, n))
		}
		for _, next := range targets(record) {
			if next == "amazonses.com" {
				return true, nil
			}
			if found, err := look(next); found || err != nil {
				return found, err
			}
		}
		return false, nil
	}
	return look(domain)
}

// A voidRecord says why an SPF record counts as none.
type voidRecord string

func (v voidRecord) Error() string { return string(v) }

// targets returns the domains that an SPF record includes before its "all", SES's
// first, or else redirects to.
func targets(record string) (all []string) {
	for _, term := range strings.Fields(record) {
		if strings.TrimLeft(term, "+-~?") == "all" {
			break
		}
		target, ok := strings.CutPrefix(strings.TrimLeft(term, "+"), "include:")
		if !ok {
			target, ok = strings.CutPrefix(term, "redirect=")
		}
		switch target = strings.TrimSuffix(target, "."); {
		case target == "amazonses.com":
			return []string{target}
		case ok:
			all = append(all, target)
		}
	}
	return all
}

// same compares two domains as DMARC does: relaxed unless mode is "s".
func same(a, b, mode string) bool {
	if strings.EqualFold(mode, "s") {
		return a == b
	}
	return organisation(a) == organisation(b)
}

// organisation returns the organisational domain.
func organisation(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}
