package main

import (
	"context"
	"fmt"
	"log"
	"slices"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

// A job is a mail in the queue and what the queue knows of it.
type job struct {
	message  *sesguard.Message
	mail     *sesguard.Mail // built at the first attempt; all attempts bear its TrackID
	attempts int
	due      time.Time // zero: now
}

// A consumer sends the mails of a queue. The queue is slices here; with SQS or
// a database table an acknowledgement deletes the row, a requeue sets the time
// at which it is seen again, and held and dead are queues of their own.
type consumer struct {
	send    sendFunc      // one attempt a call: the queue does the waiting
	timeout time.Duration // of a call
	policy  retry.Policy
	log     *log.Logger

	ready  []*job
	parked *park                      // SES may have it: SES's events decide, or a person
	held   []*job                     // nothing wrong with the mail: waits for resume
	dead   map[seserrors.Class][]*job // cannot be sent as it is
	paused map[string]bool            // senders whose mails are held; everyone: all of them
}

const everyone = ""

// A sendFunc is the SendBuilt of a client.
type sendFunc func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error)

// drain sends what is ready until nothing is left or ctx ends. What was not
// sent is still in ready then.
func (c *consumer) drain(ctx context.Context) error {
	for len(c.ready) > 0 {
		if err := c.awaitDue(ctx); err != nil {
			return err
		}
		j := c.ready[0]
		c.ready = c.ready[1:]
		if c.paused[everyone] || c.paused[j.message.From] {
			c.held = append(c.held, j)
			continue
		}
		c.log.Printf("%-20s %s", j.message.Subject, c.settle(j, c.attempt(ctx, j)))
	}
	return nil
}

func (c *consumer) attempt(ctx context.Context, j *job) (err error) {
	if j.mail == nil {
		if j.mail, err = sesguard.Build(j.message); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, err = c.send(ctx, j.mail)
	return err
}

// settle says what becomes of a job, in the order that package retry gives.
// Doubt comes first: it may stand beside any class.
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
		return c.park(j, e.Reason)
	case again:
		return c.requeue(j, wait, e.Reason)
	case e.Reason == seserrors.DeadlineExceeded && j.attempts < c.policy.MaxAttempts: // its own timeout came first
		wait, _ = retry.After(err)
		return c.requeue(j, wait, e.Reason)
	case e.Reason == seserrors.ContextCanceled, e.Reason == seserrors.ClientClosed: // the program ends: not the mail's attempt
		j.attempts--
		return c.requeue(j, 0, e.Reason)
	case fatal && (scope == seserrors.ScopeAccount || scope == seserrors.ScopeConnection): // also a wrong host or port
		return c.hold(j, everyone, e.Reason)
	case fatal && scope == seserrors.ScopeSender:
		return c.hold(j, j.message.From, e.Reason)
	}
	c.dead[e.Class] = append(c.dead[e.Class], j)
	return fmt.Sprintf("%s: dead-letter as %s", e.Reason, e.Class)
}

// park leaves j to SES's events.
func (c *consumer) park(j *job, why seserrors.Reason) string {
	if err := c.parked.add(j); err != nil {
		return fmt.Sprintf("in doubt (%s), and nobody will settle it: %v", why, err)
	}
	return fmt.Sprintf("in doubt (%s): park", why)
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
