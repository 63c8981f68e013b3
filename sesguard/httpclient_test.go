package sesguard

import (
	"bytes"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	seserrors "github.com/sesguard/sesguard-go/errors"
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
		conn := newAPIConn(client)
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

// A loggedConn counts writes. Its next write takes all but cut octets, if cut
// is not 0, and fails.
type loggedConn struct {
	net.Conn
	writes atomic.Int64
	cut    atomic.Int64
}

func (c *loggedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	if cut := int(c.cut.Load()); cut > 0 {
		n, _ := c.Conn.Write(p[:max(0, len(p)-cut)])
		return n, errors.New("the line is dead")
	}
	return c.Conn.Write(p)
}

// A loggedClient is a client of one connection, that is logged.
type loggedClient struct {
	*http.Client
	url  string
	conn *loggedConn
	sdk  *sesv2.Client
}

func (c *loggedClient) send(optFns ...func(*sesv2.Options)) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // for a test that fails
	defer cancel()
	_, err := sendOnce(ctx, c.sdk, rawInput(), optFns)
	return err
}

// localSDK is the SDK's client of srv.
func localSDK(srv *httptest.Server, client *http.Client) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region: "us-east-1", BaseEndpoint: &srv.URL, HTTPClient: client,
		Credentials: aws.CredentialsProviderFunc(testCredentials),
	})
}

// logged runs f with clear text and with TLS.
func logged(t *testing.T, answer http.HandlerFunc, f func(t *testing.T, c *loggedClient)) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			srv := start(answer)
			defer srv.Close()
			c := &loggedClient{Client: HTTPClient(1), url: srv.URL}
			defer c.CloseIdleConnections()
			tr := c.Transport.(*http.Transport)
			if name == "https" {
				trusting(c.Client, srv)
			}
			tr.IdleConnTimeout = 0
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				c.conn = &loggedConn{Conn: conn}
				return newAPIConn(c.conn), nil
			}
			c.sdk = localSDK(srv, c.Client)
			f(t, c)
		})
	}
}

func accepting(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, `{"MessageId":"0100-id"}`)
}

func TestAGuardedSendIsOneWrite(t *testing.T) {
	logged(t, accepting, func(t *testing.T, c *loggedClient) {
		get := func() error {
			resp, err := c.Get(c.url)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				err = resp.Body.Close()
			}
			return err
		}
		guarded := func() error { return c.send() }
		if err := guarded(); err != nil { // connects
			t.Fatal(err)
		}
		conn := c.conn
		for i, do := range []func() error{guarded, get, guarded} {
			before := conn.writes.Load()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			if n := conn.writes.Load() - before; n != 1 || c.conn != conn {
				t.Errorf("request %d: %d writes on the first connection, want 1", i, n)
			}
		}
	})
}

func TestWhatAConnectionHoldsBack(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	go io.Copy(io.Discard, server)
	line := &loggedConn{Conn: client}
	conn := newAPIConn(line)
	writes := func(p string) int64 {
		t.Helper()
		before := line.writes.Load()
		if n, err := conn.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		return line.writes.Load() - before
	}
	for _, tc := range []struct {
		first string
		held  bool
	}{{"POST / HTTP/1.1", true}, {"\x17\x03\x03 a record of data", true}, {"\x15\x03\x03 an alert", false}, {"PRI * HTTP/2.0", false}} {
		conn.join(true)
		if held := writes(tc.first) == 0; held != tc.held {
			t.Errorf("%q held back: %v", tc.first, held)
		}
		if n := writes("body") + writes("more"); n != 2 {
			t.Errorf("after %q: %d writes, want 2", tc.first, n)
		}
	}
	conn.join(true)
	if writes("POST / HTTP/1.1"); writes(strings.Repeat("x", keepHeld)) != 1 || cap(conn.held) > keepHeld {
		t.Errorf("an idle connection keeps %d octets", cap(conn.held))
	}
	conn.join(true)
	writes("POST / HTTP/1.1")
	line.cut.Store(1)
	if n, err := conn.Write([]byte("body")); n != 3 || err == nil {
		t.Errorf("%d octets of the body, %v", n, err)
	}
}

func TestALostAnswerToOneWriteLeavesDoubt(t *testing.T) {
	logged(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}, func(t *testing.T, c *loggedClient) {
		if err := c.send(); !seserrors.MaybeAccepted(err) {
			t.Errorf("got %v, want doubt", err)
		}
	})
}

// What follows a redirect has no body that its header could be written with.
func TestARedirectThatIsFollowedIsNotHeldBack(t *testing.T) {
	logged(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			http.Redirect(w, r, "/elsewhere", http.StatusSeeOther)
			return
		}
		w.WriteHeader(http.StatusTeapot)
	}, func(t *testing.T, c *loggedClient) {
		c.CheckRedirect = nil
		var known *seserrors.Error
		if err := c.send(); !errors.As(err, &known) || known.Code != http.StatusTeapot {
			t.Errorf("got %v, want what came after the redirect", err)
		}
	})
}

func TestAHeaderThatAsksForAnAnswerIsNotHeldBack(t *testing.T) {
	logged(t, accepting, func(t *testing.T, c *loggedClient) {
		c.Transport.(*http.Transport).ExpectContinueTimeout = time.Hour
		err := c.send(func(o *sesv2.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("Expect", "100-continue"))
			o.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
				r.ProtoMajor, r.ProtoMinor = 1, 1 // or net/http would not wait
				return c.Do(r)
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A client around HTTPClient may put another body in place of a guarded one, or
// send something else first: nothing may wait for a body that does not follow.
func TestAHeaderIsNotHeldBackFromWhatAClientMakesOfARequest(t *testing.T) {
	first := func(method, body string) func(*loggedClient, *http.Request) error {
		return func(c *loggedClient, r *http.Request) error {
			req, err := http.NewRequestWithContext(r.Context(), method, c.url, strings.NewReader(body))
			if err != nil {
				return err
			}
			resp, err := c.Do(req)
			if err != nil {
				return err
			}
			io.Copy(io.Discard, resp.Body)
			return resp.Body.Close()
		}
	}
	for name, change := range map[string]func(*loggedClient, *http.Request) error{
		"a body in memory": func(_ *loggedClient, r *http.Request) error { // as httputil.DumpRequest does
			b, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(b))
			return err
		},
		"no body": func(_ *loggedClient, r *http.Request) error {
			r.Body, r.ContentLength = http.NoBody, 0
			return nil
		},
		"a body of unknown length": func(_ *loggedClient, r *http.Request) error {
			r.ContentLength = -1
			return nil
		},
		"GET first":  first(http.MethodGet, ""),
		"POST first": first(http.MethodPost, "a=b"),
	} {
		t.Run(name, func(t *testing.T) {
			logged(t, accepting, func(t *testing.T, c *loggedClient) {
				for range 2 { // connects, and takes what it has
					err := c.send(func(o *sesv2.Options) {
						o.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
							if err := change(c, r); err != nil {
								return nil, err
							}
							return c.Do(r)
						})
					})
					if err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// Over HTTP/2 a connection carries the frames of many requests.
func TestAHeaderOverHTTP2IsNotHeldBack(t *testing.T) {
	var proto atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto.Store(int64(r.ProtoMajor))
		accepting(w, r)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	client := trusting(HTTPClient(1), srv)
	defer client.CloseIdleConnections()
	tr, conn := client.Transport.(*http.Transport), (*apiConn)(nil)
	tr.Protocols.SetHTTP2(true)
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		conn = newAPIConn(c)
		return conn, err
	}
	c := &loggedClient{sdk: localSDK(srv, client)}
	if err := c.send(); err != nil || proto.Load() != 2 {
		t.Fatalf("HTTP/%d: %v", proto.Load(), err)
	}
	if conn.held != nil {
		t.Errorf("%d octets were held back", len(conn.held))
	}
}
