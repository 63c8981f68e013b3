package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
	"github.com/sesguard/sesguard-go/sesguard"
	box "github.com/sesguard/sesguard-go/sesguard/outbox"
)

// draining sends what waits over SMTP with 20 connections.
func draining(ctx context.Context, b *bench) error {
	for _, concurrency := range []int{20, 60} {
		var all []measurement
		var server, ses []time.Duration // CPU
		for range b.rounds {
			p, err := b.db.next(ctx)
			if err != nil {
				return err
			}
			if err := fill(ctx, p, b.mails); err != nil {
				return err
			}
			server, ses = append(server, -b.db.cpu()), append(ses, -cpuOf(b.sesPID))
			m, err := b.measure("drain", job{Place: p, Mails: b.mails, Connections: 20, Concurrency: concurrency})
			if err != nil {
				return err
			}
			all = append(all, m)
			server[len(server)-1] += b.db.cpu()
			ses[len(ses)-1] += cpuOf(b.sesPID)
		}
		i := fastest(all)
		m := all[i]
		each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(m.Mails) }
		target := 0.0
		if concurrency > 20 {
			target = 3000
		}
		b.add(fmt.Sprintf("drain over SMTP, Concurrency %d", concurrency), fmt.Sprintf("%.0f/s", m.rate()),
			table.AtLeast("mails/s", m.rate(), target).As("%.0f"),
			figure("µs of CPU a mail", each(m.CPU), "%.0f"),
			figure("µs of the server's CPU", each(server[i]), "%.0f"),
			figure("µs of the fake SES's CPU", each(ses[i]), "%.0f"),
			figure("% of the machine for all that", 100*(m.CPU+server[i]+ses[i]).Seconds()/m.Took.Seconds()/float64(runtime.NumCPU()), "%.0f"),
			figure("changes a commit", 2*float64(m.Mails)/float64(m.Commits), "%.1f"),
			figure("statements a mail", float64(m.Statements)/float64(m.Mails), "%.2f"),
		)
	}
	return nil
}

func figure(name string, value float64, format string) table.Result {
	return table.Result{Name: name, Value: value, Format: format}
}

func fastest(all []measurement) (best int) {
	for i, m := range all {
		if m.rate() > all[best].rate() {
			best = i
		}
	}
	return best
}

// fill enqueues mails of 2 KB.
func fill(ctx context.Context, p place, mails int) error {
	return enqueue(ctx, p, mails, func(int, *box.Entry) {})
}

func enqueue(ctx context.Context, p place, mails int, change func(i int, e *box.Entry)) error {
	db, o, err := p.outbox(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	for done := 0; done < mails; {
		entries := make([]box.Entry, min(1000, mails-done))
		for i := range entries {
			entries[i].Message = letter(done + i)
			change(done+i, &entries[i])
		}
		if _, err := o.Enqueue(ctx, entries...); err != nil {
			return err
		}
		done += len(entries)
	}
	return nil
}

// letter is a mail of 2 KB.
func letter(n int) *sesguard.Message {
	return &sesguard.Message{
		From: "shop@example.com", To: []string{fmt.Sprintf("user%d@example.org", n)}, Subject: fmt.Sprintf("Order %d", n),
		Text: strings.Repeat("Your order is on its way, and it will be with you soon.\n", 30),
	}
}

// scaling claims while a million mails wait.
func scaling(ctx context.Context, b *bench) error {
	sent := min(b.mails, 10_000)
	var peak [2]float64
	for i, waiting := range []int{sent, b.waiting} {
		p, err := b.db.next(ctx)
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := multiply(ctx, p, waiting); err != nil {
			return err
		}
		took := time.Since(begin)
		m, err := b.measure("drain", job{Place: p, Mails: sent, Connections: 20, Concurrency: 60})
		if err != nil {
			return err
		}
		peak[i] = m.PeakMB
		if i == 0 {
			continue
		}
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b.add(fmt.Sprintf("%d mails wait", waiting), fmt.Sprintf("%.0f/s", m.rate()),
			table.AtMost("ms for a claim, p50", ms(m.ClaimP50), 20).As("%.1f"),
			table.AtMost("ms for a claim, p99", ms(m.ClaimP99), 80).As("%.1f"),
			table.AtMost(fmt.Sprintf("MB more than with %d", sent), peak[1]-peak[0], 16).As("%.1f"),
			figure("MB at most", peak[1], "%.0f"),
			figure("mails a second to load them", float64(waiting)/took.Seconds(), "%.0f"),
		)
	}
	return nil
}

// multiply makes so many mails of one, inside the database: to enqueue them one
// by one is not what is measured.
func multiply(ctx context.Context, p place, mails int) error {
	if err := fill(ctx, p, 1); err != nil {
		return err
	}
	db, err := sql.Open(p.Driver, p.Source)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // whose settings are those of this load alone
	settings, id, numbers := "set synchronous_commit = off", "md5(i::text)", "generate_series(1, $1) as n(i)"
	if p.isSQLite() {
		settings, id = "pragma synchronous = off; pragma cache_size = -500000", "hex(randomblob(16))"
		numbers = "(with recursive n(i) as (select 1 union all select i + 1 from n where i < $1) select i from n)"
	}
	const rest = "key, lane, grp, tenant, sender, cset, priority, state, recipients, size, created, due, expires, changed"
	for _, s := range []struct {
		text string
		args []any
	}{
		{settings, nil},
		{fmt.Sprintf("insert into sesguard_mail (id, track, %[1]s) select %[2]s, track, %[1]s from sesguard_mail, %[3]s", rest, id, numbers), []any{mails - 1}},
		{`insert into sesguard_content (id, coding, mail) select m.id, c.coding, c.mail from sesguard_mail m, sesguard_content c
			where not exists (select 1 from sesguard_content o where o.id = m.id)`, nil},
	} {
		if _, err := db.ExecContext(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// idling runs an outbox in which nothing waits.
func idling(ctx context.Context, b *bench) error {
	p, err := b.db.next(ctx)
	if err != nil {
		return err
	}
	c, err := start("idle", job{Place: p, SES: b.ses, For: b.each})
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.hear(new(string)); err != nil {
		return err
	}
	before := b.db.cpu()
	var m measurement
	if err := c.hear(&m); err != nil {
		return err
	}
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / m.Took.Seconds() }
	b.add("nothing waits", "",
		table.AtMost("% of a core", share(m.CPU), 1.5),
		figure("% of a core, the server", share(b.db.cpu()-before), "%.2f"),
		figure("MB at most", m.PeakMB, "%.0f"))
	return nil
}

// sharing spends one rate in four processes.
func sharing(ctx context.Context, b *bench) error {
	p, err := b.db.next(ctx)
	if err != nil {
		return err
	}
	db, _, err := p.outbox(ctx) // makes the tables
	if err != nil {
		return err
	}
	defer db.Close()
	var all []*child
	for range 4 {
		c, err := start("rate", job{Place: p, Rate: 500, For: b.each / 2})
		if err != nil {
			return err
		}
		defer c.stop()
		all = append(all, c)
	}
	var sum measurement
	for _, c := range all {
		var m measurement
		if err := c.hear(&m); err != nil {
			return err
		}
		sum.Mails, sum.OfRate, sum.Took = sum.Mails+m.Mails, sum.OfRate+m.OfRate, max(sum.Took, m.Took)
	}
	b.add("a rate of 500/s, 4 processes", fmt.Sprintf("%.0f/s", sum.rate()),
		table.AtMost("statements a mail", float64(sum.OfRate)/float64(sum.Mails), 0.05).As("%.3f"))
	return nil
}

// waiting sends to others while 2,000 bulk mails wait for a rate of 14/s. What is
// enqueued here is another process's to find.
func waiting(ctx context.Context, b *bench) error {
	p, err := b.db.next(ctx)
	if err != nil {
		return err
	}
	group := func(name string, priority box.Priority) func(int, *box.Entry) {
		return func(_ int, e *box.Entry) { e.Group, e.Priority = name, priority }
	}
	if err := enqueue(ctx, p, 2000, group("big", box.Bulk)); err != nil {
		return err
	}
	c, err := start("run", job{Place: p, SES: b.ses, Rate: 14})
	if err != nil {
		return err
	}
	defer c.stop()
	time.Sleep(b.each / 4)
	begin := time.Now()
	if err := enqueue(ctx, p, 10, group("small", box.Bulk)); err != nil {
		return err
	}
	if err := enqueue(ctx, p, 1, group("codes", box.Urgent)); err != nil {
		return err
	}
	code, err := p.done(ctx, "codes", begin)
	if err != nil {
		return err
	}
	ten, err := p.done(ctx, "small", begin)
	if err != nil {
		return err
	}
	b.add("behind 2,000 bulk mails at 14/s", "",
		table.AtMost("s for ten mails of another group", ten.Seconds(), 5).As("%.1f"),
		table.AtMost("s for a login code", code.Seconds(), 1.5).As("%.1f"))
	return nil
}

// done waits until all mails of a group are sent, and returns how long after
// begin that was.
func (p place) done(ctx context.Context, group string, begin time.Time) (time.Duration, error) {
	db, o, err := p.outbox(ctx)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	for {
		left, err := o.List(ctx, box.Query{Group: group})
		if err != nil {
			return 0, err
		}
		left = slices.DeleteFunc(left, func(r box.Record) bool { return r.State == box.Sent })
		if took := time.Since(begin); len(left) == 0 || took > time.Minute {
			return took, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}
