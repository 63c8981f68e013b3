package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A child is this program started again: SES or a process that runs an outbox.
// Its CPU time and its memory are its own alone. It ends with its input.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// roles are what a child can be. Each gets its job and says things with tell.
var roles = map[string]func(ctx context.Context, job json.RawMessage, tell func(any) error) error{
	"ses":   beSES,
	"drain": drain,
	"idle":  idle,
	"rate":  spend,
	"run":   runOnly,
}

func start(role string, job any) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, "outbox", "-be", role, "-job", string(text))}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	return c, c.cmd.Start()
}

// hear waits for what the child says next.
func (c *child) hear(what any) error {
	if err := c.out.Decode(what); err != nil {
		return fmt.Errorf("the child %q: %w", c.cmd.Args[3], err)
	}
	return nil
}

func (c *child) stop() {
	c.in.Close()
	c.cmd.Wait()
}

// be is the child's main.
func be(ctx context.Context, role, job string) error {
	f, ok := roles[role]
	if !ok {
		return fmt.Errorf("there is no role %q", role)
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return f(ctx, json.RawMessage(job), json.NewEncoder(os.Stdout).Encode)
}

// cpuTime is that of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakMemory is the most that this process has had in memory, in MB, with what
// lies outside of Go's heap; 0 where the system does not tell.
func peakMemory() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kB, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kB / 1024
}
