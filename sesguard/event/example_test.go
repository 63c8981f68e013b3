package event_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

const bounced = `{"eventType":"Bounce","mail":{"timestamp":"2026-05-04T10:11:12Z","messageId":"0102019a-1111","source":"shop@example.com","destination":["ann@example.net"],"tags":{"sesguard-id":["b4kx"]}},
"bounce":{"bounceType":"Permanent","bounceSubType":"General","feedbackId":"0102019a-feed","timestamp":"2026-05-04T10:11:13Z","bouncedRecipients":[{"emailAddress":"ann@example.net","status":"5.7.1",
"diagnosticCode":"smtp; 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"}]}}`

// SES calls this bounce permanent, but the address is good.
func ExampleEvent_Advice() {
	events, err := event.Parse([]byte(bounced))
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range events[0].Advice() {
		fmt.Println(a.Recipient, a.Do, a.After, a.Reason, a.Scope, a.BlockList)
	}
	// Output: ann@example.net later 4h0m0s sending-ip-blocked sender Spamhaus ZEN
}

func ExampleParse() {
	// What SQS hands over: an SNS envelope, since raw delivery is off.
	body := `{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:111122223333:ses","Message":"{\"eventType\":\"Delivery\",\"mail\":{\"messageId\":\"0102019a-1111\"},\"delivery\":{\"recipients\":[\"ann@example.net\"]}}"}`
	events, err := event.Parse([]byte(body))
	if err != nil {
		log.Fatal(err) // a poison message: put it aside
	}
	for _, e := range events {
		fmt.Println(e.Type, e.MessageID, e.Recipients[0].Address)
	}
	// Output: Delivery 0102019a-1111 ann@example.net
}

func ExampleRead() {
	object := strings.NewReader(`{"eventType":"Send","mail":{"messageId":"m1"}}{"eventType":"Open","mail":{"messageId":"m1"}}`)
	for e, err := range event.Read(object) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Type)
	}
	// Output:
	// Send
	// Open
}

func ExampleHandler() {
	h := &event.Handler{
		Topics: []string{"arn:aws:sns:eu-west-1:111122223333:ses-events"},
		Handle: func(_ context.Context, e *event.Event) error {
			// Store it under e.Key(), which is the same for each copy.
			return nil
		},
	}
	mux := http.NewServeMux()
	mux.Handle("POST /sns/3kq8yd1f", h) // a path that cannot be guessed

	// What SNS did not sign is refused.
	forged := httptest.NewRequest("POST", "/sns/3kq8yd1f", strings.NewReader(bounced))
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, forged)
	fmt.Println(answer.Code)
	// Output: 403
}

func ExampleDiagnose() {
	for _, words := range []string{
		"smtp; 550-5.1.1 The email account that you tried to reach does not exist",
		"smtp; 554 4.4.7 Message expired: unable to deliver in 840 minutes.<452 4.2.2 mailbox full>",
		"smtp; 550 5.7.1 Computer says no",
	} {
		d := event.Diagnose(words)
		fmt.Println(d.Reason, d.Code, d.Enhanced)
	}
	// Output:
	// recipient-unknown 550 5.1.1
	// mailbox-full 452 4.2.2
	// unrecognized 550 5.7.1
}

func ExampleEvent_Err() {
	events, _ := event.Parse([]byte(bounced))
	if err := events[0].Err(); err != nil {
		fmt.Println(err.Class, err.Reason, err.Code)
	}
	// Output: denied sending-ip-blocked 554
}

func ExampleEvent_State() {
	var state event.State
	for _, data := range []string{
		`{"eventType":"Delivery","mail":{"messageId":"m1"}}`,
		`{"eventType":"Send","mail":{"messageId":"m1"}}`,                                       // late
		`{"eventType":"Bounce","mail":{"messageId":"m1"},"bounce":{"bounceType":"Transient"}}`, // an automatic reply
	} {
		events, _ := event.Parse([]byte(data))
		state = max(state, events[0].State())
	}
	fmt.Println(state)
	// Output: delivered
}

func ExampleSuppressionList() {
	var list event.SuppressionList
	events, _ := event.Parse([]byte(`{"eventType":"Complaint","mail":{"messageId":"m1"},"complaint":{"complainedRecipients":[{"emailAddress":"Bob@example.org"}]}}`))
	list.Observe(events[0])
	suppressed, _ := list.Suppressed(context.Background(), "bob@example.org")
	fmt.Println(suppressed)
	// Output: true
}

func ExampleReputation() {
	rates := &event.Reputation{
		VerifiedDomains: []string{"example.com"},
		Changed: func(domain string, r event.Rates) {
			if domain == "" {
				fmt.Printf("account: %v, %.1f %% bounced\n", r.Level, 100*r.Bounce)
			}
		},
	}
	for i := range 100 {
		rates.Observe(&event.Event{Type: event.Send, MessageID: fmt.Sprint(i), Recipients: []event.Recipient{{Address: "a@example.net"}}})
	}
	for i := range 3 {
		rates.Observe(&event.Event{Type: event.Bounce, BounceType: "Permanent", FeedbackID: fmt.Sprint(i), Recipients: []event.Recipient{{Address: "a@example.net"}}})
	}
	// Output: account: watch, 2.0 % bounced
}

func ExampleDoubts() {
	ctx := context.Background()
	doubts := &event.Doubts{
		Settled: func(_ context.Context, d event.Doubt) error {
			fmt.Println(d.TrackID, d.State, d.MessageIDs)
			return nil
		},
	}
	ended := time.Date(2026, 5, 4, 10, 11, 12, 0, time.UTC)
	_ = doubts.Add(ctx, "b4kx", ended) // the answer to this mail was lost
	_ = doubts.Add(ctx, "c7mz", ended)

	events, _ := event.Parse([]byte(bounced))
	if err := event.Settle(ctx, doubts, "sesguard-id", events[0]); err != nil {
		log.Fatal(err) // do not acknowledge the event
	}
	_ = doubts.Expire(ctx, ended.Add(75*time.Minute)) // every minute in a program
	// Output:
	// b4kx accepted [0102019a-1111]
	// c7mz unconfirmed []
}
