package sestest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func apiClient(s *sestest.Server) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region:       s.Region,
		BaseEndpoint: &s.URL,
		HTTPClient:   s.HTTPClient(),
		Retryer:      aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}, nil
		}),
	})
}

func rawInput(msg string, rcpts ...string) *sesv2.SendEmailInput {
	in := &sesv2.SendEmailInput{Content: &types.EmailContent{Raw: &types.RawMessage{Data: []byte(msg)}}}
	if len(rcpts) > 0 {
		in.Destination = &types.Destination{ToAddresses: rcpts}
	}
	return in
}

func TestTheSDKSendsRawContent(t *testing.T) {
	s := newServer(t)
	out, err := apiClient(s).SendEmail(context.Background(), rawInput(message, to))
	if err != nil {
		t.Fatal(err)
	}
	m := wantAccepted(t, s, 1)[0]
	if m.ID != *out.MessageId || !idShape.MatchString(m.ID) {
		t.Errorf("id %q, want the accepted message's %q", *out.MessageId, m.ID)
	}
	if m.From != from || m.To[0] != to || string(m.Data) != message || m.Transport != "api" {
		t.Errorf("accepted %+v", m)
	}
}

func simpleInput() *sesv2.SendEmailInput {
	return &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("Sender <sender@example.com>"),
		Destination: &types.Destination{
			ToAddresses: []string{"To <to@example.org>"}, CcAddresses: []string{"cc@example.org"}, BccAddresses: []string{"bcc@example.org"},
		},
		ReplyToAddresses: []string{"reply@example.com"},
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: &types.Content{Data: aws.String("Grüße")},
			Body:    &types.Body{Text: &types.Content{Data: aws.String("Schöne Grüße")}},
		}},
	}
}

// parse reads an accepted message with the standard library's readers.
func parse(t *testing.T, data []byte) (*mail.Message, string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return m, outline(t, textproto.MIMEHeader(m.Header), m.Body)
}

// outline writes a MIME tree on one line.
func outline(t *testing.T, h textproto.MIMEHeader, body io.Reader) string {
	t.Helper()
	typ, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(typ, "multipart/") {
		return typ + " " + decodePart(t, h, body)
	}
	var parts []string
	for r := multipart.NewReader(body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return typ + "(" + strings.Join(parts, ", ") + ")"
		}
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, outline(t, p.Header, p))
	}
}

func decodePart(t *testing.T, h textproto.MIMEHeader, body io.Reader) string {
	t.Helper()
	switch h.Get("Content-Transfer-Encoding") {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + h.Get("Content-Id")
}

func send(t *testing.T, s *sestest.Server, in *sesv2.SendEmailInput) sestest.Mail {
	t.Helper()
	out, err := apiClient(s).SendEmail(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	all := s.Accepted()
	m := all[len(all)-1]
	if m.ID != *out.MessageId {
		t.Fatalf("accepted %s, answered %s", m.ID, *out.MessageId)
	}
	return m
}

func TestSimpleContentBecomesAMessage(t *testing.T) {
	s := newServer(t)
	m := send(t, s, simpleInput())
	if m.From != "sender@example.com" || strings.Join(m.To, " ") != "to@example.org cc@example.org bcc@example.org" {
		t.Errorf("envelope %s → %v", m.From, m.To)
	}
	msg, tree := parse(t, m.Data)
	want := map[string]string{
		"From": "Sender <sender@example.com>", "To": "To <to@example.org>", "Cc": "cc@example.org", "Bcc": "",
		"Reply-To": "reply@example.com", "Subject": "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Message-Id": "<" + m.ID + "@email.amazonses.com>",
	}
	for name, v := range want {
		if got := msg.Header.Get(name); got != v {
			t.Errorf("%s: %q, want %q", name, got, v)
		}
	}
	if _, err := msg.Header.Date(); err != nil {
		t.Error(err)
	}
	if tree != "text/plain Schöne Grüße" {
		t.Errorf("body %q", tree)
	}
	if !bytes.Contains(m.Request, []byte(`"FromEmailAddress":"Sender`)) {
		t.Errorf("request %s", m.Request)
	}
}

func TestTheMIMETreeHoldsEveryPart(t *testing.T) {
	s := newServer(t)
	in := simpleInput()
	c := in.Content.Simple
	c.Body.Html = &types.Content{Data: aws.String("<b>Grüße</b>")}
	c.Headers = []types.MessageHeader{{Name: aws.String("X-Custom"), Value: aws.String("yes")}}
	c.Attachments = []types.Attachment{
		{FileName: aws.String("ä.txt"), RawContent: bytes.Repeat([]byte("x"), 100), ContentType: aws.String("text/x-file"), ContentDescription: aws.String("file")},
		{FileName: aws.String("i.png"), RawContent: []byte("png"), ContentDisposition: types.AttachmentContentDispositionInline, ContentId: aws.String("img"), ContentType: aws.String("image/png")},
	}
	msg, tree := parse(t, send(t, s, in).Data)
	want := "multipart/mixed(multipart/related(multipart/alternative(text/plain Schöne Grüße, text/html <b>Grüße</b>), image/png png<img>), text/x-file " +
		strings.Repeat("x", 100) + ")"
	if tree != want {
		t.Errorf("tree %q, want %q", tree, want)
	}
	if msg.Header.Get("X-Custom") != "yes" {
		t.Error("the custom header is missing")
	}
}

func TestTemplatesAreRendered(t *testing.T) {
	s := newServer(t)
	s.Account.AddTemplate("hello", "Hello {{name}}", "Dear {{ name }}", "")
	templated := func(tmpl types.Template) *sesv2.SendEmailInput {
		in := simpleInput()
		in.Content = &types.EmailContent{Template: &tmpl}
		return in
	}
	data := aws.String(`{"name": "{{name}}"}`)
	tests := map[string]struct {
		tmpl          types.Template
		subject, tree string
	}{
		"by name": {types.Template{TemplateName: aws.String("hello"), TemplateData: data}, "Hello {{name}}", "text/plain Dear {{name}}"},
		"by ARN": {types.Template{TemplateArn: aws.String("arn:aws:ses:us-east-1:1:template/hello"), TemplateData: aws.String(`{"name":7}`)},
			"Hello 7", "text/plain Dear 7"},
		"inline": {types.Template{TemplateContent: &types.EmailTemplateContent{Subject: aws.String("S {{a}}"), Html: aws.String("<i>{{a}}</i>")},
			TemplateData: aws.String(`{"a":"b"}`)}, "S b", "text/html <i>b</i>"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			msg, tree := parse(t, send(t, s, templated(tt.tmpl)).Data)
			if got := msg.Header.Get("Subject"); got != tt.subject || tree != tt.tree {
				t.Errorf("%q %q, want %q %q", got, tree, tt.subject, tt.tree)
			}
		})
	}
	_, err := apiClient(s).SendEmail(t.Context(), templated(types.Template{TemplateName: aws.String("bye")}))
	wantAPIError(t, err, "NotFoundException")
	wantSays(t, err, "Template <bye> does not exist.")
	_, err = apiClient(s).SendEmail(t.Context(), templated(types.Template{TemplateName: aws.String("hello"), TemplateData: aws.String("[]")}))
	wantAPIError(t, err, "BadRequestException")
}

// SES answers 200 with an id, and sends nothing.
func TestATemplateWithoutAValueIsAcceptedAndNeverSent(t *testing.T) {
	tests := map[string]struct{ text, html, data, want string }{
		"absent":  {"Dear {{name}}", "", `{"nme":"Ann"}`, "Attribute 'name' is not present in the rendering data."},
		"null":    {"Dear {{name}}", "", `{"name":null}`, "Attribute 'name' is not present in the rendering data."},
		"in HTML": {"Dear {{name}}", "<b>{{ greeting }}</b>", `{"name":"Ann"}`, "Attribute 'greeting' is not present in the rendering data."},
		"no data": {"Dear {{name}}", "", "", "Attribute 'name' is not present in the rendering data."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.Account.SetMax24HourSend(1)
			s.Account.AddTemplate("hello", "Hello", tt.text, tt.html)
			in := simpleInput()
			in.Destination = &types.Destination{ToAddresses: []string{to}}
			in.Content = &types.EmailContent{Template: &types.Template{TemplateName: aws.String("hello"), TemplateData: &tt.data}}
			out, err := apiClient(s).SendEmail(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			wantAccepted(t, s, 0)
			got := s.Unrendered()
			if len(got) != 1 || got[0].ID != *out.MessageId || got[0].Problem != tt.want || got[0].To[0] != to || got[0].Data != nil {
				t.Errorf("unrendered %+v, want %s with %s", got, *out.MessageId, tt.want)
			}
			_, err = apiClient(s).SendEmail(t.Context(), in)
			wantSays(t, err, quotaSpent) // it used the quota up
		})
	}
}

func TestInlineTemplatesTakePlainVariablesOnly(t *testing.T) {
	s := newServer(t)
	in := simpleInput()
	in.Content = &types.EmailContent{Template: &types.Template{TemplateContent: &types.EmailTemplateContent{
		Subject: aws.String("Hello"), Text: aws.String("{{#if name}}Dear {{name}}{{/if}}"),
	}}}
	_, err := apiClient(s).SendEmail(t.Context(), in)
	wantAPIError(t, err, "BadRequestException")
	wantSays(t, err, "Template contains unsupported operations.")
}

func TestAttachmentsAreEncodedAsTheRequestSays(t *testing.T) {
	raw := []byte("a=b \xff\r\n" + strings.Repeat("x", 80))
	tests := map[types.AttachmentContentTransferEncoding]struct{ field, wire string }{
		"":                 {"7bit", string(raw)},
		"SEVEN_BIT":        {"7bit", string(raw)},
		"BASE64":           {"base64", "YT1iIP8NCnh4eHh4"},
		"QUOTED_PRINTABLE": {"quoted-printable", "a=3Db =FF\r\nxxx"},
	}
	for encoding, tt := range tests {
		t.Run(string(encoding), func(t *testing.T) {
			s := newServer(t)
			in := simpleInput()
			in.Content.Simple.Attachments = []types.Attachment{{FileName: aws.String("f"), RawContent: raw, ContentTransferEncoding: encoding}}
			m := send(t, s, in)
			if !bytes.Contains(m.Data, []byte("Content-Transfer-Encoding: "+tt.field+"\r\n")) || !bytes.Contains(m.Data, []byte("\r\n\r\n"+tt.wire)) {
				t.Errorf("message %q", m.Data)
			}
			if f, ok := m.File("f"); !ok || !bytes.Equal(f.Data, raw) {
				t.Errorf("file %q", f.Data)
			}
		})
	}
	s := newServer(t)
	in := simpleInput()
	in.Content.Simple.Attachments = []types.Attachment{{FileName: aws.String("f"), RawContent: raw, ContentTransferEncoding: "8BIT"}}
	_, err := apiClient(s).SendEmail(t.Context(), in)
	wantAPIError(t, err, "BadRequestException")
}

func TestRawContentWithoutDestinationReadsItsHeader(t *testing.T) {
	s := newServer(t)
	in := rawInput("From: sender@example.com\r\nTo: A <a@example.org>,\r\n b@example.org\r\nBCC: c@example.org,\r\n d@example.org\r\nCc: e@example.org\r\n\r\nBcc: body\r\n")
	m := send(t, s, in)
	if got := strings.Join(m.To, " "); got != "a@example.org b@example.org c@example.org d@example.org e@example.org" {
		t.Errorf("recipients %q", got)
	}
	if want := "From: sender@example.com\r\nTo: A <a@example.org>,\r\n b@example.org\r\nCc: e@example.org\r\n\r\nBcc: body\r\n"; string(m.Data) != want {
		t.Errorf("delivered %q, want %q", m.Data, want)
	}
}

func TestTheEnvelopeSenderOverTheAPI(t *testing.T) {
	const head = "From: A <from@example.com>\r\nTo: to@example.org\r\n"
	tests := map[string]struct {
		head, param, feedback, want string
	}{
		"From field":       {head, "", "", "from@example.com"},
		"parameter":        {head, "P <param@example.com>", "", "param@example.com"},
		"Return-Path":      {head + "Return-Path: <return@example.com>\r\n", "param@example.com", "", "return@example.com"},
		"feedback address": {head + "Return-Path: <return@example.com>\r\n", "param@example.com", "feedback@example.com", "feedback@example.com"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			in := rawInput(tt.head+"\r\n", to)
			if tt.param != "" {
				in.FromEmailAddress = &tt.param
			}
			if tt.feedback != "" {
				in.FeedbackForwardingEmailAddress = &tt.feedback
			}
			if m := send(t, s, in); m.From != tt.want {
				t.Errorf("from %q, want %q", m.From, tt.want)
			}
		})
	}
}

func TestParametersWinOverFields(t *testing.T) {
	s := newServer(t)
	s.Account.AddConfigurationSet("param")
	in := rawInput("X-SES-CONFIGURATION-SET: field\r\nX-SES-MESSAGE-TAGS: field=1\r\nX-SES-TENANT: field\r\n"+message, to)
	in.ConfigurationSetName = aws.String("param")
	in.EmailTags = []types.MessageTag{{Name: aws.String("param"), Value: aws.String("2")}}
	in.TenantName = aws.String("param")
	in.ListManagementOptions = &types.ListManagementOptions{ContactListName: aws.String("list"), TopicName: aws.String("news")}
	in.FromEmailAddressIdentityArn = aws.String("arn:from")
	m := send(t, s, in)
	if got := fmt.Sprintln(m.ConfigurationSet, m.Tags, m.Tenant, m.List, m.FromARN); got != "param map[param:2] param list; topic=news arn:from\n" {
		t.Errorf("read %s", got)
	}
}

func TestBadRequests(t *testing.T) {
	none := &types.Destination{}
	tests := map[string]struct {
		change func(*sesv2.SendEmailInput)
		want   string
	}{
		"no recipients": {func(in *sesv2.SendEmailInput) { in.Destination = none }, "There are no recipients specified"},
		"no sender":     {func(in *sesv2.SendEmailInput) { in.FromEmailAddress = nil }, "Source cannot be empty"},
		"no content":    {func(in *sesv2.SendEmailInput) { in.Content = &types.EmailContent{} }, "The input you provided is invalid."},
		"two addresses": {func(in *sesv2.SendEmailInput) { in.Destination.ToAddresses = []string{"a@example.org, b@example.org"} }, "Illegal address"},
		"empty address": {func(in *sesv2.SendEmailInput) { in.Destination.ToAddresses = []string{""} }, "Empty address"},
		"bad tag": {func(in *sesv2.SendEmailInput) {
			in.EmailTags = []types.MessageTag{{Name: aws.String("a"), Value: aws.String("b c")}}
		}, "Invalid tag value <b c>"},
		"bad header name": {header("a:b", "c"), "Header name contains illegal character"},
		"bad header":      {header("a", "b\r\nBcc: c@example.org"), "Header value contains illegal character"},
		"Subject twice":   {header("subject", "b"), "Duplicate header 'Subject'."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			in := simpleInput()
			tt.change(in)
			_, err := apiClient(s).SendEmail(t.Context(), in)
			wantAPIError(t, err, "BadRequestException")
			wantSays(t, err, tt.want)
		})
	}
}

func header(name, value string) func(*sesv2.SendEmailInput) {
	return func(in *sesv2.SendEmailInput) {
		in.Content.Simple.Headers = []types.MessageHeader{{Name: &name, Value: &value}}
	}
}

func TestRequestsThatAreNoneOfSESs(t *testing.T) {
	s := newServer(t)
	tests := map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"unknown path":   {"GET", "/v2/email/identities", "", 404, "UnknownOperationException"},
		"unknown method": {"PUT", "/v2/email/account", "", 404, "UnknownOperationException"},
		"no JSON":        {"POST", "/v2/email/outbound-emails", "{", 400, "SerializationException"},
		"wrong type":     {"POST", "/v2/email/outbound-emails", `{"Content":7}`, 400, "SerializationException"},
		"bulk, no JSON":  {"POST", "/v2/email/outbound-bulk-emails", "{", 400, "SerializationException"},
		"bulk, empty":    {"POST", "/v2/email/outbound-bulk-emails", "{}", 400, "BadRequestException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, s.URL+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := s.HTTPClient().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status || resp.Header.Get("X-Amzn-Errortype") != tt.code {
				t.Errorf("%d %s", resp.StatusCode, resp.Header.Get("X-Amzn-Errortype"))
			}
		})
	}
}

func TestBulkEntriesHaveAStatusEach(t *testing.T) {
	s := newServer(t)
	s.Account.AddTemplate("hello", "Hello {{name}}", "{{greeting}}", "")
	entry := func(to, data string) types.BulkEmailEntry {
		return types.BulkEmailEntry{
			Destination:             &types.Destination{ToAddresses: []string{to}},
			ReplacementEmailContent: &types.ReplacementEmailContent{ReplacementTemplate: &types.ReplacementTemplate{ReplacementTemplateData: &data}},
			ReplacementTags:         []types.MessageTag{{Name: aws.String("kind"), Value: aws.String("own")}},
		}
	}
	s.Script(sestest.Pass(), sestest.BulkStatus("TRANSIENT_FAILURE", "try later"), sestest.Refuse(seserrors.ServiceFailure))
	in := &sesv2.SendBulkEmailInput{
		FromEmailAddress: aws.String(from),
		DefaultContent:   &types.BulkEmailContent{Template: &types.Template{TemplateName: aws.String("hello"), TemplateData: aws.String(`{"name":"you","greeting":"Hi"}`)}},
		DefaultEmailTags: []types.MessageTag{{Name: aws.String("kind"), Value: aws.String("default")}, {Name: aws.String("all"), Value: aws.String("yes")}},
		BulkEmailEntries: []types.BulkEmailEntry{entry("a@example.org", ""), entry("b@example.org", `{"name":"B"}`), entry("nobody", ""), entry("c@example.org", `{"name":"C"}`)},
	}
	out, err := apiClient(s).SendBulkEmail(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range out.BulkEmailEntryResults {
		got = append(got, string(r.Status)+" "+aws.ToString(r.Error))
	}
	want := []string{"TRANSIENT_FAILURE try later", "SUCCESS ", "INVALID_PARAMETER Missing final '@domain'", "SUCCESS "}
	if !slices.Equal(got, want) {
		t.Errorf("statuses %q, want %q", got, want)
	}
	m := wantAccepted(t, s, 2)
	msg, tree := parse(t, m[1].Data)
	if msg.Header.Get("Subject") != "Hello C" || tree != "text/plain Hi" || fmt.Sprint(m[1].Tags) != "map[all:yes kind:own]" {
		t.Errorf("%v %q %v", msg.Header, tree, m[1].Tags)
	}
	_, err = apiClient(s).SendBulkEmail(t.Context(), in)
	wantAPIError(t, err, "ServiceUnavailable")
}

func TestAccountRefusalsAreBulkStatuses(t *testing.T) {
	s := newServer(t)
	s.Account.AddTemplate("hello", "Hello", "Hello", "")
	in := &sesv2.SendBulkEmailInput{
		FromEmailAddress: aws.String(from),
		DefaultContent:   &types.BulkEmailContent{Template: &types.Template{TemplateName: aws.String("hello")}},
		BulkEmailEntries: []types.BulkEmailEntry{{Destination: &types.Destination{ToAddresses: []string{to}}}},
	}
	tests := []struct {
		name   string
		change func()
		want   types.BulkEmailStatus
	}{
		{"nothing wrong", func() {}, types.BulkEmailStatusSuccess},
		{"quota", func() { s.Account.SetMax24HourSend(1) }, types.BulkEmailStatusAccountDailyQuotaExceeded},
		{"identity", func() { s.Account.Unverify() }, types.BulkEmailStatusMessageRejected},
		{"template", func() { in.DefaultContent.Template.TemplateName = aws.String("bye") }, types.BulkEmailStatusTemplateNotFound},
	}
	for _, tt := range tests {
		tt.change()
		out, err := apiClient(s).SendBulkEmail(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.BulkEmailEntryResults[0].Status; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestGetAccountTellsTheLimits(t *testing.T) {
	s := newServer(t)
	api := apiClient(s)
	check := func(want string) {
		t.Helper()
		out, err := api.GetAccount(t.Context(), &sesv2.GetAccountInput{})
		if err != nil {
			t.Fatal(err)
		}
		q := out.SendQuota
		if got := fmt.Sprintln(out.SendingEnabled, out.ProductionAccessEnabled, q.Max24HourSend, q.MaxSendRate, q.SentLast24Hours, *out.EnforcementStatus); got != want+"\n" {
			t.Errorf("account %s, want %s", got, want)
		}
	}
	check("true true -1 100000 0 HEALTHY")
	send(t, s, rawInput(message, to, to))
	s.Account.SetSandbox(true)
	s.Account.SetMaxSendRate(1)
	s.Account.SetMax24HourSend(200)
	s.Account.SetSendingPaused(true)
	check("false false 200 1 2 HEALTHY")
	s.Account.SetSuspended(true)
	check("false false 200 1 2 SHUTDOWN")
}

func TestHTTP2IsSpokenOnLoopback(t *testing.T) {
	s := newServer(t)
	client := s.HTTPClient()
	for range 3 {
		resp, err := client.Get(s.URL + "/v2/email/account")
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.ProtoMajor != 2 {
			t.Errorf("protocol %s", resp.Proto)
		}
	}
	if got := s.APIConnections(); got != (sestest.Connections{Open: 1, Max: 1, Total: 1}) || s.APIRequests() != 3 {
		t.Errorf("%+v, %d requests", got, s.APIRequests())
	}
}

func TestARequestThatNoMessageNeedsIsRefused(t *testing.T) {
	s := newServer(t)
	body := io.LimitReader(zeros{}, 2*sestest.MaxMessageSize)
	resp, err := s.HTTPClient().Post(s.URL+"/v2/email/outbound-emails", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 || resp.Header.Get("X-Amzn-Errortype") != "RequestEntityTooLargeException" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
