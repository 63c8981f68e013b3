package compare

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
)

// The sink is this test started again.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[2] == "-sink" {
		os.Exit(Main(context.Background(), os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestEveryCaseRuns(t *testing.T) {
	const rtt = time.Millisecond
	s, err := startSink(rtt)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{sink: s, table: table.New(io.Discard, heading), rounds: 1, each: time.Millisecond, rtt: rtt}
			if err := c.run(b); err != nil {
				t.Fatal(err)
			}
			if b.table.Lines == 0 {
				t.Error("the table has no line")
			}
		})
	}
}

func TestARatioIsTakenWithinARound(t *testing.T) {
	of := func(list ...int64) *running {
		r := new(running)
		for _, n := range list {
			r.samples = append(r.samples, sample{n: n, elapsed: time.Second})
		}
		return r
	}
	// The machine was slow in the first round and fast in the last.
	if got := ratio(of(20, 200, 2000), of(10, 100, 1000), sample.rate); got != 2 {
		t.Errorf("ratio %v, want 2", got)
	}
}

func TestATargetIsMetOrMissed(t *testing.T) {
	for _, tt := range []struct {
		r    table.Result
		want string
	}{
		{table.AtLeast("rate", 1.1, 1.1), "rate 1.10 (≥ 1.1) met"},
		{table.AtLeast("rate", 1.09, 1.1), "rate 1.09 (≥ 1.1) MISSED"},
		{table.AtMost("CPU", 0.9, 0.9), "CPU 0.90 (≤ 0.9) met"},
		{table.AtMost("CPU", 0.91, 0.9), "CPU 0.91 (≤ 0.9) MISSED"},
		{table.Result{Name: "CPU", Value: 2, Format: "%.2f"}, "CPU 2.00"},
	} {
		if got := tt.r.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
