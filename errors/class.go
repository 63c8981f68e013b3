package errors

import (
	"fmt"
	"slices"
)

// A Class says what can be done about an error. It is the answer most code
// needs; [Reason] says more exactly why.
//
// A Class is itself an error, so that it can be asked for:
//
//	if stderrors.Is(err, seserrors.Throttled) { … }
//
// The zero value is Unknown.
type Class uint8

// The classes. The numbers may change between versions; the texts of
// [Class.String] stay.
const (
	Unknown       Class = iota // not recognised: counts as fatal
	Canceled                   // the caller's context ended, or the client was closed
	Invalid                    // refused here, before anything was sent
	Rejected                   // SES refused this message for good
	Denied                     // credentials, IAM, sandbox, unverified identity, or settings that cannot work
	Suspended                  // account or configuration set may not send now
	Throttled                  // over the send rate
	QuotaExceeded              // over the rolling 24-hour quota
	Unavailable                // network or SES trouble that should pass
)

var classNames = [...]string{
	"unknown", "canceled", "invalid", "rejected", "denied", "suspended", "throttled", "quota-exceeded", "unavailable",
}

// Retryable reports whether the same request may work later: it does for
// Throttled, QuotaExceeded and Unavailable. It knows nothing of doubt: before
// sending again ask [IsRetryable], which is false when the message may have
// been accepted already.
func (c Class) Retryable() bool {
	return c == Throttled || c == QuotaExceeded || c == Unavailable
}

// String returns the slug of the class, such as "quota-exceeded". It is stable
// and fit for a log field or a metric label.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Error returns the slug, so that a Class is an error.
func (c Class) Error() string { return c.String() }

// MarshalText returns the slug. A number that is no class is an error.
func (c Class) MarshalText() ([]byte, error) {
	if int(c) >= len(classNames) {
		return nil, fmt.Errorf("errors: %d is not a class", uint8(c))
	}
	return []byte(classNames[c]), nil
}

// UnmarshalText sets the class from its slug. A text that is no slug is an
// error and leaves the class as it was.
func (c *Class) UnmarshalText(text []byte) error {
	i := slices.Index(classNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("errors: %s is not a class", quoted(string(text)))
	}
	*c = Class(i)
	return nil
}

// A Scope says what else will fail the same way, and so what a queue should
// hold back. The zero value is ScopeUnknown.
type Scope uint8

// The scopes, from the narrowest to the widest. A refusal about one identity
// is never the account's: many tenants may send through one account.
const (
	ScopeUnknown    Scope = iota // nothing can be said
	ScopeRecipient               // other messages to this recipient
	ScopeMessage                 // this message only
	ScopeConnection              // whatever uses this connection or this endpoint
	ScopeSender                  // whatever uses this identity, configuration set, IP pool or tenant
	ScopeAccount                 // everything: stop the run. Credentials, pause, subscription, quota
)

var scopeNames = [...]string{"unknown", "recipient", "message", "connection", "sender", "account"}

// String returns the scope as one lower-case word, such as "sender".
func (s Scope) String() string {
	if int(s) < len(scopeNames) {
		return scopeNames[s]
	}
	return fmt.Sprintf("scope(%d)", uint8(s))
}
