package sesapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/internal/template"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// fieldsOf are the fields of the problems in err.
func fieldsOf(t *testing.T, err error) (fields []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	var invalid *sesguard.ValidationError
	if !errors.As(err, &invalid) || seserrors.Classify(err).Class != seserrors.Invalid {
		t.Fatalf("%v is no ValidationError of class Invalid", err)
	}
	for _, p := range invalid.Problems {
		fields = append(fields, p.Field)
	}
	return fields
}

func TestTemplateCheckFindsWhatSESWouldNotSend(t *testing.T) {
	type data = map[string]any
	type contact struct {
		FirstName string  `json:"firstName"`
		LastName  *string `json:"lastName"`
	}
	big := strings.Repeat("x", maxInline+1)
	tests := []struct {
		name string
		tmpl Template
		data any
		want []string
	}{
		{"all there", Template{Subject: "{{a}}", Text: "{{b.c}}"}, data{"a": 1, "b": data{"c": ""}}, nil},
		{"nothing asked, nothing given", Template{Text: "hello"}, nil, nil},
		{"a missing value is told once", Template{Subject: "{{contact.firstName}}", HTML: "{{contact.firstName}}"}, data{"contact": data{}}, []string{"Data.contact.firstName"}},
		{"null is missing", Template{Text: "{{a}}"}, data{"a": nil}, []string{"Data.a"}},
		{"no data", Template{Text: "{{a}}"}, nil, []string{"Data.a"}},
		{"data that is null", Template{Text: "{{a}}"}, json.RawMessage("null"), []string{"Data.a"}},
		{"a struct", Template{Text: "{{firstName}} {{lastName}}"}, contact{FirstName: "x"}, []string{"Data.lastName"}},
		{"JSON as it is", Template{Text: "{{a}}"}, json.RawMessage(`{"a":12345678901234567890}`), nil},
		{"a number of 400 digits", Template{Text: "{{a}}"}, json.RawMessage(`{"a":` + strings.Repeat("9", 400) + `}`), nil},
		{"the last of two equal keys counts", Template{Text: "{{a}}"}, json.RawMessage(`{"a":1,"a":null}`), []string{"Data.a"}},
		{"the last of two equal keys counts, there", Template{Text: "{{a}}"}, json.RawMessage(`{"a":null,"a":1}`), nil},
		{"an object that nests too deep", Template{Text: "x"}, json.RawMessage(strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)), []string{"Data"}},
		{"two errors in one text", Template{Name: "n", HTML: "{{a b}}{{c.}}"}, data{"c": 1}, []string{"HTML", "HTML"}},
		{"no UTF-8", Template{Text: "\xff"}, nil, []string{"Text"}},
		{"NUL", Template{Subject: "a\x00"}, nil, []string{"Subject"}},
		{"a list is no object", Template{Text: "x"}, []int{1}, []string{"Data"}},
		{"text is no object", Template{Text: "x"}, `{"a":1}`, []string{"Data"}},
		{"what is no JSON", Template{Text: "x"}, func() {}, []string{"Data"}},
		{"words of SES", Template{Text: "{{amazonSESUnsubscribeUrl}} {{ses:openTracker}}"}, nil, nil},
		{"an open tag", Template{Subject: "{{a"}, data{"a": 1}, []string{"Subject"}},
		{"an unknown helper", Template{HTML: "{{shout a}}"}, data{"a": 1}, []string{"HTML"}},
		{"a block inline", Template{Text: "{{#if a}}x{{/if}}"}, data{"a": 1}, []string{"Text"}},
		{"a block stored", Template{Name: "n", Text: "{{#if a}}{{b}}{{/if}}"}, data{"a": 1}, []string{"Data.b"}},
		{"a branch that is not taken", Template{Name: "n", Text: "{{#if a}}{{b}}{{/if}}"}, data{}, nil},
		{"a block without an end", Template{Name: "n", Text: "{{#if a}}"}, data{"a": 1}, []string{"Text"}},
		{"a stored template of unknown text", Template{Name: "n"}, nil, nil},
		{"a list without items to ask for", Template{Name: "n", Text: "{{#each a}}{{b}}{{/each}}"}, data{}, nil},
		{"the item of a list", Template{Name: "n", Text: "{{#each a}}{{b}}{{/each}}"}, data{"a": []any{data{"b": 1}, data{}}}, []string{"Data.a.1.b"}},
		{"no template", Template{}, nil, []string{"Name"}},
		{"too much of it", Template{Text: big}, nil, []string{"Text"}},
		{"as much, stored", Template{Name: "n", Text: big}, nil, nil},
		{"a header", Template{Text: "x", Headers: []sesguard.Header{{Name: "X-A", Value: "Grüße"}, {Name: "Subject", Value: "x"}}}, nil, []string{"Headers[1].Name", "Headers[0].Value"}},
		{"a header that just fits", Template{Text: "x", Headers: []sesguard.Header{{Name: "X", Value: strings.Repeat("a ", 497) + "b"}}}, nil, nil},
		{"a header too long with its name", Template{Text: "x", Headers: []sesguard.Header{{Name: "XY", Value: strings.Repeat("a ", 497) + "b"}}}, nil, []string{"Headers[0].Value"}},
		{"one click, of which entries have the link", Template{Text: "x", Headers: []sesguard.Header{{Name: "List-Unsubscribe-Post", Value: "List-Unsubscribe=One-Click"}}}, nil, nil},
		{"a file", Template{Text: "x", Attachments: []sesguard.Attachment{{Name: "a.exe", Content: []byte("x")}}}, nil, []string{"Attachments[0].Name"}},
		{"a streamed file", Template{Text: "x", Attachments: []sesguard.Attachment{{Name: "a.txt", Open: func() (io.ReadCloser, error) { return nil, nil }}}}, nil, []string{"Attachments[0]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fieldsOf(t, tt.tmpl.Check(tt.data)); !slices.Equal(got, tt.want) {
				t.Errorf("problems of %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTemplateCheckSaysWhereAndWhy(t *testing.T) {
	err := (&Template{Text: "Dear {{contact.first}}"}).Check(map[string]any{"contact": map[string]any{"second": "geheim"}})
	if !errors.Is(err, seserrors.TemplateInvalid) || strings.Contains(err.Error(), "geheim") {
		t.Error(err)
	}
	for _, words := range []string{"Data.contact.first", "absent", "Text, line 1, column 8"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q is not in %q", words, err)
		}
	}
}

func TestTemplateVariables(t *testing.T) {
	tmpl := &Template{Name: "n", Subject: "{{b}} {{a.c}}", Text: "{{#each list}}{{x}}{{/each}}{{b}}", HTML: "{{#if"}
	if got, want := tmpl.Variables(), []string{"a.c", "b", "list", "list.x"}; !slices.Equal(got, want) {
		t.Errorf("Variables = %q, want %q", got, want)
	}
}

// A templateReader is a GetEmailTemplateAPI of one function, with a pace of its own.
type templateReader struct {
	get func(ctx context.Context, name string) (*sesv2.GetEmailTemplateOutput, error)
}

func (r *templateReader) GetEmailTemplate(ctx context.Context, in *sesv2.GetEmailTemplateInput, _ ...func(*sesv2.Options)) (*sesv2.GetEmailTemplateOutput, error) {
	return r.get(ctx, *in.TemplateName)
}

func TestStoredTemplatesAreReadOnceAndAtOneASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		srv.Account.AddTemplate("one", "Hello {{name}}", "text {{a}}", "<p>{{b}}")
		srv.Account.AddTemplate("two", "Hello", "text", "")
		reads := 0
		client := sdkOf(srv)
		templates := NewTemplates(&templateReader{func(ctx context.Context, name string) (*sesv2.GetEmailTemplateOutput, error) {
			reads++
			return client.GetEmailTemplate(ctx, &sesv2.GetEmailTemplateInput{TemplateName: &name})
		}})
		begin := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			for _, name := range []string{"one", "two"} {
				wg.Go(func() {
					tmpl, err := templates.Get(t.Context(), name)
					if err != nil || tmpl.Name != name {
						t.Error(tmpl, err)
						return
					}
					tmpl.Subject = "mine" // a copy
				})
			}
		}
		wg.Wait()
		if took := time.Since(begin); reads != 2 || took != time.Second {
			t.Errorf("%d reads in %v, want 2 in 1s", reads, took)
		}
		tmpl, err := templates.Get(t.Context(), "one")
		if err != nil || tmpl.Subject != "Hello {{name}}" || tmpl.Text != "text {{a}}" || tmpl.HTML != "<p>{{b}}" {
			t.Error(tmpl, err)
		}
		if got := fieldsOf(t, tmpl.Check(map[string]any{"a": 1})); !slices.Equal(got, []string{"Data.name", "Data.b"}) {
			t.Errorf("problems of %q", got)
		}
	})
}

func TestStoredTemplateThatCannotBeRead(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		templates := NewTemplates(sdkOf(srv))
		_, err := templates.Get(t.Context(), "none")
		if !errors.Is(err, seserrors.TemplateMissing) || !seserrors.IsFatal(err) {
			t.Errorf("Get = %v, want template-missing", err)
		}
		srv.Account.AddTemplate("none", "now there", "x", "")
		if _, err := templates.Get(t.Context(), "none"); err != nil {
			t.Errorf("the failure was kept: %v", err)
		}
		srv.Account.Deny("ses:GetEmailTemplate")
		if _, err := templates.Get(t.Context(), "other"); !errors.Is(err, seserrors.AccessDenied) {
			t.Errorf("Get = %v, want access-denied", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := templates.Get(ctx, "third"); !errors.Is(err, context.Canceled) || seserrors.MaybeAccepted(err) {
			t.Errorf("Get = %v, want canceled", err)
		}
	})
	for name, api := range map[string]func(context.Context, string) (*sesv2.GetEmailTemplateOutput, error){
		"no answer": func(ctx context.Context, _ string) (*sesv2.GetEmailTemplateOutput, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"no content": func(context.Context, string) (*sesv2.GetEmailTemplateOutput, error) {
			return &sesv2.GetEmailTemplateOutput{}, nil
		},
		"a lost answer": func(context.Context, string) (*sesv2.GetEmailTemplateOutput, error) { return nil, io.ErrUnexpectedEOF },
	} {
		synctest.Test(t, func(t *testing.T) {
			if _, err := NewTemplates(&templateReader{api}).Get(t.Context(), "n"); seserrors.MaybeAccepted(err) || name != "a lost answer" && !seserrors.IsRetryable(err) {
				t.Errorf("%s: %v, want unavailable without doubt", name, err)
			}
		})
	}
}

// A waiter whose context ends frees nobody's turn but its own.
func TestStoredTemplateIsNotWaitedForLongerThanTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		templates := NewTemplates(&templateReader{func(context.Context, string) (*sesv2.GetEmailTemplateOutput, error) {
			<-read
			return &sesv2.GetEmailTemplateOutput{TemplateContent: &sestypes.EmailTemplateContent{Subject: aws.String("s")}}, nil
		}})
		first := make(chan error)
		go func() {
			_, err := templates.Get(t.Context(), "n")
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := templates.Get(ctx, "n"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get = %v", err)
		}
		close(read)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if _, err := templates.Get(t.Context(), "n"); err != nil {
			t.Error(err)
		}
	})
}

// Guard and Wrap check template content of SendEmail where its text is known.
func TestGuardedSendEmailChecksTemplateContent(t *testing.T) {
	inline := func(subject, data string) *sestypes.Template {
		return &sestypes.Template{TemplateContent: &sestypes.EmailTemplateContent{Subject: &subject, Html: aws.String("<p>{{b.c}}")}, TemplateData: &data}
	}
	tests := []struct {
		name string
		tmpl *sestypes.Template
		want []string
	}{
		{"all there", inline("{{a}}", `{"a":1,"b":{"c":2}}`), nil},
		{"missing", inline("{{a}}", `{"b":{}}`), []string{"Content.Template.TemplateData.a", "Content.Template.TemplateData.b.c"}},
		{"no data at all", inline("{{a}}", ""), []string{"Content.Template.TemplateData.a", "Content.Template.TemplateData.b.c"}},
		{"no JSON", inline("{{a}}", `{"a":1,`), []string{"Content.Template.TemplateData"}},
		{"two objects", inline("{{a}}", `{"a":1}{}`), []string{"Content.Template.TemplateData"}},
		{"null", inline("{{a}}", `null`), []string{"Content.Template.TemplateData"}},
		{"a block inline", inline("{{#if a}}x{{/if}}", `{"b":{"c":1}}`), []string{"Content.Template.TemplateContent.Subject"}},
		{"an open tag", inline("{{a", `{"b":{"c":1}}`), []string{"Content.Template.TemplateContent.Subject"}},
		{"a stored template", &sestypes.Template{TemplateName: aws.String("n")}, nil},
		{"a stored template with data that is no object", &sestypes.Template{TemplateName: aws.String("n"), TemplateData: aws.String("[]")}, []string{"Content.Template.TemplateData"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			api := apiFunc(func(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
				calls++
				return &sesv2.SendEmailOutput{MessageId: aws.String("id")}, nil
			})
			in := simpleInput()
			in.Content = &sestypes.EmailContent{Template: tt.tmpl}
			_, err := Wrap(api, sesguard.Options{}).SendEmail(t.Context(), in)
			if got := fieldsOf(t, err); !slices.Equal(got, tt.want) || calls != 0 && tt.want != nil || calls != 1 && tt.want == nil {
				t.Errorf("problems of %q after %d calls, want %q", got, calls, tt.want)
			}
		})
	}
}

// What Check lets pass renders, and what it finds is told without the data.
func FuzzTemplateCheck(f *testing.F) {
	f.Add("{{a}}", "{{b.c}}", `{"a":1,"b":{"c":"geheim"}}`, false)
	f.Add("{{#each a}}{{b}}{{else}}{{c}}{{/each}}", "x", `{"a":[{"b":1},{}]}`, true)
	f.Add("{{#if a}}{{b}}{{/if}}", "{{amazonSESUnsubscribeUrl}}", `{"a":true}`, true)
	f.Add("{{a", "{{{b}}}", `{"a":null}`, false)
	f.Add(`{{#* inline "x"}}{{a}}{{/inline}}{{> x}}`, "", `{} {}`, true)
	f.Fuzz(func(t *testing.T, subject, text, data string, stored bool) {
		tmpl := &Template{Subject: subject, Text: text}
		if stored {
			tmpl.Name = "n"
		}
		tmpl.Variables()
		if err := tmpl.Check(json.RawMessage(data)); err != nil {
			fieldsOf(t, err)
			return
		}
		values, ok := object(data)
		if !ok {
			t.Fatalf("%q passed", data)
		}
		for _, s := range []string{subject, text} {
			parsed, err := template.Parse(s)
			if err != nil {
				t.Fatalf("%q passed: %v", s, err)
			}
			if _, err := parsed.Execute(map[string]any(values)); err != nil {
				t.Errorf("%q passed with %s: %v", s, data, err)
			}
		}
	})
}
