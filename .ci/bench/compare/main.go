// Package compare measures sesguard beside other ways to send mail, on this
// machine, against a sink in a process of its own. Contenders take turns round
// by round, so the ratios hold on a busy machine too; the absolute figures do
// not.
package compare

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
)

// A bench is one run of this program.
type bench struct {
	sink   *sink
	table  *table.Table
	rounds int
	each   time.Duration
	rtt    time.Duration
}

var heading = table.Line{What: "case", Against: "against", Ours: "sesguard", Theirs: "the other"}

// cases in the order in which they run.
var cases = []struct {
	name string
	run  func(*bench) error
}{
	{"rtt", roundTrips},
	{"raw", rawSMTP},
	{"compose", composeSMTP},
	{"waiters", waiters},
	{"guard", guardAlone},
	{"build", building},
	{"limiter", canceledWaiters},
	{"api", apiSteady},
	{"burst", apiBursts},
	{"apilarge", apiLarge},
	{"memory", smtpMemory},
}

func names() []string {
	var list []string
	for _, c := range cases {
		list = append(list, c.name)
	}
	return list
}

// Main runs the sub-command and returns its exit code: 0 also where a target was
// missed, which the table says.
func Main(_ context.Context, args []string) int {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	child := flags.Bool("sink", false, "be the sink (used by the program itself)")
	rtt := flags.Duration("rtt", 20*time.Millisecond, "round trip time of the delayed ports")
	only := flags.String("cases", strings.Join(names(), ","), "which cases to run")
	rounds := flags.Int("rounds", 7, "rounds that count; one more warms up")
	each := flags.Duration("each", 200*time.Millisecond, "time of one contender in one round")
	profile := flags.String("cpuprofile", "", "write a CPU profile of this process, all contenders together, to this file")
	if flags.Parse(args) != nil {
		return 2
	}
	err := start(*child, *profile, strings.Split(*only, ","), *rounds, *each, *rtt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		return 1
	}
	return 0
}

func start(child bool, profile string, only []string, rounds int, each, rtt time.Duration) error {
	if child {
		return runSink(rtt)
	}
	if profile != "" {
		stop, err := startProfile(profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	return run(only, rounds, each, rtt)
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
	b := &bench{sink: s, table: table.New(os.Stdout, heading), rounds: rounds, each: each, rtt: rtt}
	for _, c := range cases {
		if slices.Contains(only, c.name) {
			if err := c.run(b); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	fmt.Printf("%d met, %d missed; load %s\n", b.table.Met, b.table.Missed, load())
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
