package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

// A job is a mail in the queue and what the queue knows of it.
type job struct {
	mail     *sesguard.Message
	attempts int
	due      time.Time // zero: now
}

// A consumer sends the mails of a queue. The queue is slices here; with SQS or
// a database table an acknowledgement deletes the row, a requeue sets the time
// at which it is seen again, and parked, held and dead are queues of their own.
type consumer struct {
	sender sesguard.Sender // makes one attempt a call: the queue does the waiting
	policy retry.Policy
	log    io.Writer

	ready  []*job
	parked []*job                     // SES may have it: for a person, or SES's delivery events, to decide
	held   []*job                     // nothing wrong with the mail: waits for resume
	dead   map[seserrors.Class][]*job // cannot be sent as it is
	paused map[string]bool            // senders whose mails are held; everyone: all of them
}

const everyone = ""

// drain sends what is ready until nothing is left or ctx ends. What was not
// sent is still in ready then.
func (c *consumer) drain(ctx context.Context) error {
	for len(c.ready) > 0 {
		if err := c.awaitDue(ctx); err != nil {
			return err
		}
		j := c.ready[0]
		c.ready = c.ready[1:]
		if c.paused[everyone] || c.paused[j.mail.From] {
			c.held = append(c.held, j)
			continue
		}
		_, err := c.sender.Send(ctx, j.mail)
		fmt.Fprintf(c.log, "%-20s %s\n", j.mail.Subject, c.settle(j, err))
	}
	return nil
}

// settle says what becomes of a job. Doubt comes first: it may stand beside any
// class. Next comes before the two that hold, because a wrong clock is fatal and
// yet cured by one immediate attempt.
func (c *consumer) settle(j *job, err error) string {
	if err == nil {
		return "sent: acknowledge"
	}
	j.attempts++
	e := seserrors.Classify(err)
	fatal, scope := seserrors.IsFatal(err), e.Reason.Scope()
	wait, again := c.policy.Next(j.attempts, 0, err)
	switch {
	case seserrors.MaybeAccepted(err):
		c.parked = append(c.parked, j)
		return fmt.Sprintf("in doubt (%s): park", e.Reason)
	case again:
		return c.requeue(j, wait, e.Reason)
	case e.Class == seserrors.Canceled: // the consumer is being stopped: not the mail's attempt
		j.attempts--
		return c.requeue(j, 0, e.Reason)
	case fatal && (scope == seserrors.ScopeAccount || scope == seserrors.ScopeConnection): // also a wrong host or port
		return c.hold(j, everyone, e.Reason)
	case fatal && scope == seserrors.ScopeSender:
		return c.hold(j, j.mail.From, e.Reason)
	}
	c.dead[e.Class] = append(c.dead[e.Class], j)
	return fmt.Sprintf("%s: dead-letter as %s", e.Reason, e.Class)
}

func (c *consumer) requeue(j *job, wait time.Duration, why seserrors.Reason) string {
	j.due = time.Now().Add(wait)
	c.ready = append(c.ready, j)
	return fmt.Sprintf("%s: requeue", why)
}

// hold keeps j, and every later mail that would fail the same way.
func (c *consumer) hold(j *job, sender string, why seserrors.Reason) string {
	c.paused[sender] = true
	c.held = append(c.held, j)
	return fmt.Sprintf("%s: hold and pause", why)
}

// resume is for the person who has removed the cause.
func (c *consumer) resume() {
	c.ready = append(c.ready, c.held...)
	c.held = nil
	clear(c.paused)
}

// awaitDue brings the job that is due first to the front and waits for it.
func (c *consumer) awaitDue(ctx context.Context) error {
	slices.SortStableFunc(c.ready, func(a, b *job) int { return a.due.Compare(b.due) })
	t := time.NewTimer(time.Until(c.ready[0].due))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
