package sesguard

import "net"

// OnAPIConn is conn as HTTPClient would have dialled it.
func OnAPIConn(conn net.Conn) net.Conn { return newAPIConn(conn) }
