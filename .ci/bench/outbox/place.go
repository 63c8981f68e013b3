package outbox

import (
	"context"
	"database/sql"
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
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	box "github.com/sesguard/sesguard-go/sesguard/outbox"
)

// A place is a database and how to open it again, from a child too.
type place struct{ Driver, Source string }

func (p place) isSQLite() bool { return p.Driver == "sqlite" }

// databases makes new databases of one kind.
type databases struct {
	dir     string
	sqlite  bool
	cluster *cluster
	n       int
}

// openAll opens kinds of databases, "sqlite" and "postgres".
func openAll(kinds []string, dir string) (all []*databases, stop func(), err error) {
	stop = func() {}
	for _, kind := range kinds {
		d := &databases{dir: dir, sqlite: kind == "sqlite"}
		if !d.sqlite {
			if d.cluster, err = startCluster(dir); err != nil {
				return nil, nil, err
			}
			stop = d.cluster.stop
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
	admin, err := sql.Open("pgx", d.cluster.address("postgres"))
	if err != nil {
		return place{}, err
	}
	defer admin.Close()
	_, err = admin.ExecContext(ctx, "create database "+name)
	return place{"pgx", d.cluster.address(name)}, err
}

// cpu is the server's time so far; none where the database is in the process.
func (d *databases) cpu() time.Duration {
	if d.sqlite {
		return 0
	}
	return cpuOf(d.cluster.cmd.Process.Pid)
}

// A cluster is a PostgreSQL server in a temporary folder, on a free port of
// loopback, with the settings of a new installation.
type cluster struct {
	dir  string
	port int
	cmd  *exec.Cmd
}

func startCluster(dir string) (*cluster, error) {
	bin, err := postgresBinaries()
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: filepath.Join(dir, "postgres")}
	as, err := unprivileged(dir, c.dir)
	if err != nil {
		return nil, err
	}
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", c.dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
	init.Dir, init.SysProcAttr = c.dir, as
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	log, err := os.Create(filepath.Join(dir, "postgres.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", c.dir, "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+c.dir)
	c.cmd.Dir, c.cmd.SysProcAttr, c.cmd.Stderr = c.dir, as, log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, c.ready()
}

// unprivileged makes the folder and says as whom to run: PostgreSQL refuses to
// be root.
func unprivileged(parent, dir string) (*syscall.SysProcAttr, error) {
	if err := os.Mkdir(dir, 0o700); err != nil || os.Getuid() != 0 {
		return nil, err
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chmod(parent, 0o711); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(dir, uid, gid)
}

// postgresBinaries is the folder of PostgreSQL's programs. Debian keeps them out
// of the path.
func postgresBinaries() (string, error) {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 {
		slices.Sort(found)
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	return filepath.Dir(path), err
}

func (c *cluster) address(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: fmt.Sprintf("127.0.0.1:%d", c.port), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// ready waits until the server answers.
func (c *cluster) ready() error {
	db, err := sql.Open("pgx", c.address("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = db.Ping(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func (c *cluster) stop() {
	c.cmd.Process.Signal(syscall.SIGINT) // a fast shutdown
	c.cmd.Wait()
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
