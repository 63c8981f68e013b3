package doctor

import (
	"net"
	"syscall"
)

// pathMTU asks the kernel for the MTU on the way to the other end (ip(7), IP_MTU).
func pathMTU(c net.Conn) (size int) {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if size, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_MTU); err != nil {
			size, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_MTU)
		}
	})
	return max(size, 0)
}
