package template

import (
	"maps"
	"slices"
	"strings"
)

// Variables returns the dotted paths of the data that the template asks for, in
// any of its branches, sorted. What is asked of the items of a list stands behind
// the list: {{#each contacts}}{{name}}{{/each}} asks for "contacts" and
// "contacts.name". SES's own words are not among them, and neither is what only a
// partial asks for that is never called.
func (t *Template) Variables() []string {
	w := &walk{names: map[string]bool{}, active: map[*list]bool{}, done: map[visit]bool{}}
	top := value{name: &name{}}
	w.list(t.root, &scope{this: top, root: top})
	return slices.Sorted(maps.Keys(w.names))
}

// A walk goes through all branches of a template and collects names.
type walk struct {
	names  map[string]bool
	active map[*list]bool // partials that the walk is in: one that calls itself is not entered again
	done   map[visit]bool
	depth  int
}

// maxVisits bounds how many partials a walk enters, each once for a context.
const maxVisits = 1000

// A visit is a partial with the name of the context that it is called with.
type visit struct {
	body    *list
	context string
}

func (w *walk) list(l *list, s *scope) {
	if l == nil || w.depth == maxDepth || len(w.done) > maxVisits {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	s = s.enter(l)
	for _, n := range l.nodes {
		switch n := n.(type) {
		case *output:
			w.use(n.expr, s)
		case *block:
			w.block(n, s)
		case *call:
			w.call(n, s)
		}
	}
}

// use collects the names in an expression, and returns what it leads to.
func (w *walk) use(e *expr, s *scope) value {
	for _, arg := range e.args {
		w.use(arg, s)
	}
	for _, p := range e.hash {
		w.use(p.expr, s)
	}
	if e.reserved() || e.helper == "" && e.path == nil {
		return value{}
	}
	v := s.eval(e)
	if v.name == nil || v.name.up == nil {
		return v
	}
	if n := v.name.String(); !strings.HasPrefix(n, "@") && !strings.HasPrefix(n, "..") {
		w.names[n] = true
	}
	return v
}

func (w *walk) block(b *block, s *scope) {
	v := w.use(b.arg, s)
	inner := s
	if b.helper != "if" && b.helper != "unless" && !b.inverse {
		inner = s.in(v)
		inner.bind(b.params, v, value{})
	}
	if b.helper == "each" {
		inner.loop = &loop{up: s.loop}
	}
	w.list(b.body, inner)
	w.list(b.otherwise, s)
}

func (w *walk) call(c *call, s *scope) {
	if c.fallback != nil {
		s = s.enter(c.fallback)
	}
	context := s.this
	if c.context != nil {
		context = w.use(c.context, s)
	}
	hash := make(map[string]value, len(c.hash))
	for _, p := range c.hash {
		hash[p.key] = w.use(p.expr, s)
	}
	p := s.partial(c.name)
	if p == nil {
		w.list(c.fallback, s)
		return
	}
	this := visit{body: p.body, context: context.name.String()}
	if w.active[p.body] || w.done[this] {
		return
	}
	w.active[p.body], w.done[this] = true, true
	defer delete(w.active, p.body)
	inner := p.enter(s, context, hash)
	if c.fallback != nil {
		inner.partials = &partial{up: inner.partials, name: partialBlock, body: c.fallback, at: s}
	}
	w.list(p.body, inner)
}
