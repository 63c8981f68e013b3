package smtpclient

import (
	"bufio"
	"context"
	"sync/atomic"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const (
	// firstAnswer bounds the first answer on a connection that was used
	// before: a line that died silently shows in no other way.
	firstAnswer = 10 * time.Second
	// goodbye bounds QUIT, and afterClose the server's own closing after it.
	goodbye    = time.Second
	afterClose = 100 * time.Millisecond
)

// A session is one connection that is ready for messages. One goroutine uses
// it at a time; only wire.cut and wire.interrupt may come from others.
type session struct {
	wire  *wire
	r     *bufio.Reader // over TLS if there is TLS
	w     *bufio.Writer // net/smtp's own
	reply replyReader
	hide  secrets

	eightBit, pipelining bool
	encrypted            bool
	maxSize              int64
	commandTimeout       time.Duration
	dataTimeout          time.Duration
	interrupt            func() // wire.interrupt, bound once

	used     bool        // was idle in the pool since it was opened
	look     bool        // and nothing was sent since: look before sending
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
	_, encrypted := s.client.TLSConnectionState()
	return &session{
		wire: s.wire, r: bufio.NewReader(&ear{s.in, s.wire}), w: s.client.Text.W, hide: s.hide,
		eightBit: s.offers("8BITMIME"), pipelining: s.offers("PIPELINING"), encrypted: encrypted, maxSize: messageLimit(s.size()),
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

// arm sets the limit for what comes next; 0 is none.
func (s *session) arm(ctx context.Context, d time.Duration) {
	s.wire.arm(d)
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

// begin makes what is written next a request, which ask sends. The answer must
// be there within d. With look, the server must not have said anything yet.
func (s *session) begin(ctx context.Context, d time.Duration, look bool) {
	s.arm(ctx, d)
	s.wire.hold(look, s.r.Buffered() > 0)
}

// ask sends the request and reads one reply. Where the server has spoken first,
// the request stays unsent and the reply is what it said.
func (s *session) ask() error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	return s.answer()
}

// roundTrip sends the command in the buffer and reads its answer.
func (s *session) roundTrip(ctx context.Context) error {
	s.begin(ctx, s.timeout(), s.look)
	return s.askFirst()
}

// askFirst is ask for a command, or the first of a batch.
func (s *session) askFirst() error {
	first := s.look
	s.look = false
	err := s.ask()
	switch {
	case !s.wire.unsent():
		return err
	case first:
		return errStale
	case err == nil && s.reply.class() < 4:
		return errTalks
	}
	return err // or none: a refusal is as good as an answer, and the last
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

// lost is a failure of the line, or a reply that makes no sense, before the
// message was sent.
func (s *session) lost(ctx context.Context, op string, err error) *failure {
	switch {
	case ctx.Err() != nil:
		s.spoil(closedCut)
	case err == errStale:
		s.spoil(closedStale)
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
	case s.wire.unsent():
		s.spoil(closedFailed)
	case e.Code == 503 && s.used: // our own stale transaction
		s.spoil(closedReset)
		f.redial = true
	default:
		s.dirty = true
	}
	return f
}

// wake prepares a session out of the pool: its first request finds out whether
// it is alive, and is RSET if the server may hold a transaction.
func (s *session) wake(ctx context.Context) *failure {
	s.silent, s.look = s.used, s.used
	if !s.used || !s.dirty {
		return nil
	}
	return s.reset(ctx)
}

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
	s.wire.until(time.Now().Add(goodbye))
	s.w.WriteString("QUIT\r\n")
	if s.w.Flush() != nil || s.reply.read(s.r) != nil {
		return false
	}
	s.wire.until(time.Now().Add(afterClose))
	s.r.ReadByte() // the end: now the server does not count the connection any more
	return true
}
