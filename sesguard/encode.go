package sesguard

import (
	"encoding/base64"
	"strings"
)

// sevenBit reports whether s may be sent as it is: ASCII text in lines of at
// most 76 characters, without spaces at their ends, which relays drop, without
// lines that mailboxes and relays change (RFC 2049 §3), and without what could be
// taken for a boundary.
func sevenBit(s string) bool {
	start := 0
	if fragile(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		i += printable(s[i:min(len(s), start+lineAim)])
		if i == len(s) {
			break
		}
		switch c := s[i]; {
		case c == '\n' || c == '\r':
			if start = i + 1; i > 0 && isBlank(s[i-1]) || fragile(s[start:]) {
				return false
			}
		case c != '\t' || i-start >= lineAim:
			return false
		}
	}
	return (s == "" || !isBlank(s[len(s)-1])) && !strings.Contains(s, "=_")
}

// printable returns how many octets at the beginning of s are printable ASCII.
func printable(s string) int {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return i
		}
	}
	return len(s)
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

// appendLines appends s with CRLF for each CRLF, CR and LF.
func appendLines[T string | []byte](dst []byte, s T) []byte {
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

// qpSafe are the characters that quoted-printable leaves alone (RFC 2045
// §6.7), but at the end of a line.
var qpSafe = func() (t [256]bool) {
	for c := ' '; c <= '~'; c++ {
		t[c] = c != '='
	}
	t['\t'] = true
	return t
}()

// appendQP appends s in quoted-printable.
func appendQP(dst []byte, s string) []byte {
	const most = lineAim - 1 // a soft break needs one
	col := 0
	for i := 0; i < len(s); {
		if s[i] == '\r' || s[i] == '\n' {
			dst = append(dst, '\r', '\n')
			i += breakLen(s, i)
			col = 0
			continue
		}
		if col == 0 && fragile(s[i:]) {
			dst = append(dst, '=', hexDigits[s[i]>>4], hexDigits[s[i]&15])
			col = 3
			i++
			continue
		}
		j := safeRun(s, i, most-col)
		dst = append(dst, s[i:j]...)
		col += j - i
		if i = j; i == len(s) || s[i] == '\r' || s[i] == '\n' {
			continue
		}
		if col+3 > most || col == most {
			dst = append(dst, "=\r\n"...)
			col = 0
			continue
		}
		if !qpSafe[s[i]] || isBlank(s[i]) {
			dst = append(dst, '=', hexDigits[s[i]>>4], hexDigits[s[i]&15])
			col += 3
			i++
		}
	}
	return dst
}

// safeRun returns the end of the run of at most n characters from s[i] that
// need no encoding.
func safeRun(s string, i, n int) int {
	end := min(len(s), i+n)
	j := i + printable(s[i:end])
	if k := strings.IndexByte(s[i:j], '='); k >= 0 {
		return i + k
	}
	for j < end && qpSafe[s[j]] { // tabs
		j++
	}
	if j > i && isBlank(s[j-1]) && (j == len(s) || s[j] == '\r' || s[j] == '\n') {
		j-- // a blank at the end of a line is encoded
	}
	return j
}

// Sizes of the encoding of files: lines of 76 characters, each after its CRLF.
// A chunk of 16 KB is as fast as one of 64 KB: smtpclient gathers what it writes
// anyway, so a large one would only be a second buffer of that kind.
const (
	lineIn   = 57
	lineOut  = lineAim + 2
	chunk    = 208 // lines encoded at once
	chunkIn  = chunk * lineIn
	chunkOut = chunk * lineOut
)

// encodedLen returns the length of n octets in base64 lines.
func encodedLen(n int) int64 {
	lines := (n + lineIn - 1) / lineIn
	return int64((n+2)/3*4) + 2*int64(lines)
}

// encodeLines writes p, at most chunkIn octets, into dst and returns it.
func encodeLines(dst, p []byte) []byte {
	n := 0
	for len(p) > 0 {
		line := p[:min(lineIn, len(p))]
		dst[n], dst[n+1] = '\r', '\n'
		n += 2
		base64.StdEncoding.Encode(dst[n:], line)
		n += base64.StdEncoding.EncodedLen(len(line))
		p = p[len(line):]
	}
	return dst[:n]
}
