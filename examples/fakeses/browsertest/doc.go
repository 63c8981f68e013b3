// Package browsertest looks at the page of fakeses with a real browser, Chromium.
// It holds tests only, in a module of its own because they need a driver of
// browsers. They build the program, which the cache of test results does not see:
//
//	go -C examples/fakeses/browsertest test -count=1 ./...
package browsertest
