// Package pgtest starts a PostgreSQL server for tests: on loopback, on a free
// port, with its data in a temporary folder. It needs PostgreSQL's programs,
// which the package postgresql of Debian installs, and links no driver.
//
//	var postgres string
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, &postgres)) }
package pgtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ErrNotInstalled says that PostgreSQL's programs are not on this machine.
var ErrNotInstalled = errors.New("pgtest: PostgreSQL's initdb is not here")

// Main runs the tests of m beside a server, sets url to its address first, as
// [Server].URL is, and returns the exit code. The server is the one that the
// variable SESGUARD_POSTGRES of the environment names, and else one that Start
// starts with settings. Where there is none, url stays empty, and Main says why
// when the tests are over.
func Main(m *testing.M, url *string, settings ...string) (code int) {
	if *url = os.Getenv("SESGUARD_POSTGRES"); *url != "" {
		return m.Run()
	}
	server, err := Start(settings...)
	if err != nil {
		defer fmt.Println("PostgreSQL was not tested, SESGUARD_POSTGRES names no other:", err)
		return m.Run()
	}
	*url = server.URL
	code = m.Run()
	if err := server.Stop(); err != nil {
		fmt.Println(err)
	}
	return code
}

// A Server is a PostgreSQL server of its own. Its methods belong to one
// goroutine at a time. Create it with [Start].
type Server struct {
	// URL names the server's database "postgres" to any driver. Its user may do
	// everything, without a password.
	URL string

	bin, dir string
	port     int
	settings []string
	watch    io.Closer // ends what guard waits for
}

// Start makes a cluster in a temporary folder and starts its server, which
// takes a second or two. Settings are the server's, such as "fsync=off", which
// makes commits much faster and loses them in a power cut only, not in a Crash.
// Stop ends the server. The error is ErrNotInstalled where there is no PostgreSQL,
// and names the step that went wrong otherwise.
func Start(settings ...string) (*Server, error) {
	bin := programs()
	if bin == "" {
		return nil, ErrNotInstalled
	}
	dir, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, settings: settings}
	if err := s.begin(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) begin() error {
	if err := own(s.dir); err != nil {
		return err
	}
	// No sync: a cluster that does not outlive its test need not outlive a power
	// cut before it begins.
	if err := s.run("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"); err != nil {
		return err
	}
	var err error
	if s.port, err = freePort(); err != nil {
		return err
	}
	if err := s.guard(); err != nil {
		return err
	}
	s.URL = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
	return s.Restart()
}

// PID is the process that is the parent of all the server's.
func (s *Server) PID() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(line)
}

// guard stops the server when this process has ended without Stop, as after a
// panic or the time limit of go test: its end of the pipe closes then.
func (s *Server) guard() error {
	cmd := exec.Command("/bin/sh", "-c", `trap "" INT TERM; read line; "$1" -D "$2/data" -m immediate stop; rm -rf "$2"`,
		"sh", filepath.Join(s.bin, "pg_ctl"), s.dir)
	if err := unprivileged(cmd); err != nil {
		return err
	}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	s.watch = pipe
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait()
	return nil
}

// Crash ends the server as if it had been killed: it answers nobody any more and
// recovers from its log at the next Restart.
func (s *Server) Crash() error { return s.end("immediate") }

// Restart starts a server that Crash ended, with the same data and URL, and
// returns when it answers.
func (s *Server) Restart() error {
	options := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c max_connections=200", s.port, s.dir)
	for _, setting := range s.settings {
		options += " -c " + setting
	}
	return s.run("pg_ctl", "-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"), "-o", options, "start")
}

// Stop ends the server and deletes its data.
func (s *Server) Stop() error {
	err := s.end("fast")
	return errors.Join(err, os.RemoveAll(s.dir), s.watch.Close())
}

// end goes by the pid file, so it never meets another server.
func (s *Server) end(mode string) error {
	return s.run("pg_ctl", "-D", s.data(), "-m", mode, "-w", "stop")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) run(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	if err := unprivileged(cmd); err != nil {
		return err
	}
	// A file, not a pipe: the server inherits it and outlives pg_ctl.
	out, err := os.Create(filepath.Join(s.dir, name+".out"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		return fmt.Errorf("pgtest: %s: %w\n%s", name, err, text)
	}
	return nil
}

// programs is the folder of PostgreSQL's programs, empty if they are not here.
// Debian keeps them out of the path.
func programs() string {
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

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
