package sesguard

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// sevenBit reports whether s may be sent as it is: ASCII text in lines of at
// most 76 characters, without spaces at their ends, which relays drop, and
// without what could be taken for a boundary.
func sevenBit(s string) bool {
	start := 0
	for i := 0; i < len(s); i++ {
		i += printable(s[i:min(len(s), start+lineAim)])
		if i == len(s) {
			break
		}
		switch c := s[i]; {
		case c == '\n' || c == '\r':
			if i > start && isBlank(s[i-1]) {
				return false
			}
			start = i + 1
		case c != '\t' || i-start >= lineAim:
			return false
		}
	}
	return (s == "" || !isBlank(s[len(s)-1])) && !strings.Contains(s, "=_")
}

// printable returns how many octets at the beginning of s are printable ASCII.
// It looks at eight at once: nearly all are.
func printable(s string) int {
	p := []byte(s) // no copy
	i := 0
	for i+8 <= len(p) && outside(binary.LittleEndian.Uint64(p[i:])) == 0 {
		i += 8
	}
	for i < len(p) && ' ' <= p[i] && p[i] <= '~' {
		i++
	}
	return i
}

// outside is not 0 if one of the eight octets of w is not printable ASCII: its
// high bit is set, or stays clear when that of ' ' would just be set, or is set
// when only that of DEL would be. No octet without a high bit carries into the
// next.
func outside(w uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	return (w | ^(w + (0x80-' ')*ones) | (w + (0x80-0x7f)*ones)) & highs
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// appendLines appends s with CRLF for each CRLF, CR and LF.
func appendLines[T string | []byte](dst []byte, s T) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		if s[i] != '\r' && s[i] != '\n' {
			continue
		}
		dst = append(append(dst, s[start:i]...), '\r', '\n')
		i += breakLen(s, i) - 1
		start = i + 1
	}
	return append(dst, s[start:]...)
}

// breakLen returns the length of the line break at s[i].
func breakLen[T string | []byte](s T, i int) int {
	if s[i] == '\r' && i+1 < len(s) && s[i+1] == '\n' {
		return 2
	}
	return 1
}

// qpSafe are the characters that quoted-printable leaves alone (RFC 2045
// §6.7), but at the end of a line.
var qpSafe = func() (t [256]bool) {
	for c := ' '; c <= '~'; c++ {
		t[c] = c != '='
	}
	t['\t'] = true
	return t
}()

// appendQP appends s in quoted-printable.
func appendQP(dst []byte, s string) []byte {
	const most = lineAim - 1 // a soft break needs one
	col := 0
	for i := 0; i < len(s); {
		if s[i] == '\r' || s[i] == '\n' {
			dst = append(dst, '\r', '\n')
			i += breakLen(s, i)
			col = 0
			continue
		}
		j := safeRun(s, i, most-col)
		dst = append(dst, s[i:j]...)
		col += j - i
		if i = j; i == len(s) || s[i] == '\r' || s[i] == '\n' {
			continue
		}
		if col+3 > most || col == most {
			dst = append(dst, "=\r\n"...)
			col = 0
			continue
		}
		if !qpSafe[s[i]] || isBlank(s[i]) {
			dst = append(dst, '=', hexDigits[s[i]>>4], hexDigits[s[i]&15])
			col += 3
			i++
		}
	}
	return dst
}

// safeRun returns the end of the run of at most n characters from s[i] that
// need no encoding.
func safeRun(s string, i, n int) int {
	end := min(len(s), i+n)
	j := i + printable(s[i:end])
	if k := strings.IndexByte(s[i:j], '='); k >= 0 {
		return i + k
	}
	for j < end && qpSafe[s[j]] { // tabs
		j++
	}
	if j > i && isBlank(s[j-1]) && (j == len(s) || s[j] == '\r' || s[j] == '\n') {
		j-- // a blank at the end of a line is encoded
	}
	return j
}

// Sizes of the encoding of files: lines of 76 characters, each after its CRLF.
// A chunk of 8 KB is as fast as one of 64 KB: smtpclient gathers what it writes
// anyway, so a large one would only be a second buffer of that kind.
const (
	lineIn   = 57
	lineOut  = lineAim + 2
	chunk    = 104 // lines encoded at once
	chunkIn  = chunk * lineIn
	chunkOut = chunk * lineOut
)

// encodedLen returns the length of n octets in base64 lines.
func encodedLen(n int) int64 {
	lines := (n + lineIn - 1) / lineIn
	return int64((n+2)/3*4) + 2*int64(lines)
}

// buffers are what encoding a file needs.
type buffers struct {
	in  [chunkIn]byte // of a streamed file
	out [chunkOut]byte
}

// encodeLines writes p, at most chunkIn octets, into dst and returns it.
func encodeLines(dst, p []byte) []byte {
	n := 0
	for len(p) > 0 {
		line := p[:min(lineIn, len(p))]
		dst[n], dst[n+1] = '\r', '\n'
		n += 2
		base64.StdEncoding.Encode(dst[n:], line)
		n += base64.StdEncoding.EncodedLen(len(line))
		p = p[len(line):]
	}
	return dst[:n]
}

// openMail is a Mail whose streamed files are open, after lead.
type openMail struct {
	b       *Mail
	lead    []byte
	readers []io.ReadCloser // one for each file, nil if none is streamed
}

// open opens the streamed files.
func (b *Mail) open(lead []byte) (*openMail, error) {
	o := &openMail{b: b, lead: lead}
	for i, f := range b.files {
		if f.att.Open == nil {
			continue
		}
		r, err := f.att.Open()
		if err == nil && r == nil {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			o.Close()
			return nil, unreadable(f.att, err)
		}
		if o.readers == nil {
			o.readers = make([]io.ReadCloser, len(b.files))
		}
		o.readers[i] = r
	}
	return o, nil
}

// Close closes the streamed files.
func (o *openMail) Close() error {
	for i, r := range o.readers {
		if r != nil {
			r.Close() // read to its end, or given up: its error changes nothing
			o.readers[i] = nil
		}
	}
	return nil
}

// WriteTo writes the lead and the message.
func (o *openMail) WriteTo(w io.Writer) (int64, error) {
	s := sink{w: w, room: maxMessage}
	if len(o.lead) > 0 {
		if err := s.write(o.lead); err != nil {
			return s.n, err
		}
	}
	if len(o.b.files) == 0 {
		err := s.write(o.b.fixed)
		return s.n, err
	}
	err := o.files(&s, new(buffers))
	return s.n, err
}

func (o *openMail) files(s *sink, bufs *buffers) error {
	at := 0
	for i, f := range o.b.files {
		if err := s.write(o.b.fixed[at:f.at]); err != nil {
			return err
		}
		at = f.at
		var err error
		if f.att.Open == nil {
			err = s.content(f.att.Content, bufs)
		} else {
			err = s.stream(f.att, o.readers[i], bufs)
		}
		if err != nil {
			return err
		}
	}
	return s.write(o.b.fixed[at:])
}

// A sink counts what is written, and takes no more than there is room for.
type sink struct {
	w       io.Writer
	n, room int64
}

func (s *sink) write(p []byte) error {
	if s.n+int64(len(p)) > s.room {
		return &seserrors.Error{
			Op: opValidate, Class: seserrors.Invalid, Reason: seserrors.MessageTooLong,
			Message: "the message is longer than 40 MB after encoding",
		}
	}
	n, err := s.w.Write(p)
	s.n += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

func (s *sink) content(p []byte, bufs *buffers) error {
	for len(p) > 0 {
		n := min(chunkIn, len(p))
		if err := s.write(encodeLines(bufs.out[:], p[:n])); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (s *sink) stream(a *Attachment, r io.Reader, bufs *buffers) error {
	for {
		n, err := fill(r, bufs.in[:])
		if err != nil && err != io.EOF {
			return unreadable(a, err)
		}
		if werr := s.write(encodeLines(bufs.out[:], bufs.in[:n])); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
	}
}

// fill reads until p is full. Unlike io.ReadFull it keeps the reader's own
// io.ErrUnexpectedEOF, which is a file cut short, apart from the end.
func fill(r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p) && err == nil; {
		var k int
		k, err = r.Read(p[n:])
		n += k
		if k > 0 {
			empty = 0
		} else if empty++; empty > 100 && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

func unreadable(a *Attachment, err error) error {
	return &seserrors.Error{
		Op: "sesguard read attachment", Class: seserrors.Invalid, Reason: seserrors.ContentUnreadable,
		Err: fmt.Errorf("attachment %q: %w", brief(a.Name), err),
	}
}
