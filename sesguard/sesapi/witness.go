package sesapi

import (
	"cmp"
	"context"
	stderrors "errors"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
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

// reach records that the SDK's stack was reached.
func (w *witness) reach() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached = true
}

// begin records a new request. It returns nil once the attempt is over.
func (w *witness) begin(region string, mock bool) *request {
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
	r.creds, r.region, r.mock = w.creds.of, region, mock
	w.requests = append(w.requests, r)
	return r
}

// A record is what a witness saw of an attempt that has ended.
type record struct {
	reached  bool
	accepted int      // requests that drew a success that can be believed
	early    bool     // one drew a success before its body was handed out whole
	doubt    bool     // SES may have the mail because of another request
	last     *request // it has ended; nil: none was made
}

// close ends the attempt and sums up what it did.
func (w *witness) close() record {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	rec := record{reached: w.reached}
	for _, r := range w.requests {
		r.end(nil)
		if r.accepted {
			rec.accepted++
		}
		rec.early = rec.early || r.early
		rec.doubt = rec.doubt || r.doubt
		rec.last = r
	}
	return rec
}

// outcome turns what the api returned into the attempt's receipt or error. ctx
// is the caller's, not the attempt's.
func (w *witness) outcome(ctx context.Context, out *sesv2.SendEmailOutput, err error) (*sesguard.Receipt, error) {
	if err != nil {
		return nil, w.verdict(ctx, err)
	}
	rec := w.close()
	lost := ""
	switch {
	case out == nil || aws.ToString(out.MessageId) == "":
		lost = "a success without a message id"
	case rec.early && rec.accepted == 0:
		lost = "a success before the request was handed out whole"
	default:
		r := &sesguard.Receipt{MessageID: *out.MessageId, Transport: "api", Attempts: 1, MaybeDuplicate: rec.doubt || rec.accepted > 1}
		if rec.last != nil {
			r.Region = rec.last.region
		}
		return r, nil
	}
	e := responseLost(lost, nil)
	rec.locate(e)
	return nil, e
}

// verdict says of err, the error of the attempt, what it means and whether SES
// may have the mail.
func (w *witness) verdict(ctx context.Context, err error) error {
	rec := w.close()
	doubt := rec.doubt || rec.accepted > 0
	if own, ok := stderrors.AsType[*seserrors.Error](err); ok {
		return witnessed(ctx, own, err, doubt)
	}
	e := *seserrors.FromAPI(opSendEmail, err)
	if rec.reached {
		e.MaybeAccepted = doubt
	} else {
		e.MaybeAccepted = !refusedBySES(&e, err)
	}
	_, invalid := stderrors.AsType[smithy.InvalidParamsError](err)
	switch r := rec.last; {
	case r == nil && invalid: // the SDK misses a parameter
		e.Class, e.Reason = seserrors.Invalid, seserrors.InvalidParameter
	case r == nil:
		unanswered(ctx, &e)
	case !r.identified && ctx.Err() == nil:
		w.creds.verdict(&e)
	case r.region == "" && r.host == "" && e.Class == seserrors.Unknown && ctx.Err() == nil:
		withoutRegion(&e)
	case r.status == 0:
		unanswered(ctx, &e)
	case r.status < 300:
		e = *responseLost("an answer that cannot be read", err)
	case r.status < 400: // of something on the way: SES never redirects
		e.Class, e.Reason, e.Code = seserrors.ProtocolError.Class(), seserrors.ProtocolError, r.status
	}
	rec.locate(&e)
	return &e
}

// witnessed adds what was seen to own, which err holds: the error of a guarded
// client inside, of the mail's own source, or of a middleware that knows.
func witnessed(ctx context.Context, own *seserrors.Error, err error, doubt bool) error {
	if own.Reason == seserrors.ContentUnreadable && ctx.Err() != nil { // the source knew before the attempt's own context
		own = seserrors.FromContext(ctx, own.Op)
		err = own
	}
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

// withoutRegion makes e the error of a client that has no region, which the SDK
// finds out when it looks for the endpoint and says in words only.
func withoutRegion(e *seserrors.Error) {
	e.Class, e.Reason = seserrors.ConfigInvalid.Class(), seserrors.ConfigInvalid
	e.Message = "the SDK's client has no region: set AWS_REGION, or Region in the aws.Config"
}

// unanswered gives e, for which no answer was read, the class of its cause.
func unanswered(ctx context.Context, e *seserrors.Error) {
	switch {
	case ctx.Err() != nil:
		end := seserrors.FromContext(ctx, e.Op)
		e.Class, e.Reason = end.Class, end.Reason
		e.Err = stderrors.Join(end.Err, e.Err)
	case e.Class == seserrors.Canceled && !e.MaybeAccepted: // by the attempt's own limit
		e.Class, e.Reason = seserrors.Unavailable, seserrors.RequestTimeout
	case e.MaybeAccepted && e.Code == 0 && (e.Class == seserrors.Unknown || e.Class == seserrors.Canceled || e.Class == seserrors.Unavailable):
		e.Class, e.Reason = seserrors.Unavailable, seserrors.ResponseLost
	}
}

// locate tells e whom the last request went to.
func (rec *record) locate(e *seserrors.Error) {
	if r := rec.last; r != nil {
		e.Endpoint = cmp.Or(e.Endpoint, r.host, r.region)
		e.RequestID = cmp.Or(e.RequestID, r.requestID)
	}
}

// refusedBySES reports whether err, of an api that never reached the witness,
// is an answer of SES that refuses: one of its exceptions, bare or with a
// status of 400 to 499. The answer of another service proves nothing.
func refusedBySES(e *seserrors.Error, err error) bool {
	if op, ok := stderrors.AsType[*smithy.OperationError](err); ok && op.ServiceID != "SESv2" && op.ServiceID != "SES" {
		return false
	}
	if namedBySES(err) {
		return !e.MaybeAccepted && e.Code < 500
	}
	return e.Code >= 400 && e.Code < 500 && !fromGateway(e.Code)
}

// responseLost is the error for an answer that says success but cannot be
// believed: SES may have accepted the message.
func responseLost(message string, cause error) *seserrors.Error {
	return &seserrors.Error{
		Op: opSendEmail, Class: seserrors.Unavailable, Reason: seserrors.ResponseLost,
		Message: message, MaybeAccepted: true, Err: cause,
	}
}
