//go:build !unix

package smtpclient

const canPeek = false

func peek(uintptr) bool { return false }
