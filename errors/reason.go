package errors

import "cmp"

// A Reason says why, exactly. It is a stable slug, fit for a log field or a
// metric label. A Reason is an error too, so that it can be asked for:
//
//	if stderrors.Is(err, seserrors.IdentityNotVerified) { … }
//
// The zero value, "", is treated as [Unrecognized].
type Reason string

// Error returns the slug, so that a Reason is an error.
func (r Reason) Error() string { return string(r) }

// known returns r, Unrecognized for "".
func (r Reason) known() Reason { return cmp.Or(r, Unrecognized) }

// Class returns the class that an error of this reason has, unless the reply
// says otherwise: "452 too many recipients" is TooManyRecipients but, being a
// 4xx, Unavailable. A reason that is not one of this package is Unknown.
func (r Reason) Class() Class { return reasons[r].class }

// Scope returns what else will fail the same way. A reason that is not one of
// this package has ScopeUnknown.
func (r Reason) Scope() Scope { return reasons[r].scope }

// Advice returns what a person should do, in one to four plain sentences
// gathered from AWS's troubleshooting pages. A reason that is not one of this
// package gets the advice of [Unrecognized].
func (r Reason) Advice() string {
	if info, ok := reasons[r]; ok {
		return info.advice
	}
	return reasons[Unrecognized].advice
}
