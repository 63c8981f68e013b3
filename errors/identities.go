package errors

import (
	"bytes"
	"strings"
)

// Bounds on the list of identities: SES names at most the sender's addresses
// and 50 recipients, each of at most 320 bytes (RFC 5321 §4.5.3.1).
const (
	maxIdentities = 64
	maxIdentity   = 320
)

// addIdentities takes region and identities out of words that list those that
// failed the check.
func (e *Error) addIdentities(words string) {
	if e.Reason != IdentityNotVerified {
		return
	}
	if region, start, end := identityList(words); start > 0 {
		e.Region = strings.ToLower(region)
		e.Identities, e.Truncated = parseIdentities(words[start:end])
	}
}

// identityList returns where the list stands in "The following identities failed
// the check in region REGION: A, B...", and the region; zeros if there is none.
func identityList(words string) (region string, start, end int) {
	const mark = "failed the check in region "
	var array [maxMessage]byte
	low := lower(array[:0], words)
	i := bytes.Index(low, []byte(mark)) + len(mark)
	if i < len(mark) {
		return "", 0, 0
	}
	n := bytes.IndexAny(low[i:], " :")
	if n <= 0 || n > 32 || low[i+n] != ':' {
		return "", 0, 0
	}
	region, start, end = words[i:i+n], i+n+1, len(words)
	for _, behind := range listEnds {
		if n := bytes.Index(low[start:end], []byte(behind)); n >= 0 {
			end = start + n
		}
	}
	return region, start + len(words[start:end]) - len(strings.TrimLeft(words[start:end], " ")), end
}

// parseIdentities splits a list at its commas, and returns the bare addresses
// and domains and whether the list was cut.
func parseIdentities(list string) (ids []string, truncated bool) {
	list, truncated = strings.CutSuffix(strings.TrimRight(list, " \t)]}\"'`;"), "...")
	ids = make([]string, 0, min(1+strings.Count(list, ","), maxIdentities))
	for list != "" {
		var item string
		item, list = cutItem(list)
		id, named := bareIdentity(item)
		for named && len(ids) > 0 && !strings.ContainsAny(ids[len(ids)-1], "@.:") {
			ids = ids[:len(ids)-1] // an unquoted name may hold commas: "Doe, Jane <jane@example.com>"
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
	for i := range len(list) {
		item := list[:i]
		if list[i] == ',' && strings.Count(item, `"`)%2 == 0 && strings.LastIndexByte(item, '<') <= strings.LastIndexByte(item, '>') {
			return item, list[i+1:]
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
