// Package sesguard sends mail through Amazon SES and is answerable for each
// mail. It needs no AWS SDK: this package sends over SES's SMTP interface, and
// package sesapi over the v2 API, with the same types.
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
// That is at most once, for invoices. retry.Policy.AllowDuplicates chooses at
// least once, for login codes: it trades the "once" of 1 and the "nothing" of
// 3, an attempt in doubt is followed by another, and [Receipt].MaybeDuplicate
// says so. [Guard.With] gives each kind of mail a policy of its own.
//
// "May have accepted" is decided from what was written, never from the words of
// an error. Over SMTP doubt begins with the write that carries the last octet of
// CRLF.CRLF; the table of all phases is in package smtpclient. Over the API it
// begins when the last octet of the request's body has been handed to the HTTP
// client. It ends with a definite refusal.
//
// # Sending
//
// A [Message] is what you write. [Build] makes it a [Mail]: checked, encoded,
// unchangeable. A [Sender] takes Messages and sees to it that they arrive; a
// [Transport] takes a Mail and tries once. [New] makes a [Client], which is a
// Sender, of a Transport:
//
//	pool, err := smtpclient.New(smtpclient.Config{ … })
//	client := sesguard.New(sesguard.SMTP(pool), sesguard.Options{})
//	receipt, err := client.Send(ctx, &sesguard.Message{
//		From:    "Shop <shop@example.com>",
//		To:      []string{"ann@example.org"},
//		Subject: "Your order",
//		Text:    "It is on its way.",
//	})
//
// For each message the guard in the Client validates and builds once, and then
// goes round: wait for the limiter, attempt, classify the answer, wait as AWS
// documents (5 s, 10 s, 30 s, 20 min, and again) if time can cure it. Without a
// deadline this may take an hour; with one Send gives up as soon as the next
// wait does not fit, and retry.After tells when to come back. A handler of HTTP
// requests should hand mail to a queue, or give Send a deadline and a context
// that outlives the request: that of the request ends when its client leaves.
//
// A middleware around a Sender acts once a message, one around a Transport once
// an attempt. Only a Transport knows whether it sent, so an error out of it that
// holds no *seserrors.Error leaves the mail in doubt, whatever its type or
// words: also the error of a middleware whose own database failed after SES had
// accepted. A journal that a program reads after a crash belongs around the
// Transport, where each attempt passes, not around the Sender.
//
// # The brakes
//
// SES's limits belong to the account, so what sends through one account should
// share one [Guard], or one Client. All that goes through a Guard shares
//
//   - a breaker: a refusal that every mail of the account would draw (paused,
//     suspended, not subscribed, credentials refused twice in a row) is answered
//     to later sends at once, while one send probes after 5 seconds, doubling
//     to a minute. Any acceptance closes it. Stop a run when you see such an
//     error: it is not about the address. A sign-in over SMTP that is refused
//     does not open it; smtpclient remembers that itself;
//   - a budget of retries: when everything fails, retries beyond a hundred at
//     once make up a fifth of the first attempts, and one a second, so that
//     they cannot multiply an outage;
//   - Options.Limiter, if there is one: [NewRateLimiter] with a rate of your
//     own, or sesapi.NewAccountLimiter, which reads the account's. [Limited]
//     gives one of several transports a limiter of its own.
//
// [Guard.Do] puts the same loop around any other way to SES. [Guard.Stats] and
// [Hooks] show what it does, Options.Logger says what went wrong.
//
// # Finding a mail again
//
// Each Mail has an id of its own. With Options.TrackTag it is sent as an SES
// message tag of that name, with every attempt, and stands in the Receipt and in
// the TrackID of the *seserrors.Error. SES's events repeat the tag, so they tell
// what became of each mail, also of one in doubt, which has no known MessageID.
//
// # Shutting down
//
// End what calls Send together with the Client or Guard, and then the pool. A
// server of HTTP waits for its handlers, and these wait in Send, so the Client
// ends their waits as soon as the server takes no more requests:
//
//	server.RegisterOnShutdown(func() { client.Shutdown(ctx) }) // waits end, attempts finish
//	server.Shutdown(ctx)
//	client.Shutdown(ctx) // until the last send has returned
//	pool.Shutdown(ctx)
//
// A send that was waiting returns the failure that it waited out and the reason
// client-closed, and retry.After tells when to try again: put it back into its
// queue.
//
// # Existing code
//
// [SendMail] stands in for net/smtp.SendMail and may block for a minute.
// sesapi.Guard guards a *sesv2.Client by one option of its constructor, and
// sesapi.Wrap code that holds an interface; both may block for an hour.
//
// # Addresses
//
// [ParseAddress] says which addresses can be sent to. Unicode domains become
// Punycode, Unicode names MIME encoded-words; a local part must be ASCII,
// because SES takes no other. [Suppressed] asks a list before anything is sent.
//
// Errors are those of package errors (class, reason, advice, doubt), waits
// those of package retry; package sestest is a fake SES to test against.
//
// [seserrors.MaybeAccepted]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#MaybeAccepted
package sesguard
