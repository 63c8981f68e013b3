package errors

import (
	stderrors "errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestIdentities(t *testing.T) {
	for _, c := range []struct {
		name, list string
		want       []string
		truncated  bool
	}{
		{"one", "a@example.com", []string{"a@example.com"}, false},
		{"letter case kept", "Jane@Example.com", []string{"Jane@Example.com"}, false},
		{"documented form", "identity0, identity1, identity2", []string{"identity0", "identity1", "identity2"}, false},
		{"final full stop", "a@example.com, b.example.com.", []string{"a@example.com", "b.example.com"}, false},
		{"cut", "a@example.com, b@example.com...", []string{"a@example.com", "b@example.com"}, true},
		{"cut after a comma", "a@example.com, ...", []string{"a@example.com"}, true},
		{"display name", "Jane Doe <jane@example.com>", []string{"jane@example.com"}, false},
		{"comma in quotes", `"Doe, Jane" <jane@example.com>, b@example.com`, []string{"jane@example.com", "b@example.com"}, false},
		{"comma without quotes", "Doe, Jane <jane@example.com>, b@example.com", []string{"jane@example.com", "b@example.com"}, false},
		{"encoded-word", "=?UTF-8?Q?J=C3=BCrgen,_X?= <j@example.com>", []string{"j@example.com"}, false},
		{"ARN", "arn:aws:ses:us-east-1:123456789012:identity/example.com", []string{"arn:aws:ses:us-east-1:123456789012:identity/example.com"}, false},
		{"Postfix behind it", "a@example.com... (in reply to end of DATA command))", []string{"a@example.com"}, true},
		{"Java behind it", "a@example.com (Service: AmazonSimpleEmailService; Status Code: 400; Error Code: MessageRejected; Request ID: 1)", []string{"a@example.com"}, false},
		{"PHP behind it", "S <a@example.com> - <ErrorResponse xmlns=\"x\"><Message>…</Message>", []string{"a@example.com"}, false},
		{"XML behind it", "a@example.com</Message></Error>", []string{"a@example.com"}, false},
		{"JSON behind it", `a@example.com"}`, []string{"a@example.com"}, false},
		{"JSON and more behind it", `a@example.com","responseCode":554}`, []string{"a@example.com"}, false},
		{"Python behind it", "a@example.com')", []string{"a@example.com"}, false},
		{"folded", "a@example.com,\r\n b@example.com", []string{"a@example.com", "b@example.com"}, false},
		{"nothing", "", nil, false},
		{"too many", strings.Repeat("a@example.com,", 100), slices.Repeat([]string{"a@example.com"}, maxIdentities), true},
		{"too long", strings.Repeat("a", 400) + "@example.com", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "Email address is not verified. The following identities failed the check in region US-EAST-1: " + c.list
			for _, e := range []*Error{
				FromSMTP("smtp DATA", 554, "Message rejected: "+text),
				Classify(stderrors.New("554 Message rejected: " + text)),
				FromAPI("", sdkError(400, "MessageRejected", text)),
				FromBulkStatus("MESSAGE_REJECTED", text),
			} {
				if !slices.Equal(e.Identities, c.want) || e.Truncated != c.truncated || e.Region != "us-east-1" {
					t.Errorf("got %q, truncated %v, region %q; want %q, %v", e.Identities, e.Truncated, e.Region, c.want, c.truncated)
				}
			}
		})
	}
}

func TestNoIdentitiesWithoutTheList(t *testing.T) {
	for _, text := range []string{"Email address is not verified.", "Email address is not verified. Identities failed the check in region us-east-1", "Email address is not verified: failed the check in region of the north: x"} {
		if e := FromSMTP("smtp DATA", 554, text); e.Reason != IdentityNotVerified || e.Identities != nil || e.Region != "" {
			t.Errorf("%s: got %+v", text, e)
		}
	}
}

func TestCutEnhanced(t *testing.T) {
	for _, c := range []struct{ text, code, rest string }{
		{"4.4.2 Timeout", "4.4.2", "Timeout"},
		{"5.7.11", "5.7.11", ""},
		{"5.123.123 x", "5.123.123", "x"},
		{"#5.1.1 x", "5.1.1", "x"},
		{"2.0.0: Ok", "2.0.0", "Ok"},
		{"4.4.2\tx", "4.4.2", "x"},
		{"3.4.2 x", "", "3.4.2 x"},
		{"4.4 x", "", "4.4 x"},
		{"4..2 x", "", "4..2 x"},
		{"4.4. x", "", "4.4. x"},
		{"4.4.2x", "", "4.4.2x"},
		{"4.4.2.1 x", "", "4.4.2.1 x"},
		{"4.1234.2 x", "", "4.1234.2 x"},
		{"4.4.1234 x", "", "4.4.1234 x"},
		{"44.4.2 x", "", "44.4.2 x"},
		{"4", "", "4"},
		{"", "", ""},
		{"Ok", "", "Ok"},
	} {
		if code, rest := cutEnhanced(c.text); code != c.code || rest != c.rest {
			t.Errorf("%q: got %q, %q; want %q, %q", c.text, code, rest, c.code, c.rest)
		}
	}
}

// The stage of the session tells whose fault a refusal is. After the sign-in, at
// RCPT, none is the account's.
func TestStages(t *testing.T) {
	for _, c := range []struct {
		op     string
		code   int
		text   string
		class  Class
		reason Reason
		maybe  bool
	}{
		{"smtp MAIL", 501, "x", Rejected, MailFromSyntax, false},
		{"smtp RCPT", 501, "x", Rejected, RecipientSyntax, false},
		{"smtp RCPT", 553, "<a b@example.com> Invalid email address", Rejected, RecipientSyntax, false},
		{"smtp MAIL", 553, "x", Rejected, MailFromSyntax, false},
		{"smtp DATA", 501, "x", Rejected, ProtocolError, false},
		{"smtp MAIL", 503, "Bad sequence", Rejected, ProtocolError, false},
		{"smtp greeting", 554, "No SMTP service here", Denied, MessageRejected, false},
		{"smtp EHLO", 550, "Access denied", Denied, AccessDenied, false},
		{"smtp AUTH", 599, "x", Denied, Unrecognized, false},
		{"smtp AUTH", 552, "Message is too long.", Denied, MessageTooLong, false},
		{"smtp RCPT", 550, "5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", Rejected, RecipientRefused, false},
		{"smtp DATA", 550, "5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", Rejected, RecipientRefused, false},
		{"", 554, "5.2.1 Account suspended", Rejected, RecipientRefused, false}, // the recipient's
		{"smtp RCPT", 530, "5.7.1 Authentication required", Rejected, RecipientRefused, false},
		{"smtp RCPT", 550, "5.7.1 Authentication required", Rejected, RecipientRefused, false},
		{"smtp RCPT", 535, "5.7.8 Authentication failed", Rejected, RecipientRefused, false},
		{"smtp RCPT", 554, "Account suspended", Rejected, RecipientRefused, false},
		{"smtp RCPT", 454, "Throttling failure: Maximum sending rate exceeded.", Throttled, SendRateExceeded, false},
		{"smtp DATA", 550, "Authentication required", Rejected, MessageRejected, false},
		{"smtp DATA", 535, "5.7.3 Authentication unsuccessful", Denied, AccessDenied, false},
		{"smtp DATA", 530, "5.7.57 Client was not authenticated to send mail", Denied, AccessDenied, false},
		{"smtp DATA", 530, "Authentication required", Denied, AccessDenied, false},
		{"smtp end of data", 535, "Authentication Credentials Invalid", Denied, AccessDenied, false},
		{"smtp end of data", 550, "5.7.1 Authentication required", Rejected, MessageRejected, false},
		{"smtp end of data", 535, "Account not subscribed to SES", Denied, NotSubscribed, false},
		{"smtp MAIL", 530, "Authentication required", Denied, AuthRequired, false},
		{"smtp MAIL", 535, "Authentication Credentials Invalid", Denied, CredentialsInvalid, false},
		{"", 530, "Authentication required", Denied, AuthRequired, false},
		{"", 535, "Authentication Credentials Invalid", Denied, CredentialsInvalid, false},
		{"smtp auth", 504, "x", Denied, ProtocolError, false},
		{"smtp STARTTLS", 454, "TLS not available", Unavailable, TLSFailure, false},
		{"smtp AUTH", 454, "Temporary authentication failure", Unavailable, AuthUnavailable, false},
		{"smtp MAIL", 354, "go on", Unavailable, ProtocolError, false},
		{"smtp EHLO", 334, "what", Unavailable, ProtocolError, false},
		{"smtp DATA", 354, "what", Unavailable, ProtocolError, true},
		{"smtp DATA", 0, "", Unavailable, ProtocolError, true},
	} {
		t.Run(fmt.Sprintf("%s %d %s", c.op, c.code, c.text), func(t *testing.T) {
			e := FromSMTP(c.op, c.code, c.text)
			if e.Class != c.class || e.Reason != c.reason || e.MaybeAccepted != c.maybe {
				t.Errorf("got %v, %s, maybe %v; want %v, %s, maybe %v", e.Class, e.Reason, e.MaybeAccepted, c.class, c.reason, c.maybe)
			}
		})
	}
}

func TestBulkStatuses(t *testing.T) {
	for _, c := range []struct {
		status, text string
		class        Class
		reason       Reason
		maybe        bool
	}{
		{"MessageRejected", "x", Rejected, MessageRejected, false},
		{"MESSAGE_REJECTED", "Email address is not verified.", Denied, IdentityNotVerified, false},
		{"AccountDailyQuotaExceeded", "", QuotaExceeded, DailyQuotaExceeded, false},
		{"INVALID_PARAMETER", "Missing final '@domain'", Rejected, IllegalAddress, false},
		{"FAILED", "Unknown error occurred. Please try again later", Unavailable, ServiceFailure, false},
		{"FAILED", "Attribute 'name' is not present in the rendering data.", Rejected, TemplateInvalid, false},
		{"TransientFailure", "", Unavailable, ServiceFailure, false},
		{"SOMETHING_NEW", "never seen", Unknown, Unrecognized, false},
		{"SOMETHING_NEW", "Maximum sending rate exceeded", Throttled, SendRateExceeded, false},
		{"", "", Unavailable, ResponseLost, true},
	} {
		t.Run(c.status+" "+c.text, func(t *testing.T) {
			e := FromBulkStatus(c.status, c.text)
			if e.Class != c.class || e.Reason != c.reason || e.MaybeAccepted != c.maybe {
				t.Errorf("got %v, %s, maybe %v; want %v, %s, maybe %v", e.Class, e.Reason, e.MaybeAccepted, c.class, c.reason, c.maybe)
			}
		})
	}
}

// Set-up refuses no message. No 5yz at RCPT is about the account, and none about
// the message is about the account for want of authentication.
func TestStagesOfEveryRule(t *testing.T) {
	for _, r := range replyWords.table {
		for _, code := range []int{421, 454, 530, 535, 550, 554} {
			words := strings.ReplaceAll(r.Text, gapMark, " x ")
			for _, stage := range []string{"dial", "greeting", "EHLO", "STARTTLS", "AUTH"} {
				if e := FromSMTP("smtp "+stage, code, words); e.Class == Rejected || e.Class == Invalid || e.MaybeAccepted {
					t.Errorf("%s %d %s: got %v", stage, code, words, e.Class)
				}
			}
			if e := FromSMTP("smtp RCPT", code, words); code >= 500 && e.Reason.Scope() == ScopeAccount {
				t.Errorf("RCPT %d %s: got %s", code, words, e.Reason)
			}
			for _, stage := range []string{"DATA", "end of data"} {
				if e := FromSMTP("smtp "+stage, code, words); code >= 500 && (e.Reason == AuthRequired || e.Reason == CredentialsInvalid) {
					t.Errorf("%s %d %s: got %s", stage, code, words, e.Reason)
				}
			}
		}
	}
}
