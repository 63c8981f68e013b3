package sesguard

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// counted counts the connections that a server accepts.
func counted(srv *httptest.Server) *atomic.Int64 {
	n := new(atomic.Int64)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
	return n
}

// trusting makes client trust srv.
func trusting(client *http.Client, srv *httptest.Server) *http.Client {
	client.Transport.(*http.Transport).TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	return client
}

func TestBurstsOfSendersDialNoMoreThanTheirNumber(t *testing.T) {
	const senders = 64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("request over %s", r.Proto)
		}
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("an answer may be packed: %v", r.Header)
		}
		io.Copy(io.Discard, r.Body)
	}))
	conns := counted(srv)
	srv.EnableHTTP2 = true // offered, and not taken
	srv.StartTLS()
	defer srv.Close()
	client := trusting(HTTPClient(senders), srv)
	defer client.CloseIdleConnections()
	for range 5 {
		var wg sync.WaitGroup
		for range 2 * senders {
			wg.Go(func() {
				resp, err := client.Post(srv.URL, "text/plain", strings.NewReader("mail"))
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			})
		}
		wg.Wait()
	}
	if n := conns.Load(); n > senders {
		t.Errorf("%d connections for %d senders", n, senders)
	}
}

// A request body without GetBody is one that net/http cannot send again.
func TestHTTPClientSendsARequestOnce(t *testing.T) {
	var posts atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if posts.Add(1) > 1 {
			panic(http.ErrAbortHandler) // read in full, no answer
		}
	}))
	srv.Config.ErrorLog = nil
	defer srv.Close()
	client := HTTPClient(1)
	defer client.CloseIdleConnections()
	for i := range 2 {
		resp, err := client.Post(srv.URL, "text/plain", struct{ io.Reader }{strings.NewReader("mail")})
		if (err == nil) != (i == 0) {
			t.Errorf("request %d: %v", i, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	if n := posts.Load(); n != 2 {
		t.Errorf("%d requests arrived, want 2: one was sent again", n)
	}
}

func TestHTTPClientKeepsAnIdleConnectionForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sestest.NewMemoryServer()
		defer srv.Close()
		client := HTTPClient(4)
		defer client.CloseIdleConnections()
		transport := client.Transport.(*http.Transport)
		transport.DialContext, transport.TLSClientConfig, transport.Proxy = srv.DialContext, srv.TLSConfig(), nil
		get := func() {
			req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, srv.URL, nil)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			synctest.Wait()
		}
		get()
		for _, step := range []struct {
			idle  time.Duration
			conns int
		}{{5*time.Second - time.Millisecond, 1}, {5 * time.Second, 2}} {
			time.Sleep(step.idle)
			synctest.Wait()
			get()
			if got := srv.APIConnections().Total; got != step.conns {
				t.Errorf("after %v of idleness: %d connections so far, want %d", step.idle, got, step.conns)
			}
		}
	})
}

func TestAWriteThatMovesNothingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		defer client.Close()
		conn := bounded(client)
		stuck := func() {
			t.Helper()
			start := time.Now()
			_, err := conn.Write([]byte("mail"))
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took > writeTimeout || took < writeTimeout-renewAfter {
				t.Errorf("%v after %v", err, took)
			}
		}
		stuck()
		go io.Copy(io.Discard, io.LimitReader(server, 20*4))
		for range 20 { // longer than one deadline lasts
			if _, err := conn.Write([]byte("mail")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(writeTimeout / 10)
		}
		stuck()
	})
}
