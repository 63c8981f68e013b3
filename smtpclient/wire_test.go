//go:build unix

package smtpclient

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// wires returns both ends of a TCP connection, the first as a wire that has sent
// and received before.
func wires(t *testing.T) (*wire, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	w := newWire(client)
	if !w.socket {
		t.Fatal("a TCP connection is not known as a socket")
	}
	w.budget = -1
	w.arm(time.Minute)
	w.converseOnce(t, server, "hello", "hi")
	return w, server.(*net.TCPConn)
}

// converseOnce sends a request and gets the answer.
func (w *wire) converseOnce(t *testing.T, server net.Conn, ask, answer string) {
	t.Helper()
	w.hold(true, false)
	io.WriteString(w, ask)
	go func() {
		io.ReadFull(server, make([]byte, len(ask)))
		io.WriteString(server, answer)
	}()
	w.want(t, answer)
}

// want reads once.
func (w *wire) want(t *testing.T, text string) {
	t.Helper()
	buf := make([]byte, 4096)
	if n, err := w.Read(buf); err != nil || string(buf[:n]) != text {
		t.Fatalf("read %q, %v, want %q", buf[:n], err, text)
	}
}

// arrived waits until something can be read, without reading it.
func (w *wire) arrived() {
	for w.saw = false; !w.saw; runtime.Gosched() {
		w.raw.Read(w.peekFD)
	}
}

func TestARequestIsNotSentWhenTheServerHasSpoken(t *testing.T) {
	w, server := wires(t)
	io.WriteString(server, "250 early")
	w.arrived()
	w.hold(true, false)
	io.WriteString(w, "dot")
	w.want(t, "250 early")
	if !w.unsent() {
		t.Error("the request was sent")
	}
	w.cut()
	if got, _ := io.ReadAll(server); len(got) != 0 {
		t.Errorf("the server got %q", got)
	}
}

func TestARequestIsNotSentBehindHalfAReply(t *testing.T) {
	w, server := wires(t)
	r := bufio.NewReader(&ear{w, w})
	io.WriteString(server, "250-ear")
	w.arrived()
	w.hold(true, false)
	io.WriteString(w, "dot")
	if half, err := r.Peek(7); err != nil || string(half) != "250-ear" {
		t.Fatalf("%q, %v", half, err)
	}
	// The rest of the reply comes later; until then the server is quiet.
	go io.WriteString(server, "ly\r\n")
	if line, err := r.ReadString('\n'); err != nil || line != "250-early\r\n" || !w.unsent() {
		t.Errorf("%q, %v, unsent %v", line, err, w.unsent())
	}
}

func TestARequestIsSentWhenWhatCameMeantNothing(t *testing.T) {
	w, server := wires(t)
	io.WriteString(server, "ticket") // which only TLS gets to see
	w.arrived()
	w.arm(time.Hour)
	w.hold(true, false)
	io.WriteString(w, "dot")
	w.want(t, "ticket")
	if !w.unsent() || time.Until(w.limit) > time.Minute {
		t.Fatalf("unsent %v, limit in %v", w.unsent(), time.Until(w.limit))
	}
	go func() {
		io.ReadFull(server, make([]byte, 3))
		io.WriteString(server, "250 Ok")
	}()
	w.want(t, "250 Ok")
	if w.unsent() || !w.limit.IsZero() || w.patience != time.Hour {
		t.Errorf("unsent %v, limit in %v", w.unsent(), time.Until(w.limit))
	}
}

func TestARequestThatTheSocketDoesNotTakeAtOnceIsSentWhole(t *testing.T) {
	w, server := wires(t)
	request := bytes.Repeat([]byte("RCPT TO:<someone@example.com>\r\n"), 1<<18) // 8 MB, more than the buffers of both ends
	w.hold(true, false)
	w.Write(request)
	got := make(chan []byte, 1)
	go func() {
		p := make([]byte, len(request))
		io.ReadFull(server, p)
		got <- p
		io.WriteString(server, "250 Ok")
	}()
	w.want(t, "250 Ok")
	if !bytes.Equal(<-got, request) {
		t.Error("the server got something else")
	}
	if cap(w.held) > keepHeld {
		t.Errorf("%d octets are kept", cap(w.held))
	}
}

func TestADeadlineBeforeTheLimitGoesUnnoticed(t *testing.T) {
	w, server := wires(t)
	early := func() {
		w.set = time.Now()
		w.SetDeadline(past)
	}
	early()
	w.converseOnce(t, server, "request", "answer") // before it was sent
	w.hold(false, false)
	io.WriteString(w, "request")
	go func() {
		io.ReadFull(server, make([]byte, 7))
		early() // while the answer is waited for
		io.WriteString(server, "answer")
	}()
	w.want(t, "answer")
	early()
	if n, err := w.Write([]byte("body")); n != 4 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
}

// slowLine takes a part of each write before the deadline strikes.
type slowLine struct {
	net.Conn
	got []byte
}

func (s *slowLine) Write(p []byte) (int, error) {
	n := (len(p) + 1) / 2
	s.got = append(s.got, p[:n]...)
	if n < len(p) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

func TestASlowLineThatMovesIsNotCut(t *testing.T) {
	w, _ := wires(t)
	line := &slowLine{Conn: w.Conn}
	w.Conn = line
	w.arm(time.Hour)
	w.limit = time.Now().Add(time.Minute) // 59 minutes have gone by
	body := benchMessage(1 << 10)
	if n, err := w.Write(body); n != len(body) || err != nil || !bytes.Equal(line.got, body) {
		t.Errorf("wrote %d, %v, %q", n, err, line.got)
	}
	if left := time.Until(w.limit); !w.limit.IsZero() && left < 2*time.Minute {
		t.Errorf("the limit is in %v", left)
	}
	w.arm(0)
	if n, err := w.Write(body); n != len(body) || err != nil {
		t.Errorf("without a limit: wrote %d, %v", n, err)
	}
}

// A crowdedLine has no room for four seconds, and then for a whole write: it
// moves, but no write that the deadline ends moves anything.
type crowdedLine struct {
	net.Conn
	end   time.Time
	tries int
}

func (l *crowdedLine) SetDeadline(t time.Time) error {
	l.end = t
	return nil
}

func (l *crowdedLine) Write(p []byte) (int, error) {
	if l.tries++; l.tries%5 != 0 {
		time.Sleep(time.Until(l.end))
		return 0, os.ErrDeadlineExceeded
	}
	return len(p), nil
}

func TestEachWriteOfAPartOfTheMessageHasItsOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{Conn: new(crowdedLine), socket: true}
		w.arm(chunkTimeout)
		w.gather()
		start, record, err := time.Now(), make([]byte, 16<<10), error(nil)
		for n := 0; n < direct && err == nil; n += len(record) {
			_, err = w.Write(record)
		}
		if err = w.ship(err); err != nil {
			t.Errorf("a line that moves was cut after %v: %v", time.Since(start), err)
		}
	})
}

func TestADeadlineIsNeverFarAhead(t *testing.T) {
	w, _ := wires(t)
	for _, limit := range []time.Duration{time.Hour, 0, time.Millisecond} {
		w.arm(limit)
		if ahead := time.Until(w.set); ahead > time.Second || !w.limit.IsZero() && w.set.After(w.limit) {
			t.Errorf("limit %v: the deadline is in %v", limit, ahead)
		}
	}
}

// The clock is not read before there is a reason to.
func TestALongLimitBeginsWithTheFirstDeadline(t *testing.T) {
	w, _ := wires(t)
	for _, row := range []struct {
		patience time.Duration
		known    bool
	}{{longLimit, false}, {longLimit - 1, true}, {0, false}} {
		w.arm(row.patience)
		if known := !w.limit.IsZero(); known != row.known {
			t.Errorf("patience %v: the limit is known: %v", row.patience, known)
		}
	}
	if !w.premature(os.ErrDeadlineExceeded) || !w.limit.IsZero() {
		t.Errorf("without a limit there is one in %v", time.Until(w.limit))
	}
	w.arm(time.Minute)
	if !w.premature(os.ErrDeadlineExceeded) {
		t.Fatal("the first deadline was taken for the limit")
	}
	if left := time.Until(w.limit); left > time.Minute || left < 50*time.Second {
		t.Errorf("the limit is in %v", left)
	}
	w.limit = w.limit.Add(-2 * time.Minute)
	if w.premature(os.ErrDeadlineExceeded) {
		t.Error("the limit was moved on")
	}
}

// A server that always has one more octet when the time is over gets no more
// time for each.
func TestWhatWasMissedGetsOneMomentMore(t *testing.T) {
	w, server := wires(t)
	io.WriteString(server, "2")
	w.arrived()
	w.hold(false, false)
	if !w.missed(os.ErrDeadlineExceeded) || w.missed(os.ErrDeadlineExceeded) {
		t.Error("want one moment more, and no second")
	}
}

func TestTheLimitEndsAWait(t *testing.T) {
	w, server := wires(t)
	w.arm(time.Nanosecond)
	w.hold(false, false)
	io.WriteString(w, "request")
	n, err := w.Read(make([]byte, 10))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d, %v", n, err)
	}
	server.Close()
}

func TestAnInterruptionComesBeforeTheRequest(t *testing.T) {
	socket, server := wires(t)
	client, peer := newPipe()
	defer client.Close()
	for w, server := range map[*wire]net.Conn{socket: server, newWire(client): peer} {
		w.budget = -1
		w.hold(true, false)
		io.WriteString(w, "dot")
		w.interrupt()
		w.arm(time.Second) // sets a deadline, but does not undo it
		if n, err := w.Read(make([]byte, 10)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !w.unsent() {
			t.Errorf("socket %v: %d, %v, unsent %v", w.socket, n, err, w.unsent())
		}
		w.cut()
		if got, _ := io.ReadAll(server); len(got) != 0 {
			t.Errorf("the server got %q", got)
		}
	}
}

// A busLine counts writes, and fails from the one numbered broken.
type busLine struct {
	net.Conn
	got    []byte
	writes int
	broken int
}

func (l *busLine) Write(p []byte) (int, error) {
	if l.writes++; l.writes == l.broken {
		return 0, io.ErrClosedPipe
	}
	l.got = append(l.got, p...)
	return len(p), nil
}

func TestRecordsOfAPartOfTheMessageShareWrites(t *testing.T) {
	const record = 5 + 16<<10 + 17
	body := benchMessage(5 * record)[:5*record]
	for _, row := range []struct {
		broken, writes int
		full           bool
	}{{0, 3, true}, {1, 1, false}, {2, 2, false}, {3, 3, false}} {
		w, _ := wires(t)
		line := &busLine{Conn: w.Conn, broken: row.broken}
		w.Conn = line
		w.gather()
		var err error
		for p := range slices.Chunk(body, record) {
			if _, err = w.Write(p); err != nil {
				break
			}
		}
		if err = w.ship(err); line.writes != row.writes || (err == nil) != row.full || row.full != bytes.Equal(line.got, body) {
			t.Errorf("write %d broken: %d writes, %d octets, %v", row.broken, line.writes, len(line.got), err)
		}
		line.got, line.broken = nil, 0
		w.gather()
		w.Write(body[:record])
		if err := w.ship(io.ErrClosedPipe); err != io.ErrClosedPipe || len(line.got) > 0 {
			t.Errorf("after an error %d octets were written, %v", len(line.got), err)
		}
		w.gather() // what was not written is gone
		if err := w.ship(nil); err != nil || len(line.got) > 0 || w.parcel != nil {
			t.Errorf("write %d broken: then %d octets, %v", row.broken, len(line.got), err)
		}
	}
}

// A frailLine counts writes and breaks at one of them.
type frailLine struct {
	net.Conn
	writes *int
	broken int
}

func (l frailLine) Write(p []byte) (int, error) {
	if *l.writes++; l.broken > 0 && *l.writes >= l.broken {
		return 0, io.ErrClosedPipe
	}
	return l.Conn.Write(p)
}

// Each write that fails is noticed before the next is tried, or the end of the
// message would follow and leave doubt.
func TestOverTLSTheBodyTakesFewWritesAndNoneFailsUnnoticed(t *testing.T) {
	for name, mode := range map[string]TLSMode{"STARTTLS": TLSStartTLS, "TLSWrapper": TLSWrapper} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				msg := benchMessage(300 << 10)
				send := func(broken int) (before, writes int, err error) {
					s := newScript(t)
					s.wrapper = mode == TLSWrapper
					c := s.client(t, s.through(func(conn net.Conn) net.Conn { return frailLine{conn, &writes, broken} }))
					defer c.Close()
					if err := c.Ping(t.Context()); err != nil {
						t.Fatal(err)
					}
					before = writes + 3 // MAIL, RCPT, DATA
					_, err = c.Send(t.Context(), sender, []string{someone}, bytes.NewReader(msg))
					return before, writes, err
				}
				before, all, err := send(0)
				if n := all - before; err != nil || n < 2 || n > 12 {
					t.Fatalf("%d writes for 300 KB: %v", n, err)
				}
				for n := before + 1; n <= all; n++ {
					_, _, err := send(n)
					if err == nil || seserrors.MaybeAccepted(err) != (n == all) {
						t.Errorf("write %d of %d breaks: %v, doubt %v", n, all, err, seserrors.MaybeAccepted(err))
					}
				}
			})
		})
	}
}

func TestAWriteErrorDoesNotEndReading(t *testing.T) {
	w, _ := wires(t)
	w.Conn.(*net.TCPConn).CloseWrite()
	w.hold(false, false)
	io.WriteString(w, "request")
	_, err := w.Read(make([]byte, 10))
	failed, ok := errors.AsType[*writeError](err)
	if !ok || w.unsent() {
		t.Fatalf("%v, unsent %v", err, w.unsent())
	}
	if op, ok := errors.AsType[*net.OpError](failed.err); !ok || op.Op != "write" || op.Addr == nil {
		t.Errorf("%#v", failed.err)
	}
	if e, ok := err.(interface{ Temporary() bool }); !ok || !e.Temporary() {
		t.Error("crypto/tls would not read on")
	}
}

// Half a record may be the beginning of a reply: it must be heard before a
// request is sent. Records that TLS keeps to itself need not.
func TestARequestIsNotSentBehindHalfARecord(t *testing.T) {
	const record = "\x17\x03\x03\x00\x0512345"
	for cut := 1; cut < len(record); cut++ {
		w, server := wires(t)
		io.WriteString(server, record+record[:cut])
		for n := 0; n < len(record)+cut; {
			buf := make([]byte, 64)
			m, err := w.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
		w.hold(true, false)
		io.WriteString(w, "dot")
		go io.WriteString(server, record[cut:])
		if w.want(t, record[cut:]); !w.unsent() {
			t.Fatalf("sent behind %d octets of a record", cut)
		}
		go func() {
			io.ReadFull(server, make([]byte, 3))
			io.WriteString(server, record)
		}()
		if w.want(t, record); w.unsent() {
			t.Errorf("not sent behind a whole record")
		}
	}
}

func TestClearTextHasNoRecords(t *testing.T) {
	var r records
	for _, reply := range []string{"220 sink\r\n", "250-a\r\n250 b\r\n", "", "\x16\x03\x01\x00\x01a"} {
		if r.follow([]byte(reply)); r.inside() {
			t.Errorf("inside a record behind %q", reply)
		}
	}
}
