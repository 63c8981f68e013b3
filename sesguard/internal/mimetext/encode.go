package mimetext

import (
	"strings"
)

// SevenBit reports whether s may be sent as it is: ASCII text in lines of at
// most 76 characters, without spaces at their ends, which relays drop, without
// lines that mailboxes and relays change (RFC 2049 §3), and without what could be
// taken for a boundary.
func SevenBit(s string) bool {
	start := 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == '\r' || s[i] == '\n':
			line := s[start:i]
			if len(line) > LineAim || fragile(s[start:]) || line != "" && isBlank(line[len(line)-1]) {
				return false
			}
			start = i + 1
		case (s[i] < ' ' || s[i] > '~') && s[i] != '\t':
			return false
		}
	}
	return !strings.Contains(s, "=_")
}

// fragile reports a line that may not arrive as it is: a dot alone, or one that
// begins with "From ".
func fragile(line string) bool {
	if strings.HasPrefix(line, ".") {
		return len(line) == 1 || line[1] == '\r' || line[1] == '\n'
	}
	return strings.HasPrefix(line, "From ")
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// AppendLines appends s with CRLF for each CRLF, CR and LF.
func AppendLines[T string | []byte](dst []byte, s T) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		if s[i] != '\r' && s[i] != '\n' {
			continue
		}
		dst = append(append(dst, s[start:i]...), '\r', '\n')
		i += breakLen(s, i) - 1
		start = i + 1
	}
	return append(dst, s[start:]...)
}

// breakLen returns the length of the line break at s[i].
func breakLen[T string | []byte](s T, i int) int {
	if s[i] == '\r' && i+1 < len(s) && s[i+1] == '\n' {
		return 2
	}
	return 1
}

// AppendQP appends s in quoted-printable (RFC 2045 §6.7).
func AppendQP(dst []byte, s string) []byte {
	const most = LineAim - 1 // a soft break needs one
	for i, col := 0, 0; i < len(s); {
		c := s[i]
		if c == '\r' || c == '\n' {
			dst = append(dst, '\r', '\n')
			i += breakLen(s, i)
			col = 0
			continue
		}
		end := i // of the word
		for end < len(s) && end-i < most-col && ' ' < s[end] && s[end] <= '~' && s[end] != '=' {
			end++
		}
		if end > i && (col > 0 || !fragile(s[i:])) {
			dst = append(dst, s[i:end]...)
			col += end - i
			i = end
			continue
		}
		endOfLine := i+1 == len(s) || s[i+1] == '\r' || s[i+1] == '\n'
		plain := isBlank(c) && !endOfLine
		switch {
		case col == most || !plain && col+3 > most:
			dst = append(dst, "=\r\n"...)
			col = 0
			continue
		case plain:
			dst = append(dst, c)
			col++
		default:
			dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
			col += 3
		}
		i++
	}
	return dst
}
