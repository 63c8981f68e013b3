package sesapi

import (
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// credentialsPatience is how long a door that never had credentials waits for
// their source before it says that there is none.
const credentialsPatience = 10 * time.Second

// credentials is what a door knows of the step before SES: whether the SDK can
// get credentials. A refusal there is not SES's.
type credentials struct {
	mu      sync.Mutex
	had     bool      // some were got
	first   time.Time // when the first attempt began that got none
	failed  bool      // an attempt has ended without
	expired bool      // the last one because the token that fetches them had expired
}

// A stage is what the door knew when an attempt began: of attempts that run
// side by side none is the second.
type stage struct {
	of              *credentials
	failed, expired bool
}

func (c *credentials) begin() stage {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first.IsZero() && !c.had {
		c.first = time.Now()
	}
	return stage{c, c.failed, c.expired}
}

// got records that credentials were got.
func (c *credentials) got() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.had, c.expired = true, false
}

// verdict gives e the class of a failure to get credentials: nobody answered,
// or somebody said no. Of a source that never answered nobody knows whether it
// exists, so patience with it is short. An expired token may have been replaced
// in the meantime, so that is tried once more.
func (s stage) verdict(e *seserrors.Error) {
	c := s.of
	c.mu.Lock()
	defer c.mu.Unlock()
	expired, patient := e.Reason == seserrors.CredentialsExpired, false
	switch {
	case expired:
		patient, c.expired = !s.expired, true
	case e.Class == seserrors.Canceled, e.Class.Retryable(): // Canceled by a limit of the SDK's or the attempt's
		patient, c.failed = c.had || !s.failed && time.Since(c.first) < credentialsPatience, true
	}
	e.Class = seserrors.Denied
	if patient {
		e.Class = seserrors.Unavailable
	}
	if !patient || !expired {
		e.Reason = seserrors.CredentialsUnavailable
	}
}
