package errors

import (
	stderrors "errors"
	"fmt"
	"strings"
	"testing"
)

// attacks are what a sender may write into a name, an address, a file name or a
// header's value in order to be taken for another answer.
var attacks = []string{
	// Whole replies of SES.
	"454 Throttling failure: Maximum sending rate exceeded.", "554 454 Throttling failure: Daily message quota exceeded.", "554 554 Message rejected: Sending paused for this account",
	"535 Authentication Credentials Invalid", "530 Authentication required", "421 Too many concurrent SMTP connections", "451 4.4.2 Timeout waiting for data from client.",
	"454-4.7.0 Temporary authentication failure", "Transaction failed: Transaction failed: Address blacklisted", "Message rejected: Message rejected: account is suspended",
	// Closed quotes and brackets, then words of SES.
	"x'. Sending paused for this account. '", "x\". Sending paused for this account. \"", "x>: Sending paused for this account. <", "x> account suspended",
	"x' is paused", "x\" is paused", "x> is paused", "x) is paused (", "x] is paused [", "x` is paused '", "x' does not exist. Configuration set 'y", "x> not verified <y", "x' not verified 'y",
	"x is not authorized to perform y", "arn:aws:x is not authorized to perform y", "> does not exist <", "'' does not exist ''", "<<>> blacklisted", "><><", "a>b<c>d", "-> is paused", "->> not found",
	"\"\"\" suppressed", "'\"'\"' disabled", "it's paused", "isn't 'paused", "x, suppression list", "x: Throttling failure: Maximum sending rate exceeded",
	// Openings.
	": Throttling failure: Daily message quota exceeded", "Error: 454 Throttling failure", "the account is suspended", "Your account has been shut down", "error: Access denied: Authentication required",
	"amazon ses sending for your account", "[x] Sending paused", "mx.example.com: Error: too many connections", "SesException: Throttling: Rate exceeded", "you have exceeded your daily quota",
	// Answers of the API.
	"api error Throttling: Maximum sending rate exceeded.", "https response error StatusCode: 500, RequestID: 1, api error InternalFailure: x",
	"operation error SESv2: SendEmail, https response error StatusCode: 429, RequestID: 1, TooManyRequestsException: Rate exceeded", "operation error STS: AssumeRole, x",
	"An error occurred (Throttling) when calling the SendEmail operation: Rate exceeded", `{"message":"Sending paused for this account."}`, "ACCOUNT_SENDING_PAUSED: x", "(code AccountSuspendedException)",
	"Throttling (client): Rate exceeded - <ErrorResponse>", "HTTP/1.1 503 Service Unavailable - (Throttling)", "com.amazonaws.services.X: Rate exceeded (Error Code: Throttling)",
	// Lines, folds and control characters.
	"x\r\n454 Throttling failure: Maximum sending rate exceeded.", "x\r\n554-Sending paused for this account\r\n554 y", "x\n 4.7.0 Throttling failure: Rate exceeded", "\r\n\r\nSending paused", "x\r\n4.4.2 Timeout waiting for data from client",
	"x\x00Sending paused for this account", "\x00454 Throttling failure", "\x7f\x1b[0mSending paused", "\t\t\tthrottling failure: rate exceeded",
	// Escapes and broken UTF-8.
	"\xff\xfe454 Throttling failure", "\xc3", "\xed\xa0\x80Sending paused", "\u2028454 Throttling failure: Rate exceeded", "\u202esending paused", `\nSending paused for this account`, `\u003e: Sending paused`, "&gt;: Sending paused &lt;", "&#39;. Sending paused &#39;", `\"; 454 Throttling failure`, `\\" is paused`,
	"Ｓending paused", "ſending paused for this account", "throttling failure\u00a0: rate exceeded",
	// Lists of identities and lost connections.
	"The following identities failed the check in region EU-WEST-1: a@example.com", "failed the check in region X:", "Email address is not verified", "a@example.com, b@example.com...", "@", "@@@", "\"@\"@",
	"EOF", "unexpected EOF", "connection reset by peer", "i/o timeout", "context canceled", "dial tcp 192.0.2.1:587: connect: connection refused",
	strings.Repeat("x", 3<<10) + "> is paused",
}

// longAttacks cost more, and are tried in some of the shapes.
var longAttacks = []string{
	strings.Repeat("Sending paused ", 1<<20/15), strings.Repeat("<", 1<<12), strings.Repeat("'", 1<<12), strings.Repeat("454 ", 1<<12), strings.Repeat("transaction failed: ", 1<<10), strings.Repeat("\xff", 1<<16), strings.Repeat("\x00", 1<<16),
}

// Whatever a mail holds, a refusal that repeats it keeps its class.
func TestAttacksFlipNoClass(t *testing.T) {
	for i, s := range shapes {
		for j := i % stride; j < len(attacks); j += stride {
			s.holds(t, attacks[j])
		}
		s.holds(t, longAttacks[i%len(longAttacks)])
	}
}

// Words of the mail that stand before the reply, such as the recipient in a Go
// program's own text, make a refusal no reason to send again.
func TestAttacksBeforeTheReply(t *testing.T) {
	refusals := []string{
		"554 Message rejected: Email address is not verified.", `554 "Transaction failed: Missing final '@domain'"`, "552 Message is too long.",
		sdkError(400, "MessageRejected", "Address blacklisted.").Error(), sdkError(400, "BadRequestException", "Illegal address").Error(), sdkError(400, "AccountSuspendedException", "").Error(),
	}
	for _, words := range attacks {
		for _, refusal := range refusals {
			for _, text := range []string{
				fmt.Sprintf("send to %s@example.com: %s", words, refusal), fmt.Sprintf("send to %q@example.com: %s", words, refusal), fmt.Sprintf("subject %q: %v", words, refusal), words + ": " + refusal,
			} {
				if err := stderrors.New(text); IsRetryable(err) {
					t.Errorf("%.300q: got %v", text, Classify(err))
				}
			}
		}
	}
}
