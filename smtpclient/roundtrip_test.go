package smtpclient

import (
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

// A long run at default settings. A connection costs two round trips until the
// greeting is here, those of EHLO, STARTTLS, TLS, EHLO and AUTH, and QUIT.
func TestRecyclingCostsFewRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newScript(t), new(atomic.Int64)
		counted := func(conn net.Conn) net.Conn { return trips{conn, new(atomic.Bool), n} }
		c := s.client(t, s.through(counted), func(cfg *Config) { cfg.MaxConns = 1 })
		const mails = 10 * defaultMaxMessagesPerConn
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
