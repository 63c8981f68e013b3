package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/sesguard/outbox/dbtest/pgtest"
)

// postgres is a server on which the tests make a database of their own; empty:
// there is none.
var postgres string

func TestMain(m *testing.M) {
	os.Unsetenv("DATABASE_URL") // that of the person who runs the tests
	os.Exit(pgtest.Main(m, &postgres))
}

func TestAPersonSeesAndDecides(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		p := newPerson(t, url)
		doubt, failed, waiting := p.mail["in-doubt"], p.mail["failed"], p.mail["waiting"]
		for _, c := range []struct{ command, want string }{
			{"stats", `waiting +0 +1 +0\n`},
			{"stats", `in-doubt +0 +1 +0\n`},
			{"stats", `oldest due +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+, \d+s ago\n`},
			{"stats", `no process sends\n\nnothing is held\n`},
			{"-h", `settle ID \[MESSAGE-ID\]`},
			{"list -h", `-reason`},
			{"list", `ID +STATE +PRIORITY +FROM +DUE +ATTEMPTS +REASON\n`},
			{"list -state in-doubt", "^ID.*\n" + doubt + ` +in-doubt +normal +shop@example.com +\d+s ago +1 +response-lost\n$`},
			{"list -reason message-rejected", "^ID.*\n" + failed + `.*\n$`},
			{"list -state expired", "^no mails\n$"},
			{"list -limit 1", `the next page: .* -after \w{26}\n$`},
			{"list -after " + strings.Repeat("Z", 26), "^no mails\n$"},
			{"show " + doubt, `next +settle it`},
			{"show " + doubt, `key +order 2\n`},
			{"show " + failed, `(?s)failure .*message-rejected.*\nadvice .*\nnext +retry`},
			{"content " + doubt, `(?s)^recipients: ann@example.org\n\nFrom: .*hello`},

			{"hold account we wait", `^account is held`},
			{"holds", `account +we wait +\d{4}.* none: release it by hand\n$`},
			{"list -held", waiting + ` .* held by account: we wait\n`},
			{"show " + waiting, `next +it is sent when the hold ends`},
			{"release account", "^account is released\n$"},
			{"holds", "^nothing is held\n$"},

			{"cancel " + waiting, "is canceled\n$"},
			{"retry " + waiting + " " + failed, "^" + waiting + " waits again\n" + failed + " waits again\n$"},
			{"retry " + doubt, `was in doubt and waits again`},
			{"cancel " + failed, "is canceled\n$"},
			{"erase " + failed, "has no content any more\n$"},
			{"adopt in-doubt", `adopted`},
			{"list -state in-doubt", waiting},
			{"settle " + doubt + " ses-9", "is sent\n$"},
			{"show " + doubt, `message id +ses-9`},
		} {
			out, err := p.do(c.command)
			if err != nil || !regexp.MustCompile(c.want).MatchString(out) {
				t.Errorf("%s: %v\n%s\nwant %s", c.command, err, out, c.want)
			}
			if strings.Contains(out, "ann@example.org") && !strings.HasPrefix(c.command, "content") {
				t.Errorf("%s names a recipient:\n%s", c.command, out)
			}
		}
	})
}

func TestWhatCannotBeIsExplained(t *testing.T) {
	p := newPerson(t, "")
	sent, waiting := p.mail["sent"], p.mail["waiting"]
	for _, c := range []struct{ command, want string }{
		{"", "outboxctl -h"},
		{"unknown", `no command "unknown"`},
		{"show", "by their IDs"},
		{"show nope", "nope: no such mail"},
		{"list -state doubt", `no state "doubt", only waiting`},
		{"list in-doubt", `list takes no "in-doubt"`},
		{"retry", "by their IDs"},
		{"retry " + sent, "is sent: retry sends mails again that are failed"},
		{"cancel " + sent, "is sent: cancel takes back mails that are waiting"},
		{"erase " + waiting, "is waiting: erase is for"},
		{"erase " + sent, "is sent: erase is for"},
		{"content " + sent, "its content is erased"},
		{"settle " + waiting, "is waiting: settle is for mails that are in-doubt"},
		{"settle " + waiting + " a b", "the ID of one mail"},
		{"hold account", "and a reason"},
		{"hold shop@example.com we wait", "account, from:ADDRESS"},
		{"release account", "account is not held"},
		{"release", "holds lists them"},
		{"adopt", "adopt in-doubt"},
		{"adopt later", "adopt in-doubt"},
	} {
		if _, err := p.do(c.command); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.command, err, c.want)
		}
	}
	if out, err := p.do("retry nope " + p.mail["failed"]); err == nil || !strings.Contains(out, "waits again") {
		t.Errorf("a mail that is not there keeps another from being sent: %v\n%s", err, out)
	}
}

func TestADatabaseThatIsNotThereIsNotMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.db")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-db", file, "stats"}, &out); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("no file: %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("there is a file now: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-db", file, "stats"}, &out); err == nil || !strings.Contains(err.Error(), "no outbox there") {
		t.Errorf("an empty file: %v", err)
	}
	if err := run(t.Context(), []string{"stats"}, &out); err == nil || !strings.Contains(err.Error(), "-db") {
		t.Errorf("no -db: %v", err)
	}
}

func TestJSONIsOneObjectALine(t *testing.T) {
	p := newPerson(t, "")
	for _, c := range []struct{ command, want string }{
		{"stats", `"State":"failed","Priority":"normal","N":1}`},
		{"hold account we wait", `"Key":"account"`},
		{"holds", `"Reason":"we wait"`},
		{"list", `"Priority":"normal"`},
		{"show " + p.mail["sent"], `"State":"sent"`},
		{"retry " + p.mail["failed"], `"State":"waiting"`},
		{"content " + p.mail["in-doubt"], `"Recipients":["ann@example.org"]`},
		{"settle " + p.mail["in-doubt"] + " s", `"MessageID":"s"`},
	} {
		out, err := p.do("-json " + c.command)
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s\nwant %s", c.command, err, out, c.want)
		}
		for line := range strings.Lines(out) {
			if !json.Valid([]byte(line)) || line[0] != '{' {
				t.Errorf("%s: no object: %s", c.command, line)
			}
		}
	}
}

// The views are for those who have only psql or sqlite3.
func TestTheViewsHaveNamesAndTimes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		p := newPerson(t, url)
		if _, err := p.do("hold account we wait"); err != nil {
			t.Fatal(err)
		}
		var id, from, priority, due string
		err := p.db.QueryRow(`select id, "from", priority, cast(due as text) from sesguard_outbox where state = 'in-doubt'`).Scan(&id, &from, &priority, &due)
		if err != nil || id != p.mail["in-doubt"] || from != "shop@example.com" || priority != "normal" || !strings.HasPrefix(due, time.Now().UTC().Format("2006-")) {
			t.Errorf("%s %s %s %s: %v", id, from, priority, due, err)
		}
		var reason, since string
		var probe sql.NullString
		if err := p.db.QueryRow("select reason, cast(since as text), cast(probe as text) from sesguard_holds where key = 'account'").Scan(&reason, &since, &probe); err != nil || reason != "we wait" || probe.Valid {
			t.Errorf("%s %s %v: %v", reason, since, probe, err)
		}
	})
}

func TestTimesAreReadable(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", time.Minute: "1m", 59 * time.Minute: "59m", 61 * time.Minute: "1h01m",
		47*time.Hour + 59*time.Minute: "47h59m", 48 * time.Hour: "2d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
	if got := ago(time.Now().Add(90 * time.Minute)); got != "in 1h29m" {
		t.Errorf("the future: %s", got)
	}
}

// A person is at a terminal, before an outbox with a mail in each of four states.
type person struct {
	t    *testing.T
	url  string
	db   *sql.DB
	mail map[string]string // IDs by state
}

func newPerson(t *testing.T, address string) *person {
	t.Helper()
	driver, source := database(t, address)
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	box, err := outbox.Open(t.Context(), db, outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t, source, db, map[string]string{}}
	for i, err := range []error{
		nil,
		&seserrors.Error{Class: seserrors.Rejected, Reason: seserrors.MessageRejected},
		&seserrors.Error{Class: seserrors.Unavailable, Reason: seserrors.ResponseLost, MaybeAccepted: true},
	} {
		p.enqueue(box, i)
		ctx, cancel := context.WithCancel(t.Context())
		once := func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
			cancel()
			if err != nil {
				return nil, err
			}
			return &sesguard.Receipt{MessageID: "ses-1"}, nil
		}
		if err := box.Run(ctx, transport(once)); err != nil {
			t.Fatal(err)
		}
	}
	p.enqueue(box, 3)
	records, err := box.List(t.Context(), outbox.Query{})
	if err != nil || len(records) != 4 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for _, r := range records {
		p.mail[string(r.State)] = r.ID
	}
	return p
}

func (p *person) enqueue(box *outbox.Outbox, n int) {
	p.t.Helper()
	_, err := box.Enqueue(p.t.Context(), outbox.Entry{Key: fmt.Sprintf("order %d", n), Message: &sesguard.Message{From: "shop@example.com", To: []string{"ann@example.org"}, Text: "hello"}})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) do(command string) (string, error) {
	var out bytes.Buffer
	err := run(p.t.Context(), append([]string{"-db", p.url}, strings.Fields(command)...), &out)
	return out.String(), err
}

type transport func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error)

func (f transport) Attempt(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
	return f(ctx, m)
}

// eachDatabase runs body on SQLite and on PostgreSQL.
func eachDatabase(t *testing.T, body func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { body(t, "") })
	t.Run("postgres", func(t *testing.T) {
		if postgres == "" {
			t.Skip("no PostgreSQL")
		}
		body(t, postgres)
	})
}

// database makes a database on the server, or an SQLite file.
func database(t *testing.T, address string) (driver, source string) {
	t.Helper()
	if address == "" {
		return "sqlite", filepath.Join(t.TempDir(), "shop.db")
	}
	admin, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("outboxctl_%d_%d", os.Getpid(), time.Now().UnixNano())
	if _, err := admin.ExecContext(t.Context(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin.Exec("drop database " + name + " with (force)")
		admin.Close()
	})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return "pgx", u.String()
}
