//go:build unix

package smtpclient

import (
	"io"
	"syscall"
)

const canPeek = true

// peek looks whether fd has something to read: octets, the end, an error. It
// takes nothing and does not wait; the descriptor is in non-blocking mode.
func (w *wire) peek(fd uintptr) bool {
	var buf [1]byte
	err := error(syscall.EINTR)
	for err == syscall.EINTR {
		_, _, err = syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK)
	}
	w.saw = err != syscall.EAGAIN
	return true
}

// talk looks, sends the request, and reads the answer once there is one. It is
// called anew whenever fd becomes readable, until it returns true. Whatever
// arrives after its first call has begun is reported, so the answer cannot be
// missed. What was there before is not reported any more: without a look it is
// found when a deadline strikes.
func (w *wire) talk(fd uintptr) (done bool) {
	c := &w.conversation
	if !c.sent {
		if w.look && w.peek(fd) && w.saw {
			return true
		}
		c.sent = true
		p := w.release()
		n, err := again(syscall.Write, fd, p)
		if n < len(p) {
			c.rest = p[max(n, 0):]
			if err != nil && err != syscall.EAGAIN {
				c.err = w.opError("write", err)
			}
			return true
		}
		return false
	}
	n, err := again(syscall.Read, fd, c.in)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		c.err = w.opError("read", err)
	case n == 0:
		c.err = io.EOF
	default:
		c.n = n
	}
	return true
}

// again repeats a call that a signal has interrupted.
func again(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(int(fd), p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
