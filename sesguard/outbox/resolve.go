package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	neighbours = 5 // on each side of a doubt
	witnesses  = 5 // at least, in all
	later      = 2 // at least, after the doubt
)

// Silence is no evidence while it is not known that events come. The witnesses
// of a doubt are the mails of its configuration set that were accepted for
// certain nearest to it in time, and all within a minute of it: only when each of
// them was seen, the silence about this one mail says that SES does not have it.
var selectWitnesses = fmt.Sprintf(`with earlier as (select seen from {mail} where state = 'sent' and cset <> '' and cset = $1 and seen < 2 and changed <= $2 order by changed desc limit %[1]d),
	later as (select seen from {mail} where state = 'sent' and cset <> '' and cset = $1 and seen < 2 and changed > $2 order by changed limit %[1]d)
	select (select count(*) from earlier), (select count(*) from later),
	(select count(*) from earlier where seen = 0) + (select count(*) from later where seen = 0) +
	(select count(*) from {mail} where state = 'sent' and cset <> '' and cset = $1 and seen = 0 and changed between $2 - %[2]d and $2 + %[2]d)`,
	neighbours, time.Minute.Microseconds())

// resolve sends mails in doubt again of which SES would have told.
func (r *run) resolve(ctx context.Context) error {
	if r.opts.ResendUnseen <= 0 {
		return nil
	}
	type doubt struct {
		id, set        string
		claim, changed int64
	}
	var doubts []doubt
	err := r.query(ctx, r.db, fmt.Sprintf(`select id, cset, claim, changed from {mail} where state = 'in-doubt' and cset <> ''
		and changed <= {now} - $1 and expires > {now} order by changed limit %d`, chunk), func(rows *sql.Rows) error {
		var d doubt
		err := rows.Scan(&d.id, &d.set, &d.claim, &d.changed)
		doubts = append(doubts, d)
		return err
	}, r.opts.ResendUnseen.Microseconds())
	if err != nil {
		return err
	}
	for _, d := range doubts {
		var before, after, silent int
		err := r.query(ctx, r.db, selectWitnesses, func(rows *sql.Rows) error { return rows.Scan(&before, &after, &silent) }, d.set, d.changed)
		if err != nil {
			return err
		}
		if before+after < witnesses || after < later || silent > 0 {
			continue
		}
		err = r.move(ctx, InDoubt, Waiting, nil, `update {mail} set state = 'waiting', due = {now}, changed = {now}
			where id = $1 and claim = $2 and state = 'in-doubt'`, d.id, d.claim)
		if err != nil {
			return err
		}
	}
	return nil
}
