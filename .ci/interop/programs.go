package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs runs the example smtp as a user does, against real servers.
func programs(l *list) {
	l.add("postfix", "examples/smtp", func() []row { return []row{example(newPostfix(false))} })
	l.add("exim", "examples/smtp", func() []row { return []row{example(newExim(""))} })
	l.add("smtp-server", "examples/smtp", func() []row {
		return []row{example(newScripted("smtp-server", Options{TLS: "starttls", Auth: true, Login: true}))}
	})
}

func example(server Server) row {
	env.start(server)
	defer env.stop(server)
	program := filepath.Join(env.work, "example-smtp")
	check(command("go", "-C", filepath.Join(env.here, "../.."), "build", "-o", program, "./examples/smtp"))
	send := func(password string) (string, error) {
		c := exec.Command(program, "-addr", server.Addr(), "-from", "Shop <shop@example.com>", "-to", "Jürgen <post@bücher.example>", "-timeout", "3s")
		c.Env = append(os.Environ(), "SES_SMTP_USERNAME=user", "SES_SMTP_PASSWORD="+password)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	r := row{sends: 2}
	if out, err := send("pass"); err != nil {
		r.fault(&r.broken, "%v: %s", err, out)
	} else {
		r.ok++
	}
	out, err := send("wrong")
	r.refused++
	if err == nil || !strings.Contains(out, "credentials-invalid") {
		r.fault(&r.broken, "a wrong password: %v: %s", err, out)
	}
	mails, err := server.Accepted()
	check(err)
	if r.accepted = len(mails); r.accepted != 1 {
		r.fault(&r.lost, "%d accepted", r.accepted)
	}
	r.note = fmt.Sprintf("a wrong password: %.90q", out)
	return r
}
