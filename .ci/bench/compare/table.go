package compare

import (
	"fmt"
	"io"
)

// A line is one comparison as it is printed.
type line struct {
	what, against string
	ours, theirs  string
	results       []result
}

// A result is one figure beside what was asked of it.
type result struct {
	name   string
	value  float64
	target float64
	atMost bool // else at least; 0 is no target
	format string
	bare   float64 // the same figure of the bare dialogue, which nobody can be much better than; 0: not known
}

func atLeast(name string, value, target float64) result {
	return result{name: name, value: value, target: target, format: "%.2f"}
}

func atMost(name string, value, target float64) result {
	return result{name: name, value: value, target: target, atMost: true, format: "%.2f"}
}

func (r result) as(format string) result {
	r.format = format
	return r
}

func (r result) beside(bare float64) result {
	r.bare = bare
	return r
}

func (r result) met() bool {
	if r.atMost {
		return r.value <= r.target
	}
	return r.value >= r.target
}

func (r result) String() string {
	value := r.name + " " + fmt.Sprintf(r.format, r.value)
	if r.target == 0 {
		return value
	}
	sign, verdict := "≥", "met"
	if r.atMost {
		sign = "≤"
	}
	if !r.met() {
		verdict = "MISSED"
	}
	target := fmt.Sprintf("%s %g", sign, r.target)
	if r.bare != 0 {
		target += "; bare " + fmt.Sprintf(r.format, r.bare)
	}
	return fmt.Sprintf("%s (%s) %s", value, target, verdict)
}

// A table prints each line as soon as it is known.
type table struct {
	w                  io.Writer
	lines, met, missed int
}

func newTable(w io.Writer) *table {
	t := &table{w: w}
	t.print("case", "against", "sesguard", "the other", "result (target)")
	return t
}

func (t *table) print(what, against, ours, theirs, result string) {
	fmt.Fprintf(t.w, "%-36s %-25s %-10s %-20s %s\n", what, against, ours, theirs, result)
}

func (t *table) add(lines ...line) {
	for _, l := range lines {
		t.lines++
		for _, r := range l.results {
			t.count(r)
			t.print(l.what, l.against, l.ours, l.theirs, r.String())
			l = line{}
		}
	}
}

func (t *table) count(r result) {
	switch {
	case r.target == 0:
	case r.met():
		t.met++
	default:
		t.missed++
	}
}
