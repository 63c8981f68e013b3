package smtpclient

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"github.com/jackc/puddle/v2"
	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A slot is the right to hold one connection. The pool hands out slots, so that
// a new connection can take the place of a dead one without anyone in between.
// A slot in the pool holds an idle session; one without is not put back.
type slot struct{ session *session }

type resource = puddle.Resource[*slot]

const (
	never = math.MaxInt64 // a sweep that is not planned
	inUse = 0             // session.due of one that is not idle
)

// take returns a slot with a session that is fit to be used, as far as can be
// said without asking the server. It queues again where the ceiling does not
// let its slot have a connection.
func (c *Client) take(ctx context.Context) (*resource, *seserrors.Error) {
	for {
		res, err := c.acquire(ctx)
		if err != nil {
			c.claimed.Add(-1)
			return nil, err
		}
		if c.closing.Err() != nil { // it was given back because of that
			c.giveBack(res)
			return nil, closedError("smtp wait")
		}
		if s := res.Value().session; s != nil {
			s.due.Store(inUse)
			why := c.expired(s, time.Now())
			if why == 0 {
				return res, nil
			}
			s.spoil(why)
		} else if c.park(res) {
			continue
		}
		owned, err := c.fill(ctx, res)
		switch {
		case err == nil:
			return res, nil
		case owned && err.Reason == seserrors.TooManyConnections && c.park(res):
			continue
		case owned:
			c.giveBack(res)
		}
		return nil, err
	}
}

// acquire waits for a slot. It waits with ctx alone where a slot is certain to
// be free; the context that ends with the client too costs something.
func (c *Client) acquire(ctx context.Context) (*resource, *seserrors.Error) {
	ended := ctx.Err() != nil // a nil context panics here, before it has claimed anything
	free := c.claimed.Add(1) <= int64(c.cfg.MaxConns)
	if ended {
		return nil, canceled(ctx, "smtp wait")
	}
	wait := ctx
	if !free {
		var cancel context.CancelFunc
		wait, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.closing, cancel)()
	}
	res, err := c.pool.Acquire(wait)
	switch {
	case err == nil:
		return res, nil
	case ctx.Err() != nil:
		return nil, canceled(ctx, "smtp wait")
	}
	return nil, closedError("smtp wait")
}

// expired says why s must be replaced, or 0. Time counts by the wall clock too:
// the other one stands still while a machine is suspended.
func (c *Client) expired(s *session, now time.Time) closing {
	switch {
	case s.broken != 0:
		return s.broken
	case s.mails >= c.cfg.MaxMessagesPerConn:
		return closedMessages
	case s.lifetime > 0 && elapsed(s.born, now) >= s.lifetime:
		return closedAge
	case s.idleSince.IsZero():
	case c.cfg.MaxConnIdleTime > 0 && elapsed(s.idleSince, now) >= c.cfg.MaxConnIdleTime:
		return closedIdle
	}
	return 0
}

func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since))
}

// fill puts a new session into the slot. The dial is the client's own: when
// ctx ends the caller gets its error at once, the dial goes on, and its session
// goes into the pool. The caller then does not own the slot any more.
func (c *Client) fill(ctx context.Context, res *resource) (owned bool, err *seserrors.Error) {
	if ctx.Err() != nil {
		return true, canceled(ctx, "smtp connect")
	}
	dialCtx, cancel := c.dialContext()
	result := make(chan *seserrors.Error)
	c.wg.Go(func() {
		defer cancel()
		failure := c.refill(dialCtx, res.Value())
		select {
		case result <- failure:
		case <-ctx.Done():
			c.giveBack(res)
		}
	})
	select {
	case err := <-result:
		return true, err
	case <-ctx.Done():
		c.disown(dialCtx, cancel)
		return false, canceled(ctx, "smtp connect")
	}
}

func (c *Client) dialContext() (context.Context, context.CancelFunc) {
	if c.cfg.DialTimeout == 0 {
		return context.WithCancel(c.life)
	}
	return context.WithTimeout(c.life, c.cfg.DialTimeout)
}

// disown lets Shutdown end a dial that nobody waits for.
func (c *Client) disown(dialCtx context.Context, cancel context.CancelFunc) {
	stop := context.AfterFunc(c.closing, cancel)
	context.AfterFunc(dialCtx, func() { stop() })
}

// refill says goodbye to the old session, if there is one, and opens another.
func (c *Client) refill(ctx context.Context, sl *slot) *seserrors.Error {
	f := c.lockout.ceiling.begin()
	defer c.lockout.ceiling.end(f)
	if old := sl.session; old != nil {
		sl.session = nil
		c.retire(old)
	}
	s, err := c.dial(ctx, f)
	if err != nil && c.life.Err() != nil {
		err = closedError(err.Op)
	}
	sl.session = s
	return err
}

// dial opens a session, unless it is known that it would fail.
func (c *Client) dial(ctx context.Context, f *filling) (*session, *seserrors.Error) {
	l, err := c.login(ctx)
	if err != nil {
		return nil, err
	}
	t, err := c.lockout.admit(l)
	if err != nil {
		return nil, err
	}
	c.count(&c.dials)
	s, err := open(ctx, &c.cfg, l)
	c.judge(t, l, f, err)
	if err != nil {
		c.count(&c.dialErrors)
		c.log(slog.LevelWarn, "connection cannot be set up", slog.String("op", err.Op), slog.Int("code", err.Code), slog.String("reason", string(err.Reason)))
		return nil, err
	}
	return c.settle(f, s)
}

func (c *Client) count(n *int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

// adopt makes s one of the client's own. Lifetimes differ by up to a tenth, so
// that connections opened together do not close together.
func (c *Client) adopt(s *session) (*session, *seserrors.Error) {
	if life := c.cfg.MaxConnLifetime; life > 0 {
		s.lifetime = time.Duration(float64(life) * (0.9 + 0.2*rand.Float64()))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		c.dialErrors++
		s.wire.cut()
		return nil, closedError("smtp connect")
	}
	c.live[s] = struct{}{}
	c.log(slog.LevelDebug, "connection opened", slog.Int("open", len(c.live)))
	return s, nil
}

// giveBack returns a slot: into the pool with a session that is fit to be used
// again, else out of it.
func (c *Client) giveBack(res *resource) {
	s := res.Value().session
	if s == nil {
		c.drop(res)
		return
	}
	if s.r.Buffered() > 0 {
		s.spoil(closedStale)
	}
	now := time.Now()
	s.idleSince = time.Time{}
	if why := c.expired(s, now); why != 0 {
		s.spoil(why)
		c.discard(res)
		return
	}
	s.used, s.idleSince = true, now
	due := c.due(s)
	s.due.Store(due)
	res.ReleaseUnused() // which spares puddle a look at the clock
	c.claimed.Add(-1)
	c.plan(due)
}

func (c *Client) drop(res *resource) {
	res.Hijack()
	c.claimed.Add(-1)
}

// discard closes the session of a slot and gives the slot up. A goodbye may
// take its time; nobody waits for it, but until then the slot is not free, so
// there are never more connections than MaxConns.
func (c *Client) discard(res *resource) {
	sl := res.Value()
	s := sl.session
	sl.session = nil
	if !s.broken.orderly() {
		c.retire(s)
		c.drop(res)
		return
	}
	c.wg.Go(func() {
		c.retire(s)
		c.drop(res)
	})
}

// destroy is for slots that were idle, or came back, when the pool was closed.
func (c *Client) destroy(sl *slot) {
	if s := sl.session; s != nil {
		s.due.Store(inUse)
		s.spoil(closedShutdown)
		c.retire(s)
	}
}

// retire closes s and counts why.
func (c *Client) retire(s *session) {
	quitOK := true
	if s.shutdown.Load() {
		s.broken = closedShutdown
		s.wire.Close()
	} else if s.broken.orderly() {
		quitOK = s.quit()
	} else {
		s.wire.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.live, s)
	c.closed[s.broken]++
	if !quitOK {
		c.quitErrors++
	}
	c.log(slog.LevelDebug, "connection closed", slog.String("reason", s.broken.String()), slog.Int("messages", s.mails), slog.Int("open", len(c.live)))
}

func (c *Client) log(level slog.Level, msg string, attrs ...slog.Attr) {
	if c.cfg.Logger != nil {
		c.cfg.Logger.LogAttrs(context.Background(), level, "smtpclient: "+msg, attrs...)
	}
}

// due is when an idle session must be closed, in nanoseconds since epoch.
func (c *Client) due(s *session) int64 {
	due := int64(never)
	if c.cfg.MaxConnIdleTime > 0 {
		due = int64(s.idleSince.Add(c.cfg.MaxConnIdleTime).Sub(c.epoch))
	}
	if s.lifetime > 0 {
		due = min(due, int64(s.born.Add(s.lifetime).Sub(c.epoch)))
	}
	return due
}

// sweepEvery bounds the time between two sweeps: the timer stands still while
// the machine is suspended, and connections do not live on.
const sweepEvery = time.Second

// plan sees to it that a sweep comes no later than due. There is a timer only
// while there are idle connections.
func (c *Client) plan(due int64) {
	if due >= c.sweepAt.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || due >= c.sweepAt.Load() {
		return
	}
	c.sweepAt.Store(due)
	wait := min(time.Duration(due)-time.Since(c.epoch), sweepEvery)
	if c.sweeper == nil {
		c.sweeper = time.AfterFunc(wait, c.sweep)
	} else {
		c.sweeper.Reset(wait)
	}
}

// sweep closes the idle sessions whose time is over. It takes none out of the
// pool while all of them may stay: a sender that came in between would find the
// pool empty and dial.
func (c *Client) sweep() {
	next, ok := c.beginSweep()
	if !ok {
		return
	}
	defer c.wg.Done()
	now := time.Now()
	if next > int64(elapsed(c.epoch, now)) {
		c.plan(next)
		return
	}
	idle := c.pool.AcquireAllIdle()
	c.claimed.Add(int64(len(idle)))
	next = never
	for i := len(idle) - 1; i >= 0; i-- { // the one used last comes out first again
		next = min(next, c.sweepOne(idle[i], now))
	}
	c.plan(next)
}

// beginSweep reports when the first idle session is due, and whether there may
// be a sweep.
func (c *Client) beginSweep() (first int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return never, false
	}
	c.sweepAt.Store(never)
	c.wg.Add(1)
	first = never
	for s := range c.live {
		if due := s.due.Load(); due != inUse {
			first = min(first, due)
		}
	}
	return first, true
}

// sweepOne closes an idle session or puts it back; then it returns when it is
// due.
func (c *Client) sweepOne(res *resource, now time.Time) int64 {
	s := res.Value().session
	if s == nil {
		c.drop(res)
		return never
	}
	if why := c.expired(s, now); why != 0 {
		s.due.Store(inUse)
		s.spoil(why)
		c.discard(res)
		return never
	}
	due := c.due(s)
	res.ReleaseUnused()
	c.claimed.Add(-1)
	return due
}
