package template

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth  = 1000 // of blocks, expressions and partials
	maxErrors = 10   // that are told of a template
)

// A SyntaxError says why a text is no template, and where.
type SyntaxError struct {
	Line, Column int // from 1; columns count characters
	Msg          string

	pos int // in octets
}

// Error returns the place and the message on one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("template: line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// An ErrorList is what is wrong with a text, in its order.
type ErrorList []*SyntaxError

// Error returns the first error, and how many follow.
func (l ErrorList) Error() string {
	if len(l) == 1 {
		return l[0].Error()
	}
	return fmt.Sprintf("%v (and %d more)", l[0], len(l)-1)
}

// A Template is the text of a subject or a body that was parsed. It is safe for
// concurrent use.
type Template struct {
	src    string
	root   *list
	simple string // why inline content cannot carry it
}

// Parse reads a template. The error is an ErrorList, with ten errors at most: of
// a block, tag or string without an end, an end without a block, an unknown
// helper, wrong arguments of a known one, a partial that is defined nowhere, and
// what SES's templates lack of Handlebars.
func Parse(text string) (*Template, error) {
	p := &parser{src: text, defined: map[string]bool{}}
	if before, _, bad := strings.Cut(strings.ToValidUTF8(text, "\x00"), "\x00"); bad {
		p.fail(len(before), "NUL, or what is not UTF-8, has no place in a template")
	}
	p.scan()
	root := p.list()
	for p.end != nil && !p.stopped { // it closes nothing
		if p.end.sigil == "else" {
			p.fail(p.end.pos, "else stands outside of a block")
		} else if !p.end.broken {
			p.fail(p.end.pos, "{{/%s}} ends nothing", first(p.end.name()))
		}
		p.list()
	}
	for _, c := range p.calls {
		if !p.defined[c.name] {
			p.fail(c.pos, "the partial %q is not defined in this template", first(c.name))
		}
	}
	if len(p.errs) > 0 {
		slices.SortStableFunc(p.errs, func(a, b *SyntaxError) int { return cmp.Compare(a.pos, b.pos) })
		return nil, p.errs
	}
	return &Template{src: text, root: root, simple: p.simple}, nil
}

// Simple reports whether inline content may carry the template, and if not, why.
// SES takes plain variables there and refuses everything that branches or calls
// (TemplateContent of EmailTemplateContent, Amazon SES API v2 Reference).
func (t *Template) Simple() (ok bool, why string) { return t.simple == "", t.simple }

// A parser makes a tree of a text. Behind an error it goes on as well as it can,
// to find further ones.
type parser struct {
	src     string
	pieces  []piece
	next    int      // of pieces
	end     *piece   // the else or closing tag that ended the last list; nil: the end of the text
	open    []string // names of the blocks around
	defined map[string]bool
	calls   []*call
	simple  string
	errs    ErrorList
	stopped bool // the rest of the text is not looked at
}

func (p *parser) fail(pos int, format string, args ...any) {
	if p.stopped {
		return
	}
	e := &SyntaxError{Msg: fmt.Sprintf(format, args...), pos: pos}
	e.Line, e.Column = position(p.src, pos)
	p.errs = append(p.errs, e)
	p.stopped = len(p.errs) == maxErrors
}

// stop is fail for an error behind which nothing can be read.
func (p *parser) stop(pos int, format string, args ...any) {
	p.fail(pos, format, args...)
	p.stopped = true
}

func position(src string, pos int) (line, column int) {
	before := src[:min(pos, len(src))]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// complex remembers the first part of the template that inline content cannot
// carry.
func (p *parser) complex(tag *piece, what string) {
	if p.simple == "" {
		line, column := position(p.src, tag.pos)
		p.simple = fmt.Sprintf("line %d, column %d: %s needs a stored template", line, column, what)
	}
}

// list reads up to the next else or closing tag, or to the end, and sets p.end.
func (p *parser) list() *list {
	l := &list{}
	for p.next < len(p.pieces) && !p.stopped {
		tag := &p.pieces[p.next]
		p.next++
		switch tag.sigil {
		case "":
			l.nodes = append(l.nodes, tag.text)
		case "else", "/":
			p.end = tag
			return l
		case "#", "^":
			l.nodes = append(l.nodes, p.block(tag))
		case "#*":
			p.inline(tag, l)
		case ">", "#>":
			l.nodes = append(l.nodes, p.call(tag))
		case "*":
			p.fail(tag.pos, "SES's templates have no decorators but {{#* inline}}")
		default:
			l.nodes = append(l.nodes, p.output(tag))
		}
	}
	p.end = nil
	return l
}

func (p *parser) output(tag *piece) node {
	e := tag.head
	if tag.params != nil {
		p.fail(tag.pos, "only a block takes names behind as")
	}
	if e.helper == "" && e.path.isName() && helpers[e.path.text] != noHelper {
		e.helper = e.path.text
	}
	if e.helper != "" {
		p.complex(tag, "the helper "+first(e.helper))
		if bad := e.check(); bad != nil {
			p.fail(bad.pos, "%s", bad.Msg)
		}
	}
	return e
}

// block reads a block from behind its opening tag to behind its closing tag.
func (p *parser) block(tag *piece) node {
	b := p.opening(tag)
	p.branches(b, tag, tag)
	if tag.sigil == "^" {
		b.body, b.otherwise = b.otherwise, b.body
	}
	return b
}

// opening reads the tag of a block, or what stands behind else.
func (p *parser) opening(tag *piece) *block {
	p.complex(tag, "a block")
	e := tag.head
	b := &block{arg: e, params: tag.params}
	name, kind := cmp.Or(e.helper, e.path.text), noHelper
	if e.path.isName() {
		kind = helpers[name]
	}
	switch {
	case kind == noHelper && e.helper == "": // a section
	case kind != blockHelper:
		p.fail(e.pos, "the block helper %q is unknown", first(name))
	case len(e.args) != 1:
		p.fail(e.pos, "%s takes one argument", name)
	default:
		b.helper, b.arg = name, e.args[0]
		for _, pair := range e.hash {
			if pair.key == "includeZero" {
				b.zero = pair.expr
			}
		}
	}
	return b
}

// branches reads what stands in the block of tag, up to behind its closing tag.
// With "else if", last is the tag of the block in the else, which ends with this
// one.
func (p *parser) branches(b *block, tag, last *piece) {
	if len(p.open) == maxDepth {
		p.stop(last.pos, "blocks nest deeper than %d", maxDepth)
		return
	}
	p.open = append(p.open, tag.head.path.text)
	defer func() { p.open = p.open[:len(p.open)-1] }()
	b.body = p.list()
	if p.end == nil || p.end.sigil != "else" {
		p.closes(tag)
		return
	}
	if chained := p.end; chained.head != nil {
		if tag.sigil == "^" {
			p.fail(chained.pos, "a block of {{^ takes no else with a condition")
		}
		inner := p.opening(chained)
		b.otherwise = &list{nodes: []node{inner}}
		p.branches(inner, tag, chained)
		return
	}
	b.otherwise = p.list()
	for p.end != nil && p.end.sigil == "else" {
		p.fail(p.end.pos, "the block has an else already")
		p.list()
	}
	p.closes(tag)
}

// closes checks that p.end closes what tag opens.
func (p *parser) closes(tag *piece) {
	name := tag.head.path.text
	switch {
	case p.end == nil:
		p.fail(tag.pos, "{{%s%s}} has no end", tag.sigil, first(name))
	case tag.broken || p.end.broken || p.end.name() == name:
	case slices.Contains(p.open[:len(p.open)-1], p.end.name()): // it ends a block around this one
		p.fail(tag.pos, "{{%s%s}} has no end", tag.sigil, first(name))
		p.next--
	default:
		p.fail(p.end.pos, "{{/%s}} stands where {{/%s}} must", first(p.end.name()), first(name))
	}
}

// name returns what a closing tag closes.
func (t *piece) name() string {
	if t.head.helper != "" || t.params != nil {
		return t.head.path.text + " …"
	}
	return t.head.path.text
}

// inline reads the definition of an inline partial into l.
func (p *parser) inline(tag *piece, l *list) {
	p.complex(tag, "an inline partial")
	e := tag.head
	name, ok := "", false
	if len(e.args) == 1 && len(e.hash) == 0 && e.helper == "inline" {
		name, ok = e.args[0].value.(string)
	}
	if !ok && !tag.broken {
		p.fail(tag.pos, `SES's templates have no decorators but {{#* inline "name"}}`)
	}
	var b block
	p.branches(&b, tag, tag)
	if b.otherwise != nil {
		p.fail(tag.pos, "an inline partial has no else")
	}
	if l.partials == nil {
		l.partials = map[string]*list{}
	}
	l.partials[name] = b.body
	p.defined[name] = true
}

// call reads a call of a partial.
func (p *parser) call(tag *piece) node {
	p.complex(tag, "a partial")
	e := tag.head
	c := &call{pos: tag.pos, name: e.path.text, hash: e.hash}
	switch {
	case tag.sigil == "#>":
		p.fail(tag.pos, `SES's templates have no partials with a body ({{#> %s}}): define them by {{#* inline "%[1]s"}}`, first(c.name))
		p.branches(new(block), tag, tag)
		return c
	case tag.broken:
		return c
	case len(e.args) > 1 || tag.params != nil:
		p.fail(tag.pos, "a partial is called by its name, with at most one context")
	case len(e.args) == 1:
		c.context = e.args[0]
	}
	p.calls = append(p.calls, c)
	return c
}

// first returns the first word of s, for a message.
func first(s string) string {
	if n := strings.IndexFunc(s, isSpace); n > 0 {
		s = s[:n]
	}
	for n := range s {
		if n > 60 {
			return s[:n]
		}
	}
	return s
}

// unexpected says that s has no place where it stands.
func unexpected(s string) string {
	switch {
	case s == "" || closing(s) != "":
		return "a name or a value is missing"
	case strings.IndexByte(`"'[`, s[0]) >= 0:
		return s[:1] + " has no end"
	}
	word, _, _ := strings.Cut(first(s), "}}")
	return fmt.Sprintf("%q is unexpected here", word)
}
