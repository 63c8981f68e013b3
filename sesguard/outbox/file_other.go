//go:build !unix

package outbox

func fileNumber(string) string { return "" }
