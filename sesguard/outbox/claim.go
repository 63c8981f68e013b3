package outbox

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

const (
	dueLanes     = 64  // lanes that share one claim
	visitedLanes = 256 // looked at for them in one statement

	// A loose index scan: one step into the index for each lane, however many
	// mails it has.
	selectLanes = `with recursive l(lane, n) as (
		select (select lane from {mail} where state = 'waiting' and owner = '' and priority = $1 and lane > $2 order by priority, lane limit 1), 1
		union all
		select (select m.lane from {mail} m where m.state = 'waiting' and m.owner = '' and m.priority = $1 and m.lane > l.lane order by m.priority, m.lane limit 1), n + 1
		from l where l.lane is not null and n < $3)
		select lane, coalesce((select m.due from {mail} m where m.state = 'waiting' and m.owner = '' and m.priority = $1 and m.lane = l.lane
			order by m.priority, m.lane, m.due limit 1) <= {now}, false) from l where lane is not null`

	// On PostgreSQL a plain "in (select … limit)" may be run once for every row
	// of a table that is thought to be empty, and so take all of it: the inner
	// select is materialized, and its result an array.
	claimPostgres = `with c as materialized (select id from {mail} where state = 'waiting' and owner = '' and priority = $1 and lane = $2
		and due <= {now} and expires > {now} order by due limit $3 for update skip locked)
		update {mail} set owner = $4, claim = claim + 1 where id = any(array(select id from c)) `
	claimSQLite = `update {mail} set owner = $4, claim = claim + 1 where id in (select id from {mail}
		where state = 'waiting' and owner = '' and priority = $1 and lane = $2
		and due <= {now} and expires > {now} order by due limit $3) `
	claimedColumns = "returning id, lane, tenant, sender, cset, claim, attempts, recipients, size, due, priority"
)

// claim takes up to n mails that are due, those of the highest priority first and
// evenly from their groups. Nothing is asked of SES yet, so a claim that is lost
// with its process loses nothing.
func (r *run) claim(ctx context.Context, x querier, n int) ([]*claimed, error) {
	held, err := r.holds(ctx, x)
	if err != nil {
		return nil, err
	}
	list, err := r.probes(ctx, x, held, n)
	if _, all := held[AccountHold]; all || err != nil {
		return list, err
	}
	for rank := Urgent.rank(); rank >= Bulk.rank() && len(list) < n; rank-- {
		lanes, err := r.lanes(ctx, x, rank, held)
		if err == nil && len(lanes) > 0 {
			err = r.take(ctx, x, rank, lanes, n, &list)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// read reads the contents of small mails in one statement, instead of one each.
func (r *run) read(ctx context.Context, list []*claimed) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	var ids [][]any
	byID := map[string]*claimed{}
	for _, m := range list {
		if m.size < memoryUnit/16 {
			ids = append(ids, []any{m.id})
			byID[m.id] = m
		}
	}
	return r.session.each(ctx, r.session.reader(), "{rows i text}select id, coding, mail from {content} where id {among}", ids, func(rows *sql.Rows) error {
		var id string
		var coding int64
		var content []byte
		err := rows.Scan(&id, &coding, &content)
		if m := byID[id]; m != nil {
			m.coding, m.content = coding, content
		}
		return err
	})
}

// lanes returns lanes with due mails that no hold keeps, from where the last
// claim of that priority ended, at most once around.
func (r *run) lanes(ctx context.Context, x querier, rank int64, held holdSet) ([]string, error) {
	var due []string
	for start, wrapped := r.cursor[rank], false; len(due) < dueLanes; {
		visited, last := 0, ""
		err := r.query(ctx, x, selectLanes, func(rows *sql.Rows) error {
			var lane string
			var isDue bool
			err := rows.Scan(&lane, &isDue)
			visited, last = visited+1, lane
			if isDue && len(held.on(lane)) == 0 && !slices.Contains(due, lane) {
				due = append(due, lane)
			}
			return err
		}, rank, r.cursor[rank], visitedLanes)
		if err != nil {
			return nil, err
		}
		r.cursor[rank] = last
		if visited < visitedLanes { // the end of the index
			r.cursor[rank] = ""
			if wrapped || start == "" {
				break
			}
			wrapped = true
		} else if wrapped && last >= start {
			break
		}
	}
	return due, nil
}

// take claims mails from lanes until list has n, an equal part from each lane.
// A lane that has less leaves its part to the others.
func (r *run) take(ctx context.Context, x querier, rank int64, lanes []string, n int, list *[]*claimed) error {
	r.turnOf++ // who comes first when there is less than one for each
	first := r.turnOf % len(lanes)
	lanes = slices.Concat(lanes[first:], lanes[:first])
	for open := lanes; len(open) > 0 && len(*list) < n; {
		part := max(1, (n-len(*list))/len(open))
		var fuller []string
		for _, lane := range open {
			want := min(part, n-len(*list))
			if want == 0 {
				break
			}
			got := len(*list)
			if err := r.takeLane(ctx, x, rank, lane, want, list); err != nil {
				return err
			}
			if len(*list)-got == want {
				fuller = append(fuller, lane)
			}
		}
		open = fuller
	}
	return nil
}

func (r *run) takeLane(ctx context.Context, x querier, rank int64, lane string, n int, list *[]*claimed) error {
	text := claimSQLite + claimedColumns
	if r.postgres {
		text = claimPostgres + claimedColumns
	}
	return r.query(ctx, x, text, scanClaimed(list), rank, lane, n, r.id)
}

func scanClaimed(list *[]*claimed) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		m := new(claimed)
		var rank int64
		err := rows.Scan(&m.id, &m.lane, &m.tenant, &m.sender, &m.set, &m.claim, &m.attempts, &m.recipients, &m.size, &m.due, &rank)
		m.priority, m.state = priority(rank), Waiting
		*list = append(*list, m)
		return err
	}
}

// probes claims one mail for each hold whose probe is due. Its time is moved on
// first, so that one process probes.
func (r *run) probes(ctx context.Context, x querier, held holdSet, n int) (list []*claimed, err error) {
	for key, h := range held {
		if h.Probe.IsZero() || len(list) >= n {
			continue
		}
		wait := holdWait(key, "", h.step+1).Microseconds()
		won, err := r.exec(ctx, x, "update {hold} set probe = {now} + $2 where key = $1 and probe <= {now}", key, wait)
		if err != nil {
			return nil, err
		}
		if won == 0 {
			continue
		}
		rank, lane, err := r.probeLane(ctx, x, held, key)
		if err == nil && lane != "" {
			before := len(list)
			err = r.takeLane(ctx, x, rank, lane, 1, &list)
			for _, m := range list[before:] {
				m.probe, m.step = key, h.step
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// probeLane finds a lane that key holds and no other hold does.
func (r *run) probeLane(ctx context.Context, x querier, held holdSet, key string) (rank int64, lane string, err error) {
	for rank = Urgent.rank(); rank >= Bulk.rank(); rank-- {
		after, visited := "", visitedLanes
		for visited == visitedLanes && err == nil {
			visited = 0
			found := ""
			err = r.query(ctx, x, selectLanes, func(rows *sql.Rows) error {
				var isDue bool
				err := rows.Scan(&after, &isDue)
				visited++
				if isDue && found == "" && slices.Equal(held.on(after), []string{key}) {
					found = after
				}
				return err
			}, rank, after, visitedLanes)
			if found != "" || err != nil {
				return rank, found, err
			}
		}
	}
	return 0, "", err
}

// A brake stops this process, and no other, when it cannot send at all: SES is
// out of reach, or its credentials are refused. One mail then tries.
type brake struct {
	row     int // attempts in a row that found SES unavailable
	step    int // 0: not engaged
	until   time.Time
	probing bool
}

const outage = 10 // attempts in a row without an answer of SES: one tries for all

// brakeWait is the time to the nth try, from 1.
func brakeWait(n int) time.Duration {
	waits := []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}
	return waits[min(n, len(waits))-1]
}

// allows returns how many of n mails may be claimed.
func (b *brake) allows(n int) int {
	switch {
	case b.step == 0:
		return n
	case b.probing || time.Now().Before(b.until):
		return 0
	default:
		return min(n, 1)
	}
}

func (b *brake) engage() {
	b.step++
	b.until = time.Now().Add(brakeWait(b.step))
}
