package sesapi

import (
	"context"
	stderrors "errors"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

// A witness knows of one attempt whether SES may have the mail. It sees every
// request that the SDK makes for it, however often the api calls the SDK, and
// goes by the octets that each handed out: httptrace is no proof, because over
// HTTP/2 a request can be read in full without the event that says so.
type witness struct {
	creds stage // what the door knew of credentials when the attempt began

	mu       sync.Mutex
	over     bool // the attempt has ended: nothing is sent any more
	reached  bool // the SDK's middleware stack was reached, so the record means something
	requests []*request
	only     [1]*request // their array while there is one
	first    request
}

// A request is one pass through the SDK's stack behind its retry step: it gets
// credentials, signs, and calls the HTTP client once.
type request struct {
	witness *witness
	mock    bool   // the HTTP client may be a test's, which reads no bodies
	region  string // as the client is configured

	identified atomic.Bool // credentials were got

	// Guarded by the witness's mutex.
	doubted   bool      // by an earlier call of the HTTP client than the last, where a middleware calls again
	last      *exchange // the last call; nil: it was never called
	firstCall exchange
	ended     bool
	err       error // how it ended
}

// reach records that the SDK's stack was reached.
func (w *witness) reach() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached = true
}

// begin records a new request. It returns nil once the attempt is over.
func (w *witness) begin(ctx context.Context, mock bool) *request {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return nil
	}
	r := &w.first
	if w.requests == nil {
		w.requests = w.only[:0]
	} else {
		r = new(request)
	}
	r.witness, r.mock, r.region = w, mock, awsmiddleware.GetRegion(ctx)
	w.requests = append(w.requests, r)
	return r
}

// end records how a request ended.
func (w *witness) end(r *request, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.ended, r.err = true, err
}

// exchange begins another call of the HTTP client.
func (r *request) exchange() *exchange {
	r.witness.mu.Lock()
	defer r.witness.mu.Unlock()
	x := &r.firstCall
	if r.last != nil {
		r.doubted = r.doubted || r.last.doubtful(nil)
		x = new(exchange)
	}
	r.last = x
	return x
}

// doubtful reports whether SES may have the mail because of r.
func (r *request) doubtful() bool {
	return r.doubted || r.last != nil && r.last.doubtful(r.err)
}

// accepted reports whether r drew a success that can be believed: one that came
// when the body had been handed out whole. A test's HTTP client that did not
// look at the body is believed too.
func (r *request) accepted() bool {
	if !r.ended || r.err != nil || r.last == nil || !r.last.succeeded() {
		return false
	}
	whole, begun := r.last.progress()
	return whole || r.mock && !begun
}

// A record is what a witness saw of an attempt that has ended.
type record struct {
	reached  bool
	accepted int      // requests that drew a success that can be believed
	early    bool     // one drew a success before its body was handed out whole
	doubt    bool     // SES may have the mail because of another request
	last     *request // nil: none was made
}

// close ends the attempt and sums up what it did. What the HTTP client still
// holds of a body is sealed.
func (w *witness) close() record {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	rec := record{reached: w.reached}
	for _, r := range w.requests {
		rec.last = r
		if r.last != nil {
			r.last.seal()
		}
		switch {
		case r.accepted():
			rec.accepted++
			rec.doubt = rec.doubt || r.doubted
		case r.ended && r.err == nil && r.last != nil && r.last.succeeded():
			rec.early, rec.doubt = true, true
		default:
			rec.doubt = rec.doubt || r.doubtful()
		}
	}
	return rec
}

// outcome turns what the api returned into the attempt's receipt or error. ctx
// is the caller's, not the attempt's.
func (w *witness) outcome(ctx context.Context, out *sesv2.SendEmailOutput, err error) (*sesguard.Receipt, error) {
	if err != nil {
		return nil, w.verdict(ctx, err)
	}
	return w.success(out)
}

// success gives the receipt of an attempt that ended with out, or its error if
// that is no success that can be believed.
func (w *witness) success(out *sesv2.SendEmailOutput) (*sesguard.Receipt, error) {
	rec := w.close()
	var e *seserrors.Error
	switch {
	case out == nil || aws.ToString(out.MessageId) == "":
		e = responseLost("a success without a message id", nil)
	case rec.early && rec.accepted == 0:
		e = responseLost("a success before the request was handed out whole", nil)
	default:
		return &sesguard.Receipt{
			MessageID: *out.MessageId, Transport: "api", Region: rec.region(), Attempts: 1,
			MaybeDuplicate: rec.doubt || rec.accepted > 1,
		}, nil
	}
	rec.locate(e)
	return nil, e
}

// verdict says of err, the error of the attempt, what it means and whether SES
// may have the mail.
func (w *witness) verdict(ctx context.Context, err error) error {
	rec := w.close()
	doubt := rec.doubt || rec.accepted > 0
	if own, ok := stderrors.AsType[*seserrors.Error](err); ok {
		// A guarded client inside, the mail's own source, or a middleware that knows.
		late := own.Reason == seserrors.DeadlineExceeded && ctx.Err() == nil // of the attempt's own limit
		if !late && (!doubt || seserrors.MaybeAccepted(err)) {
			return err
		}
		e := *own
		e.MaybeAccepted, e.Err = e.MaybeAccepted || doubt, err
		if late {
			e.Class, e.Reason = seserrors.Unavailable, seserrors.RequestTimeout
		}
		return &e
	}
	e := *seserrors.FromAPI(opSendEmail, err)
	switch r := rec.last; {
	case !rec.reached:
		e.MaybeAccepted = !refusedBySES(&e, err)
		return unanswered(ctx, &e)
	case r == nil:
		e.MaybeAccepted = false
		return unanswered(ctx, &e)
	case !r.identified.Load() && r.last == nil && ctx.Err() == nil:
		w.creds.verdict(&e)
		e.MaybeAccepted = doubt
	case r.last == nil || r.last.answer() == 0:
		e.MaybeAccepted = doubt
		unanswered(ctx, &e)
	case r.last.answer() < 300:
		e = *responseLost("an answer that cannot be read", err)
	case r.last.answer() < 400:
		// Something on the way answered, not SES: it never redirects.
		e.Class, e.Reason, e.Code = seserrors.ProtocolError.Class(), seserrors.ProtocolError, r.last.answer()
		e.MaybeAccepted = doubt
	default:
		e.MaybeAccepted = doubt
	}
	rec.locate(&e)
	return &e
}

// unanswered gives e, for which no answer was read, the class of its cause.
func unanswered(ctx context.Context, e *seserrors.Error) *seserrors.Error {
	switch {
	case ctx.Err() != nil:
		end := seserrors.FromContext(ctx, e.Op)
		e.Class, e.Reason = end.Class, end.Reason
		e.Err = stderrors.Join(end.Err, e.Err)
	case e.Class == seserrors.Canceled && !e.MaybeAccepted:
		// The attempt's own time limit, not the caller's context.
		e.Class, e.Reason = seserrors.Unavailable, seserrors.RequestTimeout
	case e.MaybeAccepted && e.Code == 0 && (e.Class == seserrors.Unknown || e.Class == seserrors.Canceled || e.Class == seserrors.Unavailable):
		e.Class, e.Reason = seserrors.Unavailable, seserrors.ResponseLost
	}
	return e
}

// locate tells e whom the last request went to.
func (rec *record) locate(e *seserrors.Error) {
	if rec.last == nil {
		return
	}
	if x := rec.last.last; x != nil {
		if e.Endpoint == "" {
			e.Endpoint = x.host
		}
		if e.RequestID == "" {
			e.RequestID = x.requestID
		}
	}
	if e.Endpoint == "" {
		e.Endpoint = rec.last.region
	}
}

// region is that of the client that made the last request, if any.
func (rec *record) region() string {
	if rec.last == nil {
		return ""
	}
	return rec.last.region
}

// refusedBySES reports whether err, of an api that never reached the witness,
// is an answer of SES that refuses: one of its exceptions, bare or with a
// status of 400 to 499. The answer of another service proves nothing.
func refusedBySES(e *seserrors.Error, err error) bool {
	if op, ok := stderrors.AsType[*smithy.OperationError](err); ok && op.ServiceID != "SESv2" && op.ServiceID != "SES" {
		return false
	}
	if !namedBySES(err) {
		return e.Code >= 400 && e.Code < 500 && !fromGateway(e.Code)
	}
	return !e.MaybeAccepted && e.Code < 500
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

// responseLost is the error for an answer that says success but cannot be
// believed: SES may have accepted the message.
func responseLost(message string, cause error) *seserrors.Error {
	return &seserrors.Error{
		Op: opSendEmail, Class: seserrors.Unavailable, Reason: seserrors.ResponseLost,
		Message: message, MaybeAccepted: true, Err: cause,
	}
}
