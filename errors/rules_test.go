package errors

import (
	stderrors "errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// Replies beyond the collection, each by SMTP.
func TestSMTPReplies(t *testing.T) {
	for _, c := range []struct {
		code   int
		text   string
		class  Class
		reason Reason
	}{
		// The family of "Transaction failed".
		{554, "Transaction failed: Missing final '@domain'", Rejected, IllegalAddress},
		{554, "Transaction failed: Missing '>'", Rejected, IllegalAddress},
		{554, `Transaction failed: Missing '"'`, Rejected, IllegalAddress},
		{554, "Transaction failed: Missing ')'", Rejected, IllegalAddress},
		{554, "Transaction failed: Missing local name", Rejected, IllegalAddress},
		{554, "Transaction failed: Missing domain", Rejected, IllegalAddress},
		{554, "Transaction failed: Local address is missing", Rejected, IllegalAddress},
		{554, "Transaction failed: Local address contains dot-dot", Rejected, IllegalAddress},
		{554, "Transaction failed: Local address starts with dot", Rejected, IllegalAddress},
		{554, "Transaction failed: Local address ends with dot", Rejected, IllegalAddress},
		{554, "Transaction failed: Local address contains illegal character", Rejected, IllegalAddress},
		{554, "Transaction failed: Local part of the email address contains illegal character", Rejected, IllegalAddress},
		{554, "Transaction failed: Domain contains dot-dot", Rejected, IllegalAddress},
		{554, "Transaction failed: Domain ends with dot", Rejected, IllegalAddress},
		{554, "Transaction failed: Domain is missing", Rejected, IllegalAddress},
		{554, "Transaction failed: Domain name required", Rejected, IllegalAddress},
		{554, "Transaction failed: Domain not in list", Rejected, IllegalAddress},
		{554, "Transaction failed: Empty address", Rejected, IllegalAddress},
		{554, "Transaction failed: Illegal address", Rejected, IllegalAddress},
		{554, "Transaction failed: Illegal semicolon, not in group", Rejected, IllegalAddress},
		{554, "Transaction failed: Illegal whitespace in address", Rejected, IllegalAddress},
		{554, "Transaction failed: Extra route-addr", Rejected, IllegalAddress},
		{554, "Transaction failed: Nested group", Rejected, IllegalAddress},
		{554, "Transaction failed: Quote not at end of local address", Rejected, IllegalAddress},
		{554, "Transaction failed: Address contains non-ASCII characters", Rejected, NonASCIIAddress},
		{554, "Transaction failed: Email address contains non-ascii characters: ü@example.com", Rejected, NonASCIIAddress},
		{554, "Transaction failed: There are non-ASCII characters in the email address", Rejected, NonASCIIAddress},
		{554, "Transaction failed: Expected ';', got \"name\"", Rejected, IllegalHeader},
		{554, "Transaction failed: Expected MIME type, got null", Rejected, IllegalHeader},
		{554, "Transaction failed: Expected parameter value, got ;", Rejected, IllegalHeader},
		{554, "Transaction failed: Expected disposition, got attachment;", Rejected, IllegalHeader},
		{554, "Transaction failed: Unterminated quoted string", Rejected, IllegalHeader},
		{554, "Transaction failed: Unbalanced quoted string", Rejected, IllegalHeader},
		{554, "Transaction failed: In Content-Type string <text/>, expected MIME subtype, got null", Rejected, IllegalHeader},
		{554, "Transaction failed: In Content-Disposition string <;x>, expected disposition, got ;", Rejected, IllegalHeader},
		{554, "Transaction failed: Invalid message tag <a b=c>", Rejected, InvalidTag},
		{554, "Transaction failed: Missing required header 'Date'.", Rejected, IllegalHeader},
		{554, "Transaction failed: Illegal header 'X-Foo Bar'.", Rejected, IllegalHeader},
		{554, "Transaction failed: Invalid header name", Rejected, IllegalHeader},
		{554, "Transaction failed: Header names must be ASCII", Rejected, IllegalHeader},
		{554, "Transaction failed: Missing start boundary", Rejected, IllegalHeader},
		{554, "Transaction failed: Unknown encoding: utf-8", Rejected, IllegalHeader},
		{554, "Transaction failed: Duplicate header 'DKIM-Signature'.", Rejected, DuplicateHeader},
		{554, "Transaction failed: Duplicate header 'Message-ID'.", Rejected, DuplicateHeader},
		{554, "Transaction failed: Illegal filename 'report.exe'.", Rejected, IllegalAttachment},
		{554, "Transaction failed: Attachment file extension .exe is not allowed", Rejected, IllegalAttachment},
		{554, "Transaction failed: Number of attachments exceeds the limit", Rejected, IllegalAttachment},
		{554, "Transaction failed: No recipients specified", Rejected, NoRecipients},
		{554, "Transaction failed: Invalid tag value <a:b>: only alphanumeric ASCII characters, '_',  '-' , '.', '@' are allowed.", Rejected, InvalidTag},
		{554, "Transaction failed: Duplicate tag name <a>.", Rejected, InvalidTag},
		{554, "Transaction failed: Message length is more than 41943040 bytes long: '50000000'.", Rejected, MessageTooLong},
		{554, "Transaction failed: something that nobody has seen", Rejected, InvalidParameter},
		// The family of "Message rejected".
		{554, "Message rejected: Address blacklisted.", Rejected, RecipientSuppressed},
		{554, "Message rejected: Address is on the suppression list", Rejected, RecipientSuppressed},
		{554, "Message rejected: Sending paused for this account. For more information, please check the inbox of the email address associated with your AWS account.", Suspended, SendingPaused},
		{554, "Message rejected: Sending suspended for this account. For more information, please check the inbox of the email address associated with your AWS account.", Suspended, AccountSuspended},
		{554, "Message rejected: Account is paused", Suspended, SendingPaused},
		{554, "Message rejected: Email sending is disabled for configuration set marketing.", Suspended, ConfigurationSetPaused},
		{554, "Message rejected: Sending paused for this configuration set.", Suspended, ConfigurationSetPaused},
		{554, "Message rejected: Sending is paused for tenant acme", Suspended, ConfigurationSetPaused},
		{554, "Message rejected: The message contains a virus", Rejected, MessageRejected},
		{554, "Message rejected: Mail FROM domain is not verified.", Denied, MailFromDomainNotVerified},
		{554, "MAIL FROM domain not verified: bounce.example.com", Denied, MailFromDomainNotVerified},
		{554, "Message rejected: Email address not verified user@example.com", Denied, IdentityNotVerified},
		{554, "Message rejected", Rejected, MessageRejected},
		{554, "Configuration set <x> does not exist.", Rejected, ConfigurationSetMissing},
		{554, "Access denied: User arn:aws:iam::123456789012:user/ses-smtp is not authorized to perform `ses:SendRawEmail' on resource `arn:aws:ses:us-east-1:123456789012:identity/example.com'", Denied, AccessDenied},
		{554, "Access denied", Denied, AccessDenied},
		// Throttling in other words.
		{454, "Throttling failure: Maximum SigV2 SMTP sending rate exceeded", Throttled, SigV2RateExceeded},
		{454, "Throttling failure: Daily message quota exceeded.", QuotaExceeded, DailyQuotaExceeded},
		{454, "Throttling failure: Rate exceeded", Throttled, SendRateExceeded},
		{454, "Throttling failure", Throttled, SendRateExceeded},
		{454, "4.7.0 Throttling failure: Maximum sending rate exceeded", Throttled, SendRateExceeded},
		{451, "Throttling failure: Maximum sending rate exceeded.", Throttled, SendRateExceeded},
		// Sessions, and other servers.
		{421, "Connection closed by server. Maximum message count per session reached.", Unavailable, SessionMessageLimit},
		{421, "too many messages in this connection", Unavailable, SessionMessageLimit},
		{421, "4.7.0 mail.example.com Error: too many connections from 192.0.2.1", Unavailable, TooManyConnections},
		{421, "4.4.2 mx.example.com Error: timeout exceeded", Unavailable, IdleTimeout},
		{421, "mx.example.com: SMTP command timeout - closing connection", Unavailable, IdleTimeout},
		{421, "Timeout - closing connection", Unavailable, IdleTimeout},
		{421, "Service not available, closing transmission channel", Unavailable, ServiceFailure},
		{421, "4.3.2 Service shutting down", Unavailable, ServiceFailure},
		{432, "4.7.12 A password transition is needed", Unavailable, AuthUnavailable},
		{450, "4.2.0 <a@example.com>: Recipient address rejected: Greylisted, try again", Unavailable, ServiceFailure},
		{450, "4.7.1 Client host rejected: cannot find your hostname", Unavailable, ServiceFailure},
		{451, "4.3.0 Error: queue file write error", Unavailable, ServiceFailure},
		{452, "4.5.3 Error: too many recipients", Unavailable, TooManyRecipients},
		{452, "4.3.1 Insufficient system storage", Unavailable, ServiceFailure},
		{454, "TLS not available due to temporary reason", Unavailable, TLSFailure},
		{459, "what", Unavailable, Unrecognized},
		{550, "5.4.1 [a@example.com]: Recipient address rejected: Access denied. AS(201806281)", Rejected, RecipientSyntax},
		{554, "5.7.1 <a@example.com>: Recipient address rejected: Access denied", Rejected, RecipientSyntax},
		{500, "5.5.2 Error: bad syntax", Rejected, ProtocolError},
		{502, "5.5.1 Error: command not implemented", Rejected, ProtocolError},
		{503, "Bad sequence of commands", Rejected, ProtocolError},
		{503, "5.5.1 Error: nested MAIL command", Rejected, ProtocolError},
		{530, "5.7.0 Must issue a STARTTLS command first", Denied, TLSRequired},
		{530, "Authentication required", Denied, AuthRequired},
		{534, "5.7.9 Authentication mechanism is too weak", Denied, CredentialsInvalid},
		{535, "5.7.8 Error: authentication failed: UGFzc3dvcmQ6", Denied, CredentialsInvalid},
		{535, "5.7.8 Username and Password not accepted.", Denied, CredentialsInvalid},
		{535, "Account not subscribed to SES", Denied, NotSubscribed},
		{538, "5.7.11 Encryption required for requested authentication mechanism", Denied, TLSRequired},
		{550, "5.1.1 <a@example.com>: Recipient address rejected: User unknown", Rejected, RecipientSyntax},
		{550, "5.7.1 Relaying denied", Denied, AccessDenied},
		{554, "5.7.1 <a@example.com>: Relay access denied", Denied, AccessDenied},
		{554, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example.org", Rejected, MessageRejected},
		{552, "5.3.4 Message size exceeds fixed limit", Rejected, MessageTooLong},
		{552, "5.3.4 Message too long.", Rejected, MessageTooLong},
		{555, "5.5.4 Unsupported option: SIZE=1", Rejected, ProtocolError},
		{501, "5.1.7 Bad sender address syntax", Rejected, MailFromSyntax},
		{501, "5.1.3 Bad recipient address syntax", Rejected, RecipientSyntax},
		{553, "<a b@example.com> Invalid email address", Rejected, MailFromSyntax},
		{559, "what", Rejected, Unrecognized},
	} {
		t.Run(fmt.Sprintf("%d %s", c.code, c.text), func(t *testing.T) {
			want := sample{Channel: "smtp", Code: float64(c.code), Text: c.text, Class: c.class, Reason: c.reason}
			want.check(t, FromSMTP(want.op(), c.code, c.text))
			want = want.flattened()
			for name, wrap := range wrappings {
				t.Run(name, func(t *testing.T) { want.check(t, Classify(stderrors.New(wrap(c.code, c.text)))) })
			}
		})
	}
}

// Answers beyond the collection, each by the API.
func TestAPIAnswers(t *testing.T) {
	for _, c := range []struct {
		status     int
		code, text string
		class      Class
		reason     Reason
		maybe      bool
	}{
		{400, "Throttling", "Rate exceeded", Throttled, SendRateExceeded, false},
		{400, "Throttling", "Daily message quota exceeded.", QuotaExceeded, DailyQuotaExceeded, false},
		{400, "LimitExceededException", "Maximum sending rate exceeded.", Throttled, SendRateExceeded, false},
		{429, "TooManyRequestsException", "", Throttled, SendRateExceeded, false},
		{429, "", "", Unavailable, ServiceFailure, true},
		{429, "UnknownError", "UnknownError", Unavailable, ServiceFailure, true},
		{503, "Throttling", "Maximum sending rate exceeded.", Throttled, SendRateExceeded, false},
		{503, "ServiceUnavailableException", "", Unavailable, ServiceFailure, false},
		{503, "", "", Unavailable, ServiceFailure, true},
		{503, "UnknownError", "UnknownError", Unavailable, ServiceFailure, true},
		{503, "SlowDown", "Please reduce your request rate.", Throttled, SendRateExceeded, false},
		{502, "", "Bad Gateway", Unavailable, ServiceFailure, true},
		{999, "", "", Unavailable, ServiceFailure, true},
		{600, "UnknownError", "UnknownError", Unavailable, ServiceFailure, true},
		{500, "InternalServiceErrorException", "", Unavailable, ServiceFailure, true},
		{0, "InternalFailure", "", Unavailable, ServiceFailure, true},
		{500, "MessageRejected", "", Rejected, MessageRejected, true},
		{400, "SomethingNew", "never seen", Rejected, Unrecognized, false},
		{403, "SomethingNew", "never seen", Rejected, Unrecognized, false},
		{500, "SomethingNew", "never seen", Unavailable, ServiceFailure, true},
		{429, "SomethingNew", "never seen", Throttled, SendRateExceeded, false},
		{0, "SomethingNew", "never seen", Unknown, Unrecognized, false},
		{403, "", "", Denied, AccessDenied, false},
		{408, "", "", Unavailable, RequestTimeout, true},
		{421, "", "", Unavailable, ServiceFailure, true},
		{425, "", "", Unavailable, ServiceFailure, true},
		{499, "", "", Unavailable, RequestTimeout, true},
		{407, "", "", Denied, ProxyRefused, false},
		{404, "", "", Rejected, Unrecognized, false},
		{413, "", "", Rejected, MessageTooLong, false},
		{307, "", "", Unavailable, ProtocolError, false},
		{200, "", "", Unavailable, ResponseLost, true},
		{403, "SignatureDoesNotMatch", "Signature expired: 20240101T000000Z is now earlier than 20240101T001000Z", Denied, ClockSkew, false},
		{403, "InvalidSignatureException", "Signature not yet current: 20240101T000000Z is still later than 20231231T235500Z", Denied, ClockSkew, false},
		{403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", Denied, CredentialsInvalid, false},
		{403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", Denied, ClockSkew, false},
		{400, "RequestExpired", "", Denied, ClockSkew, false},
		{403, "InvalidClientTokenId", "The security token included in the request is invalid.", Denied, CredentialsInvalid, false},
		{403, "UnrecognizedClientException", "The security token included in the request is invalid.", Denied, CredentialsInvalid, false},
		{403, "MissingAuthenticationTokenException", "Missing Authentication Token", Denied, CredentialsInvalid, false},
		{403, "ExpiredToken", "The security token included in the request is expired", Denied, CredentialsExpired, false},
		{403, "SubscriptionRequiredException", "The AWS Access Key Id needs a subscription for the service", Denied, NotSubscribed, false},
		{403, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/x is not authorized to perform: ses:SendEmail on resource: arn:aws:ses:us-east-1:123456789012:configuration-set/my-set because no identity-based policy allows the ses:SendEmail action", Denied, AccessDenied, false},
		{400, "MessageRejected", "Sending paused for this account. For more information, please check the inbox of the email address associated with your AWS account.", Suspended, SendingPaused, false},
		{400, "SendingPausedException", "Sending is paused for configuration set x.", Suspended, ConfigurationSetPaused, false},
		{400, "AccountSendingPausedException", "", Suspended, SendingPaused, false},
		{400, "ConfigurationSetSendingPausedException", "", Suspended, ConfigurationSetPaused, false},
		{400, "ConfigurationSetDoesNotExistException", "", Rejected, ConfigurationSetMissing, false},
		{404, "NotFoundException", "Template welcome does not exist.", Rejected, TemplateMissing, false},
		{404, "NotFoundException", "Tenant acme does not exist.", Rejected, NotFound, false},
		{404, "NotFoundException", "Email address a@example.com does not exist on your suppression list.", Rejected, NotFound, false},
		{400, "TemplateDoesNotExist", "Template x does not exist", Rejected, TemplateMissing, false},
		{400, "BadRequestException", "Attribute 'name' is not present in the rendering data.", Rejected, TemplateInvalid, false},
		{400, "BadRequestException", "Missing rendering data", Rejected, TemplateInvalid, false},
		{400, "MissingRenderingAttributeException", "", Rejected, TemplateInvalid, false},
		{400, "BadRequestException", "Invalid tag name <a b>: only alphanumeric ASCII characters, '_', and '-' are allowed.", Rejected, InvalidTag, false},
		{400, "BadRequestException", "Recipient count exceeds 50.", Rejected, TooManyRecipients, false},
		{400, "BadRequestException", "Local address contains control or whitespace", Rejected, IllegalAddress, false},
		{400, "BadRequestException", "Missing '\"'", Rejected, IllegalAddress, false},
		{400, "BadRequestException", "Duplicate header 'From'.", Rejected, DuplicateHeader, false},
		{400, "BadRequestException", "Unable to render template: unclosed block", Rejected, TemplateInvalid, false},
		{400, "BadRequestException", "Dedicated IP pool bulk does not exist", Rejected, InvalidSendingPool, false},
		{400, "BadRequestException", "Dedicated IP pool bulk could not be found: not found", Rejected, InvalidSendingPool, false},
		{400, "BadRequestException", "Contact list <news> does not exist", Rejected, NotFound, false},
		{400, "BadRequestException", "Contact list 'news' doesn't exist", Rejected, NotFound, false},
		{400, "BadRequestException", "Contact list news was not found", Rejected, NotFound, false},
		{400, "BadRequestException", "The provided Return-Path address is not verified: bounce@example.com", Denied, IdentityNotVerified, false},
		{400, "BadRequestException", "Source cannot be empty", Rejected, InvalidParameter, false},
		{400, "ValidationException", "1 validation error detected: Value at 'content' failed to satisfy constraint: Member must not be null", Rejected, InvalidParameter, false},
		{409, "ConflictException", "", Unavailable, Conflict, false},
		{400, "aws.protocoltests#MessageRejected", "", Rejected, MessageRejected, false},
		{400, "Aws::SES::Errors::MessageRejected", "", Rejected, MessageRejected, false},
		{400, "MessageRejected:http://internal.amazon.com/coral/", "", Rejected, MessageRejected, false},
	} {
		t.Run(fmt.Sprintf("%d %s %s", c.status, c.code, c.text), func(t *testing.T) {
			want := sample{Channel: "api", Code: c.code, Text: c.text, Class: c.class, Reason: c.reason, MaybeAccepted: c.maybe}
			want.check(t, FromAPI("ses SendEmail", sdkError(c.status, c.code, c.text)))
			if apiCodes.find(c.code) != nil && c.status != 0 { // the SDK's own text leaves nothing out
				want.check(t, Classify(stderrors.New(sdkError(c.status, c.code, c.text).Error())))
			}
		})
	}
}

// Every exported reason has a class, a scope and an advice, and every rule a
// source and a known reason.
func TestTablesAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "rules_reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[Reason]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || fmt.Sprint(spec.Type) != "Reason" {
			return true
		}
		slug := Reason(strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		found[slug] = true
		if len(slug.Advice()) < 20 || reasons[slug].advice == "" {
			t.Errorf("%s has no advice", slug)
		}
		if slug.Class() == Unknown && slug != Unrecognized {
			t.Errorf("%s has no class", slug)
		}
		return true
	})
	if len(found) != len(reasons) || len(found) < 50 {
		t.Errorf("%d reasons, %d in the table", len(found), len(reasons))
	}
	for name, table := range tables {
		for _, r := range table {
			if r.Source == "" || !found[r.Reason] || r.Text != strings.ToLower(r.Text) || r.Code == "" && r.Text == "" ||
				r.Shared && r.Text != "" || strings.Count(r.Text, "*") != strings.Count(r.Text, gapMark) || strings.Count(r.Text, "*") > 1 {
				t.Errorf("%s: bad rule %+v", name, r)
			}
		}
	}
}

var tables = map[string]table{
	"smtp": smtpRules, "shared": sharedRules, "vague": vagueRules, "enhanced": enhancedRules, "reply": replyRules,
	"api": apiRules, "bulk": bulkRules, "status": statusRules,
}

// For each row there is an answer that reaches it, and not another row of the
// same reason before it.
func TestEveryRowIsReached(t *testing.T) {
	for name, rules := range map[string]wordRules{"replies": replyWords, "shared": sharedWords} {
		for i := range rules.table {
			r := &rules.table[i]
			code := (r.Code + "000")[:3]
			if r.Code == "" {
				code = "459"
				if r.Reason.Class() == Rejected || r.Reason.Class() == Denied || r.Reason.Class() == Suspended {
					code = "559"
				}
			}
			if name == "shared" {
				code = ""
			}
			words := strings.ReplaceAll(r.Text, gapMark, " x ")
			if got := rules.find(code, words); got != r {
				t.Errorf("%s: %q of %s with %q reaches %+v", name, r.Text, r.Reason, code, got)
			}
		}
	}
	for name, table := range map[string]table{"api": apiRules, "bulk": bulkRules} {
		codes := map[string]codeIndex{"api": apiCodes, "bulk": bulkCodes}[name]
		for i := range table {
			if got := codes.find(table[i].Code); got != &table[i] {
				t.Errorf("%s: %s reaches %+v", name, table[i].Code, got)
			}
		}
	}
	for name, table := range map[string]table{"enhanced": enhancedRules, "reply": replyRules, "status": statusRules} {
		for i := range table {
			if got := table.byPrefix(table[i].Code); got != &table[i] {
				t.Errorf("%s: %s reaches %+v", name, table[i].Code, got)
			}
		}
	}
}
