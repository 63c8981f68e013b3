package sesapi

import (
	"context"
	stderrors "errors"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// A witness makes one SDK call send one HTTP request only, and records how far
// that request got. It stands as the last middleware before the HTTP client,
// so it sees the attempt whichever HTTP client is in use. What it records is
// proof, which httptrace is not: over HTTP/2 a request can be read in full
// without the event that says so.
type witness struct {
	attached bool      // the SDK's middleware stack was reached: the record below means something
	body     *sentBody // nil: the HTTP client was never called
	status   int       // HTTP status read, 0 if none
	first    sentBody  // the body of the first attempt; each has its own, since a connection may hold on to an old one
}

const witnessID = "SesguardWitness"

// watch is the per-call option that attaches w to one SendEmail call.
func (w *witness) watch(o *sesv2.Options) {
	o.APIOptions = append(slices.Clip(o.APIOptions), w.attach)
}

// attach puts w on a stack. A stack that has a witness already belongs to a
// guarded client, whose own verdict then stands.
func (w *witness) attach(stack *middleware.Stack) error {
	if _, ok := stack.Deserialize.Get(witnessID); ok {
		return nil
	}
	if err := singleAttempt(stack); err != nil {
		return err
	}
	w.attached = true
	return stack.Deserialize.Add(w, middleware.After)
}

// singleAttempt replaces the SDK's retry step by one that makes one attempt.
// It keeps the step itself, because that also stores the clock offset that SES
// reports and that the next attempt is signed with. It needs no copy of the
// request: nothing is sent again from it.
func singleAttempt(stack *middleware.Stack) error {
	old, ok := stack.Finalize.Get("Retry")
	if !ok {
		return nil
	}
	once := awsretry.NewAttemptMiddleware(aws.NopRetryer{}, itself, func(a *awsretry.Attempt) {
		if old, ok := old.(*awsretry.Attempt); ok {
			a.LogAttempts = old.LogAttempts
			a.OperationMeter = old.OperationMeter
			a.ClientSkew = old.ClientSkew
			a.DisableClockSkewCorrection = old.DisableClockSkewCorrection
		}
	})
	_, err := stack.Finalize.Swap("Retry", once)
	return err
}

func (*witness) ID() string { return witnessID }

// itself is a RequestCloner for a request that is used once.
func itself(request any) any { return request }

// HandleDeserialize calls the HTTP client with a body that is counted, and
// sealed when the client has returned.
func (w *witness) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok || req.GetStream() == nil {
		w.body, w.status = &sentBody{}, 0 // nothing to count: as if all of it were handed out
		return next.HandleDeserialize(ctx, in)
	}
	body := &w.first
	if body.src != nil {
		body = new(sentBody)
	}
	if err := body.init(req); err != nil {
		return middleware.DeserializeOutput{}, middleware.Metadata{}, err
	}
	var err error
	if in.Request, err = withStream(req, body); err != nil {
		return middleware.DeserializeOutput{}, middleware.Metadata{}, err
	}
	w.body, w.status = body, 0
	out, metadata, err := next.HandleDeserialize(ctx, in)
	body.seal()
	if resp, ok := out.RawResponse.(*smithyhttp.Response); ok && resp != nil && resp.Response != nil {
		w.status = resp.StatusCode
	}
	return out, metadata, err
}

// withStream is req with body as its stream, as req.SetStream makes it, but for
// the copies of header and URL: the HTTP client gets copies of them anyway.
func withStream(req *smithyhttp.Request, body *sentBody) (*smithyhttp.Request, error) {
	n := int64(body.Len())
	counted, err := blank.SetStream(body)
	if err != nil {
		return nil, err
	}
	counted.Request = req.Request
	counted.ContentLength = n
	return counted, nil
}

// blank is only there to be cloned.
var blank = &smithyhttp.Request{Request: new(http.Request)}

// verdict classifies err, the error of the call that w watched, and decides
// from the record whether SES may have the message. ctx is the caller's, not
// the attempt's.
func (w *witness) verdict(ctx context.Context, err error) error {
	var guarded *retry.Error
	if stderrors.As(err, &guarded) {
		return err // a guarded client inside: its error says all there is to say
	}
	e := seserrors.FromAPI(opSendEmail, err)
	if !w.attached {
		return e
	}
	switch {
	case w.status == 0:
		w.unanswered(ctx, e)
	case w.status < 300:
		e = responseLost("an answer that cannot be read", err)
	case w.status < 400:
		// Something on the way answered, not SES: it never redirects.
		e.Class, e.Reason, e.Code = seserrors.Unavailable, seserrors.ProtocolError, w.status
		e.MaybeAccepted = false
	case w.status < 500:
		e.MaybeAccepted = false
	}
	return e
}

// unanswered settles e for a request that drew no answer: there is no doubt
// unless the last octet of its body was handed to the HTTP client.
func (w *witness) unanswered(ctx context.Context, e *seserrors.Error) {
	e.MaybeAccepted = w.body != nil && w.body.handedOut()
	switch {
	case ctx.Err() != nil:
		end := seserrors.FromContext(ctx, e.Op)
		e.Class, e.Reason = end.Class, end.Reason
		e.Err = stderrors.Join(end.Err, e.Err)
	case e.MaybeAccepted:
		e.Class, e.Reason = seserrors.Unavailable, seserrors.ResponseLost
	case e.Class == seserrors.Canceled:
		// The attempt's own time limit, not the caller's context.
		e.Class, e.Reason = seserrors.Unavailable, seserrors.RequestTimeout
	}
}

// A sentBody counts the octets of a request body that the HTTP client has
// taken. After seal it gives out no more, so a connection's goroutine that
// outlives the call cannot complete a request that was reported as unsent.
type sentBody struct {
	mu     sync.Mutex
	src    io.Reader
	left   int64
	sealed bool
}

var errSealed = stderrors.New("sesguard: request body read after the call has ended")

func (b *sentBody) init(req *smithyhttp.Request) error {
	n, known, err := req.StreamLength()
	if err != nil {
		return err
	}
	if !known {
		return stderrors.New("sesguard: the request body's length is not known")
	}
	b.src, b.left = req.GetStream(), n
	return nil
}

// Len is how many octets are still to be handed out; the SDK takes the
// request's Content-Length from it.
func (b *sentBody) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.left)
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 {
		return 0, io.EOF // also after seal: the end of a whole body spoils no connection
	}
	if b.sealed {
		return 0, errSealed
	}
	n, err := b.src.Read(p)
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *sentBody) seal() {
	b.mu.Lock()
	b.sealed = true
	b.mu.Unlock()
}

func (b *sentBody) handedOut() bool { return b.Len() == 0 }
