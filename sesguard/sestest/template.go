package sestest

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/internal/template"
)

// A storedTemplate is an email template of the account.
type storedTemplate struct {
	subject, text, html string
}

// AddTemplate stores an email template, in place of one of the same name. As in
// SES it is taken as it is: a mail whose template is malformed, or has a
// variable without a value, is accepted and never sent. See Server.Unrendered.
func (a *Account) AddTemplate(name, subject, text, html string) {
	a.set(func() { a.templates[name] = storedTemplate{subject, text, html} })
}

// name is the template's, also if only its ARN is given.
func (t *templated) name() string {
	_, name, _ := strings.Cut(t.TemplateArn, ":template/")
	return cmp.Or(t.TemplateName, name)
}

// render fills a template in. problem says why that cannot be done: SES accepts
// such a message all the same, and never sends it.
func (a *Account) render(t *templated) (s *simple, problem string, r *refusal) {
	tmpl, r := a.find(t)
	if r != nil {
		return nil, "", r
	}
	data, r := t.data()
	if r != nil {
		return nil, "", r
	}
	fill := func(text string) string {
		filled, err := execute(text, data)
		if err != nil {
			problem = cmp.Or(problem, err.Error())
		}
		return filled
	}
	s = &simple{Headers: t.Headers, Attachments: t.Attachments}
	s.Subject.Data = fill(tmpl.subject)
	if tmpl.text != "" {
		s.Body.Text = &text{Data: fill(tmpl.text)}
	}
	if tmpl.html != "" {
		s.Body.Html = &text{Data: fill(tmpl.html)}
	}
	return s, problem, nil
}

func execute(text string, data any) (string, error) {
	t, err := template.Parse(text)
	if err != nil {
		return "", err
	}
	return t.Execute(data)
}

func (a *Account) find(t *templated) (storedTemplate, *refusal) {
	if c := t.TemplateContent; c != nil {
		for _, text := range []string{c.Subject, c.Text, c.Html} {
			if !isSimple(text) {
				return storedTemplate{}, refused(seserrors.TemplateInvalid, "Template contains unsupported operations.")
			}
		}
		return storedTemplate{c.Subject, c.Text, c.Html}, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	tmpl, ok := a.templates[t.name()]
	if !ok {
		return storedTemplate{}, refused(seserrors.TemplateMissing, t.name())
	}
	return tmpl, nil
}

// isSimple reports whether inline content may carry the template.
func isSimple(text string) bool {
	t, err := template.Parse(text)
	if err != nil {
		return false
	}
	ok, _ := t.Simple()
	return ok
}

// data returns what the template is filled in with: an entry's own data on top
// of the defaults.
func (t *templated) data() (any, *refusal) {
	defaults, err := decodeData(t.TemplateData)
	own, err2 := decodeData(t.replacement)
	if errors.Join(err, err2) != nil {
		return nil, refused(seserrors.TemplateInvalid, "Template rendering data is invalid")
	}
	return template.Merge(defaults, own), nil
}

// decodeData reads a JSON object. No data at all is an empty one.
func decodeData(data string) (any, error) {
	var values map[string]any
	text := cmp.Or(strings.TrimSpace(data), "{}")
	if !json.Valid([]byte(text)) {
		return nil, errors.New("no JSON")
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // one of any size is a number
	err := d.Decode(&values)
	if err == nil && values == nil {
		err = errors.New("null is no object")
	}
	return values, err
}
