package smtpclient

import (
	"context"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// window bounds how many commands go out before their answers are read: a
// server that cannot get rid of its answers stops reading (RFC 2920, section
// 3.1).
const window = 100

// A batch is what the answers to pipelined commands have said so far.
type batch struct {
	refused *failure // the first refusal in command order, joined with those of other recipients
	mail    bool     // MAIL was accepted
	data    bool     // DATA was accepted
}

// pipelined sends the envelope without waiting (RFC 2920) and reads every
// answer.
func (s *session) pipelined(ctx context.Context, m *mail) *failure {
	f := s.runBatch(ctx, m)
	if f != nil && !s.pipelining && s.broken != closedStale && f.err.Class != seserrors.Canceled && f.err.Code/100 != 4 {
		f.unforced = true
	}
	return f
}

func (s *session) runBatch(ctx context.Context, m *mail) *failure {
	var b batch
	s.dirty = true
	total := len(m.to) + 2
	if m.apart {
		total--
	}
	for i := 0; i < total && b.refused == nil; i += window {
		end := min(i+window, total)
		if f := s.runWindow(ctx, m, &b, i, end); f != nil {
			return f
		}
	}
	switch {
	case b.refused != nil && b.data:
		// The server waits for a message to the other recipients. A dot would
		// send them an empty one; RSET would become its first line.
		s.cut(closedCut)
		b.refused.orphan, b.refused.redial = true, false
		return b.refused
	case b.refused != nil || b.data:
		return b.refused
	}
	s.putData()
	return s.expectData(ctx)
}

// runWindow sends the commands from i up to end and reads their answers.
func (s *session) runWindow(ctx context.Context, m *mail, b *batch, i, end int) *failure {
	s.begin(ctx, s.timeout(), s.look)
	for j := i; j < end; j++ {
		s.putCommand(m, j)
	}
	for j, err := i, s.askFirst(); ; err = s.answer() {
		if err != nil {
			return s.lostBatch(ctx, m, b, j, err)
		}
		if f := s.takeAnswer(m, b, j); f != nil {
			return f
		}
		if j++; j == end {
			return nil
		}
		if s.r.Buffered() == 0 {
			s.arm(ctx, s.timeout())
		}
	}
}

// putCommand writes command j: MAIL, the recipients, DATA.
func (s *session) putCommand(m *mail, j int) {
	switch {
	case j == 0:
		s.putMail(m)
	case j <= len(m.to):
		s.putRcpt(m.to[j-1])
	default:
		s.putData()
	}
}

func (m *mail) op(j int) string {
	switch {
	case j == 0:
		return "smtp MAIL"
	case j <= len(m.to):
		return "smtp RCPT"
	}
	return "smtp DATA"
}

// takeAnswer notes the answer to command j. It returns a failure only when
// there is no point in reading on.
func (s *session) takeAnswer(m *mail, b *batch, j int) *failure {
	class, isData := s.reply.class(), j > len(m.to)
	switch {
	case isData && s.reply.code == 354:
		b.data = true
		return nil
	case !isData && class == 2:
		b.mail = b.mail || j == 0
		return nil
	case class != 4 && class != 5:
		return b.or(s.refused(m.op(j)))
	case b.refused != nil && (!b.mail || isData):
		return s.echo(b, m.op(j))
	}
	f := s.refused(m.op(j))
	if b.mail && !isData {
		b.refused = joinRefusals(b.refused, f, m.to[j-1])
	} else {
		b.refused = f
	}
	if s.broken != 0 {
		return b.refused
	}
	return nil
}

// or prefers the refusal that decides to a later failure.
func (b *batch) or(f *failure) *failure {
	if b.refused != nil {
		b.refused.redial = false
		return b.refused
	}
	return f
}

// echo is the refusal of a command because an earlier one was refused. It says
// nothing, unless it ends the connection.
func (s *session) echo(b *batch, op string) *failure {
	if endsConnection(s.reply.refusal(op, s.hide)) {
		s.spoil(closedByServer)
		return b.refused
	}
	return nil
}

// lostBatch is a connection that died within the answers.
func (s *session) lostBatch(ctx context.Context, m *mail, b *batch, j int, err error) *failure {
	return b.or(s.lost(ctx, m.op(j), err))
}

// orphans counts batches in which a server took DATA although a recipient was
// refused. Each costs a connection, so after a few of them DATA waits for the
// answers for a while.
type orphans struct {
	mu    sync.Mutex
	n     int
	until time.Time
}

const (
	maxOrphans  = 3
	orphanPause = 10 * time.Minute
)

func (o *orphans) note() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n++; o.n >= maxOrphans {
		o.n, o.until = 0, time.Now().Add(orphanPause)
	}
}

func (o *orphans) apart() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.until.IsZero() && time.Now().Before(o.until)
}
