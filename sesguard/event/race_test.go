//go:build race

package event_test

// underRace: the race detector makes everything many times slower.
const underRace = true
