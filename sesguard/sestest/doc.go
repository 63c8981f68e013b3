// Package sestest is a fake Amazon SES for tests.
package sestest
