package sesapi

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go/middleware"

	"github.com/sesguard/sesguard-go/sesguard"
)

// Guard puts the whole guard into an SDK client, as one option of its
// constructor:
//
//	client := sesv2.NewFromConfig(cfg, sesguard.Guard(sesguard.Options{}))
//
// The client stays a *sesv2.Client, and code that calls SendEmail stays as it
// is: the call now validates first, waits as AWS documents, replaces the SDK's
// own retries, and returns errors in which both the SDK's types and a
// *[seserrors.Error] are found. All other operations are untouched, and so is
// the caller's input; a Unicode domain goes out as Punycode.
//
// Simple, Raw and Template content are accepted. The recipients of raw content
// without a Destination are counted from its header. Use one Guard for one
// client: its limiter is shared by all calls.
//
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
func Guard(opts sesguard.Options) func(*sesv2.Options) {
	return GuardBy(sesguard.NewGuard(opts))
}

// GuardBy is [Guard] with a guard that others share.
func GuardBy(g *sesguard.Guard) func(*sesv2.Options) {
	return func(o *sesv2.Options) {
		o.APIOptions = append(slices.Clip(o.APIOptions), attach(g))
	}
}

// attach puts the guard's loop around a SendEmail stack and a witness at its
// end.
func attach(g *sesguard.Guard) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		if stack.ID() != "SendEmail" {
			return nil
		}
		l := &guardedStack{guard: g}
		if err := l.witness.attach(stack); err != nil {
			return err
		}
		return stack.Initialize.Add(l, middleware.Before)
	}
}

// A guardedStack is the guard of one SendEmail call, standing where the call
// begins: each attempt runs the whole of the SDK's stack, so that it is
// serialized and signed anew.
type guardedStack struct {
	guard   *sesguard.Guard
	witness witness
}

func (*guardedStack) ID() string { return "SesguardGuard" }

func (l *guardedStack) HandleInitialize(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (out middleware.InitializeOutput, md middleware.Metadata, err error) {
	params, ok := in.Parameters.(*sesv2.SendEmailInput)
	if !ok {
		return next.HandleInitialize(ctx, in)
	}
	checked, n, err := checkInput(params)
	if err != nil {
		return out, md, err
	}
	in.Parameters = checked
	_, err = l.guard.Do(ctx, info(checked, n), func(ctx context.Context) (*sesguard.Receipt, error) {
		attemptCtx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		l.witness.body, l.witness.status = nil, 0
		var err error
		out, md, err = next.HandleInitialize(attemptCtx, in)
		return nil, l.settle(ctx, out, err)
	})
	return out, md, err
}

// settle turns the outcome of one attempt into its error. The SDK decodes all
// attempts of a call into one output value: what a failed one left there must
// not pass for the next one's message id.
func (l *guardedStack) settle(ctx context.Context, out middleware.InitializeOutput, err error) error {
	result, _ := out.Result.(*sesv2.SendEmailOutput)
	if err != nil {
		if result != nil {
			*result = sesv2.SendEmailOutput{}
		}
		return l.witness.verdict(ctx, err)
	}
	if result == nil || aws.ToString(result.MessageId) == "" {
		return responseLost("a success without a message id", nil)
	}
	return nil
}

// A GuardedAPI sends like the API it wraps, guarded. It satisfies
// [SendEmailAPI] and is safe for concurrent use. Create it with [Wrap].
type GuardedAPI struct {
	api   SendEmailAPI
	guard *sesguard.Guard
}

// Wrap is [Guard] for code that holds an interface instead of a *sesv2.Client,
// or that gets its client from elsewhere. api may be anything that has
// SendEmail; one that does not honour per-call options of the SDK is believed
// by its errors alone. It panics if api is nil.
func Wrap(api SendEmailAPI, opts sesguard.Options) *GuardedAPI {
	if api == nil {
		panic("sesguard: Wrap of a nil API")
	}
	return WrapBy(api, sesguard.NewGuard(opts))
}

// WrapBy is [Wrap] with a guard that others share.
func WrapBy(api SendEmailAPI, g *sesguard.Guard) *GuardedAPI { return &GuardedAPI{api: api, guard: g} }

// info is what the guard is told of in, with n recipients.
func info(in *sesv2.SendEmailInput, n int) sesguard.Info {
	return sesguard.Info{
		From:             aws.ToString(in.FromEmailAddress),
		ConfigurationSet: aws.ToString(in.ConfigurationSetName),
		Tenant:           aws.ToString(in.TenantName),
		Recipients:       n,
	}
}

// SendEmail sends in by the rules of the guard. in is not written to. The
// errors are those of [Client.Send], with the SDK's in their chain.
func (a *GuardedAPI) SendEmail(ctx context.Context, in *sesv2.SendEmailInput, optFns ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
	checked, n, err := checkInput(in)
	if err != nil {
		return nil, err
	}
	var out *sesv2.SendEmailOutput
	_, err = a.guard.Do(ctx, info(checked, n), func(ctx context.Context) (*sesguard.Receipt, error) {
		var err error
		out, err = sendOnce(ctx, a.api, checked, optFns)
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
