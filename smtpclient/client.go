package smtpclient

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"
	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A Client sends mail to one SMTP endpoint over a pool of connections. It is
// safe for concurrent use and meant to live as long as the program. Make one
// with New, end it with Shutdown or Close.
type Client struct {
	cfg     Config
	pool    *puddle.Pool[*slot]
	lockout lockout
	orphans orphans

	claimed  atomic.Int64 // slots held or waited for
	sweepAt  atomic.Int64 // next sweep, in nanoseconds since epoch
	messages atomic.Int64
	redials  atomic.Int64
	unforced atomic.Bool // PipelineForce was given up
	epoch    time.Time

	closing context.Context // ends with Shutdown: no more waiting
	stop    context.CancelFunc
	life    context.Context // ends with Close: no more dialling
	kill    context.CancelFunc
	done    chan struct{}  // everything has ended
	wg      sync.WaitGroup // dials, goodbyes, sweeps

	mu         sync.Mutex // never held across I/O
	live       map[*session]struct{}
	closed     [closings]int64
	dials      int64
	dialErrors int64
	quitErrors int64
	sweeper    *time.Timer
	ended      bool
}

// New checks cfg and returns a client for it. It neither dials nor starts
// anything: Ping proves that the settings work. What is wrong with cfg is said
// in a *seserrors.Error of class Invalid that names the field and the remedy.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	return newClient(cfg)
}

func newClient(cfg Config) (*Client, error) {
	c := &Client{cfg: cfg, epoch: time.Now(), done: make(chan struct{}), live: make(map[*session]struct{})}
	c.closing, c.stop = context.WithCancel(context.Background())
	c.life, c.kill = context.WithCancel(context.Background())
	c.sweepAt.Store(never)
	var err error
	c.pool, err = puddle.NewPool(&puddle.Config[*slot]{
		Constructor: func(context.Context) (*slot, error) { return new(slot), nil },
		Destructor:  c.destroy,
		MaxSize:     int32(cfg.MaxConns),
	})
	return c, err
}

// Send makes one attempt to send msg from from to all of to, and returns what
// the server answered when it accepted it.
//
// The addresses are bare ASCII addr-specs; space, control characters, "<", ">"
// and anything outside ASCII are refused before anything is sent. msg.WriteTo
// is called at most once, when a server is ready for the message; a
// *bytes.Reader will do. Bare CR and LF in it become CRLF and dots are stuffed
// here. It must not be empty, hold lines over 998 octets or be over 40 MB.
//
// Send waits for a connection if all are busy, opens one if none is left, and
// blocks until the server has answered; the end of ctx ends each of these. A
// connection that died while it was idle is replaced once, silently; nothing
// else is repeated.
//
// A nil error means that the server accepted the message for every recipient.
// Any other is a *seserrors.Error. If its MaybeAccepted is false the server did
// not accept the message, for no recipient. After Close or Shutdown the error
// wraps ErrClosed.
func (c *Client) Send(ctx context.Context, from string, to []string, msg io.WriterTo) (Reply, error) {
	if err := checkMail(from, to, msg); err != nil {
		return Reply{}, err
	}
	res, err := c.take(ctx)
	if err != nil {
		return Reply{}, err
	}
	reply, err := c.deliver(ctx, res, mail{from: from, to: to, msg: msg})
	if err != nil {
		return Reply{}, err
	}
	return reply, nil
}

// deliver sends m on the session in res, and once more on a new session in the
// same slot if the old one was dead.
func (c *Client) deliver(ctx context.Context, res *resource, m mail) (Reply, *seserrors.Error) {
	owned := true
	defer func() {
		if owned {
			c.giveBack(res)
		}
	}()
	reply, f := c.attempt(ctx, res, &m)
	if f == nil {
		return reply, nil
	}
	if !f.redial && !f.unforced {
		return Reply{}, f.err
	}
	c.redials.Add(1)
	res.Value().session.spoil(closedReset)
	var err *seserrors.Error
	if owned, err = c.fill(ctx, res); err != nil {
		return Reply{}, err
	}
	again := m
	again.lockstep = m.batch && !res.Value().session.pipelining
	reply, g := c.attempt(ctx, res, &again)
	if f.unforced {
		c.judgeForce(f, g)
	}
	if g != nil {
		return Reply{}, g.err
	}
	return reply, nil
}

func (c *Client) attempt(ctx context.Context, res *resource, m *mail) (Reply, *failure) {
	s := res.Value().session
	m.batch = c.batches(s) && !m.lockstep
	m.apart = m.batch && c.orphans.apart()
	reply, f := s.send(ctx, m)
	if f == nil {
		c.messages.Add(1)
		return reply, nil
	}
	if f.orphan {
		c.orphans.note()
	}
	return Reply{}, f
}

func (c *Client) batches(s *session) bool {
	switch c.cfg.Pipelining {
	case PipelineNever:
		return false
	case PipelineForce:
		return s.pipelining || !c.unforced.Load()
	}
	return s.pipelining
}

// judgeForce stops forcing after a forced batch has failed, unless lock step
// drew the same answer.
func (c *Client) judgeForce(forced, lockstep *failure) {
	same := lockstep != nil && forced.err.Code != 0 && forced.err.Code == lockstep.err.Code && forced.err.Op == lockstep.err.Op
	if !same {
		c.unforced.Store(true)
	}
}

// Ping takes a connection as Send does, opening one if none is idle, and says
// NOOP on it. On a new client that proves the settings: dial, TLS, certificate,
// EHLO and AUTH.
func (c *Client) Ping(ctx context.Context) error {
	res, err := c.take(ctx)
	if err != nil {
		return err
	}
	if err := c.ping(ctx, res); err != nil {
		return err
	}
	return nil
}

func (c *Client) ping(ctx context.Context, res *resource) (err *seserrors.Error) {
	owned := true
	defer func() {
		if owned {
			c.giveBack(res)
		}
	}()
	f := res.Value().session.noop(ctx)
	if f != nil && f.redial {
		c.redials.Add(1)
		if owned, err = c.fill(ctx, res); err != nil {
			return err
		}
		f = res.Value().session.noop(ctx)
	}
	if f != nil {
		return f.err
	}
	return nil
}

// Shutdown ends the client in order: calls that wait for a connection fail with
// ErrClosed, messages under way are finished, connections say QUIT. It returns
// when that is done, or context.Cause(ctx) when ctx ends first; what is under
// way then goes on until Close.
func (c *Client) Shutdown(ctx context.Context) error {
	c.end()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the client at once: connections are cut, also under messages,
// whose Send returns an error that wraps ErrClosed (with MaybeAccepted if the
// message may have been accepted). Close waits until all is over, but at most
// a second for a message that is busy in its own WriteTo. It may be called more
// than once and after Shutdown. The error is always nil.
func (c *Client) Close() error {
	c.end()
	c.kill()
	for _, s := range c.sessions() {
		s.shutdown.Store(true)
		s.cutByOther()
	}
	t := time.NewTimer(goodbye)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
	}
	return nil
}

// end closes the pool; a goroutine waits for all that is under way.
func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	if c.sweeper != nil {
		c.sweeper.Stop()
	}
	c.stop()
	go func() {
		c.lift()       // or the pool would wait for the parked slots
		c.pool.Close() // returns when every slot has been given back
		c.wg.Wait()
		c.kill()
		close(c.done)
	}()
}

func (c *Client) sessions() []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*session, 0, len(c.live))
	for s := range c.live {
		list = append(list, s)
	}
	return list
}

// login asks for the credentials of one dial.
func (c *Client) login(ctx context.Context) (login, *seserrors.Error) {
	if c.cfg.Credentials == nil {
		return login{username: c.cfg.Username, password: c.cfg.Password}, nil
	}
	user, pass, err := c.cfg.Credentials(ctx)
	if err != nil {
		return login{}, credentialsError(err)
	}
	if problem := temporary(user, pass); problem != "" {
		return login{}, &seserrors.Error{Op: "smtp credentials", Class: seserrors.Denied, Reason: seserrors.CredentialsInvalid,
			Message: "Config.Credentials: " + problem}
	}
	return login{username: user, password: pass}, nil
}

// credentialsError is about the source of the secret. What it does not say for
// sure is taken for trouble that passes.
func credentialsError(err error) *seserrors.Error {
	e := *seserrors.Classify(err)
	e.Op, e.MaybeAccepted, e.Err = "smtp credentials", false, err
	switch e.Class {
	case seserrors.Unknown, seserrors.Canceled, seserrors.Invalid, seserrors.Rejected:
		e.Class, e.Reason = seserrors.Unavailable, seserrors.AuthUnavailable
	}
	return &e
}
