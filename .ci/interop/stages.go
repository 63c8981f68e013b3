package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A stage is a mail that the server refuses at one command, or takes.
type stage struct {
	from string
	to   []string
	op   string // of the refusal; empty: accepted
	code int    // of the reply, 4 or 5
	size int    // of the body
	all  bool   // the refusal is about the whole mail, not about one recipient
}

// policyByAddress makes Postfix refuse by address at each command.
var policyByAddress = []string{
	"smtpd_delay_reject = no",
	"message_size_limit = 300000",
	"smtpd_recipient_limit = 20",
	"smtpd_sender_restrictions = check_sender_access inline:{ {mail4@example.com = 450 4.1.8 sender deferred}, {mail5@example.com = 550 5.1.8 sender denied} }",
	"smtpd_recipient_restrictions = check_recipient_access inline:{ {rcpt4@example.org = 450 4.2.1 recipient deferred}, {rcpt5@example.org = 550 5.1.1 recipient denied} }, permit_mynetworks, reject",
	"smtpd_data_restrictions = check_sender_access inline:{ {data4@example.com = 451 4.3.0 data deferred}, {data5@example.com = 554 5.7.1 data denied} }",
	"smtpd_end_of_data_restrictions = check_sender_access inline:{ {eod4@example.com = 451 4.3.0 content deferred}, {eod5@example.com = 554 5.7.1 content denied} }",
}

// stages are refused one after the other on one connection, with mails between
// them that are not.
func stages(l *list) {
	const name = "refusals at each command"
	l.add("postfix", name, func() []row { return []row{refuseEach(newPostfix(false, policyByAddress...), true)} })
	l.add("exim", name, func() []row {
		return []row{refuseEach(newExim("", "message_size_limit = 300000", "recipients_max = 20", "recipients_max_reject = true"), false)}
	})
}

func refuseEach(server Server, isPostfix bool) row {
	env.start(server)
	defer env.stop(server)
	t := traffic{server: server, mode: smtpclient.TLSStartTLS, auth: true, config: func(c *smtpclient.Config) { c.MaxConns = 1 }}
	pool := t.pool()
	defer pool.Close()
	sender := sesguard.SMTP(pool)
	ann := []string{"ann@example.org"}
	all := []stage{
		{from: "shop@example.com", to: ann},
		{from: "mail4@example.com", to: ann, op: "smtp MAIL", code: 4},
		{from: "mail5@example.com", to: ann, op: "smtp MAIL", code: 5},
		{from: "shop@example.com", to: []string{"rcpt4@example.org"}, op: "smtp RCPT", code: 4},
		{from: "shop@example.com", to: []string{"rcpt5@example.org"}, op: "smtp RCPT", code: 5},
		{from: "shop@example.com", to: []string{"ann@example.org", "rcpt5@example.org"}, op: "smtp RCPT", code: 5},
		{from: "shop@example.com", to: []string{"rcpt4@example.org", "ann@example.org", "bob@example.org"}, op: "smtp RCPT", code: 4},
		{from: "shop@example.com", to: []string{"ann@example.org", "rcpt4@example.org", "rcpt5@example.org"}, op: "smtp RCPT", code: 5},
		{from: "data4@example.com", to: ann, op: "smtp DATA", code: 4},
		{from: "eod4@example.com", to: ann, op: "smtp end of data", code: 4},
		{from: "eod5@example.com", to: ann, op: "smtp end of data", code: 5},
		{from: "shop@example.com", to: ann, size: 400000, op: "smtp", code: 5, all: true},
		{from: "shop@example.com", to: many(25), op: "smtp RCPT", code: 4, all: true},
	}
	if isPostfix {
		all = append(all, stage{from: "data5@example.com", to: ann, op: "smtp DATA", code: 5})
	} else {
		all[len(all)-1].code = 5
	}
	var r row
	var outcomes []outcome
	send := func(s stage) {
		i := len(outcomes)
		body := strings.Repeat("a line of text\r\n", 1+s.size/16)
		m := &sesguard.Message{From: s.from, To: s.to, Raw: strings.NewReader("From: " + s.from + "\r\nX-Interop-ID: " + id(i) + "\r\n\r\n" + body)}
		_, err := sender.Send(context.Background(), m)
		outcomes = append(outcomes, outcome{sum: sum([]byte(body)), err: err})
		s.judge(&r, err)
	}
	for range 4 {
		for _, s := range all {
			send(s)
			send(all[0])
		}
	}
	r.sends = len(outcomes)
	r.note = stats(pool)
	mails, err := server.Accepted()
	check(err)
	t.fails = true
	t.judge(&r, outcomes, mails)
	return r
}

func many(n int) []string {
	var to []string
	for i := range n {
		to = append(to, fmt.Sprintf("many%d@example.org", i))
	}
	return to
}

// judge checks what Send said of a mail whose fate is known.
func (s stage) judge(r *row, err error) {
	what := fmt.Sprintf("from %s to %.60q", s.from, s.to)
	if s.op == "" {
		if err != nil {
			r.fault(&r.broken, "%s: %v", what, err)
		}
		return
	}
	if err == nil {
		r.fault(&r.broken, "%s: accepted", what)
		return
	}
	e := seserrors.Classify(err)
	if !strings.HasPrefix(e.Op, s.op) || seserrors.IsRetryable(err) != (s.code == 4) || seserrors.IsFatal(err) != (s.code == 5) {
		r.fault(&r.broken, "%s: want %s refused with %dyz, got %v", what, s.op, s.code, err)
	}
	if s.op == "smtp RCPT" && !s.all {
		var want []string
		for _, to := range s.to {
			if strings.HasPrefix(to, "rcpt") {
				want = append(want, to)
			}
		}
		if !slices.Equal(e.Recipients, want) && len(s.to) > 1 {
			r.fault(&r.broken, "%s: recipients %q, want %q", what, e.Recipients, want)
		}
	}
}
