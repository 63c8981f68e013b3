package smtpclient

import "github.com/sesguard/sesguard-go/smtpclient/internal/conn"

// Stats is a snapshot of a Client. Open is always Idle plus InUse, and Dials
// always Open plus DialErrors plus the sum of Closed plus the dials under way.
type Stats struct {
	MaxConns int
	Ceiling  int // connections that may be open now: MaxConns, or fewer for a while after the server said that there are too many
	Open     int // connections that are set up
	Idle     int // of them, waiting for a message
	InUse    int // of them, with a message or a goodbye under way
	Waiting  int // calls of Send and Ping that wait for a connection to be free

	Dials      int64 // connections begun
	DialErrors int64 // of them, those that could not be set up, also when nobody waited any more
	Messages   int64 // accepted with 250
	Redials    int64 // messages that were moved to a new connection without a word
	QuitErrors int64 // goodbyes that failed; nothing depends on them

	Closed Closings
}

// Closings counts closed connections by reason.
type Closings struct {
	Messages int64 // MaxMessagesPerConn was reached
	Lifetime int64 // MaxConnLifetime was over
	Idle     int64 // MaxConnIdleTime was over
	Server   int64 // the server said that it closes: 421, too long idle, too many messages
	Stale    int64 // found closed, or talking out of turn, before a message
	Reset    int64 // RSET was refused, or an old transaction stood in the way
	Failed   int64 // read or write error, timeout, or a reply that is no SMTP
	Cut      int64 // cut on purpose: context ended, message unreadable, answer missing
	Shutdown int64 // Shutdown or Close
}

// Total is the sum of all.
func (c Closings) Total() int64 {
	return c.Messages + c.Lifetime + c.Idle + c.Server + c.Stale + c.Reset + c.Failed + c.Cut + c.Shutdown
}

// counts is what Stats counts over the client's life. Its lock guards it.
type counts struct {
	dials, dialErrors, messages, redials, quitErrors int64
	closed                                           [conn.Closings]int64
}

func (c *Client) count(n *int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

// Stats returns what the client holds and has done. It does not wait for
// anything that may take long.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts
	return Stats{
		MaxConns: c.cfg.MaxConns, Ceiling: c.admission.ceiling(),
		Open: len(c.open), Idle: len(c.idle), InUse: len(c.open) - len(c.idle), Waiting: c.queue.len,
		Dials: n.dials, DialErrors: n.dialErrors, Messages: n.messages, Redials: n.redials, QuitErrors: n.quitErrors,
		Closed: Closings{
			Messages: n.closed[conn.ClosedMessages], Lifetime: n.closed[conn.ClosedLifetime], Idle: n.closed[conn.ClosedIdle],
			Server: n.closed[conn.ClosedServer], Stale: n.closed[conn.ClosedStale], Reset: n.closed[conn.ClosedReset],
			Failed: n.closed[conn.ClosedFailed], Cut: n.closed[conn.ClosedCut], Shutdown: n.closed[conn.ClosedShutdown],
		},
	}
}
