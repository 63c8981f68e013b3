package main

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/riverqueue/river"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/event"
)

// trackTag is the SES message tag that bears a mail's id, so that events name it.
const trackTag = "sesguard-id"

// longestAttempt ends an attempt. The end of the data alone may take 10 minutes
// (RFC 5321, section 4.5.3.2.6).
const longestAttempt = 15 * time.Minute

// maxAge is how long a mail is tried.
const maxAge = 24 * time.Hour

// The states are waiting, sending, sent, in doubt and failed. Attempts only ever
// grows, so it also numbers the marks.
const table = `create table if not exists mails (
	track text primary key,
	state text not null,
	attempts bigint not null,
	created bigint not null,
	message_id text not null,
	reason text not null,
	mail bytea)`

// send is the job of one mail.
type send struct {
	Track string `json:"track"`
}

// Kind is the job's name in River's tables.
func (send) Kind() string { return "mail" }

// InsertOpts keeps River from discarding a job whose process died or whose
// database was away too often: the row decides when a mail has failed.
func (send) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: math.MaxInt16} }

// A mailer is the table of mails and the worker that sends them.
type mailer struct {
	river.WorkerDefaults[send]
	db     *sql.DB
	client *river.Client[*sql.Tx]
	retry  retry.Policy

	once    *sesguard.Client // makes one attempt
	limiter sesguard.Limiter
}

// use says how mails are sent. It comes before the client's start.
func (m *mailer) use(t sesguard.Transport, l sesguard.Limiter) {
	m.once, m.limiter = sesguard.New(t, sesguard.Options{Retry: retry.Policy{MaxAttempts: 1}}), l
}

// Timeout is River's limit of one run.
func (m *mailer) Timeout(*river.Job[send]) time.Duration { return longestAttempt }

// enqueue stores a mail and its job in the caller's transaction. What is sent is
// what was checked here.
func (m *mailer) enqueue(ctx context.Context, tx *sql.Tx, msg *sesguard.Message) (track string, err error) {
	mail, err := sesguard.Build(msg)
	if err != nil {
		return "", err
	}
	if mail, err = mail.Track(trackTag); err != nil {
		return "", err
	}
	data, err := mail.MarshalBinary()
	if err != nil {
		return "", err
	}
	_, err = tx.ExecContext(ctx, "insert into mails (track, state, attempts, created, message_id, reason, mail) values ($1, 'waiting', 0, $2, '', '', $3)",
		mail.TrackID(), time.Now().UnixMicro(), data)
	if err != nil {
		return "", err
	}
	_, err = m.client.InsertTx(ctx, tx, send{mail.TrackID()}, nil)
	return mail.TrackID(), err
}

// Work makes one attempt. Errors of the database are returned as they are: River
// shows them, and runs the job again.
func (m *mailer) Work(ctx context.Context, job *river.Job[send]) error {
	track := job.Args.Track
	var state, reason string
	var attempts int
	var created int64
	var data []byte
	err := m.db.QueryRowContext(ctx, "select state, attempts, created, reason, mail from mails where track = $1", track).
		Scan(&state, &attempts, &created, &reason, &data)
	switch {
	case err != nil:
		return err
	case state == "sent":
		return nil
	case state == "sending": // a run before this one got as far as the mark
		return m.write(ctx, track, attempts, outcome{state: "in doubt", reason: "the run that was sending it was cut off", river: river.JobCancel(errInDoubt)})
	case state != "waiting":
		return river.JobCancel(fmt.Errorf("%s: %s", state, reason))
	}
	mail, err := sesguard.LoadMail(data)
	if err != nil {
		return err
	}
	// Before the mark: a process that dies while it waits leaves no doubt.
	if err := m.limiter.WaitN(ctx, len(mail.Recipients())); err != nil {
		wait, _ := retry.After(err)
		return river.JobSnooze(max(wait, time.Second))
	}
	// The mark. This statement is a transaction, and returns when it is on the disk.
	result, err := m.db.ExecContext(ctx, "update mails set state = 'sending', attempts = attempts + 1 where track = $1 and state = 'waiting' and attempts = $2", track, attempts)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return river.JobSnooze(time.Second) // another run was faster: see later what came of it
	}
	receipt, err := m.once.SendBuilt(ctx, mail)
	m.limiter.Observe(ctx, len(mail.Recipients()), err)
	o := m.settle(attempts+1, time.Since(time.UnixMicro(created)), err)
	if err == nil {
		o.messageID = receipt.MessageID
	}
	return m.write(ctx, track, attempts+1, o)
}

var errInDoubt = fmt.Errorf("in doubt: SES may have the mail")

// An outcome is what follows from an attempt: what is written and what River is
// told.
type outcome struct {
	state, reason, messageID string
	river                    error
}

// settle says what follows from an attempt. Doubt comes first, since it may stand
// beside any class.
func (m *mailer) settle(attempts int, elapsed time.Duration, err error) outcome {
	if err == nil {
		return outcome{state: "sent"}
	}
	e := seserrors.Classify(err)
	wait, again := m.retry.Next(attempts, elapsed, e)
	o := outcome{state: "waiting", reason: e.Error()}
	switch scope := e.Reason.Scope(); {
	case e.MaybeAccepted && !again:
		o.state, o.river = "in doubt", river.JobCancel(e)
	case again:
		o.river = river.JobSnooze(wait)
	case e.Class == seserrors.Canceled: // the program ends
		o.river = river.JobSnooze(0)
	case elapsed < maxAge && (scope == seserrors.ScopeAccount || scope == seserrors.ScopeSender || scope == seserrors.ScopeConnection):
		o.river = river.JobSnooze(20 * time.Minute) // not the mail's fault: somebody must see to it
	default:
		o.state, o.river = "failed", river.JobCancel(e)
	}
	return o
}

// write writes an outcome, also when the context has ended by now. Should that
// fail, the next run finds the mark and puts the mail in doubt, which is safe.
// Acceptance counts even if another run has put the mail in doubt meanwhile.
func (m *mailer) write(ctx context.Context, track string, attempts int, o outcome) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	result, err := m.db.ExecContext(ctx, `update mails set state = $3, reason = $4, message_id = $5,
		mail = case when $3 = 'sent' then null else mail end
		where track = $1 and attempts = $2 and (state = 'sending' or $3 = 'sent' and state <> 'sent')`,
		track, attempts, o.state, o.reason, o.messageID)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return river.JobSnooze(time.Second) // an event or another run was faster
	}
	return o.river
}

// Settle makes mailer an event.Settler: SES has the mail, whatever we thought.
func (m *mailer) Settle(ctx context.Context, trackID, messageID string, _ time.Time) error {
	_, err := m.db.ExecContext(ctx, "update mails set state = 'sent', message_id = $2, reason = '', mail = null where track = $1 and state <> 'sent'", trackID, messageID)
	return err
}

// hear settles doubts by what SES tells. An error makes SNS tell it again.
func (m *mailer) hear(ctx context.Context, e *event.Event) error {
	return event.Settle(ctx, m, trackTag, e)
}

// resend gives a mail a job again. If it is in doubt that is a person's word that
// SES does not have it. A second job for a mail that has one does no harm.
func (m *mailer) resend(ctx context.Context, track string) error {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	result, err := tx.ExecContext(ctx, "update mails set state = 'waiting', created = $2 where track = $1 and state in ('waiting', 'in doubt', 'failed')", track, time.Now().UnixMicro())
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return fmt.Errorf("%s: no such mail waits, is in doubt or has failed", track)
	}
	if _, err := m.client.InsertTx(ctx, tx, send{track}, nil); err != nil {
		return err
	}
	return tx.Commit()
}
