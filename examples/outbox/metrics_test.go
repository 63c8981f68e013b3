package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// eventful is a shop of which every metric has something to tell: a mail was
// accepted, one is in doubt, one is refused, one is due, another is held.
func eventful(t *testing.T) *shop {
	t.Helper()
	ses := sestest.NewServer()
	t.Cleanup(ses.Close)
	s, err := newShop(t.Context(), filepath.Join(t.TempDir(), "shop.db"), smtpclient.Config{
		Addr: ses.SMTPAddr, Username: ses.Username, Password: ses.Password, TLSConfig: ses.TLSConfig(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	order := func() {
		t.Helper()
		if _, err := s.store(t.Context(), "ann@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	for _, fault := range []sestest.Fault{sestest.Pass(), sestest.AcceptThenCut(), sestest.Refuse(seserrors.MessageRejected)} {
		ses.Script(fault)
		order()
		runUntil(t, s, 1)
	}
	order()
	if err := s.box.Hold(t.Context(), outbox.FromHold+"news@example.com", "we wait"); err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, s *shop, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

func TestAScrapeShowsWhatBecameOfTheMails(t *testing.T) {
	s := eventful(t)
	scrape := get(t, s, "/metrics")
	for _, want := range []string{
		`outbox_mails{priority="normal",state="sent"} 1`,
		`outbox_mails{priority="normal",state="in-doubt"} 1`,
		`outbox_mails{priority="normal",state="failed"} 1`,
		`outbox_mails{priority="normal",state="waiting"} 1`,
		`outbox_changes_total{class="",from="waiting",reason="",to="sending"} 3`,
		`outbox_changes_total{class="",from="sending",reason="",to="sent"} 1`,
		`outbox_changes_total{class="unavailable",from="sending",reason="response-lost",to="in-doubt"} 1`,
		`outbox_changes_total{class="rejected",from="sending",reason="message-rejected",to="failed"} 1`,
		`outbox_due_to_sent_seconds_count{priority="normal"} 1`,
		`outbox_processes 0`,
		`outbox_unseen 0`,
		`outbox_duplicates 0`,
	} {
		if !strings.Contains(scrape, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, want := range []string{`outbox_oldest_due_timestamp_seconds \d`, `outbox_hold_timestamp_seconds\{key="from:news@example.com",reason="we wait"\} \d`} {
		if !regexp.MustCompile(want).MatchString(scrape) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() || strings.Contains(scrape, "ann@") {
		t.Log(scrape)
		t.Fail()
	}
	if vars := get(t, s, "/debug/vars"); !strings.Contains(vars, `"Holds":[{"Key":"from:news@example.com"`) || !strings.Contains(vars, `"to in-doubt":`) {
		t.Errorf("expvar: %s", vars)
	}
}

func TestAScrapeFailsWhenTheDatabaseIsAway(t *testing.T) {
	s := eventful(t)
	s.close()
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The rules are YAML, complete, and ask for what a scrape shows.
func TestAlertsAskForMetricsThatExist(t *testing.T) {
	data, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For string
				Annotations      struct{ Summary, Action string }
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil || len(file.Groups) != 1 {
		t.Fatalf("%d groups, %v", len(file.Groups), err)
	}
	scrape := get(t, eventful(t), "/metrics")
	metric := regexp.MustCompile(`\boutbox_\w+(\{[^}]*\})?`)
	for _, r := range file.Groups[0].Rules {
		if r.Alert == "" || r.Annotations.Summary == "" || r.Annotations.Action == "" {
			t.Errorf("incomplete: %+v", r)
		}
		names := metric.FindAllStringSubmatch(r.Expr, -1)
		if len(names) == 0 {
			t.Errorf("%s asks for no metric: %s", r.Alert, r.Expr)
		}
		for _, name := range names {
			bare := strings.TrimSuffix(name[0], name[1])
			label := strings.Trim(name[1], "{}")
			if !regexp.MustCompile(`(?m)^` + bare + `[ {].*` + regexp.QuoteMeta(label)).MatchString(scrape) {
				t.Errorf("%s: a scrape shows no %s", r.Alert, name[0])
			}
		}
	}
	if n := len(file.Groups[0].Rules); n != 5 {
		t.Errorf("%d rules, want 5", n)
	}
}
