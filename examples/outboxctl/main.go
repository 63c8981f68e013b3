// Command outboxctl shows an outbox to a person and does what a person decides.
//
//	outboxctl -db file:shop.db stats
//	outboxctl -db postgres://… list -state in-doubt
//
// The commands are
//
//	stats                              how many mails are where, holds, processes
//	list [-state S] [-held] [-from A] [-group G] [-reason R] [-after ID] [-limit N]
//	show ID                            the record of one mail
//	retry ID… | cancel ID… | erase ID…
//	settle ID [MESSAGE-ID]             SES has it: the word of a person
//	holds | hold KEY REASON | release KEY
//
// With -json records are printed as JSON, one a line.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	_ "modernc.org/sqlite"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "outboxctl:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: outboxctl -db URL [-json] stats | list | show | retry | cancel | erase | settle | holds | hold | release")

// A ctl is one call of the program.
type ctl struct {
	box  *outbox.Outbox
	out  io.Writer
	json bool
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("outboxctl", flag.ContinueOnError)
	url := flags.String("db", "", "postgres://… or the file: of an SQLite database")
	prefix := flags.String("prefix", "", "of the tables")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 || *url == "" {
		return errUsage
	}
	driver := "sqlite"
	if strings.HasPrefix(*url, "postgres") {
		driver = "pgx"
	}
	db, err := sql.Open(driver, *url)
	if err != nil {
		return err
	}
	defer db.Close()
	box, err := outbox.Open(ctx, db, outbox.Options{NoMigrate: true, Prefix: *prefix})
	if err != nil {
		return err
	}
	c := &ctl{box, out, *asJSON}
	return c.command(ctx, flags.Arg(0), flags.Args()[1:])
}

func (c *ctl) command(ctx context.Context, name string, args []string) error {
	switch name {
	case "stats", "holds":
		return c.stats(ctx, name == "holds")
	case "list":
		return c.list(ctx, args)
	case "show":
		return c.each(args, func(id string) error { return c.show(ctx, id) })
	case "retry":
		return c.each(args, func(id string) error { return c.box.Retry(ctx, id) })
	case "cancel":
		return c.each(args, func(id string) error { return c.box.Cancel(ctx, id) })
	case "erase":
		return c.each(args, func(id string) error { return c.box.Erase(ctx, id) })
	case "settle":
		return c.settle(ctx, args)
	case "hold":
		if len(args) < 2 {
			return errUsage
		}
		return c.box.Hold(ctx, args[0], strings.Join(args[1:], " "))
	case "release":
		return c.each(args, func(key string) error { return c.box.Release(ctx, key) })
	}
	return errUsage
}

func (c *ctl) each(args []string, do func(string) error) error {
	if len(args) == 0 {
		return errUsage
	}
	for _, arg := range args {
		if err := do(arg); err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
	}
	return nil
}

func (c *ctl) settle(ctx context.Context, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errUsage
	}
	r, err := c.box.Get(ctx, args[0])
	if err != nil {
		return err
	}
	return c.box.Settle(ctx, r.TrackID, strings.Join(args[1:], ""), time.Now())
}

func (c *ctl) table(rows func(w io.Writer)) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	rows(w)
	w.Flush()
}

func (c *ctl) stats(ctx context.Context, holdsOnly bool) error {
	s, err := c.box.Stats(ctx)
	if err != nil {
		return err
	}
	if c.json {
		if holdsOnly {
			return json.NewEncoder(c.out).Encode(s.Holds)
		}
		return json.NewEncoder(c.out).Encode(s)
	}
	c.table(func(w io.Writer) {
		for _, h := range s.Holds {
			probe := "by hand"
			if !h.Probe.IsZero() {
				probe = h.Probe.Format(time.DateTime)
			}
			fmt.Fprintf(w, "hold\t%s\t%s\tsince %s\tnext probe %s\n", h.Key, h.Reason, h.Since.Format(time.DateTime), probe)
		}
		if holdsOnly {
			return
		}
		for _, n := range s.Mails {
			fmt.Fprintf(w, "mails\t%s\t%s\t%d\n", n.State, n.Priority, n.N)
		}
		for _, p := range s.Processes {
			fmt.Fprintf(w, "process\t%s\tsince %s\n", p.Host, p.Started.Format(time.DateTime))
		}
		if !s.OldestDue.IsZero() {
			fmt.Fprintf(w, "oldest due\t%s\n", s.OldestDue.Format(time.DateTime))
		}
		fmt.Fprintf(w, "unseen\t%d\nduplicates\t%d\n", s.Unseen, s.Duplicates)
	})
	return nil
}

func (c *ctl) list(ctx context.Context, args []string) error {
	var q outbox.Query
	flags := flag.NewFlagSet("list", flag.ContinueOnError)
	flags.StringVar((*string)(&q.State), "state", "", "waiting, sending, sent, in-doubt, failed, expired or canceled")
	flags.BoolVar(&q.Held, "held", false, "only mails that a hold keeps")
	flags.StringVar(&q.From, "from", "", "the author's address")
	flags.StringVar(&q.Group, "group", "", "the group")
	flags.StringVar((*string)(&q.Reason), "reason", "", "of the last failure")
	flags.StringVar(&q.After, "after", "", "the last ID of the page before")
	flags.IntVar(&q.Limit, "limit", 100, "records")
	if err := flags.Parse(args); err != nil {
		return err
	}
	records, err := c.box.List(ctx, q)
	if err != nil {
		return err
	}
	if c.json {
		for _, r := range records {
			if err := json.NewEncoder(c.out).Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	c.table(func(w io.Writer) {
		fmt.Fprintln(w, "ID\tSTATE\tPRIORITY\tFROM\tDUE\tATTEMPTS\tREASON")
		for _, r := range records {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, r.State, r.Priority, r.From, r.Due.Format(time.DateTime), r.Attempts, why(r))
		}
	})
	return nil
}

func why(r outbox.Record) seserrors.Reason {
	if r.Held != "" {
		return seserrors.Reason(r.Held)
	}
	if r.Err != nil {
		return r.Err.Reason
	}
	return ""
}

func (c *ctl) show(ctx context.Context, id string) error {
	r, err := c.box.Get(ctx, id)
	if err != nil {
		return err
	}
	if c.json {
		return json.NewEncoder(c.out).Encode(r)
	}
	c.table(func(w io.Writer) {
		fmt.Fprintf(w, "id\t%s\ntrack id\t%s\nstate\t%s\npriority\t%s\nfrom\t%s\n", r.ID, r.TrackID, r.State, r.Priority, r.From)
		fmt.Fprintf(w, "recipients\t%d\nsize\t%d\nattempts\t%d\n", r.Recipients, r.Size, r.Attempts)
		fmt.Fprintf(w, "created\t%s\ndue\t%s\nchanged\t%s\n", r.Created.Format(time.DateTime), r.Due.Format(time.DateTime), r.Changed.Format(time.DateTime))
		fmt.Fprintf(w, "message id\t%s\nheld\t%s\n", r.MessageID, r.Held)
		if r.Err != nil {
			fmt.Fprintf(w, "failure\t%v\nadvice\t%s\n", r.Err, r.Err.Reason.Advice())
		}
	})
	return nil
}
