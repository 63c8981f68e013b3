// Command interop sends mail with sesguard through servers that nobody of this
// project wrote, and counts what they accepted against what Send said. Start it
// by the script run, which installs the servers.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

// An environment says where things are and what runs.
type environment struct {
	work, here, npm, self string // folders, and this program
	cert, key             string // of the servers
	exim, eximLib         string
	long                  int // multiplies the sends
	seed                  uint64
	verbose               bool

	mu      sync.Mutex
	dirs    int
	running map[Server]bool
}

var env = environment{running: make(map[Server]bool)}

// dir makes a folder of its own for one server.
func (e *environment) dir(kind string) string {
	e.mu.Lock()
	e.dirs++
	name := filepath.Join(e.work, fmt.Sprintf("%s-%d", kind, e.dirs))
	e.mu.Unlock()
	check(os.MkdirAll(name, 0o755))
	return name
}

func (e *environment) start(s Server) {
	check(s.Start())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running[s] = true
}

func (e *environment) stop(s Server) {
	e.mu.Lock()
	delete(e.running, s)
	e.mu.Unlock()
	s.Stop(false)
}

func (e *environment) stopAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.running {
		s.Stop(true)
		delete(e.running, s)
	}
}

// check ends a scenario: the harness itself is broken, or the server.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve-go-smtp" {
		if err := serveGoSMTP(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run())
}

func run() int {
	only := flag.String("only", "", "run the scenarios whose \"server scenario\" match this regular expression")
	list := flag.Bool("list", false, "list the scenarios")
	flag.StringVar(&env.work, "work", "", "folder for queues, logs and mailboxes")
	flag.StringVar(&env.here, "here", ".", "folder of this program's source")
	flag.StringVar(&env.npm, "npm", "", "folder with node_modules")
	flag.StringVar(&env.exim, "exim", "exim4", "Exim's program")
	flag.StringVar(&env.eximLib, "exim-lib", "", "folder of Exim's libraries")
	flag.IntVar(&env.long, "long", 1, "multiply the sends of the long scenarios")
	flag.Uint64Var(&env.seed, "seed", uint64(time.Now().UnixNano()%1e6), "of faults and waits")
	flag.BoolVar(&env.verbose, "v", false, "print reasons, and each failure")
	flag.Parse()
	var err error
	env.self, err = os.Executable()
	check(err)
	env.cert, env.key = filepath.Join(env.work, "cert.pem"), filepath.Join(env.work, "key.pem")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		env.stopAll()
		os.Exit(130)
	}()

	pattern := regexp.MustCompile(*only)
	fmt.Printf("seed %d\n", env.seed)
	begin := time.Now()
	var chosen []scenario
	for _, s := range scenarios() {
		name := s.server + " " + s.name
		if !pattern.MatchString(name) {
			continue
		}
		chosen = append(chosen, s)
		if *list {
			fmt.Println(name)
		}
	}
	if *list {
		return 0
	}
	results := make([][]row, len(chosen))
	var beside sync.WaitGroup
	for i, s := range chosen {
		if !s.quiet {
			beside.Wait()
		}
		fmt.Fprintf(os.Stderr, "%4.0f s  %s %s\n", time.Since(begin).Seconds(), s.server, s.name)
		if s.quiet {
			beside.Go(func() { results[i] = s.try() })
			continue
		}
		results[i] = s.try()
	}
	beside.Wait()
	return print(slices.Concat(results...), time.Since(begin))
}

// A scenario is one way to send, to one server.
type scenario struct {
	server, name string
	quiet        bool // mostly waits, so that the next one may run beside it
	run          func() []row
}

// try runs s; what panics is a row too.
func (s scenario) try() (rows []row) {
	begin := time.Now()
	defer func() {
		if p := recover(); p != nil {
			rows = []row{{faults: []string{fmt.Sprint(p)}, broken: 1}}
		}
		for i := range rows {
			r := &rows[i]
			r.server = s.server
			if r.scenario == "" {
				r.scenario = s.name
			}
			if r.took == 0 {
				r.took = time.Since(begin)
			}
			for n, f := range r.faults {
				if n == 10 {
					fmt.Fprintf(os.Stderr, "        … and %d more\n", len(r.faults)-n)
					break
				}
				fmt.Fprintf(os.Stderr, "        FAULT %s %s: %s\n", s.server, r.scenario, f)
			}
		}
	}()
	return s.run()
}

// A row is what came of a scenario.
type row struct {
	server, scenario         string
	sends                    int
	ok, refused, doubt       int // what Send said
	accepted, doubtAccepted  int // what the server says: in all, and of those in doubt
	lost, doubled, misreport int // the three promises, broken
	changed                  int // arrived otherwise than sent
	broken                   int // other expectations of the scenario
	took                     time.Duration
	note                     string
	faults                   []string
}

func (r row) bad() int { return r.lost + r.doubled + r.misreport + r.changed + r.broken }

func print(rows []row, took time.Duration) int {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "server\tscenario\tsends\tok\trefused\tin doubt\t(accepted)\taccepted\tlost\tdoubled\tmisreported\tchanged\tother faults\tseconds\t  note")
	line := func(r row) {
		fmt.Fprintf(out, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t  %s\n", r.server, r.scenario, r.sends, r.ok, r.refused, r.doubt, r.doubtAccepted,
			r.accepted, r.lost, r.doubled, r.misreport, r.changed, r.broken, r.took.Seconds(), r.note)
	}
	var all row
	for _, r := range rows {
		line(r)
		all.sends += r.sends
		all.ok += r.ok
		all.refused += r.refused
		all.doubt += r.doubt
		all.doubtAccepted += r.doubtAccepted
		all.accepted += r.accepted
		all.lost += r.lost
		all.doubled += r.doubled
		all.misreport += r.misreport
		all.changed += r.changed
		all.broken += r.broken
	}
	all.server, all.scenario, all.took = "all", "", took
	line(all)
	out.Flush()
	if all.bad() > 0 {
		return 1
	}
	return 0
}
