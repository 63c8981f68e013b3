package event

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A DoubtState says what became of a mail that SES may have accepted. The
// states are ordered by how much they say.
type DoubtState uint8

// The states of a doubt.
const (
	InDoubt     DoubtState = iota // no event yet
	Unconfirmed                   // no event within Wait. It proves nothing: only a person may send the mail again
	Accepted                      // SES accepted the mail once
	Duplicated                    // SES accepted the mail twice or more
)

var doubtNames = [...]string{"in-doubt", "unconfirmed", "accepted", "duplicated"}

// String returns the state as a stable slug, such as "unconfirmed".
func (s DoubtState) String() string { return name(doubtNames[:], int(s)) }

// A Doubt is a mail of which its sender does not know whether SES accepted it.
type Doubt struct {
	TrackID    string     // the mail's own id, which its events bear as a tag
	At         time.Time  // when the attempt ended; zero for a mail that is not in doubt, of which events came
	State      DoubtState // what became of it
	MessageIDs []string   // SES's ids of its acceptances, at most 8

	Told DoubtState // the state that Settled has been told of
	Due  time.Time  // when Expire has something to do about it
}

// A DoubtStore keeps doubts: [MemoryDoubts], or a table of the caller's. It is
// used by several goroutines and may be shared by several processes.
type DoubtStore interface {
	// Update reads the doubt with that TrackID, calls f to change it, and stores
	// the result, as one atomic step. A doubt that is not stored is handed over as
	// one with nothing but the TrackID; one whose TrackID f has cleared is deleted.
	// Update may call f several times, as after a conflict, each time with what is
	// stored; f calls nothing.
	Update(ctx context.Context, trackID string, f func(*Doubt)) error

	// Due returns the doubts whose Due is not after now. It may return some of
	// them only, if it returns the others later.
	Due(ctx context.Context, now time.Time) ([]Doubt, error)
}

// Doubts settle mails in doubt by the events that SES publishes. A mail whose
// answer was lost is handed to Add; events come in through [Settle], before or
// after that; Expire is called every minute or so. Each doubt ends as Accepted,
// with SES's message id, as Duplicated, or as Unconfirmed when no event came
// within Wait. Nothing is ever sent again because of silence: events get lost
// and late, so silence proves nothing. A late event still turns Unconfirmed
// into Accepted, for two weeks.
//
// The mails need the tag (TrackTag in sesguard.Options) and a configuration
// set that publishes Send events with their tags.
//
// It is safe for concurrent use, and for several processes that share a Store.
// Set the fields before its first use; it must not be copied.
type Doubts struct {
	// Wait is how long events are waited for, and how long those of mails that
	// are not in doubt are kept, because they may overtake Add. 0 means 75
	// minutes: SNS repeats a post for up to 60. With SQS 15 minutes will do, as long
	// as its reader keeps up.
	Wait time.Duration

	// Store keeps the doubts. nil means in memory: doubts end with the process.
	Store DoubtStore

	// Settled is told what became of a doubt. While it fails, Settle, Add and
	// Expire return its error and it is told again by the next of them, so it may
	// be told more than once. With late events and several processes it is told of
	// Unconfirmed, then of Accepted or Duplicated; keep the greatest State. It is
	// not called under a lock. nil means that nobody is told.
	Settled func(ctx context.Context, d Doubt) error

	memory MemoryDoubts
}

const (
	defaultWait = 75 * time.Minute
	doubtsKept  = 14 * day // the longest that SQS keeps a message
	maxIDs      = 8
)

// Add tells that the mail with that TrackID is in doubt since at, the end of
// the attempt. Adding it again with a later time, after another attempt, starts
// the wait anew. An event that came before settles the doubt at once.
func (d *Doubts) Add(ctx context.Context, trackID string, at time.Time) error {
	if trackID == "" {
		return errors.New("event: a doubt without a track id cannot be settled")
	}
	if at.IsZero() {
		at = time.Now()
	}
	return d.update(ctx, trackID, func(x *Doubt) {
		if !at.After(x.At) {
			return
		}
		x.At = at
		if x.State == Unconfirmed {
			x.State, x.Told = InDoubt, InDoubt
		}
	})
}

// Settle tells that SES accepted the mail with that TrackID as messageID.
// Events call it through the function [Settle]; the receipt of a later attempt
// may call it too. Calls without an id are ignored.
func (d *Doubts) Settle(ctx context.Context, trackID, messageID string, at time.Time) error {
	if trackID == "" || messageID == "" {
		return nil
	}
	heard := time.Now()
	if at.After(heard) {
		heard = at
	}
	return d.update(ctx, trackID, func(x *Doubt) {
		if !slices.Contains(x.MessageIDs, messageID) && len(x.MessageIDs) < maxIDs {
			x.MessageIDs = append(slices.Clip(x.MessageIDs), messageID)
		}
		if x.At.IsZero() && x.Due.IsZero() {
			x.Due = heard.Add(d.wait())
		}
	})
}

// Expire does what is due at now: it makes doubts Unconfirmed that have waited
// long enough, tells Settled what it has not taken yet, and forgets what is
// settled and two weeks old. One process of several may do it, or each.
func (d *Doubts) Expire(ctx context.Context, now time.Time) error {
	due, err := d.store().Due(ctx, now)
	errs := []error{err}
	for _, x := range due {
		errs = append(errs, d.update(ctx, x.TrackID, func(x *Doubt) {
			switch {
			case x.At.IsZero() && !x.Due.After(now):
				x.TrackID = ""
			case x.At.IsZero():
			case x.State == InDoubt && !x.At.Add(d.wait()).After(now):
				x.State = Unconfirmed
			case x.State == x.Told && !x.At.Add(doubtsKept).After(now):
				x.TrackID = ""
			}
		}))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// update changes a doubt and tells Settled if there is something to tell.
func (d *Doubts) update(ctx context.Context, trackID string, change func(*Doubt)) error {
	var after Doubt
	err := d.store().Update(ctx, trackID, func(x *Doubt) {
		change(x)
		d.derive(x)
		after = *x
	})
	for err == nil && after.TrackID != "" && !after.At.IsZero() && after.State != after.Told {
		after, err = d.tell(ctx, after)
	}
	return err
}

// tell tells Settled of a state and marks that it did. If the doubt has gone
// on meanwhile, through another goroutine or process, it returns the newer state
// as one to be told, so that the last that Settled hears is never the older.
func (d *Doubts) tell(ctx context.Context, x Doubt) (after Doubt, err error) {
	if d.Settled != nil {
		x.MessageIDs = slices.Clone(x.MessageIDs)
		if err := d.Settled(ctx, x); err != nil {
			return x, err
		}
	}
	err = d.store().Update(ctx, x.TrackID, func(now *Doubt) {
		newer := now.State > x.State
		if now.State >= x.State {
			now.Told = max(now.Told, x.State)
		}
		d.derive(now)
		if after = *now; newer {
			after.Told = x.State
		} else {
			after.Told = after.State
		}
	})
	return after, err
}

// derive works out the state and the next time from the rest.
func (d *Doubts) derive(x *Doubt) {
	switch len(x.MessageIDs) {
	case 0:
		if x.At.IsZero() {
			x.TrackID = "" // nothing is known of it
		}
	case 1:
		x.State = Accepted
	default:
		x.State = Duplicated
	}
	switch {
	case x.At.IsZero():
		// Due was set when the first event came.
	case x.State != InDoubt && x.State != x.Told:
		x.Due = x.At
	case x.State == InDoubt:
		x.Due = x.At.Add(d.wait())
	default:
		x.Due = x.At.Add(doubtsKept)
	}
}

func (d *Doubts) wait() time.Duration {
	if d.Wait <= 0 {
		return defaultWait
	}
	return d.Wait
}

func (d *Doubts) store() DoubtStore {
	if d.Store == nil {
		return &d.memory
	}
	return d.Store
}
