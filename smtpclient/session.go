package smtpclient

import (
	"bufio"
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const (
	// firstAnswer bounds the first answer on a connection that was used
	// before: a line that died silently shows in no other way.
	firstAnswer = 10 * time.Second
	// deadlineSlack is how much too early a deadline may come.
	deadlineSlack = 5 * time.Millisecond
	// goodbye bounds QUIT, and afterClose the server's own closing after it.
	goodbye    = time.Second
	afterClose = 100 * time.Millisecond
)

// A session is one connection that is ready for messages. One goroutine uses
// it at a time; only wire.cut and wire.interrupt may come from others.
type session struct {
	wire  *wire
	r     *bufio.Reader // net/smtp's own, over TLS if there is TLS
	w     *bufio.Writer
	reply replyReader
	hide  secrets

	eightBit, pipelining bool
	maxSize              int64
	commandTimeout       time.Duration
	dataTimeout          time.Duration
	interrupt            func() // wire.interrupt, bound once

	armed struct { // what arm has set; d is 0 when another deadline may stand
		d   time.Duration
		end time.Time
	}

	used     bool        // was idle in the pool since it was opened
	silent   bool        // no answer came since it was taken out of the pool
	dirty    bool        // the server may hold a transaction: RSET comes first
	mails    int         // MAIL commands
	broken   closing     // why it cannot be used any more; 0: it can
	shutdown atomic.Bool // cut by Client.Close

	born, idleSince time.Time
	lifetime        time.Duration // this one's, jittered; 0: none
	due             atomic.Int64  // idle, and must be closed then, in nanoseconds since Client.epoch; or inUse
}

func newSession(s *setup) *session {
	now := time.Now()
	return &session{
		wire: s.wire, r: s.client.Text.R, w: s.client.Text.W, hide: s.hide,
		eightBit: s.offers("8BITMIME"), pipelining: s.offers("PIPELINING"), maxSize: messageLimit(s.size()),
		commandTimeout: s.cfg.CommandTimeout, dataTimeout: s.cfg.DataTimeout,
		interrupt: s.wire.interrupt, born: now, idleSince: now,
	}
}

func messageLimit(size int64) int64 {
	if size == 0 {
		return maxMessage
	}
	return min(size, maxMessage)
}

// A failure is an attempt on one session that did not succeed.
type failure struct {
	err      *seserrors.Error
	redial   bool // the session was old and nothing was sent yet: try a new one, silently
	unforced bool // pipelining that was not advertised may be to blame
	orphan   bool // DATA was taken although a recipient was refused: batches should leave it out
}

// arm sets the deadline for what comes next; 0 is none. A deadline erases an
// interruption, so the context is looked at afterwards. An interruption that
// comes later sets its own deadline. Setting one costs more than looking at the
// clock, so one that is as good as new stays.
func (s *session) arm(ctx context.Context, d time.Duration) {
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	if d > 0 && d == s.armed.d && t.Sub(s.armed.end) < deadlineSlack {
		return
	}
	s.armed.d, s.armed.end = d, t
	s.wire.SetDeadline(t)
	if ctx.Err() != nil {
		s.wire.interrupt()
	}
}

// watch interrupts the session when ctx ends. The function it returns stops
// that; when it comes too late, the interruption's deadline would hit the next
// message, so the session is given up.
func (s *session) watch(ctx context.Context) (unwatch func() bool) {
	if ctx.Done() == nil {
		return nil
	}
	return context.AfterFunc(ctx, s.interrupt)
}

func (s *session) unwatch(stop func() bool) {
	if stop != nil && !stop() {
		s.spoil(closedCut)
	}
}

// spoil marks the session as useless. The first reason stays.
func (s *session) spoil(why closing) {
	if s.broken == 0 {
		s.broken = why
	}
}

func (s *session) cut(why closing) {
	s.spoil(why)
	s.wire.cut()
}

// cutByOther is for a goroutine that does not use the session.
func (s *session) cutByOther() { s.wire.cut() }

// roundTrip sends what is in the buffer and reads one reply.
func (s *session) roundTrip(ctx context.Context) error {
	s.arm(ctx, s.timeout())
	if err := s.w.Flush(); err != nil {
		return err
	}
	return s.answer()
}

func (s *session) answer() error {
	err := s.reply.read(s.r)
	if err == nil {
		s.silent = false
	}
	return err
}

func (s *session) timeout() time.Duration {
	if s.silent && (s.commandTimeout == 0 || s.commandTimeout > firstAnswer) {
		return firstAnswer
	}
	return s.commandTimeout
}

// readWithin sets the read deadline alone.
func (s *session) readWithin(d time.Duration) {
	s.armed.d = 0
	s.wire.SetReadDeadline(time.Now().Add(d))
}

// quiet reports whether the server has said nothing that was not asked for. The
// deadline must not have passed, and must be set again afterwards.
func (s *session) quiet() bool {
	if s.r.Buffered() > 0 {
		return false
	}
	if s.wire.raw == nil {
		s.readWithin(glance)
	}
	s.wire.look = true
	_, err := s.r.Peek(1)
	s.wire.look = false
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// lost is a failure of the line, or a reply that makes no sense, before the
// message was sent.
func (s *session) lost(ctx context.Context, op string, err error) *failure {
	if ctx.Err() != nil {
		s.spoil(closedCut)
	}
	s.cut(closedFailed)
	switch {
	case ctx.Err() != nil:
		return &failure{err: canceled(ctx, op)}
	case s.shutdown.Load():
		return &failure{err: closedError(op)}
	}
	return &failure{err: ioError(op, err), redial: s.used}
}

// refused is a complete reply other than the one that was hoped for, before
// the message was sent.
func (s *session) refused(op string) *failure {
	if c := s.reply.class(); c != 4 && c != 5 {
		s.cut(closedFailed)
		return &failure{err: s.reply.unexpected(op, s.hide)}
	}
	e := s.reply.refusal(op, s.hide)
	f := &failure{err: e}
	switch {
	case endsConnection(e):
		s.spoil(closedByServer)
		f.redial = s.used && e.Reason != seserrors.TooManyConnections
	case e.Code == 503 && s.used: // our own stale transaction
		s.spoil(closedReset)
		f.redial = true
	default:
		s.dirty = true
	}
	return f
}

// wake makes sure that a session out of the pool is alive and without a
// transaction.
func (s *session) wake(ctx context.Context) *failure {
	s.silent = s.used
	if !s.used {
		return nil
	}
	s.arm(ctx, s.timeout())
	if !s.quiet() {
		s.spoil(closedStale)
		return s.lost(ctx, "smtp", errTalks)
	}
	if !s.dirty {
		return nil
	}
	return s.reset(ctx)
}

var errTalks = errors.New("connection was closed while idle")

// reset is the RSET that an earlier refusal made necessary.
func (s *session) reset(ctx context.Context) *failure {
	s.w.WriteString("RSET\r\n")
	if err := s.roundTrip(ctx); err != nil {
		return s.lost(ctx, "smtp RSET", err)
	}
	if s.reply.code != 250 {
		f := s.refused("smtp RSET")
		s.spoil(closedReset)
		f.redial = true
		return f
	}
	s.dirty = false
	return nil
}

// noop is Ping's transaction.
func (s *session) noop(ctx context.Context) *failure {
	defer s.unwatch(s.watch(ctx))
	if f := s.wake(ctx); f != nil {
		return f
	}
	s.w.WriteString("NOOP\r\n")
	if err := s.roundTrip(ctx); err != nil {
		return s.lost(ctx, "smtp NOOP", err)
	}
	if s.reply.class() != 2 {
		return s.refused("smtp NOOP")
	}
	return nil
}

// quit says goodbye if that can be done quickly, and closes. Its failure means
// nothing to anyone; it reports whether there was one.
func (s *session) quit() (ok bool) {
	defer s.wire.Close()
	s.wire.SetDeadline(time.Now().Add(goodbye))
	s.w.WriteString("QUIT\r\n")
	if s.w.Flush() != nil || s.reply.read(s.r) != nil {
		return false
	}
	s.wire.SetReadDeadline(time.Now().Add(afterClose))
	s.r.ReadByte() // the end: now the server does not count the connection any more
	return true
}
