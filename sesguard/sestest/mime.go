package sestest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"strings"
)

// A File is a part of a message beside its text, decoded.
type File struct {
	Name        string // from the disposition, else the name of the type; "" if it has none
	ContentType string // "application/pdf", without parameters, in lower case
	ContentID   string // without the angle brackets: what cid: URLs name
	Inline      bool   // its disposition is inline
	Data        []byte
}

// parts is what the leaves of a message hold.
type parts struct {
	text, html       string
	hasText, hasHTML bool
	files            []File
}

func (m Mail) parts() parts {
	var c parts
	h, bodyAt, _ := parseHeader(m.Data)
	c.read(h.get, m.Data[bodyAt:], 0)
	return c
}

// maxDepth is how deep multiparts are read. A deeper one is a file: nobody
// writes it, and reading it takes a stack.
const maxDepth = 20

// read takes a part of which field returns the header.
func (c *parts) read(field func(string) string, body []byte, depth int) {
	mediaType, params, err := mime.ParseMediaType(cmp.Or(field("Content-Type"), "text/plain"))
	if mediaType == "" || err != nil && err != mime.ErrInvalidMediaParameter {
		mediaType = "application/octet-stream" // RFC 2049 section 2
	}
	boundary := params["boundary"]
	if !strings.HasPrefix(mediaType, "multipart/") || boundary == "" || depth == maxDepth {
		c.readLeaf(mediaType, params, field, body)
		return
	}
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := r.NextRawPart()
		if err != nil {
			return
		}
		data, _ := io.ReadAll(p)
		c.read(p.Header.Get, data, depth+1)
	}
}

func (c *parts) readLeaf(mediaType string, params map[string]string, field func(string) string, body []byte) {
	disposition, more, _ := mime.ParseMediaType(field("Content-Disposition"))
	f := File{
		Name:        decodeWords(cmp.Or(more["filename"], params["name"])),
		ContentType: mediaType,
		ContentID:   strings.Trim(field("Content-Id"), "<> "),
		Inline:      disposition == "inline",
		Data:        decodeTransfer(field("Content-Transfer-Encoding"), body),
	}
	bare := f.Name == "" && disposition != "attachment"
	switch {
	case bare && mediaType == "text/plain" && !c.hasText:
		c.text, c.hasText = readable(f.Data, params["charset"]), true
	case bare && mediaType == "text/html" && !c.hasHTML:
		c.html, c.hasHTML = readable(f.Data, params["charset"]), true
	default:
		c.files = append(c.files, f)
	}
}

// decodeTransfer undoes a transfer encoding as far as it goes.
func decodeTransfer(encoding string, body []byte) []byte {
	r := io.Reader(bytes.NewReader(body))
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	}
	decoded, _ := io.ReadAll(r)
	return decoded
}

// readable converts text of the charsets that the standard library knows.
func readable(text []byte, charset string) string {
	if strings.EqualFold(charset, "iso-8859-1") {
		runes := make([]rune, len(text))
		for i, c := range text {
			runes[i] = rune(c)
		}
		text = []byte(string(runes))
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// decodeWords decodes the encoded-words of a header field (RFC 2047). Text
// that it cannot decode stays as it is.
func decodeWords(s string) string {
	decoded, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return s
	}
	return decoded
}
