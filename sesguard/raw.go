package sesguard

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// raw reads m.Raw once, checks it and sets it in b. The error is about reading.
func (v *validator) raw(m *Message, b *Mail) error {
	v.rawAlone(m)
	var s rawSink
	switch src := m.Raw.(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		s.whole = true
	case interface{ Len() int }:
		s.buf = make([]byte, 0, min(max(src.Len(), 0), maxMessage)+4) // and the line ends that may be added
	}
	_, err := m.Raw.WriteTo(&s)
	s.done.Store(true)
	switch {
	case s.over:
		v.add("Raw", "", seserrors.MessageTooLong, "it is longer than 40 MB")
		return nil
	case err != nil:
		return &seserrors.Error{Op: "sesguard read raw message", Class: seserrors.Invalid, Reason: seserrors.ContentUnreadable, Err: err}
	case len(s.buf) == 0:
		v.add("Raw", "", seserrors.IllegalHeader, "it gave no octets: a buffer can be read only once")
		return nil
	}
	b.fixed = v.rawMessage(s.buf, m)
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
		{"Attachments", len(m.Attachments) > 0},
		{"Headers", len(m.Headers) > 0},
	} {
		if f.set {
			v.add(f.name, "", seserrors.InvalidParameter, "it cannot be set beside Raw, which holds the whole message")
		}
	}
}

// A rawSink keeps what Raw writes, up to the limit. A source that writes after
// its WriteTo returned is refused.
type rawSink struct {
	buf   []byte
	whole bool // the one Write has octets that nobody changes while Send runs
	over  bool
	done  atomic.Bool
}

var errSinkClosed = errors.New("sesguard: write after the end of WriteTo, or beyond 40 MB")

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
func (v *validator) rawMessage(p []byte, m *Message) []byte {
	crlf, longest := lineEnds(p)
	if !crlf {
		p = appendLines(make([]byte, 0, len(p)+len(p)/16+64), p)
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
	return v.rawHeader(p, m)
}

// lineEnds reports whether CR and LF stand in p only as CRLF, and the length of
// the longest line. A bare one is where one server sees the end of a line, or
// of the message, and another does not.
//
// Most lines are as long as the one before, so the end of a line is looked for
// there first. That may jump over a short line; then as many LFs are missing.
func lineEnds(p []byte) (crlf bool, longest int) {
	crlf, longest, lines := measureLines(p, true)
	if bytes.Count(p, []byte{'\n'}) != lines {
		crlf, longest, lines = measureLines(p, false)
	}
	return crlf && bytes.Count(p, []byte{'\r'}) == lines, longest
}

// measureLines reports whether every line that it has seen ends in CRLF, the
// length of the longest, and their number.
func measureLines(p []byte, guess bool) (crlf bool, longest, lines int) {
	crlf = true
	start, size := 0, 0
	for {
		end := start + size
		if !guess || end >= len(p) || p[end] != '\n' {
			size = bytes.IndexByte(p[start:], '\n')
			if size < 0 {
				return crlf, max(longest, len(p)-start), lines
			}
			end = start + size
		}
		lines++
		if size > 0 && p[end-1] == '\r' {
			longest = max(longest, size-1)
		} else {
			crlf, longest = false, max(longest, size)
		}
		start = end + 1
	}
}

// rawHeader checks the header of p, and ends it if p has nothing else.
func (v *validator) rawHeader(p []byte, m *Message) []byte {
	r := rawFields{v: v, m: m}
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
	v    *validator
	m    *Message
	from bool
	wide bool      // an octet that is not ASCII was reported
	seen [128]bool // by the number in once
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
	return true
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
	if f := sesHeaders[string(name)]; f != "" && isSet(r.m, f) {
		r.v.add(field, string(name), seserrors.IllegalHeader, "this header and the field "+f+" say the same: use one of them")
	}
}

// isSet reports whether a field of m that SES reads is set.
func isSet(m *Message, field string) bool {
	switch field {
	case "ConfigurationSet":
		return m.ConfigurationSet != ""
	case "Tags":
		return len(m.Tags) > 0
	case "FromARN":
		return m.FromARN != ""
	case "ReturnPathARN":
		return m.ReturnPathARN != ""
	case "List":
		return m.List != nil
	}
	return m.Tenant != ""
}

// finish reports what is missing in a header of n octets.
func (r *rawFields) finish(n int) {
	switch {
	case n == 0 && len(r.v.problems) == 0:
		r.v.add("Raw", "", seserrors.IllegalHeader, "it begins with an empty line: it must begin with its header")
	case n > 0 && !r.from:
		r.v.add("Raw", "", seserrors.IllegalHeader, "it has no From header")
	}
}
