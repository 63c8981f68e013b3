//go:build !unix

package conn

import "syscall"

const canPeek = false

func pending(syscall.RawConn) bool { return false }
