package sesapi

import (
	"math"
	"net/http"
	"sync"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
)

// idleLimit is how long a connection for sends waits for the next one. A server
// that closes an idle connection races with its reuse, and a send that loses
// the race is in doubt although nothing was wrong with it.
const idleLimit = 5 * time.Second

// connections derives from the SDK's own HTTP clients ones that keep as many
// connections as there are senders: the SDK's keeps ten, so each burst of more
// dials anew. Everything else stays as it is (proxy, certificates, limits of
// time), and a client of the user's own is left alone.
type connections struct {
	mu      sync.Mutex
	derived map[*awshttp.BuildableClient]*awshttp.BuildableClient
}

// mostDerived bounds the derived clients that a door keeps, for a program that
// makes an HTTP client for every send.
const mostDerived = 16

// derive returns the client to use in the place of c: the same each time.
func (s *connections) derive(c sesv2.HTTPClient) sesv2.HTTPClient {
	sdk, ok := c.(*awshttp.BuildableClient)
	if !ok {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.derived[sdk]
	if !ok {
		if d = sdk; !suits(sdk.GetTransport()) {
			d = sdk.WithTransportOptions(suit)
		}
		if s.derived == nil || len(s.derived) == mostDerived {
			s.derived = make(map[*awshttp.BuildableClient]*awshttp.BuildableClient)
		}
		s.derived[sdk] = d
	}
	return d
}

// suit makes t keep what is idle for a short time, however much it is.
func suit(t *http.Transport) {
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, math.MaxInt32
	if t.IdleConnTimeout == 0 || t.IdleConnTimeout > idleLimit {
		t.IdleConnTimeout = idleLimit
	}
}

// suits reports whether t is so already, as that of a guarded client is.
func suits(t *http.Transport) bool {
	return t.MaxIdleConns == 0 && t.MaxIdleConnsPerHost == math.MaxInt32 && 0 < t.IdleConnTimeout && t.IdleConnTimeout <= idleLimit
}
