package sestest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// The control calls: reading what the account has set, the suppression list
// and templates. SES lets an account make one a second, counted for all of them
// ("Service quotas in Amazon SES", Amazon SES Developer Guide).

func (s *Server) handleControl(mux *http.ServeMux) {
	for pattern, call := range map[string]struct {
		action string
		do     func(*apiCall) (any, *apiFailure)
	}{
		"GET /v2/email/account":                                      {"GetAccount", (*apiCall).getAccount},
		"GET /v2/email/identities/{name}":                            {"GetEmailIdentity", (*apiCall).getIdentity},
		"GET /v2/email/configuration-sets/{name}":                    {"GetConfigurationSet", (*apiCall).getSet},
		"GET /v2/email/configuration-sets/{name}/event-destinations": {"GetConfigurationSetEventDestinations", (*apiCall).getDestinations},
		"GET /v2/email/suppression/addresses":                        {"ListSuppressedDestinations", (*apiCall).listSuppressed},
		"PUT /v2/email/suppression/addresses":                        {"PutSuppressedDestination", (*apiCall).putSuppressed},
		"GET /v2/email/suppression/addresses/{name}":                 {"GetSuppressedDestination", (*apiCall).getSuppressed},
		"DELETE /v2/email/suppression/addresses/{name}":              {"DeleteSuppressedDestination", (*apiCall).deleteSuppressed},
		"POST /v2/email/templates":                                   {"CreateEmailTemplate", (*apiCall).createTemplate},
		"GET /v2/email/templates/{name}":                             {"GetEmailTemplate", (*apiCall).getTemplate},
		"POST /v2/email/templates/{name}/render":                     {"TestRenderEmailTemplate", (*apiCall).testRender},
	} {
		mux.HandleFunc(pattern, s.handle(func(c *apiCall) (any, *apiFailure) {
			if failure := c.srv.Account.allow("ses:"+call.action, time.Now()); failure != nil {
				return nil, failure
			}
			return call.do(c)
		}))
	}
}

// allow refuses a control call for want of a permission, or because it comes
// too soon.
func (a *Account) allow(action string, now time.Time) *apiFailure {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Contains(a.denied, action) {
		return &apiFailure{status: 403, code: "AccessDeniedException", message: fmt.Sprintf("User `arn:aws:iam::%s:user/sestest' is not authorized to perform `%s'", accountID, action)}
	}
	a.control.expire(now)
	if a.control.overflows(1, a.controlRate) {
		return &apiFailure{status: 429, code: "TooManyRequestsException", message: "Rate exceeded"}
	}
	if a.controlRate > 0 {
		a.control.add(1, now.Add(time.Second))
	}
	return nil
}

func notFound(format string, args ...any) *apiFailure {
	return &apiFailure{status: 404, code: "NotFoundException", message: fmt.Sprintf(format, args...)}
}

// decode reads the request's JSON. Faults by script are for messages.
func (c *apiCall) decode(into any) *apiFailure {
	if json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, maxRequest)).Decode(into) != nil {
		return notJSON()
	}
	return nil
}

// unlimitedRate is reported for an account without a limit; SES has no such
// account.
const unlimitedRate = 100000

func (c *apiCall) getAccount() (any, *apiFailure) {
	a := c.srv.Account
	a.mu.Lock()
	defer a.mu.Unlock()
	a.day.expire(time.Now())
	enforcement := "HEALTHY"
	if a.probation {
		enforcement = "PROBATION"
	}
	if a.suspended {
		enforcement = "SHUTDOWN"
	}
	return object{
		"DedicatedIpAutoWarmupEnabled": false,
		"EnforcementStatus":            enforcement,
		"ProductionAccessEnabled":      !a.sandbox,
		"SendingEnabled":               !a.paused && !a.suspended,
		"SendQuota": map[string]float64{
			"Max24HourSend": orUnlimited(a.quota, -1), "MaxSendRate": orUnlimited(a.rate, unlimitedRate), "SentLast24Hours": float64(a.day.sum),
		},
		"SuppressionAttributes": object{"SuppressedReasons": orEmpty(a.suppress)},
		"VdmAttributes":         object{"VdmEnabled": "DISABLED"},
	}, nil
}

func orUnlimited(limit, none float64) float64 {
	if limit > 0 {
		return limit
	}
	return none
}

// orEmpty has JSON say [], not null.
func orEmpty(list []string) []string { return append([]string{}, list...) }

// getIdentity finds an identity by its name as it stands: SES knows the letter
// case of an address, and no domain by a subdomain.
func (c *apiCall) getIdentity() (any, *apiFailure) {
	a, name := c.srv.Account, canonical(c.r.PathValue("name"))
	a.mu.Lock()
	defer a.mu.Unlock()
	id, ok := a.identities[name]
	if !ok {
		return nil, notFound("Email identity <%s> does not exist.", name)
	}
	o := object{
		"IdentityType": "DOMAIN", "VerificationStatus": id.status(), "VerifiedForSendingStatus": id.status() == success,
		"FeedbackForwardingStatus": !id.NoFeedbackForwarding, "DkimAttributes": id.dkim(name, a.region),
		"MailFromAttributes": object{"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"}, "VerificationInfo": object{"ErrorType": id.ErrorType},
		"Policies": object{}, "Tags": []object{},
	}
	if strings.Contains(name, "@") {
		o["IdentityType"] = "EMAIL_ADDRESS"
	}
	if id.ErrorType == "" {
		delete(o, "VerificationInfo")
	}
	if id.ConfigurationSet != "" {
		o["ConfigurationSetName"] = id.ConfigurationSet
	}
	if id.MailFromDomain != "" {
		m := object{"MailFromDomain": id.MailFromDomain, "MailFromDomainStatus": id.mailFromStatus(), "BehaviorOnMxFailure": "USE_DEFAULT_VALUE"}
		if id.RejectOnMXFailure {
			m["BehaviorOnMxFailure"] = "REJECT_MESSAGE"
		}
		o["MailFromAttributes"] = m
	}
	return o, nil
}

func (id Identity) dkim(name, region string) object {
	o := object{"SigningEnabled": !id.DKIMDisabled, "SigningAttributesOrigin": "AWS_SES", "Status": cmp.Or(id.DKIMStatus, id.status())}
	if strings.Contains(name, "@") {
		o["SigningEnabled"], o["Status"] = id.DKIMStatus == success && !id.DKIMDisabled, cmp.Or(id.DKIMStatus, "NOT_STARTED")
		return o
	}
	o["Tokens"] = id.DKIMTokens
	if id.DKIMTokens == nil {
		o["Tokens"] = []string{md5Hex(name + "1"), md5Hex(name + "2"), md5Hex(name + "3")}
	}
	if id.DKIMOwnKey {
		o["SigningAttributesOrigin"] = "EXTERNAL"
		return o
	}
	o["SigningHostedZone"] = "dkim.amazonses.com"
	o["CurrentSigningKeyLength"], o["NextSigningKeyLength"] = "RSA_2048_BIT", "RSA_2048_BIT"
	return o
}

func (c *apiCall) set() (name string, set ConfigurationSet, failure *apiFailure) {
	name = c.r.PathValue("name")
	a := c.srv.Account
	a.mu.Lock()
	defer a.mu.Unlock()
	set, ok := a.sets[name]
	if !ok {
		failure = refused(seserrors.ConfigurationSetMissing, name).failure()
	}
	return name, set, failure
}

func (c *apiCall) getSet() (any, *apiFailure) {
	name, set, failure := c.set()
	if failure != nil {
		return nil, failure
	}
	delivery := object{"TlsPolicy": cmp.Or(set.TLSPolicy, "OPTIONAL")}
	if set.MaxDeliverySeconds > 0 {
		delivery["MaxDeliverySeconds"] = set.MaxDeliverySeconds
	}
	o := object{
		"ConfigurationSetName": name, "DeliveryOptions": delivery, "Tags": []object{},
		"SendingOptions":    object{"SendingEnabled": !set.SendingPaused},
		"ReputationOptions": object{"ReputationMetricsEnabled": false},
	}
	if set.SuppressedReasons != nil {
		o["SuppressionOptions"] = object{"SuppressedReasons": set.SuppressedReasons}
	}
	return o, nil
}

func (c *apiCall) getDestinations() (any, *apiFailure) {
	_, set, failure := c.set()
	if failure != nil {
		return nil, failure
	}
	list := []object{}
	for _, d := range set.Destinations {
		list = append(list, object{
			"Name": cmp.Or(d.Name, "events"), "Enabled": !d.Disabled, "MatchingEventTypes": d.matching(),
			"SnsDestination": object{"TopicArn": topicOr(d.TopicARN, c.srv.Region)},
		})
	}
	return object{"EventDestinations": list}, nil
}

// seconds is a time as the API's JSON has it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (c *apiCall) findSuppressed() (Suppressed, *apiFailure) {
	a, address := c.srv.Account, c.r.PathValue("name")
	a.mu.Lock()
	defer a.mu.Unlock()
	entry, ok := a.suppressed[canonical(address)]
	if !ok {
		return entry, notFound("Email address %s does not exist on your suppression list.", address)
	}
	return entry, nil
}

func (c *apiCall) getSuppressed() (any, *apiFailure) {
	entry, failure := c.findSuppressed()
	if failure != nil {
		return nil, failure
	}
	o := entry.summary()
	if entry.messageID != "" {
		o["Attributes"] = object{"MessageId": entry.messageID, "FeedbackId": entry.feedbackID}
	}
	return object{"SuppressedDestination": o}, nil
}

func (x Suppressed) summary() object {
	return object{"EmailAddress": x.Address, "Reason": x.Reason, "LastUpdateTime": seconds(x.Updated)}
}

func (c *apiCall) deleteSuppressed() (any, *apiFailure) {
	entry, failure := c.findSuppressed()
	if failure != nil {
		return nil, failure
	}
	c.srv.Account.Unsuppress(entry.Address)
	return object{}, nil
}

func (c *apiCall) putSuppressed() (any, *apiFailure) {
	var in struct{ EmailAddress, Reason string }
	if failure := c.decode(&in); failure != nil {
		return nil, failure
	}
	if in.Reason != "BOUNCE" && in.Reason != "COMPLAINT" {
		return nil, badRequest("Invalid suppression list reason: " + in.Reason)
	}
	if r := checkAddress(in.EmailAddress); r != nil {
		return nil, r.failure()
	}
	c.srv.Account.Suppress(in.EmailAddress, in.Reason)
	return object{}, nil
}

// listSuppressed pages by the last address of the page before.
func (c *apiCall) listSuppressed() (any, *apiFailure) {
	q := c.r.URL.Query()
	size, err := strconv.Atoi(cmp.Or(q.Get("PageSize"), "1000"))
	start, err1 := time.Parse(time.RFC3339, cmp.Or(q.Get("StartDate"), "0001-01-01T00:00:00Z"))
	end, err2 := time.Parse(time.RFC3339, cmp.Or(q.Get("EndDate"), "9999-01-01T00:00:00Z"))
	if err != nil || err1 != nil || err2 != nil || size < 1 {
		return nil, badRequest("The input you provided is invalid.")
	}
	o, page := object{}, []object{}
	for _, x := range c.srv.Account.SuppressionList() {
		reasons := q["Reason"]
		if x.Address <= q.Get("NextToken") || len(reasons) > 0 && !slices.Contains(reasons, x.Reason) || x.Updated.Before(start) || x.Updated.After(end) {
			continue
		}
		if len(page) == size {
			o["NextToken"] = page[size-1]["EmailAddress"]
			break
		}
		page = append(page, x.summary())
	}
	o["SuppressedDestinationSummaries"] = page
	return o, nil
}

func (c *apiCall) createTemplate() (any, *apiFailure) {
	var in struct {
		TemplateName    string
		TemplateContent struct{ Subject, Text, Html string }
	}
	if failure := c.decode(&in); failure != nil {
		return nil, failure
	}
	a := c.srv.Account
	a.mu.Lock()
	defer a.mu.Unlock()
	switch _, ok := a.templates[in.TemplateName]; {
	case in.TemplateName == "":
		return nil, badRequest("The input you provided is invalid.")
	case ok:
		return nil, &apiFailure{status: 400, code: "AlreadyExistsException", message: "Template <" + in.TemplateName + "> already exists."}
	}
	a.templates[in.TemplateName] = storedTemplate{in.TemplateContent.Subject, in.TemplateContent.Text, in.TemplateContent.Html}
	return object{}, nil
}

func (c *apiCall) getTemplate() (any, *apiFailure) {
	name := c.r.PathValue("name")
	t, r := c.srv.Account.find(&templated{TemplateName: name})
	if r != nil {
		return nil, r.failure()
	}
	parts := map[string]string{"Subject": t.subject}
	for member, text := range map[string]string{"Text": t.text, "Html": t.html} {
		if text != "" {
			parts[member] = text
		}
	}
	return object{"TemplateName": name, "TemplateContent": parts, "Tags": []object{}}, nil
}

// testRender says at once what a mail's template lacks.
func (c *apiCall) testRender() (any, *apiFailure) {
	var in struct{ TemplateData string }
	if failure := c.decode(&in); failure != nil {
		return nil, failure
	}
	s, problem, r := c.srv.Account.render(&templated{TemplateName: c.r.PathValue("name"), TemplateData: in.TemplateData})
	if r == nil && problem != "" {
		r = refused(seserrors.TemplateInvalid, problem)
	}
	if r != nil {
		return nil, r.failure()
	}
	message, r := new(sendRequest).compose(&submission{mail: Mail{region: c.srv.Region}}, s)
	if r != nil {
		return nil, r.failure()
	}
	return object{"RenderedTemplate": string(message)}, nil
}
