package outbox

import (
	"context"
	"database/sql"
	"time"

	stderrors "errors"
)

// A change of one mail by the process that has claimed it: the mark just before
// the attempt, which is the change to Sending; the result after it; or its way
// back.
type change struct {
	mail *claimed
	outcome
	done chan<- error
}

// errLost says that the mail is not this process's any more.
var errLost = stderrors.New("outbox: the mail was taken from this process")

// most changes in one transaction.
const batch = 256

// together waits a moment for what the other sends are about to write: a commit
// costs for many changes hardly more than for one.
func (r *run) together(first *change) []*change {
	list, enough := []*change{first}, r.busy()/4
	moment := time.NewTimer(time.Millisecond)
	defer moment.Stop()
	for len(list) < batch {
		if len(list) < enough {
			select {
			case c := <-r.changes:
				list = append(list, c)
			case <-moment.C:
				enough = 0
			}
			continue
		}
		select {
		case c := <-r.changes:
			list = append(list, c)
		default:
			return list
		}
	}
	return list
}

// write hands a change to the loop and waits until it is on the disk. After an
// error other than errLost it may or may not have happened.
func (r *run) write(m *claimed, out outcome) error {
	done := make(chan error, 1)
	r.changes <- &change{m, out, done}
	return <-done
}

// writeUntil writes a result, which nobody but this process knows, again and
// again until it is written or the drain is over.
func (r *run) writeUntil(m *claimed, out outcome) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := r.write(m, out)
		if err == nil || err == errLost {
			return
		}
		r.log.Error("outbox: a result cannot be written yet", "id", m.id, "err", err)
		select {
		case <-time.After(wait):
		case <-r.results.Done():
			return
		}
	}
}

// tell tells each send what became of its change, and OnChange.
func (r *run) tell(list []*change, written map[string]bool, err error) {
	for _, c := range list {
		switch {
		case err != nil:
			c.done <- err
		case !written[c.mail.id]:
			c.done <- errLost
		default:
			if c.mail.state != c.state {
				r.changed(Change{ID: c.mail.id, From: c.mail.state, To: c.state, Priority: c.mail.priority, Due: at(c.mail.due), Reason: c.reason()})
			}
			c.mail.state = c.state
			c.done <- nil
		}
	}
}

const (
	updateMarks = `{rows i text, c bigint, o text}update {mail} as m set state = 'sending', attempts = attempts + 1, changed = {now}
		{from} where m.id = b.i and m.id {among} and m.claim = b.c and m.owner = b.o and m.state = 'waiting' returning id`

	// An acceptance is written whatever became of the mail since, but for an
	// attempt that another claim has under way. Beside one that only an event told
	// of it says that the events come, so the mail becomes a witness; beside
	// another message id it says that SES has the mail twice; beside itself, when
	// the answer of its commit was lost, it says nothing. Any other result is
	// written only while nobody has decided. The second condition is
	// that of a mail that was claimed and not marked.
	updateResults = `{rows i text, c bigint, o text, s text, m text, r text, e text, w bigint, a bigint}update {mail} as m set state = b.s, owner = '', reason = b.r, err = b.e,
		message_id = case when m.state = 'sent' and m.message_id <> '' then m.message_id else b.m end,
		other_id = case when m.state = 'sent' and b.m <> '' and m.message_id <> '' and m.message_id <> b.m then b.m else m.other_id end,
		seen = case when m.state = 'sent' and m.seen = 2 and m.message_id <> '' then 1 else m.seen end,
		changed = {now}, due = case when b.s = 'waiting' then {now} + b.w else due end, attempts = attempts - b.a
		{from} where m.id = b.i and m.id {among} and (m.claim = b.c and m.state in ('sending', 'in-doubt')
			or m.claim = b.c and m.state = 'waiting' and m.owner = b.o
			or b.s = 'sent' and m.state <> 'sending') returning id`

	deleteContents = "{rows i text}delete from {content} where id {among}"
)

// writeChanges writes changes, marks first, and returns the mails that they
// changed.
func (r *run) writeChanges(ctx context.Context, x querier, list []*change) (map[string]bool, error) {
	var marks, results, sent [][]any
	for _, c := range list {
		if c.state == Sending {
			marks = append(marks, []any{c.mail.id, c.mail.claim, r.id})
			continue
		}
		back := 0
		if c.giveBack && c.mail.state == Sending {
			back = 1
		}
		results = append(results, []any{c.mail.id, c.mail.claim, r.id, string(c.state), storable(c.messageID), storable(c.reason()), storeError(c.err), c.wait.Microseconds(), back})
	}
	written := map[string]bool{}
	note := func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		written[id] = true
		return err
	}
	if err := r.each(ctx, x, updateMarks, marks, note); err != nil {
		return nil, err
	}
	if err := r.each(ctx, x, updateResults, results, note); err != nil {
		return nil, err
	}
	for _, c := range list {
		if c.state == Sent && written[c.mail.id] && !r.opts.KeepContent {
			sent = append(sent, []any{c.mail.id})
		}
	}
	if err := r.each(ctx, x, deleteContents, sent, nothing); err != nil {
		return nil, err
	}
	return written, r.writeHolds(ctx, x, list)
}

// writeHolds begins the holds of refusals and ends those whose probe was
// accepted.
func (r *run) writeHolds(ctx context.Context, x querier, list []*change) error {
	for _, c := range list {
		var err error
		switch {
		case c.hold != "":
			var added bool
			added, err = r.database.hold(ctx, x, c.hold, c.err.Reason, c.mail.probe, c.mail.step)
			if added {
				r.log.Warn("outbox: hold", "key", c.hold, "reason", c.err.Reason)
			}
		case c.state == Sent && c.mail.probe != "":
			_, err = r.exec(ctx, x, "delete from {hold} where key = $1 and probe < $2", c.mail.probe, never)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
