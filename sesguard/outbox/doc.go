// Package outbox sends mail that outlives the process: it stores each mail in a
// database that the program already has, and sends it from there. An SQLite file
// is enough where one machine sends, PostgreSQL where several do. The driver is
// the program's own.
//
// # The promise
//
// Whatever dies when, no mail is lost, none is sent twice, and each ends in a
// known state. Three rules keep it, and the tests in the nested module dbtest
// break each of them to see that they would notice:
//
//   - I1. SES is asked for attempt n of a mail only after the commit of "sending,
//     attempt n" by this process, a compare-and-set on the number of its claim.
//     (TestKillLosesAndDoublesNothing, TestCommitsWithoutAnswerLoseAndDoubleNothing,
//     TestTwoRunsOnOneMailAreHarmless, TestProofCanFail)
//   - I2. "Sending" is left only by the result of that attempt, by the loss of its
//     process, which makes it "in doubt", or by its own living process that knows
//     that it has not asked SES. Never by time alone while the process is alive.
//     (TestAuditGivesBackWhatNobodyWorksOn, TestAProcessDoesNotSweepItself,
//     TestLateResultSettlesTheDoubt)
//   - I3. Attempt n+1 begins only when the durable result of attempt n says that
//     SES has not accepted, or a person, the policy, or the witnesses below said
//     so. (TestSettleTable, TestResolve, TestACopySendsNothingTwice)
//
// So a mail is accepted at most once, and is never lost: only sent, failed,
// expired and canceled end it, each with its reason in the record, and in doubt
// waits for a decision.
//
// # Use
//
//	box, err := outbox.Open(ctx, db, outbox.Options{Name: "production"})
//	go func() { done <- box.Run(ctx, sesguard.SMTP(pool)) }() // here, in a worker process, or in ten
//
//	tickets, err := box.Enqueue(ctx, outbox.Entry{Message: m, Key: "order 17"})
//
// Look at what Run returns: an error is a database that it refuses, from which
// nothing is sent. And wait for it before the program ends: it lets sends under
// way finish.
//
// SQLite has one writer at a time. The outbox waits for its turn; have your own
// statements on the same file wait too, by a busy timeout, and begin transactions
// that write as immediate. With modernc.org/sqlite that is
// "file:mail.db?_pragma=busy_timeout(10000)&_txlock=immediate", with
// github.com/mattn/go-sqlite3 "file:mail.db?_busy_timeout=10000&_txlock=immediate".
//
// Enqueue returns when the mail is on the disk. EnqueueTx stores it in the
// transaction that stores the order, so that there is a mail if and only if there
// is an order; it takes a *sql.Tx, or through ExecFunc any other driver's:
//
//	box.EnqueueTx(ctx, outbox.ExecFunc(func(ctx context.Context, q string, args ...any) (int64, error) {
//		tag, err := tx.Exec(ctx, q, args...) // a pgx.Tx
//		return tag.RowsAffected(), err
//	}), entry)
//
// Get tells what became of a mail, List finds those that failed or are in doubt,
// and Options.OnChange and Options.Logger hear of them.
//
// An Enqueue whose commit got no answer may have happened. With a Key it is
// repeated safely, for as long as the record lives (Options.Retention).
//
// # States
//
//	waiting   stored; due now, at SendAt, or after a refusal's wait
//	sending   committed just before SES is asked
//	sent      SES has it; the content is erased
//	in-doubt  SES may have it: Settle or Retry, or the witnesses, decide
//	failed    refused for good, with class, reason and SES's words; Retry sends it
//	expired   not sent within MaxAge or Deadline; Retry sends it
//	canceled  taken back by Cancel before SES was asked; Retry sends it
//
// Cancel is certain: it works on waiting mails only, and SES was not asked for
// them. The record of a finished mail stays for Options.Retention. It holds
// neither recipients nor subject, and neither do logs. In doubt is never deleted.
//
// # What follows from a refusal
//
//   - Throttled and Unavailable: the mail waits as its retry.Policy says, by the
//     attempts in its record, so the schedule goes on after a restart.
//   - About the account (paused, suspended, quota): a hold on all mails.
//   - About a sender, a configuration set or a tenant: a hold on its mails.
//   - About this process (credentials, certificate, proxy, clock): this process
//     waits and lets one mail try after 5 s, 10 s, 30 s, 1 min. So it does after ten
//     attempts in a row that found SES unavailable.
//   - In doubt: parked, or with retry.Policy.AllowDuplicates sent again.
//   - Everything else: failed.
//
// Attempts that a hold or a stopped process explains are not counted against the
// mail. A hold is one row, however many mails it keeps. One mail probes it after
// 5 seconds, doubling to 8 minutes (account), 1 to 15 minutes (sender) or 20
// minutes (quota), and lifts it. Hold and Release are the same for a person.
//
// # Order
//
// Priorities are strict: Urgent, Normal, Bulk. Within one, groups share the rate
// evenly, so ten mails of one tenant do not wait behind two thousand of another.
//
// # Doubt
//
// Every mail carries its TrackID in the SES message tag [TrackTag]. Events of a
// configuration set's destination repeat it, and
//
//	event.Settle(ctx, box, outbox.TrackTag, e)
//
// makes a mail in doubt sent, with its message id. Acknowledge the event only
// when that returned nil. Silence alone proves nothing, because events may be late
// or lost. With Options.ResendUnseen a mail in doubt is sent again after that
// grace if the mails of its configuration set that were accepted for certain
// nearest to it, at least five and two of them after it, and all within a minute
// of it, were seen by an event, every one. Otherwise it stays in doubt. That
// needs: a configuration set named in the Message, whose destination publishes
// Send events, and one outbox for it.
//
// # When something breaks
//
//   - A process dies (kill -9, panic, out of memory): 30 seconds later another one
//     takes its mails. Those not yet begun are sent, those under way are in doubt.
//   - SIGTERM: end Run's context. Nothing is in doubt unless SES was slower than
//     Options.DrainTimeout.
//   - Power cut: the same as a dead process. Each commit waits for the disk: the
//     outbox asks for synchronous FULL on SQLite and synchronous_commit on
//     PostgreSQL, where fsync must be on.
//   - The database is away: nothing is sent, and results wait in memory until they
//     are written. Enqueue returns the error. A connection that hangs is given up
//     after 10 seconds with a driver that heeds contexts then, as pgx does; lib/pq
//     waits until TCP gives up.
//   - The disk is full: the same. Keep some reserve: SQLite needs room even to
//     delete.
//   - PostgreSQL fails over to a synchronous replica: as if it had been away. An
//     asynchronous replica has lost the end of the log: mails enqueued then are
//     lost, and marks, so that a mail may be sent twice.
//   - A backup is restored: the same, with hours for moments. End every Run before
//     and call [Outbox.Adopt] after it. Run refuses a copy until then, as far as
//     PostgreSQL's system identifier, the inode of an SQLite file and Options.Name
//     tell; a restore in place changes none of them.
//   - Clocks: on PostgreSQL the database's alone counts; on SQLite the host's.
//
// # Operation
//
// Watch from Stats: the oldest due mail (alert above 10 minutes), mails in doubt
// (for an hour), any hold, duplicates. Options.OnChange counts changes. The views
// sesguard_outbox and sesguard_holds show everything to psql and sqlite3.
//
// Migrations only add columns and tables, under a lock; a process that is too old
// for the tables refuses with the reason. Deploy in any order. To uninstall, drop
// the tables whose names begin with the prefix.
package outbox
