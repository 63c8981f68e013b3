package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
	"golang.org/x/net/dns/dnsmessage"
)

// A broken world: the check that is named must say these words, in its detail or
// advice, and no other may fail.
type spoilt struct {
	name  string
	spoil func(w *world)
	check string
	want  Status
	words string
}

var networks = []spoilt{
	{"a region without SMTP", func(w *world) { w.cfg.SMTP.Region = "me-south-1" }, checkEndpoint, Fail, "SMTP.Region: SES has no SMTP endpoint in me-south-1"},
	{"the address of a region without SMTP", func(w *world) {
		w.cfg.SMTP.Addr = "email-smtp.me-south-1.amazonaws.com:587"
	}, checkEndpoint, Fail, "SMTP.Region: SES has no SMTP endpoint in me-south-1"},
	{"a region with a typing error", func(w *world) { w.direct(); w.region("us-esat-1") }, checkEndpoint, Fail, "spelling of the region"},
	{"a region with a typing error, through a proxy", func(w *world) { w.region("us-esat-1") }, checkEndpoint, Fail, "spelling of the region"},
	{"an availability zone for a region", func(w *world) { w.region("us-east-1a") }, checkEndpoint, Fail, "spelling of the region"},
	{"a host in place of a region", func(w *world) { w.cfg.SMTP.Region = "email-smtp.us-east-1.amazonaws.com" }, checkEndpoint, Fail, "a host name goes into Addr"},
	{"an address without a port", func(w *world) { w.cfg.SMTP.Addr = host }, checkEndpoint, Fail, "host:port"},
	{"a port that SES does not have", func(w *world) { w.cfg.SMTP.Port = 5870 }, checkEndpoint, Fail, "SES listens on"},
	{"a region in capitals", func(w *world) { w.cfg.SMTP.Region = "US-EAST-1" }, checkEndpoint, OK, "resolves"},
	{"DNS is silent", func(w *world) { w.direct(); w.dns.silent = "." }, checkEndpoint, Fail, "DNS gave no answer"},
	{"DNS fails", func(w *world) { w.direct(); w.dns.rcode[host] = dnsmessage.RCodeServerFailure }, checkEndpoint, Fail, "DNS gave no answer about the name (server misbehaving)"},
	{"DNS refuses", func(w *world) { w.direct(); w.dns.rcode[host] = dnsmessage.RCodeRefused }, checkEndpoint, Fail, "resolv.conf"},
	{"DNS cuts answers off", func(w *world) { w.dns.cut = true }, checkEndpoint, OK, "192.0.2.1"},
	{"a proxy looks names up", func(w *world) { w.dns.hosts = nil }, checkEndpoint, Warn, "does not exist"},
	{"a DNS filter", func(w *world) { w.dns.hosts[host] = "0.0.0.0"; w.set(refuses) }, checkEndpoint, Fail, "to this machine, not to SES"},
	{"a tunnel on this machine", func(w *world) { w.dns.hosts[host] = "127.0.0.1" }, checkEndpoint, Warn, "to this machine"},
	{"no endpoint", func(w *world) { w.cfg.SMTP = smtpclient.Config{} }, checkEndpoint, Skipped, "SMTP.Region"},

	{"EC2 drops port 25", func(w *world) { w.set(drops, "25") }, checkPorts, OK, "EC2"},
	{"EC2 drops the configured port 25", func(w *world) { w.set(drops, "25"); w.cfg.SMTP.Port = 25 }, checkPorts, Fail, "EC2 blocks port 25"},
	{"a firewall drops everything", func(w *world) { w.set(drops) }, checkPorts, Fail, "drops the packets"},
	{"a firewall refuses everything", func(w *world) { w.set(refuses) }, checkPorts, Fail, "refuses"},
	{"a firewall says that there is no way", func(w *world) { w.set(noRoute) }, checkPorts, Fail, "network is unreachable"},
	{"the whole network is gone", func(w *world) { w.set(drops); w.answers[""] = answer{err: errNoRoute} }, checkPorts, Fail, "drops the packets"},
	{"a dial that does not heed its context", func(w *world) {
		w.set(func(context.Context) (net.Conn, error) { time.Sleep(time.Hour); return refuses(context.Background()) })
	}, checkPorts, Fail, "no answer within 5s"},
	{"a dial that returns nothing", func(w *world) {
		w.set(func(context.Context) (net.Conn, error) { return nil, nil })
	}, checkPorts, Fail, "unreachable"},
	{"a proxy whose error holds a secret", func(w *world) {
		w.set(func(context.Context) (net.Conn, error) { return nil, errors.New("proxy http://me:s.abc@proxy refuses") })
	}, checkPorts, Fail, "your DialContext"},
	{"the configured port is refused", func(w *world) { w.set(refuses, "587") }, checkPorts, Fail, "Use port 2587 or 465"},
	{"the configured port is dropped", func(w *world) { w.set(drops, "587", "25") }, checkPorts, Fail, "Use port 2587 or 465"},
	{"another port is dropped", func(w *world) { w.set(drops, "2465") }, checkPorts, Warn, "2465 dropped"},
	{"a VPC endpoint", func(w *world) {
		w.cfg.SMTP.Addr, w.cfg.SMTP.TLSConfig.ServerName = "vpce-0a1b.email-smtp.us-east-1.vpce.amazonaws.com:587", host
		w.dns.hosts["vpce-0a1b.email-smtp.us-east-1.vpce.amazonaws.com"] = "10.0.0.7"
		w.set(w.to("587"))
	}, checkPorts, OK, "587, 2587, 465, 2465, 25 open"},
	{"an address with a wrong port", func(w *world) { w.cfg.SMTP.Addr = host + ":5870" }, checkPorts, Fail, "Port 5870 is none of SES's. Use port 587"},

	{"the wrapper is set for 587", func(w *world) { w.cfg.SMTP.TLS = smtpclient.TLSWrapper }, checkTLSMode, Fail, "port 587 speaks STARTTLS"},
	{"STARTTLS is set for 465", func(w *world) { w.cfg.SMTP.TLS, w.cfg.SMTP.Port = smtpclient.TLSStartTLS, 465 }, checkTLSMode, Fail, "first octet"},
	{"clear text is set", func(w *world) { w.cfg.SMTP.TLS = smtpclient.TLSNone }, checkTLSMode, Fail, "only for a loopback address"},
	{"a port that speaks TLS at once", func(w *world) { w.set(w.to("465"), "587") }, checkTLSMode, Fail, "swapped"},
	{"a port that greets in clear text", func(w *world) { w.set(w.to("587"), "465"); w.cfg.SMTP.Port = 465 }, checkTLSMode, Fail, "swapped"},
	{"a masked greeting", func(w *world) { w.set(says("220 ***************", nil), "587") }, checkTLSMode, Fail, "intercepts"},
	{"greetings are masked everywhere", func(w *world) { w.set(says("220 ***************", nil)) }, checkTLSMode, Fail, "asterisks"},
	{"another server's greeting", func(w *world) { w.set(says("220 mail.corp.example ESMTP", nil), "587") }, checkTLSMode, Fail, "not that of SES"},
	{"STARTTLS is taken out", func(w *world) {
		w.set(says(banner, map[string]string{"EHLO": "250-here\r\n250-XXXXXXXA\r\n250 Ok"}), "587")
	}, checkTLSMode, Fail, "offers no STARTTLS"},
	{"STARTTLS is refused", func(w *world) {
		w.set(says(banner, map[string]string{"EHLO": "250-here\r\n250-STARTTLS\r\n250 Ok", "STARTTLS": "454 TLS not available"}), "587", "25", "2587")
	}, checkTLSMode, Fail, "454 TLS not available"},
	{"TLS gets no answer", func(w *world) {
		w.set(says(banner, map[string]string{"EHLO": "250-here\r\n250-STARTTLS\r\n250 Ok", "STARTTLS": "220 Ready"}), "587")
	}, checkTLSMode, Fail, "MTU"},
	{"TLS gets no answer from a relay", func(w *world) {
		w.cfg.SMTP.Addr, w.dns.hosts["relay.corp.example"] = "relay.corp.example:587", "192.0.2.9"
		w.set(says("220 relay.corp.example ESMTP", map[string]string{"EHLO": "250-here\r\n250-STARTTLS\r\n250 Ok", "STARTTLS": "220 Ready"}), "587")
	}, checkTLSMode, Fail, "TLS handshake gets no answer"},
	{"TLS is answered in clear text", func(w *world) {
		w.set(says(banner, map[string]string{"EHLO": "250-here\r\n250-STARTTLS\r\n250 Ok", "STARTTLS": "220 Ready\r\n500 what?"}), "587")
	}, checkTLSMode, Fail, "intercepts"},
	{"a web page in place of a greeting", func(w *world) { w.set(says("HTTP/1.1 400 Bad Request", nil)) }, checkTLSMode, Fail, "no SMTP"},
	{"nobody greets", func(w *world) { w.set(says("", nil)) }, checkTLSMode, Fail, "nobody greets"},
	{"closed without a greeting", func(w *world) { w.set(closes) }, checkTLSMode, Fail, "closed before the greeting"},
	{"the server turns away", func(w *world) { w.set(says("421 Too many concurrent SMTP connections", nil), "587") }, checkTLSMode, Fail, "turns the connection away"},
	{"closed after EHLO", func(w *world) { w.set(says(banner, map[string]string{"EHLO": "close"}), "587") }, checkTLSMode, Fail, "breaks"},
	{"only another port is intercepted", func(w *world) { w.set(says("220 ****", nil), "25") }, checkTLSMode, Warn, "port 25: something intercepts"},

	{"TLS is intercepted", func(w *world) { w.cfg.SMTP.TLSConfig = nil }, checkCertificate, Fail, "issued by localhost, which this machine does not trust"},
	{"TLS is intercepted, that of the API too", func(w *world) {
		w.cfg.SMTP.TLSConfig = nil
		w.http.TLSClientConfig = nil
	}, checkCertificate, Fail, "does not trust"},
	{"a clock that is behind, for the API too", func(w *world) {
		w.cfg.SMTP.TLSConfig.Time = func() time.Time { return time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC) }
		w.answers[""] = answer{403, "RequestTimeTooSkewed", "", nil}
	}, checkCertificate, Fail, "valid only from"},
	{"TLS is intercepted on another port", func(w *world) { w.shows(time.Hour, false) }, checkTLSMode, Warn, "port 465: the certificate is not trusted"},
	{"a certificate for another host", func(w *world) { w.cfg.SMTP.TLSConfig.ServerName = "mail.example.org" }, checkCertificate, Fail, "another host"},
	{"a certificate that has expired", func(w *world) { w.cfg.SMTP.Port = 465; w.shows(-time.Hour, true) }, checkCertificate, Fail, "expired on 1999-12-31 23:00:00 UTC"},
	{"a certificate of a CA without a name", func(w *world) { w.cfg.SMTP.Port = 465; w.shows(time.Hour, false) }, checkCertificate, Fail, "issued by somebody without a name"},
	{"a clock that is ahead", func(w *world) {
		w.cfg.SMTP.TLSConfig.Time = func() time.Time { return time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC) }
	}, checkCertificate, Fail, "expired"},
	{"a clock that is behind", func(w *world) {
		w.cfg.SMTP.TLSConfig.Time = func() time.Time { return time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC) }
	}, checkCertificate, Fail, "valid only from"},
	{"a certificate that ends soon", func(w *world) {
		w.cfg.SMTP.TLSConfig.Time = func() time.Time { return time.Date(2099, 12, 30, 0, 0, 0, 0, time.UTC) }
	}, checkCertificate, Warn, "valid only until"},
	{"any certificate is taken", func(w *world) { w.cfg.SMTP.TLSConfig = &tls.Config{InsecureSkipVerify: true} }, checkCertificate, Fail, "would give the password to anyone"},

	{"the secret of an IAM key as password", func(w *world) { w.cfg.SMTP.Password = secret }, checkSignIn, Fail, "secret of the IAM key itself"},
	{"the secret of an IAM key, at the address of a region", func(w *world) {
		w.cfg.API, w.cfg.Region = nil, "us-east-1"
		w.cfg.SMTP.Addr, w.cfg.SMTP.TLSConfig.ServerName, w.cfg.SMTP.Password = "email-smtp.us-west-2.amazonaws.com:587", host, secret
		w.server.Password = smtpclient.DerivePassword(secret, "us-west-2")
		w.dns.hosts["email-smtp.us-west-2.amazonaws.com"] = "192.0.2.2"
		w.set(w.to("587"), "587")
	}, checkSignIn, Fail, `DerivePassword(secret, "us-west-2")`},
	{"the secret of another IAM key", func(w *world) { w.cfg.SMTP.Password = strings.ToLower(secret) }, checkSignIn, Fail, "looks like the secret"},
	{"a password of another region", func(w *world) {
		w.cfg.SMTP.Password = smtpclient.DerivePassword(secret, "eu-west-1")
	}, checkSignIn, Fail, "another region than us-east-1"},
	{"a key that was deleted", func(w *world) { w.server.Username = "AKIAI44QH8DHBEXAMPLE" }, checkSignIn, Fail, "the key was deleted"},
	{"some other password", func(w *world) { w.cfg.SMTP.Password = "hunter2hunter2" }, checkSignIn, Fail, "no SMTP password of SES"},
	{"the name of the IAM user", func(w *world) { w.cfg.SMTP.Username = "ses-smtp-user.20260101-120000" }, checkSignIn, Fail, "begins with AKIA"},
	{"user name and password are swapped", func(w *world) {
		w.cfg.SMTP.Username, w.cfg.SMTP.Password = w.cfg.SMTP.Password, w.cfg.SMTP.Username
	}, checkSignIn, Fail, "begins with AKIA"},
	{"a temporary key", func(w *world) { w.cfg.SMTP.Username = "ASIAIOSFODNN7EXAMPLE" }, checkSignIn, Fail, "temporary"},
	{"a user name alone", func(w *world) { w.cfg.SMTP.Password = "" }, checkSignIn, Fail, "SMTP.Password: missing"},
	{"a password with a line end", func(w *world) { w.cfg.SMTP.Password += "\n" }, checkSignIn, Fail, "white space"},
	{"no credentials", func(w *world) { w.cfg.SMTP.Username, w.cfg.SMTP.Password = "", "" }, checkSignIn, Skipped, "no SMTP credentials"},
	{"a vault that fails", func(w *world) {
		w.vault(func() (string, string, error) { return "", "", errors.New("token s.abc is expired") })
	}, checkSignIn, Fail, "Credentials failed"},
	{"a vault that hangs", func(w *world) {
		w.vault(func() (string, string, error) { time.Sleep(time.Hour); return "", "", nil })
	}, checkSignIn, Fail, "Credentials failed"},
	{"an account that is not subscribed", func(w *world) { w.atAuth("535 Account not subscribed to SES") }, checkSignIn, Fail, "not subscribed"},
	{"SES cannot tell now", func(w *world) { w.atAuth("454 Temporary authentication failure") }, checkSignIn, Fail, "Temporary authentication failure"},
	{"old credentials that are throttled", func(w *world) {
		w.atAuth("454 Throttling failure: Maximum SigV2 SMTP sending rate exceeded.")
	}, checkSignIn, Warn, "SigV2"},
	{"AUTH is taken out", func(w *world) { w.cfg.SMTP.Port = 465; w.shows(30*24*time.Hour, true) }, checkSignIn, Fail, "AUTH"},
	{"closed at AUTH", func(w *world) { w.atAuth("") }, checkSignIn, Fail, "ends the connection at AUTH"},
	{"credentials from before 2019", func(w *world) {
		w.cfg.SMTP.Password = "AuEclgAFIkKhHh4gCzZbr1lnY0V9wVqpFwg9NSjjBQbF"
		w.server.Password = w.cfg.SMTP.Password
	}, checkOldKey, Warn, "before January 10, 2019"},

	{"large packets get lost", func(w *world) { w.lose("587") }, checkMTU, Fail, "MTU"},
}

var accounts = []spoilt{
	{"no API", func(w *world) { w.cfg.API = nil }, checkCredentials, Skipped, "no API client"},
	{"a clock that is off", func(w *world) {
		w.answers[""] = answer{403, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260102T000000Z (20260102T000500Z - 5 min.)", nil}
	}, checkCredentials, Fail, "clock"},
	{"a clock that the SDK makes up for", func(w *world) { w.ahead = time.Hour }, checkCredentials, Warn, "off by 1h0m0s"},
	{"an unknown key", func(w *world) {
		w.answers[""] = answer{403, "UnrecognizedClientException", "The security token included in the request is invalid.", nil}
	}, checkCredentials, Fail, "aws sts get-caller-identity"},
	{"a session that has ended", func(w *world) {
		w.answers[""] = answer{403, "ExpiredTokenException", "The security token included in the request is expired", nil}
	}, checkCredentials, Fail, "expired"},
	{"no credentials for the API", func(w *world) {
		w.cfg.API = sesv2.New(sesv2.Options{Region: "us-east-1", HTTPClient: w, Credentials: aws.CredentialsProviderFunc(
			func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errNoRoute })})
	}, checkCredentials, Fail, "credentials-unavailable"},
	{"the API hangs", func(w *world) { w.answers[""] = answer{} }, checkCredentials, Fail, "5s"},
	{"the API's name does not resolve", func(w *world) {
		w.answers[""] = answer{err: &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "email.us-east-1.amazonaws.com", IsNotFound: true}}}
	}, checkCredentials, Fail, "no such host"},
	{"the API fails", func(w *world) { w.answers[""] = answer{500, "InternalFailure", "", nil} }, checkCredentials, Fail, "(service-failure): 500"},
	{"a proxy refuses the API", func(w *world) { w.answers[""] = answer{407, "", "", nil} }, checkCredentials, Fail, "proxy"},
	{"GetAccount is not allowed", func(w *world) { w.account.Deny("ses:GetAccount") }, checkCredentials, Warn, "ses:GetAccount"},
	{"nothing is allowed", func(w *world) {
		w.account.Deny("ses:GetAccount", "ses:GetEmailIdentity", "ses:GetConfigurationSet", "ses:GetConfigurationSetEventDestinations", "ses:GetSuppressedDestination", "ses:ListSuppressedDestinations")
	}, checkIdentity, Skipped, "ses:GetEmailIdentity"},
	{"others make control calls too", func(w *world) {
		w.answers["GetAccount"] = answer{429, "TooManyRequestsException", "Too many requests", nil}
	}, checkCredentials, Warn, "more than one a second"},
	{"the API of another region", func(w *world) { w.cfg.API = w.client("eu-west-1"); w.account.Unverify() }, checkCredentials, Fail, "asked in eu-west-1, but mail is sent in us-east-1"},
	{"an address of another region than the API's", func(w *world) {
		w.cfg.SMTP.Addr, w.cfg.Region = "email-smtp.us-west-2.amazonaws.com:587", "us-east-1"
		w.dns.hosts["email-smtp.us-west-2.amazonaws.com"] = "192.0.2.2"
		w.set(w.to("587"), "587")
		w.cfg.SMTP.TLSConfig.ServerName = host
	}, checkCredentials, Fail, "asked in us-east-1, but mail is sent in us-west-2"},

	{"the sandbox with an unverified recipient", func(w *world) { w.account.SetSandbox(true) }, checkSandbox, Fail, "may not send there"},
	{"the sandbox with a recipient in other case", func(w *world) {
		w.account.SetSandbox(true)
		w.account.Verify("ann@example.net")
		w.cfg.To = []string{"Ann@example.net"}
	}, checkSandbox, Fail, "ann@example.net is verified, but"},
	{"the sandbox with verified recipients", func(w *world) {
		w.account.SetSandbox(true)
		w.account.Verify("bob@example.net")
		w.cfg.To = []string{"ann@sub.example.com", "bob@example.net", "success@simulator.amazonses.com"}
	}, checkSandbox, Warn, "in the sandbox"},
	{"the sandbox with an identity that may not be read", func(w *world) {
		w.account.SetSandbox(true)
		w.account.Deny("ses:GetEmailIdentity")
	}, checkSandbox, Skipped, "ses:GetEmailIdentity"},
	{"sending is paused", func(w *world) { w.account.SetSendingPaused(true) }, checkSending, Fail, "paused"},
	{"the account is shut down", func(w *world) { w.account.SetSuspended(true) }, checkSending, Fail, "AWS shut the account down"},
	{"the account is under review", func(w *world) { w.account.SetProbation(true) }, checkSending, Warn, "review"},
	{"the quota is spent", func(w *world) { w.send(50); w.account.SetMax24HourSend(50) }, checkQuota, Fail, "0 of 50"},
	{"the quota does not suffice", func(w *world) {
		w.send(49)
		w.account.SetMax24HourSend(50)
		w.cfg.To = append(w.cfg.To, "bob@example.net")
	}, checkQuota, Fail, "1 of 50"},
	{"little quota is left", func(w *world) { w.send(41); w.account.SetMax24HourSend(50) }, checkQuota, Warn, "9 of 50"},
	{"a fifth of the quota is left", func(w *world) { w.send(40); w.account.SetMax24HourSend(50) }, checkQuota, OK, ""},
	{"an unlimited quota", func(w *world) { w.account.SetMax24HourSend(0) }, checkQuota, OK, "unlimited"},

	{"an unknown identity", func(w *world) { w.account.Unverify() }, checkIdentity, Fail, "is known to SES in us-east-1"},
	{"a domain that is pending", func(w *world) { w.identity(pending) }, checkIdentity, Fail, "PENDING"},
	{"a new domain without records", func(w *world) { w.identity(pending); w.clear("dkim") }, checkIdentity, Fail, "PENDING"},
	{"a domain that failed", func(w *world) {
		w.identity(func(id *sestest.Identity) { id.Status, id.ErrorType = "FAILED", "HOST_NOT_FOUND" })
	}, checkIdentity, Fail, "HOST_NOT_FOUND"},
	{"a domain that SES cannot look up for now", func(w *world) {
		w.identity(func(id *sestest.Identity) { id.Status, id.ErrorType = "TEMPORARY_FAILURE", "DNS_SERVER_ERROR" })
	}, checkIdentity, Fail, "TEMPORARY_FAILURE, DNS_SERVER_ERROR"},
	{"a pending domain without anything that aligns", func(w *world) {
		w.identity(func(id *sestest.Identity) { pending(id); id.MailFromDomain = "" })
	}, checkIdentity, Fail, "PENDING"},
	{"an address that is pending", func(w *world) {
		w.account.Unverify()
		w.account.SetIdentity("news@example.com", sestest.Identity{Status: "PENDING"})
	}, checkIdentity, Fail, "Open the link"},
	{"an address in other letter case", func(w *world) {
		w.account.Unverify()
		w.account.Verify("sales@example.com")
		w.cfg.From = "Sales@example.com"
	}, checkIdentity, Fail, "sales@example.com is verified, but"},
	{"the nearest of two verified domains", func(w *world) {
		w.cfg.From = "a@x.y.example.com"
		w.account.SetIdentity("y.example.com", sestest.Identity{DKIMTokens: []string{}})
	}, checkIdentity, OK, "y.example.com is verified"},
	{"a parent domain is verified", func(w *world) { w.cfg.From = "a@x.y.example.com" }, checkIdentity, OK, "example.com is verified"},
	{"a sister domain is verified", func(w *world) { w.cfg.From = "a@ample.com" }, checkIdentity, Fail, "neither the address nor its domain ample.com"},
	{"an international domain", func(w *world) {
		w.cfg.From = "a@bücher.example"
		w.account.SetIdentity("xn--bcher-kva.example", sestest.Identity{DKIMTokens: []string{}})
	}, checkIdentity, OK, "xn--bcher-kva.example is verified"},
	{"no sender", func(w *world) { w.cfg.From = "" }, checkIdentity, Skipped, "no sender"},
	{"a sender that is no address", func(w *world) { w.cfg.From = "news" }, checkIdentity, Fail, "no address"},
	{"a sender that is not in ASCII", func(w *world) { w.cfg.From = "jörg@example.com" }, checkIdentity, Fail, "the name in ASCII"},
	{"GetEmailIdentity is not allowed", func(w *world) { w.account.Deny("ses:GetEmailIdentity") }, checkIdentity, Skipped, "ses:GetEmailIdentity"},

	{"an identity of another account", func(w *world) { w.cfg.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/example.com" }, checkAuthorization, OK, "fits"},
	{"an ARN of another region", func(w *world) { w.cfg.FromARN = "arn:aws:ses:eu-west-1:123456789012:identity/example.com" }, checkAuthorization, Fail, "eu-west-1"},
	{"an ARN of another domain", func(w *world) { w.cfg.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/ample.com" }, checkAuthorization, Fail, "does not cover"},
	{"an ARN of another service", func(w *world) { w.cfg.FromARN = "arn:aws:sns:us-east-1:123456789012:identity/example.com" }, checkAuthorization, Fail, "no ARN"},
	{"no ARN", func(w *world) { w.cfg.FromARN = "example.com" }, checkAuthorization, Fail, "no ARN"},

	{"no such configuration set", func(w *world) { w.cfg.ConfigurationSet = "Main" }, checkConfigSet, Fail, "does not exist in us-east-1"},
	{"the identity's default set is gone", func(w *world) {
		w.cfg.ConfigurationSet = ""
		w.identity(func(id *sestest.Identity) { id.ConfigurationSet = "old" })
	}, checkConfigSet, Fail, "the default of example.com"},
	{"a paused configuration set", func(w *world) { w.account.PauseConfigurationSet("main", true) }, checkConfigSet, Fail, "paused"},
	{"a set that requires TLS", func(w *world) {
		w.account.SetConfigurationSet("main", sestest.ConfigurationSet{TLSPolicy: "REQUIRE", MaxDeliverySeconds: 300})
	}, checkConfigSet, OK, "mail to servers without TLS bounces; SES gives up after 300 s"},
	{"no configuration set", func(w *world) { w.cfg.ConfigurationSet = "" }, checkConfigSet, Skipped, "no configuration set"},
	{"GetConfigurationSet is not allowed", func(w *world) { w.account.Deny("ses:GetConfigurationSet") }, checkConfigSet, Skipped, "ses:GetConfigurationSet"},
	{"nobody hears of bounces", func(w *world) { w.account.AddConfigurationSet("main") }, checkEvents, Warn, "bounces, complaints"},
	{"the event destination is off", func(w *world) {
		w.account.SetConfigurationSet("main", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{Disabled: true}}})
	}, checkEvents, Warn, "switched off: 1 of 1"},
	{"one of two event destinations is off", func(w *world) {
		w.account.SetConfigurationSet("main", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{Disabled: true}, {}}})
	}, checkEvents, OK, "hears of bounces"},
	{"nobody hears of rendering failures", func(w *world) { w.hear("BOUNCE", "COMPLAINT", "SEND") }, checkEvents, Warn, "nobody hears of rendering failures of templates"},
	{"destinations may not be read", func(w *world) {
		w.account.Deny("ses:GetConfigurationSetEventDestinations")
	}, checkEvents, Skipped, "ses:GetConfigurationSetEventDestinations"},
	{"no feedback at all", func(w *world) {
		w.identity(func(id *sestest.Identity) { id.NoFeedbackForwarding = true })
		w.account.AddConfigurationSet("main")
	}, checkFeedback, Warn, "forwarding is off"},
	{"feedback by events only", func(w *world) {
		w.identity(func(id *sestest.Identity) { id.NoFeedbackForwarding = true })
	}, checkFeedback, OK, "not forwarded"},

	{"a suppressed recipient", func(w *world) { w.account.Suppress("ann@example.net", "BOUNCE") }, checkSuppression, Fail, "reason BOUNCE, since 2000-01-01"},
	{"a recipient suppressed in lower case", func(w *world) {
		w.cfg.To = []string{"Ann@example.net"}
		w.account.Suppress("ann@example.net", "COMPLAINT")
	}, checkSuppression, Fail, "as ann@example.net"},
	{"a recipient suppressed in other case", func(w *world) { w.account.Suppress("Ann@example.net", "BOUNCE") }, checkSuppression, Fail, "as Ann@example.net"},
	{"the list cannot be listed", func(w *world) {
		w.account.Deny("ses:ListSuppressedDestinations")
		w.cfg.To = []string{"Ann@example.net"}
		w.account.Suppress("ann@example.net", "COMPLAINT")
	}, checkSuppression, Fail, "as ann@example.net"},
	{"an international recipient that is suppressed", func(w *world) {
		w.cfg.To = []string{"ann@bücher.example"}
		w.account.Suppress("ann@xn--bcher-kva.example", "BOUNCE")
	}, checkSuppression, Fail, "is on the suppression list, reason BOUNCE"},
	{"a reason that does not suppress", func(w *world) {
		w.account.Suppress("ann@example.net", "BOUNCE")
		w.account.SetConfigurationSet("main", sestest.ConfigurationSet{SuppressedReasons: []string{"COMPLAINT"}})
	}, checkSuppression, Warn, "do not suppress for that reason"},
	{"no recipients", func(w *world) { w.cfg.To = nil }, checkSuppression, Skipped, "no recipients"},
	{"a recipient that is no address", func(w *world) { w.cfg.To = []string{"ann"} }, checkSuppression, Fail, "no address"},
	{"a recipient that is no address, without an API", func(w *world) { w.cfg.API, w.cfg.To = nil, []string{"ann@example..net"} }, checkSuppression, Fail, "no address"},
	{"a sender that is no address, without an API", func(w *world) { w.cfg.API, w.cfg.From = nil, "news" }, checkIdentity, Fail, "no address"},
	{"a recipient that is not in ASCII", func(w *world) { w.cfg.To = []string{"jörg@example.net"} }, checkSuppression, Fail, "no address that SES takes"},
	{"the list may not be read", func(w *world) {
		w.account.Deny("ses:ListSuppressedDestinations", "ses:GetSuppressedDestination")
	}, checkSuppression, Skipped, "lack the permission ses:GetSuppressedDestination"},
}

var zones = []spoilt{
	{"DKIM records are missing", func(w *world) { w.clear("dkim") }, checkDKIM, Fail, "one._domainkey.example.com CNAME one.dkim.amazonses.com"},
	{"DKIM records are missing and nothing else aligns", func(w *world) {
		w.clear("dkim")
		w.identity(func(id *sestest.Identity) { id.MailFromDomain = "" })
	}, checkDKIM, Fail, "no key can be used"},
	{"one DKIM record is missing", func(w *world) { delete(w.dns.cname, "two._domainkey.example.com") }, checkDKIM, Warn, "1 of 3 keys cannot be used: no record Publish two._domainkey.example.com CNAME two.dkim.amazonses.com"},
	{"one DKIM record is missing and nothing else aligns", func(w *world) {
		delete(w.dns.cname, "two._domainkey.example.com")
		w.identity(func(id *sestest.Identity) { id.MailFromDomain = "" })
	}, checkDKIM, Warn, "1 of 3"},
	{"DKIM records lead elsewhere", func(w *world) { w.alias(func(string) string { return "www.example.com" }) }, checkDKIM, Fail, "no key can be used: a CNAME to www.example.com"},
	{"a DKIM record leads to another key", func(w *world) {
		w.dns.cname["one._domainkey.example.com"] = "two.dkim.amazonses.com"
	}, checkDKIM, Warn, "1 of 3 keys cannot be used: a CNAME to two.dkim.amazonses.com"},
	{"DKIM records with the domain twice", func(w *world) {
		for _, token := range []string{"one", "two", "three"} {
			w.dns.cname[token+"._domainkey.example.com.example.com"] = token + ".dkim.amazonses.com"
			delete(w.dns.cname, token+"._domainkey.example.com")
		}
	}, checkDKIM, Fail, "one._domainkey.example.com CNAME one.dkim.amazonses.com"},
	{"DKIM is delegated", func(w *world) {
		w.dns.cname["one._domainkey.example.com"] = "one.dkim.corp.example"
		w.dns.txt["one.dkim.corp.example"] = []string{publicKey}
	}, checkDKIM, OK, "keys are in DNS"},
	{"DKIM keys are revoked", func(w *world) { w.keys("v=DKIM1; p=") }, checkDKIM, Fail, "revoked"},
	{"DKIM keys are cut off", func(w *world) { w.keys(publicKey[:150]) }, checkDKIM, Warn, "may be cut off"},
	{"DKIM keys are no keys", func(w *world) { w.keys("hello") }, checkDKIM, Fail, "without a key"},
	{"DKIM is pending", func(w *world) { w.identity(func(id *sestest.Identity) { id.DKIMStatus = "PENDING" }) }, checkDKIM, Fail, "The records are in DNS now"},
	{"DKIM is pending without records", func(w *world) {
		w.identity(func(id *sestest.Identity) { id.DKIMStatus = "PENDING" })
		w.clear("dkim")
	}, checkDKIM, Fail, "three._domainkey.example.com CNAME three.dkim.amazonses.com"},
	{"DKIM failed", func(w *world) { w.identity(func(id *sestest.Identity) { id.DKIMStatus = "FAILED" }) }, checkDKIM, Fail, "FAILED"},
	{"DKIM is off", func(w *world) { w.identity(func(id *sestest.Identity) { id.DKIMDisabled = true }) }, checkDKIM, Warn, "switched off"},
	{"DKIM is off and DMARC needs it", func(w *world) {
		w.identity(func(id *sestest.Identity) { id.DKIMDisabled, id.MailFromDomain = true, "" })
	}, checkDKIM, Fail, "the domain's DMARC policy asks for it"},
	{"DKIM is off, and DNS is silent about MAIL FROM", func(w *world) {
		w.dns.silent = "bounce"
		w.identity(func(id *sestest.Identity) { id.DKIMDisabled = true })
	}, checkDMARC, OK, "whether mail aligns is not known"},
	{"own DKIM key", func(w *world) {
		w.identity(func(id *sestest.Identity) { id.DKIMTokens, id.DKIMOwnKey = []string{"mine"}, true })
		w.dns.txt["mine._domainkey.example.com"] = []string{"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
	}, checkDKIM, OK, "in DNS"},
	{"own DKIM key is missing", func(w *world) {
		w.identity(func(id *sestest.Identity) { id.DKIMTokens, id.DKIMOwnKey = []string{"mine"}, true })
	}, checkDKIM, Fail, "mine._domainkey.example.com TXT"},
	{"DNS is silent about keys", func(w *world) { w.dns.silent = "one._domainkey" }, checkDKIM, Warn, "gave no answer"},
	{"an address of a domain that is pending", func(w *world) {
		w.identity(pending)
		w.account.Verify("news@example.com")
		w.clear("dkim")
		w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none"}
	}, checkDKIM, Warn, "one._domainkey.example.com CNAME"},

	{"MAIL FROM without MX", func(w *world) { w.dns.mx = nil }, checkMailFrom, Warn, "no MX record"},
	{"MAIL FROM without MX, mail is refused", func(w *world) {
		w.dns.mx = nil
		w.identity(func(id *sestest.Identity) { id.MailFromStatus, id.RejectOnMXFailure = "FAILED", true })
	}, checkMailFrom, Fail, "SES refuses mail"},
	{"MAIL FROM failed, mail is refused, DNS is silent", func(w *world) {
		w.dns.silent = "bounce"
		w.identity(func(id *sestest.Identity) { id.MailFromStatus, id.RejectOnMXFailure = "FAILED", true })
	}, checkMailFrom, Fail, "SES refuses mail"},
	{"MAIL FROM with two MX", func(w *world) {
		w.dns.mx["bounce.example.com"] = append(w.dns.mx["bounce.example.com"], "mx.example.com")
	}, checkMailFrom, Warn, "exactly one"},
	{"MAIL FROM's MX of another region", func(w *world) {
		w.dns.mx["bounce.example.com"] = []string{"feedback-smtp.eu-west-1.amazonses.com"}
	}, checkMailFrom, Warn, "another region"},
	{"MAIL FROM's MX is another server", func(w *world) { w.dns.mx["bounce.example.com"] = []string{"mx.example.com"} }, checkMailFrom, Warn, "its MX is mx.example.com"},
	{"MAIL FROM that SES has not seen", func(w *world) {
		w.identity(func(id *sestest.Identity) { id.MailFromStatus = "PENDING" })
	}, checkMailFrom, Warn, "not seen"},
	{"MAIL FROM without SPF", func(w *world) { w.dns.txt["bounce.example.com"] = nil }, checkMailFrom, Warn, "does not include"},
	{"MAIL FROM with another SPF", func(w *world) {
		w.dns.txt["bounce.example.com"] = []string{"v=spf1 ip4:192.0.2.1 -all"}
	}, checkMailFrom, Warn, "does not include"},
	{"MAIL FROM with SPF in the wrong order", func(w *world) {
		w.dns.txt["bounce.example.com"] = []string{"v=spf1 -all include:amazonses.com"}
	}, checkMailFrom, Warn, "does not include"},
	{"MAIL FROM with two SPF records", func(w *world) {
		w.dns.txt["bounce.example.com"] = []string{"v=spf1 -all", "v=spf1 include:amazonses.com ~all"}
	}, checkMailFrom, Warn, "counts as none"},
	{"SPF by redirect", func(w *world) {
		w.dns.txt["bounce.example.com"] = []string{"v=spf1 redirect=spf.example.com"}
		w.dns.txt["spf.example.com"] = []string{"v=spf1 ip4:192.0.2.1 +include:amazonses.com -all"}
	}, checkMailFrom, OK, ""},
	{"SPF that goes in a circle", func(w *world) {
		w.dns.txt["bounce.example.com"] = []string{"v=spf1 include:bounce.example.com -all"}
	}, checkMailFrom, Warn, "ten lookups"},
	{"SPF that needs ten lookups", func(w *world) { w.spf(10) }, checkMailFrom, OK, ""},
	{"SPF that needs eleven lookups", func(w *world) { w.spf(11) }, checkMailFrom, Warn, "ten lookups"},
	{"an address with a MAIL FROM that failed", func(w *world) {
		w.account.Unverify()
		w.account.SetIdentity("news@example.com", sestest.Identity{MailFromDomain: "bounce.example.com", MailFromStatus: "FAILED", RejectOnMXFailure: true})
	}, checkMailFrom, Fail, "SES refuses mail"},
	{"no custom MAIL FROM", func(w *world) { w.identity(func(id *sestest.Identity) { id.MailFromDomain = "" }) }, checkMailFrom, OK, "no custom"},
	{"DNS is silent about MAIL FROM", func(w *world) { w.dns.silent = "bounce" }, checkMailFrom, Warn, "gave no answer"},
	{"DNS fails for SPF", func(w *world) {
		w.dns.txt["bounce.example.com"] = []string{"v=spf1 include:spf.example.com ~all"}
		w.dns.rcode["spf.example.com"] = dnsmessage.RCodeServerFailure
	}, checkMailFrom, Warn, "DNS gave no answer about its SPF record (server misbehaving)"},

	{"no DMARC", func(w *world) { w.clear("_dmarc") }, checkDMARC, Warn, "no DMARC record; large"},
	{"two DMARC records", func(w *world) {
		w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none", "v=DMARC1; p=reject"}
	}, checkDMARC, Warn, "count as none"},
	{"a DMARC record without semicolons", func(w *world) {
		w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1 p=reject"}
	}, checkDMARC, Warn, "is no DMARC record"},
	{"DMARC p=none", func(w *world) { w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none"} }, checkDMARC, Warn, "p=none"},
	{"DMARC without a policy", func(w *world) { w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1;"} }, checkDMARC, Warn, "no valid policy"},
	{"DMARC of the organisational domain", func(w *world) {
		w.cfg.From = "a@news.example.com"
		w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none; sp=reject"}
	}, checkDMARC, OK, "p=reject at _dmarc.example.com"},
	{"DMARC whose sp is for subdomains", func(w *world) {
		w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=quarantine; sp=none"}
	}, checkDMARC, OK, "p=quarantine"},
	{"DMARC that asks for strict alignment", func(w *world) {
		w.cfg.From = "a@news.example.com"
		w.dns.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=reject; adkim=s; aspf=s"}
	}, checkDMARC, Fail, "neither DKIM nor SPF aligns"},
	{"a freemail sender with p=reject", func(w *world) {
		w.cfg.From = "me@freemail.example"
		w.account.Verify("me@freemail.example")
		w.dns.txt["_dmarc.freemail.example"] = []string{"v=DMARC1; p=reject"}
	}, checkDMARC, Fail, "neither DKIM nor SPF aligns"},
	{"a freemail sender with p=none", func(w *world) {
		w.cfg.From = "me@freemail.example"
		w.account.Verify("me@freemail.example")
		w.dns.txt["_dmarc.freemail.example"] = []string{"v=DMARC1; p=none"}
	}, checkDMARC, Warn, "neither DKIM nor SPF aligns"},
	{"an address of a domain that is pending, whose MAIL FROM works", func(w *world) {
		w.identity(pending)
		w.account.Verify("news@example.com")
	}, checkDMARC, OK, ", SPF aligns"},
	{"SPF alone aligns", func(w *world) { w.identity(func(id *sestest.Identity) { id.DKIMDisabled = true }) }, checkDMARC, OK, "SPF aligns"},
	{"DNS fails for DMARC", func(w *world) { w.dns.rcode["_dmarc.example.com"] = dnsmessage.RCodeServerFailure }, checkDMARC, Warn, "name servers answer"},
	{"DMARC without the API", func(w *world) { w.cfg.API = nil }, checkDMARC, OK, "whether mail aligns is not known"},
}

func TestABrokenNetworkIsNamedAndNothingElseFails(t *testing.T) { named(t, networks, sesPorts) }

// The other ports would only take time.
func TestABrokenAccountIsNamedAndNothingElseFails(t *testing.T) { named(t, accounts, []int{587}) }
func TestABrokenZoneIsNamedAndNothingElseFails(t *testing.T)    { named(t, zones, []int{587}) }

func named(t *testing.T, worlds []spoilt, ports []int) {
	for _, tt := range worlds {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.cfg.Ports = ports
				tt.spoil(w)
				report := w.run(t.Context())
				if w.took > runTime {
					t.Errorf("took %v", w.took)
				}
				said := false
				for _, f := range report.Findings {
					if f.Status == Fail && f.Check != tt.check {
						t.Errorf("fails too: %v", f)
					}
					if f.Status >= Warn && f.Advice == "" {
						t.Errorf("no advice: %v", f)
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

const banner = "220 email-smtp.amazonaws.com ESMTP"

var errNoRoute = &net.OpError{Op: "dial", Err: errors.New("connect: network is unreachable")}

func pending(id *sestest.Identity) { id.Status, id.DKIMStatus = "PENDING", "PENDING" }

// direct has names looked up and no proxy.
func (w *world) direct() { w.cfg.SMTP.DialContext = nil }

// region has both the API and SMTP in a region.
func (w *world) region(name string) {
	w.cfg.SMTP.Region = name
	w.cfg.API = w.client(name)
	w.answers[""] = answer{err: &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "email." + name + ".amazonaws.com", IsNotFound: true}}}
}

// vault has f give the credentials.
func (w *world) vault(f func() (string, string, error)) {
	w.cfg.SMTP.Username, w.cfg.SMTP.Password = "", ""
	w.cfg.SMTP.Credentials = func(context.Context) (string, string, error) { return f() }
}

// atAuth has the server answer so to AUTH, or close without a word.
func (w *world) atAuth(reply string) {
	if reply == "" {
		w.server.Script(sestest.Cut(sestest.Auth))
		return
	}
	w.server.Script(sestest.Raw(sestest.Auth, reply+"\r\n"))
}

// clear takes the records out whose name contains part.
func (w *world) clear(part string) {
	for _, records := range []map[string][]string{w.dns.txt, w.dns.mx} {
		for name := range records {
			if strings.Contains(name, part) {
				delete(records, name)
			}
		}
	}
}

// spf has the record that includes SES found after so many lookups.
func (w *world) spf(lookups int) {
	domain := "bounce.example.com"
	for i := 1; i < lookups; i++ {
		next := fmt.Sprintf("spf%d.example.com", i)
		w.dns.txt[domain] = []string{"v=spf1 include:" + next + " ~all"}
		domain = next
	}
	w.dns.txt[domain] = []string{"v=spf1 include:amazonses.com ~all"}
}

// keys has each key of DKIM be this record.
func (w *world) keys(record string) {
	for name := range w.dns.txt {
		if strings.HasSuffix(name, ".dkim.amazonses.com") {
			w.dns.txt[name] = []string{record}
		}
	}
}

// alias changes the targets of the CNAMEs of DKIM.
func (w *world) alias(target func(string) string) {
	for name, to := range w.dns.cname {
		w.dns.cname[name] = target(to)
	}
}

// shows has port 465 show a certificate without an issuer's name, which ends so
// long from now, and offer no extension.
func (w *world) shows(left time.Duration, trusted bool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(left), DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	if trusted {
		w.cfg.SMTP.TLSConfig.RootCAs.AddCert(leaf)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	w.set(func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go speak(tls.Server(server, conf), banner, map[string]string{"EHLO": "250 Ok", "NOOP": "250 Ok", "QUIT": "close"})
		return client, nil
	}, "465")
}
