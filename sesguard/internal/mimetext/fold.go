// Package mimetext writes the text of mails: header fields that are folded, names
// and texts as encoded-words, and the transfer encodings of bodies. It knows no
// message; what it is given was checked.
package mimetext

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// LineAim is the length of a line, without its CRLF, that Folders should aim at
// and that bodies keep to (RFC 2047 §2, RFC 2045 §6.7 and §6.8).
const LineAim = 76

const (
	wordMax  = 75 // RFC 2047 §2, an encoded-word
	wordCost = len("=?utf-8?q??=")
	runMax   = 70 // a longer run without spaces, in a text for people, is encoded so that it can be folded
)

// A Folder appends header fields to Buf, breaking lines between words so that
// none is longer than Max, if the words allow it.
type Folder struct {
	Buf []byte
	Max int

	col   int  // length of the last line
	fresh bool // nothing follows the name of the field yet: an empty first line would look like an empty field
}

// Field begins a header field.
func (f *Folder) Field(name string) {
	f.Buf = append(append(f.Buf, name...), ':')
	f.col = len(name) + 1
	f.fresh = true
}

// End ends a header field.
func (f *Folder) End() { f.Buf = append(f.Buf, '\r', '\n') }

// space parts two words, by a new line if n more octets do not fit on this
// one. At the start of a text that is no field it adds nothing.
func (f *Folder) space(n int) {
	if f.col == 0 {
		return
	}
	if f.col+1+n > f.Max && !f.fresh {
		f.Buf = append(f.Buf, '\r', '\n')
		f.col = 0
	}
	f.Buf = append(f.Buf, ' ')
	f.col++
	f.fresh = false
}

// Word appends a word and the space before it.
func (f *Folder) Word(s string) {
	f.space(len(s))
	f.Buf = append(f.Buf, s...)
	f.col += len(s)
}

// Words appends s, which may be folded where a single space stands.
func (f *Folder) Words(s string) {
	start := 0
	for i := 1; i < len(s)-1; i++ {
		if s[i] == ' ' && s[i-1] != ' ' && s[i+1] != ' ' {
			f.Word(s[start:i])
			start = i + 1
		}
	}
	f.Word(s[start:])
}

// Text appends a text for people (RFC 5322 unstructured), as it is if that
// reads back unchanged, otherwise as encoded-words.
func (f *Folder) Text(s string) {
	if mustEncode(s) {
		f.Encoded(s)
		return
	}
	f.Words(s)
}

// Mailbox appends a name, if there is one, and a bare address.
func (f *Folder) Mailbox(name, addr string) {
	if name == "" {
		f.Word(addr)
		return
	}
	f.Phrase(name)
	f.Angle(addr)
}

// Phrase appends a name (RFC 5322 §3.2.5).
func (f *Folder) Phrase(name string) {
	switch {
	case mustEncode(name):
		f.Encoded(name)
	case isPhrase(name):
		f.Words(name)
	default:
		f.Words(quote(name))
	}
}

// Angle appends s in angle brackets.
func (f *Folder) Angle(s string) {
	f.space(len(s) + 2)
	f.Buf = append(append(append(f.Buf, '<'), s...), '>')
	f.col += len(s) + 2
}

// Param appends a parameter of a field, such as name="x".
func (f *Folder) Param(s string) {
	f.Buf = append(f.Buf, ';')
	f.col++
	f.Word(s)
}

// Comma appends a comma, behind the last word.
func (f *Folder) Comma() {
	f.Buf = append(f.Buf, ',')
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
		if s[i] != ' ' && !isAtext(s[i]) {
			return false
		}
	}
	return true
}

// isLDH reports a letter, a digit or a hyphen.
func isLDH(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-'
}

// isAtext reports what an atom may hold (RFC 5322 §3.2.3).
func isAtext(c byte) bool { return isLDH(c) || strings.IndexByte("!#$%&'*+/=?^_`{|}~", c) >= 0 }

// quote returns s as a quoted-string.
func quote(s string) string { return `"` + quoter.Replace(s) + `"` }

var quoter = strings.NewReplacer(`"`, `\"`, `\`, `\\`)

// Encoded appends s, which is valid UTF-8, as encoded-words in the shorter
// encoding, none of which splits a rune. Readers drop the space between two
// encoded-words; since some keep it in a name, a text that fits into one word
// on the next line is not split to fill this one.
func (f *Folder) Encoded(s string) {
	q := qLen(s) <= base64.StdEncoding.EncodedLen(len(s))
	for whole := true; s != ""; whole = false {
		room := min(wordMax, f.Max-f.col-1) - wordCost
		n, most := fit(s, q, room), fit(s, q, wordMax-wordCost)
		if n == 0 || whole && !f.fresh && n < most && most == len(s) {
			n = most
			f.space(wordMax)
		} else {
			f.space(0)
		}
		start := len(f.Buf)
		f.Buf = appendEncodedWord(f.Buf, s[:n], q)
		f.col += len(f.Buf) - start
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
		t[c] = isLDH(byte(c))
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
