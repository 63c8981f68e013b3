package sesguard

import (
	"context"
	"crypto/rand"
	"io"
	"slices"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A Mail is a Message that was checked and encoded: its envelope, what SES is
// told about it, and its octets. It never changes, so each attempt sends the
// same. [Build] makes one. It is safe for concurrent use as far as the Open
// functions of its attachments are.
type Mail struct {
	from       string   // envelope sender: ReturnPath, else From
	author     string   // From, without its name
	recipients []string // of the envelope, each once: to, cc, bcc
	to, cc     []string
	bcc        []string

	configurationSet, tenant, fromARN, returnPathARN string
	tags                                             []Tag
	list                                             *List
	trackID                                          string

	fixed []byte // everything but the files
	files []file // where they go
	size  int64  // of the message without streamed files
}

// Build validates m and builds it. The error is a *seserrors.Error of class
// Invalid that holds a *ValidationError, or says that Raw could not be read.
// A zero Date becomes the time of Build.
func Build(m *Message) (*Mail, error) {
	b, err := prepare(m, time.Now())
	if err != nil {
		return nil, err
	}
	b.trackID = rand.Text()
	return b, nil
}

// From is the envelope sender: the Message's ReturnPath, or else its From.
func (m *Mail) From() string { return m.from }

// Author is the address in the From header: the identity that SES must have
// verified.
func (m *Mail) Author() string { return m.author }

// Recipients are those of the envelope, each once.
func (m *Mail) Recipients() []string { return slices.Clone(m.recipients) }

// To, Cc and Bcc are the recipients by the list in which each stood first.
func (m *Mail) To() []string  { return slices.Clone(m.to) }
func (m *Mail) Cc() []string  { return slices.Clone(m.cc) }
func (m *Mail) Bcc() []string { return slices.Clone(m.bcc) }

func (m *Mail) ConfigurationSet() string { return m.configurationSet }
func (m *Mail) Tenant() string           { return m.tenant }
func (m *Mail) FromARN() string          { return m.fromARN }
func (m *Mail) ReturnPathARN() string    { return m.returnPathARN }
func (m *Mail) Tags() []Tag              { return slices.Clone(m.tags) }
func (m *Mail) TrackID() string          { return m.trackID }

// List is the contact list, or nil.
func (m *Mail) List() *List {
	if m.list == nil {
		return nil
	}
	l := *m.list
	return &l
}

// Track returns a copy of m that carries its TrackID in the SES message tag of
// that name.
func (m *Mail) Track(tag string) (*Mail, error) {
	var v validator
	t := *m
	t.tags = append(slices.Clone(m.tags), Tag{tag, m.trackID})
	v.tag(m.tags, Tag{tag, m.trackID}, len(m.tags))
	if err := v.err(); err != nil {
		return nil, err
	}
	return &t, nil
}

// Size is the length of the message in octets, or -1 if a file is streamed.
func (m *Mail) Size() int64 {
	for _, f := range m.files {
		if f.att.Open != nil {
			return -1
		}
	}
	return m.size
}

// WriteTo writes the mail as its recipients get it.
func (m *Mail) WriteTo(w io.Writer) (int64, error) {
	o, err := m.open(nil)
	if err != nil {
		return 0, err
	}
	defer o.Close()
	return o.WriteTo(w)
}

// Open opens the mail for reading. Its Reads end with ctx.
func (m *Mail) Open(ctx context.Context) (io.ReadCloser, error) {
	o, err := m.open(nil)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		_, err := o.WriteTo(w)
		o.Close()
		w.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { w.CloseWithError(seserrors.FromContext(ctx, "sesguard read")) })
	return r, nil
}
