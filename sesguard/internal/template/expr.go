package template

import (
	"strconv"
	"strings"
)

// A kind of helper.
const (
	noHelper = iota
	blockHelper
	valueHelper
)

// helpers are those that Handlebars has built in ("Built-in Helpers",
// handlebarsjs.com).
var helpers = map[string]int{"if": blockHelper, "unless": blockHelper, "with": blockHelper, "each": blockHelper, "lookup": valueHelper, "log": valueHelper}

// A reader reads the expressions in a tag. Its errors know where they are; one
// without words is about what stands there.
type reader struct {
	tokens []token
	next   int
	end    int // where the tag ends
	depth  int // of parentheses
}

// peek returns the next token; at the end one of no kind.
func (r *reader) peek() token {
	if r.next == len(r.tokens) {
		return token{pos: r.end}
	}
	return r.tokens[r.next]
}

// head reads the whole tag: an expression, its arguments, its hash and the names
// behind "as".
func (r *reader) head() (e *expr, params []string, bad *SyntaxError) {
	if e, bad = r.call(); bad != nil {
		return nil, nil, bad
	}
	if r.peek().kind == 'a' {
		r.next++
		for ; r.peek().kind == 'w' || r.peek().kind == '['; r.next++ {
			params = append(params, r.peek().text)
		}
		if r.peek().kind != '|' || params == nil {
			return nil, nil, &SyntaxError{pos: r.peek().pos, Msg: "names between two | must follow as"}
		}
		r.next++
	}
	if r.next < len(r.tokens) {
		return nil, nil, &SyntaxError{pos: r.peek().pos}
	}
	return e, params, nil
}

// call reads a path and what it is applied to. With any arguments the path is the
// name of a helper.
func (r *reader) call() (*expr, *SyntaxError) {
	e := &expr{pos: r.peek().pos}
	var bad *SyntaxError
	if t := r.peek(); t.kind == '"' || t.kind == 'v' { // here a literal is a path too: {{"odd key"}}
		r.next++
		e.path = &path{text: t.text, parts: []string{t.text}}
	} else if e.path, bad = r.path(); bad != nil {
		return nil, bad
	}
	for t := r.peek(); t.kind != 0 && t.kind != ')' && t.kind != 'a'; t = r.peek() {
		key := ""
		if named := (t.kind == 'w' || t.kind == '[') && r.next+1 < len(r.tokens) && r.tokens[r.next+1].kind == '='; named {
			key = t.text
			r.next += 2
		} else if len(e.hash) > 0 {
			return nil, &SyntaxError{pos: t.pos, Msg: "an argument stands behind key=value"}
		}
		arg, bad := r.argument()
		if bad != nil {
			return nil, bad
		}
		if key != "" {
			e.hash = append(e.hash, pair{key, arg})
		} else {
			e.args = append(e.args, arg)
		}
	}
	if len(e.args)+len(e.hash) > 0 {
		e.helper = e.path.text
	}
	return e, nil
}

// argument reads a path, a literal or a call in parentheses.
func (r *reader) argument() (*expr, *SyntaxError) {
	switch t := r.peek(); t.kind {
	case '"', 'v':
		r.next++
		return &expr{pos: t.pos, value: t.value}, nil
	case '(':
		return r.parenthesis()
	default:
		path, bad := r.path()
		return &expr{pos: t.pos, path: path}, bad
	}
}

func (r *reader) parenthesis() (*expr, *SyntaxError) {
	pos := r.peek().pos
	if r.depth++; r.depth > maxDepth {
		return nil, &SyntaxError{pos: pos, Msg: "expressions nest deeper than 1000"}
	}
	r.next++
	e, bad := r.call()
	if bad != nil {
		return nil, bad
	}
	if r.peek().kind != ')' {
		return nil, &SyntaxError{pos: pos, Msg: "( has no end"}
	}
	r.next++
	r.depth--
	e.helper = e.path.text
	return e, e.check()
}

// check reports what is wrong with a helper that is called outside of a block.
func (e *expr) check() *SyntaxError {
	switch kind := helpers[e.helper]; {
	case kind == blockHelper:
		return &SyntaxError{pos: e.pos, Msg: e.helper + " is a block: write {{#" + e.helper + " …}}"}
	case kind == noHelper:
		return &SyntaxError{pos: e.pos, Msg: unknownHelper(e.helper)}
	case e.helper == "lookup" && len(e.args) != 2:
		return &SyntaxError{pos: e.pos, Msg: "lookup takes two arguments"}
	}
	return nil
}

// path reads a path. Its parts are divided by dots or slashes.
func (r *reader) path() (*path, *SyntaxError) {
	p := &path{}
	if r.peek().kind == '@' {
		p.data = true
		r.next++
	}
	var text strings.Builder
	for {
		t := r.peek()
		switch step := t.kind == 'w' && (t.text == "." || t.text == ".." || t.text == "this"); {
		case t.kind != 'w' && t.kind != '[':
			return nil, &SyntaxError{pos: t.pos}
		case !step:
			p.parts = append(p.parts, t.text)
		case len(p.parts) > 0:
			return nil, &SyntaxError{pos: t.pos, Msg: t.text + " cannot stand inside a path"}
		case t.text == "..":
			p.depth++
			fallthrough
		default:
			p.own = true
		}
		text.WriteString(t.text)
		if r.next++; r.peek().kind != '.' && r.peek().kind != '/' {
			break
		}
		text.WriteString(r.peek().text)
		r.next++
	}
	p.text = text.String()
	if p.data {
		p.text = "@" + p.text
	}
	return p, nil
}

func unknownHelper(name string) string {
	return "the helper " + strconv.Quote(first(name)) + " is unknown"
}
