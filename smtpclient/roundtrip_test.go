package smtpclient

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// A trips counts round trips: reads that wait for an answer to what was written.
type trips struct {
	net.Conn
	asked *atomic.Bool
	n     *atomic.Int64
}

func (t trips) Write(p []byte) (int, error) {
	t.asked.Store(true)
	return t.Conn.Write(p)
}

func (t trips) Read(p []byte) (int, error) {
	if t.asked.CompareAndSwap(true, false) {
		t.n.Add(1)
	}
	return t.Conn.Read(p)
}

// counted has a client count its round trips.
func (s *script) counted(n *atomic.Int64) func(*Config) {
	return func(cfg *Config) {
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := s.dial(ctx, network, addr)
			return trips{c, new(atomic.Bool), n}, err
		}
	}
}

// A long run at default settings. A connection costs two round trips until the
// greeting is here, those of EHLO, STARTTLS, TLS, EHLO and AUTH, and QUIT.
func TestRecyclingCostsFewRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newScript(t), new(atomic.Int64)
		c := s.client(t, s.counted(n), func(cfg *Config) { cfg.MaxConns = 1 })
		const mails = 10 * DefaultMaxMessagesPerConn
		for range mails {
			if _, err := c.post(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		if st := c.Stats(); st.Dials != 10 || st.Closed.Messages+st.Closed.Shutdown != 10 {
			t.Errorf("%+v", st)
		}
		each := float64(n.Load()+2*10) / mails
		t.Logf("%.3f round trips a message", each)
		if each > 4*1.03 {
			t.Errorf("want at most %.2f", 4*1.03)
		}
	})
}
