//go:build !race

package event_test

const underRace = false
