// Package soak sends mails through a fake SES for as long as told, over SMTP
// and the API at once, while the fake cuts, stalls, throttles and refuses at
// random, and at the end holds what Send said of each mail against what the
// fake has of it.
//
//	go -C .ci/bench run . soak -for 10m -rate 200
//
// It needs no account and no network. The first Ctrl-C ends the sending and
// prints the balance, the second ends the program. Exit code 1: a mail was
// lost, doubled, misreported or changed, or something was left behind;
// 2: a flag is wrong.
package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"github.com/sesguard/sesguard-go/.ci/bench/progress"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// Main runs the sub-command and returns its exit code.
func Main(ctx context.Context, args []string) int {
	return start(ctx, args, os.Stdout, progress.IsTerminal(os.Stdout))
}

// start is Main with everything it touches as an argument.
func start(ctx context.Context, args []string, out io.Writer, terminal bool) int {
	set, err := parse(args, out)
	if err != nil {
		return 2
	}
	fmt.Fprintf(out, "%v of mails at %g/s by %d senders over SMTP and the API, seed %d\n", set.length, set.rate, set.senders, set.seed)
	show := &progress.Line{Out: out, Terminal: terminal, Every: set.every}
	result, err := run(ctx, set, sestest.NewServer, show)
	if err != nil {
		fmt.Fprintln(out, "soak:", err)
		return 1
	}
	result.print(out)
	if len(result.wrong()) > 0 {
		return 1
	}
	return 0
}

func parse(args []string, out io.Writer) (settings, error) {
	var set settings
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Float64Var(&set.rate, "rate", 100, "messages a second")
	flags.DurationVar(&set.length, "for", time.Minute, "how long to send")
	flags.IntVar(&set.senders, "senders", 16, "how many send at once, half of them over each transport")
	flags.Uint64Var(&set.seed, "seed", rand.Uint64N(1e6), "of the fault script")
	flags.Float64Var(&set.trouble, "trouble", 0.2, "share of the script's turns that are faults")
	flags.BoolVar(&set.patient, "patient", false, "keep the documented waits and the default timeouts; a stall then holds a sender for 10 minutes")
	flags.DurationVar(&set.every, "every", 10*time.Second, "a line of progress, where it is not a terminal")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	if set.rate <= 0 || set.length <= 0 || set.senders < 2 || set.trouble < 0 || set.trouble > 1 || set.every <= 0 {
		err := errors.New("want -rate, -for and -every above 0, -senders above 1, and -trouble from 0 to 1")
		fmt.Fprintln(out, "soak:", err)
		return set, err
	}
	return set, nil
}
