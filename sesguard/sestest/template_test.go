package sestest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
)

func TestBulkDataIsMergedObjectByObject(t *testing.T) {
	tests := map[string]struct{ defaults, with, template, want string }{
		"nothing":           {`{"a":1}`, "", "{{a}}", "1"},
		"empty":             {`{"a":1}`, " {} ", "{{a}}", "1"},
		"no defaults":       {"", `{"a":1}`, "{{a}}", "1"},
		"values":            {`{"a":1,"b":2}`, `{"b":3,"c":4}`, "{{a}}{{b}}{{c}}", "134"},
		"objects":           {`{"a":{"x":1,"y":{"z":2}}}`, `{"a":{"y":{"w":3}}}`, "{{a.x}}{{a.y.w}}{{a.y.z}}", "132"},
		"lists":             {`{"a":[1,2]}`, `{"a":[3]}`, "{{#each a}}{{this}},{{/each}}", "3,"},
		"object over value": {`{"a":1}`, `{"a":{"x":2}}`, "{{a.x}}", "2"},
		"value over object": {`{"a":{"x":2}}`, `{"a":null}`, "{{a.x}}", "Attribute 'a.x' is not present in the rendering data."},
		"no object":         {`{"a":1}`, `[1]`, "{{a}}", "Template rendering data is invalid"},
		"no JSON":           {`{"a":1}`, `{`, "{{a}}", "Template rendering data is invalid"},
		"defaults are none": {`{`, `{"a":1}`, "{{a}}", "Template rendering data is invalid"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.Account.AddTemplate("hello", "Hello", tt.template, "")
			out, err := apiClient(s).SendBulkEmail(t.Context(), &sesv2.SendBulkEmailInput{
				FromEmailAddress: aws.String(from),
				DefaultContent:   &types.BulkEmailContent{Template: &types.Template{TemplateName: aws.String("hello"), TemplateData: &tt.defaults}},
				BulkEmailEntries: []types.BulkEmailEntry{{
					Destination:             &types.Destination{ToAddresses: []string{to}},
					ReplacementEmailContent: &types.ReplacementEmailContent{ReplacementTemplate: &types.ReplacementTemplate{ReplacementTemplateData: &tt.with}},
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := aws.ToString(out.BulkEmailEntryResults[0].Error)
			for _, m := range s.Accepted() {
				got += strings.TrimSpace(m.Text())
			}
			for _, m := range s.Unrendered() {
				got += m.Problem
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestStoredTemplatesHaveConditionsAndLoops(t *testing.T) {
	const data = `{"name":"Ann <a>","items":[{"n":1},{"n":2}]}`
	tests := map[string]struct{ template, want, problem string }{
		"each":                {"{{#each items}}{{@index}}:{{n}} {{../name}};{{/each}}", "0:1 Ann <a>;1:2 Ann <a>;", ""},
		"if absent":           {"{{#if title}}{{title}} {{else}}Dear {{/if}}{{name}}", "Dear Ann <a>", ""},
		"inline partial":      {`{{#* inline "n"}}<{{name}}>{{/inline}}{{> n}}`, "<Ann <a>>", ""},
		"SES's own":           {"{{amazonSESUnsubscribeUrl}}", "{{amazonSESUnsubscribeUrl}}", ""},
		"absent in a loop":    {"{{#each items}}{{price}}{{/each}}", "", "Attribute 'items.0.price' is not present in the rendering data."},
		"block without end":   {"{{#if name}}Dear", "", "if"},
		"tag without end":     {"Dear {{name", "", "no end"},
		"helper that is none": {"{{shout name}}", "", "shout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.Account.AddTemplate("hello", "Hello", tt.template, "")
			in := simpleInput()
			in.Content = templateContent("hello", data)
			if _, err := apiClient(s).SendEmail(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			if tt.problem != "" {
				wantAccepted(t, s, 0)
				if got := s.Unrendered(); len(got) != 1 || !strings.Contains(got[0].Problem, tt.problem) {
					t.Errorf("%d unrendered, want one for %q", len(got), tt.problem)
				}
				return
			}
			if got := strings.TrimSpace(wantAccepted(t, s, 1)[0].Text()); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// Nothing says what SES answers to inline content that is no template.
func TestInlineTemplatesTakeNoOperations(t *testing.T) {
	tests := map[string]string{
		"a block in the subject": "{{#if name}}Dear{{/if}}",
		"an inverted section":    "{{^name}}Dear{{/name}}",
		"a partial":              `{{> n}}`,
		"a helper":               `{{lookup this "name"}}`,
		"a block without end":    "{{#if name}}Dear",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			in := simpleInput()
			in.Content = &types.EmailContent{Template: &types.Template{TemplateContent: &types.EmailTemplateContent{
				Subject: &text, Text: aws.String("Dear {{name.first}}"),
			}, TemplateData: aws.String(`{"name":{"first":"Ann"}}`)}}
			_, err := apiClient(s).SendEmail(t.Context(), in)
			wantAPIError(t, err, "BadRequestException")
			wantSays(t, err, "Template contains unsupported operations.")
			in.Content.Template.TemplateContent.Subject = aws.String("Hello {{name.last}}")
			send := func() {
				if _, err := apiClient(s).SendEmail(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			}
			send() // a value is missing
			in.Content.Template.TemplateContent.Subject = aws.String("Hello {{{name.first}}}")
			send()
			if m := wantAccepted(t, s, 1); m[0].Subject() != "Hello Ann" || len(s.Unrendered()) != 1 {
				t.Errorf("%q, %d unrendered", m[0].Subject(), len(s.Unrendered()))
			}
		})
	}
}
