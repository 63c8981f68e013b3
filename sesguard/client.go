package sesguard

import (
	"context"
)

// A Client sends Messages through one [Transport] by the rules of a [Guard]. It
// is a [Sender], safe for concurrent use.
type Client struct {
	transport Transport
	guard     *Guard
}

// New is NewGuard(opts).Client(t). It panics if t is nil.
func New(t Transport, opts Options) *Client { return NewGuard(opts).Client(t) }

// Send validates and builds m, and sends it as [Client.SendBuilt] does.
func (c *Client) Send(ctx context.Context, m *Message) (*Receipt, error) {
	mail, err := Build(m)
	if err != nil {
		return nil, err
	}
	return c.SendBuilt(ctx, mail)
}

// SendBuilt may block for an hour when ctx has no deadline: that is how long
// the default policy waits for trouble that time cures.
func (c *Client) SendBuilt(ctx context.Context, m *Mail) (*Receipt, error) {
	info := Info{
		From: m.author, ConfigurationSet: m.configurationSet, Tenant: m.tenant,
		Recipients: len(m.recipients), TrackID: m.trackID,
	}
	if tag := c.guard.opts.TrackTag; tag != "" {
		tracked, err := m.Track(tag)
		if err != nil {
			return nil, err
		}
		m = tracked
	}
	return c.guard.Do(ctx, info, func(ctx context.Context) (*Receipt, error) {
		return c.transport.Attempt(ctx, m)
	})
}

// Shutdown is that of the Client's [Guard].
func (c *Client) Shutdown(ctx context.Context) error { return c.guard.Shutdown(ctx) }
