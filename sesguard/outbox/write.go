package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	stderrors "errors"
)

// A change of one mail by the process that has claimed it: the mark just before
// the attempt, the result after it, or its way back. The writer commits whatever
// has come together in one transaction.
type change struct {
	mail *claimed
	mark bool
	outcome
	from State // for OnChange
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

// write hands a change to the writer and waits until it is on the disk. After
// an error other than errLost it may or may not have happened.
func (r *run) write(c *change) error {
	done := make(chan error, 1)
	c.done = done
	r.changes <- c
	return <-done
}

// writeUntil writes a result, which nobody but this process knows, again and
// again until it is written or the drain is over.
func (r *run) writeUntil(c *change) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := r.write(c)
		if err == nil || err == errLost {
			return
		}
		r.log.Error("outbox: a result cannot be written yet", "id", c.mail.id, "err", err)
		select {
		case <-time.After(wait):
		case <-r.results.Done():
			return
		}
	}
}

// writeChanges writes changes, marks first, and returns the mails that they
// changed.
func (r *run) writeChanges(ctx context.Context, x querier, list []*change) (written map[string]bool, err error) {
	written = map[string]bool{}
	if err := r.writeMarks(ctx, x, list, written); err != nil {
		return nil, err
	}
	return written, r.writeResults(ctx, x, list, written)
}

// tell tells each send what became of its change.
func (r *run) tell(list []*change, written map[string]bool, err error) {
	for _, c := range list {
		if err == nil && written[c.mail.id] {
			r.told(c)
		}
		switch {
		case err != nil:
			c.done <- err
		case !written[c.mail.id]:
			c.done <- errLost
		default:
			c.done <- nil
		}
	}
}

// told reports a committed change to OnChange and, once the mail has left this
// process, to the audit.
func (r *run) told(c *change) {
	to := c.state
	if c.mark {
		to = Sending
	}
	if c.from == to {
		return
	}
	reason := ""
	if c.err != nil {
		reason = string(c.err.Reason)
	}
	r.changed(Change{ID: c.mail.id, From: c.from, To: to, Priority: c.mail.priority, Due: at(c.mail.due), Reason: reason})
}

// The array beside the join makes PostgreSQL use the primary key, also in a plan
// that it made while the table was small.
const (
	updateMarks = `update {mail} as m set state = 'sending', attempts = attempts + 1, changed = {now}
		from {b} where m.id = b.i and m.id {array}select b.i from {b}{end} and m.claim = b.c and m.owner = $2 and m.state = 'waiting' returning id`

	// An acceptance is written whatever became of the mail since, but for an
	// attempt that another claim has under way. Beside one that only an event told
	// of it says that the events come, so the mail becomes a witness; beside
	// another message id it says that SES has the mail twice; beside itself, when
	// the answer of its commit was lost, it says nothing. Any other result is
	// written only while nobody has decided. The second condition is
	// that of a mail that was claimed and not marked.
	updateResults = `update {mail} as m set state = b.s, owner = '', reason = b.r, err = b.e,
		message_id = case when m.state = 'sent' and m.message_id <> '' then m.message_id else b.m end,
		other_id = case when m.state = 'sent' and b.m <> '' and m.message_id <> '' and m.message_id <> b.m then b.m else m.other_id end,
		seen = case when m.state = 'sent' and m.seen = 2 and m.message_id <> '' then 1 else m.seen end,
		changed = {now}, due = case when b.s = 'waiting' then {now} + b.w else due end, attempts = attempts - b.a
		from {b} where m.id = b.i and m.id {array}select b.i from {b}{end} and (m.claim = b.c and m.state in ('sending', 'in-doubt')
			or m.claim = b.c and m.state = 'waiting' and m.owner = $2
			or b.s = 'sent' and m.state <> 'sending') returning id`

	deleteContents = "delete from {content} where id {array}select b.i from {b}{end}"
)

func (r *run) writeMarks(ctx context.Context, x querier, list []*change, written map[string]bool) error {
	type mark struct {
		I string `json:"i"`
		C int64  `json:"c"`
	}
	var marks []mark
	for _, c := range list {
		if c.mark {
			marks = append(marks, mark{c.mail.id, c.mail.claim})
		}
	}
	return r.batch(ctx, x, updateMarks, written, len(marks), marks, "i text", "c bigint")
}

func (r *run) writeResults(ctx context.Context, x querier, list []*change, written map[string]bool) error {
	type result struct {
		I string `json:"i"`
		C int64  `json:"c"`
		S State  `json:"s"`
		M string `json:"m"`
		R string `json:"r"`
		E string `json:"e"`
		W int64  `json:"w"`
		A int    `json:"a"`
	}
	type id struct {
		I string `json:"i"`
	}
	var results []result
	var sent []id
	for _, c := range list {
		if c.mark {
			continue
		}
		b := result{I: c.mail.id, C: c.mail.claim, S: c.state, M: c.messageID, W: c.wait.Microseconds()}
		if c.giveBack && c.from == Sending {
			b.A = 1
		}
		if c.err != nil {
			b.R, b.E = string(c.err.Reason), storeError(c.err)
		}
		results = append(results, b)
		if c.state == Sent {
			sent = append(sent, id{c.mail.id})
		}
	}
	err := r.batch(ctx, x, updateResults, written, len(results), results,
		"i text", "c bigint", "s text", "m text", "r text", "e text", "w bigint", "a bigint")
	if err != nil {
		return err
	}
	sent = slices.DeleteFunc(sent, func(s id) bool { return !written[s.I] })
	if !r.opts.KeepContent && len(sent) > 0 {
		if err := r.delete(ctx, x, deleteContents, sent); err != nil {
			return err
		}
	}
	return r.writeHolds(ctx, x, list)
}

// batch runs an update of many mails and notes which it has changed.
func (r *run) batch(ctx context.Context, x querier, text string, written map[string]bool, n int, rows any, columns ...string) error {
	if n == 0 {
		return nil
	}
	data, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return r.query(ctx, x, r.from(text, columns...), func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		written[id] = true
		return err
	}, string(data), r.id)
}

func (r *run) delete(ctx context.Context, x querier, text string, rows any) error {
	data, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = r.exec(ctx, x, r.from(text, "i text"), string(data))
	return err
}

// writeHolds begins the holds of refusals and ends those whose probe was
// accepted.
func (r *run) writeHolds(ctx context.Context, x querier, list []*change) error {
	for _, c := range list {
		var err error
		switch {
		case c.mark:
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
