// Package sesapi sends mail over the v2 API of Amazon SES through the AWS SDK,
// and reads what the account may send. It is the door over the API as
// sesguard.SMTP is that over SMTP: the promises, the errors and the guard are
// those of package sesguard.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	…
//	client := sesv2.NewFromConfig(cfg)
//	mailer := sesguard.New(sesapi.New(client, sesapi.Config{}), sesguard.Options{
//		Limiter: sesapi.NewAccountLimiter(client),
//	})
//	receipt, err := mailer.Send(ctx, &sesguard.Message{…})
//
// # Which door
//
// [New] makes a sesguard.Transport of the SDK's client, for programs that write
// a sesguard.Message. [Guard] and [Wrap] are for code that calls SendEmail
// already and stays as it is: Guard is an option of the client's constructor,
// Wrap goes around a client or an interface. Both validate the input, wait and
// try again as AWS documents, and may block for an hour unless the context or
// the policy ends them sooner. [GuardBy] and [WrapBy] take a guard that others
// share, so that all have the same brakes and one Shutdown.
//
// # Whether SES has the mail
//
// The SDK tries a send up to three times, and may so send a mail three times:
// here each attempt is one request, and only the guard tries again. What an
// error says of doubt goes by the octets of the request that the HTTP client
// took, and by SES's answer:
//
//   - no doubt while the last octet was not taken, and after a refusal: a status
//     of 400 to 499 (of 408, 421, 425, 429 and 499 only with an error code of
//     SES, since a gateway may say them too), a redirect, or an error code that
//     means throttling or unavailability;
//   - doubt after any other end of a request that was taken whole, after a
//     success without a message id, and after one that came before the request
//     was taken whole.
//
// If a middleware or the api itself makes several requests in one attempt, one
// in doubt puts the attempt in doubt. An api that is not the SDK, or drops the
// per-call options, shows no requests: without doubt are then only refusals by
// SES (an exception of the SDK's, or a status as above) and a
// *[seserrors.Error] that says so. A mock that returns the SDK's exceptions
// therefore works as the real client does.
//
// An HTTP client of your own must not send a request again by itself. GetBody
// and Idempotency-Key, which make net/http do that, are taken off a send.
//
// # Connections
//
// The SDK's HTTP client keeps ten idle connections, so bursts of more senders
// dial anew each time. Where a client has the SDK's own HTTP client, one is
// derived from it that keeps as many connections as there are senders, each for
// five seconds; everything else stays (proxy, AWS_CA_BUNDLE, limits of time). New
// and Wrap use it for SendEmail, Guard for all operations of its client. An HTTP
// client of your own is used as it is: give its transport a
// MaxIdleConnsPerHost of the number of senders and an IdleConnTimeout of five
// seconds.
//
// # Large mail
//
// Raw content of 64 KB and more is encoded on its way to the connection: a send
// of 10 MB allocates less than 256 KB beside the mail itself. The content is
// read twice, since the signature comes first; if the second reading differs,
// the send fails as content-unreadable before its end. The caller's input keeps
// its Data, so middlewares find it there. Over a plain *sesv2.Client, without
// middlewares of yours, New leaves the Data of a large mail empty; that of a mail
// with streamed files is empty over any *sesv2.Client. Over any other api a mail
// is held in memory while it is sent.
//
// # Templates and bulk
//
// A [Template] is filled in by SES, which accepts a mail that lacks a value and
// never sends it: [Template.Check] finds that before. [Templates] reads the text
// of stored ones. A [Bulker] sends a template to many, up to 50 in a call of
// SendBulkEmail, with a receipt or an error for each. Guard checks the inline
// templates of calls of SendBulkEmail too, and leaves the rest of them to the SDK,
// whose retries send all 50 again.
//
// # Credentials
//
// When the SDK cannot get credentials, SES was never asked: the error is Denied,
// with Reason CredentialsUnavailable, if somebody said no, and Unavailable if
// nobody answered or the trouble is temporary. A door that never had credentials
// says Denied from its second attempt on, or after 10 seconds, so that a first
// program on a laptop does not wait for an hour. After an expired web identity
// token one more attempt is made, which reads it anew.
//
// # The account
//
// [NewAccountLimiter] follows the account's rate and quota, [Quota] reads them,
// and [Ping] tells at the start of a program whether region, clock, credentials
// and the account are in order. They need the permission ses:GetAccount.
//
// [NewSuppressionList] reads the account's suppression list into memory, for
// sesguard.Suppressed to ask before it sends, and changes it.
//
// SES allows an account one control call a second. All of these, and package
// doctor, keep to that together if they are given the same api.
//
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
package sesapi
