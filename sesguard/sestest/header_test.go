package sestest

import (
	"runtime"
	"strings"
	"testing"
)

// A header with a field on 100,000 lines must not keep the server busy.
func TestUnfoldingAllocatesInProportionToTheHeader(t *testing.T) {
	allocated := func(lines int) uint64 {
		data := []byte("X: " + strings.Repeat("a\r\n ", lines))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		parseHeader(data)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := allocated(1000), allocated(100_000); many > 300*few {
		t.Errorf("%d octets for 1,000 lines, %d for 100,000", few, many)
	}
}
