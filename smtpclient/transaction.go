package smtpclient

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const (
	// chunkTimeout is for each chunk of the body (RFC 5321, section
	// 4.5.3.2.5: data block).
	chunkTimeout = 3 * time.Minute
	// lateReply is how long to read on when the caller's context has ended
	// after the end of the message: the answer may already be here.
	lateReply = 100 * time.Millisecond
	// whyCut is how long to read for the reason when writing the body failed.
	whyCut = time.Second
)

// A mail is one attempt: the envelope, the message, and how to send it.
type mail struct {
	from string
	to   []string
	msg  io.WriterTo

	batch    bool // pipeline
	apart    bool // leave DATA out of the batch
	lockstep bool // never pipeline
}

// send runs one transaction.
func (s *session) send(ctx context.Context, m *mail) (Reply, *failure) {
	defer s.unwatch(s.watch(ctx))
	if f := s.wake(ctx); f != nil {
		return Reply{}, f
	}
	s.mails++
	if f := s.envelope(ctx, m); f != nil {
		return Reply{}, f
	}
	return s.data(ctx, m)
}

func (s *session) envelope(ctx context.Context, m *mail) *failure {
	s.dirty = true
	if m.batch {
		return s.pipelined(ctx, m)
	}
	return s.lockstep(ctx, m)
}

func (s *session) putMail(m *mail) {
	s.w.WriteString("MAIL FROM:<")
	s.w.WriteString(m.from)
	if s.eightBit {
		s.w.WriteString("> BODY=8BITMIME\r\n")
	} else {
		s.w.WriteString(">\r\n")
	}
}

func (s *session) putRcpt(to string) {
	s.w.WriteString("RCPT TO:<")
	s.w.WriteString(to)
	s.w.WriteString(">\r\n")
}

func (s *session) putData() { s.w.WriteString("DATA\r\n") }

// lockstep waits for every answer. All recipients are asked, so that the error
// can name each one that was refused.
func (s *session) lockstep(ctx context.Context, m *mail) *failure {
	s.putMail(m)
	if f := s.expect(ctx, "smtp MAIL", 2); f != nil {
		return f
	}
	var refused *failure
	for _, to := range m.to {
		s.putRcpt(to)
		f := s.expect(ctx, "smtp RCPT", 2)
		if refused = joinRefusals(refused, f, to); f != nil && s.broken != 0 {
			return refused
		}
	}
	if refused != nil {
		return refused
	}
	s.putData()
	return s.expectData(ctx)
}

func (s *session) expect(ctx context.Context, op string, class int) *failure {
	if err := s.roundTrip(ctx); err != nil {
		return s.lost(ctx, op, err)
	}
	if s.reply.class() != class {
		return s.refused(op)
	}
	return nil
}

func (s *session) expectData(ctx context.Context) *failure {
	if err := s.roundTrip(ctx); err != nil {
		return s.lost(ctx, "smtp DATA", err)
	}
	if s.reply.code != 354 {
		return s.refused("smtp DATA")
	}
	return nil
}

// joinRefusals makes one failure of the refusals of several recipients. A
// permanent one gives the class, because repeating the message cannot help.
func joinRefusals(all, f *failure, to string) *failure {
	if f == nil {
		return all
	}
	if f.err.Code >= 400 {
		f.err.Recipients = []string{to}
	}
	if all == nil {
		return f
	}
	first, next := all.err, f.err
	if next.Code/100 != 5 || first.Code/100 == 5 {
		first, next = next, first
	}
	joined := *next
	joined.Recipients = append(append([]string(nil), all.err.Recipients...), f.err.Recipients...)
	joined.Err = errors.Join(all.err, f.err)
	return &failure{err: &joined}
}

// data sends the message and its end, and reads what became of it.
func (s *session) data(ctx context.Context, m *mail) (Reply, *failure) {
	b := newBody(ctx, s, s.maxSize, !s.eightBit)
	defer b.free()
	err := s.pour(m.msg, b)
	if f := s.sound(ctx, b, err); f != nil {
		return Reply{}, f
	}
	last := b.end()
	if f := s.sound(ctx, b, nil); f != nil {
		return Reply{}, f
	}
	s.begin(ctx, s.dataTimeout, true)
	s.w.Write(last)
	return s.verdict(ctx)
}

// pour lets the message write itself. When it panics the connection is cut
// while the panic goes on its way.
func (s *session) pour(msg io.WriterTo, b *body) error {
	w := &sink{b: b}
	returned := false
	defer func() {
		w.seal()
		if !returned {
			s.cut(closedCut)
		}
	}()
	_, err := msg.WriteTo(w)
	returned = true
	return err
}

// flush writes a part of the body. The deadline is renewed as octets move, so a
// line may be as slow as it likes. Only a socket tells while it writes whether
// they do; others get less at one time.
func (s *session) flush(ctx context.Context, p []byte) error {
	most := chunk
	if s.wire.socket {
		most = max(len(p), 1)
	}
	for part := range slices.Chunk(p, most) {
		s.arm(ctx, chunkTimeout)
		if err := s.put(part); err != nil {
			return err
		}
	}
	return nil
}

// put writes a part of the body.
func (s *session) put(part []byte) error {
	if s.encrypted {
		s.wire.gather()
	}
	_, err := s.w.Write(part)
	if err == nil {
		err = s.w.Flush()
	}
	if s.encrypted {
		err = s.wire.ship(err)
	}
	return err
}

// sound checks that message and line are both in order so far. If not, the
// connection is cut: after an orderly end the server would accept half a mail.
func (s *session) sound(ctx context.Context, b *body, err error) *failure {
	var e *seserrors.Error
	switch {
	case ctx.Err() != nil:
		e = canceled(ctx, "smtp DATA")
	case b.refused != nil:
		e = b.refused
	case b.err != nil:
		return s.bodyFailed(ctx, b.err)
	case err != nil:
		e = invalid("smtp DATA", seserrors.ContentUnreadable, "message cannot be read")
		e.Err = err
	case b.n == 0:
		e = invalid("smtp DATA", seserrors.ContentUnreadable, "message is empty; was it read before?")
	default:
		return nil
	}
	s.cut(closedCut)
	return &failure{err: e}
}

// bodyFailed is a write error before the end of the message. A server that
// closes in the middle of a message often said why.
func (s *session) bodyFailed(ctx context.Context, err error) *failure {
	defer s.cut(closedCut)
	if s.shutdown.Load() {
		return &failure{err: closedError("smtp DATA")}
	}
	if e := s.lastWords(); e != nil {
		return &failure{err: e}
	}
	if ctx.Err() != nil {
		return &failure{err: canceled(ctx, "smtp DATA")}
	}
	return &failure{err: ioError("smtp DATA", err)}
}

// lastWords reads a refusal that may be waiting, or nil.
func (s *session) lastWords() *seserrors.Error {
	s.wire.until(time.Now().Add(whyCut))
	if s.reply.read(s.r) != nil || s.reply.class() < 4 {
		return nil
	}
	return s.reply.refusal("smtp DATA", s.hide)
}

// early is the failure when the end of the message was not sent, because the
// context ended or because the server spoke first. An answer to half a message
// is no answer to the whole.
func (s *session) early(ctx context.Context, err error) *failure {
	defer s.cut(closedCut)
	switch {
	case ctx.Err() != nil:
		return &failure{err: canceled(ctx, "smtp DATA")}
	case s.shutdown.Load():
		return &failure{err: closedError("smtp DATA")}
	case err != nil:
		return &failure{err: ioError("smtp DATA", err)}
	case s.reply.class() >= 4:
		return &failure{err: s.reply.refusal("smtp DATA", s.hide)}
	}
	e := s.reply.unexpected("smtp DATA", s.hide)
	e.Message = "reply before the end of the message: " + e.Message
	return &failure{err: e}
}

const opEnd = "smtp end of data"

// dotFailed is a write error while the end of the message was written. Only a
// complete refusal takes the doubt away: an acceptance cannot be for a message
// whose end was not sent.
func (s *session) dotFailed(ctx context.Context, err error) *failure {
	if ctx.Err() == nil && !s.shutdown.Load() {
		if e := s.lastWords(); e != nil {
			s.cut(closedCut)
			e.Op = opEnd
			return &failure{err: e}
		}
	}
	return s.doubt(ctx, err)
}

// verdict sends the end of the message and reads the answer to it.
func (s *session) verdict(ctx context.Context) (Reply, *failure) {
	err := s.ask()
	if s.wire.unsent() {
		return Reply{}, s.early(ctx, err)
	}
	// From here on the message may have been accepted.
	if failed, ok := errors.AsType[*writeError](err); ok {
		return Reply{}, s.dotFailed(ctx, failed.err)
	}
	if err != nil && ctx.Err() != nil {
		err = s.readOn(err)
	}
	switch {
	case err != nil:
		return Reply{}, s.doubt(ctx, err)
	case s.reply.class() == 2:
		s.dirty = false
		return s.reply.accepted(s.hide), nil
	case s.reply.class() >= 4:
		return Reply{}, s.rejected()
	}
	f := s.doubt(ctx, errReply)
	f.err.Code = s.reply.code
	return Reply{}, f
}

// readOn goes on reading for a moment when only the context's end stopped it.
// The interruption may still be on its way and strike again.
func (s *session) readOn(err error) error {
	end := time.Now().Add(lateReply)
	for errors.Is(err, os.ErrDeadlineExceeded) && !s.shutdown.Load() && time.Now().Before(end) {
		s.wire.until(end)
		err = s.reply.resume(s.r)
	}
	return err
}

// rejected is a complete refusal of the message.
func (s *session) rejected() *failure {
	e := s.reply.refusal(opEnd, s.hide)
	if endsConnection(e) {
		s.spoil(closedByServer)
	}
	return &failure{err: e}
}

// doubt is every other end of a message whose last octet may have gone out.
func (s *session) doubt(ctx context.Context, err error) *failure {
	s.cut(closedCut)
	e := ioError(opEnd, err)
	switch {
	case ctx.Err() != nil:
		e = canceled(ctx, opEnd)
	case s.shutdown.Load():
		e = closedError(opEnd)
	case e.Reason != seserrors.ProtocolError:
		e.Class, e.Reason = seserrors.Unavailable, seserrors.ResponseLost
	}
	e.MaybeAccepted = true
	return &failure{err: e}
}
