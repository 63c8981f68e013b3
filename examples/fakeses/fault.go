package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A fault is written NAME or NAME:ARGUMENT:…, and N*NAME for N of them:
// "3*refuse:send-rate-exceeded". -fault and the page read the same words.

// maxFaults is how many faults may wait at the same time.
const maxFaults = 1000

// stages are the points at which a fault can strike.
var stages = []struct {
	name string
	at   sestest.Stage
}{
	{"connect", sestest.Connect}, {"handshake", sestest.Handshake}, {"ehlo", sestest.EHLO}, {"starttls", sestest.StartTLS},
	{"auth", sestest.Auth}, {"mail", sestest.MailFrom}, {"rcpt", sestest.Rcpt}, {"data", sestest.Data},
	{"end-of-data", sestest.EndOfData}, {"rset", sestest.Rset}, {"noop", sestest.Noop}, {"quit", sestest.Quit},
}

func parseStage(name string) (sestest.Stage, error) {
	var names []string
	for _, s := range stages {
		if s.name == name {
			return s.at, nil
		}
		names = append(names, s.name)
	}
	return 0, fmt.Errorf("%q is no stage; stages are %s", name, strings.Join(names, ", "))
}

// A faultKind is a word of the language of faults.
type faultKind struct {
	name, args string // "cut", "STAGE"
	help       string
	make       func(args []string) (sestest.Fault, error) // gets as many arguments as args names
}

var faultKinds = []faultKind{
	{"refuse", "REASON", "SES refuses a mail, in its own words", refuse},
	{"reply", "STAGE:CODE:TEXT", "this SMTP reply", smtpReply},
	{"answer", "STATUS:CODE:MESSAGE", "this error of the API", apiAnswer},
	{"entry", "STATUS:TEXT", "this status for an entry of a bulk send, such as FAILED", entryStatus},
	{"accept-then-cut", "", "the mail is accepted, and the connection closed without an answer", always(sestest.AcceptThenCut())},
	{"accept-then-fail", "", "the mail is accepted, and the API says 500", always(sestest.AcceptThenFail())},
	{"cut", "STAGE", "the connection is closed without an answer; nothing is accepted", atStage(sestest.Cut)},
	{"reset", "STAGE", "cut by a TCP reset", atStage(sestest.Reset)},
	{"cut-body", "OCTETS", "the connection is closed after so much of the mail", cutBody},
	{"stall", "STAGE", "silence until the client leaves", atStage(sestest.Stall)},
	{"drip", "STAGE", "the SMTP reply comes one octet at a time", atStage(sestest.Drip)},
	{"delay", "STAGE:DURATION", "the answer comes late, such as 5s", delay},
	{"pass", "", "one mail passes", always(sestest.Pass())},
}

// parseFaults reads faults as they are written on the command line and the page.
func parseFaults(text string) ([]sestest.Fault, error) {
	count, text, err := parseCount(text)
	if err != nil {
		return nil, err
	}
	name, rest, _ := strings.Cut(text, ":")
	i := slices.IndexFunc(faultKinds, func(k faultKind) bool { return k.name == name })
	if i < 0 {
		return nil, fmt.Errorf("%q is no fault", name)
	}
	kind := faultKinds[i]
	args, err := kind.split(rest)
	if err != nil {
		return nil, err
	}
	fault, err := kind.make(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return slices.Repeat([]sestest.Fault{fault}, count), nil
}

// parseCount takes "N*" off the text.
func parseCount(text string) (n int, rest string, err error) {
	count, rest, ok := strings.Cut(text, "*")
	if !ok || strings.Contains(count, ":") { // the star is an argument's
		return 1, text, nil
	}
	n, err = strconv.Atoi(strings.TrimSpace(count))
	if err != nil || n < 1 || n > maxFaults {
		return 0, "", fmt.Errorf("%q is no number from 1 to %d", count, maxFaults)
	}
	return n, strings.TrimSpace(rest), nil
}

// split parts the arguments. The last one may hold colons.
func (k faultKind) split(text string) ([]string, error) {
	n := 0
	if k.args != "" {
		n = strings.Count(k.args, ":") + 1
	}
	var args []string
	if text != "" {
		args = strings.SplitN(text, ":", max(n, 1))
	}
	if len(args) != n {
		return nil, fmt.Errorf("write %s", k.usage())
	}
	return args, nil
}

func (k faultKind) usage() string { return strings.TrimSuffix(k.name+":"+k.args, ":") }

func always(f sestest.Fault) func([]string) (sestest.Fault, error) {
	return func([]string) (sestest.Fault, error) { return f, nil }
}

func atStage(fault func(sestest.Stage) sestest.Fault) func([]string) (sestest.Fault, error) {
	return func(args []string) (f sestest.Fault, err error) {
		at, err := parseStage(args[0])
		if err != nil {
			return f, err
		}
		return fault(at), nil
	}
}

func refuse(args []string) (f sestest.Fault, err error) {
	reason := seserrors.Reason(args[0])
	if !slices.Contains(sestest.Reasons(""), reason) {
		return f, fmt.Errorf("SES has no reply for the reason %q", reason)
	}
	return sestest.Refuse(reason), nil
}

func smtpReply(args []string) (f sestest.Fault, err error) {
	at, err := parseStage(args[0])
	if err != nil {
		return f, err
	}
	code, err := strconv.Atoi(args[1])
	if err != nil || code < 200 || code > 599 {
		return f, fmt.Errorf("%q is no SMTP code", args[1])
	}
	return sestest.Reply(at, code, args[2]), nil
}

func apiAnswer(args []string) (f sestest.Fault, err error) {
	status, err := strconv.Atoi(args[0])
	if err != nil || status < 200 || status > 599 {
		return f, fmt.Errorf("%q is no HTTP status", args[0])
	}
	return sestest.APIReply(status, args[1], args[2]), nil
}

func entryStatus(args []string) (sestest.Fault, error) {
	return sestest.BulkStatus(args[0], args[1]), nil
}

func cutBody(args []string) (f sestest.Fault, err error) {
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 {
		return f, fmt.Errorf("%q is no number of octets", args[0])
	}
	return sestest.CutBody(n), nil
}

// maxDelay keeps a mistyped delay from holding a client up for ever.
const maxDelay = time.Hour

func delay(args []string) (f sestest.Fault, err error) {
	at, err := parseStage(args[0])
	if err != nil {
		return f, err
	}
	d, err := time.ParseDuration(args[1])
	if err != nil || d < 0 || d > maxDelay {
		return f, fmt.Errorf("%q is no duration up to %v", args[1], maxDelay)
	}
	return sestest.Delay(at, d), nil
}

// errTooMany is what the page says when it takes no more faults.
var errTooMany = errors.New("as many faults wait as may: drop some first")
