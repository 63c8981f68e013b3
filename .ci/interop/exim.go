package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// An exim is one daemon with its own spool.
type exim struct {
	maildir
	home string
	port int
	cmd  *exec.Cmd
}

const eximConf = `exim_user = Debian-exim
exim_group = Debian-exim
primary_hostname = exim.test
spool_directory = %[1]s/spool
log_file_path = %[1]s/log/%%slog
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = %[2]d
tls_advertise_hosts = *
tls_certificate = %[3]s
tls_privatekey = %[4]s
deliver_drop_privilege = true
keep_environment =
host_lookup =
rfc1413_hosts =
smtp_accept_max = 100
smtp_accept_max_per_connection = 100000
smtp_accept_queue_per_connection = 0
message_size_limit = 50M
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
acl_smtp_predata = predata
acl_smtp_data = data
%[5]s

begin acl
mail:
  defer senders = mail4@example.com
        message = sender deferred
  deny  senders = mail5@example.com
        message = sender denied
  %[6]s
  accept
rcpt:
  defer local_parts = rcpt4
        message = recipient deferred
  deny  local_parts = rcpt5
        message = recipient denied
  accept
predata:
  defer senders = data4@example.com
        message = data deferred
  accept
data:
  defer senders = eod4@example.com
        message = content deferred
  deny  senders = eod5@example.com
        message = content denied
  accept

begin routers
all:
  driver = accept
  transport = box

begin transports
box:
  driver = appendfile
  maildir_format
  directory = %[1]s/mail
  create_directory
  envelope_to_add
  return_path_add
  user = Debian-exim
  group = Debian-exim

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and {{eq{$auth2}{user}}{eq{$auth3}{pass}}}}
  server_advertise_condition = ${if def:tls_in_cipher}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and {{eq{$auth1}{user}}{eq{$auth2}{pass}}}}
  server_advertise_condition = ${if def:tls_in_cipher}
`

// newExim writes the settings of a daemon. mailACL is a further statement of the
// ACL at MAIL.
func newExim(mailACL string, settings ...string) *exim {
	home := env.dir("exim")
	e := &exim{home: home, port: freePort(), maildir: maildir{filepath.Join(home, "mail"), regexp.MustCompile(`\s+id ([\w-]{16,})`)}}
	for _, dir := range []string{"spool", "log", "mail"} {
		check(os.MkdirAll(filepath.Join(home, dir), 0o755))
	}
	conf := fmt.Sprintf(eximConf, home, e.port, env.cert, env.key, strings.Join(settings, "\n"), mailACL)
	for _, s := range settings { // the last one wins, and Exim takes no option twice
		name, _, _ := strings.Cut(s, " ")
		if i := strings.Index(conf, "\n"+name+" "); i >= 0 && strings.Count(conf, "\n"+name+" ") > 1 {
			j := strings.Index(conf[i+1:], "\n")
			conf = conf[:i] + conf[i+1+j:]
		}
	}
	write(filepath.Join(home, "conf"), conf)
	check(command("chown", "-R", "Debian-exim:Debian-exim", home))
	check(command("chown", "root:root", filepath.Join(home, "conf")))
	return e
}

func (e *exim) Name() string { return "exim" }
func (e *exim) Addr() string { return fmt.Sprintf("127.0.0.1:%d", e.port) }

func (e *exim) Start() error {
	e.cmd = exec.Command(env.exim, "-C", filepath.Join(e.home, "conf"), "-bdf", "-q2s", "-oP", filepath.Join(e.home, "spool/pid"))
	e.cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+env.eximLib)
	out, err := os.Create(filepath.Join(e.home, "out"))
	if err != nil {
		return err
	}
	defer out.Close()
	e.cmd.Stdout, e.cmd.Stderr = out, out
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := e.cmd.Start(); err != nil {
		return err
	}
	return waitFor(e.Addr(), 10*time.Second)
}

// Stop ends the daemon; if hard, the processes that hold connections too.
func (e *exim) Stop(hard bool) {
	if e.cmd == nil || e.cmd.Process == nil {
		return
	}
	if hard {
		syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL)
	} else {
		e.cmd.Process.Signal(syscall.SIGTERM)
	}
	e.cmd.Wait()
}

// Accepted waits until what is in the spool is delivered. A mail that a kill
// left there undeliverable was accepted all the same, if it is whole.
func (e *exim) Accepted() ([]Mail, error) {
	var left []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		left, _ = filepath.Glob(filepath.Join(e.home, "spool/input/*-H"))
		if len(left) == 0 {
			break
		}
		run := exec.Command(env.exim, "-C", filepath.Join(e.home, "conf"), "-qff")
		run.Env = append(os.Environ(), "LD_LIBRARY_PATH="+env.eximLib)
		run.Run()
	}
	mails, err := e.maildir.Accepted()
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for _, m := range mails {
		known[m.ID] = true
	}
	for _, name := range left {
		m, err := spooled(strings.TrimSuffix(name, "-H"))
		if err == nil && !known[m.ID] {
			mails = append(mails, m)
		}
	}
	return mails, nil
}

// spooled reads a mail as Exim keeps it: header and data in two files.
func spooled(name string) (Mail, error) {
	header, err := os.ReadFile(name + "-H")
	if err != nil {
		return Mail{}, err
	}
	data, err := os.ReadFile(name + "-D")
	if err != nil {
		return Mail{}, err
	}
	_, body, _ := strings.Cut(string(data), "\n") // behind the mail's own name
	m := Mail{ID: "?", Sum: sum([]byte(strings.ReplaceAll(body, "\n", "\r\n")))}
	if found := regexp.MustCompile(`(?i)x-interop-id:[ \t]*(\S+)`).FindSubmatch(header); found != nil {
		m.ID = string(found[1])
	}
	return m, nil
}
