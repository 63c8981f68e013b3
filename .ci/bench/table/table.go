// Package table prints measurements beside what was asked of them.
package table

import (
	"fmt"
	"io"
)

// A Line is one comparison as it is printed.
type Line struct {
	What, Against string
	Ours, Theirs  string
	Results       []Result
}

// Row makes a Line.
func Row(what, against, ours, theirs string, results []Result) Line {
	return Line{What: what, Against: against, Ours: ours, Theirs: theirs, Results: results}
}

// A Result is one figure beside what was asked of it.
type Result struct {
	Name   string
	Value  float64
	Target float64
	AtMost bool // else at least; 0 is no target
	Format string
	bare   float64 // the same figure of the bare dialogue, which nobody can be much better than; 0: not known
}

// AtLeast is a figure that should be no less than target.
func AtLeast(name string, value, target float64) Result {
	return Result{Name: name, Value: value, Target: target, Format: "%.2f"}
}

// AtMost is a figure that should be no more than target.
func AtMost(name string, value, target float64) Result {
	return Result{Name: name, Value: value, Target: target, AtMost: true, Format: "%.2f"}
}

// As gives the value the form of a Printf verb.
func (r Result) As(format string) Result {
	r.Format = format
	return r
}

// Beside notes the bare dialogue's figure.
func (r Result) Beside(bare float64) Result {
	r.bare = bare
	return r
}

func (r Result) met() bool {
	if r.AtMost {
		return r.Value <= r.Target
	}
	return r.Value >= r.Target
}

// String returns the figure, its target, and whether it is met.
func (r Result) String() string {
	value := r.Name + " " + fmt.Sprintf(r.Format, r.Value)
	if r.Target == 0 {
		return value
	}
	sign, verdict := "≥", "met"
	if r.AtMost {
		sign = "≤"
	}
	if !r.met() {
		verdict = "MISSED"
	}
	target := fmt.Sprintf("%s %g", sign, r.Target)
	if r.bare != 0 {
		target += "; bare " + fmt.Sprintf(r.Format, r.bare)
	}
	return fmt.Sprintf("%s (%s) %s", value, target, verdict)
}

// A Table prints each line as soon as it is known.
type Table struct {
	w                  io.Writer
	Lines, Met, Missed int
}

// New prints the heading to w.
func New(w io.Writer, heading Line) *Table {
	t := &Table{w: w}
	t.print(heading.What, heading.Against, heading.Ours, heading.Theirs, "result (target)")
	return t
}

func (t *Table) print(what, against, ours, theirs, result string) {
	fmt.Fprintf(t.w, "%-36s %-25s %-10s %-20s %s\n", what, against, ours, theirs, result)
}

// Add prints lines.
func (t *Table) Add(lines ...Line) {
	for _, l := range lines {
		t.Lines++
		for _, r := range l.Results {
			t.count(r)
			t.print(l.What, l.Against, l.Ours, l.Theirs, r.String())
			l = Line{}
		}
	}
}

func (t *Table) count(r Result) {
	switch {
	case r.Target == 0:
	case r.met():
		t.Met++
	default:
		t.Missed++
	}
}
