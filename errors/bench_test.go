package errors

import (
	"net/textproto"
	"strings"
	"testing"
)

const (
	rateReply = "Throttling failure: Maximum sending rate exceeded."
	longReply = "Message rejected: Email address is not verified. The following identities failed the check in region US-EAST-1: a@example.com, Jane Doe <b@example.com>"
)

// A reply of SES is classified with at most six allocations, and ten more where
// addresses must be masked.
func TestAllocations(t *testing.T) {
	reply := &textproto.Error{Code: 454, Msg: rateReply}
	long := &textproto.Error{Code: 554, Msg: longReply}
	for name, f := range map[string]func(){
		"FromSMTP":              func() { FromSMTP("smtp DATA", 454, rateReply) },
		"Classify":              func() { Classify(reply) },
		"FromSMTP with list":    func() { FromSMTP("smtp DATA", 554, longReply) },
		"Classify with list":    func() { Classify(long) },
		"FromSMTP, unknown":     func() { FromSMTP("smtp DATA", 459, "never seen") },
		"FromSMTP, with status": func() { FromSMTP("smtp MAIL", 451, "4.4.2 Timeout waiting for data from client.") },
		"FromBulkStatus":        func() { FromBulkStatus("ACCOUNT_THROTTLED", "x") },
	} {
		limit := 6.0
		if strings.Contains(name, "list") {
			limit = 16
		}
		if n := testing.AllocsPerRun(100, f); n > limit {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkFromSMTP(b *testing.B) {
	for name, text := range map[string]string{"rate": rateReply, "identities": longReply} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				FromSMTP("smtp DATA", 554, text)
			}
		})
	}
}

func BenchmarkClassify(b *testing.B) {
	for name, err := range map[string]error{
		"reply":     &textproto.Error{Code: 454, Msg: rateReply},
		"ours":      FromSMTP("smtp DATA", 454, rateReply),
		"api":       sdkError(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
		"text":      &plainError{"sending: 454 " + rateReply},
		"long text": &plainError{wrappings["postfix"](554, longReply)},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Classify(err)
			}
		})
	}
}

type plainError struct{ text string }

func (e *plainError) Error() string { return e.text }
