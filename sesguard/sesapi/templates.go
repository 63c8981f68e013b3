package sesapi

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/internal/pace"
)

// GetEmailTemplateAPI is the part of the SES v2 client that reads stored
// templates. *[sesv2.Client] satisfies it. The caller needs the IAM permission
// ses:GetEmailTemplate.
type GetEmailTemplateAPI interface {
	GetEmailTemplate(ctx context.Context, in *sesv2.GetEmailTemplateInput, optFns ...func(*sesv2.Options)) (*sesv2.GetEmailTemplateOutput, error)
}

const opGetEmailTemplate = "ses GetEmailTemplate"

// Templates reads the templates that SES has stored, each once, so that data can
// be checked against them. It is safe for concurrent use. Create it with
// [NewTemplates], once for a program.
type Templates struct {
	api GetEmailTemplateAPI

	mu    sync.Mutex
	names map[string]*storedTemplate
}

// A storedTemplate is what is known of one name.
type storedTemplate struct {
	turn chan struct{} // holds one token: whoever has it may look at tmpl, and read
	tmpl *Template     // nil: not read yet
}

// NewTemplates returns Templates of the account of api, in api's region. It
// reads nothing yet. It panics if api is nil.
func NewTemplates(api GetEmailTemplateAPI) *Templates {
	if api == nil {
		panic("sesapi: NewTemplates of a nil API")
	}
	return &Templates{api: api, names: make(map[string]*storedTemplate)}
}

// Get returns the stored template of this name, for a [Bulk] or to [Template.Check]
// with. The first Get of a name reads it, one name a second, since SES allows no
// more; later ones return what was read then, also if it has been changed in SES
// since. A failed read is not kept.
//
// The error is a *[seserrors.Error], never in doubt; its Reason is
// template-missing if there is no such template.
//
// [seserrors.Error]: https://pkg.go.dev/github.com/sesguard/sesguard-go/errors#Error
func (s *Templates) Get(ctx context.Context, name string) (*Template, error) {
	t := s.stored(name)
	select {
	case <-t.turn:
	case <-ctx.Done():
		return nil, seserrors.FromContext(ctx, opGetEmailTemplate)
	}
	defer func() { t.turn <- struct{}{} }()
	if t.tmpl == nil {
		tmpl, err := s.read(ctx, name)
		if err != nil {
			return nil, err
		}
		t.tmpl = tmpl
	}
	own := *t.tmpl
	return &own, nil
}

func (s *Templates) stored(name string) *storedTemplate {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.names[name]
	if t == nil {
		t = &storedTemplate{turn: make(chan struct{}, 1)}
		t.turn <- struct{}{}
		s.names[name] = t
	}
	return t
}

func (s *Templates) read(ctx context.Context, name string) (*Template, error) {
	if err := pace.Wait(ctx, s.api); err != nil {
		return nil, seserrors.FromContext(ctx, opGetEmailTemplate)
	}
	call, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	out, err := s.api.GetEmailTemplate(call, &sesv2.GetEmailTemplateInput{TemplateName: &name})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, seserrors.FromContext(ctx, opGetEmailTemplate)
	case err != nil && call.Err() != nil:
		return nil, &seserrors.Error{Op: opGetEmailTemplate, Class: seserrors.Unavailable, Reason: seserrors.RequestTimeout, Err: err}
	case err != nil:
		e := *seserrors.FromAPI(opGetEmailTemplate, err)
		e.MaybeAccepted = false // a read sends no mail
		if e.Reason == seserrors.NotFound {
			e.Class, e.Reason = seserrors.TemplateMissing.Class(), seserrors.TemplateMissing
		}
		return nil, &e
	case out == nil || out.TemplateContent == nil:
		return nil, &seserrors.Error{Op: opGetEmailTemplate, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Message: "an answer without content"}
	}
	c := out.TemplateContent
	return &Template{Name: name, Subject: aws.ToString(c.Subject), Text: aws.ToString(c.Text), HTML: aws.ToString(c.Html)}, nil
}
