package doctor

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// certificate verifies the certificate of the configured port, or else of the
// first that has one. It reports whether credentials may be said there.
func (r *run) certificate(start time.Time, probes []probe) bool {
	chain := r.configured(probes).chain
	for _, p := range probes {
		if len(chain) == 0 {
			chain = p.chain
		}
	}
	f := Finding{Check: checkCertificate, Subject: r.host}
	if len(chain) == 0 {
		f.Detail = "clear text, as the settings say"
		r.found(start, f)
		return true
	}
	conf := r.SMTP.TLSConfig
	if conf == nil {
		conf = &tls.Config{}
	}
	leaf := chain[0]
	issuer := issuer(leaf)
	settings := r.where(smtpclient.TLSAuto)
	settings.TLSConfig = conf
	if e := problem(settings); e != nil {
		f.setting(e)
		r.found(start, f)
		return false
	}
	if conf.InsecureSkipVerify {
		f.Status, f.Detail = OK, "the settings verify it by themselves, or not at all; it is issued by "+issuer
		r.found(start, f)
		return true
	}
	now := time.Now()
	if conf.Time != nil {
		now = conf.Time()
	}
	f.Detail, f.Advice = judge(chain, conf, r.tlsConfig().ServerName, now)
	switch {
	case f.Detail != "":
		f.Status, f.Reason = Fail, seserrors.CertificateInvalid
	case leaf.NotAfter.Sub(now) < 7*24*time.Hour:
		f.Status, f.Detail = Warn, "valid only until "+leaf.NotAfter.UTC().Format(time.DateTime)+" UTC, issued by "+issuer
		f.Advice = "SES replaces its certificates in time. If this one is your own, renew it."
	default:
		f.Status, f.Detail = OK, "valid until "+leaf.NotAfter.UTC().Format(time.DateOnly)+", issued by "+issuer
	}
	r.found(start, f)
	return f.Status != Fail
}

// judge says what is wrong with a chain of certificates, "" if nothing is.
func judge(chain []*x509.Certificate, conf *tls.Config, name string, now time.Time) (detail, advice string) {
	leaf := chain[0]
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: conf.RootCAs, Intermediates: between, CurrentTime: now})
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return "", ""
	case now.After(leaf.NotAfter):
		return "expired on " + leaf.NotAfter.UTC().Format(time.DateTime) + " UTC; this machine's clock says " + now.UTC().Format(time.DateTime),
			"Set this machine's clock; if it is right, a machine in between shows an old certificate."
	case now.Before(leaf.NotBefore):
		return "valid only from " + leaf.NotBefore.UTC().Format(time.DateTime) + " UTC; this machine's clock says " + now.UTC().Format(time.DateTime),
			"Set this machine's clock."
	case errors.As(err, &host):
		return "it is for another host, issued by " + issuer(leaf),
			"Check the host's spelling. Otherwise a machine in between answers in SES's place."
	case errors.As(err, &unknown):
		return "issued by " + issuer(leaf) + ", which this machine does not trust",
			"A middlebox with TLS inspection shows its own certificate: exempt SES from it, or trust its CA. In a container install the package ca-certificates."
	case errors.As(err, &invalid):
		return "not valid: " + invalid.Error(), "Check for a middlebox that shows a certificate of its own."
	}
	return "could not be verified: " + err.Error(), "Check the system's certificate pool."
}

// issuer names who issued a certificate.
func issuer(c *x509.Certificate) string {
	return cmp.Or(c.Issuer.CommonName, c.Issuer.String(), "somebody without a name")
}
