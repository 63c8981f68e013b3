package outbox

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
)

// A child is this test started again.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[2] == "-be" {
		os.Exit(Main(context.Background(), os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestEveryCaseRuns(t *testing.T) {
	ses, err := start("ses", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ses.stop()
	var addr address
	if err := ses.hear(&addr); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{
				settings: settings{rounds: 1, mails: 100, waiting: 1000, each: 200 * time.Millisecond}, ses: addr,
				db: &databases{dir: t.TempDir(), sqlite: true}, table: table.New(io.Discard, table.Line{}),
			}
			if err := c.run(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if b.table.Lines == 0 {
				t.Error("the table has no line")
			}
		})
	}
}
