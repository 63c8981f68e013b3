package sestest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Cause names why SES refuses. The values are the slugs of the reasons in
// the errors package of this module, for those reasons that a reply of SES can
// have.
type Cause string

// The causes. Those with a mark exist on one transport only.
const (
	SendRateExceeded          Cause = "send-rate-exceeded"
	DailyQuotaExceeded        Cause = "daily-quota-exceeded"
	SigV2RateExceeded         Cause = "sigv2-rate-exceeded"
	TooManyConnections        Cause = "too-many-connections"  // SMTP only, at Connect; closes
	SessionMessageLimit       Cause = "session-message-limit" // SMTP only, at MailFrom; closes
	IdleTimeout               Cause = "idle-timeout"          // SMTP only, at MailFrom; closes
	ServiceFailure            Cause = "service-failure"
	AuthUnavailable           Cause = "auth-unavailable" // SMTP only, at Auth
	RequestTimeout            Cause = "request-timeout"  // API only
	Conflict                  Cause = "conflict"         // API only
	AuthRequired              Cause = "auth-required"    // SMTP only, at MailFrom
	TLSRequired               Cause = "tls-required"     // SMTP only, at MailFrom
	CredentialsInvalid        Cause = "credentials-invalid"
	CredentialsExpired        Cause = "credentials-expired" // API only
	ClockSkew                 Cause = "clock-skew"          // API only
	NotSubscribed             Cause = "not-subscribed"
	AccessDenied              Cause = "access-denied"
	IdentityNotVerified       Cause = "identity-not-verified"
	MailFromDomainNotVerified Cause = "mail-from-domain-not-verified"
	SendingPaused             Cause = "sending-paused"
	AccountSuspended          Cause = "account-suspended"
	ConfigurationSetPaused    Cause = "configuration-set-paused"
	ConfigurationSetMissing   Cause = "configuration-set-missing"
	MessageTooLong            Cause = "message-too-long"
	MailFromSyntax            Cause = "mail-from-syntax" // SMTP only, at MailFrom
	RecipientSyntax           Cause = "recipient-syntax" // SMTP only, at Rcpt
	IllegalAddress            Cause = "illegal-address"
	NonASCIIAddress           Cause = "non-ascii-address"
	NoRecipients              Cause = "no-recipients" // API only
	TooManyRecipients         Cause = "too-many-recipients"
	RecipientSuppressed       Cause = "recipient-suppressed"
	IllegalHeader             Cause = "illegal-header"
	DuplicateHeader           Cause = "duplicate-header"
	IllegalAttachment         Cause = "illegal-attachment"
	InvalidParameter          Cause = "invalid-parameter" // API only
	InvalidTag                Cause = "invalid-tag"
	TemplateMissing           Cause = "template-missing"     // API only
	TemplateInvalid           Cause = "template-invalid"     // API only
	InvalidSendingPool        Cause = "invalid-sending-pool" // API only
	LimitExceeded             Cause = "limit-exceeded"       // API only
	NotFound                  Cause = "not-found"            // API only
	MessageRejected           Cause = "message-rejected"
)

// wording is how SES says one cause. In the texts %s stands for what the
// particular case adds; detail fills it for a scripted refusal.
type wording struct {
	stage    Stage // SMTP
	smtpCode int   // 0: SMTP has no such reply
	smtp     string

	status  int // 0: the API has no such answer
	apiCode string
	api     string

	bulk   string // status of a SendBulkEmail entry; "": INVALID_PARAMETER
	detail func(*submission) string
	closes bool
}

// The same complaint of SES's parser is prefixed over SMTP and bare over the
// API.
const parserPrefix = "Transaction failed: "

func complaint(text string) wording {
	return wording{
		stage: EndOfData, smtpCode: 554, smtp: parserPrefix + text,
		status: 400, apiCode: "BadRequestException", api: text,
	}
}

func apiOnly(status int, code, text string) wording {
	return wording{status: status, apiCode: code, api: text}
}

func smtpOnly(at Stage, code int, text string) wording {
	return wording{stage: at, smtpCode: code, smtp: text, closes: code == 421 || code == 451}
}

func both(smtpCode int, smtp string, status int, apiCode, api string) wording {
	return wording{stage: EndOfData, smtpCode: smtpCode, smtp: smtp, status: status, apiCode: apiCode, api: api}
}

func (w wording) at(s Stage) wording      { w.stage = s; return w }
func (w wording) inBulk(s string) wording { w.bulk = s; return w }
func (w wording) about(f func(*submission) string) wording {
	w.detail = f
	return w
}

func fixed(s string) func(*submission) string { return func(*submission) string { return s } }

const (
	inbox         = " For more information, please check the inbox of the email address associated with your AWS account."
	pausedAccount = "Sending paused for this account." + inbox
	pausedSet     = "Sending paused for configuration set <%s>." + inbox
	missingSet    = "Configuration set <%s> does not exist."
	notVerified   = "Email address is not verified. The following identities failed the check in region US-EAST-1: %s"
	denied        = "User `arn:aws:iam::123456789012:user/sestest' is not authorized to perform `%s' on resource `arn:aws:ses:us-east-1:123456789012:identity/%%s'"
	missingTmpl   = "Template <%s> does not exist."
)

// refusals is what SES says for each cause. Sources: "Amazon SES SMTP response
// codes returned", "Amazon SES sending errors" (Amazon SES Developer Guide),
// "Common errors" and SendEmail, SendBulkEmail (Amazon SES API v2 Reference),
// and replies that users have published, which end in a full stop where the
// documentation has none.
var refusals = map[Cause]wording{
	SendRateExceeded: both(454, "Throttling failure: Maximum sending rate exceeded.",
		429, "TooManyRequestsException", "Maximum sending rate exceeded.").inBulk("ACCOUNT_THROTTLED"),
	DailyQuotaExceeded: both(454, "Throttling failure: Daily message quota exceeded.",
		429, "TooManyRequestsException", "Daily message quota exceeded.").inBulk("ACCOUNT_DAILY_QUOTA_EXCEEDED"),
	SigV2RateExceeded: both(454, "Throttling failure: Maximum SigV2 SMTP sending rate exceeded.",
		429, "TooManyRequestsException", "Maximum SigV2 SMTP sending rate exceeded.").inBulk("ACCOUNT_THROTTLED"),
	TooManyConnections:  smtpOnly(Connect, 421, "Too many concurrent SMTP connections"),
	SessionMessageLimit: smtpOnly(MailFrom, 421, "Connection closed by server. Maximum message count per session reached."),
	IdleTimeout:         smtpOnly(MailFrom, 451, "4.4.2 Timeout waiting for data from client."),
	ServiceFailure: both(451, "Temporary service failure",
		503, "ServiceUnavailable", "The service is temporarily unavailable. Try again later.").inBulk("TRANSIENT_FAILURE"),
	AuthUnavailable: smtpOnly(Auth, 454, "Temporary authentication failure"),
	RequestTimeout: apiOnly(408, "RequestTimeoutException",
		"The request timed out. The server didn't receive the complete request within the expected time frame. Try again."),
	Conflict:     apiOnly(409, "ConcurrentModificationException", "The resource is being modified by another operation or thread."),
	AuthRequired: smtpOnly(MailFrom, 530, "Authentication required"),
	TLSRequired:  smtpOnly(MailFrom, 530, "Must issue a STARTTLS command first"),
	CredentialsInvalid: both(535, "Authentication Credentials Invalid",
		403, "UnrecognizedClientException", "The security token included in the request is invalid.").at(Auth),
	CredentialsExpired: apiOnly(403, "ExpiredTokenException", "The security token included in the request is expired"),
	ClockSkew:          apiOnly(403, "InvalidSignatureException", "Signature expired: %s").about(signatureTimes),
	NotSubscribed: both(535, "Account not subscribed to SES",
		403, "OptInRequired", "Your AWS account needs a subscription for this service.").at(Auth),
	AccessDenied: both(554, "Access denied: "+fmt.Sprintf(denied, "ses:SendRawEmail"),
		403, "AccessDeniedException", fmt.Sprintf(denied, "ses:SendEmail")).about(senderDomain),
	IdentityNotVerified: both(554, "Message rejected: "+notVerified,
		400, "MessageRejected", notVerified).inBulk("MESSAGE_REJECTED").about(firstIdentity),
	MailFromDomainNotVerified: both(554, "MAIL FROM domain not verified for identity %s.",
		400, "MailFromDomainNotVerifiedException", "Mail FROM domain is not verified").inBulk("MAIL_FROM_DOMAIN_NOT_VERIFIED").about(senderDomain),
	SendingPaused: both(554, "Message rejected: "+pausedAccount,
		400, "SendingPausedException", pausedAccount).inBulk("ACCOUNT_SENDING_PAUSED"),
	AccountSuspended: both(554, "Message rejected: Your account has been shut down because of issues related to your email sending practices.",
		400, "AccountSuspendedException", "The message can't be sent because the account's ability to send email has been permanently restricted.").inBulk("ACCOUNT_SUSPENDED"),
	ConfigurationSetPaused: both(554, "Message rejected: "+pausedSet,
		400, "SendingPausedException", pausedSet).inBulk("CONFIGURATION_SET_SENDING_PAUSED").about(configurationSet),
	ConfigurationSetMissing: both(554, missingSet,
		404, "NotFoundException", missingSet).inBulk("CONFIGURATION_SET_NOT_FOUND").about(configurationSet),
	MessageTooLong: both(552, "Message is too long.",
		400, "BadRequestException", fmt.Sprintf("Message length is more than %d bytes long: '%%s'.", MaxMessageSize)).about(size),
	MailFromSyntax:      smtpOnly(MailFrom, 501, "Invalid MAIL FROM address provided"),
	RecipientSyntax:     smtpOnly(Rcpt, 553, "<%s> address unknown").about(lastRecipient),
	IllegalAddress:      complaint("%s").about(fixed("Missing final '@domain'")),
	NonASCIIAddress:     complaint("There are non-ASCII characters in the email address"),
	NoRecipients:        apiOnly(400, "BadRequestException", "There are no recipients specified"),
	TooManyRecipients:   complaint("Recipient count exceeds 50."),
	RecipientSuppressed: both(554, "Message rejected: Address blacklisted.", 400, "MessageRejected", "Address blacklisted.").inBulk("MESSAGE_REJECTED"),
	IllegalHeader:       complaint("%s").about(fixed("Missing required header 'From'.")),
	DuplicateHeader:     complaint("Duplicate header '%s'.").about(fixed("From")),
	IllegalAttachment:   complaint("Illegal filename '%s'.").about(fixed("setup.exe")),
	InvalidParameter:    apiOnly(400, "BadRequestException", "%s").about(fixed("The input you provided is invalid.")),
	InvalidTag:          complaint("%s").about(fixed("Tag name cannot exceed 255 characters.")),
	TemplateMissing:     apiOnly(404, "NotFoundException", missingTmpl).inBulk("TEMPLATE_NOT_FOUND").about(templateName),
	TemplateInvalid:     apiOnly(400, "BadRequestException", "%s").about(fixed("Attribute 'name' is not present in the rendering data.")),
	InvalidSendingPool: apiOnly(400, "BadRequestException",
		"The configuration set you specified refers to an IP pool that does not exist.").inBulk("INVALID_SENDING_POOL_NAME"),
	LimitExceeded: apiOnly(400, "LimitExceededException", "There are too many instances of the specified resource type."),
	NotFound:      apiOnly(404, "NotFoundException", "The resource you attempted to access doesn't exist."),
	MessageRejected: both(554, "Message rejected: The message was rejected because it contained a virus.",
		400, "MessageRejected", "The message was rejected because it contained a virus.").inBulk("MESSAGE_REJECTED"),
}

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

func firstIdentity(m *submission) string    { return cmp.Or(m.sender(), "unknown@example.com") }
func configurationSet(m *submission) string { return cmp.Or(m.mail.ConfigurationSet, "default") }
func templateName(m *submission) string     { return cmp.Or(m.template, "default") }
func size(m *submission) string             { return fmt.Sprint(max(m.size(), MaxMessageSize+1)) }

func lastRecipient(m *submission) string {
	if len(m.mail.To) == 0 {
		return ""
	}
	return m.mail.To[len(m.mail.To)-1]
}

// A refusal is a cause with the particulars of one message.
type refusal struct {
	cause  Cause
	detail string
}

func refused(c Cause, detail string) *refusal { return &refusal{cause: c, detail: detail} }

// scripted makes the refusal that Refuse(c) asks for.
func scripted(c Cause, m *submission) *refusal {
	r := &refusal{cause: c}
	if f := refusals[c].detail; f != nil {
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
	w := refusals[r.cause]
	return w.smtpCode, r.fill(w.smtp)
}

func (r *refusal) api() (status int, code, message string) {
	w := refusals[r.cause]
	return w.status, w.apiCode, r.fill(w.api)
}

func (r *refusal) bulk() (status, text string) {
	w := refusals[r.cause]
	return cmp.Or(w.bulk, "INVALID_PARAMETER"), r.fill(w.api)
}

// Causes returns every cause, sorted: a test may go through all of them.
func Causes() []Cause {
	all := make([]Cause, 0, len(refusals))
	for c := range refusals {
		all = append(all, c)
	}
	slices.Sort(all)
	return all
}

// OverSMTP reports whether SES can say the cause over SMTP.
func (c Cause) OverSMTP() bool { return refusals[c].smtpCode != 0 }

// OverAPI reports whether SES can say the cause over the API.
func (c Cause) OverAPI() bool { return refusals[c].status != 0 }
