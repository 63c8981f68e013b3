package errors

// redacted returns clean text with "[redacted]" for what looks like a secret.
func redacted(text string) string {
	for _, secret := range secretWords {
		if secret.MatchString(text) {
			text = secret.ReplaceAllString(text, "${1}[redacted]")
		}
	}
	return text
}
