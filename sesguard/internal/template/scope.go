package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// A value is what an expression has led to.
type value struct {
	v     any
	found bool
	name  *name // nil: it does not come from the data by a path
}

// A scope is what names mean at one place of an execution.
type scope struct {
	this     value
	up       *scope // the one that "../" leads to
	root     value
	loop     *loop
	params   *param
	partials *partial
}

// A loop is what "@" leads to inside each.
type loop struct {
	up    *loop
	index int
	last  bool
	key   any
	known bool // false: only the names are looked for
}

// A param is a name that stands behind "as".
type param struct {
	up    *param
	name  string
	value value
}

// A partial is an inline partial in reach, with the scope it was defined in.
type partial struct {
	up   *partial
	name string
	body *list
	at   *scope
}

// enter returns the scope inside the partial for the context that it is called
// with from s, and with values for the names of its hash.
func (p *partial) enter(s *scope, context value, hash map[string]value) *scope {
	inner := *p.at
	if context.name != inner.this.name || context.name == nil {
		inner = *p.at.in(context)
	}
	inner.loop, inner.partials = s.loop, s.partials
	if len(hash) == 0 {
		return &inner
	}
	merged := map[string]any{}
	if m, ok := inner.this.v.(map[string]any); ok {
		maps.Copy(merged, m)
	}
	for key, v := range hash {
		merged[key] = v
	}
	inner.this.v = merged
	return &inner
}

func newScope(data any) *scope {
	top := value{v: data, found: true, name: &name{}}
	return &scope{this: top, root: top}
}

// enter returns the scope of a list: with its partials.
func (s *scope) enter(l *list) *scope {
	if len(l.partials) == 0 {
		return s
	}
	inner := *s
	for name, body := range l.partials {
		inner.partials = &partial{up: inner.partials, name: name, body: body, at: &inner}
	}
	return &inner
}

// in returns the scope inside a block that changes the context.
func (s *scope) in(this value) *scope {
	inner := *s
	inner.this, inner.up = this, s
	return &inner
}

// bind gives values the names that stand behind "as".
func (s *scope) bind(names []string, values ...value) {
	for i, n := range names {
		if i < len(values) {
			s.params = &param{up: s.params, name: n, value: values[i]}
		}
	}
}

func (s *scope) partial(name string) *partial {
	p := s.partials
	for p != nil && p.name != name {
		p = p.up
	}
	return p
}

// find follows a path.
func (s *scope) find(p *path) value {
	if p.data {
		return s.findData(p)
	}
	at := s
	for range p.depth {
		if at = at.up; at == nil {
			return value{name: &name{up: &name{}, part: p.text}}
		}
	}
	v, parts := at.this, p.parts
	if !p.own && len(parts) > 0 {
		for b := s.params; b != nil; b = b.up {
			if b.name == parts[0] {
				v, parts = b.value, parts[1:]
				break
			}
		}
	}
	for _, part := range parts {
		v = v.step(part)
	}
	return v
}

// findData follows a path that begins with "@".
func (s *scope) findData(p *path) value {
	absent := value{name: &name{up: &name{}, part: p.text}}
	if len(p.parts) == 0 {
		return absent
	}
	at := s.loop
	for range p.depth {
		if at != nil {
			at = at.up
		}
	}
	v := value{found: true}
	switch {
	case p.parts[0] == "root":
		v = s.root
	case at == nil:
		return absent
	case !at.known:
		return value{}
	case p.parts[0] == "index":
		v.v = float64(at.index)
	case p.parts[0] == "key":
		v.v = at.key
	case p.parts[0] == "first":
		v.v = at.index == 0
	case p.parts[0] == "last":
		v.v = at.last
	default:
		return absent
	}
	for _, part := range p.parts[1:] {
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
		if i, err := strconv.Atoi(part); err == nil && 0 <= i && i < len(x) {
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
	if n, ok := number(v.v); ok {
		return n != 0 || zero
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

// number returns a value as a number if it is one.
func number(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case json.Number:
		n, err := x.Float64()
		return n, err == nil
	case int:
		return float64(x), true
	}
	return 0, false
}

// format writes a value as JavaScript would.
func format(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		if x != 0 && (x < 1e-6 && x > -1e-6) || x >= 1e21 || x <= -1e21 {
			s := strconv.FormatFloat(x, 'e', -1, 64)
			return strings.NewReplacer("e-0", "e-", "e+0", "e+").Replace(s)
		}
		return strconv.FormatFloat(x, 'f', -1, 64)
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
