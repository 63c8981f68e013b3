package errors

import "strings"

// masked returns clean text with "***" for the local part of each address, and
// without the display names in a list of identities: SES repeats the envelope,
// and a text or a log is no place for it. Text without "@" is returned as it is.
func masked(text string) string {
	if strings.IndexByte(text, '@') < 0 {
		return text
	}
	if start, end := identityList(text); start < end {
		ids, truncated := parseIdentities(text[start:end])
		list := strings.Join(ids, ", ")
		if truncated {
			list += "..."
		}
		text = text[:start] + list + text[end:]
	}
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '@' || i+1 == len(text) || !isDomainByte(text[i+1]) {
			continue
		}
		if start := localPart(text, done, i); start < i {
			b.WriteString(text[done:start])
			b.WriteString("***")
			done = i
		}
	}
	b.WriteString(text[done:])
	return b.String()
}

// localPart returns where the local part before the "@" at i starts, not before
// from: at an angle bracket, at a quote that it is in, or after what cannot be in
// one.
func localPart(text string, from, i int) int {
	before := text[from:i]
	if open := strings.LastIndexByte(before, '<'); open > strings.LastIndexByte(before, '>') {
		return from + open + 1
	}
	if strings.HasSuffix(before, `"`) { // "a b"@example.com
		if open := strings.LastIndexByte(before[:len(before)-1], '"'); open >= 0 {
			return from + open
		}
	}
	return from + strings.LastIndexAny(before, " <>()[]{},;:\"'`@=") + 1
}

func isDomainByte(c byte) bool { return isAlnum(c) || c == '[' || c >= 0x80 }
