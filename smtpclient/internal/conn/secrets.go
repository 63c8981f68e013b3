package conn

import (
	"encoding/base64"
	"net/smtp"
	"strings"
	"unicode"
)

// maxText bounds how much of a server's text an error or a Reply keeps.
const maxText = 4 << 10

// secrets are strings that must not come back out of a server's mouth: a
// server that is given a password may repeat it in a reply, and replies end up
// in errors and logs.
type secrets []string

func newSecrets(username, password string) (s secrets) {
	if password != "" {
		s.add([]byte("\x00" + username + "\x00" + password)) // as AUTH PLAIN says it
	}
	return s
}

// A recordedAuth is a mechanism of the caller's whose responses are secrets.
type recordedAuth struct {
	smtp.Auth
	hide *secrets
}

func (a recordedAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	name, response, err := a.Auth.Start(server)
	a.hide.add(response)
	return name, response, err
}

func (a recordedAuth) Next(challenge []byte, more bool) ([]byte, error) {
	response, err := a.Auth.Next(challenge, more)
	a.hide.add(response)
	return response, err
}

// add adds a response to AUTH: the parts of it, each of them and the whole also
// in base64. The very first part is the user's name, which is no secret and may be
// a word of any reply.
func (s *secrets) add(response []byte) {
	parts := strings.FieldsFunc(string(response), unicode.IsControl)
	if len(parts) == 0 {
		return
	}
	if len(*s) == 0 {
		parts = parts[1:]
	}
	for _, said := range append([]string{string(response)}, parts...) {
		*s = append(*s, base64.StdEncoding.EncodeToString([]byte(said)))
	}
	*s = append(*s, parts...)
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
