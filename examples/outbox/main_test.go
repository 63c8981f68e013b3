package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func TestOrdersAndMailsSurviveTheServer(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	file := filepath.Join(t.TempDir(), "shop.db")
	config := smtpclient.Config{Addr: ses.SMTPAddr, Username: ses.Username, Password: ses.Password, TLSConfig: ses.TLSConfig()}

	// A server that takes orders and ends before it sends anything.
	first, err := newShop(t.Context(), file, config)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(first.handler())
	for email, status := range map[string]int{"ann@example.org": 200, "ben@example.org": 200, "nobody": 400} {
		resp, err := http.PostForm(web.URL+"/orders", url.Values{"email": {email}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("an order of %q: %s", email, resp.Status)
		}
	}
	web.Close()
	first.close()

	second, err := newShop(t.Context(), file, config)
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	var orders int
	if err := second.db.QueryRow("select count(*) from orders").Scan(&orders); err != nil || orders != 2 {
		t.Errorf("%d orders, want those with a mail: %v", orders, err)
	}
	runUntil(t, second, 2)
	if n := ses.AcceptedCount(); n != 2 {
		t.Errorf("SES has %d mails, want 2", n)
	}
	health := httptest.NewRecorder()
	second.handler().ServeHTTP(health, httptest.NewRequest("GET", "/healthz", nil))
	if got := strings.TrimSpace(health.Body.String()); got != "0 waiting, 2 sent, 0 in doubt" {
		t.Errorf("health: %s", got)
	}
}

// runUntil sends until so many attempts were made, and returns when all their
// results are written.
func runUntil(t *testing.T, s *shop, attempts int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	real, made := sesguard.SMTP(s.pool), 0 // one attempt at a time
	turn := make(chan struct{}, 1)
	counting := transport(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		turn <- struct{}{}
		defer func() { <-turn }()
		receipt, err := real.Attempt(ctx, m)
		if made++; made == attempts {
			cancel()
		}
		return receipt, err
	})
	if err := s.box.Run(ctx, counting); err != nil {
		t.Error(err)
	}
}

type transport func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error)

func (f transport) Attempt(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
	return f(ctx, m)
}
