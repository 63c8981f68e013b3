// Package errors says what went wrong with a mail and what can be done about
// it.
package errors
