// Command fakeses is a fake Amazon SES for programs in any language.
//
//	go run ./examples/fakeses -cert fakeses.pem
//
// It takes mail over SMTP and the v2 API as SES does, delivers none, and shows
// what came on a page of its own, http://127.0.0.1:2580: each mail with text,
// HTML, files, header and events. There the next faults are chosen too, what
// becomes of mails, and the account's standing.
//
// # Connect a program
//
//	127.0.0.1:2587   SMTP with STARTTLS
//	127.0.0.1:2465   SMTP with TLS wrapper
//	127.0.0.1:2443   the v2 API, over HTTPS
//	127.0.0.1:2525   SMTP without TLS and sign-in, which SES does not have
//	127.0.0.1:2580   the page
//
// The SMTP user name is AKIAIOSFODNN7EXAMPLE and the password
// sestest-smtp-password, unless -user and -password say otherwise. The API takes
// any access key, because signatures are not checked. Senders at example.com are
// verified; -identities verifies others.
//
// Clients must trust the server's certificate, which -cert writes to a file, as
// does a link of the page. It is new each time the program starts, and holds for
// localhost, 127.0.0.1, ::1 and SES's own names in the region. Python, Ruby and
// others that use OpenSSL read the file that SSL_CERT_FILE names, Node.js that of
// NODE_EXTRA_CA_CERTS, the AWS CLI and AWS's SDKs for Go, Python and Ruby that of
// AWS_CA_BUNDLE. AWS_ENDPOINT_URL_SESV2 leads AWS's SDKs to the fake:
//
//	export AWS_CA_BUNDLE=$PWD/fakeses.pem AWS_ENDPOINT_URL_SESV2=https://127.0.0.1:2443
//	export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
//
// # Let things go wrong
//
// The account decides as SES's does: -sandbox, -paused, -rate, -quota,
// -suppressed and their like set it. Beside that -fault queues faults; each
// strikes one mail or connection, in order:
//
//	go run ./examples/fakeses -fault 3*refuse:send-rate-exceeded -fault accept-then-cut
//
// -h lists the words. -outcome says what becomes of mails after SES accepted them,
// and publishes the events; -notify posts these to a URL as SNS does, and -queue
// puts them into a queue that SQS clients read at the API's address. The posts are
// signed, but the certificate for checking that stands at SNS's own name, where
// only clients that go through the fake find it: leave the check out.
//
// # What it keeps
//
// The newest mails, up to -keep of them and -keep-mb together, in memory. Nothing
// is written but the certificate.
//
// The page is for this machine only. It answers to loopback names, takes no form
// from other sites, and shows mails without letting them run scripts, fetch
// anything or leave their frame.
//
// SIGINT and SIGTERM end it. Exit code 1: it could not listen or write the
// certificate; 2: the command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with everything it touches as an argument.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	s, err := parse(args, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if err := serve(ctx, s, out); err != nil {
		fmt.Fprintln(errOut, "fakeses:", err)
		return 1
	}
	return 0
}

// serve runs the fake and its page until the context ends.
func serve(ctx context.Context, s *settings, out io.Writer) error {
	f := s.fake()
	if err := f.ses.Start(); err != nil {
		return fmt.Errorf("%w; -smtp, -smtps, -api and -plain choose other ports", err)
	}
	defer f.ses.Close()
	l, err := net.Listen("tcp", s.page)
	if err != nil {
		return fmt.Errorf("%w; -page chooses another port", err)
	}
	defer l.Close()
	if s.cert != "" {
		if err := writeFile(s.cert, f.ses.CertPEM()); err != nil {
			return err
		}
	}
	page := &http.Server{Handler: (&site{fake: f, settings: s}).handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { f.run(ctx) })
	wg.Go(func() { failed <- page.Serve(l) })
	defer page.Close()
	announce(out, f, s, l.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		fmt.Fprintln(out, "stopping")
		return nil
	}
}

func announce(out io.Writer, f *fake, s *settings, page string) {
	fmt.Fprintf(out, `a fake Amazon SES in %s
  SMTP, STARTTLS       %s
  SMTP, TLS wrapper    %s
  SMTP, clear text     %s
  API                  %s
  page                 http://%s
`, f.ses.Region, f.ses.SMTPAddr, f.ses.SMTPSAddr, f.ses.PlainAddr, f.ses.URL, page)
	if s.cert != "" {
		fmt.Fprintf(out, "  certificate          %s\n", s.cert)
	}
	fmt.Fprintln(out, "ready")
}

// writeFile puts the file in its place whole, because clients may be waiting for
// it.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // no longer there once it was renamed
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
