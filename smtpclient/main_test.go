package smtpclient

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain looks for goroutines of this package that are left when all tests
// have ended. Tests in bubbles are checked by the bubble as well.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Println("goroutines are left:\n" + left)
			code = 1
		}
	}
	os.Exit(code)
}

// inBubble reports whether the clock is a bubble's, which begins in 2000.
func inBubble() bool { return time.Now().Year() < 2020 }

// checkLeaks fails a test, in no bubble, that leaves goroutines of this package
// or has more sockets than before.
func checkLeaks(tb testing.TB, before int) {
	tb.Helper()
	if left := leaked(); left != "" {
		tb.Errorf("goroutines are left:\n%s", left)
	}
	if n := sockets(); n > before {
		tb.Errorf("%d sockets are left", n-before)
	}
}

// leaked gives goroutines that are about to end some time to do so. Those that
// run tests are no leaks.
func leaked() (stacks string) {
	for range 100 {
		stacks = ""
		buf := make([]byte, 4<<20)
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "sesguard-go/smtpclient") && !runsTests(g) {
				stacks += g + "\n\n"
			}
		}
		if stacks == "" {
			return ""
		}
		time.Sleep(20 * time.Millisecond)
	}
	return stacks
}

func runsTests(stack string) bool {
	for _, f := range []string{"smtpclient.TestMain(", "testing.tRunner(", "testing.(*B).runN("} {
		if strings.Contains(stack, f) {
			return true
		}
	}
	return false
}

// sockets counts those of this process, where the system tells.
func sockets() (n int) {
	files, _ := os.ReadDir("/proc/self/fd")
	for _, f := range files {
		if to, _ := os.Readlink("/proc/self/fd/" + f.Name()); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
