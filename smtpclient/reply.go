package smtpclient

import "strings"

// A Reply is what the server said when it accepted a message.
type Reply struct {
	// Code is the reply code, 250 or 251.
	Code int
	// Text is the text of the reply, the lines of a long one joined by "\n".
	Text string
	// MessageID is what SES calls the message, out of "Ok MESSAGEID". It is
	// empty when another server words its reply in another way.
	MessageID string
}

// messageID takes the id out of "Ok 0107017033dbb64d-…-000000".
func messageID(text string) string {
	if len(text) < 4 || !strings.EqualFold(text[:3], "ok ") {
		return ""
	}
	id := strings.TrimSpace(text[3:])
	for i := range len(id) {
		c := id[i]
		letter, digit := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		if !letter && !digit && strings.IndexByte("-_.@=", c) < 0 {
			return ""
		}
	}
	return id
}
