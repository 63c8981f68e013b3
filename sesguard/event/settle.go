package event

import (
	"context"
	"time"
)

// A Settler wants to know which mails SES has accepted. [Doubts] is one, and so
// is the outbox. TrackID is the mail's own id, messageID SES's id of the
// acceptance, and at the time of it. It is called once or more for each
// acceptance, in any order; two message ids for one TrackID are a mail that was
// sent twice.
type Settler interface {
	Settle(ctx context.Context, trackID, messageID string, at time.Time) error
}

// Settle tells s that the mail of the event was accepted. Every kind of event
// proves that, also the rejection of a virus and a template that could not be
// rendered. Tag is the name of the message tag that bears the mail's id, the
// TrackTag of sesguard.Options. Events without that tag or without a message id
// say nothing and are no error.
//
// Acknowledge the event to its carrier only after Settle returned nil.
func Settle(ctx context.Context, s Settler, tag string, e *Event) error {
	id := e.Tag(tag)
	if id == "" || e.MessageID == "" {
		return nil
	}
	at := e.SentAt
	if at.IsZero() {
		at = e.Time
	}
	return s.Settle(ctx, id, e.MessageID, at)
}
