package template

import (
	"strconv"
	"strings"
)

// A reader reads what stands inside a tag.
type reader struct {
	src   string // of the template
	at    int    // where the reader is in src
	end   int    // where the tag's text ends in src
	depth int    // of parentheses
}

func (r *reader) fail(pos int, format string, args ...any) error {
	return fail(r.src, pos, format, args...)
}

func (r *reader) rest() string { return r.src[r.at:r.end] }

func (r *reader) skipSpace() {
	for r.at < r.end && isSpace(r.src[r.at]) {
		r.at++
	}
}

// head reads a whole call: an expression, its arguments, its hash and the names
// behind "as".
func (r *reader) head() (e *expr, params []string, err error) {
	if e, err = r.call(true); err != nil {
		return nil, nil, err
	}
	if params, err = r.blockParams(); err != nil {
		return nil, nil, err
	}
	if r.skipSpace(); r.at < r.end {
		return nil, nil, r.fail(r.at, "%q is unexpected here", first(r.rest()))
	}
	return e, params, nil
}

// call reads an expression and what it is applied to. Without any arguments it
// is the expression itself; else the path becomes the name of a helper.
func (r *reader) call(top bool) (*expr, error) {
	r.skipSpace()
	e, err := r.expr(top)
	if err != nil {
		return nil, err
	}
	for {
		r.skipSpace()
		if r.at == r.end || r.src[r.at] == ')' || r.atBlockParams() {
			break
		}
		if key, ok := r.key(); ok {
			value, err := r.expr(false)
			if err != nil {
				return nil, err
			}
			e.hash = append(e.hash, pair{key, value})
			continue
		}
		if len(e.hash) > 0 {
			return nil, r.fail(r.at, "%q stands behind key=value", first(r.rest()))
		}
		arg, err := r.expr(false)
		if err != nil {
			return nil, err
		}
		e.args = append(e.args, arg)
	}
	if len(e.args)+len(e.hash) > 0 {
		if e.path == nil {
			return nil, r.fail(e.pos, "only a helper takes arguments")
		}
		e.helper = e.path.text
	}
	return e, nil
}

// expr reads a path, a literal or a call in parentheses. At the head of a tag a
// literal is a path too: {{"odd key"}}.
func (r *reader) expr(head bool) (*expr, error) {
	pos := r.at
	if pos == r.end {
		return nil, r.fail(pos, "the tag is empty")
	}
	switch c := r.src[pos]; {
	case c == '(':
		return r.parenthesis()
	case c == '"' || c == '\'':
		n := quoted(r.rest())
		if n < 0 {
			return nil, r.fail(pos, "%c has no end", c)
		}
		r.at += n
		s := strings.ReplaceAll(r.src[pos+1:r.at-1], `\`+string(c), string(c))
		if head {
			return &expr{pos: pos, path: &path{text: s, own: true, parts: []string{s}}}, nil
		}
		return &expr{pos: pos, value: s}, nil
	}
	p, err := r.path()
	if err != nil {
		return nil, err
	}
	if value, ok := literal(p.text); ok && !head {
		return &expr{pos: pos, value: value}, nil
	}
	return &expr{pos: pos, path: p}, nil
}

func (r *reader) parenthesis() (*expr, error) {
	pos := r.at
	if r.depth++; r.depth > maxDepth {
		return nil, r.fail(pos, "expressions nest deeper than %d", maxDepth)
	}
	r.at++
	e, err := r.call(false)
	if err != nil {
		return nil, err
	}
	if r.at == r.end || r.src[r.at] != ')' {
		return nil, r.fail(pos, "( has no end")
	}
	r.at++
	r.depth--
	if e.path == nil {
		return nil, r.fail(pos, "only a helper stands in parentheses")
	}
	e.helper = e.path.text
	return e, valueHelper(r.src, e)
}

// literal returns the value of a word that is no path.
func literal(word string) (any, bool) {
	switch word {
	case "true", "false":
		return word == "true", true
	case "null", "undefined":
		return nil, true
	}
	if strings.Trim(word, "-0123456789.") == "" {
		n, err := strconv.ParseFloat(word, 64)
		return n, err == nil
	}
	return nil, false
}

// path reads a path. Its parts are divided by dots or slashes.
func (r *reader) path() (*path, error) {
	start := r.at
	p := &path{}
	if r.src[r.at] == '@' {
		p.data = true
		r.at++
	}
	for {
		part, plain, err := r.part()
		if err != nil {
			return nil, err
		}
		switch {
		case plain && (part == "." || part == ".." || part == "this"):
			if len(p.parts) > 0 {
				return nil, r.fail(start, "%q cannot stand inside a path", part)
			}
			if part == ".." {
				p.depth++
			}
			p.own = true
		default:
			p.parts = append(p.parts, part)
		}
		if r.at == r.end || r.src[r.at] != '.' && r.src[r.at] != '/' {
			break
		}
		r.at++
	}
	p.text = r.src[start:r.at]
	return p, nil
}

// part reads one part of a path, and tells whether it is without brackets.
func (r *reader) part() (part string, plain bool, err error) {
	start := r.at
	rest := r.rest()
	switch {
	case strings.HasPrefix(rest, ".."):
		r.at += 2
		return "..", true, nil
	case strings.HasPrefix(rest, "."):
		r.at++
		return ".", true, nil
	case strings.HasPrefix(rest, "["):
		n := quoted(rest)
		if n < 0 {
			return "", false, r.fail(start, "[ has no end")
		}
		r.at += n
		return strings.ReplaceAll(rest[1:n-1], `\]`, `]`), false, nil
	}
	for r.at < r.end && !strings.ContainsRune(notInName, rune(r.src[r.at])) {
		r.at++
	}
	if r.at == start && rest == "" {
		return "", false, r.fail(start, "a name is missing")
	}
	if r.at == start {
		return "", false, r.fail(start, "%q is unexpected here", first(rest))
	}
	return r.src[start:r.at], true, nil
}

// notInName are the characters that end the name of a variable
// ("Expressions", handlebarsjs.com).
const notInName = white + "!\"#%&'()*+,./;<=>@[\\]^`{|}~"

// key reads "key=" if that comes next.
func (r *reader) key() (string, bool) {
	start := r.at
	part, _, err := r.part()
	if err == nil && r.at < r.end && r.src[r.at] == '=' {
		r.at++
		r.skipSpace()
		return part, true
	}
	r.at = start
	return "", false
}

func (r *reader) atBlockParams() bool {
	rest, ok := strings.CutPrefix(r.rest(), "as")
	return ok && rest != "" && isSpace(rest[0]) && strings.HasPrefix(strings.TrimLeft(rest, white), "|")
}

// blockParams reads "as |item key|" if that comes next.
func (r *reader) blockParams() ([]string, error) {
	if !r.atBlockParams() {
		return nil, nil
	}
	pos := r.at
	_, rest, _ := strings.Cut(r.rest(), "|")
	names, after, ok := strings.Cut(rest, "|")
	if !ok || strings.TrimSpace(names) == "" {
		return nil, r.fail(pos, "names between two | must follow as")
	}
	r.at = r.end - len(after)
	return strings.Fields(names), nil
}

// first returns the first word of s, for a message.
func first(s string) string {
	if n := strings.IndexAny(s, white); n > 0 {
		s = s[:n]
	}
	if r := []rune(s); len(r) > 20 {
		s = string(r[:20])
	}
	return s
}
