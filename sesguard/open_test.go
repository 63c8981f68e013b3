package sesguard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A gated is a file whose Read waits for the gate, and counts its Close.
type gated struct {
	io.Reader
	gate   chan struct{}
	closed *int
}

func (g gated) Read(p []byte) (int, error) {
	<-g.gate
	return g.Reader.Read(p)
}

func (g gated) Close() error { *g.closed++; return nil }

func streaming(opens ...func() (io.ReadCloser, error)) *Message {
	m := plain()
	for i, open := range opens {
		m.Attachments = append(m.Attachments, Attachment{Name: fmt.Sprintf("file%d.bin", i), Open: open})
	}
	return m
}

func streamOf(content []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
}

func TestAMailOpenedTwiceGivesTheSameOctets(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 3*chunkIn/10)
	m := streaming(streamOf(content), streamOf(nil), streamOf(content[:100]))
	m.Attachments = append(m.Attachments, Attachment{Name: "held", Content: content}, Attachment{Name: "empty", Content: []byte{}})
	mail := built(t, m)
	want, err := octets(mail)
	if err != nil {
		t.Fatal(err)
	}
	read(t, want)
	for name, f := range map[string]func(io.Reader) io.Reader{
		"all at once":   func(r io.Reader) io.Reader { return r },
		"one by one":    iotest.OneByteReader,
		"half a buffer": iotest.HalfReader,
		"Read alone":    func(r io.Reader) io.Reader { return struct{ io.Reader }{r} },
	} {
		r, err := mail.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := new(bytes.Buffer)
		if _, err := io.Copy(got, f(r)); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: %d octets of %d, %v", name, got.Len(), len(want), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if n, err := r.Read(make([]byte, 10)); n != 0 || err == nil {
			t.Errorf("%s: after Close: %d, %v", name, n, err)
		}
	}
	r, err := mail.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := make([]byte, 10)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	rest := new(bytes.Buffer)
	if _, err := r.(io.WriterTo).WriteTo(rest); err != nil || string(first)+rest.String() != string(want) {
		t.Errorf("WriteTo after Read: %v", err)
	}
}

// One customer's file must never arrive in another's mail, whatever a reader does
// with its buffer after it was called off.
func TestAReaderThatWritesLateWritesIntoNoOtherMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, wrote := make(chan struct{}), make(chan struct{})
		late := readerFunc(func(p []byte) (int, error) {
			go func() {
				<-gate
				for i := range p {
					p[i] = 'S'
				}
				close(wrote)
			}()
			return 0, errors.New("called off")
		})
		a := built(t, streaming(func() (io.ReadCloser, error) { return io.NopCloser(late), nil }))
		if _, err := octets(a); err == nil {
			t.Fatal("the first mail was read")
		}
		reads := 0
		b := built(t, streaming(func() (io.ReadCloser, error) {
			return io.NopCloser(readerFunc(func(p []byte) (int, error) {
				if reads++; reads > 1 {
					close(gate)
					<-wrote
					return 0, io.EOF
				}
				return copy(p, strings.Repeat("B", 3000)), nil
			})), nil
		}))
		data, err := octets(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, data).files[0].content; got != strings.Repeat("B", 3000) {
			t.Errorf("another mail's file arrived: %.20q", got)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestAWriterMayKeepWhatItWasGiven(t *testing.T) {
	m := streaming(streamOf(bytes.Repeat([]byte("a"), chunkIn)))
	m.Attachments = append(m.Attachments, Attachment{Name: "held", Content: bytes.Repeat([]byte("b"), chunkIn)})
	var kept keeper
	if _, err := built(t, m).WriteTo(&kept); err != nil {
		t.Fatal(err)
	}
	before := bytes.Join(kept, nil)
	other := streaming(streamOf(bytes.Repeat([]byte("x"), chunkIn)))
	other.Attachments = append(other.Attachments, Attachment{Name: "held", Content: bytes.Repeat([]byte("y"), chunkIn)})
	if _, err := octets(built(t, other)); err != nil {
		t.Fatal(err)
	}
	if after := bytes.Join(kept, nil); !bytes.Equal(before, after) {
		t.Error("a buffer that the writer of one mail has seen was used for another")
	}
}

type keeper [][]byte

func (k *keeper) Write(p []byte) (int, error) { *k = append(*k, p); return len(p), nil }

// Both are ready at one time: the error of a file that knows the context, and the
// context's end.
func TestAFileThatFailsWithItsContextIsCanceled(t *testing.T) {
	mine := errors.New("mine")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(mine)
	for range 100 {
		got := make(chan outcome, 1)
		got <- outcome{err: unreadable("a.bin", ctx.Err())}
		if _, err := await(ctx, got); !errors.Is(err, seserrors.ContextCanceled) || !errors.Is(err, mine) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestAFileThatStandsStillDoesNotHoldARead(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string // the call that stands still
	}{{"its Open", "open"}, {"its Read", "read"}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate, closed, opened := make(chan struct{}), 0, 0
				m := built(t, streaming(func() (io.ReadCloser, error) {
					if opened++; tt.in == "open" {
						<-gate
					}
					return gated{strings.NewReader("x"), gate, &closed}, nil
				}, func() (io.ReadCloser, error) {
					opened++
					return source{strings.NewReader("x"), &closed}, nil
				}))
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("mine"))
				defer cancel()
				start := time.Now()
				r, err := m.Open(ctx)
				if tt.in == "read" {
					if err != nil {
						t.Fatal(err)
					}
					_, err = io.Copy(io.Discard, r)
					if n, again := r.Read(make([]byte, 1)); n > 0 || again != err {
						t.Errorf("the next Read: %d, %v", n, again)
					}
					if err := r.Close(); err != nil {
						t.Error(err)
					}
				}
				e, ok := errors.AsType[*seserrors.Error](err)
				if !ok || e.Class != seserrors.Canceled || !errors.Is(err, context.Cause(ctx)) || time.Since(start) != time.Minute {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				if closed != 0 {
					t.Errorf("%d files were closed while one stands still", closed)
				}
				close(gate)
				synctest.Wait()
				if want := map[string]int{"open": 1, "read": 2}[tt.in]; opened != want || closed != want {
					t.Errorf("%d files opened, %d closed when it went on, want %d", opened, closed, want)
				}
			})
		})
	}
}

func TestClosingAMailEarlyClosesItsFiles(t *testing.T) {
	closed := 0
	open := func() (io.ReadCloser, error) { return source{bytes.NewReader(make([]byte, 1<<20)), &closed}, nil }
	m := built(t, streaming(open, open))
	for _, n := range []int{0, 1000, 100_000} {
		closed = 0
		r, err := m.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.Close(); err != nil || closed != 2 {
				t.Errorf("after %d octets: %d files closed, %v", n, closed, err)
			}
		}
	}
}

func TestAMailOfAnEndedContextIsNotOpened(t *testing.T) {
	opened := 0
	m := built(t, streaming(func() (io.ReadCloser, error) { opened++; return nil, nil }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Open(ctx); !errors.Is(err, context.Canceled) || opened != 0 {
		t.Errorf("opened %d times, %v", opened, err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	r, err := built(t, plain()).Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if n, err := r.Read(make([]byte, 10)); n > 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("read %d octets, %v", n, err)
	}
}

func TestAPanicInAFileIsThatOfWhoReads(t *testing.T) {
	closed := 0
	good := func() (io.ReadCloser, error) { return source{strings.NewReader("x"), &closed}, nil }
	for name, open := range map[string]func() (io.ReadCloser, error){
		"Open": func() (io.ReadCloser, error) { panic("mine") },
		"Read": func() (io.ReadCloser, error) {
			return io.NopCloser(readerFunc(func([]byte) (int, error) { panic("mine") })), nil
		},
		"Close": func() (io.ReadCloser, error) { return panics{strings.NewReader("x")}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			closed = 0
			m := built(t, streaming(good, open, good))
			defer func() {
				if p := recover(); p != "mine" {
					t.Errorf("recovered %v", p)
				}
				if want := map[string]int{"Open": 1, "Read": 2, "Close": 2}[name]; closed != want {
					t.Errorf("%d other files closed, want %d", closed, want)
				}
			}()
			octets(m)
			t.Error("no panic")
		})
	}
}

type panics struct{ io.Reader }

func (panics) Close() error { panic("mine") }

func TestAGoexitInAFileIsAnError(t *testing.T) {
	for name, open := range map[string]func() (io.ReadCloser, error){
		"Open": func() (io.ReadCloser, error) { runtime.Goexit(); return nil, nil },
		"Read": func() (io.ReadCloser, error) {
			return io.NopCloser(readerFunc(func([]byte) (int, error) { runtime.Goexit(); return 0, nil })), nil
		},
	} {
		_, err := octets(built(t, streaming(open)))
		if e, ok := errors.AsType[*seserrors.Error](err); !ok || e.Class != seserrors.Invalid || e.Reason != seserrors.ContentUnreadable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPanicAfterTheEndHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		m := built(t, streaming(func() (io.ReadCloser, error) {
			return panics{readerFunc(func([]byte) (int, error) { <-gate; panic("mine") })}, nil
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := m.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		r.Close()
		close(gate)
		synctest.Wait() // in a goroutine of the library a panic would end the program
	})
}

// The mail waits with a context in Send, not in Build.
func TestARawThatStandsStillEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var late error
		m := &Message{From: "a@b.c", To: []string{"d@e.f"}, Raw: writerFunc(func(w io.Writer) (int64, error) {
			<-gate
			_, late = io.WriteString(w, "From: a@b.c\r\n\r\n")
			return 0, late
		})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := build(ctx, m)
		if e, ok := errors.AsType[*seserrors.Error](err); !ok || e.Reason != seserrors.DeadlineExceeded || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		close(gate)
		synctest.Wait()
		if late == nil {
			t.Error("what Raw wrote after the end was taken")
		}
		m.Raw = writerFunc(func(io.Writer) (int64, error) { panic("mine") })
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("recovered %v", p)
			}
		}()
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		build(ctx, m)
		t.Error("no panic")
	})
}
