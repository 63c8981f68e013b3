// Package sestest is a fake Amazon SES for tests: the SMTP interface and the
// v2 API in front of one account and one mailbox.
//
// # Start a server
//
// [NewServer] listens on loopback, [NewMemoryServer] needs no sockets. Neither
// wants a *testing.T, so they serve Examples and programs as well:
//
//	s := sestest.NewServer()
//	defer s.Close()
//
// Point the code under test at [Server.SMTPAddr] (STARTTLS), [Server.SMTPSAddr]
// (TLS wrapper) or [Server.URL] (the API), with [Server.TLSConfig] or
// [Server.HTTPClient], which trust the server's certificate. An API client
// needs five lines:
//
//	client := sesv2.New(sesv2.Options{
//		Region: s.Region, BaseEndpoint: &s.URL, HTTPClient: s.HTTPClient(),
//		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
//			return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}, nil
//		}),
//	})
//
// Code that dials SES's own names, such as
// email-smtp.us-east-1.amazonaws.com:587, needs only [Server.DialContext].
// [Server.PlainAddr] is a relay without TLS and AUTH for code that calls
// net/smtp.SendMail on loopback.
//
// [NewUnstartedServer] lets a program choose ports, region and credentials
// before [Server.Start]; with [Server.CertPEM] in a file, programs in any
// language can use it.
//
// Time limits are tested in fake time: create the server in memory, inside a
// testing/synctest bubble, and close it there. A server on loopback would
// stop the bubble's clock, so NewServer panics there. The certificate is valid from 1970, because bubbles
// start in the year 2000, and the dates of the API's signatures are not
// checked; nor are the signatures.
//
// # Ask what was accepted
//
// [Server.Accepted] lists what SES took, octet for octet, with envelope,
// configuration set and tags. It is the judge of what a client claims: a
// message is in it if and only if SES would deliver it, whatever the client
// was told. Half a message is never in it. A mail whose template lacks a value
// draws 200 and an id, but stands in [Server.Unrendered]: a count of what SES
// accepted is a count of both. [Server.Commands], [Server.Connections],
// [Server.Logins] and [Server.APIRequests] tell how the client went about it.
//
// [Mail.Subject], [Mail.Text], [Mail.HTML], [Mail.Files] and [Mail.Header] read
// the message as its recipient does.
//
// # Set up the account
//
// [Server.Account] starts in production with the domain example.com verified.
// Its methods set identities, the sandbox, rate and quota, pause and
// suspension, configuration sets, the suppression list and templates, for both
// transports and for the calls that read them.
//
// # Hear what became of a mail
//
// [Server.Events] publishes events and identity notifications. As with SES,
// somebody has to ask for them:
//
//	s.Account.SetConfigurationSet("all", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
//	s.Account.SetIdentity("example.com", sestest.Identity{ConfigurationSet: "all"})
//	s.Events.Subscribe(sestest.Subscription{Handler: handler}) // or URL, Queue, Func
//
// Mails to the mailbox simulator and to suppressed addresses, and mails with the
// EICAR test file, publish theirs by themselves; [Events.Bounce], [Events.Complain] and their like do so by
// script, and [Events.Schedule] makes them late, lost or double.
//
// # Let things go wrong
//
// [Server.Script] queues faults; they strike in order, one message or
// connection each:
//
//	s.Script(
//		sestest.Refuse(seserrors.SendRateExceeded), // the first message, in SES's words, on either transport
//		sestest.Pass(),                           // the second goes through
//		sestest.AcceptThenCut(),                  // the third is accepted, and nobody says so
//		sestest.Cut(sestest.EndOfData),           // the fourth is not accepted, and looks just the same
//	)
//
// Only the first fault of the queue is ever looked at, and it is gone when it
// has struck. A fault that one transport cannot express is left for the other.
// [Server.FaultsLeft] tells whether all of them struck.
//
// # How far it behaves like SES
//
// Over SMTP it announces what SES announces, asks for STARTTLS and AUTH, takes
// AUTH PLAIN and LOGIN, and refuses almost everything only after the final
// dot: the rate, the quota, the 51st recipient, 40 MB, identities, paused
// accounts, and what SES's parser says about headers and addresses
// ("Transaction failed: Missing final '@domain'"). After such a refusal the
// transaction stays open, and the next MAIL draws 503 until RSET. A client
// that is silent for ten seconds finds "451 4.4.2 Timeout waiting for data
// from client." in its socket and the connection closed. The limits of
// messages a session and of connections are off until [Server.SetSessionLimit]
// and [Server.SetConnectionLimit] turn them on.
//
// The API serves SendEmail with simple, raw and template content,
// SendBulkEmail, GetAccount, GetEmailIdentity, GetConfigurationSet,
// GetConfigurationSetEventDestinations, the four calls of the suppression
// list, and those that create, get and try email templates, over HTTPS,
// HTTP/1.1 and HTTP/2. Parameters win over X-SES header fields. Raw
// content without a destination takes its recipients from its header, and
// loses its Bcc field. Everything else draws UnknownOperationException.
//
// Quotas and rates count recipients. A configuration set that was not added
// does not exist. Signatures of DKIM are not made, tenants have no policies, and
// nobody but the mailbox simulator answers a mail by itself.
package sestest
