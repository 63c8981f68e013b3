// Command lambda is an AWS Lambda function for the events of SES. Subscribe it to
// the topic of SNS, to a queue of SQS behind it, or to EventBridge's aws.ses: it
// takes what each of them hands over. It logs what to do about each recipient;
// put what your program does there.
package main

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

func main() { lambda.Start(handle) }

// handle takes what invoked the function. Lambda invokes it again for an error:
// twice for SNS and EventBridge, which need a dead-letter queue beside, and for
// SQS until the queue's redrive policy ends it.
func handle(ctx context.Context, invocation json.RawMessage) error {
	events, err := event.Parse(invocation)
	for _, e := range events {
		for _, a := range e.Advice() {
			slog.InfoContext(ctx, "mail", "key", e.Key(), "id", e.MessageID, "state", e.State().String(),
				"do", a.Do.String(), "after", a.After, "reason", string(a.Reason), "blocklist", a.BlockList)
		}
	}
	return err
}
