package errors

import (
	"reflect"
	"strings"
)

// The SDK gets credentials before it signs a request, from other services or
// from files. When that fails, SES was never asked: nothing is in doubt, and no
// word of those services is a word of SES.

// givesCredentials reports whether the SDK asks a service for credentials. The
// names are the SDK's ServiceIDs.
func givesCredentials(service string) bool {
	switch service {
	case "STS", "SSO", "SSO OIDC", "Signin", "ec2imds", "endpoint-credentials", "Cognito Identity":
		return true
	}
	return false
}

// identity notes an error below an operation of SES that says that the request
// has no signature.
func (v *evidence) identity(err error, at *place) {
	if t := reflect.TypeOf(err).String(); t != "*fmt.wrapError" && t != "*v4.SigningError" {
		return
	}
	text := textOf(err)
	at.refreshing = at.refreshing || strings.HasPrefix(text, "failed to refresh cached credentials")
	for _, step := range identitySteps {
		if strings.HasPrefix(text, step) && at.ses && !at.other {
			v.credentials, at.unsent = true, true
			v.step = text // the innermost says it best
		}
	}
}

// fromCredentials fills in e: a refusal is Denied, trouble on the way is
// Unavailable.
func (v *evidence) fromCredentials(e *Error) {
	e.Message = shown(clean(v.step))
	if !strings.Contains(e.Message, "get credentials") {
		e.Message = cut("get credentials: "+message(textOf(e.Err)), maxMessage)
	}
	if v.canceled != "" {
		e.Class, e.Reason = Canceled, v.canceled
		return
	}
	e.Class, e.Reason = Denied, CredentialsUnavailable
	code := apiCodes.find(v.answer.code)
	switch s := v.answer.status; {
	case code != nil && code.Reason == CredentialsExpired: // the next ones are fresh
		e.Class, e.Reason = Unavailable, CredentialsExpired
	case s == 429 || s == 408 || s >= 500,
		code != nil && code.Reason.Class().Retryable(),
		v.answer.code == "IDPCommunicationError",
		s == 0 && v.cause.Class().Retryable():
		e.Class = Unavailable
	}
}
