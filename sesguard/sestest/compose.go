package sestest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"mime"
	"mime/quotedprintable"
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
	root, r := s.entity()
	if r != nil {
		return nil, r
	}
	b.Write(root)
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

// entity makes a MIME entity of the content: its header fields and its body.
func (s *simple) entity() ([]byte, *refusal) {
	var bodies, inline, files [][]byte
	if t := s.Body.Text; t != nil {
		bodies = append(bodies, textEntity("text/plain", t.Data))
	}
	if h := s.Body.Html; h != nil {
		bodies = append(bodies, textEntity("text/html", h.Data))
	}
	for _, a := range s.Attachments {
		e, r := a.entity()
		if r != nil {
			return nil, r
		}
		if a.ContentDisposition == "INLINE" {
			inline = append(inline, e)
		} else {
			files = append(files, e)
		}
	}
	e := wrap("alternative", bodies)
	e = wrap("related", append([][]byte{e}, inline...))
	return wrap("mixed", append([][]byte{e}, files...)), nil
}

// wrap makes one entity of several.
func wrap(kind string, entities [][]byte) []byte {
	switch len(entities) {
	case 0:
		return textEntity("text/plain", "")
	case 1:
		return entities[0]
	}
	boundary := newUUID()
	var b bytes.Buffer
	fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=%q\r\n\r\n", kind, boundary)
	for _, e := range entities {
		fmt.Fprintf(&b, "--%s\r\n%s\r\n", boundary, e)
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes()
}

func textEntity(contentType, text string) []byte {
	return fmt.Appendf(nil, "Content-Transfer-Encoding: quoted-printable\r\nContent-Type: %s; charset=UTF-8\r\n\r\n%s", contentType, quote([]byte(text)))
}

func quote(data []byte) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func (a attachment) entity() ([]byte, *refusal) {
	encoding, content, r := a.encode()
	if r != nil {
		return nil, r
	}
	var b bytes.Buffer
	if a.ContentDescription != "" {
		fmt.Fprintf(&b, "Content-Description: %s\r\n", mime.QEncoding.Encode("utf-8", a.ContentDescription))
	}
	if a.ContentId != "" {
		fmt.Fprintf(&b, "Content-Id: <%s>\r\n", strings.Trim(a.ContentId, "<>"))
	}
	disposition := mime.FormatMediaType(strings.ToLower(cmp.Or(a.ContentDisposition, "ATTACHMENT")), map[string]string{"filename": a.FileName})
	fmt.Fprintf(&b, "Content-Disposition: %s\r\nContent-Transfer-Encoding: %s\r\nContent-Type: %s\r\n\r\n%s",
		disposition, encoding, cmp.Or(a.ContentType, "application/octet-stream"), content)
	return b.Bytes(), nil
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
