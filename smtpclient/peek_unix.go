//go:build unix

package smtpclient

import "syscall"

const canPeek = true

// peek reports whether fd has something to read: octets, the end, an error. It
// takes nothing and does not wait; the descriptor is in non-blocking mode.
func peek(fd uintptr) bool {
	var buf [1]byte
	_, _, err := syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK)
	return err != syscall.EAGAIN && err != syscall.EINTR
}
