package outbox

import (
	"context"
	"database/sql"
	"time"

	stderrors "errors"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

// send brings one claimed mail to the end of this attempt: content, limiter,
// mark, attempt, result. Until the mark is on the disk SES is not asked; after
// it, only the result or the loss of this process ends the state that it wrote.
func (r *run) send(ctx context.Context, m *claimed) {
	defer r.finish(m)
	release, err := r.memory.take(ctx, m.size)
	if err != nil {
		r.giveBack(m, 0)
		return
	}
	defer release()
	mail := r.content(ctx, m)
	if mail == nil || !r.limit(ctx, m) {
		return
	}
	marked := wall()
	if err := r.write(m, outcome{state: Sending}); err != nil {
		return // not ours any more, or, if the commit's answer was lost, for the audit
	}
	if wall().Sub(marked) > lease/2 || ctx.Err() != nil {
		// This machine was suspended, or Run is ending. SES was not asked.
		r.giveBack(m, 0)
		return
	}
	out := r.attempt(m, mail)
	r.report(m, out)
	r.writeUntil(m, out)
}

// wall is the time without the monotonic clock, which stands still while a
// machine is suspended.
func wall() time.Time { return time.Now().Round(0) }

func (r *run) finish(m *claimed) {
	r.mu.Lock()
	delete(r.held, m.id)
	if m.brake {
		r.brake.probing = false
	}
	r.mu.Unlock()
	if m.brake || m.probe != "" {
		r.hungry.Store(true) // perhaps the way is free
	}
	select {
	case r.finished <- struct{}{}:
	default:
	}
}

// giveBack returns a mail of which this process knows that SES was not asked.
func (r *run) giveBack(m *claimed, wait time.Duration) {
	r.writeUntil(m, outcome{state: Waiting, giveBack: true, wait: wait})
}

// content reads the mail. Nil: there is none, and all is done.
func (r *run) content(ctx context.Context, m *claimed) *sesguard.Mail {
	if m.content == nil {
		limited, cancel := context.WithTimeout(ctx, heartbeat)
		defer cancel()
		err := r.query(limited, r.db, "select coding, mail from {content} where id = $1", func(rows *sql.Rows) error {
			return rows.Scan(&m.coding, &m.content)
		}, m.id)
		if err != nil {
			r.trouble(ctx, "content", err)
			r.giveBack(m, time.Second)
			return nil
		}
	}
	mail, err := r.unpack(m.content, m.coding)
	m.content = nil
	if err != nil {
		e := seserrors.Classify(err)
		r.log.ErrorContext(ctx, "outbox: a mail cannot be read", "id", m.id, "err", e)
		r.writeUntil(m, outcome{state: Failed, err: e})
		return nil
	}
	return mail
}

// limit waits for the limiter, before the mark: a crash in this wait leaves no
// doubt. False: it refused, and all is done.
func (r *run) limit(ctx context.Context, m *claimed) bool {
	if r.opts.Limiter == nil {
		return true
	}
	err := r.opts.Limiter.WaitN(ctx, m.recipients)
	if err == nil {
		return true
	}
	out := outcome{state: Waiting, giveBack: true}
	if ctx.Err() == nil {
		if out.wait, _ = retry.After(err); out.wait <= 0 {
			out.wait = 5 * time.Second
		}
		if _, known := stderrors.AsType[*seserrors.Error](err); known {
			out.err = seserrors.Classify(err)
		}
		if out.err != nil && out.err.Class == seserrors.QuotaExceeded {
			out.hold, out.wait = AccountHold, 0
		}
	}
	r.writeUntil(m, out)
	return false
}

// attempt asks SES, once.
func (r *run) attempt(m *claimed, mail *sesguard.Mail) outcome {
	ctx, cancel := context.WithTimeout(r.attempts, maxAttempt)
	defer cancel()
	receipt, err := r.transport.Attempt(ctx, mail)
	out := settle(r.opts.Retry, m, mail.Recipients(), receipt, err)
	if l := r.opts.Limiter; l != nil {
		if out.err == nil {
			l.Observe(ctx, m.recipients, nil)
		} else {
			l.Observe(ctx, m.recipients, out.err)
		}
	}
	r.judge(m, &out)
	return out
}

// judge engages and releases the brake.
func (r *run) judge(m *claimed, out *outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &r.brake
	unavailable := out.state == Waiting && out.err != nil && out.err.Class == seserrors.Unavailable
	if !unavailable && !out.brake {
		if out.state != InDoubt {
			b.row, b.step = 0, 0 // SES answers
		}
		return
	}
	if b.row++; unavailable && b.row < outage && b.step == 0 {
		return
	}
	if b.step == 0 || m.brake {
		b.engage()
		r.log.Warn("outbox: this process cannot reach SES and waits", "reason", out.err.Reason, "wait", brakeWait(b.step))
	}
	out.giveBack, out.wait = true, brakeWait(b.step)
	if out.err.MaybeAccepted {
		out.giveBack = false
	}
}

func (r *run) report(m *claimed, out outcome) {
	switch out.state {
	case Failed:
		r.log.Error("outbox: a mail failed", "id", m.id, "err", out.err)
	case InDoubt:
		r.log.Warn("outbox: a mail is in doubt", "id", m.id, "err", out.err)
	}
}

// memory bounds what the contents of mails under way take together. Those of
// less than a megabyte are not counted: Concurrency bounds them.
type memory struct {
	turn chan struct{} // one at a time takes several, so nobody waits with a part
	free chan struct{}
}

const (
	memoryUnit = 1 << 20
	memoryAll  = 64 // units
	memoryMost = memoryAll / 2
)

func (q *memory) take(ctx context.Context, size int64) (release func(), err error) {
	n, got := int(min(size/memoryUnit, memoryMost)), 0
	release = func() {
		for range got {
			<-q.free
		}
	}
	if n == 0 {
		return release, nil
	}
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-q.turn }()
	for ; got < n; got++ {
		select {
		case q.free <- struct{}{}:
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
	return release, nil
}
