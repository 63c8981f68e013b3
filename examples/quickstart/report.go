package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A report prints the table and keeps what Send said, to compare it with what
// the fake SES really took.
type report struct {
	out      io.Writer
	accepted []string // message ids
	refused  int
	inDoubt  int
}

const row = "%-28s %-5s %8v  %-9s %s\n"

func newReport(out io.Writer) *report {
	fmt.Fprintf(out, row, "MESSAGE", "VIA", "ATTEMPTS", "OUTCOME", "ID, OR REASON AND ADVICE")
	return &report{out: out}
}

// add prints what became of one mail. This is all there is to tell apart.
func (r *report) add(name, transport string, receipt *sesguard.Receipt, err error) {
	switch {
	case err == nil: // SES has it
		r.accepted = append(r.accepted, receipt.MessageID)
		fmt.Fprintf(r.out, row, name, transport, receipt.Attempts, "accepted", receipt.MessageID)
		return
	case seserrors.MaybeAccepted(err): // SES may have it: it was not sent again
		r.inDoubt++
		r.failure(name, transport, "in doubt", err)
	case seserrors.IsRetryable(err): // SES does not have it, later may work
		r.refused++
		r.failure(name, transport, "try later", err)
	default: // SES does not have it, and will not take it as it is
		r.refused++
		r.failure(name, transport, "refused", err)
	}
}

func (r *report) failure(name, transport, outcome string, err error) {
	attempts := 0
	if e, ok := errors.AsType[*retry.Error](err); ok {
		attempts = e.Attempts
	}
	reason := seserrors.Classify(err).Reason
	fmt.Fprintf(r.out, row, name, transport, attempts, outcome, reason)
	for _, line := range wrap(reason.Advice(), 96) {
		fmt.Fprintf(r.out, "    %s\n", line)
	}
}

// wrap breaks text at spaces into lines of at most width.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// balance compares the mailbox with what Send said, mail by mail.
func (r *report) balance(mailbox []sestest.Mail) error {
	times := map[string]int{}
	for _, mail := range mailbox {
		times[mail.ID]++
	}
	for _, id := range r.accepted {
		if times[id] != 1 {
			return fmt.Errorf("%s was reported as accepted, and SES has it %d times", id, times[id])
		}
	}
	if extra := len(mailbox) - len(r.accepted); extra > r.inDoubt {
		return fmt.Errorf("SES has %d mails that Send did not report", extra-r.inDoubt)
	}
	fmt.Fprintf(r.out, "\nSend said:      %d accepted, %d refused, %d in doubt\n", len(r.accepted), r.refused, r.inDoubt)
	fmt.Fprintf(r.out, "The mailbox:    %d mails: the %d accepted, once each, and %d of those in doubt\n",
		len(mailbox), len(r.accepted), len(mailbox)-len(r.accepted))
	return nil
}
