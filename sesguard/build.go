package sesguard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/internal/mimetext"
)

// compose writes m, which was checked, into b. A zero Date becomes now.
func compose(m *Message, h heading, p plan, b *Mail, now time.Time) {
	date := m.Date
	if date.IsZero() {
		date = now
	}
	c := composer{m: m, b: b, alternatives: p.alternatives, attachments: p.attachments}
	c.Max = mimetext.LineAim
	c.Buf = make([]byte, 0, estimate(m, h))
	c.header(m, h, p.fields, date)
	c.parts()
	b.fixed = c.Buf
}

// estimate guesses the room for the fixed part of m.
func estimate(m *Message, h heading) int {
	body := len(m.Text) + len(m.HTML)
	for _, a := range m.Alternatives {
		body += len(a.Content) + 200
	}
	addrs := len(h.from) + len(h.to) + len(h.cc) + len(h.replyTo)
	return 900 + body + body/8 + 48*addrs + len(m.Subject) + 96*len(m.Headers) + 400*len(m.Attachments)
}

// A folder writes whole header fields.
type folder struct{ mimetext.Folder }

// header writes the header fields of m that do not depend on its parts.
func (f *folder) header(m *Message, h heading, fields []field, date time.Time) {
	f.addresses("From", h.from)
	f.addresses("To", h.to)
	if len(h.to) == 0 {
		f.Buf = append(f.Buf, "To: undisclosed-recipients:;\r\n"...)
	}
	f.addresses("Cc", h.cc)
	f.addresses("Reply-To", h.replyTo)
	if m.Subject != "" {
		f.Field("Subject")
		f.Text(m.Subject)
		f.End()
	}
	f.Buf = append(f.Buf, "Date: "...)
	f.Buf = date.AppendFormat(f.Buf, "Mon, 02 Jan 2006 15:04:05 -0700")
	f.Buf = append(f.Buf, "\r\nMIME-Version: 1.0\r\n"...)
	for _, c := range fields {
		f.custom(c)
	}
}

// addresses writes a header of addresses; an empty list writes none.
func (f *folder) addresses(name string, list []mailbox) {
	if len(list) > 0 {
		f.Field(name)
		f.mailboxes(list)
		f.End()
	}
}

// mailboxes writes a list of addresses.
func (f *folder) mailboxes(list []mailbox) {
	for i, m := range list {
		if i > 0 {
			f.Comma()
		}
		f.Mailbox(m.name, m.addr)
	}
}

func (f *folder) custom(c field) {
	f.Field(c.name)
	switch {
	case c.syntax == oneMailbox || c.syntax == mailboxes:
		f.mailboxes(c.list)
	case c.syntax == listID:
		if c.list[0].name != "" {
			f.Phrase(c.list[0].name)
		}
		f.Angle(c.list[0].addr)
	case c.syntax == phrases:
		for i, p := range c.list {
			if i > 0 {
				f.Comma()
			}
			f.Phrase(p.name)
		}
	case isPrintable(c.value):
		f.Words(c.value)
	default:
		f.Encoded(c.value)
	}
	f.End()
}

// A composer writes the parts of a message.
type composer struct {
	folder
	m *Message
	b *Mail

	alternatives, attachments []string // their media types

	stem  [26]byte // of the boundaries
	level int      // of the last multipart, three at most: the end of its boundary
}

// parts writes the rest of the header, and the body:
// mixed( alternative( text, related( HTML, inline files ) ), files ), of which
// only what is needed is written.
func (c *composer) parts() {
	files := 0
	for i := range c.m.Attachments {
		if !c.inline(i) {
			files++
		}
	}
	if files == 0 {
		c.readable()
		if !bytes.HasSuffix(c.Buf, []byte("\r\n")) {
			c.End() // SMTP would add it, so that the last line ends
		}
		return
	}
	id := c.begin("mixed")
	if c.m.Text != "" || c.m.HTML != "" || len(c.m.Alternatives) > 0 {
		c.next(id)
		c.readable()
	}
	for i := range c.m.Attachments {
		if !c.inline(i) {
			c.next(id)
			c.attachment(i)
		}
	}
	c.finish(id)
}

// inline reports whether the HTML may show the attachment.
func (c *composer) inline(i int) bool {
	return c.m.HTML != "" && c.m.Attachments[i].ContentID != ""
}

// readable writes what is read: text, HTML, further forms, or several of them,
// the best one last (RFC 2046 §5.1.4).
func (c *composer) readable() {
	forms := len(c.m.Alternatives)
	text := c.m.Text != "" || c.m.HTML == "" && forms == 0
	if c.m.HTML != "" {
		forms++
	}
	id := 0
	if text && forms > 0 || forms > 1 {
		id = c.begin("alternative")
	}
	if text {
		c.next(id)
		c.textPart("text/plain; charset=utf-8", c.m.Text)
	}
	if c.m.HTML != "" {
		c.next(id)
		c.html()
	}
	for i, a := range c.m.Alternatives {
		c.next(id)
		c.textPart(c.alternatives[i], a.Content)
	}
	c.finish(id)
}

const htmlType = "text/html; charset=utf-8"

// html writes the HTML, with the files that it shows.
func (c *composer) html() {
	id := 0
	for i := range c.m.Attachments {
		if !c.inline(i) {
			continue
		}
		if id == 0 {
			id = c.begin(`related; type="text/html"`)
			c.next(id)
			c.textPart(htmlType, c.completeIDs(c.m.HTML))
		}
		c.next(id)
		c.attachment(i)
	}
	if id == 0 {
		c.textPart(htmlType, c.m.HTML)
	}
	c.finish(id)
}

// completeIDs returns the HTML with the ids of its files as they stand in the
// header of each: see contentID. Every cid: with the id of an attachment is taken
// for a reference, wherever it stands: one that is missed would show no picture.
func (c *composer) completeIDs(html string) string {
	var out strings.Builder
	done := 0
	for i := 0; i+4 < len(html); i++ {
		if html[i+3] != ':' || !strings.EqualFold(html[i:i+3], "cid") || i > 0 && class[html[i-1]]&ldh != 0 {
			continue
		}
		start := i + 4
		end := start + idLen(html[start:])
		isID := func(a Attachment) bool { return a.ContentID == html[start:end] }
		if full := c.contentID(html[start:end]); full != html[start:end] && slices.ContainsFunc(c.m.Attachments, isID) {
			out.WriteString(html[done:start])
			out.WriteString(full)
			done = end
		}
		i = end - 1
	}
	return out.String() + html[done:]
}

// contentID completes an id without an @, which would be the same in every mail:
// some readers would show the picture of another one.
func (c *composer) contentID(id string) string {
	if strings.Contains(id, "@") {
		return id
	}
	return id + "@" + string(c.stem[2:])
}

// begin starts a multipart and returns its level, by which the others know it.
func (c *composer) begin(kind string) int {
	if c.level == 0 {
		c.stem = c.seed()
	}
	c.level++
	c.add("Content-Type: multipart/", kind, ";\r\n boundary=\"")
	c.boundary(c.level)
	c.add("\"\r\n")
	return c.level
}

// next begins a part of the multipart of that level; 0 is none.
func (c *composer) next(level int) {
	if level == 0 {
		return
	}
	c.add("\r\n--")
	c.boundary(level)
	c.End()
}

func (c *composer) finish(level int) {
	if level == 0 {
		return
	}
	c.add("\r\n--")
	c.boundary(level)
	c.add("--\r\n")
}

func (c *composer) boundary(level int) {
	c.Buf = append(append(c.Buf, c.stem[:]...), byte('0'+level))
}

func (c *composer) add(list ...string) {
	for _, s := range list {
		c.Buf = append(c.Buf, s...)
	}
}

// seed derives the stem of the boundaries from the header and the beginning of
// each content. They hold "=_", which neither quoted-printable nor base64 can
// produce and for which text makes SevenBit say no: so no part can hold a
// boundary, and the hash only makes those of different messages differ. What is
// hashed stands in the buffer for a moment, to spare an allocation.
func (c *composer) seed() (stem [26]byte) {
	n := len(c.Buf)
	c.Buf = appendSample(c.Buf, c.m.Text)
	c.Buf = appendSample(c.Buf, c.m.HTML)
	for _, a := range c.m.Alternatives {
		c.Buf = appendSample(c.Buf, a.Content)
	}
	for _, a := range c.m.Attachments {
		c.add(a.Name, "\x00", a.ContentID, "\x00")
		c.Buf = appendSample(c.Buf, a.Content)
	}
	sum := sha256.Sum256(c.Buf)
	c.Buf = c.Buf[:n]
	copy(stem[:], "=_")
	hex.Encode(stem[2:], sum[:12])
	return stem
}

// appendSample appends the length of s, and its beginning.
func appendSample[T string | []byte](dst []byte, s T) []byte {
	dst = append(strconv.AppendInt(dst, int64(len(s)), 10), 0)
	return append(dst, s[:min(len(s), 64)]...)
}

// textPart writes a part of text, in 7bit if that is safe, otherwise in
// quoted-printable.
func (c *composer) textPart(media, s string) {
	c.Field("Content-Type")
	c.Words(media)
	c.add("\r\nContent-Transfer-Encoding: ")
	if mimetext.SevenBit(s) {
		c.add("7bit\r\n\r\n")
		c.Buf = mimetext.AppendLines(c.Buf, s)
		return
	}
	c.add("quoted-printable\r\n\r\n")
	c.Buf = mimetext.AppendQP(c.Buf, s)
}

// attachment writes the header of a file, and notes the file. The plain form of
// its name, for readers that do not know RFC 2231, stands in the Content-Type
// alone: some that know it prefer a plain form that stands beside the other.
func (c *composer) attachment(i int) {
	a := &c.m.Attachments[i]
	c.Field("Content-Type")
	c.Words(c.attachments[i])
	if a.Name != "" {
		c.Param(`name="` + fallback(a.Name) + `"`)
	}
	c.End()
	c.add("Content-Transfer-Encoding: base64\r\n")
	c.Field("Content-Disposition")
	kind := "attachment" // also for a text that the HTML refers to: readers make an inline text part of the body
	if c.inline(i) && !strings.HasPrefix(c.attachments[i], "text/") {
		kind = "inline"
	}
	c.Word(kind)
	if isPlainName(a.Name) {
		c.Param(`filename="` + a.Name + `"`)
	} else if a.Name != "" {
		c.Param(strings.TrimPrefix(mime.FormatMediaType("x", map[string]string{"filename": a.Name}), "x; "))
	}
	c.End()
	if a.ContentID != "" {
		c.add("Content-ID: <", c.contentID(a.ContentID), ">\r\n")
	}
	c.b.files = append(c.b.files, file{len(c.Buf), a.Name, a.Content, a.Open})
}

// sesLines returns the header lines by which SMTP tells SES what the API has
// parameters for.
func (m *Mail) sesLines() []byte {
	f := folder{mimetext.Folder{Max: 900}}
	f.line("X-SES-CONFIGURATION-SET", m.configurationSet)
	f.line("X-SES-SOURCE-ARN", m.fromARN)
	f.line("X-SES-FROM-ARN", m.fromARN)
	f.line("X-SES-RETURN-PATH-ARN", m.returnPathARN)
	f.line("X-SES-TENANT", m.tenant)
	if m.ownTags == 0 {
		f.tags(m.tags)
	}
	if m.list != nil && m.list.Topic != "" {
		f.line("X-SES-LIST-MANAGEMENT-OPTIONS", m.list.ContactList+"; topic="+m.list.Topic)
	} else if m.list != nil {
		f.line("X-SES-LIST-MANAGEMENT-OPTIONS", m.list.ContactList)
	}
	return f.Buf
}

func (f *folder) line(name, value string) {
	if value != "" {
		f.Field(name)
		f.Word(value)
		f.End()
	}
}

func (f *folder) tags(tags []Tag) {
	if len(tags) == 0 {
		return
	}
	f.Field("X-SES-MESSAGE-TAGS")
	for i, t := range tags {
		if i > 0 {
			f.Comma()
		}
		f.Word(t.Name + "=" + t.Value)
	}
	f.End()
}
