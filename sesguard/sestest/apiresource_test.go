package sestest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func TestGetEmailIdentity(t *testing.T) {
	s := newServer(t)
	s.Account.SetIdentity("Bad.Example.net", sestest.Identity{
		Status: "FAILED", ErrorType: "HOST_NOT_FOUND", DKIMStatus: "PENDING", DKIMTokens: []string{"t1"}, DKIMDisabled: true, NoFeedbackForwarding: true,
		MailFromDomain: "mail.example.net", MailFromStatus: "PENDING", RejectOnMXFailure: true, ConfigurationSet: "news",
	})
	s.Account.SetIdentity("own.example.net", sestest.Identity{DKIMTokens: []string{"selector"}, DKIMOwnKey: true})
	s.Account.Verify("Ann@example.org")
	tests := map[string]struct{ name, want string }{
		"domain":    {"Example.com", "DOMAIN SUCCESS true true; DKIM true SUCCESS 3 tokens AWS_SES RSA_2048_BIT; mail from   USE_DEFAULT_VALUE; set ; error "},
		"all of it": {"bad.example.net", "DOMAIN FAILED false false; DKIM false PENDING 1 tokens AWS_SES RSA_2048_BIT; mail from mail.example.net PENDING REJECT_MESSAGE; set news; error HOST_NOT_FOUND"},
		"own key":   {"own.example.net", "DOMAIN SUCCESS true true; DKIM true SUCCESS 1 tokens EXTERNAL ; mail from   USE_DEFAULT_VALUE; set ; error "},
		"address":   {"Ann@EXAMPLE.org", "EMAIL_ADDRESS SUCCESS true true; DKIM false NOT_STARTED 0 tokens AWS_SES ; mail from   USE_DEFAULT_VALUE; set ; error "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := apiClient(s).GetEmailIdentity(t.Context(), &sesv2.GetEmailIdentityInput{EmailIdentity: &tt.name})
			if err != nil {
				t.Fatal(err)
			}
			errorType := ""
			if out.VerificationInfo != nil {
				errorType = string(out.VerificationInfo.ErrorType)
			}
			d, m := out.DkimAttributes, out.MailFromAttributes
			got := fmt.Sprintf("%s %s %v %v; DKIM %v %s %d tokens %s %s; mail from %s %s %s; set %s; error %s",
				out.IdentityType, out.VerificationStatus, out.VerifiedForSendingStatus, out.FeedbackForwardingStatus,
				d.SigningEnabled, d.Status, len(d.Tokens), d.SigningAttributesOrigin, d.CurrentSigningKeyLength,
				aws.ToString(m.MailFromDomain), m.MailFromDomainStatus, m.BehaviorOnMxFailure, aws.ToString(out.ConfigurationSetName), errorType)
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	for _, name := range []string{"ann@example.org", "mail.example.com", "sender@example.com"} {
		_, err := apiClient(s).GetEmailIdentity(t.Context(), &sesv2.GetEmailIdentityInput{EmailIdentity: &name})
		wantAPIError(t, err, "NotFoundException")
	}
}

func TestGetConfigurationSet(t *testing.T) {
	s := newServer(t)
	api := apiClient(s)
	s.Account.AddConfigurationSet("plain")
	s.Account.SetConfigurationSet("full", sestest.ConfigurationSet{
		SendingPaused: true, SuppressedReasons: []string{"COMPLAINT"}, TLSPolicy: "REQUIRE", MaxDeliverySeconds: 300,
		Destinations: []sestest.EventDestination{{Name: "bounces", Types: []string{"BOUNCE"}, Disabled: true, TopicARN: "arn:x"}, {}},
	})
	for name, want := range map[string]string{"plain": "true OPTIONAL 0 <nil>", "full": "false REQUIRE 300 [COMPLAINT]"} {
		out, err := api.GetConfigurationSet(t.Context(), &sesv2.GetConfigurationSetInput{ConfigurationSetName: &name})
		if err != nil {
			t.Fatal(err)
		}
		reasons := any(nil)
		if out.SuppressionOptions != nil {
			reasons = out.SuppressionOptions.SuppressedReasons
		}
		got := fmt.Sprint(out.SendingOptions.SendingEnabled, " ", out.DeliveryOptions.TlsPolicy, " ", aws.ToInt64(out.DeliveryOptions.MaxDeliverySeconds), " ", reasons)
		if got != want || *out.ConfigurationSetName != name {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	var got []string
	for _, name := range []string{"plain", "full"} {
		out, err := api.GetConfigurationSetEventDestinations(t.Context(), &sesv2.GetConfigurationSetEventDestinationsInput{ConfigurationSetName: &name})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range out.EventDestinations {
			got = append(got, fmt.Sprintln(*d.Name, d.Enabled, len(d.MatchingEventTypes), d.MatchingEventTypes[0], *d.SnsDestination.TopicArn))
		}
	}
	if want := []string{"bounces false 1 BOUNCE arn:x\n", "events true 10 BOUNCE " + s.Events.TopicARN() + "\n"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("destinations %q, want %q", got, want)
	}
	_, err := api.GetConfigurationSet(t.Context(), &sesv2.GetConfigurationSetInput{ConfigurationSetName: aws.String("none")})
	wantAPIError(t, err, "NotFoundException")
	wantSays(t, err, "Configuration set <none> does not exist.")
	_, err = api.GetConfigurationSetEventDestinations(t.Context(), &sesv2.GetConfigurationSetEventDestinationsInput{ConfigurationSetName: aws.String("none")})
	wantAPIError(t, err, "NotFoundException")
}

func TestTheSuppressionListIsKept(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		api := apiClient(s)
		put := func(address string, reason types.SuppressionListReason) error {
			_, err := api.PutSuppressedDestination(t.Context(), &sesv2.PutSuppressedDestinationInput{EmailAddress: &address, Reason: reason})
			return err
		}
		get := func(address string) string {
			out, err := api.GetSuppressedDestination(t.Context(), &sesv2.GetSuppressedDestinationInput{EmailAddress: &address})
			if err != nil {
				wantAPIError(t, err, "NotFoundException")
				return ""
			}
			d := out.SuppressedDestination
			words := fmt.Sprint(*d.EmailAddress, d.Reason, " ", d.LastUpdateTime.UTC().Format(time.TimeOnly))
			if d.Attributes != nil {
				words += " " + *d.Attributes.MessageId
			}
			return words
		}
		time.Sleep(90 * time.Second)
		if err := put("Ann+x@Example.ORG", "COMPLAINT"); err != nil {
			t.Fatal(err)
		}
		for address, want := range map[string]string{
			"Ann+x@example.org": "Ann+x@example.orgCOMPLAINT 00:01:30", "Ann+x@EXAMPLE.org": "Ann+x@example.orgCOMPLAINT 00:01:30", "ann+x@example.org": "",
		} {
			if got := get(address); got != want {
				t.Errorf("%s: %q, want %q", address, got, want)
			}
		}
		wantAPIError(t, put("ann@example.org", "SPAM"), "BadRequestException")
		wantAPIError(t, put("ann", "BOUNCE"), "BadRequestException")
		remove := func() error {
			_, err := api.DeleteSuppressedDestination(t.Context(), &sesv2.DeleteSuppressedDestinationInput{EmailAddress: aws.String("Ann+x@example.org")})
			return err
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		wantAPIError(t, remove(), "NotFoundException")
		m := accept(t, s, to)
		s.Events.Bounce(m, "", "")
		if got, want := get(to), to+"BOUNCE 00:01:30 "+m.ID; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestTheSuppressionListIsPaged(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		begin := time.Now()
		for i := range 7 {
			s.Account.Suppress(fmt.Sprintf("a%d@example.org", i), []string{"BOUNCE", "COMPLAINT"}[i%2])
			time.Sleep(time.Hour)
		}
		tests := map[string]struct {
			in   sesv2.ListSuppressedDestinationsInput
			want string
		}{
			"all":     {sesv2.ListSuppressedDestinationsInput{}, "a0 a1 a2 a3 a4 a5 a6"},
			"pages":   {sesv2.ListSuppressedDestinationsInput{PageSize: aws.Int32(3)}, "a0 a1 a2 | a3 a4 a5 | a6"},
			"reason":  {sesv2.ListSuppressedDestinationsInput{Reasons: []types.SuppressionListReason{"COMPLAINT"}, PageSize: aws.Int32(2)}, "a1 a3 | a5"},
			"reasons": {sesv2.ListSuppressedDestinationsInput{Reasons: []types.SuppressionListReason{"COMPLAINT", "BOUNCE"}}, "a0 a1 a2 a3 a4 a5 a6"},
			"dates":   {sesv2.ListSuppressedDestinationsInput{StartDate: aws.Time(begin.Add(90 * time.Minute)), EndDate: aws.Time(begin.Add(4 * time.Hour))}, "a2 a3 a4"},
		}
		for name, tt := range tests {
			var pages []string
			for p := sesv2.NewListSuppressedDestinationsPaginator(apiClient(s), &tt.in); p.HasMorePages(); {
				out, err := p.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var page []string
				for _, x := range out.SuppressedDestinationSummaries {
					local, _, _ := strings.Cut(*x.EmailAddress, "@")
					page = append(page, local)
				}
				pages = append(pages, strings.Join(page, " "))
			}
			if got := strings.Join(pages, " | "); got != tt.want {
				t.Errorf("%s: %s, want %s", name, got, tt.want)
			}
		}
	})
}

func TestTemplatesAreStoredAndTried(t *testing.T) {
	s := newServer(t)
	api := apiClient(s)
	create := func(name string) error {
		_, err := api.CreateEmailTemplate(t.Context(), &sesv2.CreateEmailTemplateInput{
			TemplateName: &name, TemplateContent: &types.EmailTemplateContent{Subject: aws.String("Hello {{name}}"), Text: aws.String("Dear {{name}}")},
		})
		return err
	}
	if err := create("hello"); err != nil {
		t.Fatal(err)
	}
	wantAPIError(t, create("hello"), "AlreadyExistsException")
	got, err := api.GetEmailTemplate(t.Context(), &sesv2.GetEmailTemplateInput{TemplateName: aws.String("hello")})
	if err != nil {
		t.Fatal(err)
	}
	if c := got.TemplateContent; *c.Subject != "Hello {{name}}" || *c.Text != "Dear {{name}}" || c.Html != nil {
		t.Errorf("content %v", c)
	}
	_, err = api.GetEmailTemplate(t.Context(), &sesv2.GetEmailTemplateInput{TemplateName: aws.String("bye")})
	wantAPIError(t, err, "NotFoundException")
	try := func(name, data string) (string, error) {
		out, err := api.TestRenderEmailTemplate(t.Context(), &sesv2.TestRenderEmailTemplateInput{TemplateName: &name, TemplateData: &data})
		if err != nil {
			return "", err
		}
		return *out.RenderedTemplate, nil
	}
	text, err := try("hello", `{"name":"Ann"}`)
	if m := (sestest.Mail{Data: []byte(text)}); err != nil || m.Subject() != "Hello Ann" || strings.TrimSpace(m.Text()) != "Dear Ann" {
		t.Errorf("rendered %q, %v", text, err)
	}
	_, err = try("hello", `{}`)
	wantAPIError(t, err, "BadRequestException")
	wantSays(t, err, "Attribute 'name' is not present in the rendering data.")
	_, err = try("hello", `[]`)
	wantAPIError(t, err, "BadRequestException")
	_, err = try("bye", `{}`)
	wantAPIError(t, err, "NotFoundException")
}

func TestGetAccountTellsWhatIsSet(t *testing.T) {
	s := newServer(t)
	s.Account.SetProbation(true)
	out, err := apiClient(s).GetAccount(t.Context(), &sesv2.GetAccountInput{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(*out.EnforcementStatus, out.SuppressionAttributes.SuppressedReasons, out.VdmAttributes.VdmEnabled); got != "PROBATION[BOUNCE COMPLAINT]DISABLED" {
		t.Errorf("account %s", got)
	}
}

func TestControlCallsCanBeDeniedAndThrottled(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		api := apiClient(s)
		s.Account.Deny("ses:GetAccount")
		_, err := api.GetAccount(t.Context(), &sesv2.GetAccountInput{})
		wantAPIError(t, err, "AccessDeniedException")
		wantSays(t, err, "ses:GetAccount")
		if _, err := api.GetEmailIdentity(t.Context(), &sesv2.GetEmailIdentityInput{EmailIdentity: aws.String("example.com")}); err != nil {
			t.Fatal(err)
		}
		s.Account.Deny()
		s.Account.SetControlRate(1)
		if _, err := api.GetAccount(t.Context(), &sesv2.GetAccountInput{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second - time.Nanosecond)
		_, err = api.GetEmailTemplate(t.Context(), &sesv2.GetEmailTemplateInput{TemplateName: aws.String("x")})
		wantAPIError(t, err, "TooManyRequestsException")
		if _, err := api.SendEmail(t.Context(), rawInput(message, to)); err != nil {
			t.Errorf("a mail is no control call: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := api.GetAccount(t.Context(), &sesv2.GetAccountInput{}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFaultsAreForMessages(t *testing.T) {
	s := newServer(t)
	s.Script(sestest.Cut(sestest.Data))
	if _, err := apiClient(s).PutSuppressedDestination(t.Context(), &sesv2.PutSuppressedDestinationInput{EmailAddress: aws.String(to), Reason: "BOUNCE"}); err != nil || s.FaultsLeft() != 1 {
		t.Errorf("%v, %d faults left", err, s.FaultsLeft())
	}
	resp, err := s.HTTPClient().Post(s.URL+"/v2/email/templates", "application/json", strings.NewReader("{"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 400 || resp.Header.Get("X-Amzn-Errortype") != "SerializationException" {
		t.Errorf("no JSON draws %s %s", resp.Status, resp.Header.Get("X-Amzn-Errortype"))
	}
}

// The lists that a client gets are never null.
func TestEmptyListsAreLists(t *testing.T) {
	s := newServer(t)
	s.Account.AddConfigurationSet("plain")
	s.Account.SetSuppressedReasons()
	for path, member := range map[string]string{
		"/v2/email/suppression/addresses": "SuppressedDestinationSummaries", "/v2/email/configuration-sets/plain/event-destinations": "EventDestinations",
	} {
		_, body := get(t, s.HTTPClient(), s.URL+path)
		var o map[string]json.RawMessage
		if err := json.Unmarshal(body, &o); err != nil || string(o[member]) != "[]" {
			t.Errorf("%s: %s", path, body)
		}
	}
	if _, body := get(t, s.HTTPClient(), s.URL+"/v2/email/account"); !strings.Contains(string(body), `"SuppressedReasons":[]`) {
		t.Errorf("account %s", body)
	}
}
