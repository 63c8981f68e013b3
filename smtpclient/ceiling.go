package smtpclient

import (
	"log/slog"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A ceiling is the number of connections that the server lets this client have,
// learnt from the dials that it refused with "too many concurrent connections".
// A slot is the right to hold one connection, so a lower ceiling is fewer slots:
//
//   - A dial that is refused beside other connections, open or on their way,
//     makes their number the ceiling.
//   - Who takes an empty slot while more slots are out than the ceiling allows
//     parks it here and queues for another one. So does the sender whose dial
//     was refused. The slots that are left hold connections, and who waits gets
//     one of those.
//   - A slot that is out comes back sooner or later, with or without its
//     connection, and there is always one: who gets the empty one may dial.
//     Nobody hangs when the last connection dies.
//   - After 5 seconds the ceiling rises by one, a parked slot goes back into the
//     pool, and whoever needs it finds out. While that is refused the time
//     doubles, up to a minute.
//   - A dial refused beside no other connection is the lockout's matter. All
//     parked slots go back, so that those who wait are told as well.
type ceiling struct {
	mu      sync.Mutex  // may be held when Client.mu is taken
	limit   int         // 0: none but MaxConns
	reached int         // connections that were allowed when limit was learnt
	filling int         // slots that are getting a connection
	parked  []*resource // empty slots
	wait    time.Duration
	rise    *time.Timer
	gen     int // counts refusals; those of dials begun before the last one are the same
}

// A filling is one slot that is getting a connection.
type filling struct {
	gen   int
	ended bool
}

func (o *ceiling) begin() *filling {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.filling++
	return &filling{gen: o.gen}
}

func (o *ceiling) end(f *filling) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finish(f)
}

func (o *ceiling) finish(f *filling) {
	if !f.ended {
		f.ended = true
		o.filling--
	}
}

// clear forgets the ceiling and returns the slots to give back.
func (o *ceiling) clear() []*resource {
	parked := o.parked
	o.limit, o.reached, o.wait, o.parked = 0, 0, 0, nil
	if o.rise != nil {
		o.rise.Stop()
	}
	return parked
}

// park takes an empty slot out of use if more are out than the ceiling allows.
func (c *Client) park(res *resource) bool {
	o := &c.lockout.ceiling
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.limit == 0 || c.cfg.MaxConns-len(o.parked) <= o.limit || c.closing.Err() != nil {
		return false
	}
	o.parked = append(o.parked, res)
	return true
}

// judge tells lockout and ceiling what came of a dial. The lockout comes first:
// who gets a parked slot back must find it in force.
func (c *Client) judge(t ticket, l login, f *filling, err *seserrors.Error) {
	refused := err != nil && err.Reason == seserrors.TooManyConnections
	limit := 0
	if refused {
		limit = c.lower(f)
	}
	c.lockout.report(t, l, err, limit > 0)
	switch {
	case limit > 0:
		c.log(slog.LevelWarn, "server allows fewer connections", slog.Int("ceiling", limit))
	case refused:
		c.lift()
	}
}

// lower returns the new ceiling, 0 if there is no other connection.
func (c *Client) lower(f *filling) int {
	o := &c.lockout.ceiling
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finish(f)
	others := c.openConns() + o.filling
	if others == 0 {
		return 0
	}
	if f.gen == o.gen {
		o.gen++
		o.wait = min(max(2*o.wait, lockoutMin), lockoutMax)
		c.riseIn(o.wait)
	}
	out := c.cfg.MaxConns - len(o.parked)
	o.limit = max(1, min(o.ceiling(c.cfg.MaxConns), others, out-1))
	o.reached = o.limit
	return o.limit
}

func (o *ceiling) ceiling(most int) int {
	if o.limit == 0 {
		return most
	}
	return o.limit
}

func (c *Client) openConns() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live)
}

// riseIn plans the next rise. The caller holds the ceiling's lock.
func (c *Client) riseIn(d time.Duration) {
	o := &c.lockout.ceiling
	if o.rise == nil {
		o.rise = time.AfterFunc(d, c.raise)
	} else {
		o.rise.Reset(d)
	}
}

// raise lets one more connection be tried.
func (c *Client) raise() {
	for _, res := range c.raised() {
		c.drop(res)
	}
}

func (c *Client) raised() (free []*resource) {
	o := &c.lockout.ceiling
	o.mu.Lock()
	defer o.mu.Unlock()
	switch last := len(o.parked) - 1; {
	case o.limit == 0:
		return nil
	case o.limit+1 >= c.cfg.MaxConns || c.closing.Err() != nil:
		return o.clear()
	case last >= 0 && c.cfg.MaxConns-len(o.parked) <= o.limit:
		free = []*resource{o.parked[last]}
		o.parked[last] = nil
		o.parked = o.parked[:last]
	}
	o.limit++
	c.riseIn(o.wait)
	return free
}

// settle makes s one of the client's own. One connection more than the server
// allowed before means that it allows more now, so the next is tried soon.
func (c *Client) settle(f *filling, s *session) (*session, *seserrors.Error) {
	o := &c.lockout.ceiling
	o.mu.Lock()
	defer o.mu.Unlock()
	s, err := c.adopt(s)
	if err != nil {
		return nil, err
	}
	o.finish(f)
	if open := c.openConns(); o.limit > 0 && open > o.reached {
		o.reached, o.wait = open, lockoutMin
		c.riseIn(o.wait)
	}
	return s, nil
}

// lift ends the ceiling and gives the parked slots back.
func (c *Client) lift() {
	o := &c.lockout.ceiling
	o.mu.Lock()
	parked := o.clear()
	o.mu.Unlock()
	for _, res := range parked {
		c.drop(res)
	}
}

// allowed is the number of connections that may be open now.
func (c *Client) allowed() int {
	o := &c.lockout.ceiling
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ceiling(c.cfg.MaxConns)
}
