package sestest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// name is the template's, also if only its ARN is given.
func (t *templated) name() string {
	if t.TemplateName != "" {
		return t.TemplateName
	}
	_, name, _ := strings.Cut(t.TemplateArn, ":template/")
	return name
}

// render fills a template in. problem says which value the data lacks: SES
// accepts such a message all the same, and never sends it.
func (a *Account) render(t *templated) (s *simple, problem string, r *refusal) {
	tmpl, r := a.find(t)
	if r != nil {
		return nil, "", r
	}
	values, err := templateValues(t.TemplateData)
	if err != nil {
		return nil, "", refused(seserrors.TemplateInvalid, "Template rendering data is invalid")
	}
	fill := func(text string) string {
		filled, err := render(text, values)
		if err != nil {
			problem = cmp.Or(problem, err.Error())
		}
		return filled
	}
	s = &simple{Headers: t.Headers, Attachments: t.Attachments}
	s.Subject.Data = fill(tmpl.subject)
	if tmpl.text != "" {
		s.Body.Text = &struct{ Data, Charset string }{Data: fill(tmpl.text)}
	}
	if tmpl.html != "" {
		s.Body.Html = &struct{ Data, Charset string }{Data: fill(tmpl.html)}
	}
	return s, problem, nil
}

func (a *Account) find(t *templated) (storedTemplate, *refusal) {
	if c := t.TemplateContent; c != nil {
		if strings.Contains(c.Subject+c.Text+c.Html, "{{#") {
			return storedTemplate{}, refused(seserrors.TemplateInvalid, "Template contains unsupported operations.")
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

// mergeData lays the replacement's values over the defaults', object by object;
// other values, lists among them, are replaced whole. What is no JSON object
// stays as it is, to be refused when it is rendered.
func mergeData(defaults, with string) string {
	if strings.TrimSpace(with) == "" || strings.TrimSpace(with) == "{}" {
		return defaults
	}
	values, err := templateValues(defaults)
	over, err2 := templateValues(with)
	if err != nil || err2 != nil {
		return with
	}
	mergeValues(values, over)
	merged, err := json.Marshal(values)
	if err != nil {
		return with
	}
	return string(merged)
}

func mergeValues(values, over map[string]any) {
	for name, v := range over {
		into, ok := values[name].(map[string]any)
		if from, also := v.(map[string]any); ok && also {
			mergeValues(into, from)
			continue
		}
		values[name] = v
	}
}

func templateValues(data string) (map[string]any, error) {
	values := map[string]any{}
	err := json.Unmarshal([]byte(cmp.Or(strings.TrimSpace(data), "{}")), &values)
	if err == nil && values == nil {
		err = fmt.Errorf("template data is null")
	}
	return values, err
}

// render replaces {{name}} by the value of name, once: what a value contains
// is text.
func render(text string, values map[string]any) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{{")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, after, ok := strings.Cut(rest, "}}")
		if !ok {
			return b.String(), fmt.Errorf("the template has an unclosed {{")
		}
		v, ok := values[strings.TrimSpace(name)]
		if !ok || v == nil {
			return b.String(), fmt.Errorf("Attribute '%s' is not present in the rendering data.", strings.TrimSpace(name))
		}
		fmt.Fprint(&b, v)
		text = after
	}
}
