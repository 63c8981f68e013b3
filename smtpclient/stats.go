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

// of returns the count for a reason.
func (c *Closings) of(why conn.Closing) *int64 {
	return [conn.Closings]*int64{
		conn.ClosedMessages: &c.Messages, conn.ClosedLifetime: &c.Lifetime, conn.ClosedIdle: &c.Idle,
		conn.ClosedServer: &c.Server, conn.ClosedStale: &c.Stale, conn.ClosedReset: &c.Reset,
		conn.ClosedFailed: &c.Failed, conn.ClosedCut: &c.Cut, conn.ClosedShutdown: &c.Shutdown,
	}[why]
}

// Stats returns what the client holds and has done. It does not wait for
// anything that may take long.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.counts
	st.MaxConns, st.Ceiling = c.cfg.MaxConns, c.admission.ceiling()
	st.Open, st.Idle, st.InUse, st.Waiting = len(c.open), len(c.idle), len(c.open)-len(c.idle), c.queue.len
	return st
}
