package errors

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

var (
	replyWords  = slices.Concat(smtpRules, sharedRules, vagueRules).byWords() // of an SMTP reply
	sharedWords = sharedRules.byWords()                                       // of an answer of the API
)

// FromSMTP returns what a well-formed SMTP reply means that refuses a command.
// Op names the command last, such as "smtp RCPT": it tells whose address a
// "501" complains about, and that a refusal of the greeting, EHLO, STARTTLS or
// AUTH is about the settings (Denied) and not about the message (Rejected).
// At RCPT, DATA and the end of data the client has signed in, so no 5yz is about
// the account for want of authentication.
// Text is the reply's text without the code; an enhanced status code at its
// start is split off, and folded lines are joined.
//
// A 4yz that is not known is Unavailable, a 5yz Rejected (RFC 5321 §4.2.1;
// AWS: retry 4yz, revise the request for 5yz). A refusal is never in doubt. A
// code that is no refusal is a ProtocolError, and in doubt unless op is a
// command before DATA. FromSMTP never returns nil.
func FromSMTP(op string, code int, text string) *Error {
	e := &Error{Op: op, Code: code}
	e.fromReply(cleanReply(text))
	return e
}

// fromReply fills in e from the clean words of a reply.
func (e *Error) fromReply(words string) {
	if len(words) > 1 && strings.HasPrefix(words, `"`) && strings.HasSuffix(words, `"`) { // textproto quotes what it prints
		words = words[1 : len(words)-1]
	}
	e.Enhanced, words = cutEnhanced(words)
	e.Message = shown(words)
	if e.Code < 400 || e.Code > 599 {
		e.Reason, e.Class = ProtocolError, Unavailable
		e.MaybeAccepted = !isBeforeData(stage(e.Op))
		return
	}
	code, stage := strconv.Itoa(e.Code), stage(e.Op)
	if r := replyWords.find(code, words); r != nil && !(isMailbox(e.Enhanced) && r.Reason.Scope() == ScopeAccount) {
		e.Reason = r.Reason
	} else {
		e.Reason = codeReason(code, e.Enhanced)
	}
	e.Reason = atStage(e.Reason, e.Code, stage)
	e.Class = replyClass(e.Reason.Class(), e.Code, stage)
	e.addIdentities(words)
}

// isMailbox reports whether an enhanced code is about a recipient's address or
// mailbox (RFC 3463 §3.2, §3.3), whose "account is disabled" is not the
// sender's.
func isMailbox(enhanced string) bool {
	return len(enhanced) > 3 && (enhanced[2:4] == "1." || enhanced[2:4] == "2.")
}

// codeReason returns what the codes mean without regard to the words.
func codeReason(code, enhanced string) Reason {
	if !strings.HasPrefix(enhanced, code[:1]) {
		enhanced = ""
	}
	return cmp.Or(enhancedRules.byPrefix(enhanced), replyRules.byPrefix(code), &rule{Reason: Unrecognized}).Reason
}

// replyClass fits the class of a reason to the reply that gave it: the first
// digit says whether to try again, and set-up never refuses a message.
func replyClass(c Class, code int, stage string) Class {
	switch {
	case code < 500 && !c.Retryable():
		return Unavailable
	case code >= 500 && (c == Unavailable || c == Unknown):
		c = Rejected
	}
	if c == Rejected && isSetUp(stage) {
		return Denied
	}
	return c
}

// atStage fits a reason to the stage: it says whose address is meant where
// the words alone do not, and that a 5yz after the sign-in is not about the
// account. There another server speaks of one recipient or one message, as
// Exchange does of senders who are not authenticated for a group; a 53y about
// the message is about what this sender may do.
func atStage(r Reason, code int, stage string) Reason {
	isSyntax := (code == 501 || code == 553) && (r == ProtocolError || r == IllegalAddress || r == MailFromSyntax || r == RecipientSyntax)
	wantsAuth := code >= 500 && (r == AuthRequired || r == CredentialsInvalid)
	switch {
	case isSyntax && stage == "mail":
		return MailFromSyntax
	case isSyntax && stage == "rcpt":
		return RecipientSyntax
	case code >= 500 && r.Scope() == ScopeAccount && stage == "rcpt":
		return RecipientRefused
	case wantsAuth && stage == "data" && code/10 == 53:
		return AccessDenied
	case wantsAuth && stage == "data":
		return MessageRejected
	}
	return r
}

// stage returns the last word of an op in lower case: "rcpt" of "smtp RCPT".
func stage(op string) string { return strings.ToLower(op[strings.LastIndexByte(op, ' ')+1:]) }

// isSetUp reports whether a stage comes before the first MAIL.
func isSetUp(stage string) bool {
	return slices.Contains([]string{"dial", "connect", "greeting", "banner", "ehlo", "helo", "starttls", "tls", "auth"}, stage)
}

// isBeforeData reports whether no message can be accepted at a stage yet.
func isBeforeData(stage string) bool {
	return isSetUp(stage) || slices.Contains([]string{"mail", "rcpt", "rset", "noop"}, stage)
}
