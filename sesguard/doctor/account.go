package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/internal/pace"
)

// call makes one control call when its turn has come. An operation that the
// credentials may not call is not called again.
func call[In, Out any](ctx context.Context, r *run, op string, f func(context.Context, In, ...func(*sesv2.Options)) (Out, error), in In) (Out, *seserrors.Error) {
	var zero Out
	if r.denied[op] {
		return zero, &seserrors.Error{Op: "ses " + op, Class: seserrors.Denied, Reason: seserrors.AccessDenied}
	}
	if err := pace.Wait(ctx, r.API); err != nil {
		return zero, seserrors.FromContext(ctx, "ses "+op)
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	out, err := f(ctx, in)
	if err == nil {
		return out, nil
	}
	e := seserrors.FromAPI("ses "+op, err)
	r.denied[op] = e.Reason == seserrors.AccessDenied
	return zero, e
}

// isMissing reports whether SES says that what was asked for does not exist.
func isMissing(e *seserrors.Error) bool {
	var missing *types.NotFoundException
	return errors.As(e, &missing) || e.Reason == seserrors.NotFound || e.APICode == "NotFoundException"
}

// unknown says why a check has no answer from SES.
func unknown(op string, e *seserrors.Error) string {
	if e.Reason == seserrors.AccessDenied {
		return "not checked: the credentials lack the permission ses:" + op
	}
	return "not checked: " + words(e)
}

// account asks SES about the account, its identities and settings.
func (r *run) account(ctx context.Context) {
	if r.API == nil {
		r.skip("no API client is given", checkCredentials, checkSandbox, checkSending, checkQuota, checkIdentity,
			checkDKIM, checkMailFrom, checkConfigSet, checkEvents, checkFeedback, checkSuppression, checkAuthorization)
		r.dmarc(ctx, nil)
		return
	}
	if !r.getAccount(ctx) {
		r.skip("the API cannot be used", checkSandbox, checkSending, checkQuota, checkIdentity,
			checkDKIM, checkMailFrom, checkConfigSet, checkEvents, checkFeedback, checkSuppression, checkAuthorization)
		r.dmarc(ctx, nil)
		return
	}
	r.sending()
	r.quota()
	id := r.identity(ctx)
	r.authorization()
	done := make(chan struct{})
	go func() { // DNS needs no turn
		defer close(done)
		dkim := r.dkim(ctx, id)
		spf := r.mailFrom(ctx, id)
		r.dmarc(ctx, &alignment{id: id, dkim: dkim, spf: spf})
	}()
	set := r.configurationSet(ctx, id)
	r.feedback(id)
	r.recipients(ctx, set)
	<-done
}

// getAccount tells whether the API can be used.
func (r *run) getAccount(ctx context.Context) bool {
	start := time.Now()
	out, e := call(ctx, r, "GetAccount", r.API.GetAccount, &sesv2.GetAccountInput{})
	f := Finding{Check: checkCredentials, Subject: r.Region, Status: OK, Detail: "the API takes the credentials"}
	switch {
	case e == nil:
		r.acct = out
		if region := r.apiRegion(); region != "" && r.Region != "" && region != r.Region {
			f.Status = Warn
			f.Detail = "the API is asked in " + region + ", but mail is sent in " + r.Region
			f.Advice = "Identities, quotas, the sandbox and configuration sets belong to one region: ask and send in the same."
		}
	case e.Reason == seserrors.AccessDenied:
		f.Status, f.Reason = Warn, e.Reason
		f.Detail = "the API takes the credentials, but they lack the permission ses:GetAccount"
		f.Advice = "Allow ses:GetAccount to have sandbox, sending and quota checked."
		r.skip(unknown("GetAccount", e), checkSandbox, checkSending, checkQuota)
	case e.Class == seserrors.Canceled && ctx.Err() != nil:
		return false
	case e.Class == seserrors.Throttled:
		f.Status, f.Reason = Warn, e.Reason
		f.Detail = "the API takes the credentials, but others make control calls too: more than one a second"
		f.Advice = "Let all control calls of the account share one pace."
		r.skip(unknown("GetAccount", e), checkSandbox, checkSending, checkQuota)
	default:
		f.Status, f.Reason, f.Detail, f.Advice = Fail, e.Reason, words(e), e.Reason.Advice()
	}
	r.found(start, f)
	return f.Status != Fail
}

func (r *run) apiRegion() string {
	if c, ok := r.API.(interface{ Options() sesv2.Options }); ok {
		return c.Options().Region
	}
	return ""
}

func (r *run) sending() {
	if r.acct == nil {
		return
	}
	f := Finding{Check: checkSending, Subject: r.Region, Status: OK, Detail: "the account may send"}
	switch status := value(r.acct.EnforcementStatus); {
	case status == "SHUTDOWN":
		f.Status, f.Reason = Fail, seserrors.AccountSuspended
		f.Detail = "the account was shut down after a review"
		f.Advice = "Answer the case in AWS's Support Center; nothing here can be sent until then."
	case !r.acct.SendingEnabled:
		f.Status, f.Reason = Fail, seserrors.SendingPaused
		f.Detail = "sending is paused for the account in this region"
		f.Advice = "See the account dashboard of SES: either AWS paused it after a review, or somebody did with PutAccountSendingAttributes."
	case status == "PROBATION":
		f.Status = Warn
		f.Detail = "the account is under review; it may send for now"
		f.Advice = "Lower the rate of bounces and complaints, and answer AWS's case, before sending is paused."
	}
	r.found(time.Now(), f)
}

func (r *run) quota() {
	if r.acct == nil {
		return
	}
	f := Finding{Check: checkQuota, Subject: r.Region}
	q := r.acct.SendQuota
	if q == nil {
		f.Detail = "SES named no quota"
		r.found(time.Now(), f)
		return
	}
	left := q.Max24HourSend - q.SentLast24Hours
	f.Status = OK
	f.Detail = fmt.Sprintf("%.0f of %.0f recipients are left in 24 hours, %g a second", max(left, 0), q.Max24HourSend, q.MaxSendRate)
	switch {
	case q.Max24HourSend < 0:
		f.Detail = fmt.Sprintf("unlimited in 24 hours, %g a second", q.MaxSendRate)
	case left <= 0 || left < float64(len(r.to)):
		f.Status, f.Reason = Fail, seserrors.DailyQuotaExceeded
		f.Advice = "The 24 hours roll on: room comes back as yesterday's mails grow older. Ask for a higher quota in Service Quotas."
	case left < 0.2*q.Max24HourSend:
		f.Status = Warn
		f.Advice = "Less than a fifth is left. Ask for a higher quota in Service Quotas before it is spent."
	}
	r.found(time.Now(), f)
}

// recipients looks at each recipient: may the sandbox send to it, and is it on the
// suppression list?
func (r *run) recipients(ctx context.Context, set *sesv2.GetConfigurationSetOutput) {
	r.sandbox()
	if len(r.to) == 0 {
		r.skip("no recipients are given", checkSuppression)
		return
	}
	for _, to := range r.to {
		if to.err != nil {
			r.found(time.Now(), Finding{Check: checkSuppression, Subject: to.spelled, Status: Fail, Reason: seserrors.IllegalAddress,
				Detail: "is no address", Advice: "SES takes ASCII addresses, with international domains in Punycode."})
			continue
		}
		if r.acct != nil && !r.acct.ProductionAccessEnabled && !to.simulated() {
			r.sandboxed(ctx, to)
		}
		r.suppression(ctx, to, set)
	}
}

func (r *run) sandbox() {
	if r.acct == nil {
		return
	}
	f := Finding{Check: checkSandbox, Subject: r.Region, Status: OK, Detail: "the account is in production"}
	if !r.acct.ProductionAccessEnabled {
		f.Status = Warn
		f.Detail = "the account is in the sandbox: 200 recipients in 24 hours, 1 a second, and only verified ones or SES's simulator"
		f.Advice = "Ask for production access in this region."
	}
	r.found(time.Now(), f)
}

// sandboxed tells whether the sandbox may send to an address.
func (r *run) sandboxed(ctx context.Context, to address) {
	start := time.Now()
	f := Finding{Check: checkSandbox, Subject: to.spelled, Status: OK}
	verified, e := r.verified(ctx, to)
	switch {
	case e != nil && ctx.Err() != nil:
		f.Status, f.Detail = Skipped, outOfTime
	case e != nil:
		f.Status, f.Detail = Skipped, unknown("GetEmailIdentity", e)
	case verified != "":
		f.Detail = verified + " is verified, so the sandbox may send there"
	default:
		f.Status, f.Reason = Fail, seserrors.IdentityNotVerified
		f.Detail = "the sandbox may not send there: neither the address nor its domain is verified"
		f.Advice = "Verify the recipient, ask for production access, or send to success@simulator.amazonses.com."
	}
	r.found(start, f)
}

const outOfTime = "not checked: at one control call a second it did not fit into the run"

// suppression looks for a recipient on the account's suppression list, in the
// spelling given and in lower case: SES ignores the case when it sends, but not
// when it is asked.
func (r *run) suppression(ctx context.Context, to address, set *sesv2.GetConfigurationSetOutput) {
	start := time.Now()
	f := Finding{Check: checkSuppression, Subject: to.spelled, Status: OK, Detail: "is not on the suppression list"}
	spellings := []string{to.asked()}
	if lower := strings.ToLower(to.asked()); lower != to.asked() {
		spellings = append(spellings, lower)
	}
	for _, spelling := range spellings {
		out, e := call(ctx, r, "GetSuppressedDestination", r.API.GetSuppressedDestination, &sesv2.GetSuppressedDestinationInput{EmailAddress: &spelling})
		switch {
		case e == nil && out.SuppressedDestination != nil:
			r.suppressed(&f, spelling, out.SuppressedDestination, set)
			r.found(start, f)
			return
		case e == nil || isMissing(e):
			continue
		case ctx.Err() != nil:
			f.Status, f.Detail = Skipped, outOfTime
		default:
			f.Status, f.Detail = Skipped, unknown("GetSuppressedDestination", e)
		}
		break
	}
	r.found(start, f)
}

func (r *run) suppressed(f *Finding, spelling string, d *types.SuppressedDestination, set *sesv2.GetConfigurationSetOutput) {
	f.Status, f.Reason = Fail, seserrors.RecipientSuppressed
	f.Detail = "is on the suppression list"
	if spelling == strings.ToLower(f.Subject) && spelling != f.Subject {
		f.Detail += " in lower case"
	}
	f.Detail += ", reason " + string(d.Reason)
	if d.LastUpdateTime != nil {
		f.Detail += ", since " + d.LastUpdateTime.UTC().Format(time.DateOnly)
	}
	f.Advice = "SES would accept the mail and not send it. Once the cause is mended, take the address off with DeleteSuppressedDestination."
	if reasons, ok := r.suppressedReasons(set); ok && !slices.Contains(reasons, d.Reason) {
		f.Status, f.Reason = Warn, ""
		f.Detail += "; the settings do not suppress for that reason, so mail is sent"
		f.Advice = "A configuration set or account that suppresses for it would not send."
	}
}

// suppressedReasons returns the reasons for which mail is suppressed: those of the
// configuration set where it has its own, else the account's.
func (r *run) suppressedReasons(set *sesv2.GetConfigurationSetOutput) ([]types.SuppressionListReason, bool) {
	if set != nil && set.SuppressionOptions != nil && set.SuppressionOptions.SuppressedReasons != nil {
		return set.SuppressionOptions.SuppressedReasons, true
	}
	if r.acct != nil && r.acct.SuppressionAttributes != nil {
		return r.acct.SuppressionAttributes.SuppressedReasons, true
	}
	return nil, false
}

// value returns what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
