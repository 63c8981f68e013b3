package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

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
		return &source{ctx, c.life, msg}, nil
	}
	reading, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(ErrClosed) })
	end := func() { stop(); cancel(nil) }
	opened := false
	defer func() {
		if !opened { // or Open panicked
			end()
		}
	}()
	r, err := o.Open(reading)
	if opened = err == nil && r != nil; opened {
		return &opening{r, end}, nil
	}
	switch {
	case ctx.Err() != nil:
		return nil, seserrors.FromContext(ctx, opOpen)
	case c.life.Err() != nil:
		return nil, conn.Closed(opOpen)
	}
	e := invalid(opOpen, seserrors.ContentUnreadable, "message cannot be opened")
	e.Err = err
	return nil, e
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

// A source lets a message write itself in a goroutine of its own and passes on
// what it writes, until its context or the client ends. The message's octets go
// through a buffer that it never sees and that nothing else uses.
type source struct {
	ctx, life context.Context
	msg       io.WriterTo
}

var errEnded = errors.New("smtpclient: WriteTo ended its goroutine")

// A panicError carries a panic of WriteTo over to Send.
type panicError struct{ value any }

func (p *panicError) Error() string { return "smtpclient: WriteTo panicked" }

// WriteTo passes the message on to w.
func (s *source) WriteTo(w io.Writer) (int64, error) {
	r, pw := io.Pipe()
	defer r.Close()
	defer context.AfterFunc(s.ctx, func() { r.Close() })()
	defer context.AfterFunc(s.life, func() { r.Close() })()
	go func() {
		err := errEnded // unless WriteTo returns
		defer func() {
			if p := recover(); p != nil {
				err = &panicError{p}
			}
			pw.CloseWithError(err)
		}()
		if _, err = s.msg.WriteTo(pw); err == io.EOF {
			err = io.ErrUnexpectedEOF // to the pipe, io.EOF is the end of a whole message
		}
	}()
	n, err := io.Copy(w, r)
	if p, ok := err.(*panicError); ok {
		panic(p.value)
	}
	if err != nil && s.life.Err() != nil {
		err = ErrClosed
	}
	return n, err
}
