// Command river sends mail with River (riverqueue.com), for those who have it
// already: no mail is lost, and none is sent twice when a job runs again.
//
//	river -db shop.db order ann@example.org    an order and its mail, in one transaction
//	river -db shop.db work                     sends; any number of processes on PostgreSQL
//	river -db shop.db list                     the mails that SES has not taken for certain
//	river -db shop.db resend TRACK-ID          a person's word that SES does not have it
//
// The database is an SQLite file or postgres://…; work reads SES_SMTP
// (host:port), SES_USERNAME and SES_PASSWORD, and, to hear SES's events on :8081,
// SES_TOPIC, the ARN of the SNS topic of the configuration set "orders".
//
// # Why a table of its own
//
// River runs a job again when its process died, and cannot tell whether SES had
// been asked by then. So the file worker.go, which is the one to copy, keeps a row
// for each mail, and commits "sending" to it before it asks SES. A job that finds
// this mark and no result was cut off in between: its mail is in doubt. It is
// parked and not sent again, until an event of SES says that it was accepted or a
// person says that it was not.
//
//	SES's answer                          the row        River is told
//	accepted                              sent           nil, here and nowhere else
//	throttled, unavailable, over quota    waiting        JobSnooze, by the row's attempts
//	account, sender or settings refused   waiting        JobSnooze, 20 minutes
//	this mail refused, or a day is over   failed         JobCancel, with the reason
//	none, after the mail was out          in doubt       JobCancel, with the reason
//
// The row holds the mail, and the job only its id, because River keeps the
// arguments of finished jobs. The mail is erased when it is sent. Rows stay until
// you delete those that are old and sent. A job that somebody cancels or deletes in
// River leaves its row behind: list shows it, and resend gives it a job again.
//
// River finds a job of a dead process after RescueStuckJobsAfter. That must be
// longer than the longest attempt, so it is 20 minutes here. Each commit must
// reach the disk: leave synchronous (SQLite) and synchronous_commit and fsync
// (PostgreSQL) at their defaults.
//
// # When to take package outbox instead
//
// Package sesguard/outbox is the same idea with a queue made for mail, on the same
// database and without River. Take it if you have no River yet, and if you need one
// of these: mails of a dead process after 30 seconds instead of 20 minutes; a
// paused account that costs one row instead of one try for each mail every 20
// minutes; priorities and tenants that do not wait behind each other; a rate for
// all machines (its NewLimiter can be the limiter here too); doubts that are
// resolved without a person; idempotency keys; a tool for the person on call.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/smtpclient"
	_ "modernc.org/sqlite"
)

func main() {
	url := flag.String("db", "shop.db", "an SQLite file or postgres://…")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *url, flag.Args(), os.Stdout); err != nil {
		log.Fatal("river: ", err)
	}
}

func run(ctx context.Context, url string, args []string, out io.Writer) error {
	s, err := open(ctx, url, river.Config{})
	if err != nil {
		return err
	}
	defer s.db.Close()
	switch {
	case len(args) == 2 && args[0] == "order":
		return s.order(ctx, args[1])
	case len(args) == 1 && args[0] == "work":
		return s.work(ctx, smtpclient.Config{Addr: os.Getenv("SES_SMTP"), Username: os.Getenv("SES_USERNAME"), Password: os.Getenv("SES_PASSWORD")}, os.Getenv("SES_TOPIC"))
	case len(args) == 1 && args[0] == "list":
		return s.list(ctx, out)
	case len(args) == 2 && args[0] == "resend":
		return s.resend(ctx, args[1])
	}
	return errors.New("say order ADDRESS, work, list or resend TRACK-ID")
}

// open opens the database and brings River's tables and ours up to date. Config
// is what differs from the settings here.
func open(ctx context.Context, url string, config river.Config) (*mailer, error) {
	kind, source := "sqlite", "file:"+url+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_txlock=immediate"
	if strings.HasPrefix(url, "postgres") {
		kind, source = "pgx", url
	}
	db, err := sql.Open(kind, source)
	if err != nil {
		return nil, err
	}
	var driver riverdriver.Driver[*sql.Tx] = riverdatabasesql.New(db)
	if kind == "sqlite" {
		db.SetMaxOpenConns(1) // as River asks for
		driver = riversqlite.New(db)
	}
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	for _, text := range []string{table, "create table if not exists orders (track text primary key, email text not null)"} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	m := &mailer{db: db, retry: retry.Policy{MaxElapsed: maxAge}}
	config.Workers = river.NewWorkers()
	river.AddWorker(config.Workers, m)
	config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 10}}
	config.RescueStuckJobsAfter = longestAttempt + 5*time.Minute
	config.SoftStopTimeout = 25 * time.Second // then attempts under way are cut
	m.client, err = river.NewClient(driver, &config)
	return m, err
}

// order stores an order and its mail: both or neither.
func (m *mailer) order(ctx context.Context, email string) error {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	track, err := m.enqueue(ctx, tx, &sesguard.Message{
		From: "Shop <shop@example.com>", To: []string{email}, ConfigurationSet: "orders",
		Subject: "Your order", Text: "It is on its way.",
	})
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "insert into orders (track, email) values ($1, $2)", track, email); err != nil {
		return err
	}
	return tx.Commit()
}

// work sends until ctx ends and the attempts under way have ended too.
func (m *mailer) work(ctx context.Context, config smtpclient.Config, topic string) error {
	pool, err := smtpclient.New(config)
	if err != nil {
		return err
	}
	defer pool.Close()
	m.use(sesguard.SMTP(pool), sesguard.NewRateLimiter(13))
	if topic != "" {
		events := &http.Server{Addr: ":8081", Handler: &event.Handler{Topics: []string{topic}, Handle: m.hear}}
		defer events.Close()
		go func() { log.Print("events: ", events.ListenAndServe()) }()
	}
	if err := m.client.Start(ctx); err != nil {
		return err
	}
	<-m.client.Stopped()
	return nil
}

func (m *mailer) list(ctx context.Context, out io.Writer) error {
	rows, err := m.db.QueryContext(ctx, "select track, state, attempts, created, reason from mails where state <> 'sent' order by created")
	if err != nil {
		return err
	}
	defer rows.Close()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TRACK ID\tSTATE\tATTEMPTS\tCREATED\tREASON")
	for rows.Next() {
		var track, state, reason string
		var attempts int
		var created int64
		if err := rows.Scan(&track, &state, &attempts, &created, &reason); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", track, state, attempts, time.UnixMicro(created).Format(time.DateTime), reason)
	}
	return errors.Join(rows.Err(), w.Flush())
}
