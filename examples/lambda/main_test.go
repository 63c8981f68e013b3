package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

const bounce = `{"eventType":"Bounce","mail":{"messageId":"m1"},"bounce":{"bounceType":"Permanent","bounceSubType":"General","feedbackId":"f1",` +
	`"bouncedRecipients":[{"emailAddress":"ann@example.org","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}]}}`

// The types of AWS's own package write what Lambda hands over.
func TestTheFunctionTakesEachCarrier(t *testing.T) {
	envelope, err := json.Marshal(map[string]string{"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:123456789012:ses-events", "Message": bounce})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	for name, invocation := range map[string]any{
		"SNS":                   events.SNSEvent{Records: []events.SNSEventRecord{{EventSource: "aws:sns", SNS: events.SNSEntity{Type: "Notification", Message: bounce}}}},
		"SQS":                   events.SQSEvent{Records: []events.SQSMessage{{EventSource: "aws:sqs", Body: string(envelope)}}},
		"SQS with raw delivery": events.SQSEvent{Records: []events.SQSMessage{{EventSource: "aws:sqs", Body: bounce}}},
		"EventBridge":           events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Bounced", Detail: json.RawMessage(bounce)},
	} {
		t.Run(name, func(t *testing.T) {
			log.Reset()
			payload, err := json.Marshal(invocation)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lambda.NewHandler(handle).Invoke(t.Context(), payload); err != nil {
				t.Fatal(err)
			}
			if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "id=m1 state=failed do=suppress after=0s reason=recipient-unknown") || strings.Contains(got, "ann@") {
				t.Errorf("logged %q", got)
			}
		})
	}
}

func TestAnInvocationThatIsNotUnderstoodFails(t *testing.T) {
	payload := fmt.Appendf(nil, `{"Records":[{"eventSource":"aws:sqs","body":%q}]}`, `{"eventType":`)
	if _, err := lambda.NewHandler(handle).Invoke(t.Context(), payload); err == nil {
		t.Error("no error: Lambda would not come again")
	}
}
