package errors

import (
	"bytes"
	"strings"
)

// A rule says what one reply means.
type rule struct {
	// code is the start of an SMTP reply code ("4", "454"), an API code without
	// its suffix "Exception", or a bulk status. "" fits any.
	code string
	// text is a pattern in lower case that must occur in the reply, starting
	// where a word starts; " * " stands for a gap of up to maxGap bytes. ""
	// fits any: the meaning of a code whose text says nothing more.
	text   string
	reason Reason
	source source
}

// A source says where a reply is documented.
type source string

const (
	docSMTP      source = `SES Developer Guide, "Amazon SES SMTP issues", reply codes`
	docErrors    source = `SES Developer Guide, "Amazon SES email sending errors"`
	docQuotas    source = `SES Developer Guide, "Service quotas in Amazon SES"`
	docHeaders   source = `SES Developer Guide, "Amazon SES header fields"`
	docTypes     source = `SES Developer Guide, "Unsupported attachment types"`
	docTemplates source = `SES Developer Guide, "Using templates to send personalized email"`
	docTenants   source = `SES Developer Guide, "Managing tenants"`
	docV1        source = "SES API Reference (v1), errors of the send operations"
	docV2        source = "SES API v2 Reference, errors of SendEmail and SendBulkEmail"
	docBulk      source = "SES API v2 Reference, BulkEmailEntryResult"
	docBulkV1    source = "SES API Reference (v1), BulkEmailDestinationStatus"
	docCommon    source = "SES API Reference, Common Errors"
	docSigning   source = "AWS IAM User Guide, troubleshooting signed requests"
	docSMTPRFC   source = "RFC 5321 §4.2.2, reply codes by function group"
	docAuthRFC   source = "RFC 4954 §6, status codes of AUTH"
	docTLSRFC    source = "RFC 3207 §4, STARTTLS"
	docEnhanced  source = "RFC 3463 §3, enumerated status codes"
	seen         source = "seen in public reports of SES's replies"
	seenServers  source = "seen in replies of other mail servers and relays"
	seenClients  source = "seen in the texts of mail libraries and AWS SDKs"
)

// maxGap bounds what " * " stands for, so that a hostile text costs no more
// than its length.
const maxGap = 256

// A matcher finds the first of its rules whose text occurs in a reply. It
// looks only where words start, by the first letters of the pattern, so the
// cost hardly grows with the number of rules. It is immutable; nil has no rule.
type matcher struct {
	rules  []rule
	parts  [][][]byte // of each rule, the pieces between the gaps
	slots  [1 << slotBits]uint16
	groups [][]uint16 // rules by slot, in order; group 0 is empty
	bare   bool       // see strict
}

const slotBits = 12

// newMatcher compiles the rules that have a text; earlier ones win.
func newMatcher(tables ...[]rule) *matcher {
	m := &matcher{groups: make([][]uint16, 1)}
	for _, table := range tables {
		for _, r := range table {
			if r.text != "" {
				m.add(r)
			}
		}
	}
	if len(m.rules) == 0 {
		return nil
	}
	return m
}

// strict makes a matcher for text of which nothing shows that it comes from
// SES. A few words such as "boundary" or "daily quota" count there only at the
// start of a sentence, where SES says them.
func (m *matcher) strict() *matcher {
	m.bare = true
	return m
}

// minBare is the length of a pattern that strict trusts anywhere.
const minBare = 16

func (m *matcher) add(r rule) {
	slot := &m.slots[slotOf([]byte(r.text))]
	if *slot == 0 {
		*slot = uint16(len(m.groups))
		m.groups = append(m.groups, nil)
	}
	m.groups[*slot] = append(m.groups[*slot], uint16(len(m.rules)))
	m.rules = append(m.rules, r)
	m.parts = append(m.parts, bytes.Split([]byte(r.text), []byte(" * ")))
}

// slotOf hashes the first three letters of text, which has at least three.
func slotOf(text []byte) uint32 {
	h := uint32(text[0])<<16 | uint32(text[1])<<8 | uint32(text[2])
	return h * 2654435761 >> (32 - slotBits) // Knuth's multiplicative hash
}

// find returns the index of the first rule for code whose text occurs in text,
// or -1. An empty code fits every rule.
func (m *matcher) find(code, text string) int {
	if m == nil {
		return -1
	}
	var array [512]byte
	low := lower(array[:0], text)
	best := len(m.rules)
	for i := 0; i+3 <= len(low); i++ {
		if !isAlnum(low[i]) || i > 0 && isAlnum(low[i-1]) {
			continue
		}
		for _, n := range m.groups[m.slots[slotOf(low[i:])]] {
			if int(n) >= best {
				break
			}
			if fitsCode(m.rules[n].code, code) && fits(low[i:], m.parts[n]) && (!m.bare || len(m.rules[n].text) >= minBare || startsSentence(low[:i])) {
				best = int(n)
			}
		}
	}
	if best == len(m.rules) {
		return -1
	}
	return best
}

// openings are how SES's sentences begin where not with the telling words.
var openings = [][]byte{[]byte("there are"), []byte("the"), []byte("your"), []byte("an"), []byte("a")}

// startsSentence reports whether a sentence, or a part that a tool marked off,
// starts after before, but for an opening.
func startsSentence(before []byte) bool {
	before = bytes.TrimRight(before, " ")
	for _, words := range openings {
		if n := len(before) - len(words); n >= 0 && bytes.HasSuffix(before, words) && (n == 0 || before[n-1] == ' ') {
			before = bytes.TrimRight(before[:n], " ")
			break
		}
	}
	if len(before) == 0 {
		return true
	}
	last := before[len(before)-1]
	return !isAlnum(last) && last != ','
}

// reason returns the reason of the rule that find finds.
func (m *matcher) reason(code, text string) (Reason, bool) {
	if i := m.find(code, text); i >= 0 {
		return m.rules[i].reason, true
	}
	return "", false
}

// fitsCode reports whether a rule for want covers an SMTP reply code.
func fitsCode(want, code string) bool {
	return want == "" || code == "" || strings.HasPrefix(code, want)
}

// fits reports whether text starts with the first part and holds the others in
// order, each at most maxGap bytes after the one before.
func fits(text []byte, parts [][]byte) bool {
	if !bytes.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, part := range parts[1:] {
		i := bytes.Index(text[:min(len(text), maxGap+len(part))], part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}
