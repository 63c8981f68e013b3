package outbox

import (
	"context"
	"database/sql"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// Each decision is a compare-and-set: it happens in a state that allows it, or
// not at all.

// Cancel takes a mail back for certain: SES was not asked and will not be. It is
// ErrState for a mail that is being sent, in doubt or finished.
func (o *Outbox) Cancel(ctx context.Context, id string) error {
	return o.decide(ctx, id, Canceled, "update {mail} set state = 'canceled', owner = '', changed = {now} where id = $1 and state = 'waiting'")
}

// Retry sends a mail again that failed, expired, was canceled or is in doubt: for
// the last, it is a person's word that SES does not have it. Its attempts begin
// anew, and so does MaxAge. It is ErrState for other mails, and ErrErased if the
// content is.
func (o *Outbox) Retry(ctx context.Context, id string) error {
	err := o.decide(ctx, id, Waiting, `update {mail} set state = 'waiting', attempts = 0, due = {now}, expires = {now} + $2, changed = {now}
		where id = $1 and state in ('failed', 'expired', 'canceled', 'in-doubt')
		and exists (select 1 from {content} where id = $1)`, o.age())
	o.nudge()
	return err
}

// Erase deletes the content of a mail that failed, expired, was canceled, or was
// sent with Options.KeepContent. Its record stays. It is ErrState for mails that
// may still be sent: Cancel them first, or Settle those in doubt.
func (o *Outbox) Erase(ctx context.Context, id string) error {
	return o.decide(ctx, id, "", `delete from {content} where id = $1
		and exists (select 1 from {mail} where id = $1 and state in ('sent', 'failed', 'expired', 'canceled'))`)
}

func (o *Outbox) age() int64 {
	if o.opts.MaxAge < 0 {
		return never / 2
	}
	return o.opts.MaxAge.Microseconds()
}

// decide runs a statement about one mail, which leads to a state unless to is
// empty, and tells why it changed nothing.
func (o *Outbox) decide(ctx context.Context, id string, to State, text string, args ...any) error {
	var c Change
	n := int64(0)
	err := o.write(ctx, func(x querier) (err error) {
		if c, _, err = o.lock(ctx, x, "id", id); err != nil {
			return err
		}
		n, err = o.exec(ctx, x, text, append([]any{id}, args...)...)
		return err
	})
	if err != nil {
		return err
	}
	if n == 0 {
		return o.refused(ctx, id)
	}
	if c.To = to; to != "" {
		o.changed(c)
	}
	return nil
}

// lock locks the record of a mail and returns what it says. Decisions look at the
// content too, so they come one after the other.
func (o *Outbox) lock(ctx context.Context, x querier, column, value string) (c Change, messageID string, err error) {
	text := "select id, state, message_id, priority, due from {mail} where " + column + " = $1"
	if o.postgres {
		text += " for update"
	}
	var rank, due int64
	err = o.query(ctx, x, text, func(r *sql.Rows) error { return r.Scan(&c.ID, &c.From, &messageID, &rank, &due) }, value)
	if err == nil && c.ID == "" {
		err = ErrNotFound
	}
	c.Priority, c.Due = priority(rank), at(due)
	return c, messageID, err
}

// refused tells why a decision on a mail was impossible.
func (o *Outbox) refused(ctx context.Context, id string) error {
	r, err := o.Get(ctx, id)
	if err != nil {
		return err
	}
	if r.State == Waiting || r.State == Sending || r.State == Sent && !o.opts.KeepContent {
		return ErrState
	}
	if _, err := o.Mail(ctx, id); err == ErrErased {
		return err
	}
	return ErrState
}

func (o *Outbox) erase(ctx context.Context, x querier, id string) error {
	if o.opts.KeepContent {
		return nil
	}
	_, err := o.exec(ctx, x, "delete from {content} where id = $1", id)
	return err
}

// seen, in a record: whether SES's events told of the mail.
const (
	unseen  = 0
	seen    = 1
	settled = 2 // only an event told that it was accepted, so it cannot witness that events come
)

// Settle says that SES has accepted the mail with that TrackID, as an event of
// SES or a person tells, under messageID; empty: unknown. At is the time of the
// acceptance, zero if it is not known. It makes Outbox an event.Settler:
// event.Settle calls it, and acknowledges the event when it returned nil.
//
// A mail in doubt, being sent or waiting becomes sent and is not sent again; so
// does one that has ended otherwise, since SES's word counts more. A sent mail
// is noted as seen; a second message id of one mail is a duplicate, which Stats
// counts. A TrackID that is not known is no error: its mail is another
// deployment's, or its record was deleted. Settle may be called any number of
// times in any order.
func (o *Outbox) Settle(ctx context.Context, trackID, messageID string, at time.Time) error {
	var change *Change
	duplicate := false
	err := o.write(ctx, func(x querier) error {
		change, duplicate = nil, false
		c, known, err := o.lock(ctx, x, "track", trackID)
		if err != nil {
			return err
		}
		if c.From != Sent {
			c.To, change = Sent, &c
			if _, err = o.exec(ctx, x, `update {mail} set state = 'sent', owner = '', message_id = $2, seen = $3, reason = '', err = '', changed = {now}
				where id = $1`, c.ID, messageID, settled); err != nil {
				return err
			}
			return o.erase(ctx, x, c.ID)
		}
		if messageID == "" || messageID == known || known == "" {
			_, err = o.exec(ctx, x, `update {mail} set seen = case when seen = 0 and $2 <> '' then 1 else seen end,
				message_id = case when message_id = '' then $2 else message_id end where id = $1`, c.ID, messageID)
			return err
		}
		n, err := o.exec(ctx, x, "update {mail} set other_id = $2 where id = $1 and other_id = ''", c.ID, messageID)
		duplicate = n > 0
		return err
	})
	if err == ErrNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if change != nil {
		o.changed(*change)
	}
	if duplicate {
		o.log.ErrorContext(ctx, "outbox: SES accepted a mail twice", "track_id", trackID, "at", at)
	}
	return nil
}

// Adopt makes the database this deployment's, after it was copied or restored.
// What the copy says is waiting or being sent may have been sent since it was
// made: with inDoubt all those mails become in doubt, for events or a person to
// settle. Options.ResendUnseen does not send them again, because the events that
// tell of them may have come before. If inDoubt is false they are sent. Call it
// before any Run.
func (o *Outbox) Adopt(ctx context.Context, inDoubt bool) error {
	id, err := o.identity(ctx)
	if err != nil {
		return err
	}
	return o.write(ctx, func(x querier) error {
		if _, err := o.exec(ctx, x, "update {schema} set name = $1, identity = $2", o.opts.Name, id); err != nil || !inDoubt {
			return err
		}
		doubt := &seserrors.Error{Op: "outbox adopt", Class: seserrors.Unavailable, Reason: seserrors.ResponseLost, MaybeAccepted: true}
		// Expired, a doubt is none of Resolve's.
		_, err := o.exec(ctx, x, `update {mail} set state = 'in-doubt', owner = '', changed = {now}, expires = {now}, reason = $1, err = $2
			where state in ('waiting', 'sending')`, string(doubt.Reason), storeError(doubt))
		return err
	})
}

// nudge makes a Run in this process look.
func (o *Outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
