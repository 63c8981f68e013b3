package main

// Code as it was before sesguard: nothing in this file changed.

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
)

func sendSimple(ctx context.Context, client *sesv2.Client) error {
	_, err := client.SendEmail(ctx, &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("shop@example.com"),
		Destination:      &types.Destination{ToAddresses: []string{"ann@example.org"}},
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: &types.Content{Data: aws.String("Your order")},
			Body:    &types.Body{Text: &types.Content{Data: aws.String("It is on its way.")}},
		}},
	})
	return err
}

func sendRaw(ctx context.Context, client *sesv2.Client) error {
	_, err := client.SendEmail(ctx, &sesv2.SendEmailInput{
		Content: &types.EmailContent{Raw: &types.RawMessage{Data: []byte(
			"From: shop@example.com\r\nTo: ben@example.org\r\nSubject: Your order\r\n\r\nIt is on its way.\r\n")}},
	})
	return err
}

func sendTemplate(ctx context.Context, client *sesv2.Client) error {
	_, err := client.SendEmail(ctx, &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("shop@example.com"),
		Destination:      &types.Destination{ToAddresses: []string{"cleo@example.org"}},
		Content: &types.EmailContent{Template: &types.Template{
			TemplateName: aws.String("shipped"),
			TemplateData: aws.String(`{"order":"4711"}`),
		}},
	})
	return err
}

// A mailer holds an interface, so that its tests can put a fake in.
type mailer struct {
	ses interface {
		SendEmail(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)
	}
}

func (m mailer) notify(ctx context.Context, to string) error {
	_, err := m.ses.SendEmail(ctx, &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("shop@example.com"),
		Destination:      &types.Destination{ToAddresses: []string{to}},
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: &types.Content{Data: aws.String("Parcel delivered")},
			Body:    &types.Body{Text: &types.Content{Data: aws.String("It is at your door.")}},
		}},
	})
	return err
}
