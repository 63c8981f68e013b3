// Package load measures a setup: messages a second, latencies, retries,
// throttles and connections. It sends to a fake SES in this process,
//
//	go -C .ci/bench run . load -transport api -senders 64 -rtt 20ms
//
// or, only when told to, to the mailbox simulator of the real one:
//
//	go -C .ci/bench run . load -ses -from you@your-domain -transport smtp -rate 14
//
// Mails to the simulator reach nobody, but the account's send rate holds for
// them and AWS charges for each. To any other address it refuses to send.
// Ctrl-C ends the sending and prints the report. Exit code 1: not every mail
// was accepted; 2: a setting is missing or wrong.
package load

import (
	"context"
	"fmt"
	"github.com/sesguard/sesguard-go/.ci/bench/progress"
	"io"
	"os"
	"time"
)

// Main runs the sub-command and returns its exit code.
func Main(ctx context.Context, args []string) int {
	return run(ctx, args, os.Stdout, progress.IsTerminal(os.Stdout), network{})
}

// run is Main with everything it touches as an argument; net is zero outside
// of tests.
func run(ctx context.Context, args []string, out io.Writer, terminal bool, net network) int {
	set, err := parse(args, out)
	if err != nil {
		return 2
	}
	to, missing := open(ctx, set, net)
	if missing != "" {
		fmt.Fprint(out, missing)
		return 2
	}
	defer to.close()
	l, err := newLoad(set, to)
	if err != nil {
		fmt.Fprintln(out, "load:", err)
		return 2
	}
	defer l.close()
	fmt.Fprintln(out, l)
	l.run(ctx, &progress.Line{Out: out, Terminal: terminal, Every: 5 * time.Second})
	l.report(out)
	if l.meter.accepted == 0 || l.meter.accepted < l.meter.sent() {
		return 1
	}
	return 0
}
