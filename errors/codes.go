package errors

import (
	"strconv"
	"strings"
)

// cutEnhanced splits an enhanced status code (RFC 3463 §2: class 2, 4 or 5,
// then subject and detail of one to three digits) from the start of text and
// returns it with the words after it. Without one it returns "" and text.
func cutEnhanced(text string) (code, rest string) {
	if text == "" || strings.IndexByte("#245", text[0]) < 0 {
		return "", text
	}
	m := enhancedCode.FindStringSubmatchIndex(text)
	if m == nil {
		return "", text
	}
	return text[m[2]:m[3]], strings.TrimLeft(text[m[3]:], " \t:")
}

// isReplyCode reports whether n is a refusal of RFC 5321 §4.2.1: 4 or 5, a
// second digit up to 5, any third; 471 and 571 are seen too. So the ports 465
// and 587 are none, nor are the HTTP statuses 400 to 419 and 429.
func isReplyCode(n int) bool {
	return 420 <= n && n < 460 && n != 429 || 500 <= n && n < 560 || n/10 == 47 || n/10 == 57
}

// number returns the three digits that s starts with, or 0.
func number(s string) int {
	if len(s) < 3 || s[0] < '0' || s[0] > '9' || len(s) > 3 && isAlnum(s[3]) {
		return 0
	}
	n, _ := strconv.ParseUint(s[:3], 10, 16)
	return int(n)
}
