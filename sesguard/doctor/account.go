package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
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
	once, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	out, err := within(once, func() (Out, error) { return f(once, in) })
	switch {
	case err == nil:
		return out, nil
	case once.Err() != nil && ctx.Err() == nil:
		return zero, &seserrors.Error{Op: "ses " + op, Class: seserrors.Unavailable, Reason: seserrors.Network, Err: errors.New("no answer within " + stepTime.String())}
	}
	e := *seserrors.FromAPI("ses "+op, err)
	e.MaybeAccepted = false // nothing is sent
	r.denied[op] = e.Reason == seserrors.AccessDenied
	return zero, &e
}

// isMissing reports whether SES says that what was asked for does not exist.
func isMissing(e *seserrors.Error) bool { return e.APICode == "NotFoundException" }

// unknown says why a check has no answer from SES.
func unknown(op string, e *seserrors.Error) string {
	if e.Reason == seserrors.AccessDenied {
		return "not checked: the credentials lack the permission ses:" + op
	}
	return "not checked: " + words(e)
}

// ofTheAccount are the checks that need the API.
var ofTheAccount = []string{checkSandbox, checkSending, checkQuota, checkIdentity,
	checkConfigSet, checkEvents, checkFeedback, checkSuppression, checkAuthorization}

// account asks SES about the account, its identities and settings.
func (r *run) account(ctx context.Context) {
	r.noAddress(checkIdentity, r.from)
	r.noAddress(checkSuppression, r.to...)
	if r.API == nil {
		r.skip("no API client is given", checkCredentials)
	}
	if r.answers = r.API != nil && r.getAccount(ctx); !r.answers {
		if ctx.Err() == nil {
			r.skip("the API is not asked: see "+checkCredentials, ofTheAccount...)
			r.dns(ctx, nil)
		}
		return
	}
	if r.acct != nil {
		r.sandbox()
		r.sending()
		r.quota()
	}
	id := r.identity(ctx)
	r.authorization()
	together(func() { r.dns(ctx, id) }, func() { // DNS needs no turn
		set := r.configurationSet(ctx, id)
		r.feedback(id)
		r.recipients(ctx, set)
	})
}

// noAddress tells of addresses that are none.
func (r *run) noAddress(slug string, all ...address) {
	for _, a := range all {
		if a.err != nil {
			r.found(time.Now(), Finding{Check: slug, Subject: a.spelled, Status: Fail, Reason: seserrors.IllegalAddress,
				Detail: "is no address that SES takes: " + strings.TrimPrefix(a.err.Error(), "mail: "),
				Advice: "Write name@example.com: the name in ASCII, an international domain as such or in Punycode."})
		}
	}
}

// getAccount tells whether the API can be used.
func (r *run) getAccount(ctx context.Context) bool {
	start := time.Now()
	out, e := call(ctx, r, "GetAccount", r.API.GetAccount, &sesv2.GetAccountInput{})
	f := Finding{Check: checkCredentials, Subject: r.Region, Status: OK, Detail: "the API takes the credentials"}
	usable := true
	switch {
	case e != nil && ctx.Err() != nil:
		return false
	case e == nil && r.Region != r.sends && !r.failed(ctx, checkEndpoint, checkPorts):
		usable = false
		f.fail("", "the API is asked in "+r.Region+", but mail is sent in "+r.sends,
			"Identities, quotas, the sandbox, configuration sets and SMTP passwords belong to one region: ask and send in the same.")
	case e == nil:
		r.acct = out
		if skew, ok := middleware.GetAttemptSkew(out.ResultMetadata); ok && skew.Abs() > 5*time.Minute {
			f.warn(f.Detail+", but this machine's clock is off by "+skew.Abs().Round(time.Second).String(), apiAdvice[seserrors.ClockSkew])
		}
	case e.Reason == seserrors.AccessDenied:
		f.warn(f.Detail+", but they lack the permission ses:GetAccount", "Allow ses:GetAccount to have sandbox, sending and quota checked.")
	case e.Class == seserrors.Throttled:
		f.warn(f.Detail+", but others make control calls too: more than one a second", "Let all control calls of the account share one pace.")
	default:
		f.fail(e.Reason, words(e), cmp.Or(apiAdvice[e.Reason], e.Reason.Advice()))
		if e.Class == seserrors.Unavailable && e.Code == 0 && r.failed(ctx, checkEndpoint, checkPorts) ||
			(e.Reason == seserrors.CertificateInvalid || e.Reason == seserrors.ClockSkew) && r.failed(ctx, checkCertificate) {
			f.Status, f.Detail = Warn, "the API cannot be used either: "+f.Detail
		}
		usable = false
	}
	r.found(start, f)
	if usable && r.acct == nil {
		r.skip(unknown("GetAccount", e), checkSandbox, checkSending, checkQuota)
	}
	return usable
}

// apiAdvice is for one who has no mail under way.
var apiAdvice = map[seserrors.Reason]string{
	seserrors.Network:            reachAPI,
	seserrors.NameNotFound:       reachAPI,
	seserrors.ClockSkew:          "Set this machine's clock by NTP: SES takes a signature for five minutes.",
	seserrors.CredentialsInvalid: "Look which credentials the SDK finds (aws sts get-caller-identity), and that the key is active.",
	seserrors.CredentialsExpired: "Get new temporary credentials, or let the SDK renew them.",
}

const reachAPI = "Check the spelling of the region, and that this machine reaches email.REGION.amazonaws.com on port 443, through the proxy in HTTPS_PROXY if there is one."

// failed waits for what is found about the way to SMTP, and reports whether one of
// these checks failed, or nothing was found in time.
func (r *run) failed(ctx context.Context, slugs ...string) bool {
	select {
	case <-r.reached:
	case <-ctx.Done():
	}
	return ctx.Err() != nil || r.has(func(f Finding) bool { return f.Status == Fail && slices.Contains(slugs, f.Check) })
}

func (r *run) sending() {
	f := Finding{Check: checkSending, Subject: r.Region, Status: OK, Detail: "the account may send"}
	switch status := aws.ToString(r.acct.EnforcementStatus); {
	case status == "SHUTDOWN":
		f.fail(seserrors.AccountSuspended, "sending is paused: AWS shut the account down after a review",
			"Answer the case in AWS's Support Center; nothing here can be sent until then.")
	case !r.acct.SendingEnabled:
		f.fail(seserrors.SendingPaused, "sending is paused for the account in this region",
			"See the account dashboard of SES: either AWS paused it after a review, or somebody did with PutAccountSendingAttributes.")
	case status == "PROBATION":
		f.warn("the account is under review; it may send for now", "Lower the rate of bounces and complaints, and answer AWS's case, before sending is paused.")
	}
	r.found(time.Now(), f)
}

func (r *run) quota() {
	q := r.acct.SendQuota
	if q == nil {
		r.skip("SES named no quota", checkQuota)
		return
	}
	left := q.Max24HourSend - q.SentLast24Hours
	f := Finding{Check: checkQuota, Subject: r.Region, Status: OK,
		Detail: fmt.Sprintf("%.0f of %.0f recipients are left in 24 hours, %g a second", max(left, 0), q.Max24HourSend, q.MaxSendRate)}
	switch {
	case q.Max24HourSend < 0:
		f.Detail = fmt.Sprintf("unlimited in 24 hours, %g a second", q.MaxSendRate)
	case left <= 0 || left < float64(len(r.to)):
		f.fail(seserrors.DailyQuotaExceeded, f.Detail, "The 24 hours roll on: room comes back as yesterday's mails grow older. Ask for a higher quota in Service Quotas.")
	case left < 0.2*q.Max24HourSend:
		f.warn(f.Detail, "Less than a fifth is left. Ask for a higher quota in Service Quotas before it is spent.")
	}
	r.found(time.Now(), f)
}

// recipients looks at each recipient: may the sandbox send to it, and is it on the
// suppression list?
func (r *run) recipients(ctx context.Context, set *sesv2.GetConfigurationSetOutput) {
	if len(r.to) == 0 {
		r.skip("no recipients are given", checkSuppression)
		return
	}
	list := r.suppressionList(ctx)
	for _, to := range r.to {
		if to.err != nil {
			continue
		}
		if r.acct != nil && !r.acct.ProductionAccessEnabled && !to.simulated() {
			r.sandboxed(ctx, to)
		}
		r.suppression(ctx, to, list, set)
	}
}

func (r *run) sandbox() {
	f := Finding{Check: checkSandbox, Subject: r.Region, Status: OK, Detail: "the account is in production"}
	if !r.acct.ProductionAccessEnabled {
		f.warn("the account is in the sandbox: 200 recipients in 24 hours, 1 a second, and only verified ones or SES's simulator", "Ask for production access in this region.")
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
		f.fail(seserrors.IdentityNotVerified, "the sandbox may not send there: neither the address nor its domain is verified",
			"Verify the recipient, ask for production access, or send to success@simulator.amazonses.com.")
		if lower := r.lowerVerified(ctx, to); lower != "" {
			f.Detail = "the sandbox may not send there: " + lower + " is verified, but SES tells the letter case of addresses apart"
			f.Advice = "Write " + lower + ", or verify this spelling or the domain."
		}
	}
	r.found(start, f)
}

const outOfTime = "not checked: at one control call a second it did not fit into the run"

// suppressionList returns the suppression list in one call, if the client can list
// it, may, and it is short. SES ignores the letter case when it sends, but not when
// it is asked for one address, so only the list shows another spelling.
func (r *run) suppressionList(ctx context.Context) (list []types.SuppressedDestinationSummary) {
	api, ok := r.API.(interface {
		ListSuppressedDestinations(context.Context, *sesv2.ListSuppressedDestinationsInput, ...func(*sesv2.Options)) (*sesv2.ListSuppressedDestinationsOutput, error)
	})
	if !ok {
		return nil
	}
	size := int32(1000) // the most that SES gives at once
	out, e := call(ctx, r, "ListSuppressedDestinations", api.ListSuppressedDestinations, &sesv2.ListSuppressedDestinationsInput{PageSize: &size})
	if e != nil || out.NextToken != nil {
		return nil
	}
	return append([]types.SuppressedDestinationSummary{}, out.SuppressedDestinationSummaries...)
}

// suppression looks for a recipient on the account's suppression list, which is nil
// if it is not known: then SES is asked for the spelling given and for lower case.
func (r *run) suppression(ctx context.Context, to address, list []types.SuppressedDestinationSummary, set *sesv2.GetConfigurationSetOutput) {
	start := time.Now()
	f := Finding{Check: checkSuppression, Subject: to.spelled, Status: OK, Detail: "is not on the suppression list"}
	for _, d := range list {
		if strings.EqualFold(aws.ToString(d.EmailAddress), to.asked()) {
			r.suppressed(&f, to, d, set)
			break
		}
	}
	for _, spelling := range slices.Compact([]string{to.asked(), strings.ToLower(to.asked())}) {
		if list != nil {
			break
		}
		out, e := call(ctx, r, "GetSuppressedDestination", r.API.GetSuppressedDestination, &sesv2.GetSuppressedDestinationInput{EmailAddress: &spelling})
		switch {
		case e == nil && out.SuppressedDestination != nil:
			d := out.SuppressedDestination
			r.suppressed(&f, to, types.SuppressedDestinationSummary{EmailAddress: &spelling, Reason: d.Reason, LastUpdateTime: d.LastUpdateTime}, set)
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

func (r *run) suppressed(f *Finding, to address, d types.SuppressedDestinationSummary, set *sesv2.GetConfigurationSetOutput) {
	f.fail(seserrors.RecipientSuppressed, "is on the suppression list",
		"SES would accept the mail and not send it. Once the cause is mended, take the address off with DeleteSuppressedDestination.")
	if spelling := aws.ToString(d.EmailAddress); spelling != to.asked() {
		f.Detail += " as " + spelling
	}
	f.Detail += ", reason " + string(d.Reason)
	if d.LastUpdateTime != nil {
		f.Detail += ", since " + d.LastUpdateTime.UTC().Format(time.DateOnly)
	}
	if reasons, ok := r.suppressedReasons(set); ok && !slices.Contains(reasons, d.Reason) {
		f.warn(f.Detail+"; the settings do not suppress for that reason, so mail is sent", "A configuration set or account that suppresses for it would not send.")
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
