package sestest_test

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// overSMTP sends a message and returns SES's answer, as an error if it
// refuses.
func overSMTP(t *testing.T, s *sestest.Server, msg string, to ...string) error {
	t.Helper()
	d := start(t, s)
	defer d.conn.Close()
	d.envelope(from, to...)
	d.send("%s.\r\n", msg)
	code, text, err := d.r.ReadResponse(0)
	if err == nil && code != 250 {
		err = &textproto.Error{Code: code, Msg: text}
	}
	return err
}

func overAPI(t *testing.T, s *sestest.Server, msg string, to ...string) error {
	t.Helper()
	_, err := apiClient(s).SendEmail(context.Background(), rawInput(msg, to...))
	return err
}

var transports = map[string]func(*testing.T, *sestest.Server, string, ...string) error{
	"smtp": overSMTP, "api": overAPI,
}

// overBoth runs a test over each transport.
func overBoth(t *testing.T, f func(t *testing.T, s *sestest.Server, send func(msg string, to ...string) error)) {
	for name, send := range transports {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *sestest.Server) {
				f(t, s, func(msg string, to ...string) error { return send(t, s, msg, to...) })
			})
		})
	}
}

// wantSays checks that the error holds SES's words; "" wants none.
func wantSays(t *testing.T, err error, words string) {
	t.Helper()
	got := ""
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		got = reply.Msg // unquoted
	} else if err != nil {
		got = err.Error()
	}
	if words == "" && err != nil || !strings.Contains(got, words) {
		t.Errorf("got %v, want %q", err, words)
	}
}

const (
	failedCheck  = "Email address is not verified. The following identities failed the check in region US-EAST-1: "
	rateExceeded = "Maximum sending rate exceeded."
	quotaSpent   = "Daily message quota exceeded."
)

func TestSendersMustBeVerified(t *testing.T) {
	tests := map[string]struct {
		verified []string
		header   string // in place of the From field
		want     string
	}{
		"domain":                     {nil, "From: sender@example.com", ""},
		"domain in capitals":         {nil, "From: sender@EXAMPLE.com", ""},
		"subdomain":                  {nil, "From: sender@mail.example.com", ""},
		"domain that ends alike":     {nil, "From: sender@badexample.com", failedCheck + "sender@badexample.com"},
		"parent of a domain":         {nil, "From: sender@com", failedCheck + "sender@com"},
		"other domain":               {nil, "From: a@example.net", failedCheck + "a@example.net"},
		"other domain, with a name":  {nil, `From: "A, B" <a@example.net>`, failedCheck + `"A, B" <a@example.net>`},
		"address":                    {[]string{"a@example.net"}, "From: a@example.net", ""},
		"address, domain in capital": {[]string{"a@Example.net"}, "From: a@example.NET", ""},
		"address, local in capitals": {[]string{"a@example.net"}, "From: A@example.net", failedCheck + "A@example.net"},
		"neighbour of an address":    {[]string{"a@example.net"}, "From: b@example.net", failedCheck + "b@example.net"},
		"Return-Path":                {nil, "Return-Path: <r@example.net>\r\nFrom: sender@example.com", failedCheck + "<r@example.net>"},
		"Sender":                     {nil, "Sender: s@example.net\r\nFrom: sender@example.com", failedCheck + "s@example.net"},
		"several":                    {nil, "From: a@example.net, b@example.org, a@example.net", failedCheck + "a@example.net, b@example.org"},
		"by ARN":                     {nil, "X-SES-FROM-ARN: arn:aws:ses:us-east-1:1:identity/example.net\r\nFrom: a@example.net", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
				s.Account.Verify(tt.verified...)
				err := send(tt.header+"\r\nTo: to@example.org\r\n\r\n", to)
				wantSays(t, err, tt.want)
			})
		})
	}
}

func TestTheEnvelopeSenderMustBeVerifiedToo(t *testing.T) {
	s := newServer(t)
	s.Account.Unverify()
	s.Account.Verify("me@example.net")
	d := start(t, s)
	d.mail("From: me@example.net\r\nTo: to@example.org\r\n\r\n", 554, failedCheck+from)
}

func TestALongListOfIdentitiesIsCut(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		var list []string
		for i := range 11 {
			list = append(list, fmt.Sprintf("a%d@example.net", i))
		}
		err := send("From: "+strings.Join(list, ", ")+"\r\nTo: to@example.org\r\n\r\n", to)
		wantSays(t, err, strings.Join(list[:10], ", ")+"...")
	})
}

func TestTheSandboxKnowsVerifiedRecipientsOnly(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		s.Account.SetSandbox(true)
		wantSays(t, send(message, "friend@example.com", to), failedCheck+to)
		wantSays(t, send(message, "friend@example.com", "success@simulator.amazonses.com"), "")
		s.Account.SetSandbox(false)
		wantSays(t, send(message, to), "")
		wantAccepted(t, s, 2)
	})
}

func TestTheRateCountsRecipientsOfTheLastSecond(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		s.Account.SetMaxSendRate(2)
		wantSays(t, send(message, to), "")
		time.Sleep(600 * time.Millisecond)
		wantSays(t, send(message, to, to), rateExceeded)
		wantSays(t, send(message, to), "")
		wantSays(t, send(message, to), rateExceeded)
		time.Sleep(400*time.Millisecond - time.Nanosecond)
		wantSays(t, send(message, to), rateExceeded)
		time.Sleep(time.Nanosecond) // the first message is a second old
		wantSays(t, send(message, to), "")
		wantSays(t, send(message, to), rateExceeded)
	})
}

func TestAMessageWiderThanTheRatePassesAndIsPaidFor(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		s.Account.SetMaxSendRate(10)
		wantSays(t, send(message, slices.Repeat([]string{to}, 50)...), "")
		time.Sleep(5*time.Second - time.Nanosecond)
		wantSays(t, send(message, to), rateExceeded)
		time.Sleep(time.Nanosecond)
		wantSays(t, send(message, to), "")
	})
}

func TestTheQuotaRollsOver24Hours(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		s.Account.SetMax24HourSend(3)
		wantSays(t, send(message, to, to), "")
		time.Sleep(time.Hour)
		wantSays(t, send(message, to, to), quotaSpent)
		wantSays(t, send(message, to), "")
		wantSays(t, send(message, to), quotaSpent)
		time.Sleep(23*time.Hour - time.Nanosecond)
		wantSays(t, send(message, to), quotaSpent)
		if n := s.Account.SentLast24Hours(); n != 3 {
			t.Errorf("%v sent in 24 hours, want 3", n)
		}
		time.Sleep(time.Nanosecond)
		if n := s.Account.SentLast24Hours(); n != 1 {
			t.Errorf("%v sent in 24 hours, want 1", n)
		}
		wantSays(t, send(message, to, to), "")
		wantSays(t, send(message, to), quotaSpent)
	})
}

func TestPausedAndSuspendedAccountsSendNothing(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		s.Account.SetSendingPaused(true)
		wantSays(t, send(message, to), "Sending paused for this account.")
		s.Account.SetSuspended(true)
		if err := send(message, to); err == nil || strings.Contains(err.Error(), "paused") {
			t.Errorf("a suspended account: %v", err)
		}
		s.Account.SetSuspended(false)
		s.Account.SetSendingPaused(false)
		wantSays(t, send(message, to), "")
	})
}

func TestConfigurationSets(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		msg := "X-SES-CONFIGURATION-SET: news\r\n" + message
		wantSays(t, send(msg, to), "Configuration set <news> does not exist.")
		s.Account.AddConfigurationSet("news")
		wantSays(t, send(msg, to), "")
		s.Account.PauseConfigurationSet("news", true)
		wantSays(t, send(msg, to), "Sending paused for configuration set <news>.")
		s.Account.PauseConfigurationSet("news", false)
		wantSays(t, send(msg, to), "")
		s.Account.RemoveConfigurationSet("news")
		wantSays(t, send(msg, to), "does not exist")
		for _, m := range wantAccepted(t, s, 2) {
			if m.ConfigurationSet != "news" {
				t.Errorf("configuration set %q", m.ConfigurationSet)
			}
		}
	})
}

func TestSESFieldsAreRead(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		err := send("X-SES-MESSAGE-TAGS: campaign=spring,\r\n kind = a@b.c-d_e\r\nX-SES-TENANT: acme\r\n"+
			"X-SES-SOURCE-ARN: arn:source\r\nX-SES-RETURN-PATH-ARN: arn:return\r\n"+
			"X-SES-LIST-MANAGEMENT-OPTIONS: list; topic=news\r\n"+message, to)
		wantSays(t, err, "")
		m := wantAccepted(t, s, 1)[0]
		if got := fmt.Sprintln(m.Tags, m.Tenant, m.FromARN, m.ReturnPathARN, m.List); got !=
			"map[campaign:spring kind:a@b.c-d_e] acme arn:source arn:return list; topic=news\n" {
			t.Errorf("read %s", got)
		}
	})
}

func TestComplaints(t *testing.T) {
	const rest = "\r\nTo: to@example.org\r\n\r\n"
	const sender = "From: sender@example.com\r\n"
	long := strings.Repeat("x", 256)
	tests := map[string]struct{ msg, want string }{
		"no From":               {"Subject: x" + rest, "Missing required header 'From'."},
		"empty From":            {"From:" + rest, "Empty required header 'From'."},
		"no recipient field":    {sender + "\r\n", "Missing required header 'To'."},
		"empty To":              {sender + "To: \r\n\r\n", "Empty required header 'To'."},
		"group in To":           {sender + "To: undisclosed-recipients:;\r\n\r\n", ""},
		"From twice":            {sender + "FROM: sender@example.com" + rest, "Duplicate header 'From'."},
		"Subject twice":         {sender + "Subject: a\r\nSubject: b" + rest, "Duplicate header 'Subject'."},
		"Received twice":        {sender + "Received: a\r\nReceived: b" + rest, ""},
		"line without colon":    {sender + "what" + rest, "Expected ':', got 'null'"},
		"empty name":            {sender + ": x" + rest, "Empty header names are illegal."},
		"folding at the start":  {" x\r\n" + sender + rest, "Empty header names are illegal."},
		"space in a name":       {sender + "a b: x" + rest, "Header name contains illegal character"},
		"folded value":          {"From:\r\n sender@example.com" + rest, ""},
		"no MIME type":          {sender + "Content-Type: text; charset=utf-8" + rest, "Expected MIME type, got text"},
		"broken MIME type":      {sender + "Content-Type: text/; x" + rest, "Expected '/', got ;"},
		"MIME type":             {sender + "Content-Type: text/plain; charset=utf-8" + rest, ""},
		"no domain":             {"From: sender" + rest, "Missing final '@domain'"},
		"empty domain":          {"From: sender@" + rest, "Missing final '@domain'"},
		"no local part":         {"From: @example.com" + rest, "Missing local name"},
		"space in local part":   {"From: a b@example.com" + rest, "Local address contains control or whitespace"},
		"space in brackets":     {"From: X <a b@example.com>" + rest, "Local address contains control or whitespace"},
		"two at signs":          {"From: a@b@example.com" + rest, "Local address contains illegal character"},
		"local starts with dot": {"From: .a@example.com" + rest, "Local address starts with dot"},
		"local ends with dot":   {"From: a.@example.com" + rest, "Local address ends with dot"},
		"two dots in local":     {"From: a..b@example.com" + rest, "Local address contains dot-dot"},
		"quoted local part":     {`From: "a b"@example.com` + rest, ""},
		"space in domain":       {"From: <a@exam ple.com>" + rest, "Domain contains control or whitespace"},
		"underscore in domain":  {"From: a@exam_ple.com" + rest, "Domain contains illegal character"},
		"domain literal":        {"From: a@[192.0.2.1]" + rest, "Domain contains illegal character"},
		"domain starts dotted":  {"From: a@.example.com" + rest, "Domain starts with dot"},
		"domain ends dotted":    {"From: a@example.com." + rest, "Domain ends with dot"},
		"two dots in domain":    {"From: a@example..com" + rest, "Domain contains dot-dot"},
		"non-ASCII address":     {"From: jörg@example.com" + rest, "There are non-ASCII characters in the email address"},
		"non-ASCII name":        {"From: Jörg <sender@example.com>" + rest, ""},
		"unbalanced quote":      {`From: "a <sender@example.com>` + rest, "Illegal address"},
		"unbalanced bracket":    {"From: a <sender@example.com" + rest, "Illegal address"},
		"two brackets":          {"From: <sender@example.com> <sender@example.com>" + rest, "Illegal address"},
		"empty brackets":        {"From: X <>" + rest, "Empty address"},
		"comment":               {"From: sender@example.com (a \\) (nested), comment)" + rest, ""},
		"bad Reply-To":          {sender + "Reply-To: nobody" + rest, "Missing final '@domain'"},
		"bad recipient in Cc":   {sender + "Cc: a@example.org, b@" + rest, "Missing final '@domain'"},
		"tag without value":     {sender + "X-SES-MESSAGE-TAGS: a" + rest, "Expected '=', got 'null'"},
		"tag with empty value":  {sender + "X-SES-MESSAGE-TAGS: a=" + rest, "The tag value must be specified."},
		"tag without name":      {sender + "X-SES-MESSAGE-TAGS: =a" + rest, "The tag name must be specified."},
		"tag value with colon":  {sender + "X-SES-MESSAGE-TAGS: a=b:c" + rest, "Invalid tag value <b:c>: only alphanumeric ASCII characters, '_',  '-' , '.', '@' are allowed."},
		"tag name with dot":     {sender + "X-SES-MESSAGE-TAGS: a.b=c" + rest, "Invalid tag name <a.b>"},
		"long tag name":         {sender + "X-SES-MESSAGE-TAGS: " + long + "=c" + rest, "Tag name cannot exceed 255 characters."},
		"long tag value":        {sender + "X-SES-MESSAGE-TAGS: c=" + long + rest, "Tag value cannot exceed 255 characters."},
		"tag of SES's own":      {sender + "X-SES-MESSAGE-TAGS: ses:feedback-id-a=c" + rest, ""},
		"longest tag":           {sender + "X-SES-MESSAGE-TAGS: " + long[1:] + "=" + long[1:] + rest, ""},
		"tag twice":             {sender + "X-SES-MESSAGE-TAGS: a=b, a=c" + rest, "Duplicate tag name <a>."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
				wantSays(t, send(tt.msg, to), tt.want)
			})
		})
	}
}

func TestComplaintsAboutTheEnvelopeComeAfterTheDot(t *testing.T) {
	overBoth(t, func(t *testing.T, s *sestest.Server, send func(string, ...string) error) {
		wantSays(t, send(message, to, "nobody@exam_ple.org"), "Domain contains illegal character")
		wantSays(t, send(message, "jörg@example.org"), "There are non-ASCII characters in the email address")
		wantAccepted(t, s, 0)
	})
}
