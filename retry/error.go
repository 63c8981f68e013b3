package retry

import (
	"errors"
	"fmt"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// An Error is what [Do] returns when it gave up. It keeps the last failure in
// its chain, so errors.Is, errors.As and the functions of the errors package see
// through it.
type Error struct {
	// Attempts is how often the operation was called; 0 if the context had
	// ended before.
	Attempts int

	// Elapsed is the time that Do took, waits included.
	Elapsed time.Duration

	// RetryAfter is the wait that would have come next, or what was left of it
	// when the context ended. 0 if trying again cannot help, might duplicate the
	// mail, or need not wait. Use [After] to tell these apart.
	RetryAfter time.Duration

	// Err is the last failure. When the context ended during a wait, its tree
	// holds the last failure first and then context.Cause; when an earlier
	// attempt was in doubt and the last was not, that attempt's failure stands
	// at the end.
	Err error
}

// Error returns the text of Err, preceded by the number of attempts if there was
// more than one.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("gave up after %d attempts", e.Attempts)
	}
	if e.Attempts < 2 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%d attempts in %v: %v", e.Attempts, e.Elapsed.Round(time.Millisecond), e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// After tells when the mail that failed with err may be tried again: ok if a
// later try may work and cannot duplicate it. That is so for the retryable
// classes, also when [Do] gave up on them because of MaxAttempts, MaxElapsed or a
// deadline, and for Canceled; never when SES may have accepted the mail.
//
// The wait is the RetryAfter of an [*Error] in err's chain or, in the same chain,
// what an error with the method RetryAfter() time.Duration asks for. Without
// either it is 20 minutes for QuotaExceeded, 5 seconds for Throttled and
// Unavailable, and 0 for Canceled.
func After(err error) (wait time.Duration, ok bool) {
	if err == nil || seserrors.MaybeAccepted(err) {
		return 0, false
	}
	class := seserrors.Classify(err).Class
	if !class.Retryable() {
		return 0, class == seserrors.Canceled
	}
	if d := asked(err); d > 0 {
		return d, true
	}
	if class == seserrors.QuotaExceeded {
		return awsPause, true
	}
	return awsWaits[0], true
}

// asked returns the wait that an error in the chain asks for, 0 or less if none
// does.
func asked(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	type retryAfter interface {
		error
		RetryAfter() time.Duration
	}
	if e, ok := errors.AsType[retryAfter](err); ok {
		return e.RetryAfter()
	}
	return 0
}
