package errors

import (
	stderrors "errors"
	"fmt"
	"net/textproto"
	"strings"
	"testing"
)

// A shape is a refusal in which SES repeats words of the mail, where %s stands.
type shape struct {
	code   int
	text   string
	class  Class
	reason Reason
}

var shapes = []shape{
	{554, "Transaction failed: Invalid email address<%s>.", Rejected, IllegalAddress},
	{554, "Transaction failed: Invalid email address %s", Rejected, IllegalAddress},
	{554, "Transaction failed: Invalid domain name: '%s'.", Rejected, IllegalAddress},
	{554, "Transaction failed: User name is missing: '%s'.", Rejected, IllegalAddress},
	{554, "Transaction failed: Extraneous text after address: %s", Rejected, IllegalAddress},
	{554, "Transaction failed: Address length is more than 320 characters long: '%s'.", Rejected, IllegalAddress},
	{554, "Transaction failed: Address contains illegal characters in user name: '%s'.", Rejected, IllegalAddress},
	{554, "Transaction failed: Local address contains illegal character: '%s'", Rejected, IllegalAddress},
	{554, "Transaction failed: Illegal address <%s>", Rejected, IllegalAddress},
	{554, "Transaction failed: Email address <%s> is malformed", Rejected, IllegalAddress},
	{554, "Transaction failed: Email address contains non-ascii characters: %s", Rejected, NonASCIIAddress},
	{554, "Transaction failed: Expected ';', got \"%s\"", Rejected, IllegalHeader},
	{554, "Transaction failed: Expected MIME type, got %s", Rejected, IllegalHeader},
	{554, "Transaction failed: In parameter list <%s>, expected parameter value, got \"null\"", Rejected, IllegalHeader},
	{554, "Transaction failed: In Content-Type string <%s>, expected MIME subtype, got null", Rejected, IllegalHeader},
	{554, "Transaction failed: Invalid message tag <%s>", Rejected, InvalidTag},
	{554, "Message rejected: Return-Path <%s> is not verified", Denied, IdentityNotVerified},
	{554, "Transaction failed: Contact list <%s> does not exist", Rejected, NotFound},
	{554, "Transaction failed: Missing required header '%s'.", Rejected, IllegalHeader},
	{554, "Transaction failed: Illegal header '%s'.", Rejected, IllegalHeader},
	{554, "Transaction failed: Header name '%s' is not allowed", Rejected, IllegalHeader},
	{554, "Transaction failed: Invalid value for header X-Foo: %s", Rejected, IllegalHeader},
	{554, "Transaction failed: Unknown charset: %s", Rejected, IllegalHeader},
	{554, "Transaction failed: Invalid date: %s", Rejected, IllegalHeader},
	{554, "Transaction failed: Duplicate header '%s'.", Rejected, DuplicateHeader},
	{554, "Transaction failed: Header '%s' appears more than once", Rejected, DuplicateHeader},
	{554, "Transaction failed: Illegal filename '%s'.", Rejected, IllegalAttachment},
	{554, "Transaction failed: Unsupported file type: %s", Rejected, IllegalAttachment},
	{554, "Transaction failed: Invalid tag value <%s>: only alphanumeric ASCII characters, '_',  '-' , '.', '@' are allowed.", Rejected, InvalidTag},
	{554, "Transaction failed: Something nobody has seen <%s>", Rejected, InvalidParameter},
	{554, "Message rejected: Email address is not verified. The following identities failed the check in region US-EAST-1: %s <a@example.com>", Denied, IdentityNotVerified},
	{554, "Message rejected: Email address is not verified. The following identities failed the check in region US-EAST-1: \"%s\" <a@example.com>, b@example.com", Denied, IdentityNotVerified},
	{554, "Message rejected: Email address not verified \"%s\"", Denied, IdentityNotVerified},
	{554, "Message rejected: Something nobody has seen: %s", Rejected, MessageRejected},
	{554, "Configuration set <%s> does not exist.", Rejected, ConfigurationSetMissing},
	{554, "Message rejected: Configuration set does not exist: %s", Rejected, ConfigurationSetMissing},
	{554, "MAIL FROM domain not verified: %s", Denied, MailFromDomainNotVerified},
	{554, "Access denied: User `%s' is not authorized to perform `ses:SendRawEmail' on resource `arn:aws:ses:us-east-1:123456789012:identity/x'", Denied, AccessDenied},
	{554, "Access denied: User `arn:aws:iam::123456789012:user/x' is not authorized to perform `ses:SendRawEmail' on resource `%s'", Denied, AccessDenied},
	{553, "<%s> Invalid email address", Rejected, MailFromSyntax},
	{553, "<%s> address unknown", Rejected, RecipientSyntax},
	{501, "Invalid MAIL FROM address provided: <%s>", Rejected, MailFromSyntax},
	{550, "5.1.1 <%s>: Recipient address rejected: User unknown", Rejected, RecipientSyntax},
	{554, "5.7.1 <%s>: Relay access denied", Denied, AccessDenied},
}

// holds reports that a shape with words in it still means what it means.
func (s shape) holds(t *testing.T, words string) {
	t.Helper()
	text := strings.Replace(s.text, "%s", words, 1)
	for _, e := range []*Error{FromSMTP("smtp DATA", s.code, text), Classify(&textproto.Error{Code: s.code, Msg: text})} {
		if e.Class != s.class || e.Reason != s.reason {
			t.Errorf("%d %.300q: got %v, %s; want %v, %s", s.code, text, e.Class, e.Reason, s.class, s.reason)
		}
	}
	for _, flat := range []string{fmt.Sprintf("send: %d %s", s.code, text), fmt.Sprintf("%d %q", s.code, text)} {
		if e := Classify(stderrors.New(flat)); e.Class != s.class && e.Class != Unknown || IsRetryable(e) {
			t.Errorf("%.300s: got %v, %s; want %v", flat, e.Class, e.Reason, s.class)
		}
	}
	bare := text
	for _, opening := range []string{"Transaction failed: ", "Message rejected: "} {
		rest, ok := strings.CutPrefix(text, opening)
		if !ok {
			continue
		}
		code := map[string]string{"Transaction failed: ": "BadRequestException", "Message rejected: ": "MessageRejected"}[opening]
		bare = rest
		if e := FromAPI("", sdkError(400, code, bare)); e.Class != s.class || e.Reason != s.reason {
			t.Errorf("%s %.300q: got %v, %s; want %v, %s", code, bare, e.Class, e.Reason, s.class, s.reason)
		}
		if e := Classify(stderrors.New(sdkError(400, code, bare).Error())); e.Class != s.class && e.Class != Unknown || IsRetryable(e) {
			t.Errorf("flattened %s %.300q: got %v, %s; want %v", code, bare, e.Class, e.Reason, s.class)
		}
	}
}

// phrases are the words of every rule, as a sender may write them into a mail.
func phrases() (all []string) {
	for _, r := range replyWords.table {
		words := strings.ReplaceAll(r.Text, gapMark, " x ")
		if len(all)%2 == 0 {
			words = "Message rejected: " + words + "@example.com"
		}
		all = append(all, words)
	}
	for _, r := range apiRules {
		all = append(all, r.Code, r.Code+"Exception: x", "("+r.Code+")")
	}
	return append(all, "Sending suspended for this account", "Sending paused for this account@x", "Throttling failure: Daily message quota exceeded.",
		"connection reset by peer", "unexpected EOF", "https response error StatusCode: 503", "AUTH PLAIN x", `{"message":"Sending paused for this account."}`)
}

// The words of any rule, written where SES repeats the mail, change nothing.
func TestWordsOfTheMailChangeNothing(t *testing.T) {
	all := phrases()
	for i, s := range shapes {
		s.holds(t, "x")
		for j := i % stride; j < len(all); j += stride {
			s.holds(t, all[j])
		}
	}
}

func FuzzWordsOfTheMail(f *testing.F) {
	for i, words := range phrases() {
		f.Add(i, words)
	}
	f.Fuzz(func(t *testing.T, i int, words string) {
		s := shapes[uint(i)%uint(len(shapes))]
		if strings.ContainsAny(words, "\r\n\\&") { // what would make lines or escapes of its own
			return
		}
		s.holds(t, words)
	})
}
