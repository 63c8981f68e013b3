package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/sesguard/outbox/dbtest/pgtest"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// address is that of a server on which the test makes a database of its own;
// empty: there is none.
var address string

func TestMain(m *testing.M) {
	os.Exit(pgtest.Main(m, &address))
}

func TestOrdersAreMailedAndSeen(t *testing.T) {
	if address == "" {
		t.Skip("no PostgreSQL")
	}
	s, err := open(t.Context(), database(t, address))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ses := sestest.NewServer()
	defer ses.Close()
	told := make(chan error) // of each event that s.hear has dealt with
	publish(ses, func(e *event.Event) { told <- s.hear(t.Context(), e) })

	for email, status := range map[string]int{"ann@example.org": 200, "nobody": 400} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/orders?"+url.Values{"email": {email}}.Encode(), nil)
		http.HandlerFunc(s.order).ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("an order of %q: %d", email, w.Code)
		}
	}
	var orders int
	if err := s.db.QueryRow("select count(*) from orders").Scan(&orders); err != nil || orders != 1 {
		t.Errorf("%d orders, want that with a mail: %v", orders, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error)
	go func() {
		done <- s.work(ctx, smtpclient.Config{Addr: ses.SMTPAddr, Username: ses.Username, Password: ses.Password, TLSConfig: ses.TLSConfig()})
	}()
	select {
	case err := <-told:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("no event")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	accepted := ses.Accepted()
	if len(accepted) != 1 {
		t.Fatalf("SES has %d mails, want 1", len(accepted))
	}
	records, err := s.box.List(t.Context(), outbox.Query{})
	if err != nil || len(records) != 1 || records[0].State != outbox.Sent || records[0].MessageID != accepted[0].ID {
		t.Errorf("%+v, %v", records, err)
	}
	var seen bool
	if err := s.db.QueryRow("select seen > 0 from sesguard_mail").Scan(&seen); err != nil || !seen {
		t.Errorf("the event is noted: %t, %v", seen, err)
	}
}

// publish has events of the configuration set "orders" published.
func publish(ses *sestest.Server, hear func(*event.Event)) {
	ses.Account.SetConfigurationSet("orders", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
	ses.Events.Subscribe(sestest.Subscription{Func: func(message []byte) {
		events, err := event.Parse(message)
		if err != nil {
			panic(err) // of the fake
		}
		for _, e := range events {
			hear(e)
		}
	}})
}

func database(t *testing.T, address string) string {
	t.Helper()
	admin, err := pgxpool.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("outbox_example_%d", os.Getpid())
	t.Cleanup(func() {
		admin.Exec(context.Background(), "drop database if exists "+name+" with (force)")
		admin.Close()
	})
	if _, err := admin.Exec(t.Context(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
