package errors

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds on text from outside. A server or a log may hand over megabytes.
const (
	maxMessage = 1 << 10  // bytes kept in Error.Message
	maxText    = 16 << 10 // bytes looked at: the first and the last 8 KiB
)

// bounded returns text, or its first and last half of maxText when it is
// longer: replies stand at the start, stack traces put the error at the end.
func bounded(text string) string {
	if len(text) <= maxText {
		return text
	}
	return text[:maxText/2] + "\n" + text[len(text)-maxText/2:]
}

// clean returns text on one line: folded lines joined without the reply codes
// that later lines repeat, white space and control characters as one space,
// the escapes of JSON, Go and XML resolved, invalid UTF-8 replaced. Text that
// is clean already is returned as it is, without an allocation.
func clean(text string) string { return cleaned(text, false) }

// cleanReply is clean for the text of a reply without the code of its first
// line.
func cleanReply(text string) string { return cleaned(text, true) }

func cleaned(text string, reply bool) string {
	text = strings.TrimSpace(bounded(text))
	if isClean(text) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	space := false
	for i := 0; i < len(text); {
		r, n := decode(text[i:])
		newline := r == '\n'
		i += n
		if newline {
			i += repeatedCode(text[i:], b.String(), reply)
		}
		if r <= ' ' || r == 0x7f {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isClean reports whether clean would change nothing.
func isClean(text string) bool {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < ' ' || c == 0x7f || c == '\\' || c == '&' || c == ' ' && i+1 < len(text) && text[i+1] == ' ' {
			return false
		}
	}
	return utf8.ValidString(text)
}

// decode returns the first character of text, with an escape resolved, and
// the bytes it took. Text is not empty.
func decode(text string) (rune, int) {
	if c := text[0]; c == '&' || c == '\\' {
		for _, e := range entities {
			if strings.HasPrefix(text, e.text) {
				return e.r, len(e.text)
			}
		}
		if len(text) >= 6 && text[:2] == `\u` {
			if v, err := strconv.ParseUint(text[2:6], 16, 16); err == nil && v < utf8.RuneSelf {
				return rune(v), 6
			}
		}
	}
	return utf8.DecodeRuneInString(text)
}

// repeatedCode returns the length of what stands before the words on a later
// line of a reply: blanks, "554-" or "554 ", and an enhanced code. Where the
// text need not be a reply, before must hold the code already.
func repeatedCode(line, before string, reply bool) int {
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	if isReplyCode(number(line[i:])) && len(line) > i+3 && (line[i+3] == '-' || line[i+3] == ' ') && (reply || strings.Contains(before, line[i:i+3])) {
		i += 4
	}
	_, rest := cutEnhanced(line[i:])
	return len(line) - len(rest)
}

// message returns text made clean and fit to be shown.
func message(text string) string { return shown(clean(text)) }

// shown returns clean text without secrets and addresses, cut to maxMessage
// bytes.
func shown(text string) string { return cut(masked(redacted(text)), maxMessage) }

// cut returns at most n bytes of text, ending in "..." when something is left
// out. It never splits a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	end := n - len("...")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}

// quoted returns text in quotes, cut short, for the text of an error.
func quoted(text string) string { return strconv.Quote(cut(text, 64)) }

// lower appends text to buf with ASCII letters in lower case.
func lower(buf []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		buf = append(buf, lowerByte(text[i]))
	}
	return buf
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func isWord(c byte) bool { return isAlnum(c) || c == '_' }

func isAlnum(c byte) bool { return '0' <= c && c <= '9' || 'a' <= lowerByte(c) && lowerByte(c) <= 'z' }

// hasPrefix is strings.HasPrefix without regard to the case of letters.
func hasPrefix(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
