// Command unsubscribe takes unsubscriptions by one click (RFC 8058), as Gmail and
// Yahoo want them of those who send in bulk.
//
//	go run ./examples/unsubscribe -base https://lists.example.com
//
// It prints the headers for one mail, and serves the link in them, over plain HTTP
// behind whatever ends TLS for the address in -base:
//
//   - POST with List-Unsubscribe=One-Click unsubscribes at once. The provider of
//     the reader's mailbox sends it, without cookies and without asking.
//   - GET shows a form that sends the same POST, for whoever follows the link. By
//     itself it changes nothing.
//
// The links name list and recipient, sealed by the key in UNSUBSCRIBE_KEY (64
// hexadecimal digits; with a comma between them the current key and earlier ones).
// Without it the key is made anew, and links end with the program. The lists are in
// memory: put a table of yours in the place of memory.
//
// newsletter in send.go asks before it sends, so that nobody who left gets more.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "unsubscribe:", err)
		os.Exit(1)
	}
}

// run is main with everything it touches as an argument.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("unsubscribe", flag.ContinueOnError)
	flags.SetOutput(out)
	listen := flags.String("listen", "127.0.0.1:8080", "`host:port` to serve at")
	base := flags.String("base", "https://lists.example.com", "`URL` at which the internet reaches this program")
	mailto := flags.String("mailto", "", "`address` that takes unsubscriptions by mail")
	list := flags.String("list", "news", "`name` of the list")
	to := flags.String("to", "ann@example.net", "`recipient` whose headers are printed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	t, err := tokensFrom(getenv("UNSUBSCRIBE_KEY"))
	if err != nil {
		return err
	}
	d := &desk{base: *base, mailto: *mailto, tokens: t, store: &memory{}}
	headers, err := d.headers(subscription{*list, *to})
	if err != nil {
		return err
	}
	for _, h := range headers {
		fmt.Fprintf(out, "%s: %s\n", h.Name, h.Value)
	}
	return serve(ctx, *listen, d.handler(), out)
}

// serve answers requests until the context ends.
func serve(ctx context.Context, addr string, h http.Handler, out io.Writer) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(rest)
	})()
	fmt.Fprintf(out, "\nserving at http://%s%s\n", l.Addr(), path)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// tokensFrom reads keys from the environment, or makes one.
func tokensFrom(env string) (*tokens, error) {
	if env == "" {
		key := make([]byte, 32)
		rand.Read(key)
		return newTokens(key)
	}
	var keys [][]byte
	for text := range strings.SplitSeq(env, ",") {
		key, err := hex.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return nil, errors.New("UNSUBSCRIBE_KEY is not hexadecimal") // without the key
		}
		keys = append(keys, key)
	}
	return newTokens(keys...)
}

// memory is a store that forgets everything when the program ends.
type memory struct {
	mu   sync.Mutex
	gone map[subscription]bool
}

func (m *memory) leave(_ context.Context, s subscription) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone == nil {
		m.gone = map[subscription]bool{}
	}
	m.gone[s] = true
	return nil
}

func (m *memory) left(_ context.Context, s subscription) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone[s], nil
}
