package sesapi

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go/middleware"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/internal/pace"
)

// GetAccountAPI is the part of the SES v2 client that tells the account's
// limits. *[sesv2.Client] satisfies it. The caller needs the IAM permission
// ses:GetAccount. SES allows an account one control call a second: all of this
// package over the same api keep to it together.
type GetAccountAPI interface {
	GetAccount(ctx context.Context, in *sesv2.GetAccountInput, optFns ...func(*sesv2.Options)) (*sesv2.GetAccountOutput, error)
}

const opGetAccount = "ses GetAccount"

// Quota returns a function that reads what the account of api may send, in
// api's region. Its errors are those of [Ping] but for the account's state. It
// is safe for concurrent use. Quota panics if api is nil.
func Quota(api GetAccountAPI) func(context.Context) (sesguard.Quota, error) {
	if api == nil {
		panic("sesapi: Quota of a nil API")
	}
	r := &accountReader{api: api}
	return func(ctx context.Context) (sesguard.Quota, error) {
		account, err := r.read(ctx)
		if err != nil {
			return sesguard.Quota{}, err
		}
		q := account.SendQuota
		return sesguard.Quota{PerSecond: q.MaxSendRate, Max24Hours: q.Max24HourSend, Sent24Hours: q.SentLast24Hours}, nil
	}
}

// Ping reports whether api reaches SES and its account may send: nil, or what
// to do about it, as a *[seserrors.Error]. It calls GetAccount, so it finds a
// region or endpoint that is wrong, a clock that is off, and credentials that are
// missing, refused or without ses:GetAccount; an account that is paused or
// suspended is of class Suspended. Nothing is sent. Whether an identity is
// verified and ses:SendEmail allowed shows only in a send. The sandbox is no
// error: its account may send to verified recipients.
//
// Ping uses the SDK's retries and may take some seconds where the network fails.
// It panics if api is nil.
//
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
func Ping(ctx context.Context, api GetAccountAPI) error {
	if api == nil {
		panic("sesapi: Ping of a nil API")
	}
	r := &accountReader{api: api}
	r.creds.failed = true // there is no later call that could find credentials
	account, err := r.read(ctx)
	if err != nil {
		return err
	}
	state := ""
	if account.EnforcementStatus != nil {
		state = *account.EnforcementStatus
	}
	switch {
	case state == "SHUTDOWN":
		return suspended(seserrors.AccountSuspended, "the account was shut down in this region")
	case !account.SendingEnabled:
		return suspended(seserrors.SendingPaused, "sending is paused for the account in this region")
	}
	return nil
}

func suspended(r seserrors.Reason, message string) error {
	return &seserrors.Error{Op: opGetAccount, Class: r.Class(), Reason: r, Message: message}
}

// An accountReader calls GetAccount.
type accountReader struct {
	api   GetAccountAPI
	creds credentials
}

// read returns the account, whose SendQuota is there, or an error.
func (r *accountReader) read(ctx context.Context) (*sesv2.GetAccountOutput, *seserrors.Error) {
	var out *sesv2.GetAccountOutput
	e := control(ctx, r.api, &r.creds, opGetAccount, func(ctx context.Context, watch func(*sesv2.Options)) (err error) {
		out, err = r.api.GetAccount(ctx, &sesv2.GetAccountInput{}, watch)
		return err
	})
	switch {
	case e != nil && e.Class != seserrors.Canceled:
		aboutTheAccount(e)
		return nil, e
	case e != nil:
		return nil, e
	case out == nil || out.SendQuota == nil:
		return nil, &seserrors.Error{Op: opGetAccount, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Message: "an answer without SendQuota"}
	}
	return out, nil
}

// control makes a control call over api when its turn has come, one a second.
// Its error is without doubt, because the call sends no mail, and Canceled only
// if ctx was canceled.
func control(ctx context.Context, api any, creds *credentials, op string, do func(context.Context, func(*sesv2.Options)) error) *seserrors.Error {
	err := pace.Wait(ctx, api)
	began, call := creds.begin(), &controlCall{creds: creds}
	if err == nil {
		err = do(context.WithValue(ctx, requestKey{}, call), call.watch)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() == context.Canceled:
		return seserrors.FromContext(ctx, op)
	case ctx.Err() != nil:
		return &seserrors.Error{Op: op, Class: seserrors.Unavailable, Reason: seserrors.Network, Message: "no answer in time", Err: err}
	}
	e := *seserrors.FromAPI(op, err)
	e.MaybeAccepted = false
	switch {
	case call.reached.Load() && !call.signed.Load():
		began.verdict(&e)
	case call.placeless && e.Class == seserrors.Unknown:
		withoutRegion(&e)
	}
	return &e
}

// aboutTheAccount keeps of e's class what the failure of a read can mean for a
// send: the account or the settings are wrong, or it is to be tried again.
func aboutTheAccount(e *seserrors.Error) {
	switch e.Class {
	case seserrors.Denied, seserrors.Suspended, seserrors.Unavailable:
	default:
		e.Class, e.Reason = seserrors.Unavailable, seserrors.ServiceFailure
	}
}

// A controlCall knows whether the SDK got credentials for a control call, and
// whether it could know where to send it.
type controlCall struct {
	creds           *credentials
	placeless       bool
	reached, signed atomic.Bool
}

func (c *controlCall) watch(o *sesv2.Options) {
	c.placeless = o.Region == "" && o.BaseEndpoint == nil
	o.APIOptions = append(slices.Clip(o.APIOptions), func(stack *middleware.Stack) error {
		c.reached.Store(true)
		return stack.Finalize.Insert(identified{}, "GetIdentity", middleware.After)
	})
}

func (c *controlCall) gotCredentials() {
	c.signed.Store(true)
	c.creds.got()
}
