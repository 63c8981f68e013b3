package doctor

import (
	"cmp"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// certificate judges the certificate of the configured port, or else of the first
// that showed one. It reports whether the settings have certificates verified.
func (r *run) certificate(start time.Time, probes []probe) bool {
	p := r.configured(probes)
	if i := slices.IndexFunc(probes, func(p probe) bool { return p.leaf != nil }); p.leaf == nil && i >= 0 {
		p = &probes[i]
	}
	settings, now := r.where(smtpclient.TLSAuto), time.Now()
	if settings.TLSConfig = r.SMTP.TLSConfig; settings.TLSConfig != nil && settings.TLSConfig.Time != nil {
		now = settings.TLSConfig.Time()
	}
	f := Finding{Check: checkCertificate, Subject: r.host}
	e := problem(settings)
	switch {
	case e != nil:
		f.setting(e)
	case p.leaf == nil:
		f.Detail = "no port showed one"
	case p.fail != nil:
		f.Status, f.Reason = Fail, seserrors.CertificateInvalid
		f.Detail, f.Advice = judge(p.leaf, p.fail.err, now)
	case p.leaf.NotAfter.Sub(now) < 7*24*time.Hour:
		f.warn("valid only until "+p.leaf.NotAfter.UTC().Format(time.DateTime)+" UTC, issued by "+issuer(p.leaf),
			"SES replaces its certificates in time. If this one is your own, renew it.")
	default:
		f.Status, f.Detail = OK, "valid until "+p.leaf.NotAfter.UTC().Format(time.DateOnly)+", issued by "+issuer(p.leaf)
	}
	r.found(start, f)
	return e == nil
}

// judge says why a certificate is not trusted, and what to do.
func judge(leaf *x509.Certificate, err error, now time.Time) (detail, advice string) {
	clock := " UTC; this machine's clock says " + now.UTC().Format(time.DateTime)
	_, otherHost := errors.AsType[x509.HostnameError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case now.After(leaf.NotAfter):
		return "expired on " + leaf.NotAfter.UTC().Format(time.DateTime) + clock,
			"Set this machine's clock; if it is right, a machine in between shows an old certificate."
	case now.Before(leaf.NotBefore):
		return "valid only from " + leaf.NotBefore.UTC().Format(time.DateTime) + clock, "Set this machine's clock."
	case otherHost:
		return "it is for another host, issued by " + issuer(leaf),
			"Check the host's spelling. Otherwise a machine in between answers in SES's place."
	case unknown:
		return "issued by " + issuer(leaf) + ", which this machine does not trust",
			"A middlebox with TLS inspection shows its own certificate: exempt SES from it, or trust its CA. In a container install the package ca-certificates."
	}
	return "not valid: " + err.Error(), "Check the system's certificate pool, and for a middlebox that shows a certificate of its own."
}

// issuer names who issued a certificate.
func issuer(c *x509.Certificate) string {
	return cmp.Or(c.Issuer.CommonName, c.Issuer.String(), "somebody without a name")
}
