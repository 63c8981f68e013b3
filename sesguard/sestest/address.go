package sestest

import (
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A mailbox is an address as it was written and its bare addr-spec.
type mailbox struct {
	text, addr string
}

func (m mailbox) domain() string {
	return strings.ToLower(m.addr[strings.LastIndexByte(m.addr, '@')+1:])
}

// parseMailbox reads exactly one address, with or without a display name.
func parseMailbox(s string) (mailbox, *refusal) {
	list, r := parseMailboxes(s)
	switch {
	case r != nil:
		return mailbox{}, r
	case len(list) == 0:
		return mailbox{}, refused(seserrors.IllegalAddress, "Empty address")
	case len(list) > 1:
		return mailbox{}, refused(seserrors.IllegalAddress, "Illegal address")
	}
	return list[0], nil
}

// parseMailboxes reads a list of addresses as in a From or To field. It knows
// quoted strings, comments, angle brackets and groups (RFC 5322 section 3.4).
func parseMailboxes(s string) ([]mailbox, *refusal) {
	items, ok := splitList(s)
	if !ok {
		return nil, refused(seserrors.IllegalAddress, "Illegal address")
	}
	var list []mailbox
	for _, it := range items {
		if it.text == "" {
			continue
		}
		if r := checkAddress(it.addr); r != nil {
			return nil, r
		}
		list = append(list, it)
	}
	return list, nil
}

// A listItem is an address as it is collected.
type listItem struct {
	text, plain, angle strings.Builder // as written; outside and inside of the brackets
	bracketed          bool
}

// mailbox ends the item. Without brackets the whole of it is the address.
func (it *listItem) mailbox() mailbox {
	m := mailbox{text: strings.TrimSpace(it.text.String()), addr: strings.TrimSpace(it.plain.String())}
	if it.bracketed {
		m.addr = it.angle.String()
	}
	return m
}

// splitList splits an address list.
func splitList(s string) (items []mailbox, ok bool) {
	it := new(listItem)
	var quoted, escaped, inside bool
	comment := 0
	for _, c := range []byte(s) {
		part := &it.plain // what the octet belongs to, beside the text
		bare := !escaped && !quoted
		switch {
		case escaped:
			escaped = false
		case c == '\\' && (quoted || comment > 0):
			escaped = true
		case c == '"' && comment == 0:
			quoted = !quoted
		case c == '(' && bare:
			comment++
		case c == ')' && bare && comment > 0:
			comment--
			part = nil
		case quoted || comment > 0:
		case c == '<':
			if it.bracketed {
				return nil, false
			}
			inside, it.bracketed, part = true, true, nil
		case c == '>':
			if !inside {
				return nil, false
			}
			inside, part = false, nil
		case inside:
		case c == ',' || c == ';':
			items = append(items, it.mailbox())
			it = new(listItem)
			continue
		case c == ':':
			it = new(listItem)
			continue
		}
		it.text.WriteByte(c)
		if inside && part != nil {
			part = &it.angle
		}
		if part != nil && comment == 0 {
			part.WriteByte(c)
		}
	}
	return append(items, it.mailbox()), !quoted && !escaped && comment == 0 && !inside
}

// checkAddress makes the complaints of SES's parser about an addr-spec.
func checkAddress(addr string) *refusal {
	if addr == "" {
		return refused(seserrors.IllegalAddress, "Empty address")
	}
	if strings.ContainsFunc(addr, func(r rune) bool { return r >= 0x80 }) {
		return refused(seserrors.NonASCIIAddress, "")
	}
	at := strings.LastIndexByte(addr, '@')
	if at < 0 || at == len(addr)-1 {
		return refused(seserrors.IllegalAddress, "Missing final '@domain'")
	}
	problem := localProblem(addr[:at])
	if problem == "" {
		problem = domainProblem(addr[at+1:])
	}
	if problem != "" {
		return refused(seserrors.IllegalAddress, problem)
	}
	return nil
}

func localProblem(local string) string {
	if n := len(local); n >= 2 && local[0] == '"' && local[n-1] == '"' {
		if strings.ContainsFunc(local, isControl) {
			return "Local address contains control or whitespace"
		}
		return ""
	}
	switch {
	case local == "":
		return "Missing local name"
	case strings.ContainsFunc(local, isControlOrSpace):
		return "Local address contains control or whitespace"
	case strings.ContainsAny(local, `()<>[]:;@\,"`):
		return "Local address contains illegal character"
	}
	return dotProblem("Local address", local)
}

func domainProblem(domain string) string {
	switch {
	case strings.ContainsFunc(domain, isControlOrSpace):
		return "Domain contains control or whitespace"
	case strings.ContainsFunc(domain, notDomain):
		return "Domain contains illegal character"
	}
	return dotProblem("Domain", domain)
}

func dotProblem(what, s string) string {
	switch {
	case s[0] == '.':
		return what + " starts with dot"
	case s[len(s)-1] == '.':
		return what + " ends with dot"
	case strings.Contains(s, ".."):
		return what + " contains dot-dot"
	}
	return ""
}

func isControl(r rune) bool        { return r < ' ' || r == 0x7f }
func isControlOrSpace(r rune) bool { return r <= ' ' || r == 0x7f }

// notDomain reports octets outside letters, digits, hyphen and dot. Address
// literals are among what it refuses: no identity of that form can exist.
func notDomain(r rune) bool {
	return r != '-' && r != '.' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
}
