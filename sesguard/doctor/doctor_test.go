package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func TestInAWorldInWhichMailLeavesNothingIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.cfg.API = &sendingAPI{fakeAPI: w.api}
		w.cfg.RealSend, w.cfg.Await = true, func(context.Context, string) error { return nil }
		report := w.run(t.Context())
		if !report.OK() {
			t.Error("not OK")
		}
		slugs := map[string]bool{}
		for _, f := range report.Findings {
			slugs[f.Check] = true
			if f.Status != OK && f.Check != checkAuthorization {
				t.Errorf("%v", f)
			}
			if f.Check == checkEndpoint && f.Detail != "resolves to 192.0.2.1" {
				t.Errorf("%v", f)
			}
		}
		if len(slugs) != len(checks) {
			t.Errorf("%d of %d checks reported", len(slugs), len(checks))
		}
		var sent []string
		for _, m := range w.server.Accepted() {
			sent = append(sent, m.To...)
		}
		if !slices.Equal(sent, []string{"success@simulator.amazonses.com", "bounce@simulator.amazonses.com"}) {
			t.Errorf("sent to %q", sent)
		}
	})
}

// Each row breaks one thing. The check named must say so, and no other may fail.
func TestABrokenWorldIsNamedAndNothingElseFails(t *testing.T) {
	identity := func(w *world) *sesv2.GetEmailIdentityOutput { return w.api.identities["example.com"] }
	for _, tt := range []struct {
		name  string
		spoil func(w *world)
		check string
		want  Status
		words string // in Detail or Advice
	}{
		{"a region without SMTP", func(w *world) { w.cfg.SMTP.Region = "me-south-1" }, checkEndpoint, Fail, "no SMTP interface in me-south-1"},
		{"a region that does not exist", func(w *world) { w.cfg.SMTP.Region = "us-easy-1"; w.cfg.SMTP.DialContext = nil }, checkEndpoint, Fail, "does not exist"},
		{"DNS is down", func(w *world) { w.dns.down = true; w.cfg.SMTP.DialContext = nil }, checkEndpoint, Fail, "DNS gave no answer"},
		{"a proxy looks names up", func(w *world) { w.dns.hosts = nil }, checkEndpoint, Warn, "does not exist"},
		{"no endpoint", func(w *world) { w.cfg.SMTP = smtpclient.Config{} }, checkEndpoint, Skipped, "SMTP.Region"},

		{"EC2 drops port 25", func(w *world) { w.set(drops, "25") }, checkPorts, OK, "EC2"},
		{"EC2 drops the configured port 25", func(w *world) { w.set(drops, "25"); w.cfg.SMTP.Port = 25 }, checkPorts, Fail, "EC2 blocks port 25"},
		{"a firewall drops everything", func(w *world) { w.set(drops) }, checkPorts, Fail, "drops the packets"},
		{"a firewall refuses everything", func(w *world) { w.set(refuses) }, checkPorts, Fail, "refuses"},
		{"no route", func(w *world) { w.set(noRoute) }, checkPorts, Fail, "network is unreachable"},
		{"a proxy whose error holds a secret", func(w *world) {
			w.set(func(context.Context) (net.Conn, error) { return nil, errors.New("proxy http://me:s.abc@proxy refuses") })
		}, checkPorts, Fail, "unreachable"},
		{"the configured port is refused", func(w *world) { w.set(refuses, "587") }, checkPorts, Fail, "Use port 2587 or 465"},
		{"another port is dropped", func(w *world) { w.set(drops, "2465") }, checkPorts, Warn, "2465 dropped"},

		{"the wrapper is set for 587", func(w *world) { w.cfg.SMTP.TLS = smtpclient.TLSWrapper }, checkTLSMode, Fail, "begins in clear text"},
		{"STARTTLS is set for 465", func(w *world) { w.cfg.SMTP.TLS, w.cfg.SMTP.Port = smtpclient.TLSStartTLS, 465 }, checkTLSMode, Fail, "first octet"},
		{"a port that speaks TLS at once", func(w *world) { w.set(w.to("465"), "587") }, checkTLSMode, Fail, "swapped"},
		{"a port that greets in clear text", func(w *world) { w.set(w.to("587"), "465"); w.cfg.SMTP.Port = 465 }, checkTLSMode, Fail, "swapped"},
		{"a masked greeting", func(w *world) { w.set(says("220 ***************", nil), "587") }, checkTLSMode, Fail, "intercepts"},
		{"another server's greeting", func(w *world) { w.set(says("220 mail.corp.example ESMTP", nil), "587") }, checkTLSMode, Fail, "not that of SES"},
		{"STARTTLS is taken out", func(w *world) {
			w.set(says("220 email-smtp.amazonaws.com ESMTP", map[string]string{"EHLO": "250-here\r\n250-XXXXXXXA\r\n250 Ok"}), "587")
		}, checkTLSMode, Fail, "offers no STARTTLS"},
		{"a web page in place of a greeting", func(w *world) { w.set(says("<html>", nil), "587") }, checkTLSMode, Fail, "no SMTP"},
		{"nobody greets", func(w *world) { w.set(says("", nil), "587") }, checkTLSMode, Fail, "nobody greets"},
		{"the server turns away", func(w *world) { w.set(says("421 Too many concurrent SMTP connections", nil), "587") }, checkTLSMode, Fail, "turns the connection away"},
		{"closed after EHLO", func(w *world) {
			w.set(says("220 email-smtp.amazonaws.com ESMTP", map[string]string{"EHLO": "close"}), "587")
		}, checkTLSMode, Fail, "breaks"},
		{"only another port is intercepted", func(w *world) { w.set(says("220 ****", nil), "25") }, checkTLSMode, Warn, "port 25: something intercepts"},

		{"a certificate that is not trusted", func(w *world) { w.cfg.SMTP.TLSConfig = nil }, checkCertificate, Fail, "does not trust"},
		{"a certificate for another host", func(w *world) { w.cfg.SMTP.TLSConfig.ServerName = "mail.example.org" }, checkCertificate, Fail, "another host"},
		{"a clock that is ahead", func(w *world) {
			w.cfg.SMTP.TLSConfig.Time = func() time.Time { return time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC) }
		}, checkCertificate, Fail, "expired"},
		{"a clock that is behind", func(w *world) {
			w.cfg.SMTP.TLSConfig.Time = func() time.Time { return time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC) }
		}, checkCertificate, Fail, "valid only from"},
		{"a certificate that ends soon", func(w *world) {
			w.cfg.SMTP.TLSConfig.Time = func() time.Time { return time.Date(2099, 12, 30, 0, 0, 0, 0, time.UTC) }
		}, checkCertificate, Warn, "valid only until"},

		{"the secret of an IAM key as password", func(w *world) { w.cfg.SMTP.Password = secret }, checkSignIn, Fail, "secret of the IAM key itself"},
		{"the secret of another IAM key", func(w *world) { w.cfg.SMTP.Password = strings.ToLower(secret) }, checkSignIn, Fail, "looks like the secret"},
		{"a password of another region", func(w *world) {
			w.cfg.SMTP.Password = smtpclient.DerivePassword(secret, "eu-west-1")
		}, checkSignIn, Fail, "another region"},
		{"some other password", func(w *world) { w.cfg.SMTP.Password = "hunter2hunter2" }, checkSignIn, Fail, "no SMTP password of SES"},
		{"a temporary key", func(w *world) { w.cfg.SMTP.Username = "ASIAIOSFODNN7EXAMPLE" }, checkSignIn, Fail, "temporary"},
		{"a user name alone", func(w *world) { w.cfg.SMTP.Password = "" }, checkSignIn, Fail, "empty"},
		{"a password with a line end", func(w *world) { w.cfg.SMTP.Password = "x\n" }, checkSignIn, Fail, ""},
		{"no credentials", func(w *world) { w.cfg.SMTP.Username, w.cfg.SMTP.Password = "", "" }, checkSignIn, Skipped, "no SMTP credentials"},
		{"a vault that fails", func(w *world) {
			w.cfg.SMTP.Credentials = func(context.Context) (string, string, error) { return "", "", errors.New("token s.abc is expired") }
		}, checkSignIn, Fail, "Credentials failed"},
		{"credentials from before 2019", func(w *world) {
			w.cfg.SMTP.Password = "AuEclgAFIkKhHh4gCzZbr1lnY0V9wVqpFwg9NSjjBQbF"
			w.server.Password = w.cfg.SMTP.Password
		}, checkOldKey, Warn, "before January 10, 2019"},

		{"large packets get lost", func(w *world) { w.lose("587"); w.mtu = 9001 }, checkMTU, Fail, "eth0 has an MTU of 9001"},
		{"a large MTU that works", func(w *world) { w.mtu = 9001 }, checkMTU, OK, "eth0 has an MTU of 9001"},
		{"a large MTU and no port", func(w *world) { w.mtu = 9001; w.set(refuses); w.cfg.SMTP.Port = 465 }, checkPorts, Fail, ""},

		{"no API", func(w *world) { w.cfg.API = nil }, checkCredentials, Skipped, "no API client"},
		{"a clock that is off", func(w *world) {
			w.api.errs["*"] = apiError("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260102T000000Z (20260102T000500Z - 5 min.)")
		}, checkCredentials, Fail, "clock"},
		{"an unknown key", func(w *world) {
			w.api.errs["*"] = apiError("UnrecognizedClientException", "The security token included in the request is invalid.")
		}, checkCredentials, Fail, "credentials-invalid"},
		{"GetAccount is not allowed", func(w *world) {
			w.api.errs["GetAccount"] = apiError("AccessDeniedException", "User is not authorized to perform: ses:GetAccount")
		}, checkCredentials, Warn, "ses:GetAccount"},
		{"others make control calls too", func(w *world) {
			w.api.errs["GetAccount"] = apiError("TooManyRequestsException", "Too many requests")
		}, checkCredentials, Warn, "more than one a second"},
		{"the API of another region", func(w *world) { w.cfg.API = regional{w.api} }, checkCredentials, Warn, "asked in eu-west-1"},

		{"the sandbox with an unverified recipient", func(w *world) { w.api.account.ProductionAccessEnabled = false }, checkSandbox, Fail, "may not send there"},
		{"the sandbox with a verified recipient", func(w *world) {
			w.api.account.ProductionAccessEnabled = false
			w.cfg.To = []string{"ann@sub.example.com", "success@simulator.amazonses.com"}
		}, checkSandbox, Warn, "in the sandbox"},
		{"sending is paused", func(w *world) { w.api.account.SendingEnabled = false }, checkSending, Fail, "paused"},
		{"the account is shut down", func(w *world) { w.api.account.EnforcementStatus = ptr("SHUTDOWN") }, checkSending, Fail, "shut down"},
		{"the account is under review", func(w *world) { w.api.account.EnforcementStatus = ptr("PROBATION") }, checkSending, Warn, "review"},
		{"the quota is spent", func(w *world) { w.api.account.SendQuota.SentLast24Hours = 50000 }, checkQuota, Fail, "0 of 50000"},
		{"little quota is left", func(w *world) { w.api.account.SendQuota.SentLast24Hours = 40001 }, checkQuota, Warn, "9999 of 50000"},
		{"a fifth of the quota is left", func(w *world) { w.api.account.SendQuota.SentLast24Hours = 40000 }, checkQuota, OK, ""},
		{"an unlimited quota", func(w *world) { w.api.account.SendQuota.Max24HourSend = -1 }, checkQuota, OK, "unlimited"},

		{"an unknown identity", func(w *world) { delete(w.api.identities, "example.com") }, checkIdentity, Fail, "is known to SES in us-east-1"},
		{"a domain that is pending", func(w *world) {
			id := identity(w)
			id.VerifiedForSendingStatus, id.VerificationStatus, id.DkimAttributes.Status = false, "PENDING", "PENDING"
		}, checkIdentity, Fail, "PENDING"},
		{"a domain that failed", func(w *world) {
			id := identity(w)
			id.VerifiedForSendingStatus, id.VerificationStatus = false, "FAILED"
			id.VerificationInfo = &types.VerificationInfo{ErrorType: types.VerificationErrorHostNotFound}
		}, checkIdentity, Fail, "HOST_NOT_FOUND"},
		{"a domain that is pending, without anything that aligns", func(w *world) {
			id := identity(w)
			id.VerifiedForSendingStatus, id.VerificationStatus, id.DkimAttributes.Status, id.MailFromAttributes = false, "PENDING", "PENDING", nil
		}, checkIdentity, Fail, "PENDING"},
		{"the nearest of two verified domains", func(w *world) {
			w.cfg.From = "a@x.y.example.com"
			w.api.identities["y.example.com"] = addressIdentity()
			w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none"}
		}, checkIdentity, OK, "y.example.com is verified"},
		{"an address in other letter case", func(w *world) {
			delete(w.api.identities, "example.com")
			w.api.identities["sales@example.com"] = addressIdentity()
			w.cfg.From = "Sales@example.com"
		}, checkIdentity, Fail, "letter case"},
		{"an address of a domain that is pending", func(w *world) {
			id := identity(w)
			id.VerifiedForSendingStatus, id.VerificationStatus, id.DkimAttributes.Status = false, "PENDING", "PENDING"
			w.api.identities["news@example.com"] = addressIdentity()
			w.clear("_domainkey")
			w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none"}
		}, checkDKIM, Warn, "one._domainkey.example.com CNAME"},
		{"a parent domain is verified", func(w *world) { w.cfg.From = "a@x.y.example.com" }, checkIdentity, OK, "example.com is verified"},
		{"an international domain", func(w *world) {
			w.cfg.From = "a@bücher.example"
			w.api.identities["xn--bcher-kva.example"] = addressIdentity()
		}, checkIdentity, OK, "xn--bcher-kva.example is verified"},
		{"no sender", func(w *world) { w.cfg.From = "" }, checkIdentity, Skipped, "no sender"},
		{"a sender that is no address", func(w *world) { w.cfg.From = "news" }, checkIdentity, Fail, "no address"},
		{"GetEmailIdentity is not allowed", func(w *world) {
			w.api.errs["GetEmailIdentity"] = apiError("AccessDeniedException", "no")
		}, checkIdentity, Skipped, "ses:GetEmailIdentity"},

		{"DKIM records are missing", func(w *world) { w.clear("_domainkey") }, checkDKIM, Fail, "one._domainkey.example.com CNAME one.dkim.amazonses.com"},
		{"DKIM records are missing and nothing else aligns", func(w *world) {
			w.clear("_domainkey")
			identity(w).MailFromAttributes = nil
		}, checkDKIM, Fail, "gone from DNS"},
		{"one DKIM record is missing", func(w *world) { w.clear("two._domainkey") }, checkDKIM, Warn, "1 of 3"},
		{"DKIM is pending", func(w *world) { identity(w).DkimAttributes.Status = "PENDING" }, checkDKIM, Fail, "PENDING"},
		{"DKIM is off", func(w *world) { identity(w).DkimAttributes.SigningEnabled = false }, checkDKIM, Warn, "switched off"},
		{"own DKIM key is missing", func(w *world) {
			identity(w).DkimAttributes.SigningAttributesOrigin = "EXTERNAL"
			identity(w).DkimAttributes.Tokens = []string{"mine"}
		}, checkDKIM, Fail, "mine._domainkey.example.com TXT"},
		{"DNS is silent about keys", func(w *world) { w.dns.silent = map[string]bool{"one._domainkey.example.com": true} }, checkDKIM, OK, "gave no answer"},

		{"MAIL FROM without MX", func(w *world) { w.dns.mx = nil }, checkMailFrom, Warn, "no MX record"},
		{"MAIL FROM without MX, mail is refused", func(w *world) {
			w.dns.mx = nil
			identity(w).MailFromAttributes.BehaviorOnMxFailure = "REJECT_MESSAGE"
		}, checkMailFrom, Fail, "SES refuses mail"},
		{"MAIL FROM with two MX", func(w *world) {
			w.dns.mx["bounce.example.com"] = append(w.dns.mx["bounce.example.com"], "mx.example.com")
		}, checkMailFrom, Warn, "exactly one"},
		{"MAIL FROM's MX of another region", func(w *world) {
			w.dns.mx["bounce.example.com"] = []string{"feedback-smtp.eu-west-1.amazonses.com"}
		}, checkMailFrom, Warn, "another region"},
		{"MAIL FROM that SES has not seen", func(w *world) { identity(w).MailFromAttributes.MailFromDomainStatus = "PENDING" }, checkMailFrom, Warn, "not seen"},
		{"MAIL FROM without SPF", func(w *world) { w.dns.txt["bounce.example.com"] = nil }, checkMailFrom, Warn, "does not include"},
		{"MAIL FROM with two SPF records", func(w *world) {
			w.dns.txt["bounce.example.com"] = []string{"v=spf1 -all", "v=spf1 include:amazonses.com ~all"}
		}, checkMailFrom, Warn, "counts as none"},
		{"SPF by redirect", func(w *world) {
			w.dns.txt["bounce.example.com"] = []string{"v=spf1 redirect=spf.example.com"}
			w.dns.txt["spf.example.com"] = []string{"v=spf1 ip4:192.0.2.1 include:amazonses.com -all"}
		}, checkMailFrom, OK, ""},
		{"SPF that goes in a circle", func(w *world) {
			w.dns.txt["bounce.example.com"] = []string{"v=spf1 include:bounce.example.com -all"}
		}, checkMailFrom, Warn, "ten lookups"},
		{"no custom MAIL FROM", func(w *world) { identity(w).MailFromAttributes = nil }, checkMailFrom, OK, "no custom"},
		{"DNS is silent about MAIL FROM", func(w *world) { w.dns.silent = map[string]bool{"bounce.example.com": true} }, checkMailFrom, Skipped, "gave no answer"},

		{"no DMARC", func(w *world) { w.clear("_dmarc") }, checkDMARC, Warn, "no DMARC record"},
		{"two DMARC records", func(w *world) {
			w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none", "v=DMARC1; p=reject"}
		}, checkDMARC, Warn, "count as none"},
		{"DMARC p=none", func(w *world) { w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none"} }, checkDMARC, Warn, "p=none"},
		{"DMARC without a policy", func(w *world) { w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1;"} }, checkDMARC, Warn, "no valid policy"},
		{"DMARC of the organisational domain", func(w *world) {
			w.cfg.From = "a@news.example.com"
			w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none; sp=reject"}
		}, checkDMARC, OK, "p=reject at _dmarc.example.com"},
		{"DMARC that asks for strict alignment", func(w *world) {
			w.cfg.From = "a@news.example.com"
			w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=reject; adkim=s; aspf=s"}
		}, checkDMARC, Fail, "neither DKIM nor SPF aligns"},
		{"a freemail sender with p=reject", func(w *world) {
			w.cfg.From = "me@freemail.example"
			w.api.identities = map[string]*sesv2.GetEmailIdentityOutput{"me@freemail.example": addressIdentity()}
			w.dns.txt["_dmarc.freemail.example"] = []string{"v=DMARC1; p=reject"}
		}, checkDMARC, Fail, "neither DKIM nor SPF aligns"},
		{"SPF alone aligns", func(w *world) { identity(w).DkimAttributes.SigningEnabled = false }, checkDMARC, OK, "SPF aligns"},

		{"an international recipient that is suppressed", func(w *world) {
			w.cfg.To = []string{"ann@bücher.example"}
			w.api.suppressed["ann@xn--bcher-kva.example"] = "BOUNCE"
		}, checkSuppression, Fail, "is on the suppression list, reason BOUNCE"},
		{"no such configuration set", func(w *world) { w.cfg.ConfigurationSet = "Main" }, checkConfigSet, Fail, "does not exist in us-east-1"},
		{"the identity's default set is gone", func(w *world) {
			w.cfg.ConfigurationSet = ""
			identity(w).ConfigurationSetName = ptr("old")
		}, checkConfigSet, Fail, "the default of example.com"},
		{"a paused configuration set", func(w *world) { w.api.sets["main"].SendingOptions.SendingEnabled = false }, checkConfigSet, Fail, "paused"},
		{"a set that requires TLS", func(w *world) {
			w.api.sets["main"].DeliveryOptions = &types.DeliveryOptions{TlsPolicy: "REQUIRE", MaxDeliverySeconds: ptr(int64(300))}
		}, checkConfigSet, OK, "300 s"},
		{"no configuration set", func(w *world) { w.cfg.ConfigurationSet = "" }, checkConfigSet, Skipped, "no configuration set"},
		{"GetConfigurationSet is not allowed", func(w *world) {
			w.api.errs["GetConfigurationSet"] = apiError("AccessDeniedException", "no")
		}, checkConfigSet, Skipped, "ses:GetConfigurationSet"},
		{"nobody hears of bounces", func(w *world) { w.api.destinations["main"] = nil }, checkEvents, Warn, "bounces, complaints"},
		{"the event destination is off", func(w *world) { w.api.destinations["main"][0].Enabled = false }, checkEvents, Warn, "1 event destinations are switched off"},
		{"nobody hears of rendering failures", func(w *world) {
			w.api.destinations["main"][0].MatchingEventTypes = []types.EventType{"BOUNCE", "COMPLAINT", "SEND"}
		}, checkEvents, Warn, "nobody hears of rendering failures of templates"},
		{"destinations may not be read", func(w *world) {
			w.api.errs["GetConfigurationSetEventDestinations"] = apiError("AccessDeniedException", "no")
		}, checkEvents, Skipped, "ses:GetConfigurationSetEventDestinations"},
		{"no feedback at all", func(w *world) {
			identity(w).FeedbackForwardingStatus = false
			w.api.destinations["main"] = nil
		}, checkFeedback, Warn, "forwarding is off"},
		{"feedback by events only", func(w *world) { identity(w).FeedbackForwardingStatus = false }, checkFeedback, OK, "not forwarded"},

		{"a suppressed recipient", func(w *world) { w.api.suppressed["ann@example.net"] = "BOUNCE" }, checkSuppression, Fail, "reason BOUNCE, since 2026-05-04"},
		{"a recipient suppressed in lower case", func(w *world) {
			w.cfg.To = []string{"Ann@example.net"}
			w.api.suppressed["ann@example.net"] = "COMPLAINT"
		}, checkSuppression, Fail, "in lower case"},
		{"a reason that does not suppress", func(w *world) {
			w.api.suppressed["ann@example.net"] = "BOUNCE"
			w.api.sets["main"].SuppressionOptions = &types.SuppressionOptions{SuppressedReasons: []types.SuppressionListReason{"COMPLAINT"}}
		}, checkSuppression, Warn, "do not suppress for that reason"},
		{"no recipients", func(w *world) { w.cfg.To = nil }, checkSuppression, Skipped, "no recipients"},
		{"a recipient that is no address", func(w *world) { w.cfg.To = []string{"ann"} }, checkSuppression, Fail, "no address"},
		{"the list may not be read", func(w *world) {
			w.api.errs["GetSuppressedDestination"] = apiError("AccessDeniedException", "no")
		}, checkSuppression, Skipped, "ses:GetSuppressedDestination"},

		{"an identity of another account", func(w *world) { w.cfg.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/example.com" }, checkAuthorization, OK, "fits"},
		{"an ARN of another region", func(w *world) { w.cfg.FromARN = "arn:aws:ses:eu-west-1:123456789012:identity/example.com" }, checkAuthorization, Fail, "eu-west-1"},
		{"an ARN of another domain", func(w *world) { w.cfg.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/ample.com" }, checkAuthorization, Fail, "does not cover"},
		{"no ARN", func(w *world) { w.cfg.FromARN = "example.com" }, checkAuthorization, Fail, "no ARN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				if order(tt.check) >= order(checkCredentials) {
					w.cfg.Ports = []int{587} // the others would only take time
				}
				tt.spoil(w)
				start := time.Now()
				report := w.run(t.Context())
				if took := time.Since(start); took > runTime {
					t.Errorf("took %v", took)
				}
				said := false
				for _, f := range report.Findings {
					if f.Status == Fail && f.Check != tt.check {
						t.Errorf("fails too: %v", f)
					}
					said = said || f.Check == tt.check && f.Status == tt.want && strings.Contains(f.Detail+" "+f.Advice, tt.words)
				}
				if !said || report.OK() == (tt.want == Fail) {
					t.Errorf("%s is not %v with %q:\n%v", tt.check, tt.want, tt.words, text(report))
				}
				hidesSecrets(t, w, report)
			})
		})
	}
}

func text(r *Report) string {
	var b strings.Builder
	_, _ = r.WriteTo(&b)
	return b.String()
}

// hidesSecrets looks for what no report may hold.
func hidesSecrets(t *testing.T, w *world, report *Report) {
	t.Helper()
	js, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{w.cfg.SMTP.Password, w.server.Password, secret, w.cfg.SMTP.Username, "s.abc"} {
		if len(s) > 3 && (strings.Contains(text(report), s) || strings.Contains(string(js), s)) {
			t.Errorf("the report holds the secret %q", s)
		}
	}
}

func addressIdentity() *sesv2.GetEmailIdentityOutput {
	return &sesv2.GetEmailIdentityOutput{VerifiedForSendingStatus: true, VerificationStatus: "SUCCESS", FeedbackForwardingStatus: true, IdentityType: "EMAIL_ADDRESS"}
}

// clear takes the TXT records out whose name contains part.
func (w *world) clear(part string) {
	for name := range w.dns.txt {
		if strings.Contains(name, part) {
			delete(w.dns.txt, name)
		}
	}
}

// to connects to another port of the server.
func (w *world) to(port string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return w.server.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	}
}

// lose makes a port lose large packets.
func (w *world) lose(port string) {
	w.set(func(ctx context.Context) (net.Conn, error) {
		conn, err := w.server.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		return &filtered{Conn: conn}, err
	}, port)
}

// regional is an API client that tells its region.
type regional struct{ *fakeAPI }

func (regional) Options() sesv2.Options { return sesv2.Options{Region: "eu-west-1"} }

func TestControlCallsStartASecondApartAndWhatDoesNotFitIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for i := range 30 {
			w.cfg.To = append(w.cfg.To, fmt.Sprintf("User%d@example.net", i))
		}
		start := time.Now()
		report := w.run(t.Context())
		if took := time.Since(start); took > runTime {
			t.Errorf("took %v", took)
		}
		for i := 1; i < len(w.api.times); i++ {
			if gap := w.api.times[i].Sub(w.api.times[i-1]); gap < time.Second {
				t.Errorf("call %d comes %v after the one before it", i, gap)
			}
		}
		if n := len(w.api.calls); n != 15 && n != 16 { // the last one's turn comes in the instant in which the run ends
			t.Errorf("%d calls, want 15 or 16", n)
		}
		looked, skipped := 0, 0
		for _, f := range report.Findings {
			switch {
			case f.Check == checkSuppression && f.Status == OK:
				looked++
			case f.Check == checkSuppression && f.Status == Skipped && f.Detail == outOfTime:
				skipped++
			}
		}
		if looked < 4 || looked+skipped != 31 {
			t.Errorf("%d recipients looked at, %d skipped", looked, skipped)
		}
	})
}

func TestAnOperationThatIsNotAllowedIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.cfg.To = []string{"a@example.net", "B@example.net", "c@example.net"}
		w.api.errs["GetSuppressedDestination"] = apiError("AccessDeniedException", "no")
		w.run(t.Context())
		n := 0
		for _, op := range w.api.calls {
			if op == "GetSuppressedDestination" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

func TestARunThatIsCanceledEndsAtOnceAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set(drops)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		start := time.Now()
		report := w.run(ctx)
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		slugs := map[string]bool{}
		for _, f := range report.Findings {
			slugs[f.Check] = true
			if f.Status == Fail {
				t.Errorf("fails: %v", f)
			}
		}
		if len(slugs) != len(checks) {
			t.Errorf("%d of %d checks reported", len(slugs), len(checks))
		}
	})
}

func TestFindingsAreToldAsTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set(drops, "2465")
		start := time.Now()
		came := map[string]time.Duration{}
		n := 0
		w.cfg.Found = func(f Finding) { came[f.Check] = time.Since(start); n++ }
		report := w.run(t.Context())
		if n != len(report.Findings) {
			t.Errorf("%d told of %d", n, len(report.Findings))
		}
		for check, want := range map[string]time.Duration{checkEndpoint: 0, checkSending: 0, checkIdentity: 2 * time.Second, checkPorts: stepTime} {
			if came[check] != want {
				t.Errorf("%s came after %v, want %v", check, came[check], want)
			}
		}
	})
}

func TestARealSendGoesOverWhatWorks(t *testing.T) {
	late := func(ctx context.Context, id string) error { <-ctx.Done(); return ctx.Err() }
	for _, tt := range []struct {
		name  string
		spoil func(w *world, api *sendingAPI)
		want  Status
		words string
		sent  int // over the API
	}{
		{"SMTP", func(*world, *sendingAPI) {}, OK, "accepted as ", 0},
		{"API", func(w *world, _ *sendingAPI) { w.cfg.SMTP = smtpclient.Config{} }, OK, "accepted as id-1", 1},
		{"beside many recipients", func(w *world, _ *sendingAPI) {
			for i := range 30 {
				w.cfg.To = append(w.cfg.To, fmt.Sprintf("user%d@example.net", i))
			}
		}, OK, "accepted as ", 0},
		{"refused over SMTP", func(w *world, _ *sendingAPI) { w.server.Account.Unverify() }, Fail, "not verified", 0},
		{"refused for what another check has said", func(w *world, api *sendingAPI) {
			w.server.Account.Unverify()
			clear(api.identities)
		}, Warn, "not verified", 0},
		{"refused over the API", func(w *world, api *sendingAPI) {
			w.cfg.SMTP = smtpclient.Config{}
			api.errs["SendEmail"] = apiError("MessageRejected", "Email address is not verified. The following identities failed the check in region US-EAST-1: news@example.com")
		}, Fail, "not verified", 0},
		{"the event does not come", func(w *world, _ *sendingAPI) { w.cfg.Await = late }, Warn, "did not come in time", 0},
		{"no way", func(w *world, api *sendingAPI) { w.cfg.SMTP = smtpclient.Config{}; w.cfg.API = w.api }, Skipped, "no way", 0},
		{"a line end in a name", func(w *world, _ *sendingAPI) { w.cfg.ConfigurationSet = "a\r\nBcc: x@y.example" }, Skipped, "line end", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				api := &sendingAPI{fakeAPI: w.api}
				w.cfg.API, w.cfg.RealSend = api, true
				tt.spoil(w, api)
				start := time.Now()
				report := w.run(t.Context())
				f := report.Findings[len(report.Findings)-1]
				if f.Check != checkRealSend || f.Status != tt.want || !strings.Contains(f.Detail, tt.words) {
					t.Errorf("got %v", f)
				}
				if len(api.sent) != tt.sent || time.Since(start) > runTime {
					t.Errorf("%d sent over the API, in %v", len(api.sent), time.Since(start))
				}
				hidesSecrets(t, w, report)
			})
		})
	}
}

func TestNothingSecretIsSaidBeforeTheCertificateIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.cfg.SMTP.TLSConfig = &tls.Config{}
		w.cfg.RealSend = true
		report := w.run(t.Context())
		if n := w.server.Logins(); n != 0 {
			t.Errorf("%d sign-ins", n)
		}
		for _, f := range report.Findings {
			if f.Check == checkSignIn && (f.Status != Skipped || !strings.Contains(f.Detail, "nothing secret")) {
				t.Errorf("got %v", f)
			}
		}
		for _, line := range w.server.Commands() {
			if strings.Contains(strings.ToUpper(line), "AUTH") {
				t.Errorf("said %q", line)
			}
		}
	})
}

func TestAFindingIsTextAndJSON(t *testing.T) {
	f := Finding{Check: checkPorts, Subject: "host", Status: Fail, Detail: "port 587 refused", Advice: "Open it.", Source: "A page", Reason: seserrors.Network, Took: time.Second}
	if got, want := f.String(), "FAIL ports                 host: port 587 refused\n       → Open it.\n         A page\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	js, err := json.Marshal(f)
	want := `{"check":"ports","subject":"host","status":"fail","detail":"port 587 refused","advice":"Open it.","source":"A page","reason":"network","took":1000000000}`
	if err != nil || string(js) != want {
		t.Errorf("got %s, %v", js, err)
	}
	var back Finding
	if err := json.Unmarshal(js, &back); err != nil || back != f {
		t.Errorf("read back %v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"status":"fine"}`), &back); err == nil {
		t.Error("an unknown status is read")
	}
}

func FuzzRecords(f *testing.F) {
	f.Add("v=DMARC1; p=reject; adkim=s")
	f.Add("k=rsa;p=MIGf")
	f.Add("v=spf1 include:amazonses.com ~all")
	f.Fuzz(func(t *testing.T, record string) {
		for name := range tags(record) {
			if name != strings.ToLower(strings.TrimSpace(name)) {
				t.Errorf("tag %q", name)
			}
		}
	})
}
