package load

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// report prints what the run came to, when it is over.
func (l *load) report(out io.Writer) {
	m := l.meter
	rate := float64(m.accepted) / l.took.Seconds()
	fmt.Fprintf(out, "\naccepted     %d of %d in %v: %.1f messages/s, %.2f MB/s\n",
		m.accepted, m.sent(), short(l.took), rate, rate*float64(l.size)/(1<<20))
	fmt.Fprintf(out, "refused      %d\nin doubt     %d\n", m.refused, m.inDoubt)
	fmt.Fprintf(out, "attempts     %d, %d of them retries, %d throttled\n", m.attempts, m.retries, m.throttled)
	fmt.Fprintf(out, "connections  %s\n\n", l.connections())

	fmt.Fprintf(out, latencies+"\n", "LATENCY", "p50", "p90", "p99", "max")
	row(out, "send", m.sends, "waits and limiter included")
	row(out, "attempt", m.tries, "one exchange with SES")
	for i, f := range slices.SortedFunc(maps.Keys(m.failures), func(a, b failure) int {
		return cmp.Or(cmp.Compare(m.failures[b], m.failures[a]), cmp.Compare(a.reason, b.reason))
	}) {
		if i == 0 {
			fmt.Fprintln(out, "\nFAILED ATTEMPTS")
		}
		fmt.Fprintf(out, "%8d  %-14s %s\n", m.failures[f], f.class, f.reason)
	}
}

func (l *load) connections() string {
	text := fmt.Sprintf("%d dialled", l.target.dials.Load())
	if l.pool == nil {
		return text
	}
	s := l.pool.Stats()
	return text + fmt.Sprintf(", %d recycled, %d cut by the server, %d mails moved to another without a word",
		s.Closed.Messages+s.Closed.Lifetime+s.Closed.Idle, s.Closed.Server+s.Closed.Stale, s.Redials)
}

const latencies = "%-12s %9v %9v %9v %9v"

func row(out io.Writer, name string, took []time.Duration, note string) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	fmt.Fprintf(out, latencies+"  %s\n", name, short(percentile(took, 50)), short(percentile(took, 90)), short(percentile(took, 99)), short(took[len(took)-1]), note)
}

// percentile is the smallest value that p of 100 do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)*p+99)/100-1]
}

// short keeps what matters of d.
func short(d time.Duration) time.Duration {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond)
	case d < time.Second:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// line is one line of progress, with a bar where it is shown in place.
func (l *load) line(bar bool) string {
	m, now := l.meter, time.Since(l.begin)
	m.mu.Lock()
	text := fmt.Sprintf("%3.0f %%  %d sent  %.0f/s  retries %d  failed %d",
		100*l.done(now), m.sent(), float64(m.sent())/now.Seconds(), m.retries, m.refused+m.inDoubt)
	m.mu.Unlock()
	if !bar {
		return text
	}
	const width = 24
	full := int(width * l.done(now))
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "] " + text
}

// done is how much of the run is over, from 0 to 1.
func (l *load) done(now time.Duration) float64 {
	var done float64
	if l.messages > 0 {
		done = float64(l.meter.sent()) / float64(l.messages)
	}
	if l.length > 0 {
		done = max(done, now.Seconds()/l.length.Seconds())
	}
	return min(done, 1)
}
