package conn

import (
	"context"
	"errors"
	"net"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const closed = "client is closed"

// ErrClosed is in the chain of the error of what Cut has ended.
var ErrClosed error = &seserrors.Error{
	Op:      "smtpclient",
	Class:   seserrors.Canceled,
	Reason:  seserrors.ClientClosed,
	Message: closed,
	Err:     net.ErrClosed,
}

var (
	errStale = errors.New("connection was closed while idle")
	errTalks = errors.New("server talks out of turn")
)

// Closed is the error of op when the client has ended. Its message is the cause's
// own, so that its text says it once.
func Closed(op string) *seserrors.Error {
	return &seserrors.Error{Op: op, Class: seserrors.Canceled, Reason: seserrors.ClientClosed, Message: closed, Err: ErrClosed}
}

// stopped is the error when somebody wanted op to end, or nil.
func (c *Conn) stopped(ctx context.Context, op string) *seserrors.Error {
	switch {
	case ctx.Err() != nil:
		return seserrors.FromContext(ctx, op)
	case c.cut.Load():
		return Closed(op)
	}
	return nil
}

func invalid(reason seserrors.Reason, message string) *seserrors.Error {
	return &seserrors.Error{Op: opData, Class: seserrors.Invalid, Reason: reason, Message: message}
}

func denied(op string, reason seserrors.Reason, message string) *seserrors.Error {
	return &seserrors.Error{Op: op, Class: seserrors.Denied, Reason: reason, Message: message}
}

func protocolError(op, message string) *seserrors.Error {
	return &seserrors.Error{Op: op, Class: seserrors.Unavailable, Reason: seserrors.ProtocolError, Message: message}
}

// noSMTP reports whether err is about what the server said.
func noSMTP(err error) bool {
	return errors.Is(err, errReply) || errors.Is(err, errReplyLong) || errors.Is(err, errReplyMix) || err == errTalks
}

// classify is the error for a failure of the line. The stage is known here, so
// what Classify infers about doubt from the bare error does not count.
func classify(op string, err error) *seserrors.Error {
	if noSMTP(err) {
		return &seserrors.Error{Op: op, Class: seserrors.Unavailable, Reason: seserrors.ProtocolError, Err: err}
	}
	e := *seserrors.Classify(err)
	e.Op, e.MaybeAccepted = op, false
	if e.Err == nil {
		e.Err = err
	}
	return &e
}

// ioError is classify on a connection that was set up: whatever befell it then
// passes.
func ioError(op string, err error) *seserrors.Error {
	e := classify(op, err)
	if !e.Class.Retryable() {
		e.Class, e.Reason = seserrors.Unavailable, seserrors.Network
	}
	return e
}

// endsConnection reports whether a refusal means that the server is done with
// the connection, whatever the stage: 421 by definition (RFC 5321, section
// 3.8), and SES's 451 for an idle one.
func endsConnection(e *seserrors.Error) bool {
	return e.Code == 421 || e.Reason == seserrors.IdleTimeout || e.Reason == seserrors.SessionMessageLimit
}
