package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// SESGUARD_POSTGRES names a server; the test makes a database of its own.
func TestOrdersAreMailedAndSeen(t *testing.T) {
	address := os.Getenv("SESGUARD_POSTGRES")
	if address == "" {
		t.Skip("SESGUARD_POSTGRES is not set")
	}
	s, err := open(t.Context(), database(t, address))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ses := sestest.NewServer()
	defer ses.Close()
	ses.Account.AddConfigurationSet("orders")

	for email, status := range map[string]int{"ann@example.org": 200, "nobody": 400} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/orders?"+url.Values{"email": {email}}.Encode(), nil)
		http.HandlerFunc(s.order).ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("an order of %q: %d", email, w.Code)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- s.work(ctx, smtpclient.Config{Addr: ses.SMTPAddr, Username: ses.Username, Password: ses.Password, TLSConfig: ses.TLSConfig()})
	}()
	for end := time.Now().Add(20 * time.Second); ses.AcceptedCount() < 1 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	accepted := ses.Accepted()
	if len(accepted) != 1 {
		t.Fatalf("SES has %d mails, want 1", len(accepted))
	}
	e := event.Event{Type: event.Send, MessageID: accepted[0].ID, Tags: map[string][]string{outbox.TrackTag: {accepted[0].Tags[outbox.TrackTag]}}}
	if err := s.hear(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
	var seen int
	if err := s.db.QueryRow("select seen from sesguard_mail").Scan(&seen); err != nil || seen != 1 {
		t.Errorf("seen: %d, %v", seen, err)
	}
}

func database(t *testing.T, address string) string {
	t.Helper()
	admin, err := pgxpool.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin.Exec(context.Background(), "drop database if exists outbox_example with (force)")
		admin.Close()
	})
	if _, err := admin.Exec(t.Context(), "create database outbox_example"); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/outbox_example"
	return u.String()
}
