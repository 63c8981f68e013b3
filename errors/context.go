package errors

import (
	"context"
	stderrors "errors"
	"fmt"
)

// FromContext returns what the end of ctx means for op, during which nothing
// was in flight: class Canceled, with Reason [DeadlineExceeded],
// [ClientClosed] where the cause says so, or [ContextCanceled]. Both ctx.Err()
// and the cause of ctx stay in the chain for errors.Is. Where the cause is
// another mail's failure, as when one of a group of sends cancels the others,
// its doubt does not become this mail's. Call it only once ctx has ended.
func FromContext(ctx context.Context, op string) *Error {
	cause, err := context.Cause(ctx), ctx.Err()
	e := &Error{Op: op, Class: Canceled, Reason: ContextCanceled, Err: cause}
	switch {
	case stderrors.Is(cause, ClientClosed):
		e.Reason = ClientClosed
	case err == context.DeadlineExceeded, cause == context.DeadlineExceeded:
		e.Reason = DeadlineExceeded
	}
	if !stderrors.Is(cause, err) {
		e.Err = fmt.Errorf("%w: %w", err, cause)
	}
	if MaybeAccepted(e) {
		e.Err = otherMail{e.Err}
	}
	return e
}

// otherMail is a context's cause that is itself a mail in doubt. errors.Is
// still finds it, walks of the tree do not.
type otherMail struct{ err error }

func (o otherMail) Error() string        { return o.err.Error() }
func (o otherMail) Is(target error) bool { return stderrors.Is(o.err, target) }
