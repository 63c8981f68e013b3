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

// A listScanner splits an address list. Its fields say what surrounds the
// octet that it looks at.
type listScanner struct {
	items   []mailbox
	text    strings.Builder // the item as written
	plain   strings.Builder // what stands outside of brackets and comments
	angle   strings.Builder // what stands inside of brackets
	quoted  bool
	escaped bool
	comment int
	inAngle bool
	angles  int
}

func splitList(s string) (items []mailbox, ok bool) {
	var l listScanner
	for i := 0; i < len(s); i++ {
		if !l.next(s[i]) {
			return nil, false
		}
	}
	if l.quoted || l.escaped || l.comment > 0 || l.inAngle {
		return nil, false
	}
	return l.items, l.flush()
}

func (l *listScanner) next(c byte) bool {
	switch {
	case l.escaped:
		l.escaped = false
	case c == '\\' && (l.quoted || l.comment > 0):
		l.escaped = true
	case c == '"' && l.comment == 0:
		l.quoted = !l.quoted
	case l.quoted:
	case c == '(':
		l.comment++
		l.text.WriteByte(c)
		return true
	case c == ')' && l.comment > 0:
		l.comment--
		l.text.WriteByte(c)
		return true
	case l.comment > 0:
	default:
		if done, ok := l.special(c); done {
			return ok
		}
	}
	l.put(c)
	return true
}

// special handles the octets that part and enclose addresses.
func (l *listScanner) special(c byte) (done, ok bool) {
	switch {
	case c == '<':
		ok = !l.inAngle && l.angles == 0
		l.inAngle, l.angles = true, 1
	case c == '>':
		ok = l.inAngle
		l.inAngle = false
	case l.inAngle:
		return false, true
	case c == ',' || c == ';':
		return true, l.flush()
	case c == ':':
		l.reset()
		return true, true
	default:
		return false, true
	}
	l.text.WriteByte(c)
	return true, ok
}

func (l *listScanner) put(c byte) {
	l.text.WriteByte(c)
	switch {
	case l.comment > 0:
	case l.inAngle:
		l.angle.WriteByte(c)
	default:
		l.plain.WriteByte(c)
	}
}

// flush ends an item. Without brackets the whole of it is the address.
func (l *listScanner) flush() bool {
	m := mailbox{text: strings.TrimSpace(l.text.String()), addr: strings.TrimSpace(l.plain.String())}
	if l.angles > 0 {
		m.addr = l.angle.String()
	}
	l.items = append(l.items, m)
	l.reset()
	return true
}

func (l *listScanner) reset() {
	l.text.Reset()
	l.plain.Reset()
	l.angle.Reset()
	l.angles = 0
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
