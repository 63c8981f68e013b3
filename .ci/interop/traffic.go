package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// quick is AWS's schedule a hundred times as fast.
var quick = retry.Policy{
	Schedule:   retry.Schedule{Waits: []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second}},
	MaxElapsed: time.Minute,
}

// traffic is many sends to one server, and what to expect of them.
type traffic struct {
	server  Server
	mode    smtpclient.TLSMode
	auth    bool
	sends   int
	workers int
	addr    string                                              // in place of the server's
	config  func(*smtpclient.Config)                            // changes the defaults
	policy  *retry.Policy                                       // nil: one attempt
	rounds  func(*rand.Rand) time.Duration                      // all workers send together, and then wait so long
	timeout func(*rand.Rand) time.Duration                      // of a send
	during  func(pool *smtpclient.Client, done <-chan struct{}) // runs beside
	mail    func(i int) (*sesguard.Message, string)             // in place of mail
	sender  sesguard.Sender                                     // in place of SMTP
	fails   bool                                                // false: every Send must succeed, at its first attempt if there is no policy
	once    bool                                                // with a policy: at the first attempt all the same
}

// An outcome is what Send said of one mail.
type outcome struct {
	sum      string
	err      error
	attempts int
}

func (t *traffic) pool() *smtpclient.Client {
	c := smtpclient.Config{Addr: t.addr, TLS: t.mode, TLSConfig: trust()}
	if c.Addr == "" {
		c.Addr = t.server.Addr()
	}
	if t.auth {
		c.Username, c.Password = "user", "pass"
	}
	c.MaxConns = 4
	c.DialTimeout, c.CommandTimeout, c.DataTimeout = 10*time.Second, 10*time.Second, 10*time.Second
	if t.config != nil {
		t.config(&c)
	}
	pool, err := smtpclient.New(c)
	check(err)
	return pool
}

// trust trusts the certificate of run; it is in SSL_CERT_FILE.
func trust() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }

// run sends, stops and counts.
func (t *traffic) run() row {
	begin := time.Now()
	var pool *smtpclient.Client
	sender := t.sender
	var transport sesguard.Transport
	var attempts atomic.Int64
	var failures tally
	if sender == nil {
		pool = t.pool()
		transport = sesguard.SMTP(pool)
		sender = once(transport)
	}
	if t.policy != nil {
		sender = sesguard.New(transport, sesguard.Options{Retry: *t.policy, Hooks: sesguard.Hooks{
			AttemptDone: func(_ context.Context, a sesguard.Attempt) {
				attempts.Add(1)
				if a.Err != nil {
					failures.add(a.Err)
				}
			},
		}})
	}
	outcomes := make([]outcome, t.sends)
	done := make(chan struct{})
	var aside sync.WaitGroup
	if t.during != nil {
		aside.Go(func() { t.during(pool, done) })
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for w := range t.workers {
		workers.Go(func() {
			rng := rand.New(rand.NewPCG(env.seed, uint64(w)))
			for i := int(next.Add(1)) - 1; i < t.sends; i = int(next.Add(1)) - 1 {
				outcomes[i] = t.send(sender, rng, i)
				if t.rounds != nil {
					time.Sleep(t.rounds(rand.New(rand.NewPCG(env.seed, uint64(i/t.workers)))))
				}
			}
		})
	}
	workers.Wait()
	close(done)
	aside.Wait()
	r := row{sends: t.sends, took: time.Since(begin)}
	if pool != nil {
		r.note = stats(pool)
		pool.Close()
		if s := pool.Stats(); s.Open != 0 || s.InUse != 0 || s.Dials != s.DialErrors+s.Closed.Total() {
			r.fault(&r.broken, "stats after Close do not add up: %+v", s)
		}
	}
	if t.policy != nil {
		r.note += fmt.Sprintf(" attempts=%d", attempts.Load())
		failures.print("attempts")
	}
	// A handler may still be at work on a mail whose connection died.
	time.Sleep(300 * time.Millisecond)
	accepted, err := t.server.Accepted()
	check(err)
	t.judge(&r, outcomes, accepted)
	r.note += fmt.Sprintf(" %.0f/s", float64(t.sends)/r.took.Seconds())
	return r
}

func stats(pool *smtpclient.Client) string {
	s := pool.Stats()
	c := s.Closed
	return fmt.Sprintf("dials=%d failed=%d redials=%d closed{msgs=%d idle=%d server=%d stale=%d failed=%d cut=%d}", s.Dials, s.DialErrors, s.Redials, c.Messages, c.Idle, c.Server, c.Stale, c.Failed, c.Cut)
}

// once is a Sender that makes one attempt.
func once(t sesguard.Transport) sesguard.Sender {
	return sesguard.SenderFunc(func(ctx context.Context, m *sesguard.Message) (*sesguard.Receipt, error) {
		mail, err := sesguard.Build(m)
		if err != nil {
			return nil, err
		}
		return t.Attempt(ctx, mail)
	})
}

func (t *traffic) send(sender sesguard.Sender, rng *rand.Rand, i int) outcome {
	make := mail
	if t.mail != nil {
		make = t.mail
	}
	m, want := make(i)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if t.timeout != nil {
		if d := t.timeout(rng); d > 0 {
			ctx, cancel = context.WithTimeout(ctx, d)
			defer cancel()
		}
	}
	receipt, err := sender.Send(ctx, m)
	o := outcome{sum: want, err: err}
	if receipt != nil {
		o.attempts = receipt.Attempts
	}
	return o
}

func id(i int) string { return fmt.Sprintf("m%07d", i) }

// mail is the ith mail, and the sum of its body. Most are raw, with all that
// makes a body hard to carry; one in eight is composed.
func mail(i int) (*sesguard.Message, string) {
	m := &sesguard.Message{From: "Shop <shop@example.com>", To: []string{fmt.Sprintf("user%d@example.org", i%97)}}
	if i%8 == 0 {
		m.Subject = fmt.Sprintf("Order %d für Jürgen", i)
		m.Text, m.HTML = fmt.Sprintf("Order %d\n.\n..\nFrom here\n", i), fmt.Sprintf("<p>Order %d — €</p>", i)
		m.Date = time.Unix(1.8e9, 0).UTC()
		m.Headers = []sesguard.Header{{Name: "X-Interop-ID", Value: id(i)}}
		var b bytes.Buffer
		_, err := m.WriteTo(&b)
		check(err)
		_, body, _ := bytes.Cut(b.Bytes(), []byte("\r\n\r\n"))
		return m, sum(body)
	}
	rng := rand.New(rand.NewPCG(uint64(i), 3))
	lines := []string{".", "..", ".dot", "", "From here", "ordinary text of the mail", "QUIT", "Grüße", strings.Repeat("x", 998), ". ", "\tindented"}
	ends := []string{"\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r"}
	var body strings.Builder
	n := 1 + rng.IntN(12)
	if i%500 == 1 {
		n = 2000
	}
	for range n {
		body.WriteString(lines[rng.IntN(len(lines))])
		body.WriteString(ends[rng.IntN(len(ends))])
	}
	head := fmt.Sprintf("From: shop@example.com\r\nTo: %s\r\nSubject: Order %d\r\nX-Interop-ID: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", m.To[0], i, id(i))
	m.Raw = strings.NewReader(head + body.String())
	return m, sum([]byte(crlf(body.String())))
}

// largeMail is a mail whose body takes many packets.
func largeMail(i int) (*sesguard.Message, string) {
	body := strings.Repeat(fmt.Sprintf(".line of mail %d\r\n..\r\n\r\n", i), 12000)
	m := &sesguard.Message{From: "shop@example.com", To: []string{"ann@example.org"}}
	m.Raw = strings.NewReader("From: shop@example.com\r\nTo: ann@example.org\r\nX-Interop-ID: " + id(i) + "\r\n\r\n" + body)
	return m, sum([]byte(body))
}

// crlf is what RFC 5321 makes of line ends.
func crlf(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	return strings.ReplaceAll(s, "\n", "\r\n")
}

func (r *row) fault(counter *int, format string, args ...any) {
	*counter++
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// judge holds what Send said against what the server has: the three promises.
func (t *traffic) judge(r *row, outcomes []outcome, accepted []Mail) {
	count, sums := make(map[string]int), make(map[string]string)
	for _, m := range accepted {
		count[m.ID]++
		sums[m.ID] = m.Sum
	}
	r.accepted = len(accepted)
	var reasons tally
	for i, o := range outcomes {
		name := id(i)
		n := count[name]
		delete(count, name)
		doubt := seserrors.MaybeAccepted(o.err)
		switch {
		case o.err == nil:
			r.ok++
			if n == 0 {
				r.fault(&r.lost, "%s: Send returned nil, the server has none", name)
			}
		case doubt:
			r.doubt++
			r.doubtAccepted += min(n, 1)
		default:
			r.refused++
			if n > 0 {
				r.fault(&r.misreport, "%s: not in doubt, the server has %d: %v", name, n, o.err)
			}
		}
		if n > 1 {
			r.fault(&r.doubled, "%s: %d times; Send said %v", name, n, o.err)
		}
		if n > 0 && sums[name] != o.sum {
			r.fault(&r.changed, "%s: another body", name)
		}
		t.judgeError(r, name, o)
		reasons.add(o.err)
	}
	for name, n := range count {
		r.fault(&r.misreport, "%q: the server has %d, nobody sent it", name, n)
	}
	reasons.print("sends")
}

// A tally counts errors by what they say.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tally) add(err error) {
	if err == nil || !env.verbose {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = make(map[string]int)
	}
	e := seserrors.Classify(err)
	t.n[fmt.Sprintf("%s, %s, %s, %d %.60s, in doubt: %v", e.Op, e.Class, e.Reason, e.Code, e.Message, seserrors.MaybeAccepted(err))]++
}

func (t *tally) print(what string) {
	for _, k := range slices.Sorted(maps.Keys(t.n)) {
		fmt.Printf("        %6d %s: %s\n", t.n[k], what, k)
	}
}

// judgeError checks what every error promises, and what this traffic expects.
func (t *traffic) judgeError(r *row, name string, o outcome) {
	if o.err == nil {
		if o.attempts > 1 && (t.policy == nil || t.once) {
			r.fault(&r.broken, "%s: %d attempts", name, o.attempts)
		}
		return
	}
	if !t.fails {
		r.fault(&r.broken, "%s: %v", name, o.err)
	}
	e, holds := seserrors.Classify(o.err), 0
	for _, b := range []bool{seserrors.MaybeAccepted(o.err), e.Class == seserrors.Canceled && !seserrors.MaybeAccepted(o.err), seserrors.IsRetryable(o.err), seserrors.IsFatal(o.err)} {
		if b {
			holds++
		}
	}
	if holds != 1 {
		r.fault(&r.broken, "%s: %d of MaybeAccepted, Canceled, IsRetryable, IsFatal hold: %v", name, holds, o.err)
	}
	if e.Class == seserrors.Unknown {
		r.fault(&r.broken, "%s: class unknown: %v", name, o.err)
	}
}
