package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	box "github.com/sesguard/sesguard-go/sesguard/outbox"
)

// A job is what a child that runs an outbox is told.
type job struct {
	Place       place
	SES         address
	Mails       int // until so many are sent
	Connections int
	Concurrency int
	Rate        float64       // of a shared limiter; 0: none
	Poll        time.Duration // 0: the default
	For         time.Duration
	Profile     string // a file for a profile of its CPU time
}

// A measurement is what it says in the end.
type measurement struct {
	Mails      int
	Took, CPU  time.Duration
	PeakMB     float64
	Statements int
	OfRate     int
	Commits    int
	ClaimP50   time.Duration
	ClaimP99   time.Duration
}

func (m measurement) rate() float64 { return float64(m.Mails) / m.Took.Seconds() }

// A process is a child's outbox.
type process struct {
	job
	tap   tap
	db    *sql.DB
	box   *box.Outbox
	sent  atomic.Int64
	all   chan struct{} // closed when all are sent
	begin time.Time
	cpu   time.Duration
}

func newProcess(ctx context.Context, text json.RawMessage) (*process, error) {
	p := &process{all: make(chan struct{})}
	if err := json.Unmarshal(text, &p.job); err != nil {
		return nil, err
	}
	var err error
	if p.db, err = p.tap.open(p.Place); err != nil {
		return nil, err
	}
	opts := box.Options{Concurrency: p.Concurrency, Poll: p.Poll, OnChange: p.count}
	if p.Rate > 0 {
		opts.Limiter = box.NewLimiter(p.db, box.LimiterOptions{PerSecond: p.Rate})
	}
	p.box, err = box.Open(ctx, p.db, opts)
	p.begin, p.cpu = time.Now(), cpuTime()
	return p, err
}

func (p *process) count(c box.Change) {
	if c.To == box.Sent && p.sent.Add(1) == int64(p.Mails) {
		close(p.all)
	}
}

// run runs the outbox until ctx ends or all are sent.
func (p *process) run(ctx context.Context) error {
	pool, err := p.SES.pool(p.Connections)
	if err != nil {
		return err
	}
	defer pool.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.all:
		case <-ctx.Done():
		}
		cancel()
	}()
	return p.box.Run(ctx, sesguard.SMTP(pool))
}

func (p *process) measured() measurement {
	p.tap.mu.Lock()
	defer p.tap.mu.Unlock()
	m := measurement{
		Mails: int(p.sent.Load()), Took: time.Since(p.begin), CPU: cpuTime() - p.cpu, PeakMB: peakMemory(),
		Statements: p.tap.statements, OfRate: p.tap.ofRate, Commits: p.tap.commits,
	}
	if n := len(p.tap.claims); n > 0 {
		slices.Sort(p.tap.claims)
		m.ClaimP50, m.ClaimP99 = p.tap.claims[n/2], p.tap.claims[n*99/100]
	}
	return m
}

// drain sends what waits.
func drain(ctx context.Context, text json.RawMessage, tell func(any) error) error {
	p, err := newProcess(ctx, text)
	if err != nil {
		return err
	}
	defer p.db.Close()
	if p.Profile != "" {
		f, err := os.Create(p.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	err = p.run(ctx)
	pprof.StopCPUProfile()
	if err != nil {
		return err
	}
	return tell(p.measured())
}

// idle runs an outbox in which nothing waits, for a while after its start.
func idle(ctx context.Context, text json.RawMessage, tell func(any) error) error {
	p, err := newProcess(ctx, text)
	if err != nil {
		return err
	}
	defer p.db.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { err = p.run(ctx) })
	time.Sleep(time.Second)
	p.begin, p.cpu = time.Now(), cpuTime()
	if err := tell("begin"); err != nil {
		return err
	}
	time.Sleep(p.For)
	m := p.measured()
	cancel()
	running.Wait()
	if err != nil {
		return err
	}
	return tell(m)
}

// runOnly runs an outbox until it is stopped.
func runOnly(ctx context.Context, text json.RawMessage, _ func(any) error) error {
	p, err := newProcess(ctx, text)
	if err != nil {
		return err
	}
	defer p.db.Close()
	return p.run(ctx)
}

// spend asks a shared limiter as often as it may, with 16 senders.
func spend(ctx context.Context, text json.RawMessage, tell func(any) error) error {
	p, err := newProcess(ctx, text)
	if err != nil {
		return err
	}
	defer p.db.Close()
	limiter := box.NewLimiter(p.db, box.LimiterOptions{PerSecond: p.Rate})
	ctx, cancel := context.WithTimeout(ctx, p.For)
	defer cancel()
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			for limiter.WaitN(ctx, 1) == nil {
				p.sent.Add(1)
			}
		})
	}
	senders.Wait()
	return tell(p.measured())
}
