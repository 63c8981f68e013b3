// Command bench measures sesguard. Its sub-commands:
//
//	compare  sesguard beside other ways to send, in one run
//	soak     mails through a fake SES with faults, and the balance at the end
//	load     a setup's rate and latencies, against a fake or SES's simulator
//	outbox   the rates and waits of an outbox on SQLite and on PostgreSQL
//
// Each has flags of its own: bench compare -h. The first Ctrl-C ends a run in
// order, the second ends the program.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/sesguard/sesguard-go/.ci/bench/compare"
	"github.com/sesguard/sesguard-go/.ci/bench/load"
	"github.com/sesguard/sesguard-go/.ci/bench/outbox"
	"github.com/sesguard/sesguard-go/.ci/bench/soak"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // the second Ctrl-C is not caught
	commands := map[string]func(context.Context, []string) int{
		"compare": compare.Main,
		"soak":    soak.Main,
		"load":    load.Main,
		"outbox":  outbox.Main,
	}
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		os.Exit(commands[os.Args[1]](ctx, os.Args[2:]))
	}
	fmt.Fprintln(os.Stderr, "usage: bench compare|soak|load|outbox [flags]")
	os.Exit(2)
}
