package conn

import (
	"encoding/base64"
	"strings"
	"unicode"
)

// maxText bounds how much of a server's text an error or a Reply keeps.
const maxText = 4 << 10

// secrets are strings that must not come back out of a server's mouth: a
// server that is given a password may repeat it in a reply, and replies end up
// in errors and logs.
type secrets []string

func newSecrets(username, password string) secrets {
	if password == "" {
		return nil
	}
	b64 := base64.StdEncoding.EncodeToString
	return secrets{b64([]byte("\x00" + username + "\x00" + password)), b64([]byte(password)), password}
}

// clean makes a server's text fit to be shown: no secret, no control character
// that could rewrite a terminal or forge a line of a log, not without end.
func (s secrets) clean(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	if len(text) > maxText {
		text = text[:maxText] + "..."
	}
	return strings.Map(printable, text)
}

// printable replaces control characters. The lines of a reply are joined by \n,
// and a tab is harmless.
func printable(r rune) rune {
	if unicode.IsControl(r) && r != '\n' && r != '\t' {
		return '?'
	}
	return r
}
