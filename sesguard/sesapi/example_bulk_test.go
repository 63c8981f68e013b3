package sesapi_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// SES accepts a mail whose template lacks a value, and never sends it.
func ExampleTemplate_Check() {
	welcome := &sesapi.Template{
		Subject: "Welcome, {{contact.firstName}}",
		Text:    "Dear {{contact.firstName}}, your code is {{code}}.",
	}
	fmt.Println(welcome.Variables())
	err := welcome.Check(map[string]any{"contact": map[string]any{"name": "Ann"}, "code": 4711})
	var invalid *sesguard.ValidationError
	if errors.As(err, &invalid) {
		for _, p := range invalid.Problems {
			fmt.Println(p.Field, p.Reason)
		}
	}
	// Output:
	// [code contact.firstName]
	// Data.contact.firstName template-invalid
}

// One call of SES for up to 50 mails, and still each has a result of its own.
func ExampleBulker_Send() {
	ses := sestest.NewServer()
	defer ses.Close()
	client := clientOf(ses) // sesv2.NewFromConfig(cfg)

	bulker := sesapi.NewBulk(client, sesguard.NewGuard(sesguard.Options{Limiter: sesapi.NewAccountLimiter(client)}))
	news := &sesapi.Bulk{
		From:     "news@example.com",
		Template: sesapi.Template{Subject: "News for {{name}}", Text: "{{greeting}} {{name}}, …"},
		Defaults: map[string]string{"greeting": "Hello"},
		Entries: []sesapi.BulkEntry{
			{To: []string{"ann@example.org"}, Data: map[string]string{"name": "Ann"}},
			{To: []string{"Bob <bob@example.org>"}, Data: map[string]string{"name": "Bob", "greeting": "Hi"}},
		},
	}
	results, err := bulker.Send(context.Background(), news)
	if err != nil {
		log.Fatal(err) // something is wrong with news, and nothing was sent
	}
	for i, r := range results {
		switch {
		case r.Err == nil:
			fmt.Println(i, "accepted")
		case seserrors.MaybeAccepted(r.Err):
			fmt.Println(i, "in doubt: not to be sent again")
		default:
			fmt.Println(i, "not accepted:", r.Err)
		}
	}
	for _, m := range ses.Accepted() {
		fmt.Printf("%s: %s\n", m.To[0], m.Subject())
	}
	// Output:
	// 0 accepted
	// 1 accepted
	// ann@example.org: News for Ann
	// bob@example.org: News for Bob
}

// The text of a stored template is read once, so that data can be checked.
func ExampleTemplates() {
	ses := sestest.NewServer()
	defer ses.Close()
	ses.Account.AddTemplate("welcome", "Welcome, {{name}}", "Dear {{name}}", "")
	client := clientOf(ses) // sesv2.NewFromConfig(cfg)

	templates := sesapi.NewTemplates(client) // needs ses:GetEmailTemplate
	welcome, err := templates.Get(context.Background(), "welcome")
	if err != nil {
		log.Fatal(err)
	}
	bulker := sesapi.NewBulk(client, sesguard.NewGuard(sesguard.Options{}))
	results, err := bulker.Send(context.Background(), &sesapi.Bulk{
		From:     "shop@example.com",
		Template: *welcome,
		Entries:  []sesapi.BulkEntry{{To: []string{"ann@example.org"}}},
	})
	fmt.Println(errors.Is(err, seserrors.TemplateInvalid), errors.Is(results[0].Err, seserrors.TemplateInvalid), len(ses.Accepted()))
	// Output: true true 0
}
