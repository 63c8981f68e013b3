// Package names checks the names that SES gives to things of its own:
// configuration sets, tenants, contact lists, message tags.
package names

import "strings"

// Is reports whether s is at most n ASCII letters, digits, hyphens and
// characters of more.
func Is(s string, n int, more string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return len(s) <= n
}

// Token reports whether s may name a configuration set, a tenant, a contact
// list or a topic: at most 64 letters, digits, _ and -.
func Token(s string) bool { return Is(s, 64, "_") }

// Tag reports whether s may name a message tag (Amazon SES API v2 Reference,
// MessageTag): 1 to 255 letters, digits, _ and -.
func Tag(s string) bool { return s != "" && Is(s, 255, "_") }

// TagValue reports whether s may be the value of a message tag, which may also
// hold . and @.
func TagValue(s string) bool { return s != "" && Is(s, 255, "_.@") }
