package smtpclient

import (
	"context"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
)

// ErrClosed is in the chain of every error that a Client returns because of
// Close or Shutdown. It wraps net.ErrClosed, its class is Canceled and its
// reason ClientClosed.
var ErrClosed = conn.ErrClosed

// A Client sends mail to one SMTP endpoint over a pool of connections. It is
// safe for concurrent use and meant to live as long as the program. Make one
// with New, end it with Shutdown or Close. Printed, it shows its Config without
// the password.
type Client struct {
	cfg  Config
	line conn.Config // how connections are opened

	life context.Context // ends with Close
	kill context.CancelFunc
	done chan struct{} // closed when the last slot came back after the end

	// mu guards what follows. It is never held across I/O or a call of code
	// that is not this package's.
	mu        sync.Mutex
	ended     bool
	held      int                  // slots in use: connections, dials, goodbyes
	open      map[*member]struct{} // connections that are not closed yet
	idle      []*member            // of them, those nobody uses; the one used last is last
	dials     map[*dial]struct{}
	queue     queue // who waits for a connection
	admission admission
	sweeping  bool  // a sweep is planned
	counts    Stats // what is counted over the client's life
}

// New checks cfg and returns a client for it. It neither dials nor starts
// anything: Ping proves that the settings work. What is wrong with cfg is said
// in a *seserrors.Error of class Invalid that names the field and the remedy.
func New(cfg Config) (*Client, error) {
	cfg, invalid := cfg.complete()
	if invalid != nil {
		return nil, invalid
	}
	c := &Client{
		cfg: cfg, line: cfg.line(), done: make(chan struct{}),
		open: make(map[*member]struct{}), dials: make(map[*dial]struct{}),
	}
	c.life, c.kill = context.WithCancel(context.Background())
	c.admission = admission{most: cfg.MaxConns, changed: c.readmit}
	return c, nil
}

// Send makes one attempt to send msg from from to all of to, and returns what
// the server answered when it accepted it.
//
// The addresses are bare ASCII addr-specs; space, control characters, "<", ">"
// and anything outside ASCII are refused before anything is sent. Bare CR and
// LF in msg become CRLF and dots are stuffed here. It must not be empty, hold
// lines over 998 octets or be over 40 MB.
//
// Send waits for a connection if all are busy, opens one if none is left, and
// blocks until the server has answered; the end of ctx ends each of these. A
// connection that died while it was idle is replaced once, silently; nothing
// else is repeated.
//
// msg.WriteTo is called at most once, when a server is ready for the message.
// That of a *bytes.Reader, *bytes.Buffer or *strings.Reader is called by Send
// itself. Any other is called in a goroutine of its own and writes into a
// buffer of its own, so that one that stands still does not hold Send beyond
// ctx or Close; its panic becomes Send's.
//
// If msg also has the method
//
//	Open(ctx context.Context) (io.ReadCloser, error)
//
// Send calls that in place of WriteTo: once, when it has a connection and before
// it tells the server of the message, so that senders that wait hold no files.
// It sends what the reader gives, by the reader's own WriteTo if it has one, and
// closes it. An error of Open is of class Invalid, reason ContentUnreadable, and
// costs no connection. Who implements Open promises that it and all reads end
// with its context, which ends with ctx and with Close.
//
// A nil error means that the server accepted the message for every recipient.
// Any other is a *seserrors.Error. If its MaybeAccepted is false the server did
// not accept the message, for no recipient. After Close or Shutdown the error
// wraps ErrClosed.
func (c *Client) Send(ctx context.Context, from string, to []string, msg io.WriterTo) (Reply, error) {
	err := checkMail(from, to, msg)
	if err == nil {
		var reply conn.Reply
		if reply, err = c.send(ctx, from, to, msg); err == nil {
			return Reply{Code: reply.Code, Text: reply.Text, MessageID: messageID(reply.Text)}, nil
		}
	}
	return Reply{}, c.placed(err)
}

func (c *Client) send(ctx context.Context, from string, to []string, msg io.WriterTo) (reply conn.Reply, err *seserrors.Error) {
	m, err := c.take(ctx)
	if err != nil {
		return reply, err
	}
	defer func() { c.giveBack(m) }()
	body, err := c.content(ctx, msg)
	if err != nil {
		return reply, err
	}
	if body, ok := body.(io.Closer); ok {
		defer body.Close()
	}
	mail := conn.Mail{From: from, To: to, Body: body}
	err = c.talk(ctx, &m, func() (f *conn.Failure) { reply, f = m.Send(ctx, &mail); return f })
	if err == nil {
		c.mu.Lock()
		c.counts.Messages++
		c.mu.Unlock()
	}
	return reply, err
}

// Ping takes a connection as Send does, opening one if none is idle, and says
// NOOP on it. On a new client that proves the settings: dial, TLS, certificate,
// EHLO and AUTH. Its errors are those of Send, and never in doubt.
func (c *Client) Ping(ctx context.Context) error {
	m, err := c.take(ctx)
	if err == nil {
		defer func() { c.giveBack(m) }()
		err = c.talk(ctx, &m, func() *conn.Failure { return m.Noop(ctx) })
	}
	if err != nil {
		return c.placed(err)
	}
	return nil
}

// placed says in an error where it happened.
func (c *Client) placed(err *seserrors.Error) *seserrors.Error {
	err.Endpoint = c.cfg.Addr
	return err
}

// Addr returns the "host:port" of the endpoint that c connects to.
func (c *Client) Addr() string { return c.cfg.Addr }

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
// message may have been accepted). Close waits until all is over, but at most a
// second for functions of the caller's that do not heed their context. It may
// be called more than once and after Shutdown. The error is always nil.
func (c *Client) Close() error {
	c.end()
	c.kill()
	for _, m := range c.members() {
		m.Cut()
	}
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
	}
	return nil
}

// end closes the pool: who waits is told, who sends may finish.
func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	for w := c.queue.pop(); w != nil; w = c.queue.pop() {
		w.give(answer{err: conn.Closed(opWait)})
	}
	for _, m := range c.idle {
		c.dismiss(m, conn.ClosedShutdown)
	}
	c.idle = nil
	for d := range c.dials {
		if d.waiter == nil {
			d.cancel()
		}
	}
	if c.held == 0 {
		close(c.done)
	}
}

func (c *Client) members() []*member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.open))
}
