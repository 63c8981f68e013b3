package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"golang.org/x/net/publicsuffix"
)

// txt returns the TXT records of a name; none if there are none.
func (r *run) txt(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	records, err := r.Resolver.LookupTXT(ctx, name)
	return records, known(err)
}

func (r *run) mx(ctx context.Context, name string) ([]*net.MX, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	records, err := r.Resolver.LookupMX(ctx, name)
	return records, known(err)
}

// known returns nil for the answer that there is no record.
func known(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return nil
	}
	return err
}

// A verdict is what one check tells another.
type verdict uint8

const (
	unsure verdict = iota
	good
	bad
	failed // bad, and a finding has failed for it
)

// dkim looks at the identity's signing, and at the keys in DNS.
func (r *run) dkim(ctx context.Context, id *identity) verdict {
	start := time.Now()
	if id == nil || id.foreign {
		r.skip("the sender's identity is not known", checkDKIM)
		return unsure
	}
	signer := id.signer()
	f := Finding{Check: checkDKIM, Subject: signer.name, Status: Fail}
	var d *types.DkimAttributes
	if signer.out != nil {
		d = signer.out.DkimAttributes
	}
	severity := Fail
	if id.failed || !signer.verified() {
		severity = Warn // the identity has failed already, perhaps for want of these records, or mail leaves without
	}
	switch {
	case signer.out == nil:
		r.skip("no identity, so no keys", checkDKIM)
		return unsure
	case strings.Contains(signer.name, "@") && (d == nil || !d.SigningEnabled):
		f.Status, f.Detail = Warn, "mail is not signed for "+r.from.domain+": only the address is verified, not its domain"
		f.Advice = "Verify the domain and publish its DKIM records."
		r.found(start, f)
		return bad
	case d == nil || !d.SigningEnabled:
		f.Status, f.Detail = Warn, "signing is switched off"
		f.Advice = "Switch DKIM signing on for the identity."
		r.found(start, f)
		return bad
	}
	missing, err := r.missingKeys(ctx, signer.name, d)
	switch {
	case d.Status != types.DkimStatusSuccess:
		f.Status, f.Detail = severity, fmt.Sprintf("SES has not found the keys in DNS: %s", d.Status)
		f.Advice = "Publish " + strings.Join(r.keyRecords(signer.name, d), ", ") + "."
		if err == nil && len(missing) == 0 {
			f.Advice = "The records are in DNS now: SES looks again within 72 hours, or at once when DKIM is switched off and on."
		}
	case ctx.Err() != nil:
		return unsure
	case err != nil:
		f.Status, f.Detail = OK, "SES signs; DNS gave no answer about the keys"
	case len(missing) == len(d.Tokens) && len(missing) > 0:
		f.Detail = "SES signs, but the keys are gone from DNS"
		f.Advice = "Publish " + strings.Join(missing, ", ") + "."
	case len(missing) > 0:
		f.Status, f.Detail = Warn, fmt.Sprintf("SES signs, but %d of %d keys are gone from DNS", len(missing), len(d.Tokens))
		f.Advice = "Publish " + strings.Join(missing, ", ") + ", or signatures break when SES changes keys."
	default:
		f.Status, f.Detail = OK, "SES signs for "+signer.name+" and the keys are in DNS"
		if d.CurrentSigningKeyLength == types.DkimSigningKeyLengthRsa1024Bit {
			f.Detail += " (1,024 bits; 2,048 are better)"
		}
	}
	r.found(start, f)
	switch {
	case f.Status == OK || f.Status == Warn && d.Status == types.DkimStatusSuccess:
		return good
	case f.Status == Fail:
		return failed
	}
	return bad
}

// keyRecords returns the records that a domain needs.
func (r *run) keyRecords(domain string, d *types.DkimAttributes) []string {
	_, host, at := strings.Cut(domain, "@")
	if at {
		domain = host
	}
	zone := value(d.SigningHostedZone)
	if zone == "" {
		zone = "dkim.amazonses.com"
	}
	var all []string
	for _, token := range d.Tokens {
		record := token + "._domainkey." + domain
		if d.SigningAttributesOrigin == types.DkimSigningAttributesOriginExternal {
			all = append(all, record+" TXT with your public key")
		} else {
			all = append(all, record+" CNAME "+token+"."+zone)
		}
	}
	return all
}

// missingKeys returns the records whose key is not in DNS.
func (r *run) missingKeys(ctx context.Context, domain string, d *types.DkimAttributes) ([]string, error) {
	var missing []string
	for _, record := range r.keyRecords(domain, d) {
		name, _, _ := strings.Cut(record, " ")
		texts, err := r.txt(ctx, name)
		if err != nil {
			return nil, err
		}
		found := false
		for _, t := range texts {
			found = found || tags(t)["p"] != ""
		}
		if !found {
			missing = append(missing, record)
		}
	}
	return missing, nil
}

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

// mailFrom looks at the custom MAIL FROM domain. Its verdict is good if SPF passes
// for that domain.
func (r *run) mailFrom(ctx context.Context, id *identity) verdict {
	start := time.Now()
	if id == nil || id.foreign {
		r.skip("the sender's identity is not known", checkMailFrom)
		return unsure
	}
	m := id.mailFrom()
	if m == nil {
		if id.out == nil {
			r.skip("no identity, so no MAIL FROM", checkMailFrom)
			return bad
		}
		r.found(start, Finding{Check: checkMailFrom, Subject: id.name, Status: OK,
			Detail: "no custom MAIL FROM domain: SES uses its own, SPF passes but does not align"})
		return bad
	}
	domain := value(m.MailFromDomain)
	f := Finding{Check: checkMailFrom, Subject: domain, Status: OK}
	mx, mxErr := r.mx(ctx, domain)
	spf, spfErr := r.includesSES(ctx, domain)
	if ctx.Err() != nil {
		return unsure
	}
	wrong := r.wrongMX(mx)
	switch {
	case mxErr != nil:
		f.Status, f.Detail = Skipped, "DNS gave no answer about its MX"
	case wrong != "" || m.MailFromDomainStatus != types.MailFromDomainStatusSuccess:
		r.brokenMailFrom(&f, m, wrong)
	case spfErr != nil:
		f.Status, f.Detail = Warn, "its MX is right; its SPF record is not: "+spfErr.Error()
		f.Advice = `Publish one TXT record "v=spf1 include:amazonses.com ~all" for ` + domain + "."
	case !spf:
		f.Status, f.Detail = Warn, "its MX is right; its SPF record does not include amazonses.com"
		f.Advice = `Publish one TXT record "v=spf1 include:amazonses.com ~all" for ` + domain + "."
	default:
		f.Detail = "MX and SPF are right"
	}
	r.found(start, f)
	switch f.Status {
	case OK:
		return good
	case Skipped:
		return unsure
	case Fail:
		return failed
	}
	return bad
}

// brokenMailFrom says what SES does without the MX that it needs.
func (r *run) brokenMailFrom(f *Finding, m *types.MailFromAttributes, wrong string) {
	region := r.Region
	if region == "" {
		region = "REGION"
	}
	f.Detail = wrong
	f.Advice = "Publish exactly one MX record for " + f.Subject + ": 10 feedback-smtp." + region + ".amazonses.com."
	if wrong == "" {
		f.Detail = "its MX is right, but SES has not seen that yet: " + string(m.MailFromDomainStatus)
		f.Advice = "Wait up to 72 hours, or set the MAIL FROM domain again."
	}
	if m.BehaviorOnMxFailure == types.BehaviorOnMxFailureRejectMessage {
		f.Status, f.Reason = Fail, seserrors.MailFromDomainNotVerified
		f.Detail += "; SES refuses mail until it is"
		return
	}
	f.Status = Warn
	f.Detail += "; SES falls back to its own domain, so SPF does not align"
}

// mailFrom returns the MAIL FROM settings that count for an identity.
func (id *identity) mailFrom() *types.MailFromAttributes {
	for _, i := range []*identity{id, id.domain} {
		if i != nil && i.out != nil && i.out.MailFromAttributes != nil && value(i.out.MailFromAttributes.MailFromDomain) != "" {
			return i.out.MailFromAttributes
		}
	}
	return nil
}

// wrongMX says what is wrong with the MX records of a MAIL FROM domain.
func (r *run) wrongMX(mx []*net.MX) string {
	var hosts []string
	for _, m := range mx {
		hosts = append(hosts, strings.ToLower(strings.TrimSuffix(m.Host, ".")))
	}
	switch {
	case len(mx) == 0:
		return "it has no MX record"
	case len(mx) > 1:
		return "it has " + fmt.Sprint(len(mx)) + " MX records (" + strings.Join(hosts, ", ") + "); SES wants exactly one"
	case !strings.HasPrefix(hosts[0], "feedback-smtp.") || !strings.HasSuffix(hosts[0], ".amazonses.com"):
		return "its MX is " + hosts[0]
	case r.Region != "" && hosts[0] != "feedback-smtp."+r.Region+".amazonses.com":
		return "its MX is that of another region, " + hosts[0]
	}
	return ""
}

// includesSES reports whether the SPF record of a domain lets SES send, following
// include and redirect up to ten lookups (RFC 7208, section 4.6.4).
func (r *run) includesSES(ctx context.Context, domain string) (bool, error) {
	lookups := 0
	var look func(domain string) (bool, error)
	look = func(domain string) (bool, error) {
		if lookups++; lookups > 10 {
			return false, errors.New("it needs more than ten lookups")
		}
		texts, err := r.txt(ctx, domain)
		if err != nil {
			return false, errors.New("DNS gave no answer")
		}
		record, n := "", 0
		for _, t := range texts {
			if low := strings.ToLower(t); low == "v=spf1" || strings.HasPrefix(low, "v=spf1 ") {
				record, n = low, n+1
			}
		}
		if n > 1 {
			return false, fmt.Errorf("%s has %d of them, which counts as none", domain, n)
		}
		var next []string
		for _, term := range strings.Fields(record) {
			term = strings.TrimLeft(term, "+")
			target, ok := strings.CutPrefix(term, "include:")
			if !ok {
				target, ok = strings.CutPrefix(term, "redirect=")
			}
			if target = strings.TrimSuffix(target, "."); target == "amazonses.com" {
				return true, nil
			}
			if ok {
				next = append(next, target)
			}
		}
		for _, target := range next {
			if found, err := look(target); found || err != nil {
				return found, err
			}
		}
		return false, nil
	}
	return look(domain)
}

// An alignment is what DMARC asks of DKIM and SPF.
type alignment struct {
	id        *identity
	dkim, spf verdict
}

// dmarc looks for the sender's DMARC record, and whether mail from SES fits it. A
// nil a means that the identity is not known.
func (r *run) dmarc(ctx context.Context, a *alignment) {
	start := time.Now()
	if r.from.domain == "" || r.from.err != nil {
		r.skip("no sender is given", checkDMARC)
		return
	}
	f := Finding{Check: checkDMARC, Subject: r.from.domain, Status: OK}
	record, at, err := r.dmarcRecord(ctx)
	policy := tags(record)
	p := strings.ToLower(policy["p"])
	if sub := strings.ToLower(policy["sp"]); sub != "" && at != r.from.domain {
		p = sub
	}
	known, dkim, spf := r.aligned(a, policy)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		f.Status, f.Detail = Warn, err.Error()
		f.Advice = `Publish one TXT record "v=DMARC1; p=none; rua=mailto:…" at _dmarc.` + organisation(r.from.domain) + ", and a stricter policy once the reports are clean."
	case p != "none" && p != "quarantine" && p != "reject":
		f.Status, f.Detail = Warn, "the record at _dmarc."+at+" has no valid policy"
		f.Advice = "Give it p=none, p=quarantine or p=reject."
	case known && !dkim && !spf && a.failed():
		f.Status, f.Detail = Warn, "p="+p+" at _dmarc."+at+", and until DKIM or MAIL FROM is mended nothing aligns"
	case known && !dkim && !spf && p != "none":
		f.Status, f.Detail = Fail, "p="+p+" at _dmarc."+at+", but neither DKIM nor SPF aligns: receivers "+p+" the mail"
		f.Advice = "Verify the domain " + r.from.domain + " with DKIM, or give it a custom MAIL FROM domain below it."
	case known && !dkim && !spf:
		f.Status, f.Detail = Warn, "p=none at _dmarc."+at+", and neither DKIM nor SPF aligns"
		f.Advice = "Set up DKIM for the domain before you make the policy stricter."
	default:
		f.Detail = "p=" + p + " at _dmarc." + at + by(known, dkim, spf)
		if p == "none" {
			f.Status, f.Advice = Warn, "p=none lets anybody use the domain. Make it stricter once the reports are clean."
		}
	}
	r.found(start, f)
}

// failed reports whether what keeps mail from being aligned has failed already.
func (a *alignment) failed() bool { return a.dkim == failed || a.spf == failed }

func by(known, dkim, spf bool) string {
	switch {
	case !known:
		return "; whether mail aligns is not known"
	case dkim && spf:
		return ", DKIM and SPF align"
	case dkim:
		return ", DKIM aligns"
	}
	return ", SPF aligns"
}

// dmarcRecord returns the record for the sender and the domain it was found at: its
// own, else the organisational one (RFC 7489, section 6.6.3).
func (r *run) dmarcRecord(ctx context.Context) (record, at string, err error) {
	places := []string{r.from.domain}
	if org := organisation(r.from.domain); org != r.from.domain {
		places = append(places, org)
	}
	for _, domain := range places {
		texts, err := r.txt(ctx, "_dmarc."+domain)
		if err != nil {
			return "", "", errors.New("DNS gave no answer about _dmarc." + domain)
		}
		var records []string
		for _, t := range texts {
			if v, _, _ := strings.Cut(t, ";"); strings.ReplaceAll(strings.TrimSpace(v), " ", "") == "v=DMARC1" {
				records = append(records, t)
			}
		}
		switch len(records) {
		case 0:
			continue
		case 1:
			return records[0], domain, nil
		}
		return "", "", fmt.Errorf("%d records at _dmarc.%s, which count as none", len(records), domain)
	}
	return "", "", errors.New("no DMARC record; large mailbox providers ask bulk senders for one")
}

// aligned tells whether DKIM or SPF speaks for the sender's domain.
func (r *run) aligned(a *alignment, policy map[string]string) (known, dkim, spf bool) {
	if a == nil || a.id == nil || a.id.foreign || a.id.failed {
		return false, false, false
	}
	signer := a.id.signer().name
	if _, host, ok := strings.Cut(signer, "@"); ok {
		signer = host
	}
	from := ""
	if m := a.id.mailFrom(); m != nil {
		from = strings.ToLower(value(m.MailFromDomain))
	}
	dkim = a.dkim == good && same(signer, r.from.domain, policy["adkim"])
	spf = a.spf == good && same(from, r.from.domain, policy["aspf"])
	return dkim || spf || a.dkim != unsure && a.spf != unsure, dkim, spf
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
