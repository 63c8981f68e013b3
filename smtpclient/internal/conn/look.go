package conn

import (
	"errors"
	"os"
	"time"
)

// unread reports whether the server has said something that was not read, or
// has closed. What it said before a command is no answer to it: an early 250
// would be taken for the answer to the message.
//
// It takes three steps, because octets wait in three places, and in this order,
// because they move from the last to the first. Where there are no deadlines
// the first has to do.
func (c *Conn) unread() bool {
	return c.buffered() || c.timed && (c.decrypted() || c.arrived())
}

// buffered looks at what was read together with the answer before.
func (c *Conn) buffered() bool { return c.r.Buffered() > 0 }

// decrypted looks for records that crypto/tls took from the socket together
// with an earlier one. With a deadline in the past it gets no further.
func (c *Conn) decrypted() bool {
	return c.tls != nil && c.sys != nil && c.peek(past)
}

// arrived looks at the socket, or reads for a moment where there is none to be
// looked at. Over TLS what is there may mean nothing, such as a session ticket.
func (c *Conn) arrived() bool {
	if c.sys == nil {
		return c.peek(time.Now().Add(glance))
	}
	for end := time.Now().Add(lastWords); pending(c.sys); {
		if c.tls == nil || c.peek(time.Now().Add(glance)) || time.Now().After(end) {
			return true
		}
	}
	return false
}

// peek reports whether there is anything to read until t: octets, the end, an
// error.
func (c *Conn) peek(t time.Time) bool {
	c.raw.SetReadDeadline(t)
	_, err := c.r.Peek(1)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
