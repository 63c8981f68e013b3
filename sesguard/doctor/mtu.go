package doctor

import (
	"context"
	"fmt"
	"net"
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
	large := r.largeMTU()
	if len(r.usable) == 0 {
		f.Detail = "no port is usable"
		if large != "" {
			f.Detail += "; " + large
		}
		r.found(start, f)
		return
	}
	port := r.usable[0]
	if slices.Contains(r.usable, r.port) {
		port = r.port
	}
	short, long := r.noops(ctx, port)
	switch {
	case ctx.Err() != nil:
		return
	case short != nil:
		f.Detail = "the server did not answer a short NOOP"
	case long == nil:
		f.Status, f.Detail = OK, "packets of full size get through"
		if large != "" {
			f.Detail += "; " + large
		}
	case isTimeout(long):
		f.Status, f.Reason = Fail, seserrors.Network
		f.Detail = "short commands are answered, 4,000 octets are not: large packets get lost on the way"
		if large != "" {
			f.Detail += "; " + large
		}
		f.Advice = "Set the MTU of this machine's network interface to 1500, or let ICMP \"fragmentation needed\" through."
	default:
		f.Detail = "the server closed the connection at a long command"
	}
	r.found(start, f)
}

// noops returns how a short and a long NOOP ended.
func (r *run) noops(ctx context.Context, port int) (short, long error) {
	s, fail := r.open(ctx, port)
	if fail != nil {
		return fail, nil
	}
	defer s.close()
	if _, _, err := s.command("NOOP"); err != nil {
		return err, nil
	}
	_, _, err := s.command("NOOP %s", strings.Repeat("x", 4000))
	return nil, err
}

// largeMTU names the interfaces that send packets larger than 1,500 octets.
func (r *run) largeMTU() string {
	all, err := r.interfaces()
	if err != nil {
		return ""
	}
	var names []string
	for _, i := range all {
		if i.MTU > 1500 && i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 {
			names = append(names, fmt.Sprintf("%s has an MTU of %d", i.Name, i.MTU))
		}
	}
	return strings.Join(names, ", ")
}
