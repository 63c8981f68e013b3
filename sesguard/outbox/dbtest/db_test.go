package dbtest

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"
)

// postgresURL names a server on which databases may be created; empty: none.
var postgresURL = os.Getenv("SESGUARD_POSTGRES")

func TestMain(m *testing.M) {
	flag.Parse()
	if job := os.Getenv(jobVariable); job != "" {
		os.Exit(work(job))
	}
	why, stop := "", func() {}
	if postgresURL == "" {
		postgresURL, stop, why = startPostgres()
	}
	code := m.Run()
	stop()
	if why != "" {
		fmt.Println("PostgreSQL was not tested:", why)
	}
	os.Exit(code)
}

// startPostgres starts a server of its own, in a temporary folder and on a free
// port of loopback.
func startPostgres() (address string, stop func(), why string) {
	bin := postgresBinaries()
	if bin == "" {
		return "", func() {}, "neither SESGUARD_POSTGRES is set nor is initdb here"
	}
	dir, err := os.MkdirTemp("", "outbox-postgres-")
	if err != nil {
		return "", func() {}, err.Error()
	}
	remove := func() { os.RemoveAll(dir) }
	as := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // which PostgreSQL refuses to be
		u, err := user.Lookup("postgres")
		if err != nil {
			return "", remove, err.Error()
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		os.Chown(dir, uid, gid)
	}
	data := filepath.Join(dir, "data")
	run := func(name string, args ...string) error {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, as
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, out)
		}
		return nil
	}
	if err := run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"); err != nil {
		remove()
		return "", func() {}, err.Error()
	}
	port := freePort()
	options := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c max_connections=200", port, dir)
	if err := run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", options, "start"); err != nil {
		remove()
		return "", func() {}, err.Error()
	}
	stop = func() { // pg_ctl goes by the pid file
		if err := run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop"); err != nil {
			fmt.Println(err)
		}
		remove()
	}
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port), stop, ""
}

// postgresBinaries is the folder of PostgreSQL's programs, empty if they are not
// here. Debian keeps them out of the path.
func postgresBinaries() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		slices.Sort(found)
		return filepath.Dir(found[len(found)-1])
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A place is a new database and how to open it again, from another process too.
type place struct{ driver, source string }

func (p place) String() string { return p.driver }

func (p place) isSQLite() bool { return p.driver == "sqlite" }

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
	admin, err := sql.Open("pgx", postgresURL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	name := fmt.Sprintf("outbox_%d_%d", os.Getpid(), databases.Add(1))
	if _, err := admin.Exec("create database " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin, err := sql.Open("pgx", postgresURL)
		if err == nil {
			admin.Exec("drop database " + name + " with (force)")
			admin.Close()
		}
	})
	u, err := url.Parse(postgresURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return place{driver, u.String()}
}

// eachDatabase runs the same body over every database and driver.
func eachDatabase(t *testing.T, body func(t *testing.T, p place)) {
	t.Run("sqlite", func(t *testing.T) { body(t, sqlitePlace(t)) })
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(strings.Replace(driver, "postgres", "pq", 1), func(t *testing.T) { body(t, postgresPlace(t, driver)) })
	}
}

func ctxFor(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
