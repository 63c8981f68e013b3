package compare

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A contender is one way to do the work of a row.
type contender struct {
	name string
	// open connects and returns what sends one message for a worker.
	open func(workers int) (send func(worker int) error, close func(), err error)
}

// A sample is what one contender did in one round.
type sample struct {
	n       int64
	elapsed time.Duration
	cpu     time.Duration // of this process: user and system
	allocs  uint64
	bytes   uint64
	took    []time.Duration // of each message, sorted
}

func (s sample) rate() float64       { return float64(s.n) / s.elapsed.Seconds() }
func (s sample) cpuEach() float64    { return float64(s.cpu) / float64(s.n) }
func (s sample) allocsEach() float64 { return float64(s.allocs) / float64(s.n) }
func (s sample) bytesEach() float64  { return float64(s.bytes) / float64(s.n) }
func (s sample) p(q float64) float64 { return float64(s.took[int(q*float64(len(s.took)-1))]) }

func (s sample) String() string { return fmt.Sprintf("%.0f/s", s.rate()) }

// A running contender keeps its connections from round to round.
type running struct {
	contender
	workers int
	send    func(int) error
	samples []sample
}

// compare runs the contenders in turn, round by round, so that what else the
// machine does hits all of them alike. The first round warms up and does not
// count.
func compare(workers, rounds int, each time.Duration, list ...contender) ([]*running, error) {
	var all []*running
	for _, c := range list {
		send, closer, err := c.open(workers)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		defer closer()
		all = append(all, &running{contender: c, workers: workers, send: send})
	}
	for round := range rounds + 1 {
		for i := range all {
			r := all[(i+round)%len(all)] // nobody is always first
			s, err := r.run(each)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			if round > 0 {
				r.samples = append(r.samples, s)
			}
		}
	}
	return all, nil
}

// run sends with all workers until the time is over, at least once each.
func (r *running) run(each time.Duration) (sample, error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	took, err := r.sendAll(start.Add(each))
	s := sample{elapsed: time.Since(start), cpu: cpuTime() - cpu}
	runtime.ReadMemStats(&after)
	s.allocs, s.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	s.took = slices.Concat(took...)
	slices.Sort(s.took)
	s.n = int64(len(s.took))
	return s, err
}

func (r *running) sendAll(end time.Time) ([][]time.Duration, error) {
	took := make([][]time.Duration, r.workers)
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for w := range r.workers {
		list := make([]time.Duration, 0, 1<<15)
		wg.Go(func() {
			begin := time.Now()
			for failed.Load() == nil {
				if err := r.send(w); err != nil {
					failed.Store(&err)
				}
				now := time.Now()
				list = append(list, now.Sub(begin))
				if begin = now; now.After(end) {
					break
				}
			}
			took[w] = list
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return took, nil
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// median of f over the samples.
func (r *running) median(f func(sample) float64) float64 {
	var list []float64
	for _, s := range r.samples {
		list = append(list, f(s))
	}
	return middle(list)
}

// ratio is the median over the rounds of ours to theirs, each within one round.
func ratio(ours, theirs *running, f func(sample) float64) float64 {
	var list []float64
	for i := range ours.samples {
		list = append(list, f(ours.samples[i])/f(theirs.samples[i]))
	}
	return middle(list)
}

func middle[T cmp.Ordered](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}
