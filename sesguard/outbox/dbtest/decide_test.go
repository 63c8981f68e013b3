package dbtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// changes are those of states that may happen. From "" is an Enqueue.
var changes = map[[2]outbox.State]bool{
	{"", outbox.Waiting}:              true,
	{outbox.Waiting, outbox.Sending}:  true,
	{outbox.Waiting, outbox.Canceled}: true,
	{outbox.Waiting, outbox.Sent}:     true, // by an event
	{outbox.Sending, outbox.Sent}:     true,
	{outbox.Sending, outbox.Waiting}:  true,
	{outbox.Sending, outbox.InDoubt}:  true,
	{outbox.Sending, outbox.Failed}:   true,
	{outbox.InDoubt, outbox.Sent}:     true,
	{outbox.InDoubt, outbox.Waiting}:  true, // by Retry
	{outbox.Failed, outbox.Waiting}:   true,
	{outbox.Canceled, outbox.Waiting}: true,
}

// People and events decide while mails flow: two Runs, eight deciders, and an SES
// that refuses, leaves doubts, and tells of an acceptance before it answers.
func TestDecisionsAtTheWorstMomentsLoseAndDoubleNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		c := &crowd{accepted: map[string]int{}, random: rand.New(rand.NewPCG(*seed, 3))}
		t.Logf("-seed %d", *seed)
		c.bed = newBed(t, p, outbox.Options{Poll: 10 * time.Millisecond, OnChange: c.change})
		c.ids = c.enqueueMany(200, nil)
		stops := []func(){c.startWith(c.attempt), c.startWith(c.attempt)}
		ctx, cancel := context.WithCancel(t.Context())
		var people sync.WaitGroup
		for n := range 8 {
			people.Go(func() { c.decide(ctx, n) })
		}
		c.until("the first end", func() bool { return c.finished(false) })
		cancel()
		people.Wait()
		c.Release(t.Context(), outbox.AccountHold)
		c.quiet.Store(true)
		c.until("the end", func() bool { c.settle(); return c.finished(true) })
		for _, stop := range stops {
			stop()
		}
		c.check()
	})
}

// A crowd is a bed among deciders.
type crowd struct {
	*bed
	ids   []string
	quiet atomic.Bool // SES accepts everything

	mu       sync.Mutex
	random   *rand.Rand
	accepted map[string]int // by TrackID, which is the ID here
	wrong    []string
}

func (c *crowd) change(change outbox.Change) {
	if !changes[[2]outbox.State{change.From, change.To}] {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.wrong = append(c.wrong, fmt.Sprintf("%s > %s", change.From, change.To))
	}
}

func (c *crowd) roll(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

func (c *crowd) has(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted[id] > 0
}

func (c *crowd) attempt(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
	id, way := m.TrackID(), c.roll(8)
	if c.quiet.Load() {
		way = 7
	}
	switch way {
	case 0:
		return nil, refusal(seserrors.MessageRejected)
	case 1:
		return nil, doubt()
	}
	c.mu.Lock()
	c.accepted[id]++
	c.mu.Unlock()
	switch way {
	case 2:
		return nil, doubt()
	case 3: // the event comes first
		if err := c.Settle(ctx, id, "ses-"+id, time.Now()); err != nil {
			c.t.Error(err)
		}
	}
	return &sesguard.Receipt{MessageID: "ses-" + id}, nil
}

// decide is one decider. Cancel, Erase and the holds come from all; Retry and
// Settle, which are somebody's word about SES, from one for each mail.
func (c *crowd) decide(ctx context.Context, n int) {
	for ctx.Err() == nil {
		i := c.roll(len(c.ids))
		id := c.ids[i]
		mine := c.ids[i-i%8+n]
		allowed := func(err error) {
			if err != nil && err != outbox.ErrState && err != outbox.ErrErased && ctx.Err() == nil {
				c.t.Errorf("a decision: %v", err)
			}
		}
		switch c.roll(6) {
		case 0:
			allowed(c.Cancel(ctx, id))
		case 1, 2:
			if r := c.get(mine); r.State == outbox.InDoubt || r.State == outbox.Failed || r.State == outbox.Canceled {
				c.word(ctx, mine, allowed)
			}
		case 3:
			if err := c.Hold(ctx, outbox.AccountHold, "a person"); err != nil && ctx.Err() == nil {
				c.t.Error(err)
			}
		case 4, 5:
			if err := c.Release(ctx, outbox.AccountHold); err != nil && err != outbox.ErrNotFound && ctx.Err() == nil {
				c.t.Error(err)
			}
		}
	}
}

// word tells the outbox what SES has.
func (c *crowd) word(ctx context.Context, id string, allowed func(error)) {
	if c.has(id) {
		allowed(c.Settle(ctx, id, "ses-"+id, time.Now()))
		return
	}
	allowed(c.Retry(ctx, id))
}

// settle decides about all that no Run will touch any more.
func (c *crowd) settle() {
	for _, id := range c.ids {
		switch c.get(id).State {
		case outbox.InDoubt, outbox.Failed, outbox.Canceled:
			c.word(context.Background(), id, func(err error) {
				if err != nil {
					c.t.Error(err)
				}
			})
		}
	}
}

// finished reports whether nothing waits or, with all, whether all is sent.
func (c *crowd) finished(all bool) bool {
	s := c.stats()
	if all {
		return s.N(outbox.Sent) == len(c.ids)
	}
	return s.N(outbox.Sent) > len(c.ids)/2
}

func (c *crowd) check() {
	c.t.Helper()
	for _, id := range c.ids {
		if n := c.accepted[id]; n != 1 {
			c.t.Errorf("SES has a mail %d times", n)
		}
	}
	if len(c.wrong) > 0 {
		c.t.Errorf("changes that must not be: %q", c.wrong)
	}
	if n := c.stats().Duplicates; n > 0 {
		c.t.Errorf("%d duplicates", n)
	}
	if n := c.number("select count(*) from sesguard_content"); n > 0 {
		c.t.Errorf("%d contents are left", n)
	}
}
