package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A postfix is one instance with its own queue and several listeners, each with
// limits of its own.
type postfix struct {
	maildir
	home string
	port int
}

const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = /var, /tmp, %[1]s
myhostname = postfix.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtpd_reject_unlisted_recipient = no
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:mail/
virtual_mailbox_base = %[1]s
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_destination_concurrency_limit = 20
initial_destination_concurrency = 20
message_size_limit = 52428800
in_flow_delay = 0
queue_minfree = 0
smtpd_tls_cert_file = %[2]s
smtpd_tls_key_file = %[3]s
smtpd_tls_security_level = encrypt
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = %[1]s/auth
smtpd_client_event_limit_exceptions =
anvil_rate_time_unit = 2s
smtpd_error_sleep_time = 0
local_header_rewrite_clients =
%[4]s`

const postfixMaster = `127.0.0.1:%[1]d inet n - n - 100 smtpd
%[2]s
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - 20 virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// newPostfix writes the settings of an instance; wrapper says that its listener
// speaks TLS from the first octet.
func newPostfix(wrapper bool, settings ...string) *postfix {
	home := env.dir("postfix")
	p := &postfix{home: home, port: freePort(), maildir: maildir{filepath.Join(home, "mail"), regexp.MustCompile(`with ESMTPS?A? id (\w+)`)}}
	check(os.Chmod(home, 0o755))
	for _, dir := range []string{"queue", "data", "mail"} {
		check(os.MkdirAll(filepath.Join(home, dir), 0o755))
	}
	// Not only postlogd writes the log: at a start after a crash postsuper does, too.
	write(filepath.Join(home, "log"), "")
	check(os.Chmod(filepath.Join(home, "log"), 0o666))
	check(command("chown", "postfix", filepath.Join(home, "data"), filepath.Join(home, "log")))
	check(command("chown", "65534:65534", filepath.Join(home, "mail")))
	options := ""
	if wrapper {
		options = "  -o smtpd_tls_wrappermode=yes"
	}
	write(filepath.Join(home, "etc/main.cf"), fmt.Sprintf(postfixMain, home, env.cert, env.key, strings.Join(settings, "\n")+"\n"))
	write(filepath.Join(home, "etc/master.cf"), fmt.Sprintf(postfixMaster, p.port, options))
	check(serveAuth(filepath.Join(home, "auth")))
	check(os.Chmod(filepath.Join(home, "auth"), 0o666))
	return p
}

func (p *postfix) Name() string { return "postfix" }
func (p *postfix) Addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

func (p *postfix) Start() error {
	if err := command("postfix", "-c", filepath.Join(p.home, "etc"), "start"); err != nil {
		return err
	}
	return waitFor(p.Addr(), 10*time.Second)
}

// Stop ends Postfix; hard is "abort", which kills its processes.
func (p *postfix) Stop(hard bool) {
	verb := "stop"
	if hard {
		verb = "abort"
	}
	command("postfix", "-c", filepath.Join(p.home, "etc"), verb)
}

// Accepted waits until everything in the queue is delivered.
func (p *postfix) Accepted() ([]Mail, error) {
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		left := 0
		for _, queue := range []string{"incoming", "active", "deferred", "maildrop"} {
			filepath.WalkDir(filepath.Join(p.home, "queue", queue), func(_ string, d os.DirEntry, err error) error {
				// A file without the owner's x bit is one that smtpd is still receiving.
				if err == nil && d.Type().IsRegular() {
					if info, err := d.Info(); err == nil && info.Mode()&0o100 != 0 {
						left++
					}
				}
				return nil
			})
		}
		if left == 0 {
			return p.maildir.Accepted()
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("postfix: %d mails stay in the queue", left)
		}
		command("postqueue", "-c", filepath.Join(p.home, "etc"), "-f")
	}
}
