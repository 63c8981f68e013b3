// Command compare measures sesguard beside other ways to send mail, on this
// machine, against a sink in a process of its own. Contenders take turns round
// by round, so the ratios hold on a busy machine too; the absolute figures do
// not.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// A bench is one run of this program.
type bench struct {
	sink   *sink
	table  *table
	rounds int
	each   time.Duration
	rtt    time.Duration
}

// cases in the order in which they run.
var cases = []struct {
	name string
	run  func(*bench) error
}{
	{"raw", rawSMTP},
	{"compose", composeSMTP},
	{"rtt", roundTrips},
	{"scale", scale},
	{"memory", smtpMemory},
	{"parse", parsing},
	{"api", apiSteady},
	{"burst", apiBursts},
	{"apimemory", apiMemory},
}

func names() []string {
	var list []string
	for _, c := range cases {
		list = append(list, c.name)
	}
	return list
}

func main() {
	child := flag.Bool("sink", false, "be the sink (used by the program itself)")
	rtt := flag.Duration("rtt", 20*time.Millisecond, "round trip time of the delayed ports")
	only := flag.String("cases", strings.Join(names(), ","), "which cases to run")
	rounds := flag.Int("rounds", 7, "rounds that count; one more warms up")
	each := flag.Duration("each", 200*time.Millisecond, "time of one contender in one round")
	profile := flag.String("cpuprofile", "", "write a CPU profile of this process, all contenders together, to this file")
	flag.Parse()
	var err error
	if *profile != "" && !*child {
		stop, err := startProfile(*profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, "compare:", err)
			os.Exit(1)
		}
		defer stop()
	}
	if *child {
		err = runSink(*rtt)
	} else {
		err = run(strings.Split(*only, ","), *rounds, *each, *rtt)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func startProfile(name string) (stop func(), err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

func run(only []string, rounds int, each, rtt time.Duration) error {
	for _, name := range only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("no case %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	s, err := startSink(rtt)
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Printf("%s, %s/%s, %d CPUs, load %s, %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load(), time.Now().Format(time.DateOnly))
	b := &bench{sink: s, table: newTable(os.Stdout), rounds: rounds, each: each, rtt: rtt}
	for _, c := range cases {
		if slices.Contains(only, c.name) {
			if err := c.run(b); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	fmt.Printf("%d met, %d missed; load %s\n", b.table.met, b.table.missed, load())
	return nil
}

// load is the load average of the last minute, where there is one to read.
func load() string {
	p, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(p), " ")
	return first
}
