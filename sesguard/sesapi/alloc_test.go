//go:build !race

package sesapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard"
)

// mostAPI is how many allocations a send may make beside the SDK's own call.
const mostAPI = 48

func rawMail(size int) []byte {
	head := "From: a@example.com\r\nTo: b@example.org\r\nSubject: s\r\n\r\n"
	return append([]byte(head), bytes.Repeat([]byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n"), size/64)...)
}

// canned answers every request from memory, once it has read the body.
func canned(r *http.Request) (*http.Response, error) {
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	for {
		if _, err := r.Body.Read(buf[:]); err == io.EOF {
			return response(r, 200, "", accepted), nil
		} else if err != nil {
			return nil, err
		}
	}
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// Both sides make their request anew for each message, as a program that sends
// different mails must.
func TestAGuardedSendAllocatesLittleMoreThanTheSDK(t *testing.T) {
	msg, ctx := rawMail(2<<10), context.Background()
	api := sdkClient(doer(canned))
	client := sesguard.New(New(api, Config{}), sesguard.Options{})
	bare := testing.AllocsPerRun(300, func() {
		in := rawInput()
		in.Content.Raw.Data = msg
		if _, err := api.SendEmail(ctx, in); err != nil {
			t.Fatal(err)
		}
	})
	guarded := testing.AllocsPerRun(300, func() {
		m := &sesguard.Message{From: "a@example.com", To: []string{"b@example.org"}, Raw: bytes.NewReader(msg)}
		if _, err := client.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations, %v without the guard", guarded, bare)
	if guarded-bare > mostAPI {
		t.Errorf("%v allocations on top of the SDK's %v", guarded-bare, bare)
	}
}

// allocated is what f allocates in all, when the pools are empty.
func allocated(f func()) uint64 {
	runtime.GC()
	runtime.GC() // the first leaves what the pools held in reserve
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestALargeMailNeedsNoCopiesOfItself(t *testing.T) {
	const most = 256 << 10
	msg, ctx := rawMail(10<<20), context.Background()
	api := sdkClient(doer(canned))
	transport, wrapped := New(api, Config{}), Wrap(api, sesguard.Options{})
	streamed := letter()
	streamed.Attachments = []sesguard.Attachment{{Name: "a.bin", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(msg)), nil }}}
	mails := map[string]*sesguard.Mail{
		"raw":      build(t, &sesguard.Message{From: "a@example.com", To: []string{"b@example.org"}, Raw: bytes.NewReader(msg)}),
		"held":     build(t, &sesguard.Message{From: "a@example.com", To: []string{"b@example.org"}, Text: "t", Attachments: []sesguard.Attachment{{Name: "a.bin", Content: msg}}}),
		"streamed": build(t, streamed),
	}
	sends := map[string]func() error{"Wrap": func() error {
		in := rawInput()
		in.Content.Raw.Data = msg
		_, err := wrapped.SendEmail(ctx, in)
		return err
	}}
	for name, m := range mails {
		sends[name] = func() error { _, err := transport.Attempt(ctx, m); return err }
	}
	for name, send := range sends {
		t.Run(name, func(t *testing.T) {
			f := func() {
				if err := send(); err != nil {
					t.Fatal(err)
				}
			}
			f()
			n := allocated(f)
			t.Logf("%d KB allocated to send 10 MB", n>>10)
			if n > most {
				t.Errorf("%d octets allocated, at most %d", n, most)
			}
		})
	}
}

func TestEightSendersOfLargeMailsNeedLittleHeap(t *testing.T) {
	const most = 32 << 20
	msg := rawMail(10 << 20)
	m := build(t, &sesguard.Message{From: "a@example.com", To: []string{"b@example.org"}, Raw: bytes.NewReader(msg)})
	runtime.GC()
	var peak uint64
	var mu sync.Mutex
	measured := sdkClient(doer(func(r *http.Request) (*http.Response, error) {
		resp, err := canned(r)
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		mu.Lock()
		peak = max(peak, s.HeapAlloc)
		mu.Unlock()
		return resp, err
	}))
	transport := New(measured, Config{})
	senders(t, 8, 2, func(ctx context.Context) error { _, err := transport.Attempt(ctx, m); return err })
	t.Logf("peak heap %d MB", peak>>20)
	if peak > most {
		t.Errorf("%d octets of heap, at most %d", peak, most)
	}
}
