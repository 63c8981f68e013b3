package errors

import (
	"context"
	stderrors "errors"
	"fmt"
	"testing"
	"time"
)

// The end of a context says which of its three kinds it is, and never puts the
// mail in doubt.
func TestFromContext(t *testing.T) {
	inDoubt := &Error{Class: Unavailable, Reason: ResponseLost, MaybeAccepted: true, Err: context.DeadlineExceeded}
	for _, c := range []struct {
		name   string
		cause  error // nil: the deadline comes first
		reason Reason
	}{
		{"deadline", nil, DeadlineExceeded},
		{"canceled", context.Canceled, ContextCanceled},
		{"own cause", stderrors.New("shutting down"), ContextCanceled},
		{"deadline as cause", context.DeadlineExceeded, DeadlineExceeded},
		{"client closed", fmt.Errorf("x: %w", ClientClosed), ClientClosed},
		{"other mail in doubt", fmt.Errorf("mail 1: %w", inDoubt), ContextCanceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := context.Canceled
			if c.cause == nil {
				var stop context.CancelFunc
				ctx, stop = context.WithDeadline(ctx, time.Unix(1, 0))
				defer stop()
				c.cause, ended = context.DeadlineExceeded, context.DeadlineExceeded
			}
			cancel(c.cause)
			e := FromContext(ctx, "op")
			if e.Op != "op" || e.Class != Canceled || e.Reason != c.reason || MaybeAccepted(e) || IsRetryable(e) || IsFatal(e) {
				t.Errorf("got %+v", e)
			}
			if !stderrors.Is(e, c.cause) || !stderrors.Is(e, ended) {
				t.Errorf("%v lost its cause", e)
			}
		})
	}
}
