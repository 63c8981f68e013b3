package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

type rowFunc func(cells ...any)

// table prints what rows gives it in columns.
func table(out io.Writer, rows func(row rowFunc)) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rows(func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	})
	return w.Flush()
}

func (c *ctl) encode(v any) error { return json.NewEncoder(c.out).Encode(v) }

// when is a time as a person reads it.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 MST") + ", " + ago(t)
}

// ago is how far from now a time is.
func ago(t time.Time) string {
	d := time.Since(t)
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

var (
	states = []outbox.State{outbox.Waiting, outbox.Sending, outbox.Sent, outbox.InDoubt, outbox.Failed, outbox.Expired, outbox.Canceled}
)

func (c *ctl) stats(ctx context.Context, _ []string) error {
	s, err := c.box.Stats(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return c.encode(jsonStats(s))
	}
	err = table(c.out, func(row rowFunc) {
		row("MAILS", "URGENT", "NORMAL", "BULK")
		for _, state := range states {
			row(state, count(s, state, outbox.Urgent), count(s, state, outbox.Normal), count(s, state, outbox.Bulk))
		}
	})
	late := "none"
	if !s.OldestDue.IsZero() {
		late = when(s.OldestDue)
	}
	fmt.Fprintf(c.out, "\noldest due  %s\nunseen      %d, sent in the last day without an event that tells so\nduplicates  %d, accepted by SES twice\n\n", late, s.Unseen, s.Duplicates)
	err = errors.Join(err, c.printProcesses(s.Processes))
	fmt.Fprintln(c.out)
	return errors.Join(err, c.printHolds(s.Holds))
}

func count(s *outbox.Stats, state outbox.State, p outbox.Priority) (n int) {
	for _, c := range s.Mails {
		if c.State == state && c.Priority == p {
			n += c.N
		}
	}
	return n
}

func (c *ctl) printProcesses(list []outbox.Process) error {
	if len(list) == 0 {
		fmt.Fprintln(c.out, "no process sends")
		return nil
	}
	return table(c.out, func(row rowFunc) {
		row("PROCESS", "HOST", "STARTED")
		for _, p := range list {
			row(p.ID, p.Host, when(p.Started))
		}
	})
}

func (c *ctl) holds(ctx context.Context, _ []string) error {
	s, err := c.box.Stats(ctx)
	if err != nil {
		return err
	}
	if !c.json {
		return c.printHolds(s.Holds)
	}
	for _, h := range s.Holds {
		if err := c.encode(h); err != nil {
			return err
		}
	}
	return nil
}

func (c *ctl) printHolds(list []outbox.Hold) error {
	if len(list) == 0 {
		fmt.Fprintln(c.out, "nothing is held")
		return nil
	}
	return table(c.out, func(row rowFunc) {
		row("HOLD", "REASON", "SINCE", "NEXT PROBE")
		for _, h := range list {
			probe := "none: release it by hand"
			if !h.Probe.IsZero() {
				probe = ago(h.Probe)
			}
			row(h.Key, h.Reason, when(h.Since), probe)
		}
	})
}

func (c *ctl) list(ctx context.Context, args []string) error {
	q, err := c.query(args)
	if err != nil {
		return help(err)
	}
	records, err := c.box.List(ctx, q)
	if err != nil {
		return err
	}
	if c.json {
		for _, r := range records {
			if err := c.encode(jsonRecord(r)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(records) == 0 {
		_, err := fmt.Fprintln(c.out, "no mails")
		return err
	}
	err = table(c.out, func(row rowFunc) {
		row("ID", "STATE", "PRIORITY", "FROM", "DUE", "ATTEMPTS", "REASON")
		for _, r := range records {
			row(r.ID, r.State, r.Priority, r.From, ago(r.Due), r.Attempts, why(r))
		}
	})
	if len(records) == q.Limit && err == nil {
		_, err = fmt.Fprintln(c.out, "\nthe next page: list with the same flags and -after", records[len(records)-1].ID)
	}
	return err
}

func (c *ctl) query(args []string) (q outbox.Query, err error) {
	flags := flag.NewFlagSet("list", flag.ContinueOnError)
	flags.SetOutput(c.out)
	flags.StringVar((*string)(&q.State), "state", "", "waiting, sending, sent, in-doubt, failed, expired or canceled")
	flags.BoolVar(&q.Held, "held", false, "only mails that a hold keeps")
	flags.StringVar(&q.From, "from", "", "the author's `address`")
	flags.StringVar(&q.Group, "group", "", "the `group`")
	flags.StringVar((*string)(&q.Reason), "reason", "", "the `reason` of the last failure, such as response-lost")
	flags.StringVar(&q.After, "after", "", "the last `ID` of the page before")
	flags.IntVar(&q.Limit, "limit", 100, "records of a page")
	if err := flags.Parse(args); err != nil {
		return q, err
	}
	if flags.NArg() > 0 {
		return q, fmt.Errorf("list takes no %q: list -h explains its flags", flags.Arg(0))
	}
	if q.State != "" && !slices.Contains(states, q.State) {
		return q, fmt.Errorf("there is no state %q, only %s", q.State, flags.Lookup("state").Usage)
	}
	return q, nil
}

func why(r outbox.Record) seserrors.Reason {
	if r.Held != "" {
		return seserrors.Reason("held by " + r.Held)
	}
	if r.Err != nil {
		return r.Err.Reason
	}
	return ""
}

func (c *ctl) show(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say which mails, by their IDs: list has them")
	}
	var failed []error
	for i, id := range args {
		r, err := c.get(ctx, id)
		if err == nil && c.json {
			err = c.encode(jsonRecord(*r))
		} else if err == nil {
			if i > 0 {
				fmt.Fprintln(c.out)
			}
			err = c.print(r)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

func (c *ctl) print(r *outbox.Record) error {
	return table(c.out, func(row rowFunc) {
		for _, field := range []struct {
			name  string
			value any
		}{
			{"id", r.ID}, {"track id", r.TrackID}, {"key", r.Key}, {"state", r.State}, {"held by", r.Held}, {"priority", r.Priority},
			{"from", r.From}, {"group", r.Group}, {"tenant", r.Tenant}, {"configuration set", r.ConfigurationSet},
			{"recipients", r.Recipients}, {"size", r.Size}, {"attempts", r.Attempts},
			{"created", when(r.Created)}, {"due", when(r.Due)}, {"changed", when(r.Changed)}, {"expires", when(r.Expires)},
			{"message id", r.MessageID},
		} {
			if fmt.Sprint(field.value) != "" {
				row(field.name, field.value)
			}
		}
		if r.Err != nil {
			row("failure", r.Err)
			row("advice", r.Err.Reason.Advice())
		}
		if next := next(r); next != "" {
			row("next", next)
		}
	})
}

// next is what a person can do about a mail.
func next(r *outbox.Record) string {
	switch {
	case r.State == outbox.InDoubt:
		return "settle it if SES has it, retry it if not: events know the track id, content has the recipients"
	case r.State == outbox.Failed, r.State == outbox.Expired, r.State == outbox.Canceled:
		return "retry sends it again"
	case r.Held != "":
		return "it is sent when the hold ends; cancel takes it back"
	case r.State == outbox.Waiting:
		return "it is sent when it is due; cancel takes it back"
	}
	return ""
}

// content prints who gets a mail, and the mail.
func (c *ctl) content(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("content takes the ID of one mail")
	}
	r, err := c.get(ctx, args[0])
	if err != nil {
		return err
	}
	m, err := c.box.Mail(ctx, r.ID)
	switch {
	case errors.Is(err, outbox.ErrErased):
		return fmt.Errorf("%s is %s, and its content is erased", r.ID, r.State)
	case err != nil:
		return err
	case c.json:
		var octets strings.Builder
		if _, err := m.WriteTo(&octets); err != nil {
			return err
		}
		return c.encode(map[string]any{"ID": r.ID, "Recipients": m.Recipients(), "Content": octets.String()})
	}
	fmt.Fprintf(c.out, "recipients: %s\n\n", strings.Join(m.Recipients(), ", "))
	_, err = m.WriteTo(c.out)
	return err
}

// jsonRecord is a record with words where Go has numbers.
func jsonRecord(r outbox.Record) any {
	v := struct {
		outbox.Record
		Priority string
		Expires  *time.Time `json:",omitempty"`
	}{Record: r, Priority: r.Priority.String()}
	if !r.Expires.IsZero() {
		v.Expires = &r.Expires
	}
	return v
}

func jsonStats(s *outbox.Stats) any {
	type mails struct {
		State    outbox.State
		Priority string
		N        int
	}
	v := struct {
		outbox.Stats
		Mails     []mails
		OldestDue *time.Time `json:",omitempty"`
	}{Stats: *s, Mails: []mails{}}
	for _, n := range s.Mails {
		v.Mails = append(v.Mails, mails{n.State, n.Priority.String(), n.N})
	}
	if !s.OldestDue.IsZero() {
		v.OldestDue = &s.OldestDue
	}
	return v
}
