package sesapi

import (
	"cmp"
	"encoding/json"
	stderrors "errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/internal/template"
)

// A Template is what SES fills in with the data of each recipient: one that SES
// has stored, or one that goes along with each call (inline). It is plain data,
// and nothing in this package writes to it.
//
// SES accepts a mail whose template lacks a value and never sends it; only an
// event "Rendering Failure" tells. [Template.Check] tells before.
type Template struct {
	// Name is that of the stored template to use. Empty: an inline template.
	Name string

	// Subject, Text and HTML are the template, in SES's language: Handlebars
	// that escapes nothing. An inline template has one of them at least, plain
	// variables only, and 1 MB at most. Beside a Name they are not sent: they are
	// what the stored template is known to hold, for checks. See [Templates].
	Subject, Text, HTML string

	// Headers are further header fields of each mail: those that a
	// sesguard.Message may have, with values of printable ASCII, as SES takes no
	// other here; 126 octets of name and 995 of value, together 996.
	Headers []sesguard.Header

	// Attachments are the files of each mail, in Content; they go along with each
	// call. A file with Open is refused. A ContentID shows a file in the HTML by
	// <img src="cid:…">, and is sent as it is.
	Attachments []sesguard.Attachment
}

// Limits of a template.
const (
	maxInline      = 1 << 20 // AWS, "Service quotas in Amazon SES": JSON of an inline template
	maxHeaderValue = 995     // MessageHeader, Amazon SES API v2 Reference
	maxHeaderField = 996     // the same: name and value together
)

// Check reports what keeps SES from sending the template filled in with data:
// a variable without a value or with null (Field "Data.contact.firstName"), a
// block without an end, a helper that SES does not have, what an inline template
// cannot carry, headers and files that SES refuses. Nothing is sent. The error is
// a *[seserrors.Error] of class Invalid with a *sesguard.ValidationError, whose
// problems with the template have the Reason template-invalid.
//
// Data is anything that package json writes as an object: a map, a struct, a
// json.RawMessage; nil is an object without values. Check follows the branches
// that data opens, as SES does. Of a stored template whose text is not known it
// checks the data's form only.
//
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
func (t *Template) Check(data any) error {
	var v validator
	parts := v.template("", t)
	values, _ := v.values("Data", data)
	v.rendering("Data", parts, values)
	return v.err()
}

// Variables returns the dotted paths of the data that the template asks for, in
// any of its branches, sorted. What is asked of the items of a list stands behind
// the list: "contacts.name". Parts that are no template ask for nothing.
func (t *Template) Variables() []string {
	var v validator
	var all []string
	for _, p := range v.parts("", t) {
		all = append(all, p.tmpl.Variables()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A part is a subject, text or HTML that was parsed.
type part struct {
	name string
	tmpl *template.Template
}

// parts parses what is known of t. Fields begin with prefix.
func (v *validator) parts(prefix string, t *Template) (parts []part) {
	for _, text := range []struct{ name, text string }{{"Subject", t.Subject}, {"Text", t.Text}, {"HTML", t.HTML}} {
		if text.text == "" {
			continue
		}
		tmpl, err := template.Parse(text.text)
		if list, ok := stderrors.AsType[template.ErrorList](err); ok {
			for _, e := range list {
				v.add(prefix+text.name, "", seserrors.TemplateInvalid, e.Error())
			}
			continue
		}
		if simple, why := tmpl.Simple(); !simple && t.Name == "" {
			v.add(prefix+text.name, "", seserrors.TemplateInvalid, "SES takes only plain variables inline: "+why)
		}
		parts = append(parts, part{text.name, tmpl})
	}
	return parts
}

// template checks t but for data.
func (v *validator) template(prefix string, t *Template) []part {
	switch size := len(t.Subject) + len(t.Text) + len(t.HTML); {
	case t.Name != "":
	case size == 0:
		v.add(prefix+"Name", "", seserrors.TemplateInvalid, "there is no template: set Name, or Subject and Text or HTML")
	case size > maxInline:
		v.add(prefix+"Text", "", seserrors.TemplateInvalid, "an inline template has 1 MB at most: store it, and set Name")
	}
	parts := v.parts(prefix, t)
	v.message(prefix, &sesguard.Message{From: someone, To: []string{someone}, Headers: t.Headers, Attachments: t.Attachments})
	v.problems = slices.DeleteFunc(v.problems, func(p sesguard.Problem) bool { return p.Field == prefix+"Headers" }) // an entry may have the other one
	v.headerSizes(prefix, t.Headers)
	for i, a := range t.Attachments {
		if a.Open != nil {
			v.add(prefix+item("Attachments", i), "", seserrors.IllegalAttachment, "a template's file goes along with each call: set Content, not Open")
		}
	}
	return parts
}

// someone stands for an address that is not looked at.
const someone = "someone@example.com"

// message adds what sesguard finds wrong with m, and returns the recipients.
func (v *validator) message(prefix string, m *sesguard.Message) int {
	mail, err := sesguard.Build(m)
	if err == nil {
		return len(mail.Recipients())
	}
	invalid, ok := stderrors.AsType[*sesguard.ValidationError](err)
	if !ok {
		v.add(prefix+"Message", "", seserrors.InvalidParameter, err.Error())
		return 0
	}
	for _, p := range invalid.Problems {
		if strings.HasSuffix(p.Field, ".Value") && strings.HasPrefix(p.Field, "Headers") {
			p.Value = "" // it is content, and a text of the error would show it behind the prefix
		}
		p.Field = prefix + p.Field
		v.problems = append(v.problems, p)
	}
	return 0
}

// headerSizes checks what the API takes less of than a message.
func (v *validator) headerSizes(prefix string, headers []sesguard.Header) {
	for i, h := range headers {
		outside := strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' || r > '~' })
		if outside || len(h.Value) > maxHeaderValue || len(h.Name)+len(h.Value) > maxHeaderField {
			v.add(prefix+item("Headers", i)+".Value", "", seserrors.IllegalHeader,
				"SES takes printable ASCII here, 995 octets and 996 with the name: write other text as encoded-words")
		}
	}
}

// values returns data as it is read from JSON and as it goes to SES.
func (v *validator) values(field string, data any) (map[string]any, string) {
	if data == nil {
		return map[string]any{}, "{}"
	}
	text, err := json.Marshal(data)
	if err != nil {
		v.add(field, "", seserrors.TemplateInvalid, fmt.Sprintf("a %T cannot be written as JSON", data))
		return nil, ""
	}
	values, ok := object(string(text))
	switch {
	case !ok:
		v.add(field, "", seserrors.TemplateInvalid, fmt.Sprintf("a %T is no JSON object: use a map, a struct or a json.RawMessage", data))
	case values == nil:
		return map[string]any{}, "{}"
	}
	return values, string(text)
}

// object reads a JSON object; null is nil.
func object(text string) (values map[string]any, ok bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&values) != nil {
		return nil, false
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, false
	}
	return values, true
}

// rendering adds what parts lack in values; nil is data that is no object.
func (v *validator) rendering(field string, parts []part, values map[string]any) {
	if values == nil {
		return
	}
	seen := make(map[string]bool)
	for _, part := range parts {
		for _, p := range part.tmpl.Check(values) {
			at := field
			if p.Path != "" {
				at += "." + p.Path
			}
			if p.Path != "" && seen[at] {
				continue
			}
			seen[at] = true
			v.add(at, "", seserrors.TemplateInvalid, fmt.Sprintf("%s: SES would accept the mail and never send it (%s, line %d, column %d)", p.Reason, part.name, p.Line, p.Column))
		}
	}
}

// wire is t as the SDK takes it, with the default data. It shares the octets of
// attachments with t.
func (t *Template) wire(data string) *sestypes.Template {
	out := &sestypes.Template{TemplateName: optional(t.Name), TemplateData: &data, Headers: wireHeaders(t.Headers)}
	if t.Name == "" {
		out.TemplateContent = &sestypes.EmailTemplateContent{Subject: optional(t.Subject), Text: optional(t.Text), Html: optional(t.HTML)}
	}
	for _, a := range t.Attachments {
		file := sestypes.Attachment{
			FileName: aws.String(cmp.Or(a.Name, a.ContentID)), RawContent: a.Content, ContentType: optional(a.ContentType),
			ContentTransferEncoding: sestypes.AttachmentContentTransferEncodingBase64,
			ContentDisposition:      sestypes.AttachmentContentDispositionAttachment,
		}
		if a.ContentID != "" {
			file.ContentId, file.ContentDisposition = aws.String(a.ContentID), sestypes.AttachmentContentDispositionInline
		}
		out.Attachments = append(out.Attachments, file)
	}
	return out
}

func wireHeaders(list []sesguard.Header) (out []sestypes.MessageHeader) {
	for _, h := range list {
		out = append(out, sestypes.MessageHeader{Name: aws.String(h.Name), Value: aws.String(h.Value)})
	}
	return out
}

func wireTags(list []sesguard.Tag) (out []sestypes.MessageTag) {
	for _, t := range list {
		out = append(out, sestypes.MessageTag{Name: aws.String(t.Name), Value: aws.String(t.Value)})
	}
	return out
}

// templateContent checks the template of a SendEmail input: its data, and the
// text where it is inline.
func (v *validator) templateContent(c *sestypes.EmailContent) {
	if c == nil || c.Template == nil {
		return
	}
	const at = "Content.Template."
	values := v.data(at+"TemplateData", c.Template.TemplateData)
	v.rendering(at+"TemplateData", v.inline(at, c.Template), values)
}

// bulkContent checks the template of a SendBulkEmail input: the data of each
// entry as SES merges it with the defaults, and the text where it is inline.
func (v *validator) bulkContent(in *sesv2.SendBulkEmailInput) {
	if in.DefaultContent == nil || in.DefaultContent.Template == nil {
		return
	}
	const at = "DefaultContent.Template."
	defaults := v.data(at+"TemplateData", in.DefaultContent.Template.TemplateData)
	parts := v.inline(at, in.DefaultContent.Template)
	for i, e := range in.BulkEmailEntries {
		var own *string
		if c := e.ReplacementEmailContent; c != nil && c.ReplacementTemplate != nil {
			own = c.ReplacementTemplate.ReplacementTemplateData
		}
		field := item("BulkEmailEntries", i) + ".ReplacementEmailContent.ReplacementTemplate.ReplacementTemplateData"
		if values := v.data(field, own); values != nil && defaults != nil {
			merged, _ := template.Merge(defaults, values).(map[string]any)
			v.rendering(field, parts, merged)
		}
	}
	v.problems = v.problems[:min(len(v.problems), mostOfBulk)]
}

// data returns the data of an input made for the SDK, nil if it is no object.
// None is an empty one.
func (v *validator) data(field string, text *string) map[string]any {
	if aws.ToString(text) == "" {
		return map[string]any{}
	}
	values, ok := object(*text)
	if !ok || values == nil {
		v.add(field, "", seserrors.TemplateInvalid, "it is no JSON object")
	}
	return values
}

// inline returns the parts of an inline template; a stored one has none.
func (v *validator) inline(prefix string, t *sestypes.Template) []part {
	c := t.TemplateContent
	if c == nil {
		return nil
	}
	return v.parts(prefix+"TemplateContent.", &Template{Subject: aws.ToString(c.Subject), Text: aws.ToString(c.Text), HTML: aws.ToString(c.Html)})
}
