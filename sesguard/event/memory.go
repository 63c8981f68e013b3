package event

import (
	"context"
	"slices"
	"sync"
	"time"
)

// MemoryDoubts is a DoubtStore in memory. Its zero value is empty and ready; it
// is safe for concurrent use and must not be copied. It holds about 200 bytes
// for each mail of the last Wait.
type MemoryDoubts struct {
	mu     sync.Mutex
	doubts map[string]Doubt
}

// Update changes one doubt. It never fails.
func (m *MemoryDoubts) Update(_ context.Context, trackID string, f func(*Doubt)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	x, ok := m.doubts[trackID]
	if !ok {
		x = Doubt{TrackID: trackID}
	}
	if f(&x); x.TrackID == "" {
		delete(m.doubts, trackID)
		return nil
	}
	if m.doubts == nil {
		m.doubts = make(map[string]Doubt)
	}
	m.doubts[trackID] = x
	return nil
}

// Due returns the doubts that are due, the earliest first. It never fails.
func (m *MemoryDoubts) Due(_ context.Context, now time.Time) ([]Doubt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []Doubt
	for _, x := range m.doubts {
		if !x.Due.After(now) {
			due = append(due, x)
		}
	}
	slices.SortFunc(due, func(a, b Doubt) int { return a.Due.Compare(b.Due) })
	return due, nil
}

// Len returns how many doubts are kept, settled ones and the events of mails
// that are not in doubt included.
func (m *MemoryDoubts) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.doubts)
}
