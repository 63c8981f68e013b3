package retry_test

import (
	"math"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/retry"
)

// The waits of the AWS page, three rounds of them.
var documented = []time.Duration{
	5 * time.Second, 10 * time.Second, 30 * time.Second, 20 * time.Minute,
	5 * time.Second, 10 * time.Second, 30 * time.Second, 20 * time.Minute,
	5 * time.Second, 10 * time.Second, 30 * time.Second, 20 * time.Minute,
}

func TestZeroScheduleIsTheDocumentedOneLengthenedByATenth(t *testing.T) {
	for i, want := range documented {
		min, max := retry.Schedule{}.Bounds(i + 1)
		if min != want || max != want+want/10 {
			t.Errorf("Bounds(%d) = %v, %v, want %v, %v", i+1, min, max, want, want+want/10)
		}
	}
}

func TestBackOffStaysWithinBoundsAndUsesThem(t *testing.T) {
	var s retry.Schedule
	b := s.BackOff()
	for i := range documented {
		shortest, longest := s.Bounds(i + 1)
		low, high := longest, shortest
		for range 200 {
			b.Reset()
			var d time.Duration
			for range i + 1 {
				d = b.NextBackOff()
			}
			if d < shortest || d > longest {
				t.Fatalf("wait %d = %v, outside of %v to %v", i+1, d, shortest, longest)
			}
			low, high = min(low, d), max(high, d)
		}
		// 200 draws that all miss the quarter at one end: 1 in 10^24.
		if quarter := (longest - shortest) / 4; low > shortest+quarter || high < longest-quarter {
			t.Errorf("wait %d was drawn from %v to %v only, want spread over %v to %v", i+1, low, high, shortest, longest)
		}
	}
}

func TestScheduleFields(t *testing.T) {
	const s, m = time.Second, time.Minute
	tests := []struct {
		name     string
		schedule retry.Schedule
		want     []time.Duration // the shortest of each wait
		extra    float64
	}{
		{"waits without a pause repeat", retry.Schedule{Waits: []time.Duration{s, 2 * s}}, []time.Duration{s, 2 * s, s, 2 * s}, 0.1},
		{"waits and a pause", retry.Schedule{Waits: []time.Duration{s}, Pause: m}, []time.Duration{s, m, s, m}, 0.1},
		{"only a pause", retry.Schedule{Pause: m}, []time.Duration{5 * s, 10 * s, 30 * s, m, 5 * s}, 0.1},
		{"empty waits are AWS's", retry.Schedule{Waits: []time.Duration{}}, []time.Duration{5 * s, 10 * s, 30 * s, 20 * m, 5 * s}, 0.1},
		{"negative pause is none", retry.Schedule{Pause: -1}, []time.Duration{5 * s, 10 * s, 30 * s, 5 * s}, 0.1},
		{"negative wait is 0", retry.Schedule{Waits: []time.Duration{-s, s}}, []time.Duration{0, s, 0, s}, 0.1},
		{"no jitter", retry.Schedule{Jitter: -1}, []time.Duration{5 * s, 10 * s, 30 * s, 20 * m, 5 * s}, 0},
		{"jitter of a half", retry.Schedule{Jitter: 0.5}, []time.Duration{5 * s, 10 * s}, 0.5},
		{"jitter beyond the wait", retry.Schedule{Jitter: 3}, []time.Duration{5 * s, 10 * s}, 3},
		{"jitter that is no number", retry.Schedule{Jitter: math.NaN()}, []time.Duration{5 * s, 10 * s}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.schedule.BackOff()
			for i, want := range tt.want {
				min, max := tt.schedule.Bounds(i + 1)
				if wantMax := want + time.Duration(float64(want)*tt.extra); min != want || max != wantMax {
					t.Errorf("Bounds(%d) = %v, %v, want %v, %v", i+1, min, max, want, wantMax)
				}
				if d := b.NextBackOff(); d < min || d > max {
					t.Errorf("wait %d = %v, outside of %v to %v", i+1, d, min, max)
				}
			}
		})
	}
}

func TestBoundsOfAWaitBelowTheFirstAreThoseOfTheFirst(t *testing.T) {
	for _, n := range []int{0, -1, math.MinInt} {
		if min, _ := (retry.Schedule{}).Bounds(n); min != 5*time.Second {
			t.Errorf("Bounds(%d) begins at %v, want 5s", n, min)
		}
	}
}

func TestScheduleDoesNotOverflow(t *testing.T) {
	tests := []struct {
		name     string
		schedule retry.Schedule
		min, max time.Duration
	}{
		{"longest wait", retry.Schedule{Waits: []time.Duration{math.MaxInt64}}, math.MaxInt64, math.MaxInt64},
		{"almost the longest wait", retry.Schedule{Waits: []time.Duration{math.MaxInt64 - 1}}, math.MaxInt64 - 1, math.MaxInt64},
		{"endless jitter", retry.Schedule{Waits: []time.Duration{1}, Jitter: math.Inf(1)}, 1, math.MaxInt64},
		{"endless jitter of no wait", retry.Schedule{Waits: []time.Duration{0}, Jitter: math.Inf(1)}, 0, 0},
		{"endless shortening", retry.Schedule{Waits: []time.Duration{time.Second}, Jitter: math.Inf(-1)}, time.Second, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if min, max := tt.schedule.Bounds(1); min != tt.min || max != tt.max {
				t.Errorf("Bounds(1) = %d, %d, want %d, %d", min, max, tt.min, tt.max)
			}
			if d := tt.schedule.BackOff().NextBackOff(); d < tt.min || d > tt.max {
				t.Errorf("wait = %d, outside of %d to %d", d, tt.min, tt.max)
			}
		})
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add(int64(0), int64(0), int64(0), 0.0, 4)
	f.Add(int64(time.Second), int64(-1), int64(time.Minute), 0.5, 3)
	f.Add(int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64), math.Inf(1), math.MaxInt)
	f.Add(int64(1), int64(1<<60), int64(math.MinInt64), math.NaN(), math.MinInt)
	f.Fuzz(func(t *testing.T, first, second, pause int64, jitter float64, n int) {
		s := retry.Schedule{
			Waits:  []time.Duration{time.Duration(first), time.Duration(second)},
			Pause:  time.Duration(pause),
			Jitter: jitter,
		}
		min, max := s.Bounds(n)
		if min < 0 || max < min {
			t.Fatalf("Bounds(%d) = %d, %d", n, min, max)
		}
		b := s.BackOff()
		for i := range 5 {
			min, max := s.Bounds(i + 1)
			if d := b.NextBackOff(); d < min || d > max {
				t.Fatalf("wait %d = %d, outside of %d to %d", i+1, d, min, max)
			}
		}
	})
}
