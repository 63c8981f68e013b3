package smtpclient

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// setupBudget bounds what a server may send until the session is set up: the
	// replies that net/smtp reads without a limit of its own, and the handshake.
	setupBudget = 256 << 10

	// glance is how long a look for unread octets takes on a connection that
	// cannot be asked without waiting.
	glance = 100 * time.Microsecond

	// horizon bounds how far ahead a deadline is set on a socket. One that comes
	// before the limit is moved on, and what was missed is read then.
	horizon = time.Second

	// longLimit is a limit that may come up to a horizon late: the clock is read
	// when the first deadline strikes, not for every request.
	longLimit = 10 * horizon

	// parcelSize is room for two of the largest TLS records (RFC 8446, section
	// 5.2). More in one write is hardly faster, and is memory for each connection
	// with a message under way.
	parcelSize = 2 * (5 + 16<<10 + 256)

	// keepHeld is the largest buffer for requests that a connection keeps.
	keepHeld = lastWrite + 1<<10
)

var errBudget = errors.New("server sends without end")

// past is a deadline that has gone by, whatever the clock says.
var past = time.Unix(1, 0)

// A wire is the connection as it was dialled, below TLS. One goroutine uses it;
// interrupt and cut may come from any.
//
// A request is held back by Write until Read is asked for the answer. Read sends
// it only if the session has heard nothing from the server since and, where hold
// asks for a look, nothing has arrived. So an answer cannot be taken for one to a
// request that came after it, and what was not sent is known not to have been
// sent. On a socket, looking, sending and waiting are one step: nothing that
// arrives after the look is missed, and no read is tried when there cannot be an
// answer yet.
type wire struct {
	net.Conn
	raw    syscall.RawConn       // to look with; nil if the connection has none
	socket bool                  // Conn is what raw stands for, with nothing in between
	peekFD func(fd uintptr) bool // w.peek, bound once
	talkFD func(fd uintptr) bool // w.talk, bound once

	parcel *[]byte // Write collects here what it gets; nil: it does not

	holding bool   // Write holds back what it gets
	held    []byte // the request, until it is sent
	look    bool   // look for octets from the server before sending
	heard   bool   // the server has said something since hold
	hurried bool   // the limit is a moment, because something came
	saw     bool   // what peekFD or talkFD saw: something to read

	conversation conversation // of talkFD
	records      records      // of TLS, as far as they were read

	patience time.Duration // what arm was told; 0: for ever
	limit    time.Time     // when reading and writing must end; zero: not known yet
	set      time.Time     // the deadline of the socket, no later than limit; zero: not ours
	struck   atomic.Bool   // interrupted

	early  []byte // read before the greeting was asked for
	budget int64  // octets that may still come during set-up; negative: no limit
	began  bool   // anything came at all
	first  byte   // and began with this
}

// A conversation is what talkFD is to do, and has done, with a socket.
type conversation struct {
	in   []byte // to read into
	n    int    // octets read
	rest []byte // of the request, that could not be written at once
	err  error  // of reading or writing
	sent bool
}

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn, budget: setupBudget}
	w.peekFD, w.talkFD = w.peek, w.talk
	if sc, ok := conn.(syscall.Conn); ok && canPeek {
		if raw, err := sc.SyscallConn(); err == nil {
			w.raw = raw
		}
	}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		w.socket = w.raw != nil
	}
	return w
}

// hold has Write keep what comes until the answer to it is read. heard says that
// octets from the server are there already, look that it matters whether there
// are more.
func (w *wire) hold(look, heard bool) {
	w.holding, w.look, w.heard, w.hurried = true, look, heard, false
}

// unsent reports whether a request is still held back: the server spoke first,
// or the wire was interrupted.
func (w *wire) unsent() bool { return len(w.held) > 0 }

func (w *wire) Write(p []byte) (int, error) {
	switch {
	case w.holding || w.unsent():
		w.held = append(w.held, p...)
		return len(p), nil
	case w.parcel != nil:
		return w.pack(p)
	}
	return w.write(p)
}

var parcels = sync.Pool{New: func() any {
	p := make([]byte, 0, parcelSize)
	return &p
}}

// gather has Write collect what comes, until ship. crypto/tls writes each record
// by itself, which for the server is as many times to wake up.
func (w *wire) gather() { w.parcel = parcels.Get().(*[]byte) }

// pack takes in a record.
func (w *wire) pack(p []byte) (int, error) {
	if len(*w.parcel)+len(p) > parcelSize {
		if err := w.deliver(); err != nil {
			return 0, err
		}
	}
	*w.parcel = append(*w.parcel, p...)
	return len(p), nil
}

func (w *wire) deliver() error {
	w.arm(w.patience) // what came before has moved
	_, err := w.write(*w.parcel)
	*w.parcel = (*w.parcel)[:0]
	return err
}

// ship writes the rest of what was gathered, unless gathering has failed.
func (w *wire) ship(err error) error {
	if err == nil && len(*w.parcel) > 0 {
		err = w.deliver()
	}
	*w.parcel = (*w.parcel)[:0]
	parcels.Put(w.parcel)
	w.parcel = nil
	return err
}

func (w *wire) write(p []byte) (int, error) {
	for done := 0; ; {
		n, err := w.Conn.Write(p[done:])
		done += n
		if err == nil || !w.premature(err) {
			return done, err
		}
		if n > 0 && w.patience > 0 { // slow, but it moves
			w.limit = time.Now().Add(w.patience)
		}
	}
}

// release lets the request go: from now on it may have been sent.
func (w *wire) release() []byte {
	p := w.held
	w.holding, w.held = false, w.held[:0]
	if cap(p) > keepHeld {
		w.held = nil
	}
	return p
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(p, w.early)
		w.early = w.early[n:]
		return n, nil
	}
	n, err := w.read(p)
	for n == 0 && err != nil && (w.premature(err) || w.missed(err)) {
		n, err = w.read(p)
	}
	w.records.follow(p[:n])
	if n > 0 && !w.began {
		w.began, w.first = true, p[0]
	}
	if w.budget >= 0 {
		if w.budget -= int64(n); w.budget < 0 {
			w.budget = 0
			return 0, errBudget
		}
	}
	return n, err
}

// read sends what is held and reads.
func (w *wire) read(p []byte) (int, error) {
	switch {
	case !w.unsent():
		return w.Conn.Read(p)
	case w.heard, w.records.inside():
		return w.hear(p)
	case w.hurried: // what came meant nothing
		w.hurried = false
		w.arm(w.patience)
	}
	if w.socket {
		return w.converse(p)
	}
	if w.look {
		if n, err := w.glance(p); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
	if w.struck.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	if err := w.send(w.release()); err != nil {
		return 0, err
	}
	return w.Conn.Read(p)
}

// hear reads although a request waits: the server was faster. It gets a moment
// to finish what it says.
func (w *wire) hear(p []byte) (int, error) {
	if !w.hurried {
		w.hurry()
	}
	return w.Conn.Read(p)
}

func (w *wire) hurry() {
	w.hurried = true
	w.limit = time.Now().Add(whyCut)
	w.set = w.limit
	w.lay(w.limit)
}

// glance reads what the server has said already. It returns
// os.ErrDeadlineExceeded if that is nothing.
func (w *wire) glance(p []byte) (int, error) {
	if w.raw != nil {
		w.saw = false
		if err := w.raw.Read(w.peekFD); err != nil || !w.saw {
			return 0, os.ErrDeadlineExceeded
		}
		return w.hear(p)
	}
	w.SetReadDeadline(time.Now().Add(glance))
	n, err := w.Conn.Read(p)
	w.lay(w.limit)
	if n == 0 {
		return 0, err
	}
	return n, nil
}

// send writes a request.
func (w *wire) send(p []byte) error {
	if _, err := w.write(p); err != nil {
		return &writeError{err}
	}
	if w.patience > 0 { // the answer has all of it
		w.arm(w.patience)
	}
	return nil
}

// converse is read on a socket.
func (w *wire) converse(p []byte) (int, error) {
	w.saw, w.conversation = false, conversation{in: p}
	err := w.raw.Read(w.talkFD)
	c := w.conversation
	w.conversation = conversation{}
	switch {
	case err != nil:
		if op, ok := err.(*net.OpError); ok {
			op.Op = "read"
		}
		return 0, err
	case w.saw:
		return w.hear(p)
	case len(c.rest) == 0:
		return c.n, c.err
	case c.err != nil:
		return 0, &writeError{c.err}
	}
	if err := w.send(c.rest); err != nil {
		return 0, err
	}
	return w.Conn.Read(p)
}

// opError is err as Conn would return it.
func (w *wire) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: w.LocalAddr().Network(), Source: w.LocalAddr(), Addr: w.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}

// A writeError is the failure of a request that comes to light when its answer
// is read. It is temporary, so that crypto/tls reads on afterwards.
type writeError struct{ err error }

func (e *writeError) Error() string   { return e.err.Error() }
func (e *writeError) Unwrap() error   { return e.err }
func (e *writeError) Timeout() bool   { return false }
func (e *writeError) Temporary() bool { return true }

// arm sets the limit for what comes next; 0 is none. On a socket the deadline
// often stays, which is cheaper: premature moves it on when it strikes.
func (w *wire) arm(d time.Duration) {
	w.patience, w.limit = d, time.Time{}
	if d > 0 && !(w.socket && d >= longLimit) {
		w.limit = time.Now().Add(d)
	}
	switch {
	case !w.socket:
		w.lay(w.limit)
	case w.set.IsZero(), !w.limit.IsZero() && w.limit.Before(w.set):
		w.ahead(time.Now())
	}
}

// ahead sets a deadline no later than limit.
func (w *wire) ahead(now time.Time) {
	w.set = now.Add(horizon)
	if !w.limit.IsZero() && w.limit.Before(w.set) {
		w.set = w.limit
	}
	w.lay(w.set)
}

// lay sets the deadline, and puts the interruption back that it may have
// erased.
func (w *wire) lay(t time.Time) {
	w.SetDeadline(t)
	if w.struck.Load() {
		w.SetDeadline(past)
	}
}

// premature reports whether err is a deadline that came before the limit, and
// moves it on.
func (w *wire) premature(err error) bool {
	if !w.socket || w.set.IsZero() || w.struck.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	now := time.Now()
	if w.limit.IsZero() && w.patience > 0 {
		w.limit = now.Add(w.patience)
	}
	if !w.limit.IsZero() && !now.Before(w.limit) {
		return false
	}
	w.ahead(now)
	return true
}

// missed reports whether something can be read although a wait for it has ended
// at the limit. There is a moment for that.
func (w *wire) missed(err error) bool {
	if !w.socket || w.set.IsZero() || w.hurried || w.unsent() || w.struck.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	w.saw = false
	if w.raw.Control(func(fd uintptr) { w.peek(fd) }) != nil || !w.saw {
		return false
	}
	w.hurry()
	return true
}

// until sets the limit to t, also after an interruption.
func (w *wire) until(t time.Time) {
	w.struck.Store(false)
	w.limit, w.set = t, t
	w.SetDeadline(t)
}

// await waits for the first octets and keeps them for the next Read.
func (w *wire) await() error {
	buf := make([]byte, 512)
	n, err := w.Read(buf)
	w.early = buf[:n]
	if n > 0 {
		return nil
	}
	return err
}

// interrupt ends every read and write under way and every later one, until a
// new limit is set.
func (w *wire) interrupt() {
	w.struck.Store(true)
	w.SetDeadline(past)
}

// cut ends the TCP connection without an orderly end: the server must not take
// what it has so far for a whole message. Closing a tls.Conn or a textproto.Conn
// instead would look like one.
func (w *wire) cut() {
	for c := w.Conn; c != nil; {
		if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
			l.SetLinger(0)
			break
		}
		under, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = under.NetConn()
	}
	w.Conn.Close()
}

// An ear tells the wire that the session has got something to hear. Between the
// two, TLS may read records that mean nothing to the session.
type ear struct {
	r    io.Reader
	wire *wire
}

func (e *ear) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if n > 0 {
		e.wire.heard = true
	}
	return n, err
}

// records follows TLS records (RFC 8446, section 5.1): while one is incomplete,
// nobody knows whether it means something to the session.
type records struct {
	header [5]byte
	have   int // octets of the header
	left   int // octets of the record after its header
}

func (r *records) inside() bool { return r.have > 0 || r.left > 0 }

// follow takes in what was read. A reply in clear text begins with no octet that
// is the type of a record.
func (r *records) follow(p []byte) {
	for len(p) > 0 {
		n := min(r.left, len(p))
		switch {
		case n > 0:
			r.left -= n
		case r.have == 0 && (p[0] < changeCipherSpec || p[0] > applicationData):
			return
		default:
			n = copy(r.header[r.have:], p)
			if r.have += n; r.have == len(r.header) {
				r.have, r.left = 0, int(r.header[3])<<8|int(r.header[4])
			}
		}
		p = p[n:]
	}
}

// The first and the last type of record.
const changeCipherSpec, applicationData = 20, 23
