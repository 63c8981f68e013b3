// Package event tells what became of mail after SES accepted it: deliveries,
// bounces, complaints, delays, and everything else that SES publishes. It reads
// events out of whatever carried them, says what each means and what to do
// about it, keeps the rates that SES acts on, and settles doubts about mails
// whose answer was lost. It needs the standard library only.
//
// # Get events
//
// SES publishes events to a configuration set's event destination, and the mail
// must name the set; without one there is no event. Take SNS with an SQS queue
// behind it: SQS keeps events for up to two weeks, while SNS gives up on an HTTP
// endpoint after minutes and on any 4xx at once. Whatever carried an event,
// [Parse] finds it:
//
//	events, err := event.Parse([]byte(*message.Body))
//	for _, e := range events {
//		…
//	}
//	// delete the message only now
//
// [Read] does the same for streams, such as the objects that Firehose writes to
// S3. [Handler] is an http.Handler for SNS over HTTP; it verifies signatures,
// confirms the subscription, and answers as SNS needs it. Parse and Read verify
// nothing.
//
// Nothing arrives exactly once or in order. [Event.Key] is the same for each
// copy of an event; a unique column of it makes handling idempotent. The
// greatest [State] of a mail's events is its state, whatever their order.
//
// # Know what to do
//
// [Event.Advice] says it for each recipient:
//
//	for _, a := range e.Advice() {
//		switch a.Do {
//		case event.Later:    // send again after a.After
//		case event.Suppress: // never write to a.Recipient again
//		case event.Correct:  // change the mail, or SPF, DKIM and DMARC
//		case event.Alert:    // tell a person
//		}
//	}
//
// bounceType alone is not enough: SES reports an IP address on a block list as
// a permanent bounce, and whoever suppresses on that loses good addresses. So
// the receiver's words count, and what is not understood suppresses nothing.
// [Event.Err] is the same as an error, with class and code; [Diagnose] reads
// receivers' words from anywhere.
//
//	reason                    class        what to do
//	recipient-unknown         rejected     suppress
//	mailbox-disabled          rejected     suppress
//	recipient-suppressed      rejected     suppress
//	recipient-unsubscribed    rejected     suppress
//	recipient-complained      rejected     suppress
//	validation-suppressed     rejected     suppress
//	mailbox-full              rejected     later: 7 days; the third time in 30 days suppress
//	recipient-policy          rejected     nothing; the third time in 30 days suppress
//	sending-ip-blocked        denied       later: 4 hours; several of them want a person
//	sending-domain-blocked    denied       alert, and hold mail of the domain
//	authentication-failed     denied       correct SPF, DKIM, DMARC or the sender
//	content-refused           rejected     correct the mail
//	message-too-long          rejected     correct the mail
//	template-invalid          rejected     correct the template or its data
//	delivery-time-exceeded    rejected     nothing: the mail was to arrive in time or not at all
//	receiver-busy             unavailable  later: 4 hours
//	receiver-unavailable      unavailable  later: 1 day
//	unrecognized              rejected     nothing; read the text
//
// A temporary bounce suppresses nobody by itself: what would, and what is not
// understood, is for later, after 3 days. One of the subtype General without a
// report of the receiver asks for nothing: it is most often an automatic reply,
// and a mail that is sent again would arrive twice.
//
// A [SuppressionList] keeps the addresses that get no more mail, and counts
// what counts only when it repeats. It satisfies sesguard.Suppressions.
//
// # Keep the rates
//
// SES puts an account under review at 5 % bounces or 0.1 % complaints and may
// pause it at twice to five times that. A [Reputation] counts as SES does and
// calls back when a level changes.
//
// # Settle doubts
//
// When an answer is lost, nobody knows whether SES has the mail, and no API can
// look it up. But SES's events bear the mail's tags: sesguard.Options.TrackTag
// gives each mail an id of its own, and any event with that id proves that it
// was accepted. [Doubts] brings both together:
//
//	doubts := &event.Doubts{Settled: func(ctx context.Context, d event.Doubt) error { … }}
//
//	// after a send
//	if e := seserrors.Classify(err); err != nil && e.MaybeAccepted {
//		err = doubts.Add(ctx, e.TrackID, time.Now())
//	}
//	// for each event
//	err := event.Settle(ctx, doubts, "sesguard-id", e)
//	// every minute
//	err := doubts.Expire(ctx, time.Now())
//
// Each doubt ends as Accepted, Duplicated or Unconfirmed. Unconfirmed is not
// refused: events get lost, so nothing is sent again because of silence.
//
// # Hostile input
//
// JSON of any shape is survived: unknown fields, kinds and types of fields are
// no error, one value takes 16 MiB at most, a gzip file given to Parse 64 MiB,
// carriers may hold each other 8 deep, nesting ends where encoding/json ends it.
// Diagnose looks at 4 KiB, in time proportional to its length, and takes
// addresses for no words. No error's text names a recipient.
package event
