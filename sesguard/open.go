package sesguard

import (
	"context"
	"fmt"
	"io"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/internal/mimetext"
)

// A file is encoded in chunks of whole lines. One of 16 KB is as fast as one of 64
// KB: smtpclient gathers what it writes anyway, so a large one would only be a
// second buffer of that kind.
const (
	chunkLines = 208
	chunkIn    = chunkLines * mimetext.Base64In
	chunkOut   = chunkLines * mimetext.Base64Out
)

// A reader reads a Mail piece by piece. What it hands out is either the Mail's
// own, which nobody changes, or in buffers of this reader alone.
type reader struct {
	ctx    context.Context
	m      *Mail
	lead   []byte // goes before the message
	at     int    // in m.fixed
	i      int    // the file that is next, or being read
	inside bool   // m.files[i] is being read
	held   []byte // the rest of a file that is in memory
	out    []byte // room for a chunk of it, encoded
	feed   *feed  // nil if no file is streamed
	n      int64  // octets so far
	rest   []byte // read, but not handed out
	err    error
}

// open opens the streamed files. The reader gives lead before the message.
func (m *Mail) open(ctx context.Context, lead []byte) (*reader, error) {
	if ctx.Err() != nil {
		return nil, seserrors.FromContext(ctx, opRead)
	}
	r := &reader{ctx: ctx, m: m, lead: lead}
	if m.Size() >= 0 {
		return r, nil
	}
	r.n = int64(len(m.sesLines()) - len(lead)) // they count, also where they are no part of what is read
	r.feed = newFeed(m.files)
	if _, err := r.feed.receive(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Read gives the next octets.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo writes the rest.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if err := r.fill(); err == io.EOF {
			return written, nil
		} else if err != nil {
			return written, err
		}
		n, err := w.Write(r.rest)
		if written += int64(n); err == nil && n < len(r.rest) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, err
		}
		r.rest = nil
	}
}

// Close closes the streamed files.
func (r *reader) Close() error {
	if r.err = io.ErrClosedPipe; r.feed != nil {
		feed := r.feed
		r.feed = nil
		feed.close(r.ctx)
	}
	r.rest = nil
	return nil
}

// fill sees to it that rest holds the next octets, or returns why there are none.
func (r *reader) fill() error {
	if len(r.rest) > 0 || r.err != nil {
		return r.err
	}
	if r.ctx.Err() != nil {
		r.err = seserrors.FromContext(r.ctx, opRead)
		return r.err
	}
	r.rest, r.err = r.next()
	if r.n += int64(len(r.rest)); r.n > maxMessage {
		r.err = &seserrors.Error{Op: opRead, Class: seserrors.Invalid, Reason: seserrors.MessageTooLong, Message: tooLong}
	}
	return r.err
}

// next returns the lead, a part between two files, or a chunk of a file.
func (r *reader) next() ([]byte, error) {
	if p := r.lead; len(p) > 0 {
		r.lead = nil
		return p, nil
	}
	for r.inside {
		p, last, err := r.chunk()
		if last {
			r.inside = false
			r.i++
		}
		if len(p) > 0 || err != nil {
			return p, err
		}
	}
	from, end := r.at, len(r.m.fixed)
	if from == end {
		return nil, io.EOF
	}
	if r.i < len(r.m.files) {
		f := r.m.files[r.i]
		end, r.inside, r.held = f.at, true, f.content
	}
	r.at = end
	return r.m.fixed[from:end], nil
}

// chunk returns the next chunk of the file that is read, encoded.
func (r *reader) chunk() (p []byte, last bool, err error) {
	if r.m.files[r.i].streamed() {
		return r.feed.next(r.ctx)
	}
	if r.out == nil && len(r.held) > 0 {
		r.out = make([]byte, chunkOut)
	}
	n := min(chunkIn, len(r.held))
	p = mimetext.Base64Lines(r.out, r.held[:n])
	r.held = r.held[n:]
	return p, len(r.held) == 0, nil
}

// A feed reads the streamed files of one reader in a goroutine of its own, so
// that one that stands still stops nobody else. The files and the buffer that
// they are given are that goroutine's alone: a Read that the caller's own code
// called off may write into its buffer long after.
type feed struct {
	files []file        // those that are streamed
	want  chan struct{} // asks for the next chunk
	quit  chan struct{} // closed when no more will be asked
	got   <-chan outcome
	asked bool // an outcome is awaited
	ended bool // no further outcome comes
}

func newFeed(files []file) *feed {
	f := &feed{want: make(chan struct{}, 1), quit: make(chan struct{}), asked: true}
	for _, file := range files {
		if file.streamed() {
			f.files = append(f.files, file)
		}
	}
	f.got = apart(f.run)
	return f
}

// next asks for the next chunk of the current file.
func (f *feed) next(ctx context.Context) (chunk []byte, last bool, err error) {
	f.asked = true
	f.want <- struct{}{}
	o, err := f.receive(ctx)
	return o.chunk, o.last, err
}

func (f *feed) receive(ctx context.Context) (outcome, error) {
	o, err := await(ctx, f.got)
	if err != nil {
		return o, err
	}
	f.asked, f.ended = false, o.err != nil || o.panicked != nil
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o, o.err
}

// close ends the goroutine, and waits for it to close the files unless it stands
// still in one of them.
func (f *feed) close(ctx context.Context) {
	close(f.quit)
	if !f.asked && !f.ended {
		f.receive(ctx)
	}
}

// run opens the files and then answers each request. It closes a file at its
// end, and all that are left when it returns.
func (f *feed) run(got chan<- outcome) error {
	var left []io.ReadCloser
	defer func() {
		for _, r := range left {
			defer r.Close() // given up: what it says changes nothing
		}
	}()
	for _, file := range f.files {
		r, err := file.open()
		if err == nil && r == nil {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return unreadable(file.name, err)
		}
		left = append(left, r)
		if f.over() {
			return nil
		}
	}
	got <- outcome{}
	in, out := make([]byte, chunkIn), make([]byte, chunkOut)
	for _, file := range f.files {
		for end := false; !end; {
			select {
			case <-f.want:
			case <-f.quit:
				return nil
			}
			n, err := readFull(left[0], in)
			if end = err == io.EOF; end {
				r := left[0]
				left = left[1:]
				r.Close() // read to its end
			} else if err != nil {
				return unreadable(file.name, err)
			}
			got <- outcome{chunk: mimetext.Base64Lines(out, in[:n]), last: end}
		}
	}
	return nil
}

func (f *feed) over() bool {
	select {
	case <-f.quit:
		return true
	default:
		return false
	}
}

// readFull reads until p is full. Unlike io.ReadFull it keeps the reader's own
// io.ErrUnexpectedEOF, which is a file cut short, apart from the end.
func readFull(r io.Reader, p []byte) (n int, err error) {
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

func unreadable(name string, err error) error {
	return &seserrors.Error{
		Op: "sesguard read attachment", Class: seserrors.Invalid, Reason: seserrors.ContentUnreadable,
		Err: fmt.Errorf("attachment %q: %w", brief(name), err),
	}
}
