package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
)

// dkim looks at the identity's signing, and at the keys in DNS.
func (r *run) dkim(start time.Time, z *zone, a *alignment) Status {
	signer := a.id.signer()
	f := Finding{Check: checkDKIM, Subject: signer.name, Status: Warn}
	var d *types.DkimAttributes
	if signer.out != nil {
		d = signer.out.DkimAttributes
	}
	off := d == nil || !d.SigningEnabled
	switch {
	case signer.out == nil:
		r.skip("no identity, so no keys", checkDKIM)
		return Skipped
	case off && strings.Contains(signer.name, "@"):
		f.warn("mail is not signed for "+r.from.domain+": only the address is verified, not its domain", "Verify the domain and publish its DKIM records.")
	case off:
		f.Detail, f.Advice = "signing is switched off", "Switch DKIM signing on for the identity."
		if z.enforced(r.from.domain) && a.spf != Skipped && !a.bySPF(r, z) && !a.id.failed {
			f.Status, f.Detail = Fail, f.Detail+", and the domain's DMARC policy asks for it"
		}
	case d.Status != types.DkimStatusSuccess:
		r.pending(&f, z, a, d)
	case z.keysErr != nil:
		f.warn("SES signs; "+noAnswer("the keys", z.keysErr), askAgain)
	default:
		judgeKeys(&f, z.keys, d)
	}
	r.found(start, f)
	if f.Status == Warn && !off && d.Status == types.DkimStatusSuccess {
		return OK // with one key or another
	}
	return f.Status
}

// pending says what SES waits for. Where the identity has failed, perhaps for want
// of these records, or mail leaves without, this does not fail.
func (r *run) pending(f *Finding, z *zone, a *alignment, d *types.DkimAttributes) {
	f.warn(fmt.Sprintf("SES has not found the keys in DNS: %s", d.Status),
		"The records are in DNS now: SES looks again within 72 hours, or at once when DKIM is switched off and on.")
	if a.id.signer().verified() && !a.id.failed {
		f.Status = Fail
	}
	if z.keysErr != nil || slices.ContainsFunc(z.keys, func(k dkimKey) bool { return k.problem != "" }) {
		f.Advice = "Publish " + strings.Join(keyRecords(f.Subject, d), ", ") + "."
	}
}

// judgeKeys judges keys that SES has found once.
func judgeKeys(f *Finding, keys []dkimKey, d *types.DkimAttributes) {
	var records, problems []string
	gone := 0
	for _, k := range keys {
		if k.problem == "" {
			continue
		}
		records, problems = append(records, k.record), append(problems, k.problem)
		if !k.unread {
			gone++
		}
	}
	switch {
	case len(problems) == 0:
		f.Status, f.Detail = OK, "SES signs, and the keys are in DNS"
		if d.CurrentSigningKeyLength == types.DkimSigningKeyLengthRsa1024Bit {
			f.Detail += " (1,024 bits; 2,048 are better)"
		}
		return
	case gone == len(keys):
		f.Status, f.Detail = Fail, "SES signs, but no key can be used"
	default:
		f.Detail = fmt.Sprintf("SES signs, but %d of %d keys cannot be used", len(problems), len(keys))
	}
	f.Detail += ": " + strings.Join(slices.Compact(problems), "; ")
	f.Advice = "Publish " + strings.Join(records, ", ") + ": until then signatures with these keys fail."
}

// keyRecords returns the records that a domain needs.
func keyRecords(domain string, d *types.DkimAttributes) []string {
	zone := cmp.Or(aws.ToString(d.SigningHostedZone), "dkim.amazonses.com")
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

// A dkimKey is a record that should hold a key.
type dkimKey struct {
	record  string // what to publish
	problem string // "": it does
	unread  bool   // there is a key, but it does not read as one
	err     error  // DNS gave no answer
}

// lookUpKeys looks the keys of an identity up, side by side.
func (r *run) lookUpKeys(ctx context.Context, signer *identity) ([]dkimKey, error) {
	if signer.out == nil || signer.out.DkimAttributes == nil {
		return nil, nil
	}
	var errs []error
	keys := each(keyRecords(signer.name, signer.out.DkimAttributes), func(record string) dkimKey { return r.lookUpKey(ctx, record) })
	for _, k := range keys {
		errs = append(errs, k.err)
	}
	return keys, errors.Join(errs...)
}

// lookUpKey looks a key up. A CNAME of another key has one too, but not the one that
// SES signs with.
func (r *run) lookUpKey(ctx context.Context, record string) dkimKey {
	name, rest, _ := strings.Cut(record, " ")
	texts, err := lookup(ctx, r.Resolver.LookupTXT, name)
	k := dkimKey{record: record, problem: "no record", err: err}
	if len(texts) > 0 {
		k.problem = "a record without a key"
	}
	for _, t := range texts {
		switch p, has := tags(t)["p"]; {
		case has && p == "":
			k.problem = "revoked (p=)"
		case has && !isKey(t):
			k.problem, k.unread = "does not read as a key and may be cut off", true
		case has:
			k.problem = ""
		}
	}
	token, _, _ := strings.Cut(name, ".")
	target := r.alias(ctx, name)
	elsewhere := strings.HasSuffix(target, ".amazonses.com") && !strings.HasPrefix(target, token+".")
	if target != "" && strings.Contains(rest, "CNAME") && (elsewhere || k.problem != "" && !strings.HasSuffix(rest, target)) {
		k.problem, k.unread = "a CNAME to "+target, false
	}
	return k
}

// alias returns the target of a CNAME record, "" if there is none or the resolver
// cannot tell.
func (r *run) alias(ctx context.Context, name string) string {
	c, ok := r.Resolver.(interface {
		LookupCNAME(ctx context.Context, host string) (string, error)
	})
	if !ok {
		return ""
	}
	target, _ := lookup(ctx, func(ctx context.Context, name string) ([]string, error) {
		target, err := c.LookupCNAME(ctx, name)
		return []string{strings.ToLower(strings.TrimSuffix(target, "."))}, err
	}, name)
	if len(target) == 0 || target[0] == strings.ToLower(name) {
		return ""
	}
	return target[0]
}

// isKey reports whether a record's p= is a public key of RSA or Ed25519 (RFC 6376,
// section 3.6.1; RFC 8463, section 4).
func isKey(record string) bool {
	t := tags(record)
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Join(strings.Fields(t["p"]), ""), "="))
	if err != nil || strings.EqualFold(t["k"], "ed25519") {
		return err == nil && len(der) == 32
	}
	if _, err = x509.ParsePKIXPublicKey(der); err != nil {
		_, err = x509.ParsePKCS1PublicKey(der)
	}
	return err == nil
}
