package sesguard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// prepare validates m and builds it: the only way from a Message to the wire.
// A zero Date becomes now. The error is a *seserrors.Error of class Invalid
// that holds a *ValidationError, or says that Raw could not be read.
func prepare(m *Message, now time.Time) (*Mail, error) {
	var v validator
	if m == nil {
		v.add("Message", "", seserrors.InvalidParameter, "there is no message")
		return nil, v.err()
	}
	b := new(Mail)
	var few [4]mailbox // no need to allocate for the addresses of most mails
	h := v.envelope(m, b, few[:0])
	v.sesFields(m, b)
	if m.Raw != nil {
		if err := v.raw(m, b); err != nil {
			return nil, err
		}
	} else {
		v.compose(m, h, b, now)
	}
	if len(v.problems) == 0 {
		v.size(b)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	return b, nil
}

func (v *validator) size(b *Mail) {
	b.size = int64(len(b.fixed))
	for _, f := range b.files {
		b.size += encodedLen(len(f.att.Content))
	}
	if b.size+int64(len(sesLines(b))) > maxMessage {
		v.add("Message", "", seserrors.MessageTooLong, "it is longer than 40 MB after encoding: send links to large files")
	}
}

// compose checks the content of m and writes it.
func (v *validator) compose(m *Message, h heading, b *Mail, now time.Time) {
	v.line("Subject", m.Subject)
	if !utf8.ValidString(m.Text) {
		v.add("Text", "", seserrors.InvalidParameter, "it is not valid UTF-8")
	}
	if !utf8.ValidString(m.HTML) {
		v.add("HTML", "", seserrors.InvalidParameter, "it is not valid UTF-8")
	}
	date := m.Date
	if date.IsZero() {
		date = now
	}
	if y := date.Year(); y < 1900 || y > 9999 {
		v.add("Date", date.String(), seserrors.IllegalHeader, "the year must be from 1900 to 9999 (RFC 5322 §3.3)")
	}
	if len(m.Headers) > 0 {
		v.headers(m.Headers)
	}
	media := v.attachments(m.Attachments)
	if len(v.problems) > 0 || len(m.Text)+len(m.HTML) > maxMessage {
		if len(v.problems) == 0 {
			v.add("Message", "", seserrors.MessageTooLong, "the text is longer than 40 MB")
		}
		return
	}
	c := composer{m: m, b: b, media: media}
	c.max = lineAim
	c.buf = make([]byte, 0, estimate(m, h))
	c.header(m, h, date)
	c.parts()
	b.fixed = c.buf
}

// estimate guesses the room for the fixed part of m.
func estimate(m *Message, h heading) int {
	body := len(m.Text) + len(m.HTML)
	addrs := len(h.from) + len(h.to) + len(h.cc) + len(h.replyTo)
	return 900 + body + body/8 + 48*addrs + len(m.Subject) + 96*len(m.Headers) + 400*len(m.Attachments)
}

// A file is an attachment to be encoded after fixed[:at]. Its lines begin with
// the CRLF that ends the line before.
type file struct {
	at  int
	att *Attachment
}

// A composer writes the parts of a message.
type composer struct {
	folder
	m     *Message
	b     *Mail
	media []string // of the attachments
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
		if !bytes.HasSuffix(c.buf, []byte("\r\n")) {
			c.end() // SMTP would add it, so that the last line ends
		}
		return
	}
	id := c.begin("mixed")
	if c.m.Text != "" || c.m.HTML != "" {
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

// readable writes what is read: text, HTML or both.
func (c *composer) readable() {
	switch {
	case c.m.HTML == "":
		c.textPart("plain", c.m.Text)
	case c.m.Text == "":
		c.html()
	default:
		id := c.begin("alternative")
		c.next(id)
		c.textPart("plain", c.m.Text)
		c.next(id)
		c.html()
		c.finish(id)
	}
}

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
			c.textPart("html", c.m.HTML)
		}
		c.next(id)
		c.attachment(i)
	}
	if id == 0 {
		c.textPart("html", c.m.HTML)
		return
	}
	c.finish(id)
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

func (c *composer) next(level int) {
	c.add("\r\n--")
	c.boundary(level)
	c.end()
}

func (c *composer) finish(level int) {
	c.add("\r\n--")
	c.boundary(level)
	c.add("--\r\n")
}

func (c *composer) boundary(level int) {
	c.buf = append(append(c.buf, c.stem[:]...), byte('0'+level))
}

func (c *composer) add(list ...string) {
	for _, s := range list {
		c.buf = append(c.buf, s...)
	}
}

// seed derives the stem of the boundaries from the header and the beginning of
// each content. They hold "=_", which neither quoted-printable nor base64 can
// produce and for which text makes sevenBit say no: so no part can hold a
// boundary, and the hash only makes those of different messages differ. What is
// hashed stands in the buffer for a moment, to spare an allocation.
func (c *composer) seed() (stem [26]byte) {
	n := len(c.buf)
	c.buf = appendSample(c.buf, c.m.Text)
	c.buf = appendSample(c.buf, c.m.HTML)
	for _, a := range c.m.Attachments {
		c.add(a.Name, "\x00", a.ContentID, "\x00")
		c.buf = appendSample(c.buf, a.Content)
	}
	sum := sha256.Sum256(c.buf)
	c.buf = c.buf[:n]
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
func (c *composer) textPart(kind, s string) {
	c.add("Content-Type: text/", kind, "; charset=utf-8\r\nContent-Transfer-Encoding: ")
	if sevenBit(s) {
		c.add("7bit\r\n\r\n")
		c.buf = appendLines(c.buf, s)
		return
	}
	c.add("quoted-printable\r\n\r\n")
	c.buf = appendQP(c.buf, s)
}

// attachment writes the header of a file, and notes the file.
func (c *composer) attachment(i int) {
	a := &c.m.Attachments[i]
	c.field("Content-Type")
	c.words(c.media[i])
	if a.Name != "" && !strings.Contains(c.media[i], "name=") {
		c.quoted("name", fallback(a.Name))
	}
	c.end()
	c.add("Content-Transfer-Encoding: base64\r\n")
	c.field("Content-Disposition")
	if c.inline(i) && !strings.HasPrefix(c.media[i], "text/") {
		c.word("inline")
	} else { // also for a text that the HTML refers to: readers make an inline text part of the body
		c.word("attachment")
	}
	if a.Name != "" {
		c.param("filename", a.Name)
	}
	c.end()
	if a.ContentID != "" {
		c.add("Content-ID: <", a.ContentID, ">\r\n")
	}
	c.b.files = append(c.b.files, file{len(c.buf), a})
}
