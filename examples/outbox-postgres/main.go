// Command outbox-postgres shows the parts of a system that sends through one
// PostgreSQL database, each a process of its own, as many as you like:
//
//	outbox-postgres -db postgres://… web       takes orders on :8080
//	outbox-postgres -db postgres://… worker    sends what they enqueued
//	outbox-postgres -db postgres://… events    hears from SES what was accepted, on :8081
//
// The worker reads SES_SMTP (host:port), SES_USERNAME and SES_PASSWORD, events
// reads SES_TOPIC, the ARN of the SNS topic of the configuration set "orders".
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func main() {
	url := flag.String("db", os.Getenv("DATABASE_URL"), "the database")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := open(ctx, *url)
	if err != nil {
		log.Fatal(err)
	}
	defer s.close()
	switch flag.Arg(0) {
	case "web":
		err = serve(ctx, ":8080", http.HandlerFunc(s.order))
	case "worker":
		err = s.work(ctx, smtpclient.Config{Addr: os.Getenv("SES_SMTP"), Username: os.Getenv("SES_USERNAME"), Password: os.Getenv("SES_PASSWORD")})
	case "events":
		err = serve(ctx, ":8081", &event.Handler{Topics: []string{os.Getenv("SES_TOPIC")}, Handle: s.hear})
	default:
		err = fmt.Errorf("say web, worker or events")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, addr string, h http.Handler) error {
	server := &http.Server{Addr: addr, Handler: h}
	stop := context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	defer stop()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// A system is what all three processes share.
type system struct {
	pool *pgxpool.Pool
	db   *sql.DB // the same pool, as database/sql sees it
	box  *outbox.Outbox
	wake chan struct{}
}

func open(ctx context.Context, url string) (*system, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	s := &system{pool: pool, db: stdlib.OpenDBFromPool(pool), wake: make(chan struct{}, 1)}
	s.box, err = outbox.Open(ctx, s.db, outbox.Options{
		Name:         "production",
		Limiter:      outbox.NewLimiter(s.db, outbox.LimiterOptions{PerSecond: 13}),
		ResendUnseen: 20 * time.Minute, // SES's events come through the events process
		Wake:         s.wake,
		Logger:       slog.Default(),
	})
	if err != nil {
		return nil, err
	}
	_, err = pool.Exec(ctx, "create table if not exists orders (id bigserial primary key, email text not null)")
	return s, err
}

func (s *system) close() {
	s.db.Close()
	s.pool.Close()
}

// order stores an order and its mail in one transaction of pgx.
func (s *system) order(w http.ResponseWriter, r *http.Request) {
	ctx, email := r.Context(), r.FormValue("email")
	var id int64
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "insert into orders (email) values ($1) returning id", email).Scan(&id); err != nil {
			return err
		}
		exec := outbox.ExecFunc(func(ctx context.Context, query string, args ...any) (int64, error) {
			tag, err := tx.Exec(ctx, query, args...)
			return tag.RowsAffected(), err
		})
		_, err := s.box.EnqueueTx(ctx, exec, outbox.Entry{
			Key: fmt.Sprintf("order %d", id),
			Message: &sesguard.Message{
				From: "Shop <shop@example.com>", To: []string{email}, ConfigurationSet: "orders",
				Subject: fmt.Sprintf("Your order %d", id), Text: "It is on its way.",
			},
		})
		return err
	})
	if err != nil {
		http.Error(w, "the order was not taken", http.StatusBadRequest)
		log.Print(err)
		return
	}
	fmt.Fprintf(w, "order %d is taken\n", id)
}

// work sends until ctx ends.
func (s *system) work(ctx context.Context, config smtpclient.Config) error {
	client, err := smtpclient.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	go s.listen(ctx)
	return s.box.Run(ctx, sesguard.SMTP(client))
}

// listen wakes Run when another process commits a mail. Should it end, Run still
// looks every second.
func (s *system) listen(ctx context.Context) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "listen sesguard_outbox"); err != nil {
		return
	}
	for {
		if _, err := conn.Conn().WaitForNotification(ctx); err != nil {
			return
		}
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// hear settles doubts by what SES tells. An error makes SNS tell it again.
func (s *system) hear(ctx context.Context, e *event.Event) error {
	return event.Settle(ctx, s.box, outbox.TrackTag, e)
}
