package errors

import "strings"

// smtpTexts are the texts of SMTP replies; those of either transport come
// after those of SMTP alone.
var smtpTexts = newMatcher(echoRules, smtpRules, sharedRules, vagueRules)

// FromSMTP returns what a well-formed SMTP reply means that refuses a command.
// Op names the command last, such as "smtp RCPT": it tells whose address a
// "501" complains about, and that a refusal of the greeting, EHLO, STARTTLS or
// AUTH is about the settings (Denied) and not about the message (Rejected).
// Text is the reply's text without the code; an enhanced status code at its
// start is split off, and folded lines are joined.
//
// A 4yz that is not known is Unavailable, a 5yz Rejected (RFC 5321 §4.2.1;
// AWS: retry 4yz, revise the request for 5yz). A refusal is never in doubt. A
// code that is no refusal is a ProtocolError, and in doubt unless op is a
// command before DATA. FromSMTP never returns nil.
func FromSMTP(op string, code int, text string) *Error {
	e := &Error{Op: op, Code: code}
	e.fromReply(clean(text), "")
	return e
}

// fromReply fills in e from the words of a reply, already clean. Where they say
// nothing, the rest of the text that they came from is looked at.
func (e *Error) fromReply(words, rest string) {
	e.Enhanced, words = cutEnhanced(strings.TrimLeft(words, `"`))
	e.Message = shown(words)
	if e.Code < 400 || e.Code > 599 {
		e.Reason, e.Class = ProtocolError, Unavailable
		e.MaybeAccepted = !isBeforeData(stage(e.Op))
		return
	}
	digits := [3]byte{byte('0' + e.Code/100), byte('0' + e.Code/10%10), byte('0' + e.Code%10)}
	code := string(digits[:])
	reason, ok := smtpTexts.reason(code, words)
	if ok && isMailbox(e.Enhanced) && reason.Scope() == ScopeAccount {
		reason = codeReason(code, e.Enhanced)
	}
	if !ok && rest != "" {
		words = rest
		reason, ok = smtpTexts.reason(code, words)
	}
	if !ok {
		reason = codeReason(code, e.Enhanced)
	}
	e.Reason = atStage(topic(reason, words), e.Code, stage(e.Op))
	e.Class = replyClass(e.Reason.Class(), e.Code, stage(e.Op))
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
	if enhanced != "" && enhanced[0] == code[0] {
		if r, ok := byPrefix(enhancedRules, enhanced); ok {
			return r
		}
	}
	if r, ok := byPrefix(replyRules, code); ok {
		return r
	}
	return Unrecognized
}

// byPrefix returns the reason of the first rule whose code starts code. An
// enhanced code is compared by whole numbers: "5.1" covers "5.1.1", not
// "5.10.1", and "5.1.1" does not cover "5.1.10".
func byPrefix(rules []rule, code string) (Reason, bool) {
	for _, r := range rules {
		rest, ok := strings.CutPrefix(code, r.code)
		if ok && (rest == "" || rest[0] == '.' || !strings.Contains(r.code, ".")) {
			return r.reason, true
		}
	}
	return "", false
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

// atStage says whose address is meant, where the words alone do not.
func atStage(r Reason, code int, stage string) Reason {
	if code != 501 && code != 553 {
		return r
	}
	switch r {
	case ProtocolError, IllegalAddress, MailFromSyntax, RecipientSyntax:
		switch stage {
		case "MAIL":
			return MailFromSyntax
		case "RCPT":
			return RecipientSyntax
		}
	}
	return r
}

// stage returns the last word of an op: "RCPT" of "smtp RCPT".
func stage(op string) string { return op[strings.LastIndexByte(op, ' ')+1:] }

// isSetUp reports whether a command, in any case, comes before the first MAIL.
func isSetUp(stage string) bool {
	for _, s := range [...]string{"dial", "connect", "greeting", "banner", "ehlo", "helo", "starttls", "tls", "auth"} {
		if len(s) == len(stage) && hasPrefix(stage, s) {
			return true
		}
	}
	return false
}

// isBeforeData reports whether no message can be accepted at a command yet.
func isBeforeData(stage string) bool {
	return isSetUp(stage) || stage == "MAIL" || stage == "RCPT" || stage == "RSET" || stage == "NOOP"
}
