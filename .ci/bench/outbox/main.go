// Package outbox measures sesguard's outbox on SQLite and on a PostgreSQL server
// that it starts itself, against a fake SES in a process of its own.
//
//	go -C .ci/bench run . outbox
//
// A process that runs an outbox is a child too, so that CPU and memory are its
// own alone.
package outbox

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
)

// A bench is one run of this program on one database.
type bench struct {
	settings
	db     *databases
	ses    address
	sesPID int
	table  *table.Table
}

type settings struct {
	rounds, mails, waiting int
	each                   time.Duration
	profile                string
}

// cases in the order in which they run.
var cases = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{"drain", draining},
	{"idle", idling},
	{"rate", sharing},
	{"order", waiting},
	{"scale", scaling},
}

func names() (list []string) {
	for _, c := range cases {
		list = append(list, c.name)
	}
	return list
}

// Main runs the sub-command and returns its exit code: 0 also where a target was
// missed, which the table says.
func Main(ctx context.Context, args []string) int {
	var set settings
	flags := flag.NewFlagSet("outbox", flag.ContinueOnError)
	role := flags.String("be", "", "be a child (used by the program itself)")
	text := flags.String("job", "", "of the child")
	only := flags.String("cases", strings.Join(names(), ","), "which cases to run")
	kinds := flags.String("databases", "sqlite,postgres", "on which databases")
	flags.IntVar(&set.rounds, "rounds", 3, "runs of each drain; the fastest counts, the others were disturbed more")
	flags.IntVar(&set.mails, "mails", 20_000, "of each drain")
	flags.IntVar(&set.waiting, "waiting", 1_000_000, "mails that wait while claims are measured")
	flags.DurationVar(&set.each, "each", 20*time.Second, "how long an idle process is measured; a rate, half as long")
	flags.StringVar(&set.profile, "cpuprofile", "", "write a CPU profile of the last drain's process to this file")
	if flags.Parse(args) != nil {
		return 2
	}
	err := error(nil)
	if *role != "" {
		err = be(ctx, *role, *text)
	} else {
		err = run(ctx, set, strings.Split(*only, ","), strings.Split(*kinds, ","))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "outbox:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, set settings, only, kinds []string) error {
	for _, name := range only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("no case %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	dir, err := os.MkdirTemp("", "bench-outbox-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ses, err := start("ses", nil)
	if err != nil {
		return err
	}
	defer ses.stop()
	b := &bench{settings: set, sesPID: ses.cmd.Process.Pid}
	if err := ses.hear(&b.ses); err != nil {
		return err
	}
	fmt.Printf("%s, %s/%s, %d CPUs, load %s, %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load(), time.Now().Format(time.DateOnly))
	b.table = table.New(os.Stdout, table.Line{What: "case", Against: "database"})
	all, stop, err := openAll(kinds, dir)
	if err != nil {
		return err
	}
	defer stop()
	for _, c := range cases {
		if !slices.Contains(only, c.name) {
			continue
		}
		for _, b.db = range all {
			if err := c.run(ctx, b); err != nil {
				return fmt.Errorf("%s on %s: %w", c.name, b.db, err)
			}
		}
	}
	fmt.Printf("%d met, %d missed; load %s\n", b.table.Met, b.table.Missed, load())
	return nil
}

// measure runs a child to its end.
func (b *bench) measure(role string, j job) (m measurement, err error) {
	j.SES, j.Profile = b.ses, b.profile
	c, err := start(role, j)
	if err != nil {
		return m, err
	}
	defer c.stop()
	return m, c.hear(&m)
}

func (b *bench) add(what, reached string, results ...table.Result) {
	b.table.Add(table.Row(what, b.db.String(), reached, "", results))
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
