// Package progress shows how far a long run is.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A Line shows a line that changes: in place on a terminal, else again every so
// often.
type Line struct {
	Out      io.Writer
	Terminal bool
	Every    time.Duration // between two lines where it is not a terminal
}

// Until shows line, and shows it a last time when done is closed.
func (l *Line) Until(done <-chan struct{}, line func() string) {
	every, format := l.Every, "%s\n"
	if l.Terminal {
		every, format = time.Second/4, "\r%s\x1b[K"
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(l.Out, format, line())
		case <-done:
			fmt.Fprintf(l.Out, strings.TrimSuffix(format, "\n")+"\n", line())
			return
		}
	}
}

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
