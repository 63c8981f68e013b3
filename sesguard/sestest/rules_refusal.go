package sestest

import (
	"fmt"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// wording is how SES states one reason. In the texts %s stands for what the
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
	notVerified   = "Email address is not verified. The following identities failed the check in region %s"
	denied        = "User `arn:aws:iam::" + accountID + ":user/sestest' is not authorized to perform `%s' on resource `%%s'"
	missingTmpl   = "Template <%s> does not exist."
)

// refusals is what SES says for each reason. Sources: "Amazon SES SMTP response
// codes returned", "Amazon SES sending errors" (Amazon SES Developer Guide),
// "Common errors" and SendEmail, SendBulkEmail (Amazon SES API v2 Reference),
// and replies that users have published, which end in a full stop where the
// documentation has none.
var refusals = map[seserrors.Reason]wording{
	seserrors.SendRateExceeded: both(454, "Throttling failure: Maximum sending rate exceeded.",
		429, "TooManyRequestsException", "Maximum sending rate exceeded.").inBulk("ACCOUNT_THROTTLED"),
	seserrors.DailyQuotaExceeded: both(454, "Throttling failure: Daily message quota exceeded.",
		429, "TooManyRequestsException", "Daily message quota exceeded.").inBulk("ACCOUNT_DAILY_QUOTA_EXCEEDED"),
	seserrors.SigV2RateExceeded: both(454, "Throttling failure: Maximum SigV2 SMTP sending rate exceeded.",
		429, "TooManyRequestsException", "Maximum SigV2 SMTP sending rate exceeded.").inBulk("ACCOUNT_THROTTLED"),
	seserrors.TooManyConnections:  smtpOnly(Connect, 421, "Too many concurrent SMTP connections"),
	seserrors.SessionMessageLimit: smtpOnly(MailFrom, 421, "Connection closed by server. Maximum message count per session reached."),
	seserrors.IdleTimeout:         smtpOnly(MailFrom, 451, "4.4.2 Timeout waiting for data from client."),
	seserrors.ServiceFailure: both(451, "Temporary service failure",
		503, "ServiceUnavailable", "The service is temporarily unavailable. Try again later.").inBulk("TRANSIENT_FAILURE"),
	seserrors.AuthUnavailable: smtpOnly(Auth, 454, "Temporary authentication failure"),
	seserrors.RequestTimeout: apiOnly(408, "RequestTimeoutException",
		"The request timed out. The server didn't receive the complete request within the expected time frame. Try again."),
	seserrors.Conflict:     apiOnly(409, "ConcurrentModificationException", "The resource is being modified by another operation or thread."),
	seserrors.AuthRequired: smtpOnly(MailFrom, 530, "Authentication required"),
	seserrors.TLSRequired:  smtpOnly(MailFrom, 530, "Must issue a STARTTLS command first"),
	seserrors.CredentialsInvalid: both(535, "Authentication Credentials Invalid",
		403, "UnrecognizedClientException", "The security token included in the request is invalid.").at(Auth),
	seserrors.CredentialsExpired: apiOnly(403, "ExpiredTokenException", "The security token included in the request is expired"),
	seserrors.ClockSkew:          apiOnly(403, "InvalidSignatureException", "Signature expired: %s").about(signatureTimes),
	seserrors.NotSubscribed: both(535, "Account not subscribed to SES",
		403, "OptInRequired", "Your AWS account needs a subscription for this service.").at(Auth),
	seserrors.AccessDenied: both(554, "Access denied: "+fmt.Sprintf(denied, "ses:SendRawEmail"),
		403, "AccessDeniedException", fmt.Sprintf(denied, "ses:SendEmail")).about(senderARN),
	seserrors.IdentityNotVerified: both(554, "Message rejected: "+notVerified,
		400, "MessageRejected", notVerified).inBulk("MESSAGE_REJECTED").about(firstIdentity),
	seserrors.MailFromDomainNotVerified: both(554, "MAIL FROM domain not verified for identity %s.",
		400, "MailFromDomainNotVerifiedException", "Mail FROM domain is not verified").inBulk("MAIL_FROM_DOMAIN_NOT_VERIFIED").about(senderDomain),
	seserrors.SendingPaused: both(554, "Message rejected: "+pausedAccount,
		400, "SendingPausedException", pausedAccount).inBulk("ACCOUNT_SENDING_PAUSED"),
	seserrors.AccountSuspended: both(554, "Message rejected: Your account has been shut down because of issues related to your email sending practices.",
		400, "AccountSuspendedException", "The message can't be sent because the account's ability to send email has been permanently restricted.").inBulk("ACCOUNT_SUSPENDED"),
	seserrors.ConfigurationSetPaused: both(554, "Message rejected: "+pausedSet,
		400, "SendingPausedException", pausedSet).inBulk("CONFIGURATION_SET_SENDING_PAUSED").about(configurationSet),
	seserrors.ConfigurationSetMissing: both(554, missingSet,
		404, "NotFoundException", missingSet).inBulk("CONFIGURATION_SET_NOT_FOUND").about(configurationSet),
	seserrors.MessageTooLong: both(552, "Message is too long.",
		400, "BadRequestException", fmt.Sprintf("Message length is more than %d bytes long: '%%s'.", MaxMessageSize)).about(size),
	seserrors.MailFromSyntax:      smtpOnly(MailFrom, 501, "Invalid MAIL FROM address provided"),
	seserrors.RecipientSyntax:     smtpOnly(Rcpt, 553, "<%s> address unknown").about(lastRecipient),
	seserrors.IllegalAddress:      complaint("%s").about(fixed("Missing final '@domain'")),
	seserrors.NonASCIIAddress:     complaint("There are non-ASCII characters in the email address"),
	seserrors.NoRecipients:        apiOnly(400, "BadRequestException", "There are no recipients specified"),
	seserrors.TooManyRecipients:   complaint("Recipient count exceeds 50."),
	seserrors.RecipientSuppressed: both(554, "Message rejected: Address blacklisted.", 400, "MessageRejected", "Address blacklisted.").inBulk("MESSAGE_REJECTED"),
	seserrors.IllegalHeader:       complaint("%s").about(fixed("Missing required header 'From'.")),
	seserrors.DuplicateHeader:     complaint("Duplicate header '%s'.").about(fixed("From")),
	seserrors.IllegalAttachment:   complaint("Illegal filename '%s'.").about(fixed("setup.exe")),
	seserrors.InvalidParameter:    apiOnly(400, "BadRequestException", "%s").about(fixed("The input you provided is invalid.")),
	seserrors.InvalidTag:          complaint("%s").about(fixed("Tag name cannot exceed 255 characters.")),
	seserrors.TemplateMissing:     apiOnly(404, "NotFoundException", missingTmpl).inBulk("TEMPLATE_NOT_FOUND").about(templateName),
	seserrors.TemplateInvalid:     apiOnly(400, "BadRequestException", "%s").about(fixed("Attribute 'name' is not present in the rendering data.")),
	seserrors.InvalidSendingPool: apiOnly(400, "BadRequestException",
		"The configuration set you specified refers to an IP pool that does not exist.").inBulk("INVALID_SENDING_POOL_NAME"),
	seserrors.LimitExceeded: apiOnly(400, "LimitExceededException", "There are too many instances of the specified resource type."),
	seserrors.NotFound:      apiOnly(404, "NotFoundException", "The resource you attempted to access doesn't exist."),
	seserrors.MessageRejected: both(554, "Message rejected: The message was rejected because it contained a virus.",
		400, "MessageRejected", "The message was rejected because it contained a virus.").inBulk("MESSAGE_REJECTED"),
}
