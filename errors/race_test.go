//go:build race

package errors

// stride is how many pairs of a shape and words lie between two that are tried:
// the race detector makes each ten times as dear, and none shares memory.
const stride = 16
