package template

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A SyntaxError says why a text is no template, and where.
type SyntaxError struct {
	Line, Column int // from 1; columns count characters
	Msg          string
}

// Error returns the place and the message on one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("template: line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// A piece is literal text, or one tag.
type piece struct {
	pos         int // where it starts
	tag         bool
	text        string // of text: what is written; of a tag: what stands behind the sigil
	textPos     int    // where text starts
	sigil       string // of a tag: "", "{", "&", "#", "#>", "#*", "^", "/", ">", "!", "*" or "else"
	left, right bool   // of a tag: "~" takes the white space on that side
}

// A scanner cuts a template into pieces.
type scanner struct {
	src    string
	pieces []piece
}

func scan(src string) ([]piece, error) {
	s := &scanner{src: src}
	for pos := 0; pos < len(src); {
		text, tag := s.untilTag(pos)
		if text.text != "" {
			s.pieces = append(s.pieces, text)
		}
		if tag < 0 {
			break
		}
		p, end, err := s.tag(tag)
		if err != nil {
			return nil, err
		}
		s.pieces = append(s.pieces, p)
		pos = end
	}
	return s.pieces, nil
}

// untilTag returns the text from pos to the next tag and where that starts, -1
// if there is none. A backslash before the braces makes them text, two make one
// backslash and a tag.
func (s *scanner) untilTag(pos int) (piece, int) {
	var b strings.Builder
	start := pos
	for from := pos; ; {
		n := strings.Index(s.src[from:], "{{")
		if n < 0 {
			b.WriteString(s.src[pos:])
			return piece{pos: start, text: b.String()}, -1
		}
		at := from + n
		before := s.src[pos:at]
		switch {
		case strings.HasSuffix(before, `\\`):
			b.WriteString(before[:len(before)-1])
			return piece{pos: start, text: b.String()}, at
		case strings.HasSuffix(before, `\`):
			b.WriteString(before[:len(before)-1])
			pos, from = at, at+2
		default:
			b.WriteString(before)
			return piece{pos: start, text: b.String()}, at
		}
	}
}

// tag reads the tag at pos and returns where the text goes on.
func (s *scanner) tag(pos int) (piece, int, error) {
	p := piece{pos: pos, tag: true}
	at := pos + 2
	rest := s.src[at:]
	if strings.HasPrefix(rest, "{{") {
		return p, 0, s.fail(pos, "raw blocks are no part of SES's templates")
	}
	if strings.HasPrefix(rest, "~") {
		p.left = true
		at++
		rest = rest[1:]
	}
	for _, sigil := range []string{"!", "{", "&", "#>", "#*", "#", "^", "/", ">", "*"} {
		if strings.HasPrefix(rest, sigil) {
			p.sigil = sigil
			at += len(sigil)
			break
		}
	}
	p.textPos = at
	end, err := s.closing(&p)
	if err != nil {
		return p, 0, err
	}
	p.elseOf()
	return p, end, nil
}

// closing finds the end of a tag, fills in what stands before it, and returns
// where the text goes on.
func (s *scanner) closing(p *piece) (int, error) {
	if p.sigil == "!" {
		return s.comment(p)
	}
	brackets := "}}"
	if p.sigil == "{" {
		brackets = "}}}"
	}
	for i := p.textPos; i < len(s.src); {
		switch c := s.src[i]; {
		case c == '"' || c == '\'' || c == '[':
			n := quoted(s.src[i:])
			if n < 0 {
				return 0, s.fail(i, "%c has no end", c)
			}
			i += n
		case strings.HasPrefix(s.src[i:], "{{"):
			return 0, s.fail(p.pos, "the tag has no end")
		case p.sigil == "{" && strings.HasPrefix(s.src[i:], "}~}}"):
			p.right = true
			p.text = s.src[p.textPos:i]
			return i + 4, nil
		case p.sigil != "{" && strings.HasPrefix(s.src[i:], "~}}"):
			p.right = true
			p.text = s.src[p.textPos:i]
			return i + 3, nil
		case strings.HasPrefix(s.src[i:], brackets):
			p.text = s.src[p.textPos:i]
			return i + len(brackets), nil
		default:
			i++
		}
	}
	return 0, s.fail(p.pos, "the tag has no end")
}

func (s *scanner) comment(p *piece) (int, error) {
	at, ends := p.textPos, []string{"}}"}
	if strings.HasPrefix(s.src[at:], "--") {
		at, ends = at+2, []string{"--}}", "--~}}"}
	}
	first, length := -1, 0
	for _, end := range ends {
		if n := strings.Index(s.src[at:], end); n >= 0 && (first < 0 || n < first) {
			first, length = n, len(end)
		}
	}
	if first < 0 {
		return 0, s.fail(p.pos, "the comment has no end")
	}
	end := at + first + length
	p.right = s.src[end-3] == '~'
	return end, nil
}

// elseOf turns "{{else …}}" and "{{^}}" into a tag of their own kind.
func (p *piece) elseOf() {
	text := strings.TrimSpace(p.text)
	switch {
	case p.sigil == "^" && text == "":
		p.sigil, p.text = "else", ""
	case p.sigil == "":
		if rest, ok := strings.CutPrefix(text, "else"); ok && (rest == "" || isSpace(rest[0])) {
			n := strings.Index(p.text, "else") + len("else")
			p.sigil, p.text, p.textPos = "else", p.text[n:], p.textPos+n
		}
	}
}

// quoted returns the length of the string or [segment] at the start of s, -1 if
// it does not end.
func quoted(s string) int {
	end := s[0]
	if end == '[' {
		end = ']'
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == end:
			i++
		case s[i] == end:
			return i + 1
		}
	}
	return -1
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func (s *scanner) fail(pos int, format string, args ...any) error {
	return fail(s.src, pos, format, args...)
}

func fail(src string, pos int, format string, args ...any) error {
	line, column := position(src, pos)
	return &SyntaxError{Line: line, Column: column, Msg: fmt.Sprintf(format, args...)}
}

func position(src string, pos int) (line, column int) {
	before := src[:min(pos, len(src))]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
