package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sesguard/sesguard-go/smtpclient"
)

// kinds are the servers that take handlers.
var kinds = []string{"aiosmtpd", "smtp-server", "go-smtp"}

type list struct{ all []scenario }

func (l *list) add(server, name string, run func() []row) {
	l.all = append(l.all, scenario{server: server, name: name, run: run})
}

func (l *list) quiet(server, name string, run func() []row) {
	l.all = append(l.all, scenario{server: server, name: name, run: run, quiet: true})
}

func scenarios() []scenario {
	var l list
	matrices(&l)
	idle(&l)
	limits(&l)
	stages(&l)
	refusals(&l)
	cuts(&l)
	proxied(&l)
	ends(&l)
	apis(&l)
	programs(&l)
	bulk(&l)
	return l.all
}

// with starts s, sends t to it and stops it.
func with(s Server, t traffic) []row {
	env.start(s)
	defer env.stop(s)
	t.server = s
	return []row{t.run()}
}

// newServer makes one of each kind, with STARTTLS and AUTH, and no limits.
func newServer(kind string) Server {
	switch kind {
	case "postfix":
		return newPostfix(false)
	case "exim":
		return newExim("")
	}
	return newScripted(kind, Options{TLS: "starttls", Auth: true, Pipelining: true})
}

// modes are the ways to encrypt, and to sign in.
var encryptions = []string{"starttls", "wrapper", "none"}

var modes = map[string]smtpclient.TLSMode{"starttls": smtpclient.TLSStartTLS, "wrapper": smtpclient.TLSWrapper, "none": smtpclient.TLSNone}

// idle lets servers hang up on connections that the pool believes alive: the
// waits lie around the servers' limit. Every Send succeeds at once.
func idle(l *list) {
	around := func(rng *rand.Rand) time.Duration {
		return 850*time.Millisecond + time.Duration(rng.Int64N(int64(300*time.Millisecond)))
	}
	t := traffic{sends: 160, workers: 16, rounds: around, mode: smtpclient.TLSStartTLS, auth: true,
		config: func(c *smtpclient.Config) { c.MaxConns, c.MaxConnIdleTime = 16, -1 }}
	for _, kind := range kinds {
		for _, tls := range encryptions {
			t, mode := t, modes[tls]
			t.mode, t.auth = mode, tls != "none"
			l.quiet(kind, "idle 1s "+tls, func() []row {
				return with(newScripted(kind, Options{TLS: tls, Auth: t.auth, Idle: 1, Pipelining: tls == "none"}), t)
			})
		}
	}
	l.quiet("postfix", "idle 1s starttls", func() []row { return with(newPostfix(false, "smtpd_timeout = 1s", "smtpd_starttls_timeout = 5s"), t) })
	l.quiet("exim", "idle 1s starttls", func() []row { return with(newExim("", "smtp_receive_timeout = 1s"), t) })
}

// limits are those of messages on a connection, of connections, and of rates.
func limits(l *list) {
	t := traffic{sends: 300, workers: 8, mode: smtpclient.TLSStartTLS, auth: true}
	guarded := t
	guarded.policy = &quick
	for _, kind := range kinds {
		for _, soft := range []bool{false, true} {
			name := "5 mails a connection, 421"
			if soft {
				name = "5 mails a connection, 451"
			}
			l.add(kind, name, func() []row {
				return with(newScripted(kind, Options{TLS: "starttls", Auth: true, MaxMsgs: 5, SoftLimit: soft, Pipelining: true}), t)
			})
		}
		crowd := guarded
		crowd.config = func(c *smtpclient.Config) { c.MaxConns = 8 }
		l.quiet(kind, "3 connections, pool of 8", func() []row {
			return with(newScripted(kind, Options{TLS: "starttls", Auth: true, MaxClients: 3, Pipelining: true}), crowd)
		})
	}
	l.add("exim", "smtp_accept_max_per_connection 5", func() []row { return with(newExim("", "smtp_accept_max_per_connection = 5"), t) })
	crowd := guarded
	crowd.config = func(c *smtpclient.Config) { c.MaxConns = 8 }
	l.quiet("exim", "smtp_accept_max 3, pool of 8", func() []row { return with(newExim("", "smtp_accept_max = 3"), crowd) })
	l.quiet("exim", "smtp_accept_max_per_host 3, pool of 8", func() []row { return with(newExim("", "smtp_accept_max_per_host = 3"), crowd) })
	l.quiet("exim", "ratelimit 40 / 2 s", func() []row {
		return with(newExim("defer ratelimit = 40 / 2s / strict / per_mail\n        message = rate limit exceeded"), guarded)
	})
	l.quiet("postfix", "smtpd_client_message_rate_limit 40 / 2 s", func() []row { return with(newPostfix(false, "smtpd_client_message_rate_limit = 40"), guarded) })
	l.quiet("postfix", "smtpd_client_recipient_rate_limit 40 / 2 s", func() []row {
		return with(newPostfix(true, "smtpd_client_recipient_rate_limit = 40"), wrapped(guarded))
	})
	l.quiet("postfix", "smtpd_client_auth_rate_limit 3 / 2 s", func() []row { return with(newPostfix(false, "smtpd_client_auth_rate_limit = 3"), crowd) })
	l.quiet("postfix", "smtpd_client_connection_count_limit 3, pool of 8", func() []row { return with(newPostfix(false, "smtpd_client_connection_count_limit = 3"), crowd) })
	short := crowd
	short.config = func(c *smtpclient.Config) { c.MaxConns, c.MaxMessagesPerConn = 8, 5 }
	l.quiet("postfix", "smtpd_client_connection_rate_limit 10 / 2 s", func() []row { return with(newPostfix(false, "smtpd_client_connection_rate_limit = 10"), short) })
}

func wrapped(t traffic) traffic {
	t.mode = smtpclient.TLSWrapper
	return t
}

// refusals come at every stage, at random. Behind the guard a few of those that
// time cures remain, since 421 also ends other mails.
func refusals(l *list) {
	t := traffic{sends: 1500, workers: 16, mode: smtpclient.TLSStartTLS, auth: true, fails: true}
	for _, kind := range kinds {
		for _, pipelining := range []bool{false, true} {
			o := Options{TLS: "starttls", Auth: true, Seed: env.seed, Refuse: 0.06, Pipelining: pipelining}
			l.add(kind, fmt.Sprintf("refusals, one attempt, pipelining=%v", pipelining), func() []row { return with(newScripted(kind, o), t) })
		}
		guarded := t
		guarded.policy = &quick
		l.add(kind, "refusals, guard", func() []row {
			return with(newScripted(kind, Options{TLS: "starttls", Auth: true, Seed: env.seed, Refuse: 0.03, Pipelining: true}), guarded)
		})
	}
}

// cuts end connections at every stage, at random, by the servers' handlers.
func cuts(l *list) {
	faults := Options{Auth: true, Refuse: 0.01, Cut: 0.01, CutBody: 0.02, CutBefore: 0.03, CutAfter: 0.05, CutLater: 0.03, Garbage: 0.01, Stall: 0.002, StallFor: 1.5, Pipelining: true}
	t := traffic{sends: 2500, workers: 32, auth: true, fails: true,
		config:  func(c *smtpclient.Config) { c.MaxConns, c.CommandTimeout, c.DataTimeout = 16, time.Second, time.Second },
		timeout: func(rng *rand.Rand) time.Duration { return sometimes(rng, 0.03, 300*time.Millisecond) }}
	for _, kind := range kinds {
		for _, tls := range encryptions {
			o, t := faults, t
			o.TLS, o.Seed, o.Auth = tls, env.seed+uint64(len(tls)), tls != "none"
			t.mode, t.auth = modes[tls], o.Auth
			l.add(kind, "cuts by the server, one attempt, "+tls, func() []row { return with(newScripted(kind, o), t) })
			guarded := t
			guarded.policy = &quick
			l.add(kind, "cuts by the server, guard, "+tls, func() []row { return with(newScripted(kind, o), guarded) })
		}
	}
}

func sometimes(rng *rand.Rand, share float64, most time.Duration) time.Duration {
	if rng.Float64() >= share {
		return 0
	}
	return time.Duration(rng.Int64N(int64(most)))
}

// proxied ends connections at a random byte, in either direction.
func proxied(l *list) {
	t := traffic{sends: 1500, workers: 16, mode: smtpclient.TLSStartTLS, auth: true, fails: true,
		config:  func(c *smtpclient.Config) { c.MaxConns, c.MaxMessagesPerConn = 8, 20 },
		timeout: func(rng *rand.Rand) time.Duration { return sometimes(rng, 0.02, 200*time.Millisecond) }}
	add := func(kind, name string, server func() Server, t traffic) {
		l.add(kind, name, func() []row {
			s := server()
			p := newProxy(s.Addr(), 0.7, 20000, 8000)
			defer p.Close()
			t.addr = p.Addr().String()
			rows := with(s, t)
			rows[0].note += fmt.Sprintf(" cuts=%d", p.cuts.Load())
			return rows
		})
	}
	large := t
	large.sends, large.mail = 200, largeMail
	for _, kind := range append(kinds, "postfix", "exim") {
		l.add(kind, "cuts by a proxy in mails of 300 KB", func() []row {
			s := newServer(kind)
			p := newProxy(s.Addr(), 0.8, 1200000, 12000)
			defer p.Close()
			large := large
			large.addr = p.Addr().String()
			rows := with(s, large)
			rows[0].note += fmt.Sprintf(" cuts=%d", p.cuts.Load())
			return rows
		})
	}
	for _, policy := range []bool{false, true} {
		t, name := t, "cuts by a proxy, one attempt"
		if policy {
			t.policy, name = &quick, "cuts by a proxy, guard"
		}
		for _, kind := range append(kinds, "postfix", "exim") {
			add(kind, name, func() Server { return newServer(kind) }, t)
		}
		plain := t
		plain.mode, plain.auth = smtpclient.TLSNone, false
		add("postfix", name+", plaintext", func() Server { return newPostfix(false, "smtpd_tls_security_level = none") }, plain)
		add("exim", name+", plaintext", func() Server { return newExim("") }, plain)
	}
}

// ends are Shutdown and Close in the midst of traffic.
func ends(l *list) {
	for _, hard := range []bool{false, true} {
		name := "Shutdown in the midst"
		if hard {
			name = "Close in the midst"
		}
		t := traffic{sends: 4000, workers: 64, mode: smtpclient.TLSStartTLS, auth: true, fails: true,
			during: func(pool *smtpclient.Client, done <-chan struct{}) {
				time.Sleep(400 * time.Millisecond)
				if hard {
					pool.Close()
					return
				}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				check(pool.Shutdown(ctx))
			}}
		for _, kind := range append(kinds, "postfix", "exim") {
			l.add(kind, name, func() []row {
				rows := with(newServer(kind), t)
				if r := &rows[0]; !hard && r.doubt > 0 {
					r.fault(&r.broken, "%d in doubt by an orderly end", r.doubt)
				}
				return rows
			})
		}
	}
}

// bulk sends many mails from 64 goroutines over few connections, while the
// server is ended and started again.
func bulk(l *list) {
	restart := func(s Server, every time.Duration, n *int) func(*smtpclient.Client, <-chan struct{}) {
		return func(_ *smtpclient.Client, done <-chan struct{}) {
			for ; ; *n++ {
				select {
				case <-done:
					return
				case <-time.After(every):
				}
				s.Stop(*n%2 == 1)
				time.Sleep(100 * time.Millisecond)
				check(s.Start())
			}
		}
	}
	add := func(kind string, sends int, mode smtpclient.TLSMode, auth, restarts bool, server func() Server) {
		name := fmt.Sprintf("bulk, %v", mode)
		if restarts {
			name += ", restarts"
		}
		l.add(kind, name, func() []row {
			t := traffic{sends: sends * env.long, workers: 64, mode: mode, auth: auth, policy: &quick, fails: restarts,
				config: func(c *smtpclient.Config) { c.MaxConns = 8 }}
			s := server()
			every, n := 500*time.Millisecond, 0
			if kind == "postfix" || kind == "exim" {
				every = 1500 * time.Millisecond
			}
			if restarts {
				t.during = restart(s, every, &n)
			}
			rows := with(s, t)
			if restarts {
				rows[0].note += fmt.Sprintf(" restarts=%d", n)
			}
			return rows
		})
	}
	for _, kind := range kinds {
		n := map[string]int{"aiosmtpd": 8000, "smtp-server": 10000, "go-smtp": 20000}[kind]
		server := func(tls string, pipelining bool) func() Server {
			return func() Server {
				return newScripted(kind, Options{TLS: tls, Auth: tls != "none", Pipelining: pipelining})
			}
		}
		add(kind, n, smtpclient.TLSStartTLS, true, false, server("starttls", true))
		add(kind, n, smtpclient.TLSStartTLS, true, true, server("starttls", true))
		add(kind, n, smtpclient.TLSNone, false, false, server("none", false))
		add(kind, n, smtpclient.TLSWrapper, true, true, server("wrapper", false))
	}
	strict := []string{"smtpd_discard_ehlo_keywords = pipelining", "smtpd_data_restrictions = reject_unauth_pipelining"}
	forbid := []string{"smtpd_discard_ehlo_keywords = pipelining", "smtpd_forbid_unauth_pipelining = yes"}
	add("postfix", 4000, smtpclient.TLSStartTLS, true, false, func() Server { return newPostfix(false) })
	add("postfix", 3000, smtpclient.TLSStartTLS, true, true, func() Server { return newPostfix(false) })
	add("postfix", 3000, smtpclient.TLSWrapper, true, false, func() Server { return newPostfix(true, strict...) })
	add("postfix", 1000, smtpclient.TLSStartTLS, true, false, func() Server { return newPostfix(false, forbid...) })
	add("exim", 2000, smtpclient.TLSStartTLS, true, false, func() Server { return newExim("") })
	add("exim", 2000, smtpclient.TLSStartTLS, true, true, func() Server { return newExim("") })
	add("exim", 1000, smtpclient.TLSNone, false, false, func() Server { return newExim("", "pipelining_advertise_hosts = :") })
}
