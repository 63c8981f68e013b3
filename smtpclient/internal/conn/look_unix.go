//go:build unix

package conn

import "syscall"

const canPeek = true

// pending looks whether there is something to read: octets, the end, an error.
// It takes nothing and does not wait: descriptors of sockets do not block.
func pending(sys syscall.RawConn) (found bool) {
	err := sys.Control(func(fd uintptr) {
		var one [1]byte
		err := error(syscall.EINTR)
		for err == syscall.EINTR {
			_, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		}
		found = err != syscall.EAGAIN
	})
	return found || err != nil
}
