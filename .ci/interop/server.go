package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Options are what the servers that take handlers are told: aiosmtpd,
// smtp-server and go-smtp. Probabilities are per stage of a mail.
type Options struct {
	Port       int     `json:"port"`
	TLS        string  `json:"tls"` // none, starttls, wrapper
	Cert       string  `json:"cert"`
	Key        string  `json:"key"`
	Auth       bool    `json:"auth"`
	Login      bool    `json:"login"`      // offer AUTH LOGIN only
	Idle       float64 `json:"idle"`       // seconds of silence before the server hangs up
	MaxMsgs    int     `json:"maxMsgs"`    // of one connection
	SoftLimit  bool    `json:"softLimit"`  // says so with 451 in place of 421
	MaxClients int     `json:"maxClients"` // connections at one time
	Pipelining bool    `json:"pipelining"` // advertise it
	Seed       uint64  `json:"seed"`
	Refuse     float64 `json:"refuse"`    // 4xx or 5xx at MAIL, RCPT, DATA and after the dot
	Cut        float64 `json:"cut"`       // connection ends at connect, MAIL, RCPT, DATA
	CutBody    float64 `json:"cutBody"`   // in the midst of the body
	CutBefore  float64 `json:"cutBefore"` // after the dot, message thrown away
	CutAfter   float64 `json:"cutAfter"`  // after the dot, message kept, no or half a reply
	CutLater   float64 `json:"cutLater"`  // after the reply
	Garbage    float64 `json:"garbage"`   // message kept, reply nonsense
	Stall      float64 `json:"stall"`     // a reply is late by
	StallFor   float64 `json:"stallFor"`  // seconds
	Log        string  `json:"log"`
	Dir        string  `json:"dir"` // whole messages; empty: the log only
}

// A Mail is one that a server accepted.
type Mail struct{ ID, Sum string }

// A Server is one that nobody of this project wrote.
type Server interface {
	Name() string
	Addr() string
	Start() error
	Stop(hard bool) // SIGKILL if hard
	Accepted() ([]Mail, error)
	Files() ([]string, error) // of whole messages
}

func sum(body []byte) string {
	s := sha256.Sum256(body)
	return hex.EncodeToString(s[:])
}

var idLine = regexp.MustCompile(`(?im)^x-interop-id:[ \t]*(\S+)`)

func idOf(content []byte) string {
	head, _, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	if m := idLine.FindSubmatch(head); m != nil {
		return string(m[1])
	}
	return "?"
}

// freePort asks the system for a port. Another process might take it before the
// server does; Start then fails, and nothing is reported falsely.
func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func waitFor(addr string, limit time.Duration) error {
	end := time.Now().Add(limit)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not listen: %w", addr, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A scripted server runs as a process of its own.
type scripted struct {
	kind string
	Options
	cmd *exec.Cmd
}

func newScripted(kind string, o Options) *scripted {
	o.Port, o.Cert, o.Key = freePort(), env.cert, env.key
	if o.TLS == "" {
		o.TLS = "none"
	}
	dir := env.dir(kind)
	o.Log = filepath.Join(dir, "accepted")
	if o.Dir != "" {
		o.Dir = filepath.Join(dir, "mail")
		check(os.MkdirAll(o.Dir, 0o700))
	}
	return &scripted{kind: kind, Options: o}
}

func (s *scripted) Name() string { return s.kind }
func (s *scripted) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

func (s *scripted) Start() error {
	options, err := json.Marshal(s.Options)
	if err != nil {
		return err
	}
	switch s.kind {
	case "aiosmtpd":
		s.cmd = exec.Command("/usr/bin/python3", filepath.Join(env.here, "servers/aiosmtpd_server.py"), string(options))
	case "smtp-server":
		s.cmd = exec.Command("node", filepath.Join(env.here, "servers/smtp_server.js"), string(options))
		s.cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(env.npm, "node_modules"))
	case "go-smtp":
		s.cmd = exec.Command(env.self, "serve-go-smtp", string(options))
	}
	out, err := os.OpenFile(s.Log+".out", os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	return waitFor(s.Addr(), 10*time.Second)
}

func (s *scripted) Stop(hard bool) {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	if hard {
		s.cmd.Process.Kill()
	} else {
		s.cmd.Process.Signal(syscall.SIGTERM)
		t := time.AfterFunc(2*time.Second, func() { s.cmd.Process.Kill() })
		defer t.Stop()
	}
	s.cmd.Wait()
}

func (s *scripted) Accepted() ([]Mail, error) {
	f, err := os.Open(s.Log)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var mails []Mail
	for in := bufio.NewScanner(f); in.Scan(); {
		fields := strings.Fields(in.Text())
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s: odd line %q", s.Log, in.Text())
		}
		mails = append(mails, Mail{fields[0], fields[1]})
	}
	return mails, nil
}

func (s *scripted) Files() ([]string, error) { return filepath.Glob(filepath.Join(s.Dir, "*.eml")) }

// A maildir is where Postfix and Exim deliver. They are asked after the id that
// they gave a mail when they accepted it, so that a mail accepted once and
// delivered twice by them counts once.
type maildir struct {
	dir string
	id  *regexp.Regexp
}

func (m maildir) Files() ([]string, error) { return filepath.Glob(filepath.Join(m.dir, "new", "*")) }

func (m maildir) Accepted() ([]Mail, error) {
	files, err := m.Files()
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	var mails []Mail
	for _, name := range files {
		content, err := readMail(name)
		if err != nil {
			return nil, err
		}
		head, body, _ := bytes.Cut(content, []byte("\r\n\r\n"))
		queue := m.id.FindSubmatch(head)
		if queue == nil {
			return nil, fmt.Errorf("%s: no queue id", name)
		}
		if !seen[string(queue[1])] {
			seen[string(queue[1])] = true
			mails = append(mails, Mail{idOf(content), sum(body)})
		}
	}
	return mails, nil
}

// readMail reads a mail of a maildir, whose lines end in LF.
func readMail(name string) ([]byte, error) {
	content, err := os.ReadFile(name)
	if err != nil || bytes.Contains(content, []byte("\r\n")) {
		return content, err
	}
	return bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n")), nil
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func write(name, text string) {
	check(os.MkdirAll(filepath.Dir(name), 0o755))
	check(os.WriteFile(name, []byte(text), 0o644))
}

var _ io.Closer = (*proxy)(nil)
