package compare

import (
	"net"
	"syscall"
	"time"
)

// A link delays what the sink writes by one round trip time, below TLS, so
// that handshakes pay it too. It is one goroutine for all connections: the
// delay is the same for all, so what was written first is due first. It waits
// with nanosleep, because Go's own timers may come a millisecond late, which is
// more than what is measured.
type link struct {
	rtt   time.Duration
	queue chan parcel
}

type parcel struct {
	to   net.Conn
	data []byte // nil: close
	due  time.Time
	more bool // once more through the link
}

func newLink(rtt time.Duration) *link {
	l := &link{rtt: rtt, queue: make(chan parcel, 1<<16)}
	go l.run()
	return l
}

func (l *link) run() {
	for p := range l.queue {
		if wait := time.Until(p.due); wait > 0 {
			t := syscall.NsecToTimespec(int64(wait))
			syscall.Nanosleep(&t, nil)
		}
		switch {
		case p.more:
			p.more, p.due = false, p.due.Add(l.rtt)
			l.queue <- p
		case p.data == nil:
			p.to.Close()
		default:
			p.to.Write(p.data)
		}
	}
}

// conn puts c behind the link. Its first write takes two round trips: the
// handshake of TCP, which loopback does at once, is the other.
func (l *link) conn(c net.Conn) net.Conn { return &delayed{Conn: c, link: l, first: true} }

type delayed struct {
	net.Conn
	link  *link
	first bool
}

func (d *delayed) Write(p []byte) (int, error) {
	d.send(append([]byte(nil), p...))
	return len(p), nil
}

func (d *delayed) Close() error {
	d.send(nil)
	return nil
}

func (d *delayed) send(data []byte) {
	d.link.queue <- parcel{d.Conn, data, time.Now().Add(d.link.rtt), d.first}
	d.first = false
}
