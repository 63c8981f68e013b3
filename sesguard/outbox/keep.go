package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// What every process does for all, every few seconds. None of it needs a leader:
// each step is a compare-and-set, and harmless when two do it.

const chunk = 1000 // rows in one transaction

// keep runs until ctx ends.
func (r *run) keep(ctx context.Context) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		for _, duty := range []struct {
			name string
			do   func(context.Context) error
		}{{"sweep", r.sweep}, {"expiry", r.expire}, {"doubts", r.resolve}, {"retention", r.retain}} {
			limited, cancel := context.WithTimeout(ctx, lease)
			r.trouble(ctx, duty.name, duty.do(limited))
			cancel()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// $1 is the process that asks: of itself it knows better.
const ofTheDead = `owner <> '' and owner <> $1 and not exists (select 1 from {process} p where p.id = owner and p.alive > {now})`

// sweep takes the mails of dead processes from them. SES was not asked for those
// that were claimed; those that were being sent are in doubt.
func (r *run) sweep(ctx context.Context) error {
	err := r.move(ctx, Waiting, Waiting, nil, "update {mail} set owner = '', changed = {now} where state = 'waiting' and "+ofTheDead, r.id)
	if err != nil {
		return err
	}
	lost := &seserrors.Error{
		Op: "outbox", Class: seserrors.Unavailable, Reason: seserrors.ResponseLost, MaybeAccepted: true,
		Message: "the process that sent it was lost",
	}
	to := InDoubt
	if r.opts.Retry.AllowDuplicates {
		to = Waiting
	}
	err = r.move(ctx, Sending, to, lost, `update {mail} set state = $2, owner = '', changed = {now}, reason = $3, err = $4
		where state = 'sending' and `+ofTheDead, r.id, string(to), string(lost.Reason), storeError(lost))
	if err != nil {
		return err
	}
	_, err = r.update(ctx, "delete from {process} where alive <= {now} - $1", lease.Microseconds())
	return err
}

// move runs an update that changes the state of many mails, and reports them.
func (r *run) move(ctx context.Context, from, to State, why *seserrors.Error, text string, args ...any) error {
	var list []Change
	err := r.database.write(ctx, func(x querier) error {
		list = nil
		return r.query(ctx, x, text+" returning id, priority, due", func(rows *sql.Rows) error {
			c := Change{From: from, To: to}
			var rank, due int64
			err := rows.Scan(&c.ID, &rank, &due)
			c.Priority, c.Due = priority(rank), at(due)
			if why != nil {
				c.Reason = string(why.Reason)
			}
			list = append(list, c)
			return err
		}, args...)
	})
	if err != nil || len(list) == 0 {
		return err
	}
	r.hungry.Store(true)
	if to == InDoubt {
		r.log.WarnContext(ctx, "outbox: mails of a lost process are in doubt", "mails", len(list))
	}
	if from != to {
		r.changed(list...)
	}
	return nil
}

// audit gives back what the database says this process has and what it knows
// nothing of: a claim or a mark whose commit seemed to fail. The claim's number
// keeps it from a new claim of the same mail.
func (r *run) audit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	var lost [][]any
	err := r.query(ctx, r.db, "select id, claim, state from {mail} where owner = $1 and owner <> ''", func(rows *sql.Rows) error {
		var id, state string
		var claim int64
		err := rows.Scan(&id, &claim, &state)
		r.mu.Lock()
		defer r.mu.Unlock()
		if mine, known := r.held[id]; !known || mine != claim {
			lost = append(lost, []any{id, claim, r.id, state})
		}
		return err
	}, r.id)
	if err != nil || len(lost) == 0 {
		return err
	}
	r.hungry.Store(true)
	return r.database.write(ctx, func(x querier) error {
		return r.each(ctx, x, `{rows i text, c bigint, o text, s text}update {mail} as m set state = 'waiting', owner = '', changed = {now},
			attempts = case when m.state = 'sending' then attempts - 1 else attempts end
			{from} where m.id = b.i and m.id {among} and m.claim = b.c and m.owner = b.o and m.state = b.s`, lost, nothing)
	})
}

// expire ends mails that were not sent in time.
func (r *run) expire(ctx context.Context) error {
	return r.move(ctx, Waiting, Expired, nil, fmt.Sprintf(`update {mail} set state = 'expired', changed = {now} where id {array}
		select id from {mail} where state || owner = 'waiting' and expires <= {now} order by expires limit %d {skip}{end}`, chunk))
}

// retain deletes the records whose time is over, and their content. A mail in
// doubt stays.
func (r *run) retain(ctx context.Context) error {
	if r.opts.Retention < 0 {
		return nil
	}
	const done = "state in ('sent', 'failed', 'expired', 'canceled') and changed < {now} - $1"
	for {
		var ids [][]any
		err := r.database.write(ctx, func(x querier) error {
			ids = nil
			// The second condition is for a mail that Retry takes out at this moment.
			err := r.query(ctx, x, fmt.Sprintf(`delete from {mail} where id {array}select id from {mail} where %s
				order by changed limit %d{end} and %[1]s returning id`, done, chunk), func(rows *sql.Rows) error {
				var id string
				err := rows.Scan(&id)
				ids = append(ids, []any{id})
				return err
			}, r.opts.Retention.Microseconds())
			if err != nil || len(ids) == 0 {
				return err
			}
			return r.each(ctx, x, deleteContents, ids, nothing)
		})
		if err != nil || len(ids) < chunk {
			return err
		}
	}
}
