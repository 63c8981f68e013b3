package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/smtpclient"
)

var (
	ctx  = context.Background()
	db   *sql.DB // of whatever driver
	box  *outbox.Outbox
	pool *smtpclient.Client
)

// A worker process sends until it is told to end. Any number may run.
func Example() {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	box, err := outbox.Open(ctx, db, outbox.Options{
		Name:    "production",
		Limiter: outbox.NewLimiter(db, outbox.LimiterOptions{PerSecond: 13}),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := box.Run(ctx, sesguard.SMTP(pool)); err != nil {
		log.Fatal(err)
	}
}

func ExampleOutbox_Enqueue() {
	tickets, err := box.Enqueue(ctx, outbox.Entry{
		Key:      "welcome user 17", // so that it may be repeated
		Priority: outbox.Urgent,
		Deadline: time.Now().Add(10 * time.Minute),
		Message:  &sesguard.Message{From: "shop@example.com", To: []string{"ann@example.org"}, Subject: "Your code", Text: "123456"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tickets[0].ID, tickets[0].Duplicate)
}

// What became of a mail.
func ExampleOutbox_Get() {
	r, err := box.Get(ctx, "BPGJEDRZHDA3Q3RUQP6JRCGG2Y") // of the Ticket
	if err != nil {
		log.Fatal(err)
	}
	switch r.State {
	case outbox.Sent:
		fmt.Println("SES has it as", r.MessageID)
	case outbox.Failed:
		fmt.Println(r.Err.Reason, "-", r.Err.Reason.Advice())
	default:
		fmt.Println(r.State, r.Held)
	}
}

// The customer has taken the order back.
func ExampleOutbox_Cancel() {
	switch err := box.Cancel(ctx, "BPGJEDRZHDA3Q3RUQP6JRCGG2Y"); {
	case err == nil:
		fmt.Println("it will not be sent")
	case errors.Is(err, outbox.ErrState):
		fmt.Println("too late: it is sent, or being sent")
	default:
		log.Fatal(err)
	}
}

// The mail exists if and only if the order does.
func ExampleOutbox_EnqueueTx() {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "insert into orders (id) values (17)"); err != nil {
		log.Fatal(err)
	}
	m := &sesguard.Message{From: "shop@example.com", To: []string{"ann@example.org"}, Subject: "Your order"}
	if _, err := box.EnqueueTx(ctx, tx, outbox.Entry{Message: m, Key: "order 17"}); err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
}

// A person has asked the recipient, who got nothing.
func ExampleOutbox_Retry() {
	doubts, err := box.List(ctx, outbox.Query{State: outbox.InDoubt})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range doubts {
		if err := box.Retry(ctx, r.ID); err != nil {
			log.Print(err)
		}
	}
}

// A limiter for programs without an outbox too: they share the account's rate.
func ExampleNewLimiter() {
	client := sesguard.New(sesguard.SMTP(pool), sesguard.Options{
		Limiter: outbox.NewLimiter(db, outbox.LimiterOptions{Account: "eu-west-1", PerSecond: 13, Local: 1}),
	})
	_ = client
}
