package soak

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"
)

// A balance is what a run comes to.
type balance struct {
	took                             time.Duration
	sent, accepted, refused, inDoubt int // what Send said
	mailbox, doubtTaken              int // what SES has
	lost, doubled, misreported       int
	changed, strays                  int
	goroutines, sockets              int // left behind
	heap                             int64
	attempts                         int
	redials                          int64
	reasons                          map[string]int // of attempts that failed
}

// The fake itself remembers every mail for a day, for the account's quota.
const (
	heapFree    = 16 << 20
	heapPerMail = 64
)

// wrong lists what must not be.
func (b balance) wrong() (list []string) {
	for _, w := range []struct {
		n    int
		what string
	}{
		{b.lost, "lost: Send returned nil, and SES does not have it"},
		{b.doubled, "doubled: SES has it more than once"},
		{b.misreported, "misreported: Send said that SES does not have it, and SES has it"},
		{b.changed, "changed: SES has something else than was sent"},
		{b.strays, "strays: in SES, and nobody knows of them"},
		{b.goroutines, "goroutines left"},
		{b.sockets, "sockets left open"},
	} {
		if w.n > 0 {
			list = append(list, fmt.Sprintf("%d %s", w.n, w.what))
		}
	}
	if b.heap > heapFree+heapPerMail*int64(b.mailbox) {
		list = append(list, fmt.Sprintf("heap growth of %s", megabytes(b.heap)))
	}
	return list
}

func (b balance) print(out io.Writer) {
	fmt.Fprintf(out, "\nsent         %8d   in %v, %.3g a second\n", b.sent, b.took.Round(time.Second), float64(b.sent)/b.took.Seconds())
	fmt.Fprintf(out, "  accepted   %8d   Send returned nil\n", b.accepted)
	fmt.Fprintf(out, "  refused    %8d   Send said that SES does not have it\n", b.refused)
	fmt.Fprintf(out, "  in doubt   %8d   Send said that SES may have it; it has %d of them\n", b.inDoubt, b.doubtTaken)
	fmt.Fprintf(out, "in SES       %8d\n\n", b.mailbox)
	fmt.Fprintf(out, "lost %d, doubled %d, misreported %d, changed %d, strays %d\n", b.lost, b.doubled, b.misreported, b.changed, b.strays)
	fmt.Fprintf(out, "goroutines left %d, sockets left open %d, heap growth %s\n\n", b.goroutines, b.sockets, megabytes(b.heap))
	fmt.Fprintf(out, "%d attempts, %d moved to another connection without a word, and these failed:\n", b.attempts, b.redials)
	for _, reason := range slices.SortedFunc(maps.Keys(b.reasons), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.reasons[y], b.reasons[x]), cmp.Compare(x, y))
	}) {
		fmt.Fprintf(out, "  %8d   %s\n", b.reasons[reason], reason)
	}
	wrong := b.wrong()
	for _, text := range wrong {
		fmt.Fprintln(out, "WRONG:", text)
	}
	if wrong == nil {
		fmt.Fprintln(out, "\nThe balance is clean.")
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%+.1f MB", float64(n)/(1<<20)) }

// line is one line of progress.
func (l *ledger) line(now, length time.Duration, sockets int) string {
	b := l.balance()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return fmt.Sprintf("%v of %v  sent %d  refused %d  in doubt %d  wrong %d  sockets %d  heap %d MB",
		now.Round(time.Second), length, b.sent, b.refused, b.inDoubt,
		b.lost+b.doubled+b.misreported+b.changed+b.strays, sockets, m.HeapAlloc>>20)
}
