package sesapi_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// clientOf stands for sesv2.NewFromConfig(cfg, optFns...): it connects the SDK's
// client to a fake SES.
func clientOf(ses *sestest.Server, optFns ...func(*sesv2.Options)) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region: ses.Region, BaseEndpoint: &ses.URL, HTTPClient: ses.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: ses.AccessKeyID, SecretAccessKey: ses.SecretAccessKey}, nil
		}),
	}, optFns...)
}

func ExampleNew() {
	ses := sestest.NewServer()
	defer ses.Close()
	client := clientOf(ses) // sesv2.NewFromConfig(cfg)

	mailer := sesguard.New(sesapi.New(client, sesapi.Config{}), sesguard.Options{
		Limiter: sesapi.NewAccountLimiter(client),
	})
	receipt, err := mailer.Send(context.Background(), &sesguard.Message{
		From: "shop@example.com", To: []string{"ann@example.org"},
		Subject: "Your order", Text: "It is on its way.",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Transport, receipt.Region, receipt.Attempts)
	// Output: api us-east-1 1
}

// Code that calls SendEmail stays as it is: the client gets one option more.
func ExampleGuard() {
	ses := sestest.NewServer()
	defer ses.Close()
	client := clientOf(ses, sesapi.Guard(sesguard.Options{})) // sesv2.NewFromConfig(cfg, sesapi.Guard(…))

	ses.Account.Unverify("example.com")
	_, err := client.SendEmail(context.Background(), &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("shop@example.com"),
		Destination:      &types.Destination{ToAddresses: []string{"ann@example.org"}},
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: &types.Content{Data: aws.String("Your order")},
			Body:    &types.Body{Text: &types.Content{Data: aws.String("It is on its way.")}},
		}},
	})
	var rejected *types.MessageRejected
	fmt.Println(errors.As(err, &rejected), errors.Is(err, seserrors.IdentityNotVerified), seserrors.MaybeAccepted(err))
	// Output: true true false
}

// A program that hands an interface around wraps what is behind it. Two of them
// share one guard: its limiter, its breaker, and its Shutdown.
func ExampleWrapBy() {
	ses := sestest.NewServer()
	defer ses.Close()

	guard := sesguard.NewGuard(sesguard.Options{Limiter: sesguard.NewRateLimiter(13)})
	var invoices, newsletter sesapi.SendEmailAPI = sesapi.WrapBy(clientOf(ses), guard), sesapi.WrapBy(clientOf(ses), guard)
	for _, api := range []sesapi.SendEmailAPI{invoices, newsletter} {
		_, err := api.SendEmail(context.Background(), &sesv2.SendEmailInput{
			FromEmailAddress: aws.String("shop@example.com"),
			Destination:      &types.Destination{ToAddresses: []string{"ann@example.org"}},
			Content:          &types.EmailContent{Raw: &types.RawMessage{Data: []byte("From: shop@example.com\r\nTo: ann@example.org\r\n\r\nhello\r\n")}},
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := guard.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(ses.Accepted()), "mails accepted")
	// Output: 2 mails accepted
}

// At the start of a program: is everything in place?
func ExamplePing() {
	ses := sestest.NewServer()
	defer ses.Close()
	client := clientOf(ses)
	fmt.Println(sesapi.Ping(context.Background(), client))

	ses.Account.SetSendingPaused(true)
	err := sesapi.Ping(context.Background(), client)
	fmt.Println(errors.Is(err, seserrors.SendingPaused))
	// Output:
	// <nil>
	// true
}

func ExampleQuota() {
	ses := sestest.NewServer()
	defer ses.Close()
	ses.Account.SetMaxSendRate(14)
	ses.Account.SetMax24HourSend(50000)

	quota := sesapi.Quota(clientOf(ses))
	q, err := quota(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.0f a second, %.0f of %.0f left today\n", q.PerSecond, q.Max24Hours-q.Sent24Hours, q.Max24Hours)
	// Output: 14 a second, 50000 of 50000 left today
}

func ExampleNewSuppressionList() {
	ses := sestest.NewServer()
	defer ses.Close()
	ses.Account.Suppress("bob@example.org", "BOUNCE")

	client := clientOf(ses)
	sender := sesguard.Suppressed(
		sesguard.New(sesapi.New(client, sesapi.Config{}), sesguard.Options{}),
		sesapi.NewSuppressionList(client),
	)
	_, err := sender.Send(context.Background(), &sesguard.Message{
		From: "shop@example.com", To: []string{"bob@example.org"}, Subject: "Your order", Text: "It is on its way.",
	})
	fmt.Println(seserrors.Classify(err).Reason, ses.AcceptedCount())
	// Output: recipient-suppressed 0
}
