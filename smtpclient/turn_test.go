//go:build unix

package smtpclient

import (
	"bufio"
	"io"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// What a server says, or that it closes, between an answer and the next command
// may be the last that the line reports: it is found when the wait ends, at the
// latest.
func TestWhatComesBetweenTwoCommandsIsNotMissed(t *testing.T) {
	for _, row := range []struct {
		name, said string
		code       int
		reason     seserrors.Reason
		closed     closing
	}{
		{"421", "421 closing\r\n", 421, "", closedByServer},
		{"450", "450 later\r\n", 450, "", 0},
		{"garbage", "???\r\n", 0, seserrors.ProtocolError, closedFailed},
		{"the end", "", 0, seserrors.Network, closedFailed},
	} {
		t.Run(row.name, func(t *testing.T) {
			w, server := wires(t)
			s := &session{wire: w, r: bufio.NewReader(&ear{w, w}), w: bufio.NewWriter(w), used: true, commandTimeout: time.Millisecond}
			w.reported(func() {
				if io.WriteString(server, row.said); row.said == "" {
					server.CloseWrite()
				}
			})
			s.putRcpt(someone)
			f := s.expect(t.Context(), "smtp RCPT", 2)
			if f == nil || f.err.Code != row.code || (row.reason != "" && f.err.Reason != row.reason) || s.broken != row.closed {
				t.Errorf("%+v, closed because of %v", f, s.broken)
			}
		})
	}
}

// reported waits until the system has reported, once and for all, what say says.
func (w *wire) reported(say func()) {
	said := false
	w.raw.Read(func(fd uintptr) bool {
		if !said {
			said = true
			say()
			return false
		}
		w.peek(fd)
		return w.saw
	})
}
