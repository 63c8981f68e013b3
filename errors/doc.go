// Package errors says what went wrong with a mail to Amazon SES and what can be
// done about it. It understands the replies of SES's SMTP interface, the
// errors of its API, and the failures of a connection, from any library. It
// needs the standard library only.
//
// Import it under a name of its own; the standard package is still needed for
// Is, As and Join, which this one does not repeat:
//
//	import seserrors "github.com/sesguard/sesguard-go/errors"
//
// # What to do
//
// [Classify] turns any error into an [*Error]. Its [Class] says what can be
// done:
//
//	class           what it means                               what to do
//	Canceled        the context ended or the client was closed  send again if the mail is still wanted
//	Invalid         refused here, nothing was sent              correct the message
//	Rejected        SES refused this message for good           correct the message, or drop it
//	Denied          credentials, policy, sandbox, identity,     correct the account or the settings,
//	                or settings that cannot work                hold the mail meanwhile
//	Suspended       account or configuration set is paused      solve it with AWS, hold the mail meanwhile
//	Throttled       over the send rate                          send again after seconds, more slowly
//	QuotaExceeded   over the rolling 24-hour quota              send again after many minutes
//	Unavailable     network or SES trouble                      send again after seconds
//	Unknown         not recognised                              as Rejected; read the text
//
// Most code asks one of three questions instead. Of every error that is not
// nil exactly one holds:
//
//   - [IsRetryable]: the same request may work later and cannot duplicate a mail;
//   - [IsFatal]: revise the request or the account first;
//   - [MaybeAccepted]: SES may have taken the message; see below;
//   - or the class is Canceled.
//
// A [Reason] says why, as a stable slug for logs and metrics. Its Advice tells
// a person what to check, its [Scope] tells a queue what else will fail the
// same way. Classes and reasons are errors themselves:
//
//	if stderrors.Is(err, seserrors.IdentityNotVerified) { … }
//
// # Doubt
//
// SES knows no idempotency token: a message that is sent twice arrives twice.
// So an error after which SES may hold the message is marked MaybeAccepted,
// whatever its class, and is neither retryable nor fatal. There is doubt after
//
//   - an I/O error, a timeout or a context's end with no evidence of the stage
//     at which it happened;
//   - an API answer with a status of 500 or more, unless its code says
//     throttling or ServiceUnavailable: a bare 503 may come from a gateway
//     after the request went through, and so may a bare 408, 421, 425, 429 or
//     499;
//   - an API success that cannot be read, and a bulk entry without a status;
//   - an SMTP reply that is no refusal where one was not expected;
//   - any of these anywhere in the tree of an error.
//
// There is no doubt after a refusal (an SMTP 4yz or 5yz, an API 4xx), nor
// when the error proves that nothing was sent: a failed dial, name lookup,
// certificate check or TLS handshake, a proxy's refusal, or no credentials. A
// bare Class or Reason says nothing about doubt. A sender that knows the stage builds its
// own [*Error], and that counts: where a tree holds one, the bare errors
// around and below it add no doubt.
//
// # Evidence
//
// A verdict needs evidence: an [*Error] of this package, an answer that SES gave
// in the place where it gives it, an I/O error by its type, or a complete reply,
// code and words, in the text of another error. No other words are looked at;
// what is left is Unknown. [Classify] tells the order.
//
// [FromSMTP], [FromAPI], [FromBulkStatus] and [FromContext] are for code that
// talks to SES. The rules are tables, one for each channel and one for the words
// that both transports share. A code decides first; its words are looked at only
// to tell apart what one code means, without regard to case, line folding and
// quotes. They are compared from their beginning, after openings such as
// "Transaction failed:": what SES repeats from a mail stands behind it and
// decides nothing. What the tables do not know is Unavailable for an SMTP 4yz
// and an API 5xx, and Rejected for other refusals.
//
// Where the AWS SDK had no credentials to sign with, SES was not asked, and the
// words of the service that refused are none of SES's.
//
// # Hostile text
//
// Replies come from outside. At most 16 KiB of a text are looked at, in time
// proportional to their length; Message is valid UTF-8 on one line of at most
// 1,024 bytes; at most 64 identities are kept. Texts and logs of an error name
// no Recipients; addresses that SES repeats stand there as ***@example.com, and
// what looks like a secret, such as the response to AUTH or a session token, is
// left out.
package errors
