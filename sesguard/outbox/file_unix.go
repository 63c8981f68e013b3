//go:build unix

package outbox

import (
	"fmt"
	"os"
	"syscall"
)

// fileNumber returns the file's inode, which a move keeps and a copy does not.
// The device's number may change with each boot.
func fileNumber(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return "" // in memory
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprint(stat.Ino)
}
