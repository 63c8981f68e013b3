package errors

import (
	stderrors "errors"
	"fmt"
	"net/textproto"
	"testing"
)

// A hundred replies in the words of AWS's pages and in their manner, written down
// before the rules saw them. Replies over SMTP are given by stage, answers of the
// API by status and code.
func TestHundredFurtherReplies(t *testing.T) {
	rows := 0
	for _, c := range []struct {
		op     string
		code   int
		text   string
		class  Class
		reason Reason
	}{
		{"smtp greeting", 421, "Too many concurrent SMTP connections", Unavailable, TooManyConnections},
		{"smtp greeting", 421, "4.4.5 Too many concurrent SMTP connections; please try again later.", Unavailable, TooManyConnections},
		{"smtp greeting", 421, "Service not available", Unavailable, ServiceFailure},
		{"smtp EHLO", 421, "Timeout waiting for data from client.", Unavailable, IdleTimeout},
		{"smtp MAIL", 451, "4.4.2 Timeout waiting for data from client", Unavailable, IdleTimeout},
		{"smtp MAIL", 421, "Connection closed by server. Maximum message count per session reached", Unavailable, SessionMessageLimit},
		{"smtp MAIL", 421, "Too many messages in one session", Unavailable, SessionMessageLimit},
		{"smtp AUTH", 454, "Temporary authentication failure", Unavailable, AuthUnavailable},
		{"smtp AUTH", 454, "4.7.0 Temporary authentication failure.", Unavailable, AuthUnavailable},
		{"smtp AUTH", 535, "Authentication Credentials Invalid", Denied, CredentialsInvalid},
		{"smtp AUTH", 535, "authentication credentials invalid.", Denied, CredentialsInvalid},
		{"smtp AUTH", 535, "Account not subscribed to SES", Denied, NotSubscribed},
		{"smtp AUTH", 535, "5.7.8 Authentication Credentials Invalid", Denied, CredentialsInvalid},
		{"smtp MAIL", 530, "Authentication required", Denied, AuthRequired},
		{"smtp MAIL", 530, "Must issue a STARTTLS command first.", Denied, TLSRequired},
		{"smtp MAIL", 501, "Invalid MAIL FROM address provided.", Rejected, MailFromSyntax},
		{"smtp MAIL", 553, "<news@> Invalid email address", Rejected, MailFromSyntax},
		{"smtp MAIL", 553, "<news letter@shop.example> Invalid email address.", Rejected, MailFromSyntax},
		{"smtp RCPT", 553, "<ann@@shop.example> address unknown", Rejected, RecipientSyntax},
		{"smtp RCPT", 553, "<ann> Invalid email address", Rejected, RecipientSyntax},
		{"smtp RCPT", 501, "Invalid RCPT TO address provided", Rejected, RecipientSyntax},
		{"smtp RCPT", 503, "Bad sequence of commands", Rejected, ProtocolError},
		{"smtp DATA", 503, "RCPT required before DATA", Rejected, ProtocolError},
		{"smtp end of data", 451, "Temporary service failure", Unavailable, ServiceFailure},
		{"smtp end of data", 454, "Temporary service failure.", Unavailable, ServiceFailure},
		{"smtp end of data", 454, "Throttling failure: Maximum sending rate exceeded", Throttled, SendRateExceeded},
		{"smtp end of data", 454, "Throttling failure: Daily message quota exceeded", QuotaExceeded, DailyQuotaExceeded},
		{"smtp end of data", 454, "Throttling failure: maximum SigV2 SMTP sending rate exceeded.", Throttled, SigV2RateExceeded},
		{"smtp end of data", 454, "Throttling failure:\r\n Daily message\r\n quota exceeded.", QuotaExceeded, DailyQuotaExceeded},
		{"smtp end of data", 454, "4.7.1 Throttling failure: Daily message quota exceeded.", QuotaExceeded, DailyQuotaExceeded},
		{"smtp end of data", 454, "Throttling failure: Rate exceeded", Throttled, SendRateExceeded},
		{"smtp end of data", 454, "Throttling failure: Maximum sending rate exceeded. Request rate too high", Throttled, SendRateExceeded},
		{"smtp end of data", 552, "Message is too long.", Rejected, MessageTooLong},
		{"smtp end of data", 552, "5.3.4 Message is too long", Rejected, MessageTooLong},
		{"smtp end of data", 554, "Transaction failed: Message length is more than 41943040 bytes long: '43212345'.", Rejected, MessageTooLong},
		{"smtp end of data", 554, "Access denied: User `arn:aws:iam::123456789012:user/mailer' is not authorized to perform `ses:SendRawEmail' on resource `arn:aws:ses:eu-central-1:123456789012:identity/shop.example'", Denied, AccessDenied},
		{"smtp end of data", 554, "Access denied: User arn:aws:iam::123456789012:user/ses is not authorized to perform ses:SendRawEmail on resource arn:aws:ses:eu-west-1:123456789012:configuration-set/Daily", Denied, AccessDenied},
		{"smtp end of data", 554, "Message rejected: Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: shop.example, ann@shop.example", Denied, IdentityNotVerified},
		{"smtp end of data", 554, "Message rejected: Email address is not verified. The following identities failed the check in region ap-south-1: Ann <ann@shop.example>...", Denied, IdentityNotVerified},
		{"smtp end of data", 554, "Message rejected: Email address is not verified. The following identities failed the check in region US-WEST-2: \"Quota, Daily\" <ann@shop.example>", Denied, IdentityNotVerified},
		{"smtp end of data", 554, "Message rejected:\n Email address is not\n verified.", Denied, IdentityNotVerified},
		{"smtp end of data", 554, "Message rejected: Sending paused for this account. For more information, please check the inbox of the email address associated with your AWS account.", Suspended, SendingPaused},
		{"smtp end of data", 554, "Message rejected: Sending suspended for this account.", Suspended, AccountSuspended},
		{"smtp end of data", 554, "Message rejected: Sending is paused for configuration set news", Suspended, ConfigurationSetPaused},
		{"smtp end of data", 554, "Message rejected: Address blacklisted.", Rejected, RecipientSuppressed},
		{"smtp end of data", 554, "Message rejected: The message contained a virus.", Rejected, MessageRejected},
		{"smtp end of data", 554, "Message rejected.", Rejected, MessageRejected},
		{"smtp end of data", 554, "Configuration set news-2024 does not exist.", Rejected, ConfigurationSetMissing},
		{"smtp end of data", 554, "Configuration set does not exist", Rejected, ConfigurationSetMissing},
		{"smtp end of data", 554, "MAIL FROM domain not verified: bounce.shop.example.", Denied, MailFromDomainNotVerified},
		{"smtp end of data", 554, "Transaction failed: Local address contains control or whitespace", Rejected, IllegalAddress},
		{"smtp end of data", 554, "Transaction failed: Domain contains illegal character.", Rejected, IllegalAddress},
		{"smtp end of data", 554, "Transaction failed: Domain starts with dot", Rejected, IllegalAddress},
		{"smtp end of data", 554, "Transaction failed: Domain contains control or whitespace", Rejected, IllegalAddress},
		{"smtp end of data", 554, "Transaction failed: Missing '<'", Rejected, IllegalAddress},
		{"smtp end of data", 554, "Transaction failed: Address contains a comma", Rejected, IllegalAddress},
		{"smtp end of data", 554, "Transaction failed: Invalid email address<ann@shop>.", Rejected, IllegalAddress},
		{"smtp end of data", 554, "Transaction failed: User name is missing: '@shop.example'.", Rejected, IllegalAddress},
		{"smtp end of data", 554, "Transaction failed: Recipient count exceeds 50.", Rejected, TooManyRecipients},
		{"smtp end of data", 554, "Transaction failed: Duplicate header 'MIME-Version'.", Rejected, DuplicateHeader},
		{"smtp end of data", 554, "Transaction failed: Duplicate header 'Return-Path'.", Rejected, DuplicateHeader},
		{"smtp end of data", 554, "Transaction failed: Expected MIME type, got octet-stream", Rejected, IllegalHeader},
		{"smtp end of data", 554, "Transaction failed: Expected parameter value, got null", Rejected, IllegalHeader},
		{"smtp end of data", 554, "Transaction failed: Missing required header 'From'.", Rejected, IllegalHeader},
		{"smtp end of data", 554, "Transaction failed: Header contains non-ASCII characters", Rejected, IllegalHeader},
		{"smtp end of data", 554, "Transaction failed: Illegal filename 'setup.msi'.", Rejected, IllegalAttachment},
		{"smtp end of data", 554, "Transaction failed: Invalid tag value <a/b>: only alphanumeric ASCII characters, '_',  '-' , '.', '@' are allowed.", Rejected, InvalidTag},
		{"smtp end of data", 554, "Transaction failed: A word nobody wrote down", Rejected, InvalidParameter},
		{"smtp end of data", 559, "Words nobody wrote down", Rejected, Unrecognized},
		{"smtp end of data", 459, "Words nobody wrote down", Unavailable, Unrecognized},
	} {
		rows++
		e := FromSMTP(c.op, c.code, c.text)
		sample{Channel: c.op, Code: float64(c.code), Text: c.text, Class: c.class, Reason: c.reason}.check(t, e)
		reply := &textproto.Error{Code: c.code, Msg: c.text}
		if e := Classify(fmt.Errorf("mail 7: %w", reply)); e.Class != c.class || e.MaybeAccepted {
			t.Errorf("%d %q without a stage: got %v, maybe %v", c.code, c.text, e.Class, e.MaybeAccepted)
		}
		if e := Classify(stderrors.New(reply.Error())); e.Class != c.class && e.Class != Unknown || e.MaybeAccepted {
			t.Errorf("%q flattened: got %v, maybe %v", reply.Error(), e.Class, e.MaybeAccepted)
		}
	}
	for _, c := range []struct {
		status int
		code   string
		text   string
		class  Class
		reason Reason
		maybe  bool
	}{
		{400, "Throttling", "Maximum sending rate exceeded.", Throttled, SendRateExceeded, false},
		{400, "Throttling", "Daily message quota exceeded.", QuotaExceeded, DailyQuotaExceeded, false},
		{400, "ThrottlingException", "Rate exceeded", Throttled, SendRateExceeded, false},
		{429, "TooManyRequestsException", "Daily sending quota exceeded.", QuotaExceeded, DailyQuotaExceeded, false},
		{400, "LimitExceededException", "Maximum sending rate exceeded.", Throttled, SendRateExceeded, false},
		{400, "MessageRejected", "Email address is not verified. The following identities failed the check in region EU-WEST-3: ann@shop.example", Denied, IdentityNotVerified, false},
		{400, "MessageRejected", "Address blacklisted.", Rejected, RecipientSuppressed, false},
		{400, "MessageRejected", "Sending suspended for this account. For more information, please check the inbox of the email address associated with your AWS account.", Suspended, AccountSuspended, false},
		{400, "BadRequestException", "Duplicate header 'Subject'.", Rejected, DuplicateHeader, false},
		{400, "BadRequestException", "Illegal address", Rejected, IllegalAddress, false},
		{400, "BadRequestException", "Message length is more than 41943040 bytes long: '52428800'.", Rejected, MessageTooLong, false},
		{400, "InvalidParameterValue", "Domain contains dot-dot", Rejected, IllegalAddress, false},
		{400, "InvalidParameterValue", "Expected disposition, got null", Rejected, IllegalHeader, false},
		{400, "InvalidParameterValue", "Local address contains control or whitespace", Rejected, IllegalAddress, false},
		{404, "NotFoundException", "Configuration set <news> does not exist.", Rejected, ConfigurationSetMissing, false},
		{400, "ConfigurationSetDoesNotExist", "Configuration set <news> does not exist.", Rejected, ConfigurationSetMissing, false},
		{400, "MailFromDomainNotVerifiedException", "DNS setup for MAIL FROM domain is invalid.", Denied, MailFromDomainNotVerified, false},
		{400, "SendingPausedException", "Sending paused for this account.", Suspended, SendingPaused, false},
		{400, "AccountSuspendedException", "", Suspended, AccountSuspended, false},
		{403, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/mailer/i-0 is not authorized to perform: ses:SendEmail on resource: arn:aws:ses:eu-west-1:123456789012:identity/shop.example", Denied, AccessDenied, false},
		{403, "InvalidClientTokenId", "The security token included in the request is invalid", Denied, CredentialsInvalid, false},
		{403, "ExpiredToken", "The security token included in the request is expired", Denied, CredentialsExpired, false},
		{403, "SignatureDoesNotMatch", "Signature expired: 20240101T000000Z is now earlier than 20240101T001000Z (20240101T001500Z - 5 min.)", Denied, ClockSkew, false},
		{403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.", Denied, CredentialsInvalid, false},
		{500, "InternalFailure", "The request processing has failed because of an unknown error, exception or failure.", Unavailable, ServiceFailure, true},
		{503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.", Unavailable, ServiceFailure, false},
		{502, "", "<html><body>Bad gateway</body></html>", Unavailable, ServiceFailure, true},
		{413, "", "", Rejected, MessageTooLong, false},
		{409, "ConcurrentModificationException", "", Unavailable, Conflict, false},
		{400, "BadRequestException", "Attribute 'name' is not present in the rendering data.", Rejected, TemplateInvalid, false},
	} {
		rows++
		sample{Channel: "api", Code: c.code, Text: c.text, Class: c.class, Reason: c.reason, MaybeAccepted: c.maybe}.check(t, FromAPI("", sdkError(c.status, c.code, c.text)))
	}
	if rows != 100 {
		t.Errorf("%d rows", rows)
	}
}
