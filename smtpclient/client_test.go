package smtpclient

import (
	"bytes"
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

const secret = "BPasswordThatMustNeverBeSeen0123456789abcdef"

// client returns a client for the script with over-writable settings.
func (s *script) client(tb testing.TB, change ...func(*Config)) *Client {
	tb.Helper()
	cfg := Config{Addr: "smtp.example.com:587", Username: "AKIAIOSFODNN7EXAMPLE", Password: secret, TLSConfig: clientTLS, DialContext: s.dial}
	if s.wrapper {
		cfg.Addr = "smtp.example.com:465"
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.closeAndCheck(tb) })
	return c
}

// through puts a wrapper around each connection of a client.
func (s *script) through(wrap func(net.Conn) net.Conn) func(*Config) {
	return func(cfg *Config) {
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := s.dial(ctx, network, addr)
			return wrap(conn), err
		}
	}
}

// inClearText has a client neither encrypt nor sign in.
func inClearText(cfg *Config) {
	cfg.Addr, cfg.TLS, cfg.Username, cfg.Password = "127.0.0.1:25", TLSNone, "", ""
}

// closeAndCheck ends the client and looks for what it may have left. A message
// that is busy in its own WriteTo may hold it up.
func (c *Client) closeAndCheck(tb testing.TB) {
	tb.Helper()
	c.Close()
	if inBubble() {
		defer time.Sleep(time.Hour) // for messages that were left behind while they slept
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Shutdown(ctx); err != nil {
		tb.Errorf("the client does not end: %v", err)
		return
	}
	st := c.Stats()
	if st.Open != 0 || st.Waiting != 0 || st.Dials != st.DialErrors+st.Closed.Total() {
		tb.Errorf("after Close: %+v", st)
	}
	if n := c.slots(); n != 0 {
		tb.Errorf("after Close: %d slots are held", n)
	}
}

// slots returns how many are held.
func (c *Client) slots() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// The limits of the package doc and the defaults of Config, written down once
// more.
const (
	defaultMaxConns           = 10
	defaultMaxMessagesPerConn = 100
	defaultMaxConnIdleTime    = 5 * time.Second
	defaultDialTimeout        = 30 * time.Second
	defaultCommandTimeout     = time.Minute
	defaultDataTimeout        = 10 * time.Minute

	firstAnswer  = 10 * time.Second
	goodbye      = time.Second
	afterClose   = 100 * time.Millisecond
	lateReply    = 100 * time.Millisecond
	lastWords    = time.Second
	chunkTimeout = 3 * time.Minute
	chunk        = 64 << 10
	lastWrite    = 8 << 10
	maxMessage   = 40 << 20
	opEnd        = "smtp end of data"
)

const (
	sender  = "alice@example.com"
	someone = "bob@example.net"
)

var letter = []byte("Subject: hello\r\n\r\nHello, Bob.\r\n")

func (c *Client) post(ctx context.Context, to ...string) (Reply, error) {
	if len(to) == 0 {
		to = []string{someone}
	}
	return c.Send(ctx, sender, to, bytes.NewReader(letter))
}

func TestSendOverEachKindOfConnection(t *testing.T) {
	for name, mode := range map[string]TLSMode{"STARTTLS": TLSStartTLS, "wrapper": TLSWrapper, "clear text": TLSNone} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				s.wrapper = mode == TLSWrapper
				c := s.client(t, func(cfg *Config) {
					cfg.TLS = mode
					if mode == TLSNone {
						cfg.Addr = "127.0.0.1:2525"
					}
				})
				for range 3 {
					r, err := c.post(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if want := "0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000"; r.Code != 250 || r.MessageID != want || r.Text != "Ok "+want {
						t.Errorf("reply %+v", r)
					}
				}
				if got := s.mailbox(); len(got) != 3 || got[0] != string(letter) {
					t.Errorf("mailbox %q", got)
				}
				if n, _, _ := s.connections(); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
				if err := c.Ping(t.Context()); err != nil {
					t.Error(err)
				}
				if err := c.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				if st := c.Stats(); st.Open != 0 || st.Messages != 3 || st.Closed.Shutdown != 1 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}
