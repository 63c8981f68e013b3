package smtpclient

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
)

// A dial is a connection on its way. It is the client's own: when its waiter
// leaves, it goes on.
type dial struct {
	waiter *waiter // nil: nobody waits any more
	stale  *member // to be closed first
	cancel context.CancelFunc
	ticket ticket
	begun  bool    // the server is being dialled
	m      *member // what came of it
	again  bool    // refused, but the waiter may wait on
}

const opConnect = "smtp connect"

// start begins a dial, which holds a slot. The caller holds the lock.
func (c *Client) start(d *dial) {
	c.held++
	var ctx context.Context
	if c.cfg.DialTimeout > 0 {
		ctx, d.cancel = context.WithTimeout(c.life, c.cfg.DialTimeout)
	} else {
		ctx, d.cancel = context.WithCancel(c.life)
	}
	d.waiter.dial = d
	c.dials[d] = struct{}{}
	go c.dial(ctx, d)
}

// redial replaces a connection that turned out to be dead by a new one, which
// comes before all that wait: its slot is held before the dead one gives up its
// own. If that fails there is none.
func (c *Client) redial(ctx context.Context, m **member) (err *seserrors.Error) {
	w := newWaiter()
	c.mu.Lock()
	c.counts.Redials++
	c.start(&dial{waiter: w, stale: *m})
	c.mu.Unlock()
	*m = nil
	*m, err = c.wait(ctx, w)
	return err
}

var errGoexit = errors.New("a function of Config ended its goroutine")

// dial runs one dial in a goroutine of its own. Where code of the caller's
// panics or ends the goroutine, that is the waiter's answer.
func (c *Client) dial(ctx context.Context, d *dial) {
	var a answer
	returned := false
	defer func() {
		if !returned {
			a.panicked = recover()
			a.err = &seserrors.Error{Op: opConnect, Class: seserrors.Unavailable, Reason: seserrors.Network, Err: errGoexit}
		}
		d.cancel()
		c.deliver(d, a)
	}()
	if d.stale != nil {
		c.close(d.stale, conn.ClosedReset)
	}
	a.m, a.err = c.connect(ctx, d)
	returned = true
}

// deliver gives the waiter its answer, or the pool the connection.
func (c *Client) deliver(d *dial, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(d)
	w := d.waiter
	switch {
	case w == nil && a.m != nil:
		c.keep(a.m)
	case w == nil:
	case d.again && d.stale == nil && !c.ended:
		w.dial = nil
		c.queue.pushFront(w)
	default:
		w.give(a)
	}
	switch {
	case a.m != nil: // has the slot
	case d.m != nil: // the logger panicked
		c.dismiss(d.m, conn.ClosedFailed)
	default:
		c.free()
	}
}

// forget ends the count of a dial that is under way, and its probe. The caller
// holds the lock.
func (c *Client) forget(d *dial) {
	delete(c.dials, d)
	c.admission.ended(&d.ticket)
	if d.begun && d.m == nil {
		d.begun = false
		c.counts.DialErrors++
	}
}

// connect opens a connection, unless it is known that it would fail.
func (c *Client) connect(ctx context.Context, d *dial) (*member, *seserrors.Error) {
	l, err := c.login(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.admit(d, l); err != nil {
		return nil, err
	}
	cn, err := conn.Open(ctx, &c.line, l)
	if err != nil {
		err = c.failed(d, l, err)
		c.log(slog.LevelWarn, "connection cannot be set up", slog.Any("error", c.placed(err)))
		return nil, err
	}
	m, open := c.adopt(d, cn)
	if m == nil {
		cn.Cut()
		return nil, conn.Closed(opConnect)
	}
	c.log(slog.LevelDebug, "connection opened", slog.Int("open", open))
	return m, nil
}

func (c *Client) admit(d *dial, l conn.Login) (err *seserrors.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.ticket, err = c.admission.admit(l, time.Now()); err == nil {
		d.begun = true
		c.counts.Dials++
	}
	return err
}

// failed learns from a dial that failed.
func (c *Client) failed(d *dial, l conn.Login, err *seserrors.Error) *seserrors.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(d)
	switch {
	case c.life.Err() != nil:
		return conn.Closed(err.Op)
	case err.Reason == seserrors.NameNotFound && c.cfg.Region != "":
		err = unknownRegion(c.cfg.Region, err)
	}
	if d.again = c.admission.refused(d.ticket, l, err, len(c.open), len(c.dials), time.Now()); d.again && c.ended {
		return conn.Closed(err.Op)
	}
	return err
}

// adopt makes a connection one of the client's, unless it was closed meanwhile.
// Lifetimes differ by up to a tenth, so that connections opened together do not
// close together.
func (c *Client) adopt(d *dial, cn *conn.Conn) (m *member, open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		c.forget(d)
		return nil, 0
	}
	now := time.Now()
	m = &member{Conn: cn, born: now, idleSince: now}
	if life := c.cfg.MaxConnLifetime; life > 0 {
		m.lifetime = time.Duration(float64(life) * (0.9 + 0.2*rand.Float64()))
	}
	d.m = m
	c.open[m] = struct{}{}
	c.forget(d)
	c.admission.succeeded(len(c.open), now)
	return m, len(c.open)
}

// login asks for the credentials of one dial.
func (c *Client) login(ctx context.Context) (conn.Login, *seserrors.Error) {
	if c.cfg.Credentials == nil {
		return conn.Login{Username: c.cfg.Username, Password: c.cfg.Password}, nil
	}
	user, pass, err := c.cfg.Credentials(ctx)
	if err != nil {
		return conn.Login{}, c.credentialsError(err)
	}
	if field, problem := checkLogin(user, pass); problem != "" {
		return conn.Login{}, &seserrors.Error{Op: opCredentials, Class: seserrors.Denied, Reason: seserrors.CredentialsInvalid,
			Message: "Config.Credentials: " + field + ": " + problem}
	}
	return conn.Login{Username: user, Password: pass}, nil
}

const opCredentials = "smtp credentials"

// credentialsError is about the source of the secret, which is not SES: nothing
// that it says is about a message or a rate. What is no refusal passes.
func (c *Client) credentialsError(err error) *seserrors.Error {
	if c.life.Err() != nil {
		return conn.Closed(opCredentials)
	}
	e := &seserrors.Error{Op: opCredentials, Class: seserrors.Unavailable, Reason: seserrors.CredentialsUnavailable,
		Message: "Config.Credentials failed, so the server was not dialled", Err: err}
	if known := seserrors.Classify(err); known.Class == seserrors.Denied || known.Class == seserrors.Suspended {
		e.Class = seserrors.Denied
	}
	return e
}

// unknownRegion is the error when the name of a region's endpoint does not
// exist. For a region that has one that is a resolver's lie, which passes.
func unknownRegion(region string, err *seserrors.Error) *seserrors.Error {
	err.Message = "email-smtp." + region + ".amazonaws.com does not exist: check Config.Region for a typing error; not every region has an SMTP endpoint"
	if slices.Contains(withEndpoint, region) {
		err.Class = seserrors.Unavailable
		err.Message = "the name of SES's endpoint in " + region + " is not found, although it exists: check this machine's DNS resolver"
	}
	return err
}
