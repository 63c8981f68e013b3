//go:build !linux

package doctor

import "net"

// pathMTU knows nothing: only Linux tells a socket's.
func pathMTU(net.Conn) int { return 0 }
