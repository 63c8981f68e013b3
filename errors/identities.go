package errors

import "strings"

// Bounds on the list of identities: SES names at most the sender's addresses
// and 50 recipients, each of at most 320 bytes (RFC 5321 §4.5.3.1).
const (
	maxIdentities = 64
	maxIdentity   = 320
)

// addIdentities takes region and identities out of words that list those that
// failed the check.
func (e *Error) addIdentities(words string) {
	start, end := identityList(words)
	if e.Reason != IdentityNotVerified || start == 0 {
		return
	}
	region := words[:start]
	region = region[strings.LastIndexByte(region[:len(region)-1], ' ')+1:]
	e.Region = strings.ToLower(strings.TrimRight(region, ": "))
	e.Identities, e.Truncated = parseIdentities(words[start:end])
}

// identityList returns where the list stands in "The following identities failed
// the check in region REGION: A, B...", 0 and 0 if there is none.
func identityList(words string) (start, end int) {
	i := index(words, "failed the check in region ")
	if i < 0 {
		return 0, 0
	}
	m := listStart.FindStringIndex(words[i:])
	if m == nil {
		return 0, 0
	}
	start, end = i+m[1], len(words)
	if m := listEnd.FindStringIndex(words[start:]); m != nil {
		end = start + m[0]
	}
	return start, end
}

// parseIdentities splits a list at its commas, and returns the bare addresses
// and domains and whether the list was cut.
func parseIdentities(list string) (ids []string, truncated bool) {
	list = strings.TrimRight(list, " \t)]}\"'`;")
	if cut, ok := strings.CutSuffix(list, "..."); ok {
		list, truncated = cut, true
	}
	ids = make([]string, 0, min(1+strings.Count(list, ","), maxIdentities))
	for list != "" {
		var item string
		item, list = cutItem(list)
		id, named := bareIdentity(item)
		if named { // an unquoted name may hold commas: "Doe, Jane <jane@example.com>"
			for len(ids) > 0 && !strings.ContainsAny(ids[len(ids)-1], "@.:") {
				ids = ids[:len(ids)-1]
			}
		}
		if id == "" {
			continue
		}
		if len(ids) == maxIdentities || len(id) > maxIdentity {
			return ids, true
		}
		ids = append(ids, id)
	}
	return ids, truncated
}

// cutItem splits a list at its first comma outside quotes and angle brackets.
func cutItem(list string) (item, rest string) {
	quoted, angle := false, false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == ',' && !angle:
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

// bareIdentity returns an address without its display name, and whether it
// stood in angle brackets.
func bareIdentity(item string) (id string, named bool) {
	item = strings.Trim(item, " \t")
	if open := strings.LastIndexByte(item, '<'); open >= 0 {
		id, _, _ = strings.Cut(item[open+1:], ">")
		return strings.TrimSpace(id), true
	}
	return strings.TrimRight(item, ". "), false
}
