package sesguard

import (
	"context"
	"crypto/rand"
	"io"
	"slices"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/internal/mimetext"
)

// A Mail is a [Message] that was checked and encoded: its envelope, what SES is
// told about it, and its octets. [Build] makes one, and [LoadMail] makes it
// again from what MarshalBinary gave. Nothing can change it, so every attempt
// sends the same, and it is safe for concurrent use as far as the Open
// functions of its attachments are.
//
// A Mail copies all of its Message but the large octets: it aliases the Content
// of attachments, and the octets of a *bytes.Buffer or *bytes.Reader given as
// Raw. They must not change as long as the Mail is in use; MarshalBinary and
// LoadMail make one that aliases nothing.
type Mail struct {
	from       string   // envelope sender: ReturnPath, else From
	author     string   // From, without its name
	recipients []string // of the envelope, each once: to, cc, bcc
	to, cc     []string
	bcc        []string

	configurationSet, tenant, fromARN, returnPathARN string

	tags    []Tag
	ownTags int // so many of tags stand in the header of a Raw already
	list    *List
	trackID string

	fixed []byte // everything but the files
	files []file // where they go
}

// A file is an attachment to be encoded after fixed[:at]. Its lines begin with
// the CRLF that ends the line before.
type file struct {
	at      int
	name    string
	content []byte
	open    func() (io.ReadCloser, error) // nil: content
}

// Build validates m and builds it. A Raw is read, Open functions are not called.
// A zero Date becomes the time of Build.
//
// The error is a *seserrors.Error of class Invalid that holds a
// *ValidationError, or says content-unreadable because Raw failed. A panic in
// Raw goes on to the caller.
func Build(m *Message) (*Mail, error) { return build(context.Background(), m) }

// build is Build that does not wait for Raw beyond the end of ctx.
func build(ctx context.Context, m *Message) (*Mail, error) {
	var v validator
	mail := &Mail{trackID: rand.Text()}
	var few [4]mailbox // no need to allocate for the addresses of most mails
	h, p := v.message(m, mail, few[:0])
	if m != nil && m.Raw != nil {
		if err := v.raw(ctx, m, mail); err != nil {
			return nil, err
		}
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	if m.Raw == nil {
		compose(m, h, p, mail, time.Now())
	}
	if mail.length()+int64(len(mail.sesLines())) > maxMessage {
		v.add("Message", "", seserrors.MessageTooLong, tooLong)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	return mail, nil
}

// From returns the envelope sender, where bounces go: the Message's ReturnPath,
// or else the author.
func (m *Mail) From() string { return m.from }

// Author returns the bare address of the Message's From: the identity that SES
// must have verified.
func (m *Mail) Author() string { return m.author }

// Recipients returns the envelope recipients, each once, in the order To, Cc,
// Bcc. The slice is a copy, as are those of the other methods.
func (m *Mail) Recipients() []string { return slices.Clone(m.recipients) }

// To returns those recipients that stand in the Message's To.
func (m *Mail) To() []string { return slices.Clone(m.to) }

// Cc returns those recipients that stand in the Message's Cc and not in To.
func (m *Mail) Cc() []string { return slices.Clone(m.cc) }

// Bcc returns those recipients that stand in the Message's Bcc alone.
func (m *Mail) Bcc() []string { return slices.Clone(m.bcc) }

// ConfigurationSet returns the name of the configuration set; empty: none.
func (m *Mail) ConfigurationSet() string { return m.configurationSet }

// Tenant returns the name of the SES tenant; empty: none.
func (m *Mail) Tenant() string { return m.tenant }

// FromARN returns the identity of another account for the author; empty: none.
func (m *Mail) FromARN() string { return m.fromARN }

// ReturnPathARN returns the identity of another account for the envelope
// sender; empty: none.
func (m *Mail) ReturnPathARN() string { return m.returnPathARN }

// Tags returns the message tags: those of the Message or of its Raw's own
// X-SES-MESSAGE-TAGS header, and the one that Track added.
func (m *Mail) Tags() []Tag { return slices.Clone(m.tags) }

// List returns the contact list, or nil.
func (m *Mail) List() *List {
	if m.list == nil {
		return nil
	}
	l := *m.list
	return &l
}

// TrackID returns the Mail's own id: 26 letters and digits of base32, 128
// random bits. Build makes it, MarshalBinary keeps it, and every attempt of
// every send bears it, in the tag that Track names.
func (m *Mail) TrackID() string { return m.trackID }

// Track returns a copy of m that carries its TrackID in the SES message tag of
// that name, by which SES's events find the mail. A Mail that has this tag
// already is returned as it is.
//
// The error is that of Build, for a malformed name, or another tag of that name.
func (m *Mail) Track(tag string) (*Mail, error) {
	t := Tag{tag, m.trackID}
	if slices.Contains(m.tags, t) {
		return m, nil
	}
	var v validator
	v.tag("TrackTag", m.tags, t)
	if err := v.err(); err != nil {
		return nil, err
	}
	tracked := *m
	tracked.tags = append(slices.Clip(m.tags), t)
	return &tracked, nil
}

// Size returns the length of the message in octets, or -1 if a file is streamed.
func (m *Mail) Size() int64 {
	if slices.ContainsFunc(m.files, file.streamed) {
		return -1
	}
	return m.length()
}

func (f file) streamed() bool { return f.open != nil }

// length is the length of the message without its streamed files.
func (m *Mail) length() int64 {
	n := int64(len(m.fixed))
	for _, f := range m.files {
		n += mimetext.Base64Len(len(f.content))
	}
	return n
}

// Open opens the mail for reading, with every attachment that has an Open
// function. Each time it gives the same octets, as far as those attachments do:
// the message as recipients get it, with CRLF line ends.
//
// Open and each Read end with ctx, even if an attachment's Open or Read stands
// still; such a reader is closed as soon as it returns. A panic in one becomes
// the panic of Open, Read or Close. The error is a *seserrors.Error: of class
// Canceled if ctx ended, otherwise Invalid and content-unreadable, or
// message-too-long when the mail grows beyond 40 MB.
//
// The ReadCloser is an io.WriterTo too, which saves a copy. It is for one
// goroutine and must be closed, also when ctx has ended.
func (m *Mail) Open(ctx context.Context) (io.ReadCloser, error) {
	r, err := m.open(ctx, nil)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// WriteTo writes what Open reads. The error may be w's own. No part of a Mail's
// octets that w has seen is used for another mail.
func (m *Mail) WriteTo(w io.Writer) (int64, error) { return m.writeTo(context.Background(), w, nil) }

func (m *Mail) writeTo(ctx context.Context, w io.Writer, lead []byte) (int64, error) {
	r, err := m.open(ctx, lead)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.WriteTo(w)
}
