package errors

import (
	stderrors "errors"
	"testing"
)

// Other servers speak of mailboxes, of spam and of themselves in words like
// those of SES. None of it is about the sender's SES account, and none of it is
// in doubt. Flattened into a text it means the same or nothing.
func TestOtherServers(t *testing.T) {
	for _, line := range []string{
		`421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes`,
		`421 4.7.0 Try again later, closing connection. (EHLO)`,
		`421 4.7.0 This message does not have authentication information or fails to pass authentication checks.`,
		`421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address.`,
		`421 4.3.0 Temporary System Problem. Try again later`,
		`421 4.4.5 Server busy, try again later.`,
		`421 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.`,
		`450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.`,
		`450 4.7.25 Client host rejected: cannot find your hostname`,
		`450 4.1.1 <a@example.com>: Recipient address rejected: unverified address: Address verification in progress`,
		`451 4.7.500 Server busy. Please try again later from [192.0.2.1].`,
		`451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.`,
		`451 4.3.0 Mail server temporarily rejected message.`,
		`452 4.2.2 The email account that you tried to reach is over quota.`,
		`452 4.1.0 <a@example.com> sender rejected. Daily sending limit for this recipient`,
		`454 4.7.0 Too many login attempts, please try again later.`,
		`454 4.7.5 Certificate validation failure`,
		`550 5.1.1 The email account that you tried to reach does not exist.`,
		`550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup`,
		`550 5.2.1 The email account that you tried to reach is disabled.`,
		`550 5.2.1 Mailbox disabled, not accepting messages`,
		`550 5.4.5 Daily SMTP relay sending limit exceeded for this user.`,
		`550 5.4.6 Hop count exceeded - possible mail loop`,
		`550 5.7.1 Our system has detected that this message is likely unsolicited mail.`,
		`550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider.`,
		`550 5.7.1 The user or domain that you are sending to (or from) has a policy that prohibited the mail that you sent.`,
		`550 5.7.1 Message rejected due to content restrictions`,
		`550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy.`,
		`550 5.7.515 Access denied, sending domain example.com does not meet the required authentication level.`,
		`550 5.7.64 TenantAttribution; Relay Access Denied`,
		`550 5.7.705 Access denied, tenant has exceeded threshold`,
		`550 5.7.708 Access denied, traffic not accepted from this IP.`,
		`550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains`,
		`550 5.1.8 Access denied, bad outbound sender`,
		`550 High probability of spam`,
		`550 Administrative prohibition`,
		`550 #5.1.0 Address rejected.`,
		`550 Account suspended`,
		`550 User account is disabled due to inactivity`,
		`550 Mailbox suspended`,
		`551 User not local; please try <forward-path>`,
		`552 5.2.2 <a@example.com>: user is over quota`,
		`552 5.7.0 This message was blocked because its content presents a potential security issue.`,
		`553 5.7.1 <a@example.com>: Sender address rejected: not logged in`,
		`553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)`,
		`553 5.3.0 <a@example.com>... No such user here`,
		`554 5.7.1 The file invoice.exe attached to that message is not allowed`,
		`554 5.7.1 [CS] Message blocked. Please visit Mimecast`,
		`554 5.7.9 Message not accepted for policy reasons.`,
		`554 Transaction failed : Cannot send message due to possible abuse`,
		`554 Your access to this mail system has been rejected due to the sending MTA's poor reputation.`,
		`554 delivery error: dd Sorry your message to a@example.com cannot be delivered. This mailbox is disabled (554.30).`,
		`554 mx1.example.com ESMTP not accepting messages`,
		`554 5.1.0 Sender denied`,
		`571 5.7.1 message contains spam`,
	} {
		for _, e := range []*Error{
			FromSMTP("smtp DATA", number(line), line[4:]),
			Classify(stderrors.New(line)),
			Classify(stderrors.New("bounced: host mx.example.com[192.0.2.1] said: " + line + " (in reply to RCPT TO command)")),
		} {
			if e.Reason.Scope() == ScopeAccount || e.MaybeAccepted || e.Class.Retryable() != (line[0] == '4') && (e.Op != "" || e.Class != Unknown) {
				t.Errorf("%s: got %v, %s, maybe %v", line, e.Class, e.Reason, e.MaybeAccepted)
			}
		}
	}
}

// Ordinary errors of programs hold words of SES, too.
func TestOtherErrors(t *testing.T) {
	for _, text := range []string{
		"cipher: message authentication failed", "invalid credentials format", "timeout waiting for Read to finish",
		"please review the daily quota report", "rendering boundary of the virus model", "cannot read file name from multipart form",
		"user 421 not found", "invoice 554 is overdue", "line 554: Something odd", "the context of the mail was canceled by its author",
		"quota exceeded on /home", "strconv.Atoi: parsing \"x\": invalid syntax", "pq: duplicate key value violates unique constraint",
		"postfix/smtp[454]: Started", "listen tcp: address already in use", "sql: no rows in result set",
	} {
		if e := Classify(stderrors.New(text)); e.Class != Unknown || e.Reason != Unrecognized || e.MaybeAccepted {
			t.Errorf("%q: got %v, %s, maybe %v", text, e.Class, e.Reason, e.MaybeAccepted)
		}
	}
}
