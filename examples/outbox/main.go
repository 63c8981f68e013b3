// Command outbox is a web server whose mail survives it: orders and mails stand
// in one SQLite file, and are written in one transaction. Kill it at any time and
// start it again.
//
//	go run . -smtp email-smtp.eu-west-1.amazonaws.com:587 -db shop.db
//
// The SMTP user name and password are read from SES_USERNAME and SES_PASSWORD.
// POST /orders takes an order, /healthz fails when mail does not leave, /metrics is
// for Prometheus and /debug/vars for those who have none. The file metrics.go has
// the metrics, alerts.yaml what to alert on.
package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/smtpclient"
	_ "modernc.org/sqlite"
)

func main() {
	smtp := flag.String("smtp", "email-smtp.eu-west-1.amazonaws.com:587", "SES's SMTP endpoint")
	file := flag.String("db", "shop.db", "the SQLite file")
	addr := flag.String("http", "localhost:8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := smtpclient.Config{Addr: *smtp, Username: os.Getenv("SES_USERNAME"), Password: os.Getenv("SES_PASSWORD"), TLSConfig: &tls.Config{}}
	s, err := newShop(ctx, *file, config)
	if err != nil {
		log.Fatal(err)
	}
	defer s.close()
	server := &http.Server{Addr: *addr, Handler: s.handler()}
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Print(err)
			stop()
		}
	}()
	if err := s.box.Run(ctx, sesguard.SMTP(s.pool)); err != nil { // until a signal comes
		log.Print(err)
	}
	quiet, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server.Shutdown(quiet)
}

type shop struct {
	db      *sql.DB
	pool    *smtpclient.Client
	box     *outbox.Outbox
	metrics *metrics
}

// The settings are those of each connection: wait for other writers, and let a
// transaction be the writer from its beginning.
const settings = "?_pragma=busy_timeout(10000)&_txlock=immediate"

func newShop(ctx context.Context, file string, config smtpclient.Config) (*shop, error) {
	db, err := sql.Open("sqlite", "file:"+file+settings)
	if err != nil {
		return nil, err
	}
	metrics := newMetrics()
	box, err := outbox.Open(ctx, db, outbox.Options{OnChange: metrics.changed, Logger: slog.Default()})
	if err != nil {
		return nil, err
	}
	metrics.watch(box)
	if _, err := db.ExecContext(ctx, "create table if not exists orders (id integer primary key, email text not null)"); err != nil {
		return nil, err
	}
	pool, err := smtpclient.New(config)
	if err != nil {
		return nil, err
	}
	return &shop{db, pool, box, metrics}, nil
}

func (s *shop) close() {
	s.pool.Close()
	s.db.Close()
}

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.order)
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.Handle("GET /debug/vars", expvar.Handler())
	return mux
}

// order writes the order and its mail: both or neither.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	id, err := s.store(r.Context(), r.FormValue("email"))
	if err != nil {
		http.Error(w, "the order was not taken", http.StatusBadRequest)
		log.Print(err)
		return
	}
	fmt.Fprintf(w, "order %d is taken\n", id)
}

func (s *shop) store(ctx context.Context, email string) (id int64, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if err := tx.QueryRowContext(ctx, "insert into orders (email) values (?) returning id", email).Scan(&id); err != nil {
		return 0, err
	}
	_, err = s.box.EnqueueTx(ctx, tx, outbox.Entry{
		Key: fmt.Sprintf("order %d", id),
		Message: &sesguard.Message{
			From: "Shop <shop@example.com>", To: []string{email},
			Subject: fmt.Sprintf("Your order %d", id), Text: "It is on its way.",
		},
	})
	if err != nil {
		return 0, err
	}
	return id, tx.Commit()
}

// health fails when mail does not leave.
func (s *shop) health(w http.ResponseWriter, r *http.Request) {
	stats, err := s.box.Stats(r.Context())
	switch {
	case err != nil:
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
	case len(stats.Holds) > 0:
		http.Error(w, "mail is held: "+stats.Holds[0].Reason, http.StatusServiceUnavailable)
	case !stats.OldestDue.IsZero() && time.Since(stats.OldestDue) > 10*time.Minute:
		http.Error(w, "mail is late", http.StatusServiceUnavailable)
	default:
		fmt.Fprintf(w, "%d waiting, %d sent, %d in doubt\n", stats.N(outbox.Waiting), stats.N(outbox.Sent), stats.N(outbox.InDoubt))
	}
}
