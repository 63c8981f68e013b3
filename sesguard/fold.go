package sesguard

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// Limits of a line, without its CRLF.
const (
	lineAim  = 76  // RFC 2047 §2, RFC 2045 §6.7 and §6.8
	lineMax  = 998 // RFC 5322 §2.1.1
	wordMax  = 75  // RFC 2047 §2, an encoded-word
	wordCost = len("=?utf-8?q??=")
	runMax   = 70 // a longer run without spaces, in a text for people, is encoded so that it can be folded
)

// A folder appends header fields to buf, breaking lines between words so that
// none is longer than max, if the words allow it.
type folder struct {
	buf   []byte
	col   int  // length of the last line
	max   int  // what it aims at
	fresh bool // nothing follows the name of the field yet: an empty first line would look like an empty field
}

// field begins a header field.
func (f *folder) field(name string) {
	f.buf = append(append(f.buf, name...), ':')
	f.col = len(name) + 1
	f.fresh = true
}

// end ends a header field.
func (f *folder) end() { f.buf = append(f.buf, '\r', '\n') }

// space parts two words, by a new line if n more octets do not fit on this
// one. At the start of a text that is no field it adds nothing.
func (f *folder) space(n int) {
	if f.col == 0 {
		return
	}
	if f.col+1+n > f.max && !f.fresh {
		f.buf = append(f.buf, '\r', '\n')
		f.col = 0
	}
	f.buf = append(f.buf, ' ')
	f.col++
	f.fresh = false
}

// word appends a word and the space before it.
func (f *folder) word(s string) {
	f.space(len(s))
	f.buf = append(f.buf, s...)
	f.col += len(s)
}

// words appends s, which may be folded where a single space stands.
func (f *folder) words(s string) {
	start := 0
	for i := 1; i < len(s)-1; i++ {
		if s[i] == ' ' && s[i-1] != ' ' && s[i+1] != ' ' {
			f.word(s[start:i])
			start = i + 1
		}
	}
	f.word(s[start:])
}

// text appends a text for people (RFC 5322 unstructured), as it is if that
// reads back unchanged, otherwise as encoded-words.
func (f *folder) text(s string) {
	if mustEncode(s) {
		f.encoded(s)
		return
	}
	f.words(s)
}

// mailbox appends a name, if there is one, and a bare address.
func (f *folder) mailbox(name, addr string) {
	if name == "" {
		f.word(addr)
		return
	}
	f.phrase(name)
	f.angle(addr)
}

// mailboxes appends a list of them.
func (f *folder) mailboxes(list []mailbox) {
	for i, m := range list {
		if i > 0 {
			f.comma()
		}
		f.mailbox(m.name, m.addr)
	}
}

// phrase appends a name (RFC 5322 §3.2.5).
func (f *folder) phrase(name string) {
	switch {
	case mustEncode(name):
		f.encoded(name)
	case isPhrase(name):
		f.words(name)
	default:
		f.words(quote(name))
	}
}

// angle appends s in angle brackets.
func (f *folder) angle(s string) {
	f.space(len(s) + 2)
	f.buf = append(append(append(f.buf, '<'), s...), '>')
	f.col += len(s) + 2
}

// comma appends a comma, behind the last word.
func (f *folder) comma() {
	f.buf = append(f.buf, ',')
	f.col++
}

// mustEncode reports a text that would not read back as it is: not ASCII, a
// control character, what looks like an encoded-word, spaces that folding may
// change, a run too long to fold.
func mustEncode(s string) bool {
	run := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c < ' ' || c > '~':
			return true
		case c == '?' && i > 0 && s[i-1] == '=':
			return true
		case c != ' ':
			if run++; run > runMax {
				return true
			}
		case i == 0 || s[i-1] == ' ' || i == len(s)-1:
			return true
		default:
			run = 0
		}
	}
	return false
}

// isPhrase reports a name that needs no quotes: atoms, parted by spaces.
func isPhrase(s string) bool {
	for i := range len(s) {
		if s[i] != ' ' && class[s[i]]&atext == 0 {
			return false
		}
	}
	return true
}

// quote returns s as a quoted-string.
func quote(s string) string { return `"` + quoter.Replace(s) + `"` }

var quoter = strings.NewReplacer(`"`, `\"`, `\`, `\\`)

// encoded appends s, which is valid UTF-8, as encoded-words in the shorter
// encoding, none of which splits a rune. Readers drop the space between two
// encoded-words; since some keep it in a name, a text that fits into one word
// on the next line is not split to fill this one.
func (f *folder) encoded(s string) {
	q := qLen(s) <= base64.StdEncoding.EncodedLen(len(s))
	for whole := true; s != ""; whole = false {
		room := min(wordMax, f.max-f.col-1) - wordCost
		n, most := fit(s, q, room), fit(s, q, wordMax-wordCost)
		if n == 0 || whole && !f.fresh && n < most && most == len(s) {
			n = most
			f.space(wordMax)
		} else {
			f.space(0)
		}
		start := len(f.buf)
		f.buf = appendEncodedWord(f.buf, s[:n], q)
		f.col += len(f.buf) - start
		s = s[n:]
	}
}

// fit returns how many octets of s, in whole runes, fit into an encoded-word
// with room for n characters.
func fit(s string, q bool, n int) int {
	if !q {
		return wholeRunes(s, n/4*3)
	}
	used := 0
	for i, r := range s {
		if used += qLen(s[i : i+utf8.RuneLen(r)]); used > n {
			return i
		}
	}
	return len(s)
}

func wholeRunes(s string, n int) int {
	if n >= len(s) {
		return len(s)
	}
	for n = max(n, 0); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return n
}

// qSafe are the characters that stand for themselves in the Q encoding
// everywhere, also in a name (RFC 2047 §5, rule 3). The space is written _.
var qSafe = func() (t [256]bool) {
	for c := range t {
		t[c] = class[c]&ldh != 0
	}
	for _, c := range []byte("!*+/ ") {
		t[c] = true
	}
	return t
}()

// qLen returns the length of s in the Q encoding.
func qLen(s string) int {
	n := len(s)
	for i := range len(s) {
		if !qSafe[s[i]] {
			n += 2
		}
	}
	return n
}

const hexDigits = "0123456789ABCDEF"

func appendEncodedWord(dst []byte, s string, q bool) []byte {
	if !q {
		dst = append(dst, "=?utf-8?b?"...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(s))
		return append(dst, "?="...)
	}
	dst = append(dst, "=?utf-8?q?"...)
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			dst = append(dst, '_')
		case qSafe[c]:
			dst = append(dst, c)
		default:
			dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, "?="...)
}

// brief returns s cut short and without control characters, fit for an error.
func brief(s string) string {
	const most = 60
	cut := len(s) > most
	if cut {
		s = s[:wholeRunes(s, most)]
	}
	s = strings.Map(func(r rune) rune {
		if isControl(r) || isBidiControl(r) || r == utf8.RuneError {
			return '\uFFFD'
		}
		return r
	}, s)
	if cut {
		s += "…"
	}
	return s
}
