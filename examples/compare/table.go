package main

import (
	"fmt"
	"io"
	"strings"
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
}

func atLeast(name string, value, target float64) result {
	return result{name, value, target, false, "%.2f"}
}

func atMost(name string, value, target float64) result {
	return result{name, value, target, true, "%.2f"}
}

func (r result) as(format string) result {
	r.format = format
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
	return fmt.Sprintf("%s (%s %s) %s", value, sign, strings.TrimSpace(fmt.Sprintf("%g", r.target)), verdict)
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
