package sestest

import (
	"regexp"
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

// token is a quoted string, a comment, an address in brackets, a separator or
// what stands between them (RFC 5322 section 3.4). A bracket or a quote alone
// has no end. net/mail is no help here: it has other complaints than SES.
var token = regexp.MustCompile(`(?s)^(?:"(?:\\.|[^"\\])*"|\((?:\\.|[^()\\]|\([^()]*\))*\)|<(?:"(?:\\.|[^"\\])*"|[^<">])*>|[,;:"(<>]|[^,;:"(<>]+)`)

// parseMailboxes reads a list of addresses as in a From or To field, with
// groups.
func parseMailboxes(s string) (list []mailbox, r *refusal) {
	var angle string   // with its brackets
	var plain []string // outside of brackets and comments
	start, rest := 0, s+","
	for at := 0; rest != ""; {
		tok := token.FindString(rest)
		rest = rest[len(tok):]
		switch c := tok[0]; {
		case c == ',' || c == ';':
			m := mailbox{text: strings.TrimSpace(s[start:at]), addr: strings.TrimSpace(strings.Join(plain, ""))}
			if angle != "" {
				m.addr = angle[1 : len(angle)-1]
			}
			if m.text != "" {
				if r := checkAddress(m.addr); r != nil {
					return nil, r
				}
				list = append(list, m)
			}
			angle, plain, start = "", nil, at+1
		case c == ':': // what stood before is a group's name
			angle, plain, start = "", nil, at+1
		case len(tok) == 1 && strings.Contains(`"(<>`, tok), c == '<' && angle != "":
			return nil, refused(seserrors.IllegalAddress, "Illegal address")
		case c == '<':
			angle = tok
		case c != '(':
			plain = append(plain, tok)
		}
		at += len(tok)
	}
	return list, nil
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
