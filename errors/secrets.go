package errors

import (
	"bytes"
	"slices"
)

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
