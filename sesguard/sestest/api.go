package sestest

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
)

// maxRequest is the longest request body taken: a message of 40 MB in base64
// and some room for the JSON around it.
const maxRequest = MaxMessageSize/3*4 + 1<<20

type connKey struct{}

func (s *Server) newAPIServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/email/outbound-emails", s.handle((*apiCall).sendEmail))
	mux.HandleFunc("POST /v2/email/outbound-bulk-emails", s.handle((*apiCall).sendBulkEmail))
	s.handleControl(mux)
	mux.HandleFunc("GET /{$}", s.aside(s.serveSNS))
	mux.HandleFunc("GET /{file}", s.aside(s.serveCert))
	mux.HandleFunc("POST /{$}", s.aside(s.serveSQS))
	mux.HandleFunc("/", s.handle((*apiCall).unknown))
	return &http.Server{
		Handler:     mux,
		TLSConfig:   s.serverTLS("h2", "http/1.1"),
		ErrorLog:    log.New(io.Discard, "", 0), // cut handshakes are what tests are about
		ConnState:   s.awaitConn,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
}

// awaitConn has Close wait for the HTTP server's connections.
func (s *Server) awaitConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.wg.Add(1)
	case http.StateClosed:
		s.wg.Done()
	}
}

// An apiListener counts connections and plays the faults at Connect.
type apiListener struct {
	net.Listener
	srv *Server
}

func (l *apiListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if _, _, ok := l.srv.track(c, &l.srv.http); !ok {
			c.Close()
			continue
		}
		tracked := &apiConn{Conn: c, srv: l.srv}
		f := l.srv.take(Connect, overAPI)
		if f == nil {
			return tracked, nil
		}
		l.srv.wg.Go(func() {
			leave(c, f.kind)
			tracked.Close()
		})
	}
}

// An apiConn tells the server when it is closed.
type apiConn struct {
	net.Conn
	srv *Server
}

func (c *apiConn) Close() error {
	c.srv.untrack(c.Conn, &c.srv.http)
	return c.Conn.Close()
}

// An apiCall is one request.
type apiCall struct {
	srv *Server
	w   http.ResponseWriter
	r   *http.Request
	id  string
}

// An apiFailure is an answer that says why not.
type apiFailure struct {
	status        int
	code, message string
	body          *string // the whole body, in place of SES's JSON
	header        http.Header
}

// failure is the answer that the fault asks for.
func (f *Fault) failure() *apiFailure {
	a := &apiFailure{status: f.code, code: f.errCode, message: f.text, header: f.header}
	if f.body {
		a.body = &f.text
	}
	return a
}

func badRequest(message string) *apiFailure {
	return &apiFailure{status: 400, code: "BadRequestException", message: message}
}

func notJSON() *apiFailure {
	return &apiFailure{status: 400, code: "SerializationException", message: "Unable to deserialize the request."}
}

func (r *refusal) failure() *apiFailure {
	status, code, message := r.api()
	return &apiFailure{status: status, code: code, message: message}
}

func (s *Server) handle(h func(*apiCall) (any, *apiFailure)) http.HandlerFunc {
	return s.aside(func(w http.ResponseWriter, r *http.Request) {
		s.set(func() { s.requests++ })
		c := &apiCall{srv: s, w: w, r: r, id: newUUID()}
		result, failure := h(c)
		if failure != nil {
			c.fail(failure)
			return
		}
		c.write(http.StatusOK, result, nil)
	})
}

// aside has Close wait for a request that the API's count leaves out.
func (s *Server) aside(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.startRequest() {
			panic(http.ErrAbortHandler)
		}
		defer s.wg.Done()
		h(w, r)
	}
}

func (s *Server) startRequest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.wg.Add(1)
	}
	return !s.closed
}

func (c *apiCall) write(status int, result any, extra http.Header) {
	body, err := json.Marshal(result)
	if err != nil {
		panic("sestest: encode an answer: " + err.Error())
	}
	c.writeBody(status, "application/json", body, extra)
}

func (c *apiCall) writeBody(status int, contentType string, body []byte, extra http.Header) {
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Amzn-Requestid", c.id)
	maps.Copy(h, extra)
	c.w.WriteHeader(status)
	c.w.Write(body)
}

func (c *apiCall) fail(f *apiFailure) {
	switch {
	case f.body != nil:
		c.writeBody(f.status, http.DetectContentType([]byte(*f.body)), []byte(*f.body), f.header)
	case f.code == "":
		c.writeBody(f.status, "application/json", nil, f.header)
	default:
		c.w.Header().Set("X-Amzn-Errortype", f.code)
		c.write(f.status, map[string]string{"message": f.message}, f.header)
	}
}

// abort ends the call without an answer. Over HTTP/2 that resets the stream;
// the connection's other requests go on.
func (c *apiCall) abort(how faultKind) {
	if tc, ok := c.r.Context().Value(connKey{}).(*tls.Conn); ok && c.r.ProtoMajor == 1 {
		raw := tc.NetConn()
		if a, ok := raw.(*apiConn); ok && how == resetConn {
			reset(a.Conn)
		}
		raw.Close()
	}
	panic(http.ErrAbortHandler)
}

// strike plays a fault that leaves the client without an answer.
func (c *apiCall) strike(f *Fault) {
	if f.kind == stall {
		io.Copy(io.Discard, c.r.Body)
		select {
		case <-c.r.Context().Done():
		case <-c.srv.done:
		}
	}
	c.abort(f.kind)
}

// readBody reads the request and plays the faults that come before its end.
func (c *apiCall) readBody() ([]byte, *apiFailure) {
	if f := c.srv.take(Data, overAPI); f != nil {
		c.strike(f)
	}
	if f := c.srv.take(body, overAPI); f != nil {
		io.CopyN(io.Discard, c.r.Body, int64(f.after))
		c.abort(cut)
	}
	b, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxRequest))
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return nil, &apiFailure{status: 413, code: "RequestEntityTooLargeException",
			message: "The request entity is too large. Reduce the size of the request body and try again."}
	}
	if err != nil {
		c.abort(cut)
	}
	return b, nil
}

// prevent plays a fault at EndOfData that keeps the request from being looked
// at. m is what a scripted refusal speaks of.
func (c *apiCall) prevent(f *Fault, m *submission) *apiFailure {
	switch f.kind {
	case refuse:
		return scripted(f.reason, m).failure()
	case apiReply:
		return f.failure()
	}
	c.strike(f)
	return nil
}

// after plays a fault on a request that was accepted.
func (c *apiCall) after(f *Fault) *apiFailure {
	if f == nil {
		return nil
	}
	switch f.kind {
	case acceptThenCut:
		c.abort(cut)
	case acceptThenFail:
		return &apiFailure{status: 500, code: "InternalFailure", message: "UnknownError"}
	case acceptThenReply:
		return f.failure()
	}
	return nil
}

func (c *apiCall) unknown() (any, *apiFailure) {
	return nil, &apiFailure{status: 404, code: "UnknownOperationException", message: "The action or operation isn't recognized."}
}

// A request asks for messages to be sent.
type request interface {
	first(*Account) *submission                              // the message that a scripted refusal speaks of
	send(c *apiCall, raw []byte) (result any, r *apiFailure) // once no fault prevents it
}

// message takes a request and plays the script on it.
func (c *apiCall) message(req request) (any, *apiFailure) {
	b, failure := c.readBody()
	if failure != nil {
		return nil, failure
	}
	problem := json.Unmarshal(b, req)
	f := c.srv.take(EndOfData, overAPI)
	switch {
	case f.preventsAcceptance():
		return nil, c.prevent(f, req.first(c.srv.Account))
	case problem != nil:
		return nil, notJSON()
	}
	result, failure := req.send(c, b)
	if failure != nil {
		return nil, failure
	}
	return result, c.after(f)
}

func (c *apiCall) sendEmail() (any, *apiFailure)     { return c.message(new(sendRequest)) }
func (c *apiCall) sendBulkEmail() (any, *apiFailure) { return c.message(new(bulkRequest)) }

func (q *sendRequest) first(a *Account) *submission {
	m, _ := q.submission(a)
	return m
}

func (q *sendRequest) send(c *apiCall, raw []byte) (any, *apiFailure) {
	id, r := c.submit(q, raw, "")
	if r != nil {
		return nil, r.failure()
	}
	return map[string]string{"MessageId": id}, nil
}

// submit submits the message of a request, or of an entry of one.
func (c *apiCall) submit(q *sendRequest, raw []byte, operation string) (id string, r *refusal) {
	m, r := q.submission(c.srv.Account)
	if r != nil {
		return "", r
	}
	m.mail.operation = cmp.Or(operation, m.mail.operation)
	m.mail.Request, m.mail.sourceIP = raw, hostOf(c.r.RemoteAddr)
	if c.r.TLS != nil {
		m.mail.tlsVersion = tlsVersion(*c.r.TLS)
	}
	return c.srv.submit(m)
}
