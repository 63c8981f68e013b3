package sesguard

import (
	"mime"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// refused holds the extensions of AWS's page "Amazon SES unsupported
// attachment types".
var refused = set(`.ade .adp .app .asp .bas .bat .cer .chm .cmd .com .cpl .crt .csh .der .exe .fxp
	.gadget .hlp .hta .inf .ins .isp .its .js .jse .ksh .lib .lnk .mad .maf .mag .mam .maq .mar .mas
	.mat .mau .mav .maw .mda .mdb .mde .mdt .mdw .mdz .msc .msh .msh1 .msh2 .mshxml .msh1xml .msh2xml
	.msi .msp .mst .ops .pcd .pif .plg .prf .prg .reg .scf .scr .sct .shb .shs .sys .ps1 .ps1xml .ps2
	.ps2xml .psc1 .psc2 .tmp .url .vb .vbe .vbs .vps .vsmacros .vss .vst .vsw .vxd .ws .wsc .wsf .wsh
	.xnk`)

// types holds the media types of common extensions. The table of the operating
// system is not asked: the same Message is the same mail on every machine.
var types = map[string]string{
	".csv": "text/csv", ".htm": "text/html", ".html": "text/html", ".ics": "text/calendar",
	".md": "text/markdown", ".txt": "text/plain", ".vcf": "text/vcard",
	".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png",
	".svg": "image/svg+xml", ".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp",
	".mp3": "audio/mpeg", ".mp4": "video/mp4", ".wav": "audio/wav",
	".gz": "application/gzip", ".json": "application/json", ".pdf": "application/pdf",
	".rtf": "application/rtf", ".xml": "application/xml", ".zip": "application/zip",
	".doc": "application/msword", ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".odt":  "application/vnd.oasis.opendocument.text", ".ods": "application/vnd.oasis.opendocument.spreadsheet",
}

// attachments checks the attachments and returns the media type of each.
func (v *validator) attachments(list []Attachment) []string {
	if len(list) == 0 {
		return nil
	}
	const otherParts = 5 // at most: mixed, alternative, related, text, HTML
	if len(list)+otherParts > maxParts {
		v.add("Attachments", "", seserrors.IllegalAttachment, "SES takes 500 parts in one message: attach fewer files")
	}
	media := make([]string, len(list))
	ids := make(map[string]bool)
	for i, a := range list {
		field := item("Attachments", i)
		v.attachmentName(field, a)
		v.contentID(field, a.ContentID, ids)
		media[i] = v.mediaType(field, a)
		switch {
		case a.Content == nil && a.Open == nil:
			v.add(field, a.Name, seserrors.IllegalAttachment, "it has no content: set Content or Open (an empty file is []byte{})")
		case a.Content != nil && a.Open != nil:
			v.add(field, a.Name, seserrors.IllegalAttachment, "it has two contents: set Content or Open, not both")
		}
	}
	return media
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
	case refused[strings.ToLower(path.Ext(strings.TrimRight(a.Name, ". ")))] > 0:
		why = "SES does not take files of this extension: send a link, or a zip file"
	}
	if why != "" {
		v.add(field+".Name", a.Name, seserrors.IllegalAttachment, why)
	}
}

func (v *validator) contentID(field, id string, ids map[string]bool) {
	if id == "" {
		return
	}
	if !isPrintable(id) || strings.ContainsAny(id, ` "(),:;<>[\]`) || len(id) > 200 {
		v.add(field+".ContentID", id, seserrors.IllegalAttachment, `at most 200 printable ASCII characters without spaces and "(),:;<>[\] are allowed`)
	}
	if ids[id] {
		v.add(field+".ContentID", id, seserrors.IllegalAttachment, "two attachments have this id")
	}
	ids[id] = true
}

// mediaType returns the Content-Type of a, with its parameters.
func (v *validator) mediaType(field string, a Attachment) string {
	if a.ContentType == "" {
		if t := types[strings.ToLower(path.Ext(a.Name))]; t != "" {
			return t
		}
		return "application/octet-stream"
	}
	const long = 900
	media, params, err := mime.ParseMediaType(a.ContentType)
	kind, _, found := strings.Cut(media, "/")
	out := ""
	if err == nil && found && !hasControl(a.ContentType) && !anyControl(params) {
		out = mime.FormatMediaType(media, params)
	}
	switch {
	case out == "" || len(out) > long || !isPrintable(out):
		v.add(field+".ContentType", a.ContentType, seserrors.IllegalAttachment, "this is not a media type such as application/pdf")
	case kind == "multipart" || kind == "message":
		v.add(field+".ContentType", a.ContentType, seserrors.IllegalAttachment,
			"this type may not be written in base64: use application/octet-stream, or build the message elsewhere and use Raw")
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

// param appends a parameter of a Content-Disposition: a quoted string if that
// is safe, otherwise as RFC 2231 has it, in pieces if it is long. The ASCII
// fallback for old readers stands in the Content-Type alone, since some that
// know RFC 2231 prefer a plain form that stands beside it.
func (f *folder) param(name, value string) {
	if isPlainName(value) {
		f.quoted(name, value)
		return
	}
	const piece = 50
	part := "utf-8''"
	n := 0 // of the pieces before this one
	for _, r := range value {
		next := escape(string(r)) // a rune is never split: some readers decode each piece by itself
		if len(part)+len(next) > piece {
			f.parameter(name + "*" + strconv.Itoa(n) + "*=" + part)
			part = ""
			n++
		}
		part += next
	}
	if n == 0 {
		f.parameter(name + "*=" + part)
	} else {
		f.parameter(name + "*" + strconv.Itoa(n) + "*=" + part)
	}
}

func (f *folder) quoted(name, value string) { f.parameter(name + `="` + value + `"`) }

func (f *folder) parameter(s string) {
	f.buf = append(f.buf, ';')
	f.col++
	f.word(s)
}

// isPlainName reports a name that every reader understands in quotes.
func isPlainName(s string) bool {
	return len(s) <= 60 && isPrintable(s) && !strings.ContainsAny(s, `"\`) && !strings.Contains(s, "=?")
}

// escape percent-encodes all but the letters, digits and marks of RFC 5987
// §3.2.1 (attr-char).
func escape(s string) string {
	out := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		c := s[i]
		if c < utf8.RuneSelf && (class[c]&ldh != 0 || strings.IndexByte("._~!#$&+^`|", c) >= 0) {
			out = append(out, c)
		} else {
			out = append(out, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(out)
}

// fallback is the ASCII name nearest to s, at most 60 long.
func fallback(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\=?`, r) {
			return '_'
		}
		return r
	}, s)
	if len(s) <= 60 {
		return s
	}
	ext := path.Ext(s)
	if len(ext) > 12 {
		ext = ""
	}
	return s[:60-len(ext)] + ext
}
