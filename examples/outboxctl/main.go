// Command outboxctl shows an outbox to the person on call and does what that
// person decides. It may run beside the workers, at any time.
//
//	outboxctl -db shop.db stats
//	outboxctl -db postgres://… list -state in-doubt
//	DATABASE_URL=postgres://… outboxctl show ID
//
// The commands are
//
//	stats                    how many mails are where, holds, processes
//	list [flags]             the records of mails; list -h explains the flags
//	show ID…                 the record of a mail, and what can be done
//	content ID               its recipients and its octets, as long as they are kept
//	retry ID…                send again what failed, expired, was canceled or is in doubt
//	cancel ID…               take back what waits
//	settle ID [MESSAGE-ID]   a mail in doubt: SES has it
//	erase ID…                delete the content of a finished mail, not its record
//	holds                    what keeps mails from being sent
//	hold KEY REASON…         keep mails: account, from:ADDRESS, set:NAME or tenant:NAME
//	release KEY…             end a hold
//	adopt in-doubt|send      after a restore: what became of the mails that wait there
//
// With -json everything is JSON, one object a line. For all mails of a list:
//
//	outboxctl -json list -state failed -reason message-rejected | jq -r .ID | xargs outboxctl retry
//
// A mail in doubt was being sent when its process died or SES's answer was lost.
// SES's events settle it where they reach the outbox. Otherwise look for its track
// id in the events, or ask the recipient, whom content names. Then settle it, or
// retry it if SES does not have it.
//
// Workers refuse a database that was restored or copied, until adopt. The next
// program that opens it gives it its Options.Name.
//
// The program does not create tables. If yours sets Prefix, MaxAge or KeepContent
// in its outbox.Options, set the same here, in open.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "outboxctl:", err)
		os.Exit(1)
	}
}

// A command is one thing to do.
type command struct {
	name, args, help string
	do               func(c *ctl, ctx context.Context, args []string) error
}

// commands is a function because list asks it for its own help.
func commands() []command {
	return []command{
		{"stats", "", "how many mails are where, holds, processes", (*ctl).stats},
		{"list", "[flags]", "the records of mails; list -h explains the flags", (*ctl).list},
		{"show", "ID…", "the record of a mail, and what can be done", (*ctl).show},
		{"content", "ID", "its recipients and its octets, as long as they are kept", (*ctl).content},
		{"retry", "ID…", "send again what failed, expired, was canceled or is in doubt", (*ctl).retry},
		{"cancel", "ID…", "take back what waits", (*ctl).cancel},
		{"settle", "ID [MESSAGE-ID]", "a mail in doubt: SES has it", (*ctl).settle},
		{"erase", "ID…", "delete the content of a finished mail, not its record", (*ctl).erase},
		{"holds", "", "what keeps mails from being sent", (*ctl).holds},
		{"hold", "KEY REASON…", "keep mails: account, from:ADDRESS, set:NAME or tenant:NAME", (*ctl).hold},
		{"release", "KEY…", "end a hold", (*ctl).release},
		{"adopt", "in-doubt|send", "after a restore: what became of the mails that wait there", (*ctl).adopt},
	}
}

// A ctl is one call of the program.
type ctl struct {
	box  *outbox.Outbox
	out  io.Writer
	json bool
}

func run(ctx context.Context, args []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	flags := flag.NewFlagSet("outboxctl", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { usage(out, flags) }
	url := flags.String("db", os.Getenv("DATABASE_URL"), "postgres://… or an SQLite `file`; DATABASE_URL keeps a password out of the list of processes")
	flags.Lookup("db").DefValue = ""
	prefix := flags.String("prefix", "", "of the tables, if it is not sesguard_")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return help(err)
	}
	if flags.NArg() == 0 {
		return errors.New("say what to do: outboxctl -h lists the commands")
	}
	for _, cmd := range commands() {
		if cmd.name != flags.Arg(0) {
			continue
		}
		if *url == "" {
			return errors.New("say where the outbox is: -db or DATABASE_URL")
		}
		db, box, err := open(ctx, *url, *prefix)
		if err != nil {
			return err
		}
		defer db.Close()
		return cmd.do(&ctl{box, out, *asJSON}, ctx, flags.Args()[1:])
	}
	return fmt.Errorf("there is no command %q: outboxctl -h lists them", flags.Arg(0))
}

// help makes of a request for help, which was answered, no error.
func help(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

func usage(out io.Writer, flags *flag.FlagSet) {
	fmt.Fprint(out, "usage: outboxctl [flags] command\n\n")
	table(out, func(row rowFunc) {
		for _, c := range commands() {
			row("  "+c.name+" "+c.args, c.help)
		}
	})
	fmt.Fprint(out, "\nflags:\n")
	flags.PrintDefaults()
}

// open opens an outbox that exists, and creates nothing.
func open(ctx context.Context, url, prefix string) (*sql.DB, *outbox.Outbox, error) {
	driver := "pgx"
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		driver = "sqlite"
		if !strings.HasPrefix(url, "file:") {
			url = "file:" + url
		}
		separator := "?"
		if strings.Contains(url, "?") {
			separator = "&"
		}
		url += separator + "mode=rw&_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		return nil, nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("the database does not answer: %w", err)
	}
	box, err := outbox.Open(ctx, db, outbox.Options{NoMigrate: true, Prefix: prefix})
	if err != nil {
		return nil, nil, fmt.Errorf("no outbox there, or one with another -prefix: %w", err)
	}
	return db, box, nil
}
