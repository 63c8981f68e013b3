package errors

import (
	"bytes"
	"slices"
	"strings"
)

// masked returns clean text with "***" for the local part of each address, and
// without the display names in a list of identities: SES repeats the envelope,
// and a text or a log is no place for it. Text without "@" is returned as it is.
func masked(text string) string {
	if strings.IndexByte(text, '@') < 0 {
		return text
	}
	if _, start, end := identityList(text); start < end {
		ids, truncated := parseIdentities(text[start:end])
		list := strings.Join(ids, ", ")
		if truncated {
			list += "..."
		}
		text = text[:start] + list + text[end:]
	}
	var b strings.Builder
	before, after, found := strings.Cut(text, "@")
	for ; found; before, after, found = strings.Cut(after, "@") {
		start := localPart(before)
		b.WriteString(before[:start])
		if start < len(before) {
			b.WriteString("***")
		}
		b.WriteByte('@')
	}
	b.WriteString(before)
	return b.String()
}

// localPart returns where the local part at the end of text starts: at an angle
// bracket, at a quote that it is in, or after what cannot be in one.
func localPart(text string) int {
	if open := strings.LastIndexByte(text, '<'); open > strings.LastIndexByte(text, '>') {
		return open + 1
	}
	if inner, ok := strings.CutSuffix(text, `"`); ok && strings.Contains(inner, `"`) { // "a b"@example.com
		return strings.LastIndexByte(inner, '"')
	}
	return strings.LastIndexAny(text, " <>()[]{},;:\"'`@=") + 1
}

// redacted returns clean text with "[redacted]" for what looks like a secret.
func redacted(text string) string {
	var array [maxMessage]byte
	low := lower(array[:0], text)
	if !slices.ContainsFunc(secretHints, func(hint string) bool { return bytes.Contains(low, []byte(hint)) }) {
		return text // most texts, without the cost of the expressions
	}
	for _, secret := range secretWords {
		text = secret.ReplaceAllString(text, "${1}[redacted]")
	}
	return text
}
