package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

func TestASourceThatStandsStillDoesNotHoldSend(t *testing.T) {
	for _, how := range []string{"context", "Close"} {
		bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
			still := make(chan struct{})
			defer close(still)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if how == "Close" {
				time.AfterFunc(time.Second, func() { c.Close() })
			}
			start := time.Now()
			_, err := c.pour(ctx, func(w io.Writer) (int64, error) {
				write(w, "Subject: half\r\n")
				<-still
				return write(w, string(letter))
			})
			reason, limit := seserrors.DeadlineExceeded, time.Minute
			if how == "Close" {
				reason, limit = seserrors.ClientClosed, time.Second
			}
			want(t, err, seserrors.Canceled, reason, false)
			if took := time.Since(start); took != limit {
				t.Errorf("%s: took %v", how, took)
			}
			if how == "context" {
				s.mustPost(t, c)
			}
			if got := s.mailbox(); len(got) > 1 || len(got) == 1 && got[0] != string(letter) {
				t.Errorf("mailbox %q", got)
			}
		})
	}
}

// hastyReader is a reader that gives up a read that goes on: what was begun may fill
// the buffer later.
type hastyReader struct {
	r   io.Reader
	ctx context.Context
}

func (h hastyReader) Read(p []byte) (int, error) {
	n, err := 0, error(nil)
	done := make(chan struct{})
	go func() { n, err = h.r.Read(p); close(done) }()
	select {
	case <-done:
		return n, err
	case <-h.ctx.Done():
		return 0, h.ctx.Err()
	}
}

// One customer's octets must not arrive in another's mail: not through a read or
// a write that its message has left behind.
func TestWhatAMessageLeavesBehindReachesNoOtherMail(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
		gate := make(chan struct{})
		secretFile := readFunc(func(p []byte) (int, error) {
			<-gate
			return copy(p, bytes.Repeat([]byte("S"), len(p))), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var kept io.Writer
		_, err := c.pour(ctx, func(w io.Writer) (int64, error) {
			kept = w
			return io.Copy(w, hastyReader{secretFile, ctx})
		})
		want(t, err, seserrors.Canceled, seserrors.DeadlineExceeded, false)
		mine := strings.Repeat(strings.Repeat("B", 76)+"\r\n", 2000)
		_, err = c.pour(t.Context(), func(w io.Writer) (int64, error) {
			n, _ := write(w, mine[:len(mine)/2])
			close(gate)
			time.Sleep(time.Second)
			write(kept, strings.Repeat("S", 100))
			m, err := write(w, mine[len(mine)/2:])
			return n + m, err
		})
		if err != nil {
			t.Error(err)
		}
		if got := s.mailbox(); len(got) != 1 || got[0] != mine {
			t.Errorf("%d mails, %.100q", len(got), got)
		}
	})
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestASourceThatEndsItsGoroutineIsUnreadable(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
		_, err := c.pour(t.Context(), func(w io.Writer) (int64, error) {
			write(w, "half")
			runtime.Goexit()
			return 0, nil
		})
		want(t, err, seserrors.Invalid, seserrors.ContentUnreadable, false)
		s.mustPost(t, c)
	})
}

// The source fails because the context ended: that is no fault of the message.
func TestASourceThatFailsWithItsContextIsCanceled(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := c.pour(ctx, func(w io.Writer) (int64, error) {
			cancel()
			return 0, ctx.Err()
		})
		want(t, err, seserrors.Canceled, seserrors.ContextCanceled, false)
		_, err = c.Send(ctx, sender, []string{someone}, strings.NewReader("never"))
		want(t, err, seserrors.Canceled, seserrors.ContextCanceled, false)
	})
}

func TestPlainBuffersAreWrittenBySendItself(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		for _, msg := range []io.WriterTo{bytes.NewReader(letter), bytes.NewBuffer(bytes.Clone(letter)), strings.NewReader(string(letter))} {
			if got, err := c.content(t.Context(), msg); err != nil || got != msg {
				t.Errorf("%T: %T, %v", msg, got, err)
			}
			if _, err := c.Send(t.Context(), sender, []string{someone}, msg); err != nil {
				t.Errorf("%T: %v", msg, err)
			}
		}
		for _, m := range s.mailbox() {
			if m != string(letter) {
				t.Errorf("%q", m)
			}
		}
	})
}

// A file is a message that is opened. It counts how many are open.
type file struct {
	open func(ctx context.Context) (io.ReadCloser, error)
}

func (file) WriteTo(io.Writer) (int64, error) { panic("WriteTo called beside Open") }

func (f file) Open(ctx context.Context) (io.ReadCloser, error) { return f.open(ctx) }

// An openFile closes with a function, and writes itself if it is to.
type openFile struct {
	io.Reader
	close func()
}

func (o openFile) Close() error { o.close(); return nil }

type selfWriting struct {
	openFile
	called *bool
}

func (w selfWriting) WriteTo(to io.Writer) (int64, error) {
	*w.called = true
	return io.Copy(to, w.openFile)
}

func TestMessagesAreOpenedWhenThereIsAConnection(t *testing.T) {
	bubble(t, func(cfg *Config) { cfg.MaxConns = 2 }, func(t *testing.T, s *script, c *Client) {
		var mu sync.Mutex
		open, most, opened := 0, 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			if open += n; n > 0 {
				opened++
			}
			most = max(most, open)
		}
		s.reply = func(p *peer, stage, _ string) string {
			if stage == "DOT" {
				time.Sleep(10 * time.Millisecond)
			}
			return ""
		}
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				_, err := c.Send(t.Context(), sender, []string{someone}, file{func(context.Context) (io.ReadCloser, error) {
					count(1)
					return openFile{bytes.NewReader(letter), func() { count(-1) }}, nil
				}})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most > 2 || opened != 500 || open != 0 {
			t.Errorf("%d were opened, %d at one time, %d are left", opened, most, open)
		}
		if got := s.mailbox(); len(got) != 500 || got[0] != string(letter) {
			t.Errorf("%d mails", len(got))
		}
	})
}

func TestAMessageIsOpenedBeforeMAILAndOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *script, c *Client) {
		s.mustPost(t, c)
		s.once("MAIL", hangUp) // so the first connection is dead
		opened, closed, called := 0, 0, false
		_, err := c.Send(t.Context(), sender, []string{someone}, file{func(context.Context) (io.ReadCloser, error) {
			if opened++; s.count("MAIL") != 1 {
				t.Errorf("said MAIL before: %q", s.said())
			}
			return selfWriting{openFile{bytes.NewReader(letter), func() { closed++ }}, &called}, nil
		}})
		if err != nil || opened != 1 || closed != 1 || !called {
			t.Errorf("opened %d times, closed %d times, its own WriteTo called %v: %v", opened, closed, called, err)
		}
		if c.Stats().Redials != 1 || len(s.mailbox()) != 2 {
			t.Errorf("%+v", c.Stats())
		}
	})
}

func TestAMessageThatCannotBeOpenedCostsNoConnection(t *testing.T) {
	broken := errors.New("no such file")
	panics := func(f func()) (v any) {
		defer func() { v = recover() }()
		f()
		return nil
	}
	bubble(t, func(cfg *Config) { cfg.MaxConns = 1 }, func(t *testing.T, s *script, c *Client) {
		s.mustPost(t, c)
		send := func(open func(ctx context.Context) (io.ReadCloser, error)) error {
			var opening context.Context
			defer func() {
				if opening.Err() == nil {
					t.Error("the context of Open outlives the send")
				}
			}()
			_, err := c.Send(t.Context(), sender, []string{someone}, file{func(ctx context.Context) (io.ReadCloser, error) {
				opening = ctx
				return open(ctx)
			}})
			return err
		}
		err := send(func(context.Context) (io.ReadCloser, error) { return nil, broken })
		if want(t, err, seserrors.Invalid, seserrors.ContentUnreadable, false); !errors.Is(err, broken) {
			t.Errorf("%v lacks the cause", err)
		}
		err = send(func(context.Context) (io.ReadCloser, error) { return nil, nil })
		want(t, err, seserrors.Invalid, seserrors.ContentUnreadable, false)
		if v := panics(func() {
			send(func(context.Context) (io.ReadCloser, error) { panic("boom") })
		}); v != "boom" {
			t.Errorf("recovered %v", v)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			send(func(context.Context) (io.ReadCloser, error) { runtime.Goexit(); return nil, nil })
		}()
		<-done
		if got := s.mustPost(t, c); got != 1 || s.count("MAIL") != 2 || s.count("RSET") != 0 {
			t.Errorf("%d connections, %q", got, s.said())
		}
	})
}

func TestOpenAndItsReadsEndWithTheContextAndWithClose(t *testing.T) {
	for _, where := range []string{"Open", "Read"} {
		for _, how := range []string{"context", "Close"} {
			bubble(t, nil, func(t *testing.T, s *script, c *Client) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if how == "Close" {
					time.AfterFunc(time.Second, func() { c.Close() })
				}
				closed := false
				start := time.Now()
				_, err := c.Send(ctx, sender, []string{someone}, file{func(ctx context.Context) (io.ReadCloser, error) {
					if where == "Open" {
						<-ctx.Done()
						return nil, context.Cause(ctx)
					}
					return openFile{readFunc(func([]byte) (int, error) { <-ctx.Done(); return 0, ctx.Err() }), func() { closed = true }}, nil
				}})
				reason, limit := seserrors.DeadlineExceeded, time.Minute
				if how == "Close" {
					reason, limit = seserrors.ClientClosed, time.Second
				}
				want(t, err, seserrors.Canceled, reason, false)
				if took := time.Since(start); took != limit || closed != (where == "Read") {
					t.Errorf("%s, %s: took %v, closed %v", where, how, took, closed)
				}
				if how == "Close" && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				synctest.Wait()
				if len(s.mailbox()) != 0 {
					t.Error("a mail was accepted")
				}
			})
		}
	}
}
