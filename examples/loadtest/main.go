// Command loadtest measures a setup: messages a second, latencies, retries,
// throttles and connections. It sends to a fake SES in this process,
//
//	go run ./examples/loadtest -transport api -senders 64 -rtt 20ms
//
// or, only when told to, to the mailbox simulator of the real one:
//
//	go run ./examples/loadtest -ses -from you@your-domain -transport smtp -rate 14
//
// Mails to the simulator reach nobody, but the account's send rate holds for
// them and AWS charges for each. To any other address it refuses to send.
// Ctrl-C ends the sending and prints the report. Exit code 1: not every mail
// was accepted; 2: a setting is missing or wrong.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // the second Ctrl-C is not caught
	os.Exit(run(ctx, os.Args[1:], os.Stdout, isTerminal(os.Stdout), network{}))
}

// run is main with everything it touches as an argument; net is zero outside
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
		fmt.Fprintln(out, "loadtest:", err)
		return 2
	}
	defer l.close()
	fmt.Fprintln(out, l)
	l.run(ctx, &progress{out: out, terminal: terminal, every: 5 * time.Second})
	l.report(out)
	if l.meter.accepted == 0 || l.meter.accepted < l.meter.sent() {
		return 1
	}
	return 0
}
