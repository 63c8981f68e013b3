package conn

import (
	"context"
	"errors"
	"os"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const (
	// chunkTimeout is for each chunk of the body (RFC 5321, section
	// 4.5.3.2.5: data block).
	chunkTimeout = 3 * time.Minute
	// lateReply is how long to read on when the context has ended after the end
	// of the message: the answer may already be here.
	lateReply = 100 * time.Millisecond
	// lastWords is how long to read for the reason when the server has closed,
	// or has said something before its turn.
	lastWords = time.Second
)

const (
	opData = "smtp DATA"
	opEnd  = "smtp end of data"
)

// Send runs one transaction. The end of ctx ends it, except inside the body's
// own WriteTo, whose owner must see to that.
func (c *Conn) Send(ctx context.Context, m *Mail) (reply Reply, f *Failure) {
	c.during(ctx, func() { reply, f = c.transaction(ctx, m) })
	return reply, f
}

func (c *Conn) transaction(ctx context.Context, m *Mail) (Reply, *Failure) {
	if f := c.rset(ctx); f != nil {
		return Reply{}, f
	}
	c.mails++
	c.dirty = true
	if f := c.envelope(ctx, m); f != nil {
		return Reply{}, f
	}
	return c.data(ctx, m)
}

// Noop asks the server for a sign of life.
func (c *Conn) Noop(ctx context.Context) (f *Failure) {
	c.during(ctx, func() {
		if f = c.rset(ctx); f == nil {
			f = c.command(ctx, "smtp NOOP", 2, "NOOP")
		}
	})
	return f
}

// rset says RSET if an earlier refusal has made it necessary.
func (c *Conn) rset(ctx context.Context) *Failure {
	if !c.dirty {
		return nil
	}
	f := c.command(ctx, "smtp RSET", 250, "RSET")
	if f == nil {
		c.dirty = false
	} else if c.stopped(ctx, "") == nil {
		c.spoil(ClosedReset)
		f.Redial = f.Err.Reason != seserrors.TooManyConnections
	}
	return f
}

// envelope says MAIL, RCPT and DATA. All recipients are asked, so that the
// error can name each one that was refused.
func (c *Conn) envelope(ctx context.Context, m *Mail) *Failure {
	params := ">"
	if c.eightBit {
		params = "> BODY=8BITMIME"
	}
	if f := c.command(ctx, "smtp MAIL", 2, "MAIL FROM:<", m.From, params); f != nil {
		return f
	}
	var refused *Failure
	for _, to := range m.To {
		f := c.command(ctx, "smtp RCPT", 2, "RCPT TO:<", to, ">")
		refused = joinRefusals(refused, f, to)
		if f != nil && c.broken != 0 {
			return refused
		}
	}
	if refused != nil {
		return refused
	}
	return c.command(ctx, opData, 354, "DATA")
}

// joinRefusals makes one failure of the refusals of several recipients. A
// permanent one gives the class, because repeating the message cannot help.
func joinRefusals(all, f *Failure, to string) *Failure {
	if f == nil {
		return all
	}
	if f.Err.Code >= 400 {
		f.Err.Recipients = []string{to}
	}
	if all == nil {
		return f
	}
	first, next := all.Err, f.Err
	if next.Code/100 != 5 || first.Code/100 == 5 {
		first, next = next, first
	}
	joined := *next
	joined.Recipients = append(append([]string(nil), all.Err.Recipients...), f.Err.Recipients...)
	joined.Err = errors.Join(all.Err, f.Err)
	return &Failure{Err: &joined}
}

// command sends a command and reads the answer, which must have the code want,
// or begin with it.
func (c *Conn) command(ctx context.Context, op string, want int, words ...string) *Failure {
	wait := c.cfg.CommandTimeout
	if c.idle {
		c.idle = false
		if c.unread() {
			return c.lost(ctx, op, errStale)
		}
		if wait == 0 || wait > firstAnswer {
			wait = firstAnswer
		}
	}
	if c.buffered() {
		return c.outOfTurn(ctx, op)
	}
	c.deadline(ctx, wait)
	c.buf = c.buf[:0]
	for _, w := range words {
		c.buf = append(c.buf, w...)
	}
	c.buf = append(c.buf, '\r', '\n')
	_, err := c.rw.Write(c.buf)
	if err == nil {
		err = c.reply.read(c.r)
	}
	switch {
	case err != nil:
		return c.lost(ctx, op, err)
	case c.reply.code != want && c.reply.class() != want:
		return c.refused(op)
	}
	return nil
}

// outOfTurn is the failure when the server has spoken before the command. A
// refusal is as good as an answer, and the last.
func (c *Conn) outOfTurn(ctx context.Context, op string) *Failure {
	c.deadline(ctx, lastWords)
	err := c.reply.read(c.r)
	if err == nil && c.reply.class() < 4 {
		err = errTalks
	}
	if err != nil {
		return c.lost(ctx, op, err)
	}
	f := c.refused(op)
	c.spoil(ClosedFailed)
	return f
}

// lost is a failure of the line, or a reply that makes no sense, before the
// message was sent.
func (c *Conn) lost(ctx context.Context, op string, err error) *Failure {
	switch {
	case ctx.Err() != nil:
		c.giveUp(ClosedCut)
	case err == errStale:
		c.giveUp(ClosedStale)
	default:
		c.giveUp(ClosedFailed)
	}
	if e := c.stopped(ctx, op); e != nil {
		return &Failure{Err: e}
	}
	return &Failure{Err: ioError(op, err), Redial: c.used}
}

// refused is a complete reply other than the one that was hoped for, before
// the message was sent.
func (c *Conn) refused(op string) *Failure {
	if class := c.reply.class(); class != 4 && class != 5 {
		c.giveUp(ClosedFailed)
		return &Failure{Err: c.reply.unexpected(op, c.hide)}
	}
	f := &Failure{Err: c.reply.refusal(op, c.hide)}
	switch {
	case endsConnection(f.Err):
		c.spoil(ClosedServer)
		f.Redial = c.used && f.Err.Reason != seserrors.TooManyConnections
	case f.Err.Code == 503 && c.used: // our own stale transaction
		c.spoil(ClosedReset)
		f.Redial = true
	}
	return f
}

// data sends the message and its end, and reads what became of it.
func (c *Conn) data(ctx context.Context, m *Mail) (Reply, *Failure) {
	c.buf = c.buf[:0]
	b := &body{ctx: ctx, conn: c}
	err := b.fill(m.Body)
	if err == nil {
		b.end()
	}
	e := c.unsound(ctx, b, err)
	if e == nil && c.unread() {
		e = c.unfinished(ctx, opData, nil)
	}
	if e == nil {
		c.deadline(ctx, c.cfg.DataTimeout)
		e = c.stopped(ctx, opData)
	}
	if e != nil {
		// An orderly end would make some servers accept half a mail.
		c.giveUp(ClosedCut)
		return Reply{}, &Failure{Err: e}
	}
	// From here on the message may have been accepted.
	if _, err := c.rw.Write(c.buf); err != nil {
		return Reply{}, c.endFailed(ctx, err)
	}
	return c.verdict(ctx)
}

// unsound is the error of a message that must not be ended, because the source
// or the line failed, or nil.
func (c *Conn) unsound(ctx context.Context, b *body, err error) *seserrors.Error {
	switch e := c.stopped(ctx, opData); {
	case e != nil:
		return e
	case b.refused != nil:
		return b.refused
	case b.err != nil:
		return c.unfinished(ctx, opData, b.err)
	case errors.Is(err, ErrClosed):
		return Closed(opData)
	case err != nil:
		e = invalid(seserrors.ContentUnreadable, "message cannot be read")
		e.Err = err
		return e
	case b.n == 0:
		return invalid(seserrors.ContentUnreadable, "message is empty; was it read before?")
	}
	return nil
}

// unfinished is the error of op when the line broke before the end of the
// message was written, or, without err, when the server spoke or closed. It
// often says why; an acceptance of half a message is none.
func (c *Conn) unfinished(ctx context.Context, op string, err error) *seserrors.Error {
	if e := c.stopped(ctx, op); e != nil {
		return e
	}
	c.deadline(ctx, lastWords)
	readErr := c.reply.read(c.r)
	e := c.stopped(ctx, op)
	switch {
	case readErr == nil && c.reply.class() >= 4:
		e = c.reply.refusal(op, c.hide)
	case e != nil:
	case err == nil && readErr == nil:
		e = c.reply.unexpected(op, c.hide)
		e.Message = "reply before the end of the message: " + e.Message
	case err == nil:
		e = ioError(op, readErr)
	default:
		e = ioError(op, err)
	}
	return e
}

// endFailed is a write error while the end of the message was written. Only a
// complete refusal takes the doubt away: an acceptance cannot be for a message
// whose end was not sent.
func (c *Conn) endFailed(ctx context.Context, err error) *Failure {
	if e := c.unfinished(ctx, opEnd, err); e.Code >= 400 {
		c.giveUp(ClosedCut)
		return &Failure{Err: e}
	}
	return c.doubt(ctx, err)
}

// verdict reads the answer to the message.
func (c *Conn) verdict(ctx context.Context) (Reply, *Failure) {
	err := c.reply.read(c.r)
	if err != nil && ctx.Err() != nil {
		err = c.readOn(err)
	}
	switch code := c.reply.code; {
	case err != nil:
		return Reply{}, c.doubt(ctx, err)
	case code == 250 || code == 251:
		c.dirty = false
		return Reply{Code: code, Text: c.hide.clean(string(c.reply.text))}, nil
	case c.reply.class() >= 4:
		e := c.reply.refusal(opEnd, c.hide)
		if endsConnection(e) {
			c.spoil(ClosedServer)
		}
		return Reply{}, &Failure{Err: e}
	}
	f := c.doubt(ctx, errReply)
	f.Err.Code = c.reply.code
	return Reply{}, f
}

// readOn goes on reading for a moment when only the context's end stopped it.
// The interruption may still be on its way and strike again.
func (c *Conn) readOn(err error) error {
	end := time.Now().Add(lateReply)
	for errors.Is(err, os.ErrDeadlineExceeded) && !c.cut.Load() && time.Now().Before(end) {
		c.limit(time.Until(end))
		err = c.reply.resume(c.r)
	}
	return err
}

// doubt is every other end of a message whose last octet may have gone out.
func (c *Conn) doubt(ctx context.Context, err error) *Failure {
	c.giveUp(ClosedCut)
	e := c.stopped(ctx, opEnd)
	if e == nil {
		e = ioError(opEnd, err)
		if e.Reason != seserrors.ProtocolError {
			e.Class, e.Reason = seserrors.Unavailable, seserrors.ResponseLost
		}
	}
	e.MaybeAccepted = true
	return &Failure{Err: e}
}
