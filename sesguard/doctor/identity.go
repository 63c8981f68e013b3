package doctor

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	seserrors "github.com/sesguard/sesguard-go/errors"
)

// An identity is what SES said of an address or a domain.
type identity struct {
	name    string
	out     *sesv2.GetEmailIdentityOutput // nil: it does not exist
	domain  *identity                     // of an address: its domain or a parent of that, if SES knows it
	failed  bool                          // mail from it is refused, which a finding has said
	foreign bool                          // it belongs to another account
}

func (id *identity) verified() bool { return id.out != nil && id.out.VerifiedForSendingStatus }

// signer returns the identity whose DKIM settings count: the domain's, unless the
// address has its own that work.
func (id *identity) signer() *identity {
	if id.out != nil && id.out.DkimAttributes != nil && id.out.DkimAttributes.SigningEnabled && strings.Contains(id.name, "@") &&
		id.out.DkimAttributes.Status == types.DkimStatusSuccess || id.domain == nil {
		return id
	}
	return id.domain
}

// get asks for an identity, once.
func (r *run) get(ctx context.Context, name string) (*identity, *seserrors.Error) {
	if id, ok := r.identities[name]; ok {
		return id, nil
	}
	out, e := call(ctx, r, "GetEmailIdentity", r.API.GetEmailIdentity, &sesv2.GetEmailIdentityInput{EmailIdentity: &name})
	if e != nil && !isMissing(e) {
		return nil, e
	}
	id := &identity{name: name, out: out}
	r.identities[name] = id
	return id, nil
}

// domains returns a domain and its parents down to the one that is registered.
func domains(domain string) []string {
	all := []string{domain}
	for registered := organisation(domain); domain != registered; all = append(all, domain) {
		_, domain, _ = strings.Cut(domain, ".")
	}
	return all
}

// find returns the identity that counts for an address: the address in its own
// spelling, with the nearest domain that SES knows. Verified is preferred.
func (r *run) find(ctx context.Context, a address) (*identity, *seserrors.Error) {
	own, e := r.get(ctx, a.asked())
	if e != nil {
		return nil, e
	}
	for _, name := range domains(a.domain) {
		d, e := r.get(ctx, name)
		if e != nil {
			return nil, e
		}
		if d.verified() || d.out != nil && own.domain == nil {
			own.domain = d
		}
		if d.verified() {
			break
		}
	}
	if own.out == nil && own.domain != nil {
		return own.domain, nil
	}
	return own, nil
}

// verified returns the identity that verifies an address, "" if none does.
func (r *run) verified(ctx context.Context, a address) (string, *seserrors.Error) {
	for _, name := range append([]string{a.asked()}, domains(a.domain)...) {
		id, e := r.get(ctx, name)
		if e != nil {
			return "", e
		}
		if id.verified() {
			return name, nil
		}
	}
	return "", nil
}

// lowerVerified returns an address in lower case if that is another spelling of it,
// and verified.
func (r *run) lowerVerified(ctx context.Context, a address) string {
	lower := strings.ToLower(a.asked())
	if lower == a.asked() {
		return ""
	}
	if other, e := r.get(ctx, lower); e != nil || !other.verified() {
		return ""
	}
	return lower
}

// identity tells whether From may be sent from. It returns nil if that is not
// known.
func (r *run) identity(ctx context.Context) *identity {
	start := time.Now()
	f := Finding{Check: checkIdentity, Subject: r.from.spelled, Status: Fail, Reason: seserrors.IdentityNotVerified}
	switch {
	case r.Config.From == "":
		r.skip("no sender is given", checkIdentity)
		return nil
	case r.from.err != nil:
		return nil
	case r.FromARN != "":
		r.skip("the identity belongs to another account: "+r.FromARN, checkIdentity)
		return &identity{name: r.from.domain, foreign: true}
	}
	id, e := r.find(ctx, r.from)
	switch {
	case e != nil && ctx.Err() != nil:
		return nil
	case e != nil:
		r.skip(unknown("GetEmailIdentity", e), checkIdentity)
		return nil
	case id.verified() || id.domain != nil && id.domain.verified():
		name := id.name
		if !id.verified() {
			name = id.domain.name
		}
		f.Status, f.Reason, f.Detail = OK, "", name+" is verified"+r.in()
	default:
		id.failed = true
		r.unverified(ctx, &f, id)
	}
	r.found(start, f)
	return id
}

func (r *run) in() string { return " in " + cmp.Or(r.Region, "this region") }

// unverified says why an identity is not verified.
func (r *run) unverified(ctx context.Context, f *Finding, id *identity) {
	if id.out == nil {
		f.Detail, f.Advice = "neither the address nor its domain "+r.from.domain+" is known to SES"+r.in(),
			"Verify the domain in this region: identities belong to one region, and the letter case of a verified address counts."
		if lower := r.lowerVerified(ctx, r.from); lower != "" {
			f.Detail, f.Advice = lower+" is verified, but this is spelled otherwise, and SES tells the letter case of addresses apart",
				"Write "+lower+" in From, or verify the domain, which covers every spelling."
		}
		return
	}
	f.Detail = fmt.Sprintf("%s is not verified%s: %s", id.name, r.in(), id.out.VerificationStatus)
	if why := id.out.VerificationInfo; why != nil && why.ErrorType != "" {
		f.Detail += ", " + string(why.ErrorType)
	}
	switch status := id.out.VerificationStatus; {
	case status == types.VerificationStatusSuccess:
		f.Detail = id.name + " is verified but may not send" + r.in()
		f.Advice = "Look at the identity in the SES console."
	case strings.Contains(id.name, "@"):
		f.Advice = "Open the link in the mail that SES sent to this address, within 24 hours, or have it sent again."
	case status == types.VerificationStatusFailed:
		f.Advice = "Publish the DNS records that SES shows for the domain (see dkim), then start the verification again."
	case status == types.VerificationStatusTemporaryFailure:
		f.Advice = "Check that the domain's name servers answer, and that the records that SES shows are still there (see dkim). SES looks again by itself."
	default:
		f.Advice = "Publish the DNS records that SES shows for the domain (see dkim). It can take 72 hours until SES sees them."
	}
}

// authorization looks at the ARN of another account's identity. Its policy cannot
// be read from here; only a send shows what it allows.
func (r *run) authorization() {
	if r.FromARN == "" {
		r.skip("no identity of another account is named", checkAuthorization)
		return
	}
	f := Finding{Check: checkAuthorization, Subject: r.FromARN, Status: OK,
		Detail: "the ARN fits region and sender; what the other account's policy allows only a send shows"}
	parts := append(strings.SplitN(r.FromARN, ":", 6), "", "", "", "", "")
	name, ok := strings.CutPrefix(parts[5], "identity/")
	switch {
	case !ok || parts[0] != "arn" || parts[2] != "ses":
		f.fail(seserrors.AccessDenied, "is no ARN of an identity", "It looks like arn:aws:ses:eu-west-1:123456789012:identity/example.com.")
	case r.Region != "" && parts[3] != r.Region:
		f.fail(seserrors.AccessDenied, "is of region "+parts[3]+", but mail is sent in "+r.Region, "The identity must be verified, and its policy set, in the region that sends.")
	case r.from.domain != "" && name != r.from.spelled && name != r.from.domain && !strings.HasSuffix(r.from.domain, "."+name):
		f.fail(seserrors.AccessDenied, "does not cover the sender "+r.from.spelled, "Name the identity of the sender's address or domain.")
	}
	r.found(time.Now(), f)
}
