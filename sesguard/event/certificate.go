package event

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	fetchTimeout    = 5 * time.Second
	maxCertificate  = 64 << 10
	maxCertificates = 16
	fetchPause      = time.Second // after a failure, for certificates that were never seen
)

// certificates keeps the certificates of SNS by URL until they end. Whoever
// posts chooses the URL, within the pattern: so one certificate that was never
// seen is fetched at a time, and after a failure none for a second. Its zero
// value is ready.
type certificates struct {
	mu       sync.Mutex
	known    map[string]*x509.Certificate
	fetching map[string]*fetch
	unseen   bool      // a certificate that was never seen is being fetched
	pause    time.Time // when the next of these may be
}

// A fetch is waited for by all that need the same certificate.
type fetch struct {
	done        chan struct{}
	certificate *x509.Certificate
	err         error
}

var errCertificatesBusy = errors.New("the certificate is not at hand, and too many that cannot be had were asked for")

// get returns the certificate at a URL that was checked before. Its errors are
// ours or AWS's trouble, no proof of forgery.
func (c *certificates) get(ctx context.Context, client *http.Client, url string) (*x509.Certificate, error) {
	now := time.Now()
	c.mu.Lock()
	known := c.known[url]
	if known != nil && now.Before(known.NotAfter) {
		c.mu.Unlock()
		return known, nil
	}
	f := c.fetching[url]
	if f == nil {
		if known == nil && (c.unseen || now.Before(c.pause)) {
			c.mu.Unlock()
			return nil, errCertificatesBusy
		}
		f = &fetch{done: make(chan struct{}), err: errors.New("the fetch of the certificate broke off")}
		if c.fetching == nil {
			c.fetching = make(map[string]*fetch)
		}
		c.fetching[url] = f
		c.unseen = c.unseen || known == nil
		c.mu.Unlock()
		c.fetch(ctx, client, url, f, known == nil)
		return f.certificate, f.err
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.certificate, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// fetch gets one certificate. Others wait for it, so it does not end with the
// request that came first.
func (c *certificates) fetch(ctx context.Context, client *http.Client, url string, f *fetch, unseen bool) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.fetching, url)
		if unseen {
			c.unseen = false
		}
		switch {
		case f.err == nil:
			c.keep(url, f.certificate)
		case unseen:
			c.pause = time.Now().Add(fetchPause)
		}
		close(f.done)
	}()
	body, err := get(context.WithoutCancel(ctx), client, url)
	if err != nil {
		f.err = fmt.Errorf("fetching the certificate: %w", err)
		return
	}
	f.certificate, f.err = readCertificate(body)
}

// keep remembers a certificate, in place of the one that ends first if there
// are too many. The caller holds the lock.
func (c *certificates) keep(url string, certificate *x509.Certificate) {
	if c.known == nil {
		c.known = make(map[string]*x509.Certificate)
	}
	c.known[url] = certificate
	for len(c.known) > maxCertificates {
		first := url
		for u, k := range c.known {
			if u != url && (first == url || k.NotAfter.Before(c.known[first].NotAfter)) {
				first = u
			}
		}
		delete(c.known, first)
	}
}

// readCertificate reads the first certificate of a PEM file. SNS publishes the
// leaf alone, so that no chain can be built: that it came over TLS from SNS's
// host is the proof. Its name is not compared, because it is not regional.
func readCertificate(body []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(body)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("what was fetched is no certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	if _, ok := certificate.PublicKey.(*rsa.PublicKey); !ok {
		return nil, errors.New("the certificate's key is not RSA")
	}
	if now := time.Now(); now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return nil, errors.New("the certificate is not valid now: check this machine's clock")
	}
	return certificate, nil
}

// get fetches a small body. Only 200 counts; redirects lead elsewhere and are
// not followed.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, unquoted(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxCertificate+1))
	if err == nil && len(body) > maxCertificate {
		err = errors.New("the answer is too long")
	}
	return body, err
}
