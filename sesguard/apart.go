package sesguard

import (
	"context"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

const opRead = "sesguard read"

// An outcome is what a goroutine in the caller's code has to say: a chunk of a
// file, or how it ended.
type outcome struct {
	chunk    []byte
	last     bool // the file ends with this chunk
	err      error
	panicked any // what the caller of this package gets as a panic of its own
}

// apart runs f, which calls the caller's code, in a goroutine of its own, so that
// nobody has to wait for it. How f ended is the last outcome; one that f sent may
// be left unread before it.
func apart(f func(chan<- outcome) error) <-chan outcome {
	got := make(chan outcome, 2)
	go func() {
		end := outcome{err: &seserrors.Error{
			Op: opRead, Class: seserrors.Invalid, Reason: seserrors.ContentUnreadable,
			Message: "the code that reads it called runtime.Goexit",
		}}
		defer func() {
			if p := recover(); p != nil {
				end = outcome{panicked: p}
			}
			got <- end
		}()
		end.err = f(got)
	}()
	return got
}

// await returns the next outcome, unless ctx ends first. A failure after that is
// the context's: code that knows it ends with it, and not because of the content.
func await(ctx context.Context, got <-chan outcome) (outcome, error) {
	select {
	case o := <-got:
		if o.err == nil || ctx.Err() == nil {
			return o, nil
		}
	case <-ctx.Done():
	}
	return outcome{}, seserrors.FromContext(ctx, opRead)
}
