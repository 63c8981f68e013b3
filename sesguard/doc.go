// Package sesguard sends mail through Amazon SES, over its SMTP interface or
// its v2 API, behind one [Sender].
//
// # The promise
//
//  1. If Send returns nil, SES has accepted the message, whole and unchanged,
//     exactly once.
//  2. If Send returns an error for which [seserrors.MaybeAccepted] is false,
//     SES has not accepted it.
//  3. If SES may have accepted it, [seserrors.MaybeAccepted] is true, and
//     nothing was sent again.
//
// retry.Policy.AllowDuplicates trades the "once" of 1 and the "nothing" of 3
// for "at least once": an attempt in doubt is then followed by another, and
// [Receipt].MaybeDuplicate says so.
//
// "May have accepted" is decided from what was written, never from the words of
// an error. Over SMTP doubt begins with the write that carries the last octet of
// CRLF.CRLF; the table of all phases is in package smtpclient. Over the API it
// begins when the last octet of the request's body has been handed to the HTTP
// client. It ends with a definite refusal.
//
// TestProof holds the promise against random scripts of faults over both
// transports, TestProofAtEveryBoundary against a fault at each octet of a
// session, and TestProofCanFail shows with broken transports that each
// assertion can fail. The source of a doubt over the API is tested by
// TestWhetherSESMayHaveTheMessageIsKnownFromWhatWasSent, its persistence by
// TestDoubtIsSticky.
//
// # Sending
//
// A transport makes one attempt: [SMTP] over a smtpclient.Client, [API] over
// the SDK's sesv2 client. [New] puts the guard around it:
//
//	sender := sesguard.New(sesguard.API(sesv2.NewFromConfig(cfg)), sesguard.Options{})
//	receipt, err := sender.Send(ctx, &sesguard.Message{
//		From:    "Shop <shop@example.com>",
//		To:      []string{"ann@example.org"},
//		Subject: "Your order",
//		Text:    "It is on its way.",
//	})
//
// For each message the guard validates and builds once, and then goes round:
// wait for the limiter, attempt, classify the answer, wait as AWS documents (5
// s, 10 s, 30 s, 20 min, and again) if time can cure it. Without a deadline
// this may take an hour; with one Send gives up as soon as the next wait does
// not fit, and retry.After tells when to come back.
//
// A middleware is a func(Sender) Sender. Around the Client it acts once a
// message, around the transport once an attempt; what it changes in a message
// is validated again.
//
// # Existing code
//
// [Guard] guards a *sesv2.Client by one option of its constructor, [Wrap] does
// the same for code that holds an interface, and [SendMail] stands in for
// net/smtp.SendMail. [HTTPClient] makes an HTTP client that suits the SDK
// under many senders.
//
// # One account, many senders
//
// SES's limits belong to the account. A [Limiter] keeps all senders of a
// process below its rate: [NewLimiter] at a fixed one, [AccountLimiter] at the
// one that GetAccount reports. Every guard has two more brakes that need no
// setting. A refusal that every mail of the account would draw (credentials,
// paused, suspended) is answered to later sends at once, while one send probes
// after 5 seconds, doubling to a minute. And retries are paced when everything
// fails: beyond a hundred at once they make up a fifth of the first attempts,
// and one a second. Share one Client, or one Guard, to share the brakes.
// TestOnlyARefusalOfTheAccountOpensTheBreaker and TestAnOutageIsNotMultiplied
// prove them.
//
// # Addresses
//
// [ParseAddress] says which addresses can be sent to. Unicode domains become
// Punycode, Unicode names MIME encoded-words; a local part must be ASCII,
// because SES takes no other.
//
// Errors are those of package errors (class, reason, advice, doubt), waits
// those of package retry; package sestest is a fake SES to test against.
//
// [seserrors.MaybeAccepted]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#MaybeAccepted
package sesguard
