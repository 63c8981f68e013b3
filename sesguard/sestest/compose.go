package sestest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"slices"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// compose makes a MIME message of simple content, as SES does before it sends
// it. Bcc recipients stay out of its header.
func (q *sendRequest) compose(m *submission, s *simple) ([]byte, *refusal) {
	now := time.Now()
	m.mail.ID = newID(now)
	var b bytes.Buffer
	put := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	put("From", q.FromEmailAddress)
	put("Reply-To", strings.Join(q.ReplyToAddresses, ",\r\n "))
	put("To", strings.Join(q.Destination.ToAddresses, ",\r\n "))
	put("Cc", strings.Join(q.Destination.CcAddresses, ",\r\n "))
	if len(q.Destination.ToAddresses)+len(q.Destination.CcAddresses) == 0 {
		put("To", "undisclosed-recipients:;")
	}
	put("Subject", mime.QEncoding.Encode("utf-8", s.Subject.Data))
	put("Date", now.UTC().Format(time.RFC1123Z))
	put("Message-ID", m.mail.HeaderID())
	for _, h := range s.Headers {
		if r := checkCustom(h); r != nil {
			return nil, r
		}
		put(h.Name, h.Value)
	}
	put("MIME-Version", "1.0")
	root, r := s.part()
	if r != nil {
		return nil, r
	}
	root.writeTo(&b)
	return b.Bytes(), nil
}

// checkCustom refuses what would make another header of a custom one.
func checkCustom(h nameValue) *refusal {
	switch {
	case h.Name == "":
		return refused(seserrors.IllegalHeader, "Empty header names are illegal.")
	case strings.ContainsFunc(h.Name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }):
		return refused(seserrors.IllegalHeader, "Header name contains illegal character")
	case strings.ContainsFunc(h.Value, func(r rune) bool { return isControl(r) && r != '\t' || r >= 0x80 }):
		return refused(seserrors.IllegalHeader, "Header value contains illegal character")
	}
	return nil
}

// A part is a MIME entity.
type part struct {
	header  textproto.MIMEHeader
	content []byte
}

func (s *simple) part() (part, *refusal) {
	var bodies, inline, files []part
	if t := s.Body.Text; t != nil {
		bodies = append(bodies, textPart("text/plain", t.Data))
	}
	if h := s.Body.Html; h != nil {
		bodies = append(bodies, textPart("text/html", h.Data))
	}
	for _, a := range s.Attachments {
		p, r := a.part()
		if r != nil {
			return part{}, r
		}
		if a.ContentDisposition == "INLINE" {
			inline = append(inline, p)
		} else {
			files = append(files, p)
		}
	}
	p := wrap("alternative", bodies)
	p = wrap("related", append([]part{p}, inline...))
	return wrap("mixed", append([]part{p}, files...)), nil
}

// wrap makes one part of several.
func wrap(kind string, parts []part) part {
	switch len(parts) {
	case 0:
		return textPart("text/plain", "")
	case 1:
		return parts[0]
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		c, _ := w.CreatePart(p.header) // a bytes.Buffer does not fail
		c.Write(p.content)
	}
	w.Close()
	return part{content: b.Bytes(), header: textproto.MIMEHeader{
		"Content-Type": {fmt.Sprintf("multipart/%s; boundary=%q", kind, w.Boundary())},
	}}
}

func textPart(contentType, text string) part {
	return part{content: quote([]byte(text)), header: textproto.MIMEHeader{
		"Content-Type":              {contentType + "; charset=UTF-8"},
		"Content-Transfer-Encoding": {"quoted-printable"},
	}}
}

func quote(data []byte) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func (a attachment) part() (part, *refusal) {
	encoding, content, r := a.encode()
	if r != nil {
		return part{}, r
	}
	h := textproto.MIMEHeader{
		"Content-Type":              {cmp.Or(a.ContentType, "application/octet-stream")},
		"Content-Transfer-Encoding": {encoding},
		"Content-Disposition": {mime.FormatMediaType(
			strings.ToLower(cmp.Or(a.ContentDisposition, "ATTACHMENT")), map[string]string{"filename": a.FileName})},
	}
	if a.ContentId != "" {
		h.Set("Content-Id", "<"+strings.Trim(a.ContentId, "<>")+">")
	}
	if a.ContentDescription != "" {
		h.Set("Content-Description", mime.QEncoding.Encode("utf-8", a.ContentDescription))
	}
	return part{header: h, content: content}, nil
}

// encode writes the content as ContentTransferEncoding says. SEVEN_BIT is the
// default (Attachment, Amazon SES API v2 Reference): the octets stand in the
// message as they are, and a binary file does not survive that.
func (a attachment) encode() (encoding string, content []byte, r *refusal) {
	switch a.ContentTransferEncoding {
	case "", "SEVEN_BIT":
		return "7bit", a.RawContent, nil
	case "BASE64":
		return "base64", wrapBase64(a.RawContent), nil
	case "QUOTED_PRINTABLE":
		return "quoted-printable", quote(a.RawContent), nil
	}
	return "", nil, refused(seserrors.InvalidParameter, "Invalid content transfer encoding: "+a.ContentTransferEncoding)
}

func wrapBase64(data []byte) []byte {
	const line = 57 // octets that make 76 characters
	var b bytes.Buffer
	for len(data) > 0 {
		n := min(line, len(data))
		b.WriteString(base64.StdEncoding.EncodeToString(data[:n]))
		b.WriteString("\r\n")
		data = data[n:]
	}
	return b.Bytes()
}

// writeTo writes the part's fields and content behind a header that is still
// open.
func (p part) writeTo(b *bytes.Buffer) {
	for _, name := range slices.Sorted(maps.Keys(p.header)) {
		fmt.Fprintf(b, "%s: %s\r\n", name, p.header.Get(name))
	}
	b.WriteString("\r\n")
	b.Write(p.content)
}
