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
func (t *Template) Check(data any) []Problem {
	r := &run{src: t.src, seen: map[Problem]bool{}}
	_ = r.start(t.root, data) // what stopped it is a problem
	return r.problems
}

// Execute renders the template with data as SES does, without escaping anything.
// A value that is absent or null is a *MissingError.
func (t *Template) Execute(data any) (string, error) {
	r := &run{src: t.src, out: &strings.Builder{}}
	if err := r.start(t.root, data); err != nil {
		return "", err
	}
	return r.out.String(), nil
}

// Variables returns the dotted paths of the data that the template asks for, in
// any of its branches, sorted. What is asked of the items of a list stands behind
// the list: {{#each contacts}}{{name}}{{/each}} asks for "contacts" and
// "contacts.name". SES's own words are not among them, and neither is what only a
// partial asks for that is never called.
func (t *Template) Variables() []string {
	r := &run{names: map[string]bool{}, calls: map[visit]bool{}}
	_ = r.start(t.root, nil) // beyond its limits it knows enough
	return slices.Sorted(maps.Keys(r.names))
}

// A run goes through a template: to render it, if it has out; to collect the
// names in all branches, if it has names; else to find what keeps it from being
// rendered.
type run struct {
	src      string
	out      *strings.Builder
	names    map[string]bool
	calls    map[visit]bool // of partials, while names are collected
	problems []Problem
	seen     map[Problem]bool
	root     value
	steps    int
	depth    int
}

// A visit is a partial with the name of the context that it is called with; it is
// made once. Without a name it says that the run is in the partial, which is not
// entered again then.
type visit struct {
	body    *list
	context string
}

// errStop ends a run that has found enough.
var errStop = errors.New("template: stopped")

func (r *run) start(l *list, data any) error {
	r.root = value{v: data, found: true, name: &name{}}
	return r.list(l, &scope{this: r.root})
}

// fails notes a problem. A check goes on behind it, an execution does not.
func (r *run) fails(pos int, p Problem) error {
	if r.names != nil || r.seen[p] {
		return nil
	}
	found := p
	found.Line, found.Column = position(r.src, pos)
	switch {
	case r.out == nil:
		r.seen[p] = true
		if r.problems = append(r.problems, found); len(r.problems) == maxProblems {
			return errStop
		}
		return nil
	case p.Path != "":
		return &MissingError{found}
	}
	return errors.New("template: " + found.String())
}

// step counts n parts of a template. Beyond the limit it ends the run.
func (r *run) step(n int) error {
	if r.steps += n; r.steps > maxSteps {
		return r.exceeds(0, "the template repeats its parts more than %d times", maxSteps)
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
	if r.out == nil {
		return nil
	}
	if r.out.Len()+len(s) > maxOutput {
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
	if err := r.step(1); err != nil {
		return err
	}
	switch n := n.(type) {
	case string:
		return r.write(0, n)
	case *expr:
		return r.output(n, s)
	case *block:
		return r.block(n, s)
	default:
		return r.call(n.(*call), s)
	}
}

func (r *run) output(e *expr, s *scope) error {
	v := r.eval(e, s)
	switch {
	case !v.found && v.name == nil:
		return r.fails(e.pos, Problem{Path: e.path.text, Reason: Absent})
	case !v.found:
		return r.fails(e.pos, Problem{Path: v.name.String(), Reason: Absent})
	case v.v == nil && v.name == nil:
		return nil // a lookup, or a null that the template itself names
	case v.v == nil:
		return r.fails(e.pos, Problem{Path: v.name.String(), Reason: Null})
	case r.out == nil:
		return nil
	}
	return r.write(e.pos, format(v.v))
}

func (r *run) block(b *block, s *scope) error {
	v := r.eval(b.arg, s)
	zero := b.zero != nil && r.eval(b.zero, s).truthy(false)
	_, isList := v.v.([]any)
	inner, chosen := s, true
	switch {
	case r.names != nil:
		return r.both(b, v, s)
	case b.helper == "each", b.helper == "" && isList:
		return r.each(b, v, s)
	case b.helper == "if":
		chosen = v.truthy(zero)
	case b.helper == "unless":
		chosen = !v.truthy(zero)
	case b.helper == "with":
		inner, chosen = s.in(v, b.params, v), !v.empty()
	case v.v == nil || v.v == false:
		chosen = false
	case v.v != true:
		inner = s.in(v, b.params, v)
	}
	if chosen {
		return r.list(b.body, inner)
	}
	return r.list(b.otherwise, s)
}

// both goes through both branches of a block.
func (r *run) both(b *block, v value, s *scope) error {
	inner := s
	if b.helper != "if" && b.helper != "unless" {
		inner = s.in(v, b.params, v, value{})
	}
	if b.helper == "each" {
		inner.loop = &loop{up: s.loop}
	}
	if err := r.list(b.body, inner); err != nil {
		return err
	}
	return r.list(b.otherwise, s)
}

// each executes the body for each item of a list, or each value of an object in
// the order of its keys.
func (r *run) each(b *block, v value, s *scope) error {
	var keys []string
	switch x := v.v.(type) {
	case map[string]any:
		keys = slices.Sorted(maps.Keys(x))
	case []any:
		keys = make([]string, len(x))
		for i := range x {
			keys[i] = strconv.Itoa(i)
		}
	}
	if len(keys) == 0 {
		return r.list(b.otherwise, s)
	}
	_, isList := v.v.([]any)
	for i, key := range keys {
		if err := r.step(1); err != nil {
			return err
		}
		l := &loop{up: s.loop, index: float64(i), first: i == 0, last: i == len(keys)-1, key: key}
		if isList {
			l.key = l.index
		}
		item := v.step(key)
		inner := s.in(item, b.params, item, value{v: l.key, found: true})
		inner.loop = l
		if err := r.list(b.body, inner); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) call(c *call, s *scope) error {
	p, hops := s.partial(c.name)
	if err := r.step(hops); err != nil {
		return err
	}
	if p == nil {
		return r.fails(c.pos, Problem{Reason: strconv.Quote(c.name) + " is no partial here"})
	}
	context := s.this
	if c.context != nil {
		context = r.eval(c.context, s)
	}
	context, err := r.with(context, c.hash, s)
	if err != nil {
		return err
	}
	body := p.list.partials[c.name]
	if r.names != nil {
		under, this := visit{body: body}, visit{body, context.name.String()}
		if r.calls[under] || r.calls[this] {
			return nil
		}
		r.calls[under], r.calls[this] = true, true
		defer delete(r.calls, under)
	}
	return r.list(body, p.scope(s, context))
}

// with returns the context with the values of a hash on top.
func (r *run) with(context value, hash []pair, s *scope) (value, error) {
	if len(hash) == 0 {
		return context, nil
	}
	m, _ := context.v.(map[string]any)
	merged := make(map[string]any, len(m)+len(hash))
	maps.Copy(merged, m)
	for _, pair := range hash {
		merged[pair.key] = r.eval(pair.expr, s)
	}
	return value{v: merged, found: true, name: &name{up: context.name}}, r.step(len(merged))
}
