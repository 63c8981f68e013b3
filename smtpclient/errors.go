package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"net"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// ErrClosed is in the chain of every error that a Client returns because of
// Close or Shutdown. It wraps net.ErrClosed and is of class Canceled.
var ErrClosed error = &seserrors.Error{
	Op:      "smtpclient",
	Class:   seserrors.Canceled,
	Reason:  seserrors.ContextCanceled,
	Message: "client is closed",
	Err:     net.ErrClosed,
}

var (
	errStale = errors.New("connection was closed while idle")
	errTalks = errors.New("server talks out of turn")
)

func closedError(op string) *seserrors.Error {
	return &seserrors.Error{Op: op, Class: seserrors.Canceled, Reason: seserrors.ContextCanceled, Err: ErrClosed}
}

// canceled is the error for a context that ended. It keeps both the standard
// error and the caller's cause in the chain.
func canceled(ctx context.Context, op string) *seserrors.Error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause != nil && !errors.Is(cause, err) {
		if seserrors.MaybeAccepted(cause) {
			cause = otherMail{cause}
		}
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return &seserrors.Error{Op: op, Class: seserrors.Canceled, Reason: seserrors.ContextCanceled, Err: err}
}

// otherMail is a context's cause that is itself a mail in doubt, as when one of
// a group of sends fails and cancels the others. errors.Is still finds it,
// walks of the tree do not: the doubt is not about this mail.
type otherMail struct{ err error }

func (o otherMail) Error() string        { return o.err.Error() }
func (o otherMail) Is(target error) bool { return errors.Is(o.err, target) }

func invalid(op string, reason seserrors.Reason, message string) *seserrors.Error {
	return &seserrors.Error{Op: op, Class: seserrors.Invalid, Reason: reason, Message: message}
}

func protocolError(op, message string) *seserrors.Error {
	return &seserrors.Error{Op: op, Class: seserrors.Unavailable, Reason: seserrors.ProtocolError, Message: message}
}

// ioError is the error for a read or write that failed while nothing had been
// accepted. The stage is known here, so what Classify infers about doubt from
// the bare error does not count.
func ioError(op string, err error) *seserrors.Error {
	if failed, ok := errors.AsType[*writeError](err); ok {
		err = failed.err
	}
	if errors.Is(err, errReply) || errors.Is(err, errReplyLong) || errors.Is(err, errReplyMix) || err == errTalks {
		e := protocolError(op, err.Error())
		e.Err = err
		return e
	}
	e := *seserrors.Classify(err)
	e.Op, e.MaybeAccepted = op, false
	if !e.Class.Retryable() {
		e.Class, e.Reason = seserrors.Unavailable, seserrors.Network
	}
	if e.Err == nil {
		e.Err = err
	}
	return &e
}

// endsConnection reports whether a refusal means that the server is done with
// the connection, whatever the stage: 421 by definition (RFC 5321, section
// 3.8), and SES's 451 for an idle one.
func endsConnection(e *seserrors.Error) bool {
	return e.Code == 421 || e.Reason == seserrors.IdleTimeout || e.Reason == seserrors.SessionMessageLimit
}
