package sesguard

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	dialTimeout         = 30 * time.Second // as smtpclient.Config.DialTimeout
	tlsHandshakeTimeout = 10 * time.Second // net/http's default
	// SES answers a SendEmail within seconds. Past a minute the answer is
	// lost, and the send is reported as in doubt instead of hanging.
	responseTimeout = time.Minute
	// A write that moves nothing for 3 minutes will not (RFC 5321 §4.5.3.2.5
	// gives a chunk of data as long).
	writeTimeout = 3 * time.Minute
	// How old the deadline of a write may be: setting it costs more than looking
	// at the clock.
	renewAfter = time.Second
	// The largest buffer for a header and what follows it that an idle connection
	// keeps: a small mail, or the beginning of a large one, in TLS records.
	keepHeld = 32 << 10
	// An idle connection is closed here before a load balancer closes it: a
	// close that races with a new request puts a good send in doubt.
	idleTimeout = 5 * time.Second
)

// HTTPClient returns an HTTP client for the SDK, fit for sending mail from up
// to maxConns goroutines at once:
//
//	client := sesv2.NewFromConfig(cfg, func(o *sesv2.Options) {
//		o.HTTPClient = sesguard.HTTPClient(64)
//	})
//
// It keeps maxConns connections and dials no more (the SDK's default client
// closes all but 10 when a burst ends, and dials them again for the next), it
// writes a guarded mail together with its header, never sends a request twice,
// follows no redirect, speaks HTTP/1.1, closes connections after 5 seconds of
// idleness, and gives up on an answer after one minute. Proxies are taken from
// the environment as net/http does. maxConns less than 1 means 10.
func HTTPClient(maxConns int) *http.Client {
	if maxConns < 1 {
		maxConns = 10
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return newAPIConn(conn), nil
			},
			Protocols:             &protocols,
			TLSHandshakeTimeout:   tlsHandshakeTimeout,
			ResponseHeaderTimeout: responseTimeout,
			IdleConnTimeout:       idleTimeout,
			MaxIdleConns:          maxConns,
			MaxIdleConnsPerHost:   maxConns,
			MaxConnsPerHost:       maxConns,
			WriteBufferSize:       64 << 10, // a mail in few writes
			DisableCompression:    true,     // an answer is a message id
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// An apiConn is a connection of HTTPClient, below TLS. Its write deadline is
// renewed as it writes: a peer that reads nothing must not hold a sender for as
// long as TCP is patient. And it can write the header of a request together with
// the body, which net/http writes apart.
type apiConn struct {
	net.Conn
	born    time.Time
	renewed atomic.Int64 // after born, in nanoseconds

	joining atomic.Bool // the next write is a header whose body follows
	held    []byte      // the header
}

func newAPIConn(conn net.Conn) *apiConn {
	c := &apiConn{Conn: conn, born: time.Now()}
	c.renewed.Store(-int64(renewAfter))
	return c
}

// join says whether the next write, the header of a request, is held until the
// body follows.
func (c *apiConn) join(yes bool) { c.joining.Store(yes) }

func (c *apiConn) Write(p []byte) (int, error) {
	if c.joining.Swap(false) && beginsRequest(p) {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	header := len(c.held)
	if header == 0 {
		return c.write(p)
	}
	all := append(c.held, p...)
	if c.held = all[:0]; cap(all) > keepHeld {
		c.held = nil
	}
	n, err := c.write(all)
	return max(0, n-header), err
}

func (c *apiConn) write(p []byte) (int, error) {
	if age := time.Since(c.born); age >= time.Duration(c.renewed.Load())+renewAfter {
		c.renewed.Store(int64(age))
		if err := c.SetWriteDeadline(c.born.Add(age + writeTimeout)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// apiConnOf is the connection of [HTTPClient] under conn if it carries one
// request at a time, or nil.
func apiConnOf(conn net.Conn) *apiConn {
	if t, ok := conn.(*tls.Conn); ok {
		if t.ConnectionState().NegotiatedProtocol == "h2" {
			return nil
		}
		conn = t.NetConn()
	}
	c, _ := conn.(*apiConn)
	return c
}

// beginsRequest tells a request of HTTP/1.1 that has a body, or a TLS record
// that may hold one, from other things that are written.
func beginsRequest(p []byte) bool {
	const applicationData = 23 // RFC 8446, section 5.1
	return len(p) > 0 && p[0] == applicationData || bytes.HasPrefix(p, []byte("POST "))
}
