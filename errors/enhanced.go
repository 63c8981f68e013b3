package errors

import "strings"

// cutEnhanced splits an enhanced status code (RFC 3463 §2: class 2, 4 or 5,
// then subject and detail of one to three digits) from the start of text and
// returns it with the words after it. Without one it returns "" and text.
func cutEnhanced(text string) (code, rest string) {
	start := 0
	if len(text) > 0 && text[0] == '#' { // Exchange and some gateways write "#5.1.1"
		start = 1
	}
	if len(text) < start+5 || !isClassDigit(text[start]) || text[start+1] != '.' {
		return "", text
	}
	dot := digits(text, start+2)
	if dot == start+2 || dot >= len(text) || text[dot] != '.' {
		return "", text
	}
	end := digits(text, dot+1)
	if end == dot+1 {
		return "", text
	}
	code, rest = text[start:end], text[end:]
	if rest != "" && strings.IndexByte(" \t\r\n:;,\"')]}", rest[0]) < 0 {
		return "", text
	}
	for rest != "" && (rest[0] == ' ' || rest[0] == '\t' || rest[0] == ':') {
		rest = rest[1:]
	}
	return code, rest
}

// digits returns the index after at most three digits of text from i on.
func digits(text string, i int) int {
	for n := 0; n < 3 && i < len(text) && isDigit(text[i]); n++ {
		i++
	}
	return i
}

func isClassDigit(c byte) bool { return c == '2' || c == '4' || c == '5' }

// isReplyCode reports whether s is a refusal of RFC 5321 §4.2.1: 4 or 5, a
// second digit up to 5, any third; 471 and 571 are seen too. So the ports 465
// and 587 are none, nor are the HTTP statuses 400 to 419 and 429.
func isReplyCode(s string) bool {
	if strings.HasPrefix(s, "40") || strings.HasPrefix(s, "41") || s == "429" {
		return false
	}
	return len(s) == 3 && (s[0] == '4' || s[0] == '5') && ('0' <= s[1] && s[1] <= '5' || s[1] == '7') && isDigit(s[2])
}
