package sesapi

import (
	stderrors "errors"
	"io"
	"net/http"
	"sync"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A request is one pass through the SDK's stack behind its retry step: it gets
// credentials, signs, and calls the HTTP client. It is the body of that call
// too, and counts the octets that the client takes. When the call has ended it
// gives out no more, so a connection's goroutine that outlives the call cannot
// complete a request that was reported as unsent.
type request struct {
	creds  *credentials
	region string // as the client is configured
	mock   bool   // the HTTP client may be a test's, which reads no bodies

	mu         sync.Mutex
	identified bool   // credentials were got
	called     bool   // the HTTP client was called
	host       string // where the request went

	src    io.Reader // nil: a call without a body, as if all of it were handed out
	left   int64     // octets to come, -1 if only the end of src will tell
	begun  bool      // an octet was handed out
	sealed bool

	status    int  // of the answer, 0 if there was none
	named     bool // it has SES's header with an error code
	requestID string

	ended    bool
	accepted bool // it drew a success that can be believed
	early    bool // it drew a success before the body was handed out whole
	doubt    bool // SES may have the mail, and did not say so
}

const opSendEmail = "ses SendEmail"

var (
	errSealed = stderrors.New("sesguard: request body read after the call has ended")
	errOver   = stderrors.New("sesguard: a request after the end of its attempt")

	errElsewhere = stderrors.New("sesguard: the HTTP client followed a redirect, and the answer is not to the request with the mail")
)

// gotCredentials records that the request will be signed.
func (r *request) gotCredentials() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.identified = r.identified || !r.ended
	r.creds.got()
}

// call returns req with r in the place of its body. The length is the stream's
// own or, where a middleware has wrapped the stream, that of the header. A
// middleware that calls again leaves the doubt of its first call behind.
func (r *request) call(req *smithyhttp.Request) (*smithyhttp.Request, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, errOver
	}
	r.doubt = r.doubt || r.called && r.uncertain(nil)
	r.called, r.host, r.status, r.begun, r.sealed = true, req.URL.Host, 0, false, false
	if r.src = req.GetStream(); r.src == nil {
		return req, nil
	}
	n, known, err := req.StreamLength()
	if err != nil || !known {
		n = max(req.ContentLength, -1)
	}
	r.left = n
	counted, err := blank.SetStream(r)
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
func (r *request) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.left == 0:
		return 0, io.EOF // also when sealed: the end of a whole body spoils no connection
	case r.sealed:
		return 0, errSealed
	case r.left > 0 && int64(len(p)) > r.left:
		p = p[:r.left]
	}
	n, err := r.src.Read(p)
	r.begun = r.begun || n > 0
	switch {
	case r.left > 0:
		r.left -= int64(n)
		if err == io.EOF && r.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	case err == io.EOF:
		r.left = 0
	}
	return n, err
}

// returned records the HTTP client's answer, and seals the body. It returns an
// error if that is the answer to another request: net/http follows a redirect
// without the body, by a GET, so what it found says nothing of the mail.
func (r *request) returned(raw any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealed = true
	resp, ok := raw.(*smithyhttp.Response)
	if !ok || r.ended || resp == nil || resp.Response == nil {
		return nil
	}
	first := resp.Response
	for first.Request != nil && first.Request.Response != nil {
		first = first.Request.Response
	}
	r.status = first.StatusCode
	r.named = first.Header.Get("X-Amzn-Errortype") != ""
	r.requestID = first.Header.Get("X-Amzn-Requestid")
	if first != resp.Response {
		return errElsewhere
	}
	return nil
}

// end seals and judges r, once, and then it does not change any more. err is
// what the SDK made of the answer; a request that the api has left behind ends
// without one.
func (r *request) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.ended, r.sealed = true, true
	switch success := err == nil && r.status >= 200 && r.status < 300; {
	case success && (r.whole() || r.mock && !r.begun): // a test's HTTP client may not look at the body
		r.accepted = true
	case success:
		r.early, r.doubt = true, true
	default:
		r.doubt = r.doubt || r.called && r.uncertain(err)
	}
}

func (r *request) whole() bool { return r.src == nil || r.left == 0 }

// uncertain reports whether SES may have the mail after a call that did not
// succeed, as the SDK understands it: err is nil where it was not asked.
func (r *request) uncertain(err error) bool {
	switch {
	case r.status < 200:
		return r.whole()
	case r.status < 300:
		return true
	case r.status < 400:
		return false
	case r.status < 500:
		return r.whole() && fromGateway(r.status) && !r.named && !namedBySES(err)
	default:
		return r.whole() && (err == nil || seserrors.FromAPI(opSendEmail, err).MaybeAccepted)
	}
}

// namedBySES reports whether err holds an error code: SES names its refusals,
// a gateway does not.
func namedBySES(err error) bool {
	api, ok := stderrors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() != "" && api.ErrorCode() != "UnknownError"
}

// fromGateway reports whether a gateway may answer with this status after it
// has passed the request on.
func fromGateway(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusMisdirectedRequest, http.StatusTooEarly, http.StatusTooManyRequests, 499:
		return true
	}
	return false
}
