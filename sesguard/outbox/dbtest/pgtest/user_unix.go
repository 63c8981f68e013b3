//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// PostgreSQL refuses to be root. Where the tests are, it runs as the user
// postgres, which its package makes.

// own gives a folder to the server's user.
func own(dir string) error {
	u, err := servant()
	if u == nil || err != nil {
		return err
	}
	return os.Chown(dir, int(u.Uid), int(u.Gid))
}

// unprivileged makes cmd run as the server's user.
func unprivileged(cmd *exec.Cmd) error {
	u, err := servant()
	if u != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: u}
	}
	return err
}

// servant is the server's user; nil: that of this process.
func servant() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("pgtest: PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
