package dbtest

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"github.com/sesguard/sesguard-go/sesguard/outbox/dbtest/pgtest"
)

// postgresURL names a server on which databases may be created; empty: none.
var postgresURL string

func TestMain(m *testing.M) {
	flag.Parse()
	if job := os.Getenv(jobVariable); job != "" {
		os.Exit(work(job))
	}
	// Most of these tests wait, for a disk or for another process.
	if p := flag.Lookup("test.parallel"); p.Value.String() == p.DefValue {
		p.Value.Set("8")
	}
	os.Exit(pgtest.Main(m, &postgresURL, "fsync=off"))
}

// A place is a new database and how to open it again, from another process too.
type place struct{ driver, source string }

func (p place) String() string { return p.driver }

func (p place) isSQLite() bool { return strings.HasPrefix(p.driver, "sqlite") }

func (p place) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(p.driver, p.source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func sqlitePlace(t testing.TB) place {
	return place{"sqlite", "file:" + filepath.Join(t.TempDir(), "outbox.db") + "?_pragma=busy_timeout(10000)"}
}

var databases atomic.Int64

func postgresPlace(t testing.TB, driver string) place {
	t.Helper()
	if postgresURL == "" {
		t.Skip("no PostgreSQL")
	}
	return placeOn(t, postgresURL, driver)
}

// placeOn is a new database on a server.
func placeOn(t testing.TB, server, driver string) place {
	t.Helper()
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	name := fmt.Sprintf("outbox_%d_%d", os.Getpid(), databases.Add(1))
	if _, err := admin.Exec("create database " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin, err := sql.Open("pgx", server)
		if err == nil {
			admin.Exec("drop database " + name + " with (force)")
			admin.Close()
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return place{driver, u.String()}
}

// eachDatabase runs the same body over every database and driver, side by side:
// most of the time is the disk's.
func eachDatabase(t *testing.T, body func(t *testing.T, p place)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		body(t, sqlitePlace(t))
	})
	eachDriver(t, body)
}

// eachDriver is eachDatabase without SQLite.
func eachDriver(t *testing.T, body func(t *testing.T, p place)) {
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(strings.Replace(driver, "postgres", "pq", 1), func(t *testing.T) {
			t.Parallel()
			body(t, postgresPlace(t, driver))
		})
	}
}

func ctxFor(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
