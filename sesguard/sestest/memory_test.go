package sestest_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// inMemory runs the test in a bubble with a server of its own.
func inMemory(t *testing.T, f func(t *testing.T, s *sestest.Server)) {
	synctest.Test(t, func(t *testing.T) {
		s := sestest.NewMemoryServer()
		defer s.Close()
		f(t, s)
	})
}

func TestTheIdleLimitIsTenSeconds(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		d := start(t, s)
		time.Sleep(sestest.DefaultIdleLimit - time.Nanosecond)
		d.cmd(250, "Ok", "NOOP")
		time.Sleep(sestest.DefaultIdleLimit)
		synctest.Wait()
		d.cmd(451, "4.4.2 Timeout waiting for data from client.", "NOOP")
		if _, err := d.r.ReadLine(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after the reply: %v, want a reset, because the command hit a closed connection", err)
		}
	})
}

func TestBothTransportsWorkInABubble(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		d := dial(t, s, s.SMTPAddr)
		d.expect(220, "")
		d.startTLS(s)
		d.cmd(250, "Ok", "EHLO client.example.com")
		d.cmd(235, "", "AUTH PLAIN %s", plainCredentials(s.Username, s.Password))
		d.mail(message, 250, "Ok ")
		d.conn.Close()
		if _, err := apiClient(s).SendEmail(context.Background(), rawInput(message)); err != nil {
			t.Fatal(err)
		}
		wantAccepted(t, s, 2)
	})
}

func TestUnknownAddressesCannotBeDialledInMemory(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		_, err := s.DialContext(t.Context(), "tcp", "mail.example.com:587")
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" {
			t.Errorf("dial error %v", err)
		}
		if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound {
			t.Errorf("cause %v, want a name that does not exist", err)
		}
	})
}

func TestManySendersAtOnceLoseNothing(t *testing.T) {
	for name, newServer := range map[string]func() *sestest.Server{"loopback": sestest.NewServer, "memory": sestest.NewMemoryServer} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			defer s.Close()
			const senders, each = 8, 5
			var wg sync.WaitGroup
			for range senders {
				wg.Go(func() {
					for range each {
						if err := errors.Join(overSMTP(t, s, message, to), overAPI(t, s, message, to)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			ids := map[string]bool{}
			for _, m := range wantAccepted(t, s, 2*senders*each) {
				ids[m.ID] = true
			}
			if len(ids) != 2*senders*each {
				t.Errorf("%d different ids of %d", len(ids), 2*senders*each)
			}
		})
	}
}

// A mail that came in between a look at the mailbox and its emptying would be
// seen by no one.
func TestWhatIsTakenFromTheMailboxIsTakenOnce(t *testing.T) {
	s := sestest.NewMemoryServer()
	defer s.Close()
	const senders, each = 4, 10
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				if err := overSMTP(t, s, message, to); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	times := map[string]int{}
	take := func() {
		for _, m := range s.TakeAccepted() {
			times[m.ID]++
		}
	}
	for busy := true; busy; take() {
		select {
		case <-done:
			busy = false
		default:
		}
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("%s was taken %d times", id, n)
		}
	}
	if len(times) != senders*each {
		t.Errorf("%d mails taken, want %d", len(times), senders*each)
	}
	wantAccepted(t, s, 0)
}
