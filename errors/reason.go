package errors

import "cmp"

// A Reason says why, exactly. It is a stable slug, fit for a log field or a
// metric label. A Reason is an error too, so that it can be asked for:
//
//	if stderrors.Is(err, seserrors.IdentityNotVerified) { … }
//
// The zero value, "", is treated as [Unrecognized].
type Reason string

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
	Unrecognized              Reason = "unrecognized"                  // none of these
)

// Error returns the slug, so that a Reason is an error.
func (r Reason) Error() string { return string(r) }

// known returns r, Unrecognized for "".
func (r Reason) known() Reason { return cmp.Or(r, Unrecognized) }

// Class returns the class that an error of this reason has, unless the reply
// says otherwise: "452 too many recipients" is TooManyRecipients but, being a
// 4xx, Unavailable. A reason that is not one of this package is Unknown.
func (r Reason) Class() Class { return reasons[r].class }

// Scope returns what else will fail the same way. A reason that is not one of
// this package has ScopeUnknown.
func (r Reason) Scope() Scope { return reasons[r].scope }

// Advice returns what a person should do, in one to four plain sentences
// gathered from AWS's troubleshooting pages. A reason that is not one of this
// package gets the advice of [Unrecognized].
func (r Reason) Advice() string {
	if info, ok := reasons[r]; ok {
		return info.advice
	}
	return reasons[Unrecognized].advice
}
