package template

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A piece is literal text, or one tag.
type piece struct {
	pos    int      // where it starts
	text   string   // literal
	sigil  string   // of a tag: "{", "&", "#", "#>", "#*", "^", "/", ">", "*", "else", or "value" for none
	head   *expr    // what the tag holds; nil: nothing
	params []string // the names behind "as"
	broken bool     // that cannot be read, and head stands in for it
}

// A token is a part of a tag.
type token struct {
	kind  byte // 'w' word, '[' word in brackets, '"' string, 'v' other literal, 'a' for "as |", or the character itself
	pos   int
	text  string
	value any // of a string or literal
}

// scan cuts the template into pieces. Comments are none.
func (p *parser) scan() {
	strip := false // the tag before takes the white space behind it
	for pos := 0; pos < len(p.src) && !p.stopped; {
		text, tag := untilTag(p.src[pos:])
		at := pos + tag
		if tag < 0 {
			at = len(p.src)
		}
		if strip {
			text = strings.TrimLeftFunc(text, isSpace)
		}
		if strip = false; strings.HasPrefix(p.src[at:], "{{~") {
			text = strings.TrimRightFunc(text, isSpace)
		}
		if text != "" {
			p.pieces = append(p.pieces, piece{pos: pos, text: text})
		}
		if tag < 0 {
			return
		}
		pos = p.tag(at)
		strip = strings.HasSuffix(p.src[at:pos], "~}}")
	}
}

// untilTag returns the text at the start of s and where the tag behind it
// starts, -1 if there is none. A backslash before the braces makes them text, two
// make one backslash and a tag.
func untilTag(s string) (string, int) {
	var b strings.Builder
	for done, from := 0, 0; ; {
		n := strings.Index(s[from:], "{{")
		if n < 0 {
			b.WriteString(s[done:])
			return b.String(), -1
		}
		at := from + n
		before, escaped := strings.CutSuffix(s[done:at], `\`)
		b.WriteString(before)
		if !escaped || strings.HasSuffix(before, `\`) {
			return b.String(), at
		}
		done, from = at, at+2
	}
}

// tag reads the tag at pos and returns where the text goes on.
func (p *parser) tag(pos int) int {
	rest := p.src[pos+2:]
	if strings.HasPrefix(rest, "{{") {
		p.stop(pos, "SES's templates have no raw blocks ({{{{)")
		return len(p.src)
	}
	rest = strings.TrimPrefix(rest, "~")
	if strings.HasPrefix(rest, "!") {
		return p.comment(pos, len(p.src)-len(rest))
	}
	t := piece{pos: pos, sigil: "value"}
	if plain := elseTag.FindString(p.src[pos:]); plain != "" {
		t.sigil = "else"
		p.pieces = append(p.pieces, t)
		return pos + len(plain)
	}
	if sigil := sigils.FindString(rest); sigil != "" {
		t.sigil, rest = strings.TrimLeftFunc(sigil, isSpace), rest[len(sigil):]
	}
	r, next := p.lex(&t, len(p.src)-len(rest))
	p.read(&t, r)
	p.pieces = append(p.pieces, t)
	return next
}

// read makes the head of t from its tokens.
func (p *parser) read(t *piece, r *reader) {
	if !t.broken {
		head, params, bad := r.head()
		if bad == nil {
			t.head, t.params = head, params
			return
		}
		p.fail(bad.pos, "%s", cmp.Or(bad.Msg, unexpected(p.src[bad.pos:])))
		t.broken = true
	}
	t.head = &expr{pos: t.pos, path: &path{own: true}}
}

// comment returns where the text goes on behind the comment at pos, whose "!" is
// at bang.
func (p *parser) comment(pos, bang int) int {
	end := "}}"
	if strings.HasPrefix(p.src[bang:], "!--") {
		end = "--}}"
	}
	for at := bang; ; at++ {
		n := strings.Index(p.src[at:], "}}")
		if n < 0 {
			p.stop(pos, "the comment has no end")
			return len(p.src)
		}
		at += n
		if upTo := p.src[bang : at+2]; strings.HasSuffix(upTo, end) || strings.HasSuffix(upTo, "--~}}") {
			return at + 2
		}
	}
}

// lex reads the tokens of t from at on, and returns where the text goes on.
func (p *parser) lex(t *piece, at int) (*reader, int) {
	r := &reader{end: at}
	broken := func(at int, msg string) {
		p.fail(at, "%s", msg)
		t.broken = true
	}
	for at < len(p.src) {
		rest := strings.TrimLeftFunc(p.src[at:], isSpace)
		at = len(p.src) - len(rest)
		r.end = at
		if end := closing(rest); end != "" {
			if strings.Count(end, "}") != 2+strings.Count(t.sigil, "{") {
				broken(at, "{{ ends with }}, and {{{ with }}}: put a space before a further brace")
			}
			return r, at + len(end)
		}
		k, size, ok := lexeme(rest)
		if !ok {
			next := braces.FindStringIndex(rest)
			if next == nil || rest[next[0]] == '{' {
				break
			}
			broken(at+size, unexpected(rest[size:]))
			return r, at + next[1]
		}
		k.pos = at
		r.tokens = append(r.tokens, k)
		at += size
	}
	broken(t.pos, "the tag has no end")
	if next := strings.Index(p.src[at:], "{{"); next >= 0 {
		return r, at + next
	}
	return r, len(p.src)
}

var (
	elseTag = regexp.MustCompile(`^{{~?([\s\p{Z}]*else|\^)[\s\p{Z}]*~?}}`)
	sigils  = regexp.MustCompile(`^(#[>*]?|[{&^/>*]|[\s\p{Z}]*else\b)`)
	braces  = regexp.MustCompile(`{{|}}+`) // where a tag that cannot be read ends
)

// closing returns what ends a tag at the start of s, or nothing.
func closing(s string) string {
	for _, end := range []string{"}}}}", "}}}", "}~}}", "~}}", "}}"} {
		if strings.HasPrefix(s, end) {
			return end
		}
	}
	return ""
}

// lexeme returns the token at the start of s, and its length; or else where s
// goes wrong.
func lexeme(s string) (t token, n int, ok bool) {
	switch c := s[0:min(1, len(s))]; {
	case s == "" || strings.HasPrefix(s, "{{"):
		return t, 0, false
	case strings.Contains(`"'`, c) && strings.Contains(s[1:], c):
		n = len(quoted.FindString(s))
		text := strings.ReplaceAll(s[1:n-1], `\`+c, c)
		return token{kind: '"', text: text, value: text}, n, true
	case c == "[" && strings.Contains(s, "]"):
		segment := quoted.FindString(s)
		text := strings.NewReplacer(`\]`, `]`, `\\`, `\`).Replace(segment)
		return token{kind: '[', text: text[1 : len(text)-1]}, len(segment), true
	case strings.HasPrefix(s, ".."):
		return token{kind: 'w', text: ".."}, 2, true
	case c == "." && endsWord(s[1:], "=~}/.)|"):
		return token{kind: 'w', text: c}, 1, true
	case strings.Contains("./@()=|", c):
		return token{kind: s[0], text: c}, 1, true
	}
	n = strings.IndexFunc(s, func(r rune) bool { return isSpace(r) || strings.ContainsRune(notInName, r) })
	if n <= 0 {
		return t, 0, false
	}
	if word := literals.FindString(s); word != "" && endsWord(s[len(word):], "~})") {
		return token{kind: 'v', text: word, value: literal(word)}, len(word), true
	}
	if names := strings.TrimLeftFunc(s[n:], isSpace); s[:n] == "as" && len(names) < len(s)-n && strings.HasPrefix(names, "|") {
		return token{kind: 'a'}, len(s) - len(names) + 1, true
	}
	return token{kind: 'w', text: s[:n]}, n, endsWord(s[n:], "=~}/.)|")
}

var (
	quoted   = regexp.MustCompile(`^("(\\"|[^"])*"|'(\\'|[^'])*'|\[(\\\]|[^\]])*\])`)
	literals = regexp.MustCompile(`^(true|false|null|undefined|-?[0-9]+(\.[0-9]+)?)`)
)

func literal(word string) any {
	switch word {
	case "true", "false":
		return word == "true"
	case "null", "undefined":
		return nil
	}
	n, _ := strconv.ParseFloat(word, 64) // out of range it is an infinity, as in JavaScript
	return n
}

// notInName are the characters that end the name of a variable, beside white
// space ("Expressions", handlebarsjs.com).
const notInName = "!\"#%&'()*+,./;<=>@[\\]^`{|}~"

// endsWord reports whether a word may end before s.
func endsWord(s, with string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && (isSpace(r) || strings.ContainsRune(with, r))
}

// isSpace is JavaScript's white space.
func isSpace(r rune) bool { return unicode.IsSpace(r) && r != '\u0085' || r == '\ufeff' }
