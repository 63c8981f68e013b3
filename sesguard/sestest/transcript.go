package sestest

import (
	"fmt"
	"strings"
	"sync"
)

// maxCommands is how many SMTP commands the server remembers.
const maxCommands = 10000

// A commandLog remembers the last commands of all connections.
type commandLog struct {
	mu    sync.Mutex
	lines []string
}

// add notes a command without what could be a credential.
func (l *commandLog) add(conn int, verb, arg string) {
	if verb == "AUTH" {
		mechanism, _, more := strings.Cut(arg, " ")
		if arg = mechanism; more {
			arg += " ***"
		}
	}
	line := strings.TrimRight(fmt.Sprintf("%d %s %s", conn, verb, arg), " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == maxCommands {
		l.lines = append(l.lines[:0], l.lines[maxCommands/2:]...)
	}
	l.lines = append(l.lines, line)
}

// Commands returns the SMTP commands that arrived, oldest first, each as the
// number of its connection and the command: "1 MAIL FROM:<a@example.com>". A
// line that is no command is "1". Credentials are replaced by ***; messages
// are not included. At least the last 5,000 commands are there.
func (s *Server) Commands() []string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return append([]string(nil), s.log.lines...)
}
