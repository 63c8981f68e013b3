package errors

import (
	"testing"
	"unicode/utf8"
)

// checkBounds checks what holds of every *Error that text from outside made.
func checkBounds(t *testing.T, e *Error) {
	t.Helper()
	if e == nil {
		return
	}
	for _, s := range []string{e.Message, e.Error(), e.APICode, e.Region} {
		if !utf8.ValidString(s) {
			t.Errorf("%q is no UTF-8", s)
		}
		for i := range len(s) {
			if s[i] < ' ' || s[i] == 0x7f {
				t.Errorf("%q has a control character", s)
				break
			}
		}
	}
	if len(e.Message) > maxMessage || len(e.Identities) > maxIdentities || len(e.APICode) > maxCode || len(e.Error()) > 3*maxMessage {
		t.Errorf("too long: message %d, identities %d, code %d, text %d", len(e.Message), len(e.Identities), len(e.APICode), len(e.Error()))
	}
	for _, id := range e.Identities {
		if id == "" || len(id) > maxIdentity {
			t.Errorf("identity %q", id)
		}
	}
	if _, ok := reasons[e.Reason]; !ok {
		t.Errorf("reason %q", e.Reason)
	}
	n := 0
	for _, holds := range []bool{MaybeAccepted(e), e.Class == Canceled && !e.MaybeAccepted, IsRetryable(e), IsFatal(e)} {
		if holds {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d hold of %v", n, e)
	}
}
