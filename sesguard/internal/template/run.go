package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	maxSteps    = 1_000_000
	maxOutput   = 40 << 20 // octets, SES's limit of a message ("Service quotas in Amazon SES")
	maxProblems = 100
)

// A Problem is what keeps SES from rendering a template with some data.
type Problem struct {
	Path         string // of the data, with dots: "contact.firstName", "contacts.3.name"; "" if it is not about one
	Reason       string // Absent, Null, or a sentence
	Warning      bool   // SES renders it, but probably not as it was meant
	Line, Column int    // where the template asks for it; from 1, columns count characters
}

// The reasons that a value is missing.
const (
	Absent = "absent" // the data holds no such value
	Null   = "null"   // the value is null, which SES takes for absent
)

// String returns the problem with its place, on one line.
func (p Problem) String() string {
	if p.Path == "" {
		return fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Reason)
	}
	return fmt.Sprintf("line %d, column %d: %s is %s", p.Line, p.Column, p.Path, p.Reason)
}

// A MissingError ends an execution for want of a value. Its text is what SES says
// in the event "Rendering Failure".
type MissingError struct{ Problem }

// Error returns the text of SES's event.
func (e *MissingError) Error() string {
	return fmt.Sprintf("Attribute '%s' is not present in the rendering data.", e.Path)
}

// Check returns what keeps SES from rendering the template with data, which is
// decoded JSON: map[string]any, []any, string, float64 or json.Number, bool and
// nil. It follows the branches that data opens and names each path once.
//
// An absent value is a warning where each, or a section, has no else for it.
func (t *Template) Check(data any) []Problem {
	r := &run{src: t.src, check: true, seen: map[Problem]bool{}}
	_ = r.list(t.root, newScope(data)) // what stopped it is a problem
	return r.problems
}

// Execute renders the template with data as SES does, without escaping anything.
// A value that is absent or null is a *MissingError.
func (t *Template) Execute(data any) (string, error) {
	r := &run{src: t.src, out: &strings.Builder{}}
	if err := r.list(t.root, newScope(data)); err != nil {
		return "", err
	}
	return r.out.String(), nil
}

// A run executes a template or, with check, looks for what keeps it from being
// executed.
type run struct {
	src      string
	check    bool
	out      *strings.Builder
	written  int
	problems []Problem
	warnings int // among the problems
	seen     map[Problem]bool
	steps    int
	depth    int
}

// errStop ends a check that has found enough.
var errStop = errors.New("template: stopped")

// fails notes a problem. A check goes on behind it, an execution does not.
func (r *run) fails(pos int, p Problem) error {
	if r.check {
		return r.note(pos, p)
	}
	p.Line, p.Column = position(r.src, pos)
	switch {
	case p.Warning:
		return nil
	case p.Path != "":
		return &MissingError{p}
	}
	return errors.New("template: " + p.String())
}

// note adds a problem that is new. Warnings beyond the limit are left out, and
// problems end the check there.
func (r *run) note(pos int, p Problem) error {
	if r.seen[p] || p.Warning && r.warnings == maxProblems {
		return nil
	}
	r.seen[p] = true
	if p.Warning {
		r.warnings++
	}
	p.Line, p.Column = position(r.src, pos)
	r.problems = append(r.problems, p)
	if len(r.problems)-r.warnings == maxProblems {
		return errStop
	}
	return nil
}

// exceeds notes that a limit was reached, which ends a check too.
func (r *run) exceeds(pos int, format string, args ...any) error {
	if err := r.fails(pos, Problem{Reason: fmt.Sprintf(format, args...)}); err != nil {
		return err
	}
	return errStop
}

func (r *run) write(pos int, s string) error {
	if r.check {
		return nil
	}
	if r.written += len(s); r.written > maxOutput {
		return r.exceeds(pos, "the result is larger than %d MB", maxOutput>>20)
	}
	r.out.WriteString(s)
	return nil
}

func (r *run) list(l *list, s *scope) error {
	if l == nil {
		return nil
	}
	if r.depth++; r.depth > maxDepth {
		return r.exceeds(0, "blocks and partials nest deeper than %d", maxDepth)
	}
	defer func() { r.depth-- }()
	s = s.enter(l)
	for _, n := range l.nodes {
		if err := r.node(n, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) node(n node, s *scope) error {
	if r.steps++; r.steps > maxSteps {
		return r.exceeds(0, "the template repeats its parts more than %d times", maxSteps)
	}
	switch n := n.(type) {
	case textNode:
		return r.write(0, string(n))
	case *output:
		return r.output(n.expr, s)
	case *block:
		return r.block(n, s)
	case *call:
		return r.call(n, s)
	}
	panic("template: unknown node")
}

func (r *run) output(e *expr, s *scope) error {
	if e.reserved() {
		return r.write(e.pos, "{{"+e.path.text+"}}")
	}
	v := s.eval(e)
	switch {
	case v.v == nil && v.name == nil:
		return nil // a lookup, or a null that the template itself names
	case !v.found:
		return r.fails(e.pos, Problem{Path: v.name.String(), Reason: Absent})
	case v.v == nil:
		return r.fails(e.pos, Problem{Path: v.name.String(), Reason: Null})
	case r.check:
		return nil
	}
	return r.write(e.pos, format(v.v))
}

func (r *run) block(b *block, s *scope) error {
	body, otherwise := b.body, b.otherwise
	if b.inverse {
		body, otherwise = otherwise, body
	}
	v := s.eval(b.arg)
	switch items := b.helper == "each" || b.helper == "" && isList(v.v); {
	case items:
		return r.each(b, v, body, otherwise, s)
	case b.helper == "if":
		if !v.truthy(b.includesZero(s)) {
			return r.list(otherwise, s)
		}
		return r.list(body, s)
	case b.helper == "unless":
		if v.truthy(b.includesZero(s)) {
			return r.list(otherwise, s)
		}
		return r.list(body, s)
	case b.helper == "with" && v.empty(), v.v == nil, v.v == false:
		if b.helper == "" && !v.found && v.name != nil && !b.inverse && otherwise == nil {
			if err := r.fails(b.pos, Problem{Path: v.name.String(), Reason: Absent, Warning: true}); err != nil {
				return err
			}
		}
		return r.list(otherwise, s)
	case b.helper == "" && v.v == true:
		return r.list(body, s)
	}
	inner := s.in(v)
	inner.bind(b.params, v)
	return r.list(body, inner)
}

func isList(v any) bool {
	_, ok := v.([]any)
	return ok
}

func (b *block) includesZero(s *scope) bool {
	for _, p := range b.hash {
		if p.key == "includeZero" {
			return s.eval(p.expr).truthy(false)
		}
	}
	return false
}

// each executes body for each item of a list, or each value of an object in the
// order of its keys.
func (r *run) each(b *block, v value, body, otherwise *list, s *scope) error {
	var keys []string
	items, isList := v.v.([]any)
	object, isObject := v.v.(map[string]any)
	count := len(items)
	switch {
	case isObject:
		keys = slices.Sorted(maps.Keys(object))
		count = len(keys)
	case !isList:
		if err := r.noList(b, v, otherwise); err != nil {
			return err
		}
	}
	if count == 0 {
		return r.list(otherwise, s)
	}
	for i := range count {
		if r.steps++; r.steps > maxSteps {
			return r.exceeds(b.pos, "the template repeats its parts more than %d times", maxSteps)
		}
		var item value
		var key any
		if isList {
			key = float64(i)
			item = value{v: items[i], found: true}
			if v.name != nil {
				item.name = &name{up: v.name, part: strconv.Itoa(i)}
			}
		} else {
			key, item = keys[i], v.step(keys[i])
		}
		inner := s.in(item)
		inner.loop = &loop{up: s.loop, index: i, last: i == count-1, key: key, known: true}
		inner.bind(b.params, item, value{v: key, found: true})
		if err := r.list(body, inner); err != nil {
			return err
		}
	}
	return nil
}

// noList warns of an each over something that is no list.
func (r *run) noList(b *block, v value, otherwise *list) error {
	p := Problem{Reason: "no list", Warning: true}
	switch {
	case v.name == nil:
		return nil
	case v.v == nil && otherwise != nil:
		return nil // the template knows
	case !v.found:
		p.Reason = Absent
	case v.v == nil:
		p.Reason = Null
	}
	p.Path = v.name.String()
	return r.fails(b.pos, p)
}

func (r *run) call(c *call, s *scope) error {
	if c.fallback != nil {
		s = s.enter(c.fallback)
	}
	p := s.partial(c.name)
	if p == nil {
		if c.fallback != nil {
			return r.list(c.fallback, s)
		}
		return r.fails(c.pos, Problem{Reason: strconv.Quote(c.name) + " is no partial here"})
	}
	context := s.this
	if c.context != nil {
		context = s.eval(c.context)
	}
	hash := make(map[string]value, len(c.hash))
	for _, pair := range c.hash {
		hash[pair.key] = s.eval(pair.expr)
	}
	if m, ok := context.v.(map[string]any); ok && len(hash) > 0 {
		r.steps += len(m) // which are copied
	}
	inner := p.enter(s, context, hash)
	if c.fallback != nil {
		inner.partials = &partial{up: inner.partials, name: partialBlock, body: c.fallback, at: s}
	}
	if c.indent == "" || r.check {
		return r.list(p.body, inner)
	}
	return r.indented(c, p.body, inner)
}

// indented executes a partial that has a line for itself: each of its lines is
// indented as that was.
func (r *run) indented(c *call, body *list, s *scope) error {
	outer := r.out
	r.out = &strings.Builder{}
	err := r.list(body, s)
	lines := strings.SplitAfter(r.out.String(), "\n")
	r.out = outer
	for _, line := range lines {
		if err == nil && line != "" {
			err = r.write(c.pos, c.indent+line)
		}
	}
	return err
}

// eval returns the value of an expression.
func (s *scope) eval(e *expr) value {
	switch {
	case e.helper == "lookup":
		v := s.eval(e.args[0]).step(format(s.eval(e.args[1]).v))
		if !v.found {
			v.name = nil // absent as it may be: that is what lookup is for
		}
		return v
	case e.helper == "log":
		return value{v: "", found: true}
	case e.path != nil:
		return s.find(e.path)
	}
	return value{v: e.value, found: true}
}
