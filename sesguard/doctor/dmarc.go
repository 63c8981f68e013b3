package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// lookUpPolicy looks for the DMARC record of the sender: at its own domain, else at
// the organisational one (RFC 7489, section 6.6.3).
func (r *run) lookUpPolicy(ctx context.Context, z *zone) {
	if r.from.domain == "" {
		return
	}
	places := []string{r.from.domain}
	if org := organisation(r.from.domain); org != r.from.domain {
		places = append(places, org)
	}
	z.why = "no DMARC record; large mailbox providers ask bulk senders for one"
	for _, domain := range places {
		texts, err := lookup(ctx, r.Resolver.LookupTXT, "_dmarc."+domain)
		if err != nil {
			z.dnsErr, z.why = err, noAnswer("_dmarc."+domain, err)
			return
		}
		var records []string
		for _, t := range texts {
			if v, _, _ := strings.Cut(t, ";"); strings.ReplaceAll(strings.TrimSpace(v), " ", "") == "v=DMARC1" {
				records = append(records, t)
			}
		}
		switch {
		case len(records) == 1:
			z.policy, z.at = tags(records[0]), domain
			return
		case len(records) > 1:
			z.why = fmt.Sprintf("%d records at _dmarc.%s, which count as none", len(records), domain)
			return
		case len(texts) > 0:
			z.why = "the text at _dmarc." + domain + " is no DMARC record: it must begin with v=DMARC1;"
		}
	}
}

// ask returns what the DMARC policy asks receivers to do with mail from a domain.
func (z *zone) ask(domain string) string {
	if sub := z.policy["sp"]; sub != "" && z.at != domain {
		return strings.ToLower(sub)
	}
	return strings.ToLower(z.policy["p"])
}

// enforced reports whether mail from a domain that does not align is not delivered.
func (z *zone) enforced(domain string) bool {
	p := z.ask(domain)
	return p == "quarantine" || p == "reject"
}

// An alignment is what DMARC asks of DKIM and SPF.
type alignment struct {
	id        *identity
	dkim, spf Status // Skipped if not known
}

// bySPF reports whether SPF speaks for the sender's domain.
func (a *alignment) bySPF(r *run, z *zone) bool {
	m := a.id.mailFrom()
	return m != nil && a.spf == OK && same(strings.ToLower(aws.ToString(m.MailFromDomain)), r.from.domain, z.policy["aspf"])
}

// byDKIM reports whether DKIM speaks for the sender's domain.
func (a *alignment) byDKIM(r *run, z *zone) bool {
	signer := a.id.signer().name
	return a.dkim == OK && same(signer[strings.LastIndexByte(signer, '@')+1:], r.from.domain, z.policy["adkim"])
}

// dmarc judges the sender's DMARC record, and whether mail from SES fits it. A nil
// a means that the identity is not known.
func (r *run) dmarc(start time.Time, z *zone, a *alignment) {
	if r.from.domain == "" {
		r.skip("no sender is given", checkDMARC)
		return
	}
	f := Finding{Check: checkDMARC, Subject: r.from.domain, Status: Warn}
	p := z.ask(r.from.domain)
	var dkim, spf, known, excused bool
	if a != nil && !a.id.failed {
		dkim, spf = a.byDKIM(r, z), a.bySPF(r, z)
		known = dkim || spf || a.dkim != Skipped && a.spf != Skipped
		excused = a.dkim == Fail || a.spf == Fail
	}
	record := "p=" + p + " at _dmarc." + z.at
	switch {
	case z.dnsErr != nil:
		f.warn(z.why, askAgain)
	case z.policy == nil:
		f.warn(z.why,
			`Publish one TXT record "v=DMARC1; p=none; rua=mailto:…" at _dmarc.`+organisation(r.from.domain)+", and a stricter policy once the reports are clean.")
	case p != "none" && !z.enforced(r.from.domain):
		f.warn("the record at _dmarc."+z.at+" has no valid policy", "Give it p=none, p=quarantine or p=reject.")
	case known && !dkim && !spf && excused:
		f.warn(record+", and until DKIM or MAIL FROM is mended nothing aligns", "See dkim and mail-from.")
	case known && !dkim && !spf && p != "none":
		f.fail("", record+", but neither DKIM nor SPF aligns: receivers "+p+" the mail",
			"Verify the domain "+r.from.domain+" with DKIM, give it a custom MAIL FROM domain below it, or send from a domain that you own.")
	case known && !dkim && !spf:
		f.warn(record+", and neither DKIM nor SPF aligns", "Set up DKIM for the domain before you make the policy stricter.")
	default:
		f.Status, f.Detail = OK, record+aligned(known, dkim, spf)
		if p == "none" {
			f.Status, f.Advice = Warn, "p=none lets anybody use the domain. Make it stricter once the reports are clean."
		}
	}
	r.found(start, f)
}

func aligned(known, dkim, spf bool) string {
	if !known {
		return "; whether mail aligns is not known"
	}
	return map[[2]bool]string{{true, true}: ", DKIM and SPF align", {true, false}: ", DKIM aligns", {false, true}: ", SPF aligns"}[[2]bool{dkim, spf}]
}
