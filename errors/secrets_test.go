package errors

import (
	"bytes"
	stderrors "errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const secret = "AHNlY3JldEtleTEyMw=="

// secretTexts hold the secret as tools and refusals print it.
var secretTexts = []string{
	"C: AUTH PLAIN " + secret + " S: 535 Authentication Credentials Invalid",
	"auth login " + secret + "\r\n535 Authentication Credentials Invalid",
	"The Canonical String for this request should have been 'POST\n/\n\nhost:email.us-east-1.amazonaws.com\nx-amz-security-token:" + secret + "\n\nhost'",
	`{"x-amz-security-token": "` + secret + `", "message": "The security token included in the request is invalid."}`,
	"aws_secret_access_key=" + secret + " 535 Authentication Credentials Invalid",
	`{ user: 'AKIA', password: '` + secret + `' } Error: Invalid login: 535 Authentication Credentials Invalid`,
	"Authorization: Basic " + secret + ", 403 Forbidden",
}

// A secret that a reply or a log repeats stands in no text of an error.
func TestSecretsAreLeftOut(t *testing.T) {
	for _, text := range secretTexts {
		for _, e := range []*Error{
			FromSMTP("smtp AUTH", 535, text), FromSMTP("smtp DATA", 554, text), FromBulkStatus("FAILED", text),
			FromAPI("ses SendEmail", sdkError(403, "SignatureDoesNotMatch", text)), FromAPI("", sdkError(0, "X", text)),
			Classify(stderrors.New(text)), {Class: Denied, Err: stderrors.New(text)},
		} {
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("x", "err", e)
			for _, shown := range []string{e.Message, e.Error(), fmt.Sprint(e), log.String()} {
				if strings.Contains(shown, secret) {
					t.Errorf("%s", shown)
				}
			}
		}
	}
}

// Words that only look like marks stay.
func TestWordsAreNotSecrets(t *testing.T) {
	for _, text := range []string{
		"AUTH PLAIN mechanism not supported", "AUTH LOGIN failed", "Username and Password not accepted",
		"The session token is invalid", "authentication required", "Pass the password", "password", "AUTH PLAIN ", "Password:",
	} {
		if got := redacted(text); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}
