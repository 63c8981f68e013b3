package template

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A value is what an expression has led to.
type value struct {
	v     any
	found bool
	name  *name // nil: it does not come from the data by a path
}

// A scope is what names mean at one place of a run.
type scope struct {
	this     value
	up       *scope // the one that "../" leads to
	loop     *loop
	params   *param
	partials *partials
}

// A loop is what "@" leads to inside each. Without a key only the names are
// looked for.
type loop struct {
	up          *loop
	index       float64
	first, last bool
	key         any
}

// A param is a name that stands behind "as".
type param struct {
	up    *param
	name  string
	value value
}

// Partials are the inline partials of a list, with the scope they were defined
// in.
type partials struct {
	up   *partials
	list *list
	at   *scope
}

// enter returns the scope of a list: with its partials.
func (s *scope) enter(l *list) *scope {
	if len(l.partials) == 0 {
		return s
	}
	inner := *s
	inner.partials = &partials{up: s.partials, list: l, at: &inner}
	return &inner
}

// in returns the scope inside a block that changes the context and gives these
// values names. The same context again is no further level for "../".
func (s *scope) in(this value, params []string, values ...value) *scope {
	inner := *s
	if inner.this = this; this.name == nil || !this.name.is(s.this.name) {
		inner.up = s
	}
	for i, n := range params[:min(len(params), len(values))] {
		inner.params = &param{up: inner.params, name: n, value: values[i]}
	}
	return &inner
}

// partial finds a partial by its name, and counts the lists it looked at.
func (s *scope) partial(name string) (p *partials, hops int) {
	for p = s.partials; p != nil && p.list.partials[name] == nil; p = p.up {
		hops++
	}
	return p, hops
}

// scope returns the scope inside a partial for the context that it is called
// with from s: "../" and block parameters are those of its definition, "@" and
// partials those of the call.
func (p *partials) scope(s *scope, context value) *scope {
	inner := p.at.in(context, nil)
	inner.loop, inner.partials = s.loop, s.partials
	return inner
}

// eval returns the value of an expression.
func (r *run) eval(e *expr, s *scope) value {
	switch {
	case e.helper == "" && e.path == nil:
		return value{v: e.value, found: true}
	case e.helper == "" && e.path.isName() && reserved[e.path.text]:
		return value{v: "{{" + e.path.text + "}}", found: true}
	case e.helper == "":
		return r.find(e.path, s)
	}
	args := make([]value, len(e.args))
	for i, arg := range e.args {
		args[i] = r.eval(arg, s)
	}
	if e.helper == "log" {
		return value{v: "", found: true}
	}
	v := value{}
	switch key := args[1].v.(type) {
	case string, float64, json.Number:
		v = args[0].step(format(key))
	}
	if v.v == nil {
		return value{found: true} // there need be none: that is what lookup is for
	}
	return v
}

// find follows a path.
func (r *run) find(p *path, s *scope) (v value) {
	r.steps += p.depth + len(p.parts)
	defer func() {
		if r.names != nil && v.name != nil && v.name.up != nil {
			r.names[v.name.String()] = true
		}
	}()
	if p.data {
		return r.findData(p, s)
	}
	for range p.depth {
		if s = s.up; s == nil {
			return missing(p)
		}
	}
	v, parts := s.this, p.parts
	if !p.own && len(parts) > 0 {
		for b := s.params; b != nil; b = b.up {
			if r.steps++; b.name == parts[0] {
				v, parts = b.value, parts[1:]
				break
			}
		}
	}
	return v.walk(parts)
}

// missing is the value of a path that leads nowhere, whatever the data holds. A
// context that is not there is written as nothing.
func missing(p *path) value { return value{found: len(p.parts) == 0} }

// findData follows a path that begins with "@".
func (r *run) findData(p *path, s *scope) value {
	if len(p.parts) == 0 {
		return missing(p)
	}
	if p.parts[0] == "root" {
		return r.root.walk(p.parts[1:])
	}
	at := s.loop
	for i := 0; i < p.depth && at != nil; i++ {
		at = at.up
	}
	if at == nil {
		return missing(p)
	}
	v := value{found: true}
	switch p.parts[0] {
	case "index":
		v.v = at.index
	case "key":
		v.v = at.key
	case "first":
		v.v = at.first
	case "last":
		v.v = at.last
	default:
		return missing(p)
	}
	return v.walk(p.parts[1:])
}

func (v value) walk(parts []string) value {
	for _, part := range parts {
		v = v.step(part)
	}
	return v
}

// step goes one part further.
func (v value) step(part string) value {
	next := value{}
	switch x := v.v.(type) {
	case map[string]any:
		next.v, next.found = x[part]
		if inner, ok := next.v.(value); ok { // a key=value of a partial
			return inner
		}
	case []any:
		if i, err := strconv.Atoi(part); err == nil && 0 <= i && i < len(x) && strconv.Itoa(i) == part {
			next.v, next.found = x[i], true
		} else if part == "length" {
			next.v, next.found = float64(len(x)), true
		}
	}
	if v.name != nil {
		next.name = &name{up: v.name, part: part}
	}
	return next
}

// truthy tells what if makes of a value: false, null, "", 0 and the empty list
// are false ("Built-in Helpers", handlebarsjs.com).
func (v value) truthy(zero bool) bool {
	switch x := v.v.(type) {
	case float64:
		return x != 0 || zero
	case json.Number:
		n, err := x.Float64()
		return n != 0 || err != nil || zero
	}
	return !v.empty()
}

// empty is truthy's contrary but for 0.
func (v value) empty() bool {
	switch x := v.v.(type) {
	case nil:
		return true
	case bool:
		return !x
	case string:
		return x == ""
	case []any:
		return len(x) == 0
	}
	return false
}

// format writes a value as JavaScript would; a whole json.Number with all its
// digits.
func format(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		if x == 0 {
			return "0" // not "-0"
		}
		if (x < 1e-6 && x > -1e-6) || x >= 1e21 || x <= -1e21 {
			s := strconv.FormatFloat(x, 'e', -1, 64)
			return strings.NewReplacer("e-0", "e-", "e+0", "e+").Replace(s)
		}
		return strconv.FormatFloat(x, 'f', -1, 64)
	case json.Number:
		if n, err := x.Float64(); err == nil && strings.ContainsAny(x.String(), ".eE") {
			return format(n)
		}
		return x.String()
	case []any:
		parts := make([]string, len(x))
		for i := range x {
			parts[i] = format(x[i])
		}
		return strings.Join(parts, ",")
	case map[string]any:
		return "[object Object]"
	}
	return fmt.Sprint(v)
}
