package smtpclient

import (
	"context"
	"log/slog"
	"slices"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
)

// A member is a connection of the pool. It holds a slot, of which there are
// MaxConns, until it is closed. A slot is also held by a dial, and goes from
// the dial to its connection; so there are never more connections than slots.
type member struct {
	*conn.Conn
	born, idleSince time.Time
	lifetime        time.Duration // this one's; 0: none
}

const opWait = "smtp wait"

// take returns a connection that is fit to be used, as far as can be said
// without asking the server: an idle one, else a new one, else that of the next
// sender that is done. Senders get theirs in the order in which they came.
func (c *Client) take(ctx context.Context) (*member, *seserrors.Error) {
	if ctx.Err() != nil {
		return nil, seserrors.FromContext(ctx, opWait)
	}
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return nil, conn.Closed(opWait)
	}
	if m := c.popIdle(time.Now()); m != nil { // so nobody waits
		c.mu.Unlock()
		return m, nil
	}
	w := newWaiter()
	c.queue.push(w)
	c.serve()
	c.mu.Unlock()
	return c.wait(ctx, w)
}

// talk runs a dialogue over m, and once more over a new connection if m turns out
// to be dead before a message was sent.
func (c *Client) talk(ctx context.Context, m **member, dialogue func() *conn.Failure) *seserrors.Error {
	f := dialogue()
	if f != nil && f.Redial {
		if err := c.redial(ctx, m); err != nil {
			return err
		}
		f = dialogue()
	}
	if f != nil {
		return f.Err
	}
	return nil
}

// popIdle returns the idle connection that was used last, or nil. The caller
// holds the lock.
func (c *Client) popIdle(now time.Time) *member {
	for last := len(c.idle) - 1; last >= 0; last-- {
		m := c.idle[last]
		c.idle[last] = nil
		c.idle = c.idle[:last]
		why := c.expired(m, now)
		if why == 0 {
			return m
		}
		c.dismiss(m, why)
	}
	return nil
}

// serve gives those who wait what there is: idle connections, and slots to dial
// for new ones. The caller holds the lock.
func (c *Client) serve() {
	for c.queue.len > 0 {
		now := time.Now()
		if m := c.popIdle(now); m != nil {
			c.queue.pop().give(answer{m: m})
			continue
		}
		if !c.admission.open(c.held, now) {
			return
		}
		c.start(&dial{waiter: c.queue.pop()})
	}
}

// readmit is serve when a while is over.
func (c *Client) readmit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admission.tick(time.Now()); !c.ended {
		c.serve()
	}
}

// giveBack returns a connection after use; nil is none.
func (c *Client) giveBack(m *member) {
	if m == nil {
		return
	}
	c.mu.Lock()
	why := c.put(m)
	c.mu.Unlock()
	switch {
	case why == 0:
	case why.Orderly(): // nobody waits for a goodbye
		c.dismiss(m, why)
	default:
		c.close(m, why)
	}
}

// put gives a connection to the first who waits, or else makes it idle. It does
// neither if the connection must be closed, and returns why. The caller holds
// the lock.
func (c *Client) put(m *member) conn.Closing {
	now := time.Now()
	m.Idle()
	m.idleSince = now
	why := c.expired(m, now)
	switch {
	case why != 0:
	case c.ended:
		return conn.ClosedShutdown
	case c.queue.len > 0:
		c.queue.pop().give(answer{m: m})
	default:
		c.idle = append(c.idle, m)
		c.planSweep()
	}
	return why
}

// keep is put where nobody can wait for what must be closed. The caller holds
// the lock.
func (c *Client) keep(m *member) {
	if why := c.put(m); why != 0 {
		c.dismiss(m, why)
	}
}

// dismiss closes a connection in the background. A logger's panic ends there.
func (c *Client) dismiss(m *member, why conn.Closing) {
	go func() {
		defer func() { recover() }()
		c.close(m, why)
	}()
}

// close closes a connection, counts why, and gives its slot back.
func (c *Client) close(m *member, why conn.Closing) {
	reason, answered := m.Close(why)
	c.mu.Lock()
	delete(c.open, m)
	*c.counts.Closed.of(reason)++
	if !answered {
		c.counts.QuitErrors++
	}
	if reason.Orderly() {
		c.admission.goodbye = time.Now()
	}
	c.free()
	open := len(c.open)
	c.mu.Unlock()
	c.log(slog.LevelDebug, "connection closed", slog.String("reason", reason.String()), slog.Int("messages", m.Mails()), slog.Int("open", open))
}

// free gives a slot back. The caller holds the lock.
func (c *Client) free() {
	c.held--
	switch {
	case !c.ended:
		c.serve()
	case c.held == 0:
		close(c.done)
	}
}

// log is called without the lock: a handler may call the client.
func (c *Client) log(level slog.Level, msg string, attrs ...slog.Attr) {
	if c.cfg.Logger != nil {
		c.cfg.Logger.LogAttrs(context.Background(), level, "smtpclient: "+msg, attrs...)
	}
}

// expired says why m must be replaced, or 0.
func (c *Client) expired(m *member, now time.Time) conn.Closing {
	switch {
	case m.Broken() != 0:
		return m.Broken()
	case m.Mails() >= c.cfg.MaxMessagesPerConn:
		return conn.ClosedMessages
	case m.lifetime > 0 && elapsed(m.born, now) >= m.lifetime:
		return conn.ClosedLifetime
	case c.cfg.MaxConnIdleTime > 0 && elapsed(m.idleSince, now) >= c.cfg.MaxConnIdleTime:
		return conn.ClosedIdle
	}
	return 0
}

// elapsed counts by the monotonic clock and by the wall clock, whichever says
// more: the first stands still while a machine is suspended. A wall clock that
// is set forward costs the connections that are idle then, and no later ones.
func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since))
}

// sweepEvery is how late an idle connection may be closed.
const sweepEvery = time.Second

// planSweep sees to it that there are sweeps while there are idle connections.
// The caller holds the lock.
func (c *Client) planSweep() {
	if !c.sweeping && len(c.idle) > 0 {
		c.sweeping = true
		time.AfterFunc(sweepEvery, c.sweep)
	}
}

// sweep closes the idle connections whose time is over.
func (c *Client) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.idle = slices.DeleteFunc(c.idle, func(m *member) bool {
		why := c.expired(m, now)
		if why != 0 {
			c.dismiss(m, why)
		}
		return why != 0
	})
	c.sweeping = false
	c.planSweep()
}
