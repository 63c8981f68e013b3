package sesguard

import (
	"mime"
	"path"
	"strings"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// parts checks what a message has beside its text and HTML, and returns the
// media type of each alternative and attachment.
func (v *validator) parts(m *Message) (alternatives, attachments []string) {
	const otherParts = 5 // at most: mixed, alternative, related, text, HTML
	n := len(m.Alternatives) + len(m.Attachments)
	if n == 0 {
		return nil, nil
	}
	if n+otherParts > maxParts {
		v.add("Attachments", "", seserrors.IllegalAttachment, "SES takes 500 parts in one message: attach fewer files")
	}
	media := make([]string, 0, n)
	for i, a := range m.Alternatives {
		media = append(media, v.alternative(item("Alternatives", i), a))
	}
	ids := make(map[string]bool)
	for i, a := range m.Attachments {
		at := item("Attachments", i)
		v.attachmentName(at, a)
		v.contentID(at, a.ContentID, ids)
		media = append(media, v.mediaType(at, a))
		switch {
		case a.Content == nil && a.Open == nil:
			v.add(at, a.Name, seserrors.IllegalAttachment, "it has no content: set Content or Open (an empty file is []byte{})")
		case a.Content != nil && a.Open != nil:
			v.add(at, a.Name, seserrors.IllegalAttachment, "it has two contents: set Content or Open, not both")
		}
	}
	return media[:len(m.Alternatives)], media[len(m.Alternatives):]
}

// alternative returns the Content-Type of a.
func (v *validator) alternative(at string, a Alternative) string {
	media, params, ok := parseMedia(a.ContentType)
	charset := strings.ToLower(params["charset"])
	if !ok || !strings.HasPrefix(media, "text/") || charset != "" && charset != "utf-8" && charset != "us-ascii" {
		v.add(at+".ContentType", a.ContentType, seserrors.IllegalAttachment,
			"it must be a text type in UTF-8 such as text/calendar; method=REQUEST: other content is an attachment")
		return ""
	}
	if !utf8.ValidString(a.Content) {
		v.add(at+".Content", "", seserrors.InvalidParameter, "it is not valid UTF-8")
	}
	params["charset"] = "utf-8"
	return v.formatMedia(at, a.ContentType, media, params)
}

func (v *validator) attachmentName(field string, a Attachment) {
	why := ""
	switch {
	case a.Name == "":
		if a.ContentID == "" {
			why = "the file name is missing"
		}
	case !utf8.ValidString(a.Name):
		why = "the file name is not valid UTF-8"
	case hasControl(a.Name) || strings.IndexFunc(a.Name, isBidiControl) >= 0:
		why = "the file name holds a control character"
	case strings.ContainsAny(a.Name, `/\`):
		why = "the file name holds a folder: give its last part only"
	case len(a.Name) > 255:
		why = "the file name is longer than 255 octets"
	case strings.Contains(a.Name, "=?"):
		why = "the file name holds =?, which some readers take for an encoded name"
	case refused[strings.ToLower(path.Ext(strings.TrimRight(a.Name, ". ")))] > 0:
		why = "SES does not take files of this extension: send a link, or a zip file"
	}
	if why != "" {
		v.add(field+".Name", a.Name, seserrors.IllegalAttachment, why)
	}
}

// contentID checks that id can stand in the header and in the HTML.
func (v *validator) contentID(at, id string, ids map[string]bool) {
	if id == "" {
		return
	}
	n := idLen(id)
	if left, right, found := strings.Cut(id, "@"); n < len(id) || n > 200 || left == "" || found && right == "" || strings.Contains(right, "@") {
		v.add(at+".ContentID", id, seserrors.IllegalAttachment,
			"it is a name such as logo or logo@example.com: at most 200 ASCII letters, digits and .-_+=$!~")
	}
	if ids[id] {
		v.add(at+".ContentID", id, seserrors.IllegalAttachment, "two attachments have this id")
	}
	ids[id] = true
}

// idLen returns the length of the content id at the start of s.
func idLen(s string) int {
	for i := range len(s) {
		if class[s[i]]&ldh == 0 && strings.IndexByte("._+=$!~@", s[i]) < 0 {
			return i
		}
	}
	return len(s)
}

// mediaType returns the Content-Type of a, with its parameters but the name,
// which Name gives.
func (v *validator) mediaType(at string, a Attachment) string {
	if a.ContentType == "" {
		if t := types[strings.ToLower(path.Ext(a.Name))]; t != "" {
			return t
		}
		return "application/octet-stream"
	}
	media, params, ok := parseMedia(a.ContentType)
	kind, _, _ := strings.Cut(media, "/")
	if ok && (kind == "multipart" || kind == "message") {
		v.add(at+".ContentType", a.ContentType, seserrors.IllegalAttachment,
			"this type may not be written in base64: use application/octet-stream, or build the message elsewhere and use Raw")
		return ""
	}
	if a.Name != "" {
		delete(params, "name")
	}
	if !ok {
		media = ""
	}
	return v.formatMedia(at, a.ContentType, media, params)
}

func parseMedia(s string) (media string, params map[string]string, ok bool) {
	media, params, err := mime.ParseMediaType(s)
	return media, params, err == nil && strings.Contains(media, "/") && !hasControl(s) && !anyControl(params)
}

func (v *validator) formatMedia(at, given, media string, params map[string]string) string {
	const long = 900
	out := mime.FormatMediaType(media, params)
	if out == "" || len(out) > long || !isPrintable(out) {
		v.add(at+".ContentType", given, seserrors.IllegalAttachment, "this is not a media type such as application/pdf")
	}
	return out
}

// anyControl reports a control character in a parameter, where a percent code
// may have hidden it.
func anyControl(params map[string]string) bool {
	for _, value := range params {
		if hasControl(value) {
			return true
		}
	}
	return false
}

// isPlainName reports a name that every reader understands in quotes.
func isPlainName(s string) bool {
	return s != "" && len(s) <= 60 && isPrintable(s) && !strings.ContainsAny(s, `"\`) && !strings.Contains(s, "=?")
}

// fallback is the ASCII name nearest to s, at most 60 long: each run of other
// characters becomes one _, and none at the ends.
func fallback(s string) string {
	ext := path.Ext(s)
	if isPlainName(s) {
		return s
	}
	if len(ext) > 12 || !isPlainName(ext) {
		ext = ""
	}
	var name []byte
	for _, r := range strings.TrimSuffix(s, ext) {
		if ' ' <= r && r <= '~' && !strings.ContainsRune(`"\=?`, r) {
			name = append(name, byte(r))
		} else if n := len(name); n > 0 && name[n-1] != '_' {
			name = append(name, '_')
		}
	}
	stem := strings.TrimRight(string(name[:min(len(name), 60-len(ext))]), "._ ")
	if stem == "" {
		stem = "file"
	}
	return stem + ext
}
