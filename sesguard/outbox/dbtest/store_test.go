package dbtest

import (
	"bytes"
	"context"
	"database/sql/driver"
	stderrors "errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

func TestEnqueueTxFollowsTheCallersTransaction(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		for _, commit := range []bool{false, true} {
			tx, err := b.db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			tickets, err := b.EnqueueTx(t.Context(), tx, outbox.Entry{Message: message(1), Key: "order 1"}, outbox.Entry{Message: message(2)})
			if err != nil || len(tickets) != 2 || tickets[0].Duplicate {
				t.Fatalf("%v, %v", tickets, err)
			}
			if commit {
				err = tx.Commit()
			} else {
				err = tx.Rollback()
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Get(t.Context(), tickets[0].ID); (err == nil) != commit || err != nil && err != outbox.ErrNotFound {
				t.Errorf("committed %t: %v", commit, err)
			}
		}
	})
}

func TestEnqueueTxTakesABarePgxTransaction(t *testing.T) {
	p := postgresPlace(t, "pgx")
	b := newBed(t, p, outbox.Options{})
	conn, err := pgx.Connect(t.Context(), p.source)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tickets, err := b.EnqueueTx(t.Context(), outbox.ExecFunc(func(ctx context.Context, query string, args ...any) (int64, error) {
		tag, err := tx.Exec(ctx, query, args...)
		return tag.RowsAffected(), err
	}), outbox.Entry{Message: message(1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := b.state(tickets[0].ID); s != outbox.Waiting {
		t.Errorf("%s", s)
	}
}

func TestKeyIsStoredOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		var mu sync.Mutex
		var all sync.WaitGroup
		ids, fresh := map[string]bool{}, 0
		for i := range 8 {
			all.Go(func() {
				tickets, err := b.Enqueue(t.Context(), outbox.Entry{Message: message(i), Key: "order 17"})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[tickets[0].ID] = true
				if !tickets[0].Duplicate {
					fresh++
				}
			})
		}
		all.Wait()
		if n := b.number("select count(*) from sesguard_content"); len(ids) != 1 || fresh != 1 || n != 1 {
			t.Errorf("%d ids, %d stored, %d contents", len(ids), fresh, n)
		}
	})
}

func TestStoredMailIsWhatWasBuilt(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		for _, size := range []int{10, 100_000} {
			m := message(1)
			m.Text = strings.Repeat("Grüße\n", size)
			m.Date = time.Unix(1_700_000_000, 0)
			m.Attachments = []sesguard.Attachment{{Name: "a.txt", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("streamed")), nil }}}
			id := b.enqueue(outbox.Entry{Message: m})[0]
			mail, err := b.Mail(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if _, err := mail.WriteTo(&got); err != nil {
				t.Fatal(err)
			}
			tags := mail.Tags()
			if mail.TrackID() != id || len(tags) != 1 || tags[0].Name != outbox.TrackTag || !bytes.Contains(got.Bytes(), []byte("14 Nov 2023")) {
				t.Errorf("%s: %v", mail.TrackID(), tags)
			}
		}
	})
}

func TestEnqueueRefusesWhatCannotBeSent(t *testing.T) {
	b := newBed(t, sqlitePlace(t), outbox.Options{})
	raw := message(1)
	raw.Subject, raw.Text = "", ""
	raw.Raw = strings.NewReader("From: shop@example.com\r\nX-SES-MESSAGE-TAGS: a=b\r\n\r\nhello\r\n")
	invalid := message(1)
	invalid.To = []string{"nobody"}
	for name, e := range map[string]outbox.Entry{
		"no message":           {},
		"an invalid message":   {Message: invalid},
		"tags in a Raw":        {Message: raw},
		"a priority":           {Message: message(1), Priority: 7},
		"a key that is binary": {Message: message(1), Key: "\xff"},
		"a group":              {Message: message(1), Group: "a\x1fb"},
		"a deadline":           {Message: message(1), SendAt: time.Unix(2, 0), Deadline: time.Unix(1, 0)},
	} {
		_, err := b.Enqueue(t.Context(), outbox.Entry{Message: message(0)}, e)
		if seserrors.Classify(err).Class != seserrors.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if n := b.number("select count(*) from sesguard_mail"); n != 0 {
			t.Fatalf("%s: %d mails of the call are stored", name, n)
		}
	}
}

// A power cut would lose what SQLite has not written to the disk.
func TestCommitsWaitForTheDiskWhateverTheConnectionIsSetTo(t *testing.T) {
	p := sqlitePlace(t)
	p.source += "&_pragma=synchronous(0)"
	var off, on atomic.Int64
	b := newTappedBed(t, p, outbox.Options{}, tap{statement: func(conn driver.Conn, query string) string {
		if strings.HasPrefix(query, "insert into sesguard_mail") || strings.HasPrefix(query, "update sesguard_mail") {
			rows, err := conn.(driver.QueryerContext).QueryContext(context.Background(), "pragma synchronous", nil)
			if err != nil {
				t.Error(err)
				return query
			}
			value := make([]driver.Value, 1)
			rows.Next(value)
			rows.Close()
			if value[0].(int64) < 2 {
				off.Add(1)
			} else {
				on.Add(1)
			}
		}
		return query
	}})
	id := b.enqueueMany(1, nil)[0]
	stop := b.start()
	b.until("sent", func() bool { return b.state(id) == outbox.Sent })
	stop()
	if off.Load() > 0 || on.Load() < 4 {
		t.Errorf("%d statements do not wait for the disk, %d do", off.Load(), on.Load())
	}
	tx, err := b.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := b.EnqueueTx(t.Context(), tx, outbox.Entry{Message: message(1)}); err == nil {
		t.Error("EnqueueTx takes a connection that does not wait for the disk")
	}
}

func TestTwoRunsOnOneMailAreHarmless(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{Poll: 10 * time.Millisecond})
		b.enqueueMany(500, nil)
		first, second, third := b.start(), b.start(), b.start()
		b.until("sent", func() bool { return b.stats().N(outbox.Sent) == 500 })
		first()
		second()
		third()
		if n := len(b.ses.tries()); n != 500 {
			t.Errorf("%d attempts, want 500", n)
		}
	})
}

// The database goes away between the mark and the result.
func TestResultsWaitForTheDatabase(t *testing.T) {
	p := sqlitePlace(t)
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		b := newTappedBed(t, p, outbox.Options{}, tap{statement: func(_ driver.Conn, query string) string {
			if away.Load() && strings.HasPrefix(query, "begin") {
				return "select no_database"
			}
			return query
		}})
		b.ses.answers(func(*sesguard.Mail) error { away.Store(true); return nil })
		b.enqueueMany(20, nil)
		defer b.start()()
		time.Sleep(10 * time.Second)
		if sent, accepted := b.stats().N(outbox.Sent), b.ses.count(); sent != 0 || accepted == 0 {
			t.Errorf("without a database %d results are written of %d", sent, accepted)
		}
		b.ses.answers(nil)
		away.Store(false)
		time.Sleep(time.Minute)
		if sent, tries := b.stats().N(outbox.Sent), len(b.ses.tries()); sent != 20 || tries != 20 {
			t.Errorf("%d sent in %d attempts, want 20", sent, tries)
		}
	})
}

func TestSchemaIsWhatOpenCreates(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		statements, err := outbox.Schema(map[bool]string{true: "sqlite", false: "postgres"}[p.isSQLite()], 0)
		if err != nil {
			t.Fatal(err)
		}
		db := p.open(t)
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		b := newBed(t, p, outbox.Options{NoMigrate: true})
		b.enqueueMany(1, nil)
		if _, err := outbox.Schema("mysql", 0); err == nil {
			t.Error("a schema for mysql")
		}
	})
}

func TestPrefixNamesASchema(t *testing.T) {
	p := postgresPlace(t, "pgx")
	db := p.open(t)
	if _, err := db.Exec("create schema mail"); err != nil {
		t.Fatal(err)
	}
	b := newBed(t, p, outbox.Options{Prefix: "mail.ses_"})
	id := b.enqueueMany(1, nil)[0]
	stop := b.start()
	defer stop()
	b.until("sent", func() bool { return b.state(id) == outbox.Sent })
	if _, err := outbox.Open(t.Context(), db, outbox.Options{Prefix: "x; drop"}); err == nil {
		t.Error("a prefix that is no name")
	}
}

func TestListPagesAndFilters(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		b.enqueueMany(25, func(i int, e *outbox.Entry) { e.Group = fmt.Sprint("g", i%2) })
		seen := map[string]bool{}
		q := outbox.Query{Group: "g0", State: outbox.Waiting, From: "shop@example.com", Limit: 5}
		for {
			page, err := b.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				seen[r.ID] = true
				q.After = r.ID
			}
		}
		if len(seen) != 13 {
			t.Errorf("%d records, want 13", len(seen))
		}
		if err := b.Hold(t.Context(), "set:", ""); seserrors.Classify(err).Class != seserrors.Invalid {
			t.Errorf("a hold without a name: %v", err)
		}
		err := stderrors.Join(b.Hold(t.Context(), outbox.FromHold+"Shop@example.com", "we wait"))
		held, err2 := b.List(t.Context(), outbox.Query{Held: true, Limit: 100})
		if err != nil || err2 != nil || len(held) != 25 || held[0].Held != "from:shop@example.com: we wait" {
			t.Errorf("%d held, %v, %v", len(held), err, err2)
		}
		if err := b.Release(t.Context(), outbox.AccountHold); err != outbox.ErrNotFound {
			t.Errorf("Release of no hold: %v", err)
		}
	})
}
