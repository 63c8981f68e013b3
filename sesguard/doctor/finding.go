package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A Status is the verdict of a check. The zero value is Skipped.
type Status uint8

// The verdicts.
const (
	Skipped Status = iota // not looked at; Detail says why
	OK
	Warn // mail leaves, but something is not as it should be
	Fail // mail does not leave, or not the way the settings say
)

var statusNames = [...]string{"skipped", "ok", "warn", "fail"}

// String returns "skipped", "ok", "warn" or "fail".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// MarshalText returns what String does.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets the status from what String returns.
func (s *Status) UnmarshalText(text []byte) error {
	i := slices.Index(statusNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("doctor: unknown status %q", text)
	}
	*s = Status(i)
	return nil
}

// A Finding is what one check found about one subject. Its texts hold no password
// and of a key id at most the last four characters.
type Finding struct {
	Check   string           `json:"check"`   // stable slug, see the package's table
	Subject string           `json:"subject"` // what was looked at: a host, an address, a domain
	Status  Status           `json:"status"`
	Detail  string           `json:"detail"`           // what was found, or why the check was skipped
	Advice  string           `json:"advice,omitempty"` // what to do about it
	Source  string           `json:"source"`           // title of AWS's page, or an RFC
	Reason  seserrors.Reason `json:"reason,omitempty"` // what a send would draw, where that is known
	Took    time.Duration    `json:"took"`             // nanoseconds in JSON
}

func (f *Finding) fail(why seserrors.Reason, detail, advice string) {
	f.Status, f.Reason, f.Detail, f.Advice = Fail, why, detail, advice
}

func (f *Finding) warn(detail, advice string) {
	f.Status, f.Reason, f.Detail, f.Advice = Warn, "", detail, advice
}

// A Report is all that one run found, in the order of the package's table.
type Report struct {
	Findings []Finding `json:"findings"`
}

// OK reports whether nothing failed. Warnings and skipped checks do not count.
func (r *Report) OK() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Status == Fail })
}

// WriteTo writes the report as text: a line for each finding, what to do and the
// source indented below what is not in order. It implements io.WriterTo.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.String())
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// String returns the finding as WriteTo writes it, with the line end.
func (f Finding) String() string {
	word := map[Status]string{Skipped: "skip", OK: "ok", Warn: "warn", Fail: "FAIL"}[f.Status]
	line := fmt.Sprintf("%-5s%-22s%s", word, f.Check, strings.TrimPrefix(f.Subject+": "+f.Detail, ": "))
	const indent = "\n       "
	if f.Advice != "" {
		line += indent + "→ " + f.Advice
	}
	if f.Status == Warn || f.Status == Fail {
		line += indent + "  " + f.Source
	}
	return line + "\n"
}

// The checks, in the order of a report.
const (
	checkEndpoint      = "endpoint"
	checkPorts         = "ports"
	checkTLSMode       = "tls-mode"
	checkCertificate   = "certificate"
	checkSignIn        = "smtp-sign-in"
	checkMTU           = "mtu"
	checkCredentials   = "api-credentials"
	checkSandbox       = "sandbox"
	checkSending       = "sending"
	checkQuota         = "quota"
	checkIdentity      = "identity"
	checkDKIM          = "dkim"
	checkMailFrom      = "mail-from"
	checkDMARC         = "dmarc"
	checkConfigSet     = "configuration-set"
	checkEvents        = "event-destination"
	checkFeedback      = "feedback"
	checkSuppression   = "suppression"
	checkAuthorization = "sending-authorization"
	checkOldKey        = "smtp-credentials-age"
	checkAllowList     = "allow-list"
	checkRealSend      = "real-send"
)

// checks lists every check with the page that it follows. All are of the Amazon
// SES Developer Guide unless they say otherwise.
var checks = []struct{ slug, source string }{
	{checkEndpoint, "Amazon SES endpoints and quotas, AWS General Reference"},
	{checkPorts, "Amazon SES SMTP issues"},
	{checkTLSMode, "Connecting to an Amazon SES SMTP endpoint"},
	{checkCertificate, "Testing your connection to the Amazon SES SMTP interface using the command line"},
	{checkSignIn, "Obtaining Amazon SES SMTP credentials"},
	{checkMTU, "Amazon SES SMTP issues"},
	{checkCredentials, "Identity and access management in Amazon SES"},
	{checkSandbox, "Request production access (Moving out of the Amazon SES sandbox)"},
	{checkSending, "Amazon SES Sending review process FAQs"},
	{checkQuota, "Managing your Amazon SES sending limits"},
	{checkIdentity, "Verified identities in Amazon SES"},
	{checkDKIM, "Authenticating Email with DKIM in Amazon SES"},
	{checkMailFrom, "Using a custom MAIL FROM domain"},
	{checkDMARC, "Complying with DMARC authentication protocol in Amazon SES"},
	{checkConfigSet, "Using configuration sets in Amazon SES"},
	{checkEvents, "Monitor email sending using Amazon SES event publishing"},
	{checkFeedback, "Receiving Amazon SES notifications through email"},
	{checkSuppression, "Using the Amazon SES account-level suppression list"},
	{checkAuthorization, "Using sending authorization with Amazon SES"},
	{checkOldKey, "Amazon SES email sending errors"},
	{checkAllowList, "Amazon SES SMTP issues"},
	{checkRealSend, "Using the mailbox simulator manually"},
}

func order(slug string) int {
	return slices.IndexFunc(checks, func(c struct{ slug, source string }) bool { return c.slug == slug })
}
