package smtpclient

// closing says why a connection was closed.
type closing uint8

const (
	_              closing = iota
	closedMessages         // MaxMessagesPerConn
	closedAge              // MaxConnLifetime
	closedIdle             // MaxConnIdleTime
	closedByServer         // 421, or SES's words for it
	closedStale            // found closed, or talking out of turn, when it was taken
	closedReset            // RSET refused, or a transaction that would not end
	closedFailed           // read or write error, or a reply that is no SMTP
	closedCut              // on purpose: context, message or doubt
	closedShutdown         // Shutdown or Close
	closings
)

// String is the word for the log.
func (c closing) String() string {
	return [closings]string{"", "messages", "lifetime", "idle", "server", "stale", "reset", "failed", "cut", "shutdown"}[c]
}

// orderly reports whether QUIT may be said: nothing is half sent and the server
// is still there.
func (c closing) orderly() bool {
	switch c {
	case closedMessages, closedAge, closedIdle, closedReset, closedShutdown:
		return true
	}
	return false
}

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

// Stats returns what the client holds and has done. It does not wait for
// anything that may take long.
func (c *Client) Stats() Stats {
	ceiling := c.allowed()
	c.mu.Lock()
	defer c.mu.Unlock()
	st := Stats{
		MaxConns: c.cfg.MaxConns, Ceiling: ceiling, Open: len(c.live),
		Waiting: max(0, int(c.claimed.Load())-c.cfg.MaxConns),
		Dials:   c.dials, DialErrors: c.dialErrors, QuitErrors: c.quitErrors,
		Messages: c.messages.Load(), Redials: c.redials.Load(),
		Closed: Closings{
			Messages: c.closed[closedMessages], Lifetime: c.closed[closedAge], Idle: c.closed[closedIdle],
			Server: c.closed[closedByServer], Stale: c.closed[closedStale], Reset: c.closed[closedReset],
			Failed: c.closed[closedFailed], Cut: c.closed[closedCut], Shutdown: c.closed[closedShutdown],
		},
	}
	for s := range c.live {
		if s.due.Load() != inUse {
			st.Idle++
		}
	}
	st.InUse = st.Open - st.Idle
	return st
}
