package main

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

func TestAPersonSeesAndDecides(t *testing.T) {
	url := "file:" + filepath.Join(t.TempDir(), "outbox.db")
	db, err := sql.Open("sqlite", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	box, err := outbox.Open(t.Context(), db, outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tickets, err := box.Enqueue(t.Context(), outbox.Entry{Message: &sesguard.Message{From: "shop@example.com", To: []string{"ann@example.org"}, Text: "hello"}})
	if err != nil {
		t.Fatal(err)
	}
	id := tickets[0].ID
	for _, c := range []struct{ command, want string }{
		{"stats", "waiting  normal  1"},
		{"hold account we wait", ""},
		{"holds", "we wait"},
		{"list -held", "account: we wait"},
		{"release account", ""},
		{"cancel " + id, ""},
		{"show " + id, "canceled"},
		{"retry " + id, ""},
		{"settle " + id + " ses-1", ""},
		{"show " + id, "ses-1"},
		{"list -state sent", id},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), append([]string{"-db", url}, strings.Fields(c.command)...), &out); err != nil {
			t.Errorf("%s: %v", c.command, err)
		}
		if !strings.Contains(out.String(), c.want) || strings.Contains(out.String(), "ann@example.org") {
			t.Errorf("%s:\n%s", c.command, out.String())
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-db", url, "-json", "show", id}, &out); err != nil || !strings.Contains(out.String(), `"State":"sent"`) {
		t.Errorf("%v: %s", err, out.String())
	}
	if err := run(t.Context(), []string{"-db", url, "cancel", id}, &out); err == nil {
		t.Error("a sent mail is canceled")
	}
	if err := run(t.Context(), []string{"-db", url, "unknown"}, &out); err == nil {
		t.Error("an unknown command")
	}
}
