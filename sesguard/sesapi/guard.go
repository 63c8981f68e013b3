package sesapi

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go/middleware"

	"github.com/sesguard/sesguard-go/sesguard"
)

// Guard puts the whole guard into an SDK client, as the last option of its
// constructor:
//
//	client := sesv2.NewFromConfig(cfg, sesapi.Guard(sesguard.Options{}))
//
// The client stays a *sesv2.Client, and code that calls SendEmail stays as it
// is: the call now validates first, waits as AWS documents (for up to an hour,
// unless the context or Options.Retry says otherwise), replaces the SDK's own
// retries, and returns errors in which both the SDK's types and a
// *[seserrors.Error] are found. Retries of all other operations are the SDK's;
// the connections are shared by all. The caller's input is not written to; a
// Unicode domain goes out as Punycode.
//
// Simple, Raw and Template content are accepted. The recipients of raw content
// without a Destination are counted from its header. With Options.TrackTag each
// call's own id goes out as the email tag of that name; an input that has such a
// tag already is refused. Tags in the header of raw content then become
// parameters too, since SES would overlook them beside one.
//
// Of SendBulkEmail calls Guard checks the data of each entry against an inline
// template, and refuses the call if SES would not send one of them; a [Bulker]
// does more.
//
// Use one Guard for one client: limiter and breaker are shared by all calls.
//
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
func Guard(opts sesguard.Options) func(*sesv2.Options) {
	return GuardBy(sesguard.NewGuard(opts))
}

// GuardBy is [Guard] with a guard that others share: it can be shut down, and
// its brakes are those of all that goes through it. It panics if g is nil.
func GuardBy(g *sesguard.Guard) func(*sesv2.Options) {
	if g == nil {
		panic("sesapi: GuardBy of a nil Guard")
	}
	d := new(door)
	return func(o *sesv2.Options) {
		o.HTTPClient = d.http.derive(o.HTTPClient)
		s := &guardedStack{guard: g, door: d, call: sdkCall{mock: !readsBodies(o.HTTPClient)}}
		o.APIOptions = append(slices.Clip(o.APIOptions), s.attach)
	}
}

// A guardedStack is the guard of a client's SendEmail calls, standing where a
// call begins: each attempt runs the whole of the SDK's stack, so that it is
// serialized and signed anew.
type guardedStack struct {
	guard *sesguard.Guard
	door  *door
	call  sdkCall
}

// attach puts the guard's loop around a SendEmail stack and the witness's steps
// into it, and the check of templates before a SendBulkEmail.
func (s *guardedStack) attach(stack *middleware.Stack) error {
	switch stack.ID() {
	case "SendEmail":
	case "SendBulkEmail":
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("SesguardTemplates", checkBulk), middleware.Before)
	default:
		return nil
	}
	if err := s.call.attach(stack); err != nil {
		return err
	}
	return stack.Initialize.Add(s, middleware.Before)
}

// checkBulk refuses a bulk that SES would accept and not send.
func checkBulk(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (out middleware.InitializeOutput, md middleware.Metadata, err error) {
	if params, ok := in.Parameters.(*sesv2.SendBulkEmailInput); ok {
		var v validator
		v.bulkContent(params)
		if err := v.err(); err != nil {
			return out, md, err
		}
	}
	return next.HandleInitialize(ctx, in)
}

func (*guardedStack) ID() string { return "SesguardGuard" }

func (s *guardedStack) HandleInitialize(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (out middleware.InitializeOutput, md middleware.Metadata, err error) {
	params, ok := in.Parameters.(*sesv2.SendEmailInput)
	if !ok {
		return next.HandleInitialize(ctx, in)
	}
	checked, info, err := checkInput(params)
	if err != nil {
		s.guard.LogInvalid(ctx, err)
		return out, md, err
	}
	_, err = s.guard.Do(ctx, info, func(ctx context.Context) (*sesguard.Receipt, error) {
		tracked, err := track(ctx, checked)
		if err != nil {
			return nil, err
		}
		in.Parameters = tracked
		w := s.door.witness()
		w.reach()
		attempt, cancel := within(context.WithValue(ctx, witnessKey{}, w), attemptTimeout)
		defer cancel()
		out, md, err = next.HandleInitialize(attempt, in)
		result, _ := out.Result.(*sesv2.SendEmailOutput)
		receipt, err := w.outcome(ctx, result, err)
		if err != nil && result != nil {
			// The SDK decodes all attempts of a call into one output: what a failed
			// one left there must not pass for the next one's message id.
			*result = sesv2.SendEmailOutput{}
		}
		return receipt, err
	})
	return out, md, err
}

// A GuardedAPI sends like the API it wraps, guarded. It satisfies
// [SendEmailAPI] and is safe for concurrent use. Create it with [Wrap].
type GuardedAPI struct {
	door  door
	api   SendEmailAPI
	guard *sesguard.Guard
}

// Wrap is [Guard] for code that holds an interface instead of a *sesv2.Client,
// or that gets its client from elsewhere. api may be anything that has
// SendEmail. One that does not pass the SDK's per-call options on is believed by
// its errors alone: only a refusal by SES says that the message was not sent.
// Wrap panics if api is nil.
func Wrap(api SendEmailAPI, opts sesguard.Options) *GuardedAPI {
	return WrapBy(api, sesguard.NewGuard(opts))
}

// WrapBy is [Wrap] with a guard that others share: it can be shut down, and its
// brakes are those of all that goes through it. It panics if api or g is nil.
func WrapBy(api SendEmailAPI, g *sesguard.Guard) *GuardedAPI {
	if api == nil || g == nil {
		panic("sesapi: Wrap of a nil API, or with a nil Guard")
	}
	return &GuardedAPI{api: api, guard: g}
}

// SendEmail sends in by the rules of the guard. It does not write to in. The
// errors are those of sesguard's Client.Send, with the SDK's in their chain.
func (a *GuardedAPI) SendEmail(ctx context.Context, in *sesv2.SendEmailInput, optFns ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
	checked, info, err := checkInput(in)
	if err != nil {
		a.guard.LogInvalid(ctx, err)
		return nil, err
	}
	var out *sesv2.SendEmailOutput
	_, err = a.guard.Do(ctx, info, func(ctx context.Context) (*sesguard.Receipt, error) {
		tracked, err := track(ctx, checked)
		if err != nil {
			return nil, err
		}
		w := a.door.witness()
		attempt, cancel := within(ctx, attemptTimeout)
		defer cancel()
		out, err = a.api.SendEmail(attempt, tracked, append(slices.Clip(optFns), a.door.watch(w))...)
		return w.outcome(ctx, out, err)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
