package sesapi

import (
	"io"
	"net/http"
	"sync"

	stderrors "errors"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// An exchange is one call of the HTTP client, and the body of its request: it
// counts the octets that the client has taken. After seal it gives out no more,
// so a connection's goroutine that outlives the call cannot complete a request
// that was reported as unsent.
type exchange struct {
	host string // where the request goes

	mu     sync.Mutex
	src    io.Reader // nil: the request has no body, as if all of it were handed out
	left   int64     // octets to come, -1 if only the end of src will tell
	begun  bool      // an octet was handed out
	sealed bool

	status    int  // of the answer, 0 if there was none
	named     bool // it has SES's header with an error code
	requestID string
}

var errSealed = stderrors.New("sesguard: request body read after the call has ended")

// watch puts x in the place of req's body. The length is the stream's own or,
// where a middleware has wrapped the stream, that of the header.
func (x *exchange) watch(req *smithyhttp.Request) (*smithyhttp.Request, error) {
	x.host = req.URL.Host
	if req.GetStream() == nil {
		return req, nil
	}
	n, known, err := req.StreamLength()
	if err != nil || !known {
		n = max(req.ContentLength, -1)
	}
	x.src, x.left = req.GetStream(), n
	counted, err := blank.SetStream(x)
	if err != nil {
		return nil, err
	}
	counted.Request = req.Request
	if req.GetBody != nil || req.ContentLength != n {
		own := *req.Request // with GetBody net/http would send the request again by itself
		own.GetBody, own.ContentLength = nil, n
		counted.Request = &own
	}
	return counted, nil
}

// blank is only there to be cloned: SetStream is the one way to set a stream,
// and the clone of a whole request is not needed.
var blank = &smithyhttp.Request{Request: new(http.Request)}

// Read reads the body for the HTTP client.
func (x *exchange) Read(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.left == 0:
		return 0, io.EOF // also after seal: the end of a whole body spoils no connection
	case x.sealed:
		return 0, errSealed
	case x.left > 0 && int64(len(p)) > x.left:
		p = p[:x.left]
	}
	n, err := x.src.Read(p)
	x.begun = x.begun || n > 0
	switch {
	case x.left > 0:
		x.left -= int64(n)
		if err == io.EOF && x.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	case err == io.EOF:
		x.left = 0
	}
	return n, err
}

func (x *exchange) seal() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sealed = true
}

// progress reports whether the body was handed out whole, and whether any of it
// was.
func (x *exchange) progress() (whole, begun bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.src == nil || x.left == 0, x.begun
}

// close seals the body and notes the answer.
func (x *exchange) close(raw any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sealed = true
	if resp, ok := raw.(*smithyhttp.Response); ok && resp != nil && resp.Response != nil {
		x.status = resp.StatusCode
		x.named = resp.Header.Get("X-Amzn-Errortype") != ""
		x.requestID = resp.Header.Get("X-Amzn-Requestid")
	}
}

func (x *exchange) answer() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.status
}

func (x *exchange) succeeded() bool { s := x.answer(); return s >= 200 && s < 300 }

// doubtful reports whether SES may have the mail. err is what the SDK made of
// the answer, nil if that is not known.
func (x *exchange) doubtful(err error) bool {
	whole, _ := x.progress()
	x.mu.Lock()
	defer x.mu.Unlock()
	named := x.named || namedBySES(err)
	switch {
	case x.status < 200:
		return whole
	case x.status < 300:
		return true
	case x.status < 400:
		return false
	case x.status < 500:
		return whole && !named && fromGateway(x.status)
	default:
		return whole && (err == nil || seserrors.FromAPI(opSendEmail, err).MaybeAccepted)
	}
}
