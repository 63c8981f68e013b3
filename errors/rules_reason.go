package errors

// The reasons.
const (
	SendRateExceeded          Reason = "send-rate-exceeded"            // more messages a second than the account may send
	DailyQuotaExceeded        Reason = "daily-quota-exceeded"          // the rolling 24-hour quota is spent
	SigV2RateExceeded         Reason = "sigv2-rate-exceeded"           // SMTP credentials from before January 10, 2019
	TooManyConnections        Reason = "too-many-connections"          // too many SMTP connections at once
	SessionMessageLimit       Reason = "session-message-limit"         // this SMTP connection carried its last message
	IdleTimeout               Reason = "idle-timeout"                  // this SMTP connection was silent too long and is closed
	ServiceFailure            Reason = "service-failure"               // trouble inside SES, or an unexplained "later"
	AuthUnavailable           Reason = "auth-unavailable"              // SES cannot check credentials now
	RequestTimeout            Reason = "request-timeout"               // SES did not get the whole request in time
	Conflict                  Reason = "conflict"                      // another change is in progress
	Network                   Reason = "network"                       // the connection failed
	NameNotFound              Reason = "name-not-found"                // the endpoint's name does not exist
	NameLookupFailed          Reason = "name-lookup-failed"            // the name server gave no answer
	TLSFailure                Reason = "tls-failure"                   // TLS could not be set up, or broke
	TLSModeMismatch           Reason = "tls-mode-mismatch"             // TLS wrapper on a STARTTLS port, or the reverse
	CertificateInvalid        Reason = "certificate-invalid"           // the server's certificate is not trusted
	ResponseLost              Reason = "response-lost"                 // the message went out, no usable answer came back
	ContextCanceled           Reason = "context-canceled"              // the caller's context was canceled
	DeadlineExceeded          Reason = "deadline-exceeded"             // the caller's context reached its deadline
	ClientClosed              Reason = "client-closed"                 // the client was shut down or closed
	ProxyRefused              Reason = "proxy-refused"                 // a proxy on the way does not let the connection through
	ConfigInvalid             Reason = "config-invalid"                // a setting of this program cannot work
	ContentUnreadable         Reason = "content-unreadable"            // the message's own source failed
	ProtocolError             Reason = "protocol-error"                // an answer that makes no sense here
	AuthRequired              Reason = "auth-required"                 // nobody signed in
	TLSRequired               Reason = "tls-required"                  // the line is not encrypted
	CredentialsInvalid        Reason = "credentials-invalid"           // wrong, unknown or missing credentials
	CredentialsUnavailable    Reason = "credentials-unavailable"       // credentials could not be got, so SES was not asked
	CredentialsExpired        Reason = "credentials-expired"           // temporary credentials ran out
	ClockSkew                 Reason = "clock-skew"                    // this machine's clock is off
	NotSubscribed             Reason = "not-subscribed"                // the account is not signed up for SES
	AccessDenied              Reason = "access-denied"                 // an IAM or sending policy says no
	IdentityNotVerified       Reason = "identity-not-verified"         // an address or domain is not verified in this region
	MailFromDomainNotVerified Reason = "mail-from-domain-not-verified" // the custom MAIL FROM domain lacks its MX record
	SendingPaused             Reason = "sending-paused"                // the account may not send for now
	AccountSuspended          Reason = "account-suspended"             // the account was shut down
	ConfigurationSetPaused    Reason = "configuration-set-paused"      // this configuration set or tenant may not send for now
	ConfigurationSetMissing   Reason = "configuration-set-missing"     // no such configuration set in this region
	MessageTooLong            Reason = "message-too-long"              // over the size limit
	MailFromSyntax            Reason = "mail-from-syntax"              // the envelope sender is malformed
	RecipientSyntax           Reason = "recipient-syntax"              // an envelope recipient is malformed or unknown
	IllegalAddress            Reason = "illegal-address"               // an address cannot be parsed
	NonASCIIAddress           Reason = "non-ascii-address"             // an address is not 7-bit ASCII
	NoRecipients              Reason = "no-recipients"                 // nobody to send to
	TooManyRecipients         Reason = "too-many-recipients"           // more than 50 recipients
	RecipientRefused          Reason = "recipient-refused"             // another server takes no mail for this recipient
	RecipientSuppressed       Reason = "recipient-suppressed"          // a recipient is on a suppression list
	IllegalHeader             Reason = "illegal-header"                // a header is missing, empty or malformed
	DuplicateHeader           Reason = "duplicate-header"              // a header that must be single appears twice
	IllegalAttachment         Reason = "illegal-attachment"            // an attachment's type or name is not allowed
	InvalidParameter          Reason = "invalid-parameter"             // a value of the request is wrong
	InvalidTag                Reason = "invalid-tag"                   // a message tag is malformed
	TemplateMissing           Reason = "template-missing"              // no such template in this region
	TemplateInvalid           Reason = "template-invalid"              // the template or its data cannot be rendered
	InvalidSendingPool        Reason = "invalid-sending-pool"          // no such dedicated IP pool
	LimitExceeded             Reason = "limit-exceeded"                // too many resources of a kind
	NotFound                  Reason = "not-found"                     // a named resource does not exist
	MessageRejected           Reason = "message-rejected"              // the content was refused

	// Those that only a receiver can give, or SES after it accepted the mail: events
	// tell them (package event).

	RecipientUnknown      Reason = "recipient-unknown"      // no such mailbox or domain
	RecipientUnsubscribed Reason = "recipient-unsubscribed" // the recipient left the contact list
	RecipientComplained   Reason = "recipient-complained"   // the recipient called the mail spam
	RecipientPolicy       Reason = "recipient-policy"       // a rule of the receiver, not explained
	MailboxDisabled       Reason = "mailbox-disabled"       // the mailbox is closed, locked or abandoned
	MailboxFull           Reason = "mailbox-full"           // the mailbox has no room
	ValidationSuppressed  Reason = "validation-suppressed"  // below the threshold of SES's address validation
	SendingIPBlocked      Reason = "sending-ip-blocked"     // the receiver blocks SES's IP address
	SendingDomainBlocked  Reason = "sending-domain-blocked" // the receiver blocks the sending domain
	AuthenticationFailed  Reason = "authentication-failed"  // SPF, DKIM, DMARC, or a sender that cannot be
	ContentRefused        Reason = "content-refused"        // the receiver calls it spam, a virus or malformed
	ReceiverBusy          Reason = "receiver-busy"          // too much mail for the receiver for now
	ReceiverUnavailable   Reason = "receiver-unavailable"   // the receiver has trouble or is not reached
	DeliveryTimeExceeded  Reason = "delivery-time-exceeded" // MaxDeliverySeconds of the configuration set ran out

	Unrecognized Reason = "unrecognized" // none of these
)

// reasonInfo is what follows from a reason alone.
type reasonInfo struct {
	class  Class
	scope  Scope
	advice string
}

// reasons gives every reason its class, scope and advice. The advice follows
// the SES Developer Guide ("Amazon SES email sending errors", "Amazon SES SMTP
// issues", "Service quotas in Amazon SES") and the AWS re:Post articles on
// refused messages and on mail that does not arrive.
var reasons = map[Reason]reasonInfo{
	SendRateExceeded: {Throttled, ScopeAccount,
		"Slow the whole run down, not this mail alone: stay a little below the account's maximum send rate, which counts recipients and is shared by everything that sends in this region. Ask AWS for a higher rate if you need it. If SES's words name no rate, sending may be limited by trouble of its own: look at the AWS Health Dashboard."},
	DailyQuotaExceeded: {QuotaExceeded, ScopeAccount,
		"The sending quota of a rolling 24 hours is spent. Stop the run and hold mail back until earlier sends are a day old, or ask AWS to raise the quota for this region."},
	SigV2RateExceeded: {Throttled, ScopeAccount,
		"These SMTP credentials were made before January 10, 2019 with an old signature version. Slow the run down, then create new SMTP credentials and delete the old ones in the IAM console."},
	TooManyConnections: {Unavailable, ScopeConnection,
		"Open fewer SMTP connections at once and reuse them for several messages."},
	SessionMessageLimit: {Unavailable, ScopeConnection,
		"This connection has carried as many messages as SES allows. Open a new one, and replace connections after a fixed number of messages."},
	IdleTimeout: {Unavailable, ScopeConnection,
		"SES closed the connection because nothing was sent for about 10 seconds. Open a new one, and close idle connections sooner."},
	ServiceFailure: {Unavailable, ScopeUnknown,
		"Try again later. If it persists, look at the AWS Health Dashboard for this region and check whether something in the message or request keeps SES from processing it."},
	AuthUnavailable: {Unavailable, ScopeConnection,
		"SES could not check the credentials for the moment. Try again later."},
	RequestTimeout: {Unavailable, ScopeConnection,
		"SES did not receive the complete request in time. Try again, and check the network path if it persists."},
	Conflict: {Unavailable, ScopeMessage,
		"Another operation is changing the same resource. Try again when it has ended."},
	Network: {Unavailable, ScopeConnection,
		"Check that this machine reaches the endpoint on this port: a firewall may block it, and EC2 restricts port 25 unless AWS lifts that. Ports 587, 2587, 465 and 2465 serve as well. Where connections open but then time out, set the network interface's MTU to 1500 bytes."},
	NameNotFound: {Unavailable, ScopeConnection,
		"The endpoint's name does not exist. Check its spelling and the region: some regions have the SES API but no SMTP endpoint. A resolver that restarts can say so for a moment."},
	NameLookupFailed: {Unavailable, ScopeConnection,
		"No name server answered, so the endpoint's address is not known. Check this machine's DNS: /etc/resolv.conf, the resolver it names and the way to it."},
	ConfigInvalid: {Denied, ScopeConnection,
		"Correct the Config field or the address that the error names: nothing was sent, and nothing can be until then."},
	RecipientRefused: {Rejected, ScopeRecipient,
		"Another server refused this recipient, not the account: a group or mailbox that takes no mail from outside, or one that is closed. Ask the recipient, or drop the address."},
	TLSFailure: {Unavailable, ScopeConnection,
		"TLS could not be set up or broke off. Check that both sides share a TLS version (SES wants 1.2 or later) and that no proxy or firewall interferes."},
	TLSModeMismatch: {Denied, ScopeConnection,
		"The port and the TLS mode do not fit. Use STARTTLS on ports 25, 587 and 2587, and TLS from the first byte on ports 465 and 2465."},
	CertificateInvalid: {Denied, ScopeConnection,
		"The server's certificate is not trusted for this name. Check the host name, this machine's clock and root certificates, and whether a proxy intercepts TLS."},
	ResponseLost: {Unavailable, ScopeConnection,
		"The message was sent but no usable answer came back, so SES may have accepted it. Check the sending statistics or events before sending it again: a second try may duplicate it."},
	ContextCanceled: {Canceled, ScopeMessage,
		"Nothing is wrong with the mail: the program that sent it gave up. Send it again when you like, unless the error says that it may have been accepted."},
	DeadlineExceeded: {Canceled, ScopeMessage,
		"Nothing is wrong with the mail: its context's deadline came first. Give sends a later deadline, or send it again from a queue, unless the error says that it may have been accepted."},
	ClientClosed: {Canceled, ScopeConnection,
		"Nothing is wrong with the mail: the client was shut down. Send it again with one that is open."},
	ProxyRefused: {Denied, ScopeConnection,
		"A proxy between this machine and SES refuses the connection. Check the proxy's address and credentials in the environment (HTTPS_PROXY), and that it lets CONNECT through to the SES endpoint; or reach SES without a proxy."},
	CredentialsUnavailable: {Denied, ScopeAccount,
		"The AWS SDK could not get credentials, so SES was not asked. Check the environment's keys, the profile, or the role of this machine and its trust policy; for the first program, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or run aws configure. Stop the run: until then every other mail fails the same way."},
	ContentUnreadable: {Invalid, ScopeMessage,
		"The message's own source could not be read to its end. Check the attachment or reader that failed."},
	ProtocolError: {Unavailable, ScopeConnection,
		"The server's answer does not fit the command it was sent. Check that the address is an SES endpoint and that no proxy alters the traffic."},
	AuthRequired: {Denied, ScopeAccount,
		"The client did not sign in. Give it SMTP credentials and make it authenticate before it sends. Stop the run: until then every other mail fails the same way."},
	TLSRequired: {Denied, ScopeConnection,
		"SES takes mail over TLS only. Use STARTTLS on ports 25, 587 and 2587, or TLS from the first byte on ports 465 and 2465."},
	CredentialsInvalid: {Denied, ScopeAccount,
		"Check the credentials. SMTP user name and password differ from AWS access keys and are made for one region; temporary credentials do not work for SMTP. A new key can take a minute or two to work. Stop the run: until then every other mail fails the same way."},
	CredentialsExpired: {Denied, ScopeAccount,
		"The temporary credentials ran out. Get new ones, or let the SDK refresh them. Stop the run: until then every other mail fails the same way."},
	ClockSkew: {Denied, ScopeAccount,
		"The request's signature is dated too far from AWS's time. Set this machine's clock by NTP. Stop the run: until then every other mail fails the same way."},
	NotSubscribed: {Denied, ScopeAccount,
		"The AWS account that owns these credentials is not signed up for Amazon SES. Sign up in the SES console, and check that the credentials belong to the account you mean. Stop the run: until then every other mail fails the same way."},
	AccessDenied: {Denied, ScopeSender,
		"A policy forbids this. Allow ses:SendRawEmail (SMTP) or ses:SendEmail for this identity and configuration set in the IAM policy of the user or role, and check the identity's sending authorization policy."},
	IdentityNotVerified: {Denied, ScopeSender,
		"If SES names a recipient, the account is still in the sandbox of this region, where every recipient must be verified too: ask AWS for production access. If it names a sender, verify the address or its domain in the region named, for each region apart, and check that its status is verified and not pending or failed. Compare spelling and letter case with the From, Sender, Source and Return-Path addresses, and check that you use the endpoint of the region you mean."},
	MailFromDomainNotVerified: {Denied, ScopeSender,
		"SES could not read the MX record of the custom MAIL FROM domain. Publish it in DNS, or let SES fall back to its own domain when it is missing."},
	SendingPaused: {Suspended, ScopeAccount,
		"Sending is paused for the account in this region. Read AWS's mail to the account's address and the reputation page of the SES console, solve what it names and ask for a review; a pause of your own is lifted in the account settings. Stop the run: until then every other mail fails the same way."},
	AccountSuspended: {Suspended, ScopeAccount,
		"AWS has taken away the account's ability to send. Read AWS's mail to the account's address and answer it through the Support Center. Stop the run: until then every other mail fails the same way."},
	ConfigurationSetPaused: {Suspended, ScopeSender,
		"Sending is paused for this configuration set or tenant. Solve what its reputation metrics show and enable its sending again; other configuration sets still work."},
	ConfigurationSetMissing: {Rejected, ScopeSender,
		"Create the configuration set in this region, or correct its name."},
	MessageTooLong: {Rejected, ScopeMessage,
		"Make the message smaller: SES takes at most 40 MB over SMTP and API v2, and 10 MB over API v1, encoded attachments included. Link to large files instead."},
	MailFromSyntax: {Rejected, ScopeMessage,
		"Correct the envelope sender: a bare address in angle brackets, not an empty one."},
	RecipientSyntax: {Rejected, ScopeRecipient,
		"Correct the recipient's address: a bare address in angle brackets."},
	IllegalAddress: {Rejected, ScopeMessage,
		"An address cannot be parsed. Check From, To, Cc, Bcc and Reply-To: local part, @ and domain, no stray spaces, dots or control characters, names with special characters in quotes."},
	NonASCIIAddress: {Rejected, ScopeMessage,
		"Write addresses in 7-bit ASCII: the domain in Punycode, the local part without Unicode, a Unicode display name as a MIME encoded-word."},
	NoRecipients: {Rejected, ScopeMessage,
		"Name at least one recipient in To, Cc or Bcc."},
	TooManyRecipients: {Rejected, ScopeMessage,
		"Send to at most 50 recipients a message, To, Cc and Bcc together. Split the list."},
	RecipientSuppressed: {Rejected, ScopeRecipient,
		"A recipient is on a suppression list because earlier mail bounced or was complained about. Remove it from your list, or from the suppression list when you know that it is valid."},
	IllegalHeader: {Rejected, ScopeMessage,
		"Correct the header that SES names: required headers must be there and not empty, and names, values, MIME types and parameters must follow the MIME syntax."},
	DuplicateHeader: {Rejected, ScopeMessage,
		"Write the header that SES names only once."},
	IllegalAttachment: {Rejected, ScopeMessage,
		"Remove or rename the attachment that SES names: some file types and names are not accepted."},
	InvalidParameter: {Rejected, ScopeMessage,
		"Correct the value that SES names in the request."},
	InvalidTag: {Rejected, ScopeMessage,
		"Write tag names with ASCII letters, digits, _ and - only, values with . and @ too, each of 1 to 255 characters, no name twice."},
	TemplateMissing: {Rejected, ScopeMessage,
		"Create the template in this region, or correct its name."},
	TemplateInvalid: {Rejected, ScopeMessage,
		"Check the template and its data: every variable needs a value and the data must be valid JSON. TestRenderEmailTemplate shows what is missing."},
	InvalidSendingPool: {Rejected, ScopeSender,
		"The configuration set names a dedicated IP pool that does not exist. Correct its delivery options."},
	LimitExceeded: {Rejected, ScopeUnknown,
		"A service quota on the number of resources is reached. Remove some or ask AWS to raise it."},
	NotFound: {Rejected, ScopeUnknown,
		"Something that the request names does not exist in this region. Check names and region."},
	MessageRejected: {Rejected, ScopeMessage,
		"SES refused the content. Check it for viruses, forbidden file types and malformed parts, and read SES's words."},
	RecipientUnknown: {Rejected, ScopeRecipient,
		"The receiver knows no such mailbox or domain. Never write to this address again: mail to unknown addresses is what SES counts as bounces. If a person gave it to you, ask for the spelling."},
	RecipientUnsubscribed: {Rejected, ScopeRecipient,
		"The recipient has left the contact list. Mark the contact as unsubscribed and send to this address what it asks for only."},
	RecipientComplained: {Rejected, ScopeRecipient,
		"The recipient called the mail spam. Never write to this address again, not even to confirm that, and look at how it came onto the list."},
	RecipientPolicy: {Rejected, ScopeRecipient,
		"A rule of the receiver keeps the mail out, and the receiver does not say which. Read its words. Sending again changes nothing: ask the recipient or the receiver's postmaster."},
	MailboxDisabled: {Rejected, ScopeRecipient,
		"The mailbox is closed, locked or abandoned. Never write to this address again."},
	MailboxFull: {Rejected, ScopeRecipient,
		"The mailbox has no room. Write again in a week at the earliest; after the third time take it for abandoned."},
	ValidationSuppressed: {Rejected, ScopeRecipient,
		"SES's address validation takes this address for bad, so the mail was not sent. Drop the address, or lower the threshold of Auto Validation if you know that it is valid."},
	SendingIPBlocked: {Denied, ScopeSender,
		"The receiver blocks the IP address that SES sent from; the recipient's address is good, so keep it. Send again after some hours. If it is a shared address of SES, AWS sees to the big lists; if it is a dedicated one, ask the list that the receiver names to remove it."},
	SendingDomainBlocked: {Denied, ScopeSender,
		"The receiver blocks mail of your domain; the recipient's address is good, so keep it. Hold mail of this domain, find what gave it that name (a sold list, a page that was broken into), and then ask the list that the receiver names to remove it."},
	AuthenticationFailed: {Denied, ScopeSender,
		"The mail failed SPF, DKIM or DMARC at the receiver, or its sender cannot be answered. Check the domain's DKIM records and custom MAIL FROM domain in the SES console and its DMARC record in DNS, then send again; the recipient's address is good."},
	ContentRefused: {Rejected, ScopeMessage,
		"The receiver takes the content for spam, a virus or malformed. Change the text, links or attachments before you send it again; the recipient's address is good."},
	ReceiverBusy: {Unavailable, ScopeRecipient,
		"The receiver takes no more mail for now, and SES has stopped trying. Send again after some hours, and more slowly to this domain."},
	ReceiverUnavailable: {Unavailable, ScopeRecipient,
		"The receiver's server has trouble or is not reached, and SES has stopped trying. Send again the next day."},
	DeliveryTimeExceeded: {Rejected, ScopeMessage,
		"The mail did not arrive within the MaxDeliverySeconds of its configuration set. Send it again only if it is still worth reading."},
	Unrecognized: {Unknown, ScopeUnknown,
		"This failure is not a known one. Read SES's words and the cause, and look them up in the SES Developer Guide."},
}
