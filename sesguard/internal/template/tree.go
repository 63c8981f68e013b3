package template

import "strings"

// A list is what stands in a template or in one branch of a block.
type list struct {
	nodes    []node
	partials map[string]*list // inline partials that are defined here; they hold for all of the list
}

// A node is a textNode, an *output, a *block or a *call.
type node interface{}

type textNode string

// An output writes the value of an expression.
type output struct{ expr *expr }

// A block is if, unless, with or each, or a section, which has the helper "".
type block struct {
	pos       int
	helper    string
	arg       *expr
	hash      []pair
	params    []string // the names behind "as"
	inverse   bool     // {{^ … }}: body and otherwise change places
	body      *list
	otherwise *list // nil: there is none
}

// A call calls an inline partial.
type call struct {
	pos      int
	name     string
	context  *expr // nil: the present one
	hash     []pair
	indent   string
	fallback *list // {{#> n}}: stands in for n, and is @partial-block in it; or nil
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
	text  string // as written
	data  bool   // begins with "@"
	depth int    // how often "../" stands at its start
	own   bool   // begins with "this", "./" or "../": it names no block parameter
	parts []string
}

// reserved are the variables that SES itself fills in.
var reserved = map[string]bool{"amazonSESUnsubscribeUrl": true, "ses:openTracker": true}

func (e *expr) reserved() bool {
	return e.path != nil && !e.path.own && !e.path.data && len(e.path.parts) == 1 && reserved[e.path.parts[0]]
}

// A name is the way to a value from the top of the data.
type name struct {
	up   *name
	part string
}

// String returns the dotted path; "this" for the data as a whole.
func (n *name) String() string {
	var parts []string
	for ; n != nil && n.up != nil; n = n.up {
		parts = append(parts, n.part)
	}
	if len(parts) == 0 {
		return "this"
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".")
}
