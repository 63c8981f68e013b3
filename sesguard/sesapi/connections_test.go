package sesapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// senders lets n send at once, so often, each through its own door if there are
// several.
func senders(t *testing.T, n, bursts int, send func(context.Context) error) {
	t.Helper()
	for range bursts {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if err := send(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func at(srv *sestest.Server) func(*sesv2.Options) {
	return func(o *sesv2.Options) { o.Region, o.BaseEndpoint = srv.Region, &srv.URL }
}

// The SDK's own client keeps ten: 30 senders would dial 20 anew in each burst.
func TestTheSDKsHTTPClientKeepsAsManyConnectionsAsSenders(t *testing.T) {
	const n = 30
	for _, door := range []string{"New", "Wrap", "Guard", "New over Guard"} {
		t.Run(door, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := sestest.NewMemoryServer()
				defer srv.Close()
				srv.Script(slow(3 * n)...) // so that all of a burst are under way at once
				http1 := func(t *http.Transport) {
					t.ForceAttemptHTTP2, t.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
					t.TLSClientConfig.NextProtos = []string{"http/1.1"}
				}
				plain := sdkClient(buildable(srv).WithTransportOptions(http1), at(srv))
				guarded := sdkClient(buildable(srv).WithTransportOptions(http1), at(srv), Guard(sesguard.Options{}))
				send := doors(plain, guarded)[strings.TrimSuffix(door, " over Guard")]
				if door == "New over Guard" {
					send = doors(guarded, nil)["New"]
				}
				senders(t, n, 3, send)
				if c := srv.APIConnections(); c.Total != n {
					t.Errorf("%d connections dialled for %d senders", c.Total, n)
				}
				time.Sleep(idleLimit)
				synctest.Wait()
				if c := srv.APIConnections(); c.Open != 0 {
					t.Errorf("%d connections are open after %v without a send", c.Open, idleLimit)
				}
			})
		})
	}
}

// slow is n faults that hold an answer up.
func slow(n int) []sestest.Fault {
	list := make([]sestest.Fault, n)
	for i := range list {
		list[i] = sestest.Delay(sestest.EndOfData, time.Second)
	}
	return list
}

func TestOneClientIsDerivedFromEach(t *testing.T) {
	var s connections
	a, b := awshttp.NewBuildableClient(), awshttp.NewBuildableClient().WithTimeout(time.Minute)
	da, db := s.derive(a), s.derive(b)
	if da == a || da != s.derive(a) || db != s.derive(b) || da == db {
		t.Error("not one client for each, the same each time")
	}
	if s.derive(da) != da || new(connections).derive(da) != da {
		t.Error("a client that is right already was derived from again")
	}
	if db.(*awshttp.BuildableClient).GetTimeout() != time.Minute {
		t.Error("the client's own settings are lost")
	}
	for range 3 * mostDerived {
		s.derive(awshttp.NewBuildableClient())
	}
	if len(s.derived) > mostDerived {
		t.Errorf("%d clients are kept", len(s.derived))
	}
	short := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.IdleConnTimeout = time.Second })
	if got := s.derive(short).(*awshttp.BuildableClient).GetTransport().IdleConnTimeout; got != time.Second {
		t.Errorf("the user's idle limit of 1s became %v", got)
	}
	for _, own := range []sesv2.HTTPClient{http.DefaultClient, doer(nobody)} {
		if _, ok := own.(doer); !ok && s.derive(own) != own {
			t.Errorf("the user's %T was replaced", own)
		}
	}
}

// AWS_CA_BUNDLE is read by the SDK's config package, into its own HTTP client.
func TestACertificateBundleOfTheUserWorks(t *testing.T) {
	srv := sestest.NewServer()
	defer srv.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, certificate(t, srv), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_CA_BUNDLE": bundle, "AWS_REGION": srv.Region, "AWS_ACCESS_KEY_ID": srv.AccessKeyID, "AWS_SECRET_ACCESS_KEY": srv.SecretAccessKey,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_ENDPOINT_URL_SESV2": srv.URL,
	} {
		t.Setenv(name, value)
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for door, send := range doors(sesv2.NewFromConfig(cfg), sesv2.NewFromConfig(cfg, Guard(sesguard.Options{}))) {
		if err := send(t.Context()); err != nil {
			t.Errorf("%s: %v", door, err)
		}
	}
}

// certificate is that of srv, as a file of certificates has it.
func certificate(t *testing.T, srv *sestest.Server) []byte {
	resp, err := srv.HTTPClient().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var leaf *x509.Certificate = resp.TLS.PeerCertificates[len(resp.TLS.PeerCertificates)-1]
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
}

func TestAProxyWorksAndItsRefusalLeavesNoDoubt(t *testing.T) {
	srv := sestest.NewServer()
	defer srv.Close()
	connects, refusal := 0, 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connects++
		if r.Method != http.MethodConnect || refusal != 0 {
			w.WriteHeader(max(refusal, 400))
			return
		}
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		down, _, _ := http.NewResponseController(w).Hijack()
		down.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		pipe(up, down)
	}))
	defer proxy.Close()
	address, _ := url.Parse(proxy.URL)
	through := func() *awshttp.BuildableClient {
		return buildable(srv).WithTransportOptions(func(t *http.Transport) { t.Proxy, t.DialContext = http.ProxyURL(address), nil })
	}
	for door, send := range doors(sdkClient(through(), at(srv)), sdkClient(through(), at(srv), Guard(sesguard.Options{}))) {
		if err := send(t.Context()); err != nil {
			t.Errorf("%s: %v", door, err)
		}
	}
	if connects != 3 || srv.AcceptedCount() != 3 {
		t.Errorf("%d connections through the proxy, %d mails", connects, srv.AcceptedCount())
	}
	for _, refusal = range []int{403, 407, 502} {
		_, err := attempt(t.Context(), t, sdkClient(through(), at(srv)))
		if err == nil || seserrors.MaybeAccepted(err) {
			t.Errorf("%d from the proxy: %v, want no doubt", refusal, err)
		}
	}
	if srv.AcceptedCount() != 3 {
		t.Errorf("%d mails", srv.AcceptedCount())
	}
}

// pipe joins two connections until both have ended.
func pipe(a, b net.Conn) {
	copyTo := func(dst, src net.Conn) {
		buf := make([]byte, 4096)
		for {
			n, err := src.Read(buf)
			dst.Write(buf[:n])
			if err != nil {
				dst.Close()
				return
			}
		}
	}
	go copyTo(a, b)
	go copyTo(b, a)
}

// A server that answers before it has read the request, or not at all.
func TestAnswersThatComeEarlyOverHTTP(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		doubt        bool
		reason       seserrors.Reason
	}{
		{"success", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n" + accepted, true, seserrors.ResponseLost},
		{"refusal", "HTTP/1.1 413 Too Large\r\nX-Amzn-Errortype: RequestEntityTooLargeException\r\nContent-Length: 2\r\n\r\n{}", false, ""},
		{"gateway", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", false, seserrors.ServiceFailure},
		{"redirect", "HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", false, seserrors.ProtocolError},
		{"nothing", "", false, seserrors.Network},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dial := func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					server.Read(make([]byte, 8192)) // the head, and a little of the body
					if server.Write([]byte(tc.answer)); tc.answer == "" {
						server.Close()
					}
				}()
				t.Cleanup(func() { server.Close() })
				return client, nil
			}
			client := sdkClient(awshttp.NewBuildableClient(), func(o *sesv2.Options) {
				url := "http://ses.example"
				o.BaseEndpoint = &url
				o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DialContext = dial })
			})
			m := sources(make([]byte, 500_000))["raw"]
			_, err := New(client, Config{}).Attempt(t.Context(), build(t, m))
			e := seserrors.Classify(err)
			if e == nil || e.MaybeAccepted != tc.doubt || tc.reason != "" && e.Reason != tc.reason || errors.Is(err, seserrors.ContentUnreadable) {
				t.Errorf("got %+v, want %s, doubt %v", e, tc.reason, tc.doubt)
			}
		})
	}
}
