package sesguard

import (
	"context"
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
// never sends a request twice, follows no redirect, speaks HTTP/1.1, closes
// connections after 5 seconds of idleness, and gives up on an answer after one
// minute. Proxies are taken from the environment as net/http does. maxConns
// less than 1 means 10.
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
				return bounded(conn), nil
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

// boundedWrites renews the write deadline as it writes: a peer that reads
// nothing must not hold a sender for as long as TCP is patient.
type boundedWrites struct {
	net.Conn
	born    time.Time
	renewed atomic.Int64 // after born, in nanoseconds
}

func bounded(conn net.Conn) *boundedWrites {
	c := &boundedWrites{Conn: conn, born: time.Now()}
	c.renewed.Store(-int64(renewAfter))
	return c
}

func (c *boundedWrites) Write(p []byte) (int, error) {
	if age := time.Since(c.born); age >= time.Duration(c.renewed.Load())+renewAfter {
		c.renewed.Store(int64(age))
		if err := c.SetWriteDeadline(c.born.Add(age + writeTimeout)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}
