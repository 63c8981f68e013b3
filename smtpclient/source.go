package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
)

// An opener is a message that is opened when there is a connection for it.
type opener interface {
	Open(ctx context.Context) (io.ReadCloser, error)
}

// content is what a connection lets write itself: the message, or what stands
// between the two, so that no code of the caller's can hold up a send. It is to
// be closed if it has a Close.
func (c *Client) content(ctx context.Context, msg io.WriterTo) (io.WriterTo, *seserrors.Error) {
	switch msg.(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return msg, nil
	}
	o, ok := msg.(opener)
	if !ok {
		return &source{ctx: ctx, life: c.life, msg: msg, parts: make(chan []byte), taken: make(chan struct{}, 1), gone: make(chan struct{})}, nil
	}
	reading, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(ErrClosed) })
	end := func() { stop(); cancel(nil) }
	opened := false
	defer func() {
		if !opened {
			end()
		}
	}()
	r, err := o.Open(reading)
	if err == nil && r == nil {
		err = errors.New("Open returned neither a reader nor an error")
	}
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, seserrors.FromContext(ctx, opOpen)
	case c.life.Err() != nil && err != nil:
		return nil, conn.Closed(opOpen)
	case err != nil:
		e := invalid(opOpen, seserrors.ContentUnreadable, "message cannot be opened")
		e.Err = err
		return nil, e
	}
	opened = true
	return &opening{r, end}, nil
}

const opOpen = "smtp message"

// An opening is the reader of a message that was opened.
type opening struct {
	io.ReadCloser
	end func()
}

// WriteTo uses the reader's own if it has one.
func (o *opening) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, o.ReadCloser) }

func (o *opening) Close() error {
	defer o.end()
	return o.ReadCloser.Close()
}

// maxPart is how much a source gathers before it hands it over.
const maxPart = 32 << 10

// A source lets a message write itself in a goroutine of its own and passes on
// what it writes, until its context or the client ends. The message never gets
// to see a buffer that is used for anything else: what it has of this one is
// garbage when the send is over.
type source struct {
	ctx, life context.Context
	msg       io.WriterTo

	parts chan []byte   // what was gathered
	taken chan struct{} // may be gathered into again
	gone  chan struct{} // closed: nobody takes parts any more

	mu     sync.Mutex // a message may write from several goroutines
	buf    []byte
	sealed bool // WriteTo has returned

	err      error // of WriteTo, when parts is closed
	panicked any
}

var (
	errSealed  = errors.New("smtpclient: write after WriteTo returned")
	errStopped = errors.New("smtpclient: the send is over")
	errEnded   = errors.New("smtpclient: WriteTo ended its goroutine")
)

// WriteTo passes the message on to w.
func (s *source) WriteTo(w io.Writer) (n int64, err error) {
	defer close(s.gone)
	go s.run()
	for {
		select {
		case part, more := <-s.parts:
			if !more && s.panicked != nil {
				panic(s.panicked)
			}
			if !more {
				return n, s.err
			}
			k, err := w.Write(part)
			if n += int64(k); err != nil {
				return n, err
			}
			s.taken <- struct{}{}
		case <-s.ctx.Done():
			return n, context.Cause(s.ctx)
		case <-s.life.Done():
			return n, ErrClosed
		}
	}
}

func (s *source) run() {
	s.err = errEnded // unless WriteTo returns
	defer close(s.parts)
	defer func() { s.panicked = recover() }()
	_, err := s.msg.WriteTo(outlet{s})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
	if err == nil && len(s.buf) > 0 {
		err = s.hand()
	}
	s.err = err
}

// hand hands the buffer over and waits until it may be used again.
func (s *source) hand() error {
	select {
	case s.parts <- s.buf:
	case <-s.gone:
		return errStopped
	}
	select {
	case <-s.taken:
	case <-s.gone:
		return errStopped
	}
	s.buf = s.buf[:0]
	return nil
}

// An outlet is the writer that the message gets.
type outlet struct{ s *source }

func (o outlet) Write(p []byte) (done int, err error) {
	s := o.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed {
		return 0, errSealed
	}
	for done < len(p) {
		n := min(len(p)-done, maxPart-len(s.buf))
		s.buf = append(s.buf, p[done:done+n]...)
		done += n
		if len(s.buf) == maxPart {
			if err := s.hand(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}
