package doctor

import (
	"cmp"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	seserrors "github.com/sesguard/sesguard-go/errors"
)

// mailFrom looks at the custom MAIL FROM domain. It is OK if SPF passes for that
// domain.
func (r *run) mailFrom(start time.Time, z *zone, id *identity) Status {
	m := id.mailFrom()
	switch {
	case id.out == nil:
		r.skip("no identity, so no MAIL FROM", checkMailFrom)
		return Warn
	case m == nil:
		r.found(start, Finding{Check: checkMailFrom, Subject: id.name, Status: OK,
			Detail: "no custom MAIL FROM domain: SES uses its own, SPF passes but does not align"})
		return Warn
	}
	domain := aws.ToString(m.MailFromDomain)
	f := Finding{Check: checkMailFrom, Subject: domain, Status: Warn,
		Advice: `Publish one TXT record "v=spf1 include:amazonses.com ~all" for ` + domain + "."}
	void, isVoid := z.spfErr.(voidRecord)
	unsettled := m.MailFromDomainStatus != types.MailFromDomainStatusSuccess
	switch wrong := r.wrongMX(z.mx); {
	case z.mxErr != nil && !unsettled:
		f.warn(noAnswer("its MX", z.mxErr), askAgain)
	case z.mxErr != nil:
		r.brokenMailFrom(&f, m, "SES says "+string(m.MailFromDomainStatus)+", and "+noAnswer("its MX", z.mxErr))
	case wrong != "" || unsettled:
		r.brokenMailFrom(&f, m, wrong)
	case isVoid:
		f.Detail = "its MX is right; its SPF record is not: " + string(void)
	case z.spfErr != nil:
		f.warn("its MX is right; "+noAnswer("its SPF record", z.spfErr), askAgain)
	case !z.spf:
		f.Detail = "its MX is right; its SPF record does not include amazonses.com"
	default:
		f.Status, f.Detail, f.Advice = OK, "MX and SPF are right", ""
	}
	r.found(start, f)
	if f.Advice == askAgain {
		return Skipped
	}
	return f.Status
}

// brokenMailFrom says what SES does without the MX that it needs.
func (r *run) brokenMailFrom(f *Finding, m *types.MailFromAttributes, wrong string) {
	f.warn(wrong, "Publish exactly one MX record for "+f.Subject+": 10 feedback-smtp."+cmp.Or(r.Region, "REGION")+".amazonses.com.")
	if wrong == "" {
		f.warn("its MX is right, but SES has not seen that yet: "+string(m.MailFromDomainStatus), "Wait up to 72 hours, or set the MAIL FROM domain again.")
	}
	if m.BehaviorOnMxFailure == types.BehaviorOnMxFailureRejectMessage {
		f.Status, f.Reason = Fail, seserrors.MailFromDomainNotVerified
		f.Detail += "; SES refuses mail until it is mended"
		return
	}
	f.Detail += "; SES falls back to its own domain, so SPF does not align"
}

// mailFrom returns the MAIL FROM settings that count for an identity.
func (id *identity) mailFrom() *types.MailFromAttributes {
	for i := id; i != nil; i = i.domain {
		if i.out != nil && i.out.MailFromAttributes != nil && aws.ToString(i.out.MailFromAttributes.MailFromDomain) != "" {
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
		return fmt.Sprintf("it has %d MX records (%s); SES wants exactly one", len(mx), strings.Join(hosts, ", "))
	case !strings.HasPrefix(hosts[0], "feedback-smtp.") || !strings.HasSuffix(hosts[0], ".amazonses.com"):
		return "its MX is " + hosts[0]
	case r.Region != "" && hosts[0] != "feedback-smtp."+r.Region+".amazonses.com":
		return "its MX is that of another region, " + hosts[0]
	}
	return ""
}
