package errors

import "strings"

// redacted returns clean text with "[redacted]" for what looks like a secret.
// Text without one is returned as it is, without an allocation.
func redacted(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		if c := lowerByte(text[i]); c != 'a' && c != 'x' && c != 's' && c != 'p' || i > 0 && isAlnum(text[i-1]) {
			continue
		}
		start, end := secretAt(text, i)
		if start == end {
			continue
		}
		b.WriteString(text[done:start])
		b.WriteString("[redacted]")
		done, i = end, end-1
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// secretAt returns where the secret stands whose mark starts at i; start and
// end are the same where there is none.
func secretAt(text string, i int) (start, end int) {
	for _, mark := range secretMarks {
		if !hasPrefix(text[i:], mark) {
			continue
		}
		start = i + len(mark)
		spoken := strings.HasSuffix(mark, " ")
		if !spoken {
			value := strings.TrimLeft(text[start:], ` "'`)
			if value == "" || value[0] != ':' && value[0] != '=' {
				return i, i
			}
			start = len(text) - len(strings.TrimLeft(value[1:], ` "'`))
		}
		end = start
		for end < len(text) && !strings.ContainsRune(` "'&,;<>)}]`, rune(text[end])) {
			end++
		}
		if spoken && !looksEncoded(text[start:end]) {
			return i, i
		}
		return start, end
	}
	return i, i
}

// looksEncoded reports whether a word is rather Base64 than one of a sentence.
func looksEncoded(word string) bool {
	return len(word) >= 8 && (strings.ContainsAny(word, "0123456789+/=") || capitals(word) > 1)
}
