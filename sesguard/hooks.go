package sesguard

import (
	"context"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// Hooks are told of each step of a send, as those of net/http/httptrace are. Each
// may be nil. A started hook returns the context for what it starts, and a done
// hook gets that context; a nil context means the given one.
type Hooks struct {
	SendStart    func(context.Context, Info) context.Context
	SendDone     func(context.Context, *Receipt, error)
	AttemptStart func(ctx context.Context, n int) context.Context
	AttemptDone  func(context.Context, Attempt)
	Waited       func(ctx context.Context, why string, took time.Duration)
	Breaker      func(open bool, why *seserrors.Error)
}

// An Attempt is what Hooks.AttemptDone is told.
type Attempt struct {
	N     int              // 1 for the first
	Took  time.Duration    // of the transport alone
	Err   *seserrors.Error // nil: accepted
	Again bool             // another attempt follows after Wait, unless the context ends first
	Wait  time.Duration
}
