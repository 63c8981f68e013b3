package sesapi

import (
	"context"
	stderrors "errors"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A door is what all sends through one New, Guard or Wrap share.
type door struct {
	http  connections
	creds credentials
}

// witness returns the witness of an attempt that begins now.
func (d *door) witness() *witness { return &witness{creds: d.creds.begin()} }

// watch returns the per-call option that lets w see a SendEmail call.
func (d *door) watch(w *witness) func(*sesv2.Options) {
	return func(o *sesv2.Options) {
		o.HTTPClient = d.http.derive(o.HTTPClient)
		s := &sdkCall{witness: w, mock: !readsBodies(o.HTTPClient)}
		o.APIOptions = append(slices.Clip(o.APIOptions), s.attach)
	}
}

// readsBodies reports whether an HTTP client is one that sends what it is given:
// a success that comes before the body was read is then no success.
func readsBodies(c sesv2.HTTPClient) bool {
	switch c := c.(type) {
	case *awshttp.BuildableClient:
		return true
	case *http.Client:
		_, plain := c.Transport.(*http.Transport)
		return plain || c.Transport == nil
	}
	return false
}

// An sdkCall is the steps that a witness has in one stack of the SDK: one behind
// the retry step, that sees the request whole, and one as the last before the
// HTTP client, whichever that is.
type sdkCall struct {
	witness *witness // nil: the context holds it
	mock    bool     // the HTTP client may be a test's, which reads no bodies
}

func (*sdkCall) ID() string { return "SesguardWitness" }

type (
	witnessKey struct{} // of the *witness, in a client with Guard
	requestKey struct{} // of the call that waits for credentials
)

// attach puts s on a stack. One that has its steps already belongs to a guarded
// client, whose own verdict then stands.
func (s *sdkCall) attach(stack *middleware.Stack) error {
	if _, ok := stack.Deserialize.Get(s.ID()); ok {
		return nil
	}
	if s.witness != nil {
		s.witness.reach()
	}
	return stderrors.Join(
		attachStreaming(stack),
		s.singleAttempt(stack),
		stack.Finalize.Insert(identified{}, "GetIdentity", middleware.After),
		stack.Deserialize.Add(s, middleware.After),
	)
}

// singleAttempt replaces the SDK's retry step by one that makes one attempt,
// with s behind it. It keeps the step itself, because that also stores the clock
// offset that SES reports and that the next attempt is signed with. It needs no
// copy of the request: nothing is sent again from it.
func (s *sdkCall) singleAttempt(stack *middleware.Stack) error {
	old, ok := stack.Finalize.Get("Retry")
	if !ok {
		return stack.Finalize.Add(s, middleware.Before)
	}
	itself := func(request any) any { return request }
	once := awsretry.NewAttemptMiddleware(aws.NopRetryer{}, itself, func(a *awsretry.Attempt) {
		if old, ok := old.(*awsretry.Attempt); ok {
			a.LogAttempts = old.LogAttempts
			a.OperationMeter = old.OperationMeter
			a.ClientSkew = old.ClientSkew
			a.DisableClockSkewCorrection = old.DisableClockSkewCorrection
		}
	})
	if _, err := stack.Finalize.Swap("Retry", once); err != nil {
		return err
	}
	return stack.Finalize.Insert(s, "Retry", middleware.After)
}

// HandleFinalize records a request from its start to its end.
func (s *sdkCall) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
	w := s.witness
	if w == nil {
		w, _ = ctx.Value(witnessKey{}).(*witness)
	}
	r := w.begin(awsmiddleware.GetRegion(ctx), s.mock)
	if r == nil {
		return out, metadata, errOver
	}
	if req, ok := in.Request.(*smithyhttp.Request); ok { // before it is signed
		req.Header.Del("Idempotency-Key") // net/http would send the request again by itself
		req.Header.Del("X-Idempotency-Key")
	}
	out, metadata, err = next.HandleFinalize(context.WithValue(ctx, requestKey{}, r), in)
	r.end(err)
	return out, metadata, err
}

// HandleDeserialize calls the HTTP client with a body that is counted.
func (s *sdkCall) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (out middleware.DeserializeOutput, metadata middleware.Metadata, err error) {
	r, isOurs := ctx.Value(requestKey{}).(*request)
	req, isHTTP := in.Request.(*smithyhttp.Request)
	if !isOurs || !isHTTP {
		return out, metadata, errOver
	}
	if in.Request, err = r.call(req); err != nil {
		return out, metadata, err
	}
	out, metadata, err = next.HandleDeserialize(ctx, in)
	if elsewhere := r.returned(out.RawResponse); elsewhere != nil {
		err = elsewhere
	}
	return out, metadata, err
}

// identified is the step behind the one that gets credentials.
type identified struct{}

func (identified) ID() string { return "SesguardIdentified" }

func (identified) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	if r, ok := ctx.Value(requestKey{}).(interface{ gotCredentials() }); ok {
		r.gotCredentials()
	}
	return next.HandleFinalize(ctx, in)
}
