package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	box "github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/sesguard/outbox/dbtest/pgtest"
)

// A place is a database and how to open it again, from a child too.
type place struct{ Driver, Source string }

func (p place) isSQLite() bool { return p.Driver == "sqlite" }

// databases makes new databases of one kind.
type databases struct {
	dir    string
	sqlite bool
	server *pgtest.Server
	pid    int // of the server
	n      int
}

// openAll opens kinds of databases, "sqlite" and "postgres".
func openAll(kinds []string, dir string) (all []*databases, stop func(), err error) {
	stop = func() {}
	for _, kind := range kinds {
		d := &databases{dir: dir, sqlite: kind == "sqlite"}
		if !d.sqlite {
			if d.server, err = pgtest.Start(); err != nil {
				return nil, nil, err
			}
			stop = func() { d.server.Stop() }
			if d.pid, err = d.server.PID(); err != nil {
				stop()
				return nil, nil, err
			}
		}
		all = append(all, d)
	}
	return all, stop, nil
}

func (d *databases) String() string {
	if d.sqlite {
		return "SQLite"
	}
	return "PostgreSQL"
}

func (d *databases) next(ctx context.Context) (place, error) {
	d.n++
	if d.sqlite {
		return place{"sqlite", "file:" + filepath.Join(d.dir, fmt.Sprintf("bench%d.db", d.n))}, nil
	}
	name := fmt.Sprintf("bench%d", d.n)
	admin, err := sql.Open("pgx", d.server.URL)
	if err != nil {
		return place{}, err
	}
	defer admin.Close()
	_, err = admin.ExecContext(ctx, "create database "+name)
	return place{"pgx", strings.Replace(d.server.URL, "/postgres?", "/"+name+"?", 1)}, err
}

// cpu is the server's time so far; none where the database is in the process.
func (d *databases) cpu() time.Duration {
	if d.sqlite {
		return 0
	}
	return cpuOf(d.pid)
}

// cpuOf sums the CPU times of a process and of its children, those that have
// ended too; 0 where the system does not tell.
func cpuOf(pid int) (sum time.Duration) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		field := strings.Fields(rest) // from the third on: state, parent, … 14 to 17: user, system, and the children's
		if len(field) < 15 {
			continue
		}
		last := 13
		if filepath.Base(filepath.Dir(name)) == strconv.Itoa(pid) {
			last = 15
		} else if field[1] != strconv.Itoa(pid) {
			continue
		}
		for _, f := range field[11:last] {
			n, _ := strconv.ParseInt(f, 10, 64)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// outbox opens the place's outbox.
func (p place) outbox(ctx context.Context) (*sql.DB, *box.Outbox, error) {
	db, err := sql.Open(p.Driver, p.Source)
	if err != nil {
		return nil, nil, err
	}
	o, err := box.Open(ctx, db, box.Options{})
	return db, o, err
}
