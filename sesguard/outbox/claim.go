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
	claimedColumns = "returning id, tenant, sender, cset, claim, attempts, recipients, size, due"
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
		if err != nil {
			return nil, err
		}
		if len(lanes) == 0 {
			continue
		}
		more, err := r.take(ctx, x, rank, lanes, n-len(list))
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
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
	x := querier(r.db)
	if r.session.conn != nil {
		x = r.session
	}
	return r.each(ctx, x, "{rows i text}select id, coding, mail from {content} where id {among}", ids, func(rows *sql.Rows) error {
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
func (r *run) lanes(ctx context.Context, x querier, rank int64, held holdSet) (due []string, err error) {
	start := r.cursor[rank]
	for around := false; len(due) < dueLanes; {
		last, end, err := r.visit(ctx, x, rank, r.cursor[rank], func(lane string) {
			if len(held.on(lane)) == 0 && !slices.Contains(due, lane) {
				due = append(due, lane)
			}
		})
		if err != nil {
			return nil, err
		}
		if r.cursor[rank] = last; end {
			r.cursor[rank] = ""
		}
		if around && (end || last >= start) || end && start == "" {
			break
		}
		around = around || end
	}
	return due, nil
}

// visit calls see for those of the next lanes after one that have due mails. It
// returns the last lane, and whether the index ends there.
func (r *run) visit(ctx context.Context, x querier, rank int64, after string, see func(lane string)) (last string, end bool, err error) {
	visited := 0
	err = r.query(ctx, x, selectLanes, func(rows *sql.Rows) error {
		var due bool
		err := rows.Scan(&last, &due)
		if visited++; due {
			see(last)
		}
		return err
	}, rank, after, visitedLanes)
	return last, visited < visitedLanes, err
}

// take claims up to n mails from lanes, an equal part from each. A lane that has
// less leaves its part to the others.
func (r *run) take(ctx context.Context, x querier, rank int64, lanes []string, n int) (list []*claimed, err error) {
	r.turnOf++ // who comes first when there is less than one for each
	first := r.turnOf % len(lanes)
	lanes = slices.Concat(lanes[first:], lanes[:first])
	for open := lanes; len(open) > 0 && len(list) < n; {
		part := max(1, (n-len(list))/len(open))
		var fuller []string
		for _, lane := range open {
			want := min(part, n-len(list))
			if want == 0 {
				break
			}
			got, err := r.takeLane(ctx, x, rank, lane, want)
			if err != nil {
				return nil, err
			}
			if list = append(list, got...); len(got) == want {
				fuller = append(fuller, lane)
			}
		}
		open = fuller
	}
	return list, nil
}

func (r *run) takeLane(ctx context.Context, x querier, rank int64, lane string, n int) (list []*claimed, err error) {
	text := claimSQLite + claimedColumns
	if r.postgres {
		text = claimPostgres + claimedColumns
	}
	err = r.query(ctx, x, text, func(rows *sql.Rows) error {
		m := &claimed{priority: priority(rank), state: Waiting}
		list = append(list, m)
		return rows.Scan(&m.id, &m.tenant, &m.sender, &m.set, &m.claim, &m.attempts, &m.recipients, &m.size, &m.due)
	}, rank, lane, n, r.id)
	return list, err
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
		if won > 0 {
			var got []*claimed
			if got, err = r.probe(ctx, x, held, key); len(got) > 0 {
				got[0].probe, got[0].step = key, h.step
				list = append(list, got[0])
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// probe claims a mail that key holds and no other hold does.
func (r *run) probe(ctx context.Context, x querier, held holdSet, key string) ([]*claimed, error) {
	for rank := Urgent.rank(); rank >= Bulk.rank(); rank-- {
		found := ""
		for after, end := "", false; !end && found == ""; {
			var err error
			after, end, err = r.visit(ctx, x, rank, after, func(lane string) {
				if found == "" && slices.Equal(held.on(lane), []string{key}) {
					found = lane
				}
			})
			if err != nil {
				return nil, err
			}
		}
		if found != "" {
			return r.takeLane(ctx, x, rank, found, 1)
		}
	}
	return nil, nil
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
