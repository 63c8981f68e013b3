package template

import "strings"

// maxDepth bounds how deep blocks, expressions and partials nest.
const maxDepth = 1000

// A Template is the text of a subject or a body that was parsed. It is safe for
// concurrent use.
type Template struct {
	src    string
	root   *list
	simple string // why inline content cannot carry it
}

// Parse reads a template. It reports a block, tag or string without an end, an
// end without a block, an unknown helper, wrong arguments of a known one, and a
// partial that is defined nowhere, as a *SyntaxError.
func Parse(text string) (*Template, error) {
	pieces, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := &parser{src: text, pieces: pieces, indents: trim(pieces), defined: map[string]bool{}}
	root, end, err := p.list()
	switch {
	case err != nil:
		return nil, err
	case end != nil && end.sigil == "else":
		return nil, p.fail(end.pos, "else stands outside of a block")
	case end != nil:
		return nil, p.fail(end.pos, "{{/%s}} ends nothing", first(strings.TrimSpace(end.text)))
	}
	for _, c := range p.calls {
		if !p.defined[c.name] && c.fallback == nil && c.name != partialBlock {
			return nil, p.fail(c.pos, "the partial %q is not defined in this template", first(c.name))
		}
	}
	return &Template{src: text, root: root, simple: p.simple}, nil
}

// Simple reports whether inline content may carry the template, and if not, why.
// SES takes plain variables there and refuses everything that branches or calls
// (TemplateContent of EmailTemplateContent, Amazon SES API v2 Reference).
func (t *Template) Simple() (ok bool, why string) { return t.simple == "", t.simple }

// A parser makes a tree of pieces.
type parser struct {
	src     string
	pieces  []piece
	indents []string
	next    int
	depth   int
	defined map[string]bool
	calls   []*call
	simple  string
}

func (p *parser) fail(pos int, format string, args ...any) error {
	return fail(p.src, pos, format, args...)
}

// complex remembers the first part of the template that inline content cannot
// carry.
func (p *parser) complex(tag *piece, what string) {
	if p.simple == "" {
		p.simple = strings.TrimPrefix(p.fail(tag.pos, "%s needs a stored template", what).Error(), "template: ")
	}
}

// list reads up to the next else or closing tag, which it returns, or to the end.
func (p *parser) list() (*list, *piece, error) {
	l := &list{}
	for p.next < len(p.pieces) {
		tag := &p.pieces[p.next]
		indent := p.indents[p.next]
		p.next++
		var n node
		var err error
		switch {
		case !tag.tag:
			n = textNode(tag.text)
		case tag.sigil == "!":
			continue
		case tag.sigil == "else" || tag.sigil == "/":
			return l, tag, nil
		case tag.sigil == "#" || tag.sigil == "^":
			n, err = p.block(tag)
		case tag.sigil == "#*":
			n, err = nil, p.inline(tag, l)
		case tag.sigil == ">" || tag.sigil == "#>":
			n, err = p.call(tag, indent)
		case tag.sigil == "*":
			err = p.fail(tag.pos, "decorators other than {{#* inline}} are unknown")
		default:
			n, err = p.output(tag)
		}
		if err != nil {
			return nil, nil, err
		}
		if n != nil {
			l.nodes = append(l.nodes, n)
		}
	}
	return l, nil, nil
}

func (p *parser) reader(tag *piece) *reader {
	return &reader{src: p.src, at: tag.textPos, end: tag.textPos + len(tag.text)}
}

func (p *parser) output(tag *piece) (node, error) {
	r := p.reader(tag)
	e, params, err := r.head()
	if err != nil {
		return nil, err
	}
	if params != nil {
		return nil, p.fail(tag.pos, "only a block takes names behind as")
	}
	if e.path != nil && (blockHelpers[e.path.text] || e.path.text == "lookup" || e.path.text == "log") && e.helper == "" {
		e.helper = e.path.text
	}
	if e.helper != "" {
		p.complex(tag, "the helper "+first(e.helper))
		if err := valueHelper(p.src, e); err != nil {
			return nil, err
		}
	}
	return &output{e}, nil
}

// valueHelper checks a helper that is called outside of a block.
func valueHelper(src string, e *expr) error {
	switch {
	case e.helper == "log":
		return nil
	case e.helper == "lookup" && len(e.args) == 2:
		return nil
	case e.helper == "lookup":
		return fail(src, e.pos, "lookup takes two arguments")
	case blockHelpers[e.helper]:
		return fail(src, e.pos, "%s is a block: write {{#%s …}}", e.helper, e.helper)
	}
	return fail(src, e.pos, "the helper %q is unknown", first(e.helper))
}

var blockHelpers = map[string]bool{"if": true, "unless": true, "with": true, "each": true}

// block reads a block from behind its opening tag to behind its closing tag.
func (p *parser) block(tag *piece) (node, error) {
	b, err := p.opening(tag)
	if err != nil {
		return nil, err
	}
	end, err := p.branches(b, tag)
	if err != nil {
		return nil, err
	}
	return b, p.closes(tag, end)
}

// opening reads the tag of a block, or what stands behind else.
func (p *parser) opening(tag *piece) (*block, error) {
	p.complex(tag, "a block")
	r := p.reader(tag)
	e, params, err := r.head()
	if err != nil {
		return nil, err
	}
	b := &block{pos: tag.pos, arg: e, params: params, inverse: tag.sigil == "^"}
	if e.path == nil {
		return nil, p.fail(e.pos, "a block begins with a name")
	}
	if !blockHelpers[e.path.text] {
		if e.helper != "" {
			return nil, p.fail(e.pos, "the helper %q is unknown", first(e.helper))
		}
		return b, nil
	}
	b.helper = e.path.text
	if len(e.args) != 1 {
		return nil, p.fail(e.pos, "%s takes one argument", b.helper)
	}
	b.arg, b.hash = e.args[0], e.hash
	return b, nil
}

// branches reads what stands in a block, and returns its closing tag.
func (p *parser) branches(b *block, tag *piece) (end *piece, err error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(tag.pos, "blocks nest deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	if b.body, end, err = p.list(); err != nil {
		return nil, err
	}
	if end == nil || end.sigil != "else" {
		return end, nil
	}
	if strings.TrimSpace(end.text) != "" { // else if …: a block in the else, that ends with this one
		chained, err := p.opening(end)
		if err != nil {
			return nil, err
		}
		b.otherwise = &list{nodes: []node{chained}}
		return p.branches(chained, end)
	}
	if b.otherwise, end, err = p.list(); err != nil {
		return nil, err
	}
	if end != nil && end.sigil == "else" {
		return nil, p.fail(end.pos, "the block has an else already")
	}
	return end, nil
}

// closes checks that end closes what tag opens.
func (p *parser) closes(tag, end *piece) error {
	name := opened(tag.text)
	if end == nil {
		return p.fail(tag.pos, "{{%s%s}} has no end", tag.sigil, first(name))
	}
	if end.sigil != "/" {
		return p.fail(end.pos, "else has no place in {{%s%s}}", tag.sigil, first(name))
	}
	if got := strings.TrimSpace(end.text); got != name {
		return p.fail(end.pos, "{{/%s}} stands where {{/%s}} must", first(got), first(name))
	}
	return nil
}

// opened returns the name in an opening tag that its closing tag repeats.
func opened(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	if n := strings.IndexAny(text, white+`("'[`); n > 0 && text[n] != '[' {
		return text[:n]
	} else if n < 0 {
		return text
	}
	r := &reader{src: text, end: len(text)}
	if text[0] == '"' || text[0] == '\'' {
		if n := quoted(text); n > 0 {
			return text[:n]
		}
	}
	if path, err := r.path(); err == nil {
		return path.text
	}
	return text
}

// inline reads the definition of an inline partial into l.
func (p *parser) inline(tag *piece, l *list) error {
	p.complex(tag, "an inline partial")
	e, _, err := p.reader(tag).head()
	if err != nil {
		return err
	}
	if e.helper != "inline" || len(e.args) != 1 {
		return p.fail(tag.pos, `only {{#* inline "name"}} is known`)
	}
	name, ok := e.args[0].value.(string)
	if !ok && e.args[0].path != nil {
		name, ok = e.args[0].path.text, true
	}
	if !ok {
		return p.fail(tag.pos, "the name of an inline partial stands in quotes")
	}
	var b block
	end, err := p.branches(&b, tag)
	if err != nil {
		return err
	}
	if b.otherwise != nil {
		return p.fail(tag.pos, "an inline partial has no else")
	}
	if l.partials == nil {
		l.partials = map[string]*list{}
	}
	l.partials[name] = b.body
	p.defined[name] = true
	return p.closes(tag, end)
}

// partialBlock is what the body of {{#> n}} is called in the partial n.
const partialBlock = "@partial-block"

// call reads a call of a partial.
func (p *parser) call(tag *piece, indent string) (node, error) {
	p.complex(tag, "a partial")
	r := p.reader(tag)
	r.skipSpace()
	e, _, err := r.head()
	if err != nil {
		return nil, err
	}
	if e.path == nil || len(e.args) > 1 {
		return nil, p.fail(tag.pos, "a partial is called by its name, with at most one context")
	}
	c := &call{pos: tag.pos, name: e.path.text, hash: e.hash, indent: indent}
	if e.path.own && len(e.path.parts) == 1 || strings.HasPrefix(c.name, "[") {
		c.name = e.path.parts[0]
	}
	if len(e.args) == 1 {
		c.context = e.args[0]
	}
	if tag.sigil == "#>" {
		var b block
		end, err := p.branches(&b, tag)
		if err != nil {
			return nil, err
		}
		if b.otherwise != nil {
			return nil, p.fail(tag.pos, "a partial has no else")
		}
		if err := p.closes(tag, end); err != nil {
			return nil, err
		}
		c.fallback = b.body
	}
	p.calls = append(p.calls, c)
	return c, nil
}
