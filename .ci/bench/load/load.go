package load

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/progress"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A load is one run.
type load struct {
	settings
	target  *target
	pool    *smtpclient.Client // nil over the API
	client  sesguard.Sender
	message *sesguard.Message
	meter   *meter
	next    atomic.Int64
	begin   time.Time
	took    time.Duration
}

func newLoad(set settings, to *target) (*load, error) {
	l := &load{settings: set, target: to, meter: newMeter()}
	transport := sesapi.New(to.api, sesapi.Config{})
	if set.transport == "smtp" {
		pool, err := smtpclient.New(to.smtp)
		if err != nil {
			return nil, err
		}
		l.pool, transport = pool, sesguard.SMTP(pool)
	}
	options := sesguard.Options{Hooks: sesguard.Hooks{AttemptDone: l.meter.attempt}}
	if set.follow {
		options.Limiter = sesapi.NewAccountLimiter(to.api)
	} else if set.rate > 0 {
		options.Limiter = sesguard.NewRateLimiter(set.rate)
	}
	l.client = sesguard.New(guarded(transport), options)
	l.message = letter(to.from, set.to, set.size)
	return l, nil
}

func (l *load) close() {
	if l.pool != nil {
		l.pool.Close()
	}
}

// guarded is the last check before a mail leaves, whatever the settings say.
func guarded(next sesguard.Transport) sesguard.Transport {
	return sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		if err := onlySimulator(m.Recipients()...); err != nil {
			return nil, err
		}
		return next.Attempt(ctx, m)
	})
}

// letter is a message of so many octets, if its header leaves room for text.
func letter(from, to string, size int) *sesguard.Message {
	m := &sesguard.Message{From: from, To: []string{to}, Subject: "A mail of a load test", Date: time.Now()}
	const line = "This mail is part of a load test. Nobody is meant to read it at all.\n"
	var empty bytes.Buffer
	m.Text = "\n"
	if _, err := m.WriteTo(&empty); err != nil {
		return m // Send will say why
	}
	missing := size - empty.Len()
	lines := max(0, missing/(len(line)+1)) // LF is written as CRLF
	m.Text = strings.Repeat(line, lines) + strings.Repeat("x", max(0, missing-lines*(len(line)+1))) + "\n"
	return m
}

// run sends until the number or the time is reached or ctx ends. ctx also ends
// what is under way.
func (l *load) run(ctx context.Context, show *progress.Line) {
	l.begin = time.Now()
	var senders sync.WaitGroup
	for range l.senders {
		senders.Go(func() {
			for l.more(ctx) {
				l.sendOne(ctx)
			}
		})
	}
	done := make(chan struct{})
	go func() { senders.Wait(); close(done) }()
	show.Until(done, func() string {
		l.target.tidy()
		return l.line(show.Terminal)
	})
	l.took = time.Since(l.begin)
}

func (l *load) more(ctx context.Context) bool {
	n := l.next.Add(1)
	return ctx.Err() == nil && (l.messages == 0 || n <= int64(l.messages)) && (l.length == 0 || time.Since(l.begin) < l.length)
}

func (l *load) sendOne(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	begin := time.Now()
	_, err := l.client.Send(ctx, l.message)
	l.meter.send(time.Since(begin), err)
}

func (l *load) String() string {
	amount := fmt.Sprintf("%d messages", l.messages)
	if l.messages == 0 {
		amount = "messages"
	}
	if l.length > 0 {
		amount += fmt.Sprintf(" for %v", l.length)
	}
	limit := "no limiter"
	if l.follow {
		limit = "a limiter that follows the account"
	} else if l.rate > 0 {
		limit = fmt.Sprintf("a limiter of %g/s", l.rate)
	}
	far := ""
	if l.rtt > 0 {
		far = fmt.Sprintf(", %v away", l.rtt)
	}
	return fmt.Sprintf("%s of %d octets by %d senders over %s, %s,\nto %s%s", amount, l.size, l.senders, l.transport, limit, l.target.name, far)
}
