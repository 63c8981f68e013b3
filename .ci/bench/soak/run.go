package soak

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"github.com/sesguard/sesguard-go/.ci/bench/progress"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

type settings struct {
	rate    float64
	length  time.Duration
	senders int
	seed    uint64
	trouble float64
	patient bool
	every   time.Duration

	// around, if not nil, puts a sender that a test broke in the place of ours.
	around func(sesguard.Sender) sesguard.Sender
}

// A soak is one run. One half of the senders goes over SMTP, the other over the
// API, so that trouble of one transport does not hold up the other.
type soak struct {
	settings
	slow   time.Duration // the longest that the fake delays an acceptance
	ses    *sestest.Server
	pool   *smtpclient.Client
	http   *http.Transport
	via    [2]sesguard.Sender
	script *script
	ledger *ledger
	begin  time.Time
	next   atomic.Int64
}

// run sends, closes everything and returns the balance.
func run(ctx context.Context, set settings, newServer func() *sestest.Server, show *progress.Line) (balance, error) {
	goroutines := liveGoroutines()
	s, err := open(set, newServer())
	if err != nil {
		return balance{}, err
	}
	heap := liveHeap()
	s.sendAll(ctx, show)
	took := time.Since(s.begin)

	s.pool.Close()
	s.http.CloseIdleConnections()
	wait(s.slow+5*time.Second, func() bool { return s.sockets() == 0 })
	sockets := s.sockets()
	s.audit(0)
	s.ses.Close()
	var left int
	wait(5*time.Second, func() bool {
		left = liveGoroutines() - goroutines
		return left <= 0
	})

	b := s.ledger.balance()
	b.took, b.sockets, b.redials = took, sockets, s.pool.Stats().Redials
	b.goroutines = max(0, left)
	b.heap = liveHeap() - heap
	runtime.KeepAlive(s) // what the clients still hold is what is asked for
	return b, nil
}

func open(set settings, ses *sestest.Server) (*soak, error) {
	s := &soak{settings: set, ses: ses, slow: 11 * time.Minute, ledger: newLedger(), begin: time.Now()}
	if !s.patient {
		s.slow = 5 * time.Second
	}
	s.script = newScript(set.seed, set.trouble, s.slow)
	config := smtpclient.Config{
		Addr: ses.SMTPAddr, Username: ses.Username, Password: ses.Password,
		TLSConfig: ses.TLSConfig(), DialContext: ses.DialContext,
		MaxConns:        (set.senders + 1) / 2,
		MaxConnIdleTime: 2 * sestest.DefaultIdleLimit, // against the advice, so that SES's own limit strikes
	}
	s.http = &http.Transport{
		DialContext: ses.DialContext, TLSClientConfig: ses.TLSConfig(),
		MaxIdleConnsPerHost: set.senders, IdleConnTimeout: 5 * time.Second,
	}
	var policy retry.Policy
	if !s.patient {
		config.DialTimeout, config.CommandTimeout, config.DataTimeout = 2*time.Second, 2*time.Second, 3*time.Second
		s.http.ResponseHeaderTimeout = 3 * time.Second
		policy.Schedule.Waits = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second}
		policy.MaxElapsed = 10 * time.Second
	}
	pool, err := smtpclient.New(config)
	if err != nil {
		ses.Close()
		return nil, err
	}
	s.pool = pool
	for i, transport := range []sesguard.Transport{sesguard.SMTP(pool), sesapi.New(s.api(), sesapi.Config{})} {
		s.via[i] = sesguard.New(transport, sesguard.Options{Retry: policy, Hooks: sesguard.Hooks{AttemptDone: s.ledger.attempt}})
		if s.around != nil {
			s.via[i] = s.around(s.via[i])
		}
	}
	return s, nil
}

func (s *soak) api() *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region: s.ses.Region, BaseEndpoint: &s.ses.URL, HTTPClient: &http.Client{Transport: s.http},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.ses.AccessKeyID, SecretAccessKey: s.ses.SecretAccessKey}, nil
		}),
	})
}

// sendAll sends until the time is over or ctx ends. What is under way then has
// another minute.
func (s *soak) sendAll(ctx context.Context, show *progress.Line) {
	running, stop := context.WithTimeout(ctx, s.length)
	defer stop()
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	context.AfterFunc(running, func() { time.AfterFunc(time.Minute, giveUp) })
	var senders sync.WaitGroup
	for i := range s.senders {
		senders.Go(func() {
			for s.awaitTurn(running) {
				s.sendNext(sending, s.via[i%2])
			}
		})
	}
	done := make(chan struct{})
	go func() { senders.Wait(); close(done) }()
	show.Until(done, func() string {
		s.audit(2 * s.slow)
		return s.ledger.line(time.Since(s.begin), s.length, s.sockets())
	})
}

// awaitTurn keeps to the rate: mail n is due n/rate seconds after the start.
func (s *soak) awaitTurn(ctx context.Context) bool {
	n := s.next.Add(1) - 1
	due := s.begin.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (s *soak) sendNext(ctx context.Context, via sesguard.Sender) {
	s.script.keepFilled(s.ses)
	n := s.ledger.open()
	_, err := via.Send(ctx, letter(n))
	s.ledger.close(n, err)
}

// letter writes mail n, always the same.
func letter(n int64) *sesguard.Message {
	return &sesguard.Message{
		From: "shop@example.com", To: []string{"ann@example.org"},
		Subject: fmt.Sprint(subject, n),
		Date:    time.Unix(n, 0).UTC(),
		Text:    strings.Repeat("A dot alone in a line must not end the mail:\n.\n", 1+int(n%20)),
	}
}

// audit looks at what the fake accepted since the last time, and settles the
// mails of which nothing was heard for so long.
func (s *soak) audit(since time.Duration) {
	s.ledger.find(s.ses.TakeAccepted())
	s.ledger.settle(time.Now().Add(-since))
}

func (s *soak) sockets() int { return s.ses.Connections().Open + s.ses.APIConnections().Open }

// wait gives what is about to end some time for it.
func wait(most time.Duration, done func() bool) {
	for end := time.Now().Add(most); !done() && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
}

// liveGoroutines counts none that has ended. NumGoroutine does while the thread
// that ran it is halted on its last steps, which on a busy machine outlasts
// seconds of fake time; ReadMemStats stops the program, which waits for the
// thread.
func liveGoroutines() int {
	runtime.ReadMemStats(new(runtime.MemStats))
	return runtime.NumGoroutine()
}

func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
