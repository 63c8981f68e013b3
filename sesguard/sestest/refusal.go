package sestest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

func signatureTimes(*submission) string {
	const layout = "20060102T150405Z"
	now := time.Now().UTC()
	signed := now.Add(-time.Hour)
	return fmt.Sprintf("%s is now earlier than %s (%s - 5 min.)",
		signed.Format(layout), now.Add(-5*time.Minute).Format(layout), now.Format(layout))
}

func senderDomain(m *submission) string {
	_, domain, _ := strings.Cut(m.sender(), "@")
	return cmp.Or(domain, "example.com")
}

func senderARN(m *submission) string { return identityARN(m.mail.region, senderDomain(m)) }

func firstIdentity(m *submission) string {
	return failedIn(m.mail.region, cmp.Or(m.sender(), "unknown@example.com"))
}

// failedIn names the region, in capitals as SES does, and identities.
func failedIn(region, identities string) string {
	return strings.ToUpper(cmp.Or(region, DefaultRegion)) + ": " + identities
}

func configurationSet(m *submission) string { return cmp.Or(m.mail.ConfigurationSet, "default") }
func templateName(m *submission) string     { return cmp.Or(m.template, "default") }
func size(m *submission) string             { return fmt.Sprint(max(m.size(), MaxMessageSize+1)) }

func lastRecipient(m *submission) string {
	if len(m.mail.To) == 0 {
		return ""
	}
	return m.mail.To[len(m.mail.To)-1]
}

// A refusal is a reason with the particulars of one message.
type refusal struct {
	reason seserrors.Reason
	detail string
}

func refused(reason seserrors.Reason, detail string) *refusal {
	return &refusal{reason: reason, detail: detail}
}

// scripted makes the refusal that Refuse asks for.
func scripted(reason seserrors.Reason, m *submission) *refusal {
	r := &refusal{reason: reason}
	if f := refusals[reason].detail; f != nil {
		r.detail = f(m)
	}
	return r
}

func (r *refusal) fill(text string) string {
	if !strings.Contains(text, "%s") {
		return text
	}
	return fmt.Sprintf(text, r.detail)
}

func (r *refusal) smtp() (code int, text string) {
	w := refusals[r.reason]
	return w.smtpCode, r.fill(w.smtp)
}

func (r *refusal) api() (status int, code, message string) {
	w := refusals[r.reason]
	return w.status, w.apiCode, r.fill(w.api)
}

func (r *refusal) bulk() (status, text string) {
	w := refusals[r.reason]
	return cmp.Or(w.bulk, "INVALID_PARAMETER"), r.fill(w.api)
}

// Reasons returns the reasons that Refuse takes, sorted: those that SES can
// state over "smtp" or over "api", or with "" all of them. A test may go
// through them. For any other transport there are none.
func Reasons(transport string) []seserrors.Reason {
	var all []seserrors.Reason
	for reason, w := range refusals {
		if transport == "" || transport == string(overSMTP) && w.smtpCode != 0 || transport == string(overAPI) && w.status != 0 {
			all = append(all, reason)
		}
	}
	slices.Sort(all)
	return all
}
