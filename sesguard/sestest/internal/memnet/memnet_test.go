package memnet

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func pipeTest(t *testing.T, f func(t *testing.T, c, s *conn)) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newConns(loopback(10001), loopback(25))
		defer s.Close()
		defer c.Close()
		f(t, c, s)
	})
}

func TestAReaderDrainsBeforeItSeesTheEnd(t *testing.T) {
	pipeTest(t, func(t *testing.T, c, s *conn) {
		io.WriteString(s, "221 Bye\r\n")
		s.Close()
		if got, err := io.ReadAll(c); string(got) != "221 Bye\r\n" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestTheFirstWriteToAClosedPeerSucceedsAndDrawsAReset(t *testing.T) {
	pipeTest(t, func(t *testing.T, c, s *conn) {
		io.WriteString(s, "451")
		s.Close()
		if _, err := io.WriteString(c, "MAIL"); err != nil {
			t.Fatalf("first write: %v", err)
		}
		if _, err := io.WriteString(c, "RCPT"); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("second write: %v", err)
		}
		got, err := io.ReadAll(c)
		if string(got) != "451" || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read %q, %v, want what was sent and then a reset", got, err)
		}
	})
}

func TestUnreadOctetsOrNoLingerMakeAReset(t *testing.T) {
	tests := map[string]func(c, s *conn){
		"unread octets": func(c, s *conn) { io.WriteString(c, "x") },
		"no linger":     func(c, s *conn) { s.SetLinger(0) },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			pipeTest(t, func(t *testing.T, c, s *conn) {
				prepare(c, s)
				s.Close()
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("read: %v", err)
				}
			})
		})
	}
}

func TestDeadlinesPassExactly(t *testing.T) {
	waits := map[string]func(c *conn) error{
		"read": func(c *conn) error {
			c.SetReadDeadline(time.Now().Add(time.Second))
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"write": func(c *conn) error {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			_, err := c.Write(make([]byte, pipeSize+1))
			return err
		},
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			pipeTest(t, func(t *testing.T, c, s *conn) {
				begin := time.Now()
				err := wait(c)
				if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
					t.Errorf("%v after %v", err, time.Since(begin))
				}
				if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
					t.Errorf("%v is no timeout", err)
				}
			})
		})
	}
}

func TestADeadlineInThePastEndsAWaitAndCanBeLifted(t *testing.T) {
	pipeTest(t, func(t *testing.T, c, s *conn) {
		done := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		synctest.Wait()
		c.SetDeadline(time.Unix(1, 0))
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
		c.SetDeadline(time.Time{})
		io.WriteString(s, "x")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("read after the deadline was lifted: %v", err)
		}
	})
}

func TestAReplacedDeadlineDoesNotStrike(t *testing.T) {
	pipeTest(t, func(t *testing.T, c, s *conn) {
		c.SetReadDeadline(time.Now().Add(time.Second))
		c.SetReadDeadline(time.Now().Add(3 * time.Second))
		time.AfterFunc(2*time.Second, func() { io.WriteString(s, "x") })
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("read: %v", err)
		}
	})
}

func TestAWriterWaitsForRoom(t *testing.T) {
	pipeTest(t, func(t *testing.T, c, s *conn) {
		sent := strings.Repeat("x", 3*pipeSize)
		wrote := false
		go func() {
			io.WriteString(c, sent)
			wrote = true
			c.Close()
		}()
		synctest.Wait()
		if wrote {
			t.Fatal("more was written than fits")
		}
		if got, err := io.ReadAll(s); string(got) != sent || err != nil {
			t.Errorf("read %d octets, %v", len(got), err)
		}
	})
}

func TestCloseEndsTheOwnersWaits(t *testing.T) {
	pipeTest(t, func(t *testing.T, c, s *conn) {
		errs := make(chan error, 2)
		go func() { _, err := c.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := c.Write(make([]byte, pipeSize+1)); errs <- err }()
		synctest.Wait()
		c.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v", err)
			}
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestAHalfClosedConnectionStillReads(t *testing.T) {
	pipeTest(t, func(t *testing.T, c, s *conn) {
		s.CloseWrite()
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v", err)
		}
		io.WriteString(c, "x")
		if n, err := s.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("the half-closed end reads %d, %v", n, err)
		}
	})
}

func TestAClosedListenerRefusesDials(t *testing.T) {
	l := Listen(25)
	queued, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := queued.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection that was never accepted reads %v", err)
	}
	if _, err := l.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
}
