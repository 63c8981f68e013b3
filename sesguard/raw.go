package sesguard

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/internal/mimetext"
)

// raw reads m.Raw once, checks it and sets it in b. The error is about reading.
func (v *validator) raw(ctx context.Context, m *Message, b *Mail) error {
	s := new(rawSink)
	err := s.read(ctx, m.Raw)
	switch {
	case ctx.Err() != nil && err != nil:
		return seserrors.FromContext(ctx, opRead)
	case s.over:
		v.add("Raw", "", seserrors.MessageTooLong, "it is longer than 40 MB")
		return nil
	case err != nil:
		return &seserrors.Error{Op: "sesguard read raw message", Class: seserrors.Invalid, Reason: seserrors.ContentUnreadable, Err: err}
	case len(s.buf) == 0:
		v.add("Raw", "", seserrors.IllegalHeader, "it gave no octets: a buffer can be read only once")
		return nil
	}
	b.fixed = v.rawMessage(s.buf, m, b)
	return nil
}

// rawAlone refuses the fields that Raw replaces.
func (v *validator) rawAlone(m *Message) {
	for _, f := range [...]struct {
		name string
		set  bool
	}{
		{"ReplyTo", len(m.ReplyTo) > 0},
		{"Subject", m.Subject != ""},
		{"Text", m.Text != ""},
		{"HTML", m.HTML != ""},
		{"Alternatives", len(m.Alternatives) > 0},
		{"Attachments", len(m.Attachments) > 0},
		{"Headers", len(m.Headers) > 0},
	} {
		if f.set {
			v.add(f.name, "", seserrors.InvalidParameter, "it cannot be set beside Raw, which holds the whole message")
		}
	}
}

// A rawSink keeps what Raw writes, up to the limit. A source that writes after
// its WriteTo returned, or was given up, is refused.
type rawSink struct {
	buf   []byte
	whole bool // the one Write has octets that nobody changes while the Mail is used
	over  bool
	done  atomic.Bool
}

var errSinkClosed = errors.New("sesguard: write after the end of WriteTo, or beyond 40 MB")

// read takes what raw writes. Only a source of the caller's own can stand still.
func (s *rawSink) read(ctx context.Context, raw io.WriterTo) error {
	defer s.done.Store(true)
	switch src := raw.(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		s.whole = true
		_, err := raw.WriteTo(s)
		return err
	case interface{ Len() int }:
		s.buf = make([]byte, 0, min(max(src.Len(), 0), maxMessage)+4) // and the line ends that may be added
	}
	if ctx.Done() == nil {
		_, err := raw.WriteTo(s)
		return err
	}
	o, err := await(ctx, apart(func(chan<- outcome) error {
		_, err := raw.WriteTo(s)
		return err
	}))
	if o.panicked != nil {
		panic(o.panicked)
	}
	return cmp.Or(err, o.err)
}

func (s *rawSink) Write(p []byte) (int, error) {
	if s.done.Load() {
		return 0, errSinkClosed
	}
	if len(s.buf)+len(p) > maxMessage {
		s.over = true
	}
	if s.over {
		return 0, errSinkClosed
	}
	if s.whole && s.buf == nil {
		s.buf = slices.Clip(p) // nobody appends to what is the caller's
	} else {
		s.buf = append(s.buf, p...)
	}
	return len(p), nil
}

// rawMessage returns p with CRLF line ends, checked.
func (v *validator) rawMessage(p []byte, m *Message, b *Mail) []byte {
	crlf, longest := lineEnds(p)
	if !crlf {
		p = mimetext.AppendLines(make([]byte, 0, len(p)+len(p)/16+64), p)
		_, longest = lineEnds(p)
	}
	if !bytes.HasSuffix(p, []byte("\r\n")) {
		p = append(p, '\r', '\n')
	}
	if longest > lineMax {
		v.add("Raw", "", seserrors.IllegalHeader,
			"a line of it is longer than 998 octets (RFC 5322 §2.1.1): encode the part in base64 or quoted-printable, fold the header")
	}
	if bytes.IndexByte(p, 0) >= 0 {
		v.add("Raw", "", seserrors.IllegalHeader, "it holds a NUL octet: encode binary content in base64")
	}
	return v.rawHeader(p, m, b)
}

// lineEnds reports whether CR and LF stand in p only as CRLF, and the length of
// the longest line. A bare one is where one server sees the end of a line, or
// of the message, and another does not.
func lineEnds(p []byte) (crlf bool, longest int) {
	lines, crlf := 0, true
	for start := 0; start < len(p); lines++ {
		n := bytes.IndexByte(p[start:], '\n')
		if n < 0 {
			longest = max(longest, len(p)-start)
			break
		}
		line := bytes.TrimSuffix(p[start:start+n], []byte{'\r'})
		crlf = crlf && len(line) < n
		longest = max(longest, len(line))
		start += n + 1
	}
	return crlf && bytes.Count(p, []byte{'\r'}) == lines, longest
}

// rawHeader checks the header of p, and ends it if p has nothing else.
func (v *validator) rawHeader(p []byte, m *Message, b *Mail) []byte {
	r := rawFields{v: v, m: m, b: b}
	for at := 0; at < len(p) && len(v.problems) < 20; {
		n := bytes.IndexByte(p[at:], '\n')
		line := p[at : at+n-1]
		r.ascii(line)
		if len(line) == 0 || !r.field(line, at) {
			r.finish(at)
			return p
		}
		at += n + 1
	}
	r.finish(len(p))
	return append(p, '\r', '\n')
}

// rawFields are the header fields of a raw message seen so far.
type rawFields struct {
	v      *validator
	m      *Message
	b      *Mail
	from   bool
	wide   bool      // an octet that is not ASCII was reported
	seen   [128]bool // by the number in once
	tagged bool      // the last field has tags
}

// ascii reports, once, a header that is not ASCII: only SMTPUTF8, which SES
// does not offer, would allow it.
func (r *rawFields) ascii(line []byte) {
	if r.wide {
		return
	}
	for _, c := range line {
		if c >= utf8.RuneSelf {
			r.wide = true
			r.v.add("Raw", string(line[:min(len(line), 100)]), seserrors.IllegalHeader,
				"its header is not ASCII: names and texts in it must be encoded-words (RFC 2047)")
			return
		}
	}
}

// field looks at one line. It returns false when the rest makes no sense.
func (r *rawFields) field(line []byte, at int) bool {
	if line[0] == ' ' || line[0] == '\t' {
		if at == 0 {
			r.v.add("Raw", "", seserrors.IllegalHeader, "its first line begins with white space: it must begin with a header field")
		}
		if r.tagged {
			r.v.ownTags = append(r.v.ownTags, line...)
		}
		return at > 0
	}
	i := bytes.IndexByte(line, ':')
	if i < 1 || !isFieldName(string(line[:i])) {
		r.v.add("Raw", string(line[:min(len(line), 100)]), seserrors.IllegalHeader,
			"this line is no header field (an empty line must stand between header and body)")
		return false
	}
	var buf [126]byte
	name := buf[:i]
	for j, c := range line[:i] {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		name[j] = c
	}
	r.check(name)
	if r.tagged = string(name) == tagsHeader; r.tagged {
		r.v.ownTags = append(append(r.v.ownTags, ','), line[i+1:]...)
	}
	return true
}

// ownTags sets the tags of the message's own header in b: over the API they must
// be parameters, which would replace the header.
func (r *rawFields) ownTags() {
	for s := range strings.SplitSeq(string(r.v.ownTags[1:]), ",") {
		var t Tag
		t.Name, t.Value, _ = strings.Cut(strings.Trim(s, " \t"), "=")
		var one validator
		if one.tag("", r.b.tags, t); len(one.problems) > 0 {
			r.v.add("Raw", s, seserrors.InvalidTag, "its header "+tagsHeader+" must be NAME=VALUE, NAME=VALUE: "+one.problems[0].Err.Error())
		}
		r.b.tags = append(r.b.tags, t)
	}
	r.b.ownTags = len(r.b.tags)
}

func (r *rawFields) check(name []byte) {
	const field = "Raw"
	if n := once[string(name)]; n > 0 {
		if r.seen[n] {
			r.v.add(field, string(name), seserrors.DuplicateHeader, "SES takes this header only once")
		}
		r.seen[n] = true
	}
	switch string(name) {
	case "from":
		r.from = true
	case "bcc", "resent-bcc":
		r.v.add(field, string(name), seserrors.IllegalHeader,
			"this header would show every recipient who the hidden ones are: take it out and set Bcc")
	}
	if r.m.List != nil && unsubscribes(string(name)) {
		r.v.add(field, string(name), seserrors.IllegalHeader, overwritten)
	}
	if f := sesHeaders[string(name)]; f != "" && isSet(r.m, f) {
		r.v.add(field, string(name), seserrors.IllegalHeader, "this header and the field "+f+" say the same: use one of them")
	}
}

// isSet reports whether a field of m that SES reads is set.
func isSet(m *Message, field string) bool {
	return map[string]bool{
		"ConfigurationSet": m.ConfigurationSet != "", "Tags": len(m.Tags) > 0, "FromARN": m.FromARN != "",
		"ReturnPathARN": m.ReturnPathARN != "", "List": m.List != nil, "Tenant": m.Tenant != "",
	}[field]
}

// finish reports what is missing in a header of n octets.
func (r *rawFields) finish(n int) {
	switch {
	case n == 0 && len(r.v.problems) == 0:
		r.v.add("Raw", "", seserrors.IllegalHeader, "it begins with an empty line: it must begin with its header")
	case n > 0 && !r.from:
		r.v.add("Raw", "", seserrors.IllegalHeader, "it has no From header")
	}
	if len(r.v.ownTags) > 0 && len(r.v.problems) == 0 {
		r.ownTags()
	}
}
