package sesguard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

// ses stands for sesguard.SMTP(pool) or sesapi.New(client, sesapi.Config{}).
var ses = sesguard.TransportFunc(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
	return &sesguard.Receipt{MessageID: "0107017033dbb64d", Transport: "smtp"}, nil
})

func order() *sesguard.Message {
	return &sesguard.Message{From: "shop@example.com", To: []string{"ann@example.org"}, Subject: "Your order", Text: "It is on its way."}
}

func ExampleNew() {
	client := sesguard.New(ses, sesguard.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	receipt, err := client.Send(ctx, order())
	if err != nil {
		wait, ok := retry.After(err)
		fmt.Println(err, "try again:", ok, "after", wait, "may have arrived:", seserrors.MaybeAccepted(err))
		return
	}
	fmt.Println("SES has it as", receipt.MessageID)
	// Output: SES has it as 0107017033dbb64d
}

// Login codes are of no use after a minute, and better sent twice than never.
// Invoices wait for an hour and are sent at most once. Both are one account's.
func ExampleGuard_With() {
	invoices := sesguard.NewGuard(sesguard.Options{Limiter: sesguard.NewRateLimiter(13)})
	codes := invoices.With(retry.Policy{MaxElapsed: time.Minute, AllowDuplicates: true})

	_, err := invoices.Client(ses).Send(context.Background(), order())
	fmt.Println(err)
	_, err = codes.Client(ses).Send(context.Background(), order())
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
}

// A journal that a program reads after a crash stands around the transport. It
// sees each attempt before SES does, and an error of its own after acceptance
// leaves the mail in doubt instead of sending it again.
func ExampleTransportFunc() {
	journal := func(next sesguard.Transport) sesguard.Transport {
		return sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
			fmt.Println("about to send to", m.Recipients())
			receipt, err := next.Attempt(ctx, m)
			fmt.Println("sent:", err == nil)
			return receipt, err
		})
	}
	sesguard.New(journal(ses), sesguard.Options{}).Send(context.Background(), order())
	// Output:
	// about to send to [ann@example.org]
	// sent: true
}

// Metrics by tenant need no middleware.
func ExampleHooks() {
	client := sesguard.New(ses, sesguard.Options{Hooks: sesguard.Hooks{
		AttemptDone: func(ctx context.Context, a sesguard.Attempt) {
			info, _ := sesguard.InfoFrom(ctx)
			fmt.Printf("tenant %s, attempt %d, accepted %v, again %v\n", info.Tenant, a.N, a.Err == nil, a.Again)
		},
	}})
	m := order()
	m.Tenant = "acme"
	client.Send(context.Background(), m)
	// Output: tenant acme, attempt 1, accepted true, again false
}

// bounced is a list of addresses that bounced for good.
type bounced map[string]bool

func (b bounced) Suppressed(_ context.Context, address string) (bool, error) { return b[address], nil }

func ExampleSuppressed() {
	client := sesguard.Suppressed(sesguard.New(ses, sesguard.Options{}), bounced{"ann@example.org": true})
	_, err := client.Send(context.Background(), order())
	fmt.Println(seserrors.Classify(err).Reason, seserrors.Classify(err).Recipients)
	// Output: recipient-suppressed [ann@example.org]
}

// A send that waits when the program ends says when to try again, so that it
// can go back into its queue.
func ExampleClient_Shutdown() {
	busy := sesguard.TransportFunc(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
		return nil, seserrors.FromSMTP("smtp end of data", 454, "Throttling failure: Daily message quota exceeded.")
	})
	waiting := make(chan bool, 1)
	client := sesguard.New(busy, sesguard.Options{Hooks: sesguard.Hooks{
		AttemptDone: func(_ context.Context, a sesguard.Attempt) { waiting <- a.Again },
	}})
	sent := make(chan error)
	go func() { _, err := client.Send(context.Background(), order()); sent <- err }()
	<-waiting
	fmt.Println("shut down:", client.Shutdown(context.Background()))
	err := <-sent
	wait, ok := retry.After(err)
	fmt.Println(seserrors.Classify(err).Reason, ok, wait > 19*time.Minute)
	// Output:
	// shut down: <nil>
	// daily-quota-exceeded true true
}

// A server waits for its handlers, and this one waits in Send. The client ends
// the wait as soon as the server takes no more requests.
func ExampleClient_Shutdown_server() {
	busy := sesguard.TransportFunc(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
		return nil, seserrors.FromSMTP("smtp end of data", 454, "Throttling failure: Daily message quota exceeded.")
	})
	waiting := make(chan bool, 1)
	client := sesguard.New(busy, sesguard.Options{Hooks: sesguard.Hooks{
		AttemptDone: func(_ context.Context, a sesguard.Attempt) { waiting <- a.Again },
	}})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := client.Send(context.WithoutCancel(r.Context()), order()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	answered := make(chan string)
	go func() {
		answer, err := http.Get(server.URL)
		if err != nil {
			answered <- err.Error()
			return
		}
		answer.Body.Close()
		answered <- answer.Status
	}()
	<-waiting

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server.Config.RegisterOnShutdown(func() { _ = client.Shutdown(ctx) })
	fmt.Println("server:", server.Config.Shutdown(ctx))
	fmt.Println("client:", client.Shutdown(ctx))
	fmt.Println("answer:", <-answered)
	// Output:
	// server: <nil>
	// client: <nil>
	// answer: 503 Service Unavailable
}
