package sesguard

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A field is a header field that was checked.
type field struct {
	name   string
	syntax syntax
	value  string    // with single spaces between what can be folded
	list   []mailbox // of a syntax with mailboxes
}

const oneClick = "List-Unsubscribe=One-Click" // RFC 8058 §3.1

// headers checks the custom header fields.
func (v *validator) headers(m *Message) []field {
	if len(m.Headers) == 0 {
		return nil
	}
	fields := make([]field, len(m.Headers))
	seen := make(map[string]string, len(m.Headers))
	for i, h := range m.Headers {
		name := strings.ToLower(h.Name)
		at := item("Headers", i)
		v.headerName(at+".Name", h.Name, name)
		if _, twice := seen[name]; twice && once[name] > 0 {
			v.add(at+".Name", h.Name, seserrors.DuplicateHeader, "SES takes this header only once")
		}
		if m.List != nil && unsubscribes(name) {
			v.add(at+".Name", h.Name, seserrors.IllegalHeader, overwritten)
		}
		fields[i] = v.headerValue(at+".Value", name, h)
		seen[name] = fields[i].value
	}
	if seen["list-unsubscribe-post"] != "" && !strings.Contains(strings.ToLower(seen["list-unsubscribe"]), "<https://") {
		v.add("Headers", "", seserrors.IllegalHeader, "List-Unsubscribe-Post needs a List-Unsubscribe with an https link (RFC 8058 §3.1): see Unsubscribe")
	}
	return fields
}

const overwritten = "with List set SES writes this header itself: take one of them away"

// unsubscribes reports the fields that SES writes for a List.
func unsubscribes(name string) bool {
	return name == "list-unsubscribe" || name == "list-unsubscribe-post"
}

func (v *validator) headerName(field, name, lower string) {
	why := ""
	switch {
	case !isFieldName(name):
		why = "a header name is 1 to 126 printable ASCII characters without a colon"
	case ours[lower] != "":
		why = "this header is the message's own: " + ours[lower]
	case strings.HasPrefix(lower, "content-"):
		why = "this header is the message's own: use Text, HTML, Alternatives or Attachments"
	case sesHeaders[lower] != "":
		why = "this header is set by a field of the message: " + sesHeaders[lower]
	case strings.HasPrefix(lower, "resent-"):
		why = "a message sent on is built elsewhere: use Raw"
	default:
		return
	}
	v.add(field, name, seserrors.IllegalHeader, why)
}

// isFieldName reports a header name (RFC 5322 §3.6.8). The length is that of
// MessageHeader in the SES v2 API.
func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return s != "" && len(s) <= 126
}

// headerValue checks a value by the syntax of its field.
func (v *validator) headerValue(at, name string, h Header) field {
	f := field{name: h.Name, syntax: syntaxes[name], value: strings.Trim(h.Value, " ")}
	why := lineFlaw(f.value)
	switch {
	case why != "":
	case f.value == "":
		why = "the value of the header " + brief(h.Name) + " is empty"
	case f.syntax == oneMailbox:
		f.list = []mailbox{v.mailbox(at, f.value)}
	case f.syntax == mailboxes:
		for _, s := range splitList(f.value) {
			f.list = append(f.list, v.mailbox(at, s))
		}
	case f.syntax == listID:
		why = f.readListID()
	case f.syntax == phrases:
		for _, s := range splitList(f.value) {
			name, n, bad := readPhrase(s + "<")
			if f.list = append(f.list, mailbox{name: name}); name == "" || n != len(s) || bad != nil {
				why = "it is a list of words, with a comma between two"
			}
		}
	case !isPrintable(f.value):
		if f.syntax != unstructured {
			why = "this header must be ASCII"
		}
	default:
		f.value, why = structured(name, f.syntax, f.value)
		if why == "" && longestRun(f.value) > lineMax-len(h.Name)-2 {
			why = "it has no single space where a line of 998 octets could be folded"
		}
	}
	if why != "" {
		v.add(at, f.value, seserrors.IllegalHeader, why)
	}
	return f
}

// What stands in the brackets of a message id is not looked at further: an
// answer repeats the id that another program made. A comment may follow a link.
var (
	msgIDShape = regexp.MustCompile(`^<[!-;=?-~]+@[!-;=?-~]+>$`)
	uriShape   = regexp.MustCompile(`^<[A-Za-z][A-Za-z0-9+.-]*:[!-;=?-~]+>( \([^()]*\))?$`)
)

// structured returns an ASCII value with single spaces where it can be folded,
// and what is wrong with it.
func structured(name string, s syntax, value string) (string, string) {
	switch {
	case name == "list-unsubscribe-post" && value != oneClick:
		return value, "the value of this header is " + oneClick + " (RFC 8058 §3.1)"
	case s == oneMsgID || s == msgIDs:
		ids := strings.Fields(strings.ReplaceAll(value, "><", "> <"))
		if slices.ContainsFunc(ids, func(id string) bool { return !msgIDShape.MatchString(id) }) || s == oneMsgID && len(ids) > 1 {
			return value, "a message id is <LEFT@RIGHT> (RFC 5322 §3.6.4), such as what Receipt.HeaderID returns"
		}
		return strings.Join(ids, " "), ""
	case s == uris && (name != "list-post" || !strings.HasPrefix(value, "NO")): // RFC 2369 §3.4
		links := splitList(value)
		if slices.ContainsFunc(links, func(link string) bool { return !uriShape.MatchString(link) }) {
			return value, "a link stands in angle brackets, without spaces, and a comma between two: <https://example.com/x>, <mailto:y@example.com> (RFC 2369 §2)"
		}
		return strings.Join(links, ", "), ""
	}
	return value, ""
}

// readListID parts the phrase, which may be encoded, from the id.
func (f *field) readListID() string {
	name, n, bad := readPhrase(f.value)
	id, closed := strings.CutSuffix(f.value[min(n+1, len(f.value)):], ">")
	if bad != nil || !closed || !isDotAtom(id) || len(id) > maxDomain {
		return "it is a name and an id in angle brackets, such as News <news.example.com> (RFC 2919 §3)"
	}
	f.list = []mailbox{{name, id}}
	return ""
}

// splitList splits a list at its commas, but for those in quotes and in angle
// brackets.
func splitList(s string) (list []string) {
	var until byte // the end of what a comma does not split
	start := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case until == '"' && c == '\\':
			i++
		case until != 0:
			if c == until {
				until = 0
			}
		case c == '"':
			until = '"'
		case c == '<':
			until = '>'
		case c == ',':
			list = append(list, strings.Trim(s[start:i], " "))
			start = i + 1
		}
	}
	return append(list, strings.Trim(s[start:], " "))
}

// longestRun returns the length of the longest part of s that cannot be folded.
func longestRun(s string) int {
	most, start := 0, 0
	for i := 1; i < len(s)-1; i++ {
		if s[i] == ' ' && s[i-1] != ' ' && s[i+1] != ' ' {
			most, start = max(most, i-start), i+1
		}
	}
	return max(most, len(s)-start)
}

// line checks a text that stands on one line of the header.
func (v *validator) line(field, s string) {
	if why := lineFlaw(s); why != "" {
		v.add(field, s, seserrors.IllegalHeader, why)
	}
}

func lineFlaw(s string) string {
	switch {
	case !utf8.ValidString(s):
		return "it is not valid UTF-8"
	case hasControl(s):
		return "it holds a line break or another control character"
	}
	return ""
}
