package template

import "strings"

// A list is what stands in a template or in one branch of a block.
type list struct {
	nodes    []node
	partials map[string]*list // inline partials that are defined here; they hold for all of the list
}

// A node is literal text (a string), an *expr whose value is written, a *block
// or a *call.
type node any

// A block is if, unless, with or each, or a section, which has the helper "".
type block struct {
	helper    string
	arg       *expr
	zero      *expr    // includeZero=…, or nil
	params    []string // the names behind "as"
	body      *list
	otherwise *list // nil: there is none
}

// A call calls an inline partial.
type call struct {
	pos     int
	name    string
	context *expr // nil: the present one
	hash    []pair
}

// An expr is a path, a literal, or a helper that gives a value.
type expr struct {
	pos    int
	path   *path
	value  any    // of a literal
	helper string // "" unless a helper is called
	args   []*expr
	hash   []pair
}

type pair struct {
	key  string
	expr *expr
}

// A path leads to a value of the data.
type path struct {
	text  string // as written, without brackets and quotes
	data  bool   // begins with "@"
	depth int    // how often "../" stands at its start
	own   bool   // begins with "this", "./" or "../": it names no helper and no block parameter
	parts []string
}

// isName reports whether p may be the name of a helper.
func (p *path) isName() bool { return len(p.parts) == 1 && !p.own && !p.data }

// reserved are the variables that SES itself fills in.
var reserved = map[string]bool{"amazonSESUnsubscribeUrl": true, "ses:openTracker": true}

// A name is the way to a value from the top of the data.
type name struct {
	up   *name
	part string // "" leads to the same with the key=value of a partial on top
}

// is reports whether both lead to the same value.
func (n *name) is(o *name) bool {
	for n != o && n != nil && o != nil && n.part == o.part {
		n, o = n.up, o.up
	}
	return n == o
}

// maxName bounds the name of a value in a problem, in octets.
const maxName = 1000

// String returns the dotted path; "this" for the data as a whole. A very long
// one is cut at its start.
func (n *name) String() string {
	s := ""
	for ; n != nil && n.up != nil; n = n.up {
		if n.part == "" {
			continue
		}
		if s = strings.TrimSuffix(n.part+"."+s, "."); len(s) > maxName {
			return "…" + strings.ToValidUTF8(s[len(s)-maxName:], "")
		}
	}
	if s == "" {
		return "this"
	}
	return s
}
