package errors_test

import (
	stderrors "errors"
	"fmt"
	"net"
	"net/textproto"
	"syscall"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// Any error can be classified, also one that other code made and wrapped.
func ExampleClassify() {
	reply := &textproto.Error{Code: 554, Msg: "Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: Shop <shop@example.com>"}
	e := seserrors.Classify(fmt.Errorf("mail 7: %w", reply))
	fmt.Println(e.Class, e.Reason, e.Reason.Scope())
	fmt.Println(e.Identities, e.Region)
	// Output:
	// denied identity-not-verified sender
	// [shop@example.com] eu-west-1
}

// Text will do as well, such as a line of a relay's log.
func ExampleClassify_text() {
	e := seserrors.Classify(stderrors.New("status=deferred (host email-smtp.us-east-1.amazonaws.com[192.0.2.25] said: 454 Throttling failure: Daily message quota exceeded. (in reply to end of DATA command))"))
	fmt.Println(e.Class, e.Code, e.Reason)
	// Output:
	// quota-exceeded 454 daily-quota-exceeded
}

// A loop over IsRetryable never doubles a mail: what may have been accepted is
// not retryable.
func ExampleIsRetryable() {
	for _, err := range []error{
		seserrors.FromSMTP("smtp DATA", 454, "Throttling failure: Maximum sending rate exceeded."),
		seserrors.FromSMTP("smtp DATA", 552, "Message is too long."),
		&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET},
	} {
		switch {
		case seserrors.IsRetryable(err):
			fmt.Println("send again later")
		case seserrors.IsFatal(err):
			fmt.Println("revise the request first")
		case seserrors.MaybeAccepted(err):
			fmt.Println("in doubt: look before sending again")
		}
	}
	// Output:
	// send again later
	// revise the request first
	// in doubt: look before sending again
}

// A class or a reason can be asked for like any error.
func ExampleClass() {
	err := fmt.Errorf("mail 7: %w", seserrors.FromSMTP("smtp DATA", 454, "Throttling failure: Maximum sending rate exceeded."))
	fmt.Println(stderrors.Is(err, seserrors.Throttled), stderrors.Is(err, seserrors.SendRateExceeded), stderrors.Is(err, seserrors.Denied))
	// Output:
	// true true false
}

// Advice is for people: print it beside the error.
func ExampleReason_Advice() {
	e := seserrors.FromSMTP("smtp DATA", 554, "Transaction failed: Recipient count exceeds 50.")
	fmt.Println(e)
	fmt.Println(e.Reason.Advice())
	// Output:
	// smtp DATA: rejected (too-many-recipients): 554 Transaction failed: Recipient count exceeds 50.
	// Send to at most 50 recipients a message, To, Cc and Bcc together. Split the list.
}

// Each entry of SendBulkEmail has a status of its own.
func ExampleFromBulkStatus() {
	for _, status := range []string{"SUCCESS", "ACCOUNT_THROTTLED", "TEMPLATE_NOT_FOUND"} {
		if e := seserrors.FromBulkStatus(status, ""); e != nil {
			fmt.Println(status, e.Class)
		}
	}
	// Output:
	// ACCOUNT_THROTTLED throttled
	// TEMPLATE_NOT_FOUND rejected
}
