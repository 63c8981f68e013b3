//go:build !race

package errors

// stride is 1: every pair of a shape and words is tried.
const stride = 1
