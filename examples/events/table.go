package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

// A table holds what became of each mail, for each of its recipients. An event
// that comes twice or late changes nothing: with a database the key is a unique
// column, and the update is one of "greatest".
type table struct {
	suppressed event.SuppressionList // give it to sesguard.Suppressed

	mu   sync.Mutex
	rows map[key]row
}

type key struct{ messageID, recipient string }

type row struct {
	subject string
	state   event.State
	advice  event.Advice
}

// handle takes one event. With a table in a database it returns the error of the
// database, and the event comes again.
func (t *table) handle(_ context.Context, e *event.Event) error {
	t.suppressed.Observe(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows == nil {
		t.rows = make(map[key]row)
	}
	for i, a := range e.Advice() {
		k := key{e.MessageID, e.Recipients[i].Address}
		r := t.rows[k]
		r.subject = cmp.Or(r.subject, e.Common.Subject)
		if e.State() >= r.state {
			r.state, r.advice = e.State(), a
		}
		t.rows[k] = r
	}
	return nil
}

// print writes the table, by subject and recipient.
func (t *table) print(out io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	type line struct {
		key
		row
	}
	var lines []line
	for k, r := range t.rows {
		lines = append(lines, line{k, r})
	}
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.recipient, b.recipient), cmp.Compare(a.messageID, b.messageID))
	})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MAIL\tTO\tWHAT BECAME OF IT\tWHAT TO DO\tWHY")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.subject, l.recipient, l.state, todo(l.advice), l.advice.Reason)
	}
	return w.Flush()
}

// todo says what to do in words.
func todo(a event.Advice) string {
	switch a.Do {
	case event.Later:
		return fmt.Sprintf("send again in %v", a.After)
	case event.Suppress:
		return "never write to this address again"
	case event.Correct:
		return "correct the mail or the domain's settings"
	case event.Alert:
		return "tell a person"
	}
	return "nothing"
}
