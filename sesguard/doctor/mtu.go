package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// mtu finds out whether large packets get through: a short NOOP is answered, and
// one with 4,000 octets of argument should draw some reply too.
func (r *run) mtu(ctx context.Context) {
	start := time.Now()
	f := Finding{Check: checkMTU, Subject: r.host}
	size, short, long := r.noops(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case short != nil:
		f.Detail = "the server did not answer a short NOOP"
	case long == nil:
		f.Status, f.Detail = OK, "packets of full size get through"
	case isTimeout(long):
		f.fail(seserrors.Network, "short commands are answered, 4,000 octets are not: large packets get lost on the way",
			"Set the MTU of this machine's network interface to 1500, or let ICMP \"fragmentation needed\" through.")
	default:
		f.Detail = "the server closed the connection at a long command"
	}
	if size > 0 {
		f.Detail += fmt.Sprintf("; this machine sends up to %d octets in one", size)
	}
	r.found(start, f)
}

// noops returns how a short and a long NOOP ended, and the MTU on the way there,
// as far as this machine knows it; 0 if it does not.
func (r *run) noops(ctx context.Context) (size int, short, long error) {
	s, fail := r.open(ctx, r.usablePort())
	if fail != nil {
		return 0, fail, nil
	}
	defer s.close()
	size = pathMTU(s.tcp)
	if _, _, err := s.command("NOOP"); err != nil {
		return size, err, nil
	}
	_, _, err := s.command("NOOP %s", strings.Repeat("x", 4000))
	return size, nil, err
}

// usablePort returns the configured port if TLS works there, else one where it does.
func (r *run) usablePort() int {
	if slices.Contains(r.usable, r.port) {
		return r.port
	}
	return r.usable[0]
}
