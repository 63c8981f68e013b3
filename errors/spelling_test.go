package errors

import (
	"fmt"
	"net/textproto"
	"testing"
)

// Further replies in the manner of SES, written down before the rules saw them,
// as they come over SMTP: variants of case, full stops, several lines and quotes.
func TestFurtherReplies(t *testing.T) {
	for _, c := range []struct {
		code   int
		text   string
		class  Class
		reason Reason
	}{
		{454, "Throttling failure: maximum sending rate exceeded", Throttled, SendRateExceeded},
		{454, "THROTTLING FAILURE: DAILY MESSAGE QUOTA EXCEEDED.", QuotaExceeded, DailyQuotaExceeded},
		{454, "Throttling failure:\n454 Daily message quota exceeded.", QuotaExceeded, DailyQuotaExceeded},
		{454, "Throttling\r\n454-failure: Maximum\r\n454 sending rate exceeded.", Throttled, SendRateExceeded},
		{454, `"Throttling failure: Maximum sending rate exceeded."`, Throttled, SendRateExceeded},
		{454, "Throttling failure: Maximum send rate exceeded.", Throttled, SendRateExceeded},
		{454, "Throttling failure: Daily sending limit exceeded", QuotaExceeded, DailyQuotaExceeded},
		{454, "4.7.0 Throttling failure: You have exceeded your daily sending quota.", QuotaExceeded, DailyQuotaExceeded},
		{454, "Throttling failure: Your request rate is too high.", Throttled, SendRateExceeded},
		{421, "Too many concurrent SMTP connections.", Unavailable, TooManyConnections},
		{421, "too many concurrent smtp connections from your account", Unavailable, TooManyConnections},
		{421, "4.7.0 Too many connections, closing", Unavailable, TooManyConnections},
		{421, "4.4.2 Timeout waiting for data from client.", Unavailable, IdleTimeout},
		{451, "4.4.2\r\n451 Timeout waiting for data from client.", Unavailable, IdleTimeout},
		{421, "Connection closed by server.\n421 Maximum message count per session reached.", Unavailable, SessionMessageLimit},
		{421, "Connection closed by server. Too many messages in one session", Unavailable, SessionMessageLimit},
		{451, "Temporary service failure.", Unavailable, ServiceFailure},
		{451, "4.3.0 Temporary service failure, try again", Unavailable, ServiceFailure},
		{454, "Temporary authentication failure.", Unavailable, AuthUnavailable},
		{530, "Authentication required.", Denied, AuthRequired},
		{530, "5.7.0 authentication Required", Denied, AuthRequired},
		{530, "Must issue a STARTTLS command first", Denied, TLSRequired},
		{535, "Authentication credentials invalid.", Denied, CredentialsInvalid},
		{535, "5.7.8 AUTHENTICATION CREDENTIALS INVALID", Denied, CredentialsInvalid},
		{535, "Account not subscribed to SES.", Denied, NotSubscribed},
		{535, "Your account is not subscribed to SES", Denied, NotSubscribed},
		{552, "message is too long", Rejected, MessageTooLong},
		{552, "5.3.4 Message is too long. Maximum size is 41943040 bytes.", Rejected, MessageTooLong},
		{553, "<jane@@example.com> Invalid email address.", Rejected, MailFromSyntax},
		{553, "<> Invalid email address", Rejected, MailFromSyntax},
		{553, "<j\u00fcrgen@example.com> address unknown", Rejected, RecipientSyntax},
		{501, "Invalid MAIL FROM address provided", Rejected, MailFromSyntax},
		{501, "invalid rcpt to address provided.", Rejected, RecipientSyntax},
		{554, "Message rejected: Email address is not verified.", Denied, IdentityNotVerified},
		{554, "message rejected: email address is not verified. the following identities failed the check in region eu-west-1: a@example.com", Denied, IdentityNotVerified},
		{554, "Message rejected: Email address is not verified.\r\n554 The following identities failed the check in region US-EAST-1:\r\n554 a@example.com", Denied, IdentityNotVerified},
		{554, "Message rejected: Email addresses are not verified: a@example.com, b@example.com", Denied, IdentityNotVerified},
		{554, "Message rejected: The domain example.com is not verified.", Denied, IdentityNotVerified},
		{554, "Message rejected: Sending paused for this account.", Suspended, SendingPaused},
		{554, "Message rejected: SENDING PAUSED FOR THIS ACCOUNT. For more information, please check the inbox of the email address associated with your AWS account.", Suspended, SendingPaused},
		{554, "Message rejected: Your account has been suspended.", Suspended, AccountSuspended},
		{554, "Message rejected: Email sending is disabled for this configuration set", Suspended, ConfigurationSetPaused},
		{554, "Message rejected: Email sending for the Amazon SES account was disabled.", Suspended, SendingPaused},
		{554, "Message rejected: Tenant acme is paused.", Suspended, ConfigurationSetPaused},
		{554, "Message rejected: Address is on the suppression list for your account", Rejected, RecipientSuppressed},
		{554, "Message rejected: Address blacklisted", Rejected, RecipientSuppressed},
		{554, "Message rejected: The message was rejected because it contained a virus.", Rejected, MessageRejected},
		{554, "Configuration set <news> does not exist", Rejected, ConfigurationSetMissing},
		{554, "configuration set \"news\" does not exist.", Rejected, ConfigurationSetMissing},
		{554, "Message rejected: Configuration set 'news' is paused.", Suspended, ConfigurationSetPaused},
		{554, "Mail FROM domain bounce.example.com is not verified", Denied, MailFromDomainNotVerified},
		{554, "Access denied: User arn:aws:iam::123456789012:user/x is not authorized to perform ses:SendRawEmail on resource arn:aws:ses:us-east-1:123456789012:identity/example.com.", Denied, AccessDenied},
		{554, "ACCESS DENIED", Denied, AccessDenied},
		{554, "Transaction failed: Missing final '@domain'.", Rejected, IllegalAddress},
		{554, "TRANSACTION FAILED: MISSING FINAL '@DOMAIN'", Rejected, IllegalAddress},
		{554, "Transaction failed: Local address contains control or whitespace.", Rejected, IllegalAddress},
		{554, "Transaction failed:\n554 Domain contains illegal character", Rejected, IllegalAddress},
		{554, "Transaction failed: Domain ends with hyphen", Rejected, IllegalAddress},
		{554, "Transaction failed: Address contains a space", Rejected, IllegalAddress},
		{554, "Transaction failed: Recipient count exceeds 50", Rejected, TooManyRecipients},
		{554, "Transaction failed: Duplicate header 'References'.", Rejected, DuplicateHeader},
		{554, "Transaction failed: duplicate header \"List-Unsubscribe\"", Rejected, DuplicateHeader},
		{554, "Transaction failed: Expected ';', got \"charset\"", Rejected, IllegalHeader},
		{554, "Transaction failed: Missing required header 'From'", Rejected, IllegalHeader},
		{554, "Transaction failed: Could not parse header From", Rejected, IllegalHeader},
		{554, "Transaction failed: MIME part 3 has no boundary", Rejected, IllegalHeader},
		{554, "Transaction failed: Illegal filename 'a.exe'", Rejected, IllegalAttachment},
		{554, "Transaction failed: Message length is more than 41943040 bytes long: '41943041'", Rejected, MessageTooLong},
		{554, "Transaction failed: Invalid tag name <a b>: only alphanumeric ASCII characters, '_', and '-' are allowed.", Rejected, InvalidTag},
		{554, "Transaction failed: Tag name cannot exceed 255 characters", Rejected, InvalidTag},
		{554, "Transaction failed: Template data is not valid JSON", Rejected, TemplateInvalid},
		{554, "Transaction failed: There are no recipients specified", Rejected, NoRecipients},
	} {
		want := sample{Channel: "smtp", Code: float64(c.code), Text: c.text, Class: c.class, Reason: c.reason}
		reply := &textproto.Error{Code: c.code, Msg: c.text}
		for _, e := range []*Error{FromSMTP(want.op(), c.code, c.text), Classify(reply), Classify(fmt.Errorf("x: %w", reply))} {
			want.check(t, e)
		}
		want.flattened().check(t, Classify(fmt.Errorf("x: %d %q", c.code, clean(cleanReply(c.text)))))
		want.flattened().check(t, Classify(fmt.Errorf("send: %v", reply)))
	}
}
