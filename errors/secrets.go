package errors

import "slices"

// redacted returns clean text with "[redacted]" for what looks like a secret.
func redacted(text string) string {
	if !slices.ContainsFunc(secretHints, func(hint string) bool { return index(text, hint) >= 0 }) {
		return text // most texts, without the cost of the expressions
	}
	for _, secret := range secretWords {
		text = secret.ReplaceAllString(text, "${1}[redacted]")
	}
	return text
}
