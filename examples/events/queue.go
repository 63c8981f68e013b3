package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

// A reader takes events out of a queue of SQS and deletes them when they are
// handled. What is not deleted comes again.
type reader struct {
	client *sqs.Client
	queue  string // URL
	parked string // URL of the queue for messages that cannot be handled; "": leave them to the redrive policy
	handle func(context.Context, *event.Event) error
}

const (
	longPoll = 20 * time.Second // the longest that SQS waits for a message
	tries    = 5                // of a message that cannot be handled
	pause    = 5 * time.Second  // after SQS cannot be read
)

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if _, err := r.once(ctx, longPoll); err != nil && ctx.Err() == nil {
			log.Print("events: ", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
	return context.Cause(ctx)
}

// once reads and handles one batch, and returns how many messages were in it.
func (r *reader) once(ctx context.Context, wait time.Duration) (int, error) {
	out, err := r.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &r.queue, MaxNumberOfMessages: 10, WaitTimeSeconds: int32(wait / time.Second),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
	})
	if err != nil {
		return 0, err
	}
	// What was handled is deleted also when the program is told to end now.
	ctx = context.WithoutCancel(ctx)
	var done []types.DeleteMessageBatchRequestEntry
	for i, m := range out.Messages {
		if err := r.message(ctx, m); err != nil {
			log.Print("events: a message stays in the queue: ", err)
			continue
		}
		done = append(done, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
	}
	if len(done) == 0 {
		return len(out.Messages), nil
	}
	deleted, err := r.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &r.queue, Entries: done})
	if err == nil && len(deleted.Failed) > 0 {
		err = fmt.Errorf("%d messages are not deleted and come again", len(deleted.Failed))
	}
	return len(out.Messages), err
}

// message handles the events of a message. An error means that the message is to
// come again.
func (r *reader) message(ctx context.Context, m types.Message) error {
	events, poison := event.Parse([]byte(aws.ToString(m.Body)))
	var failed error
	for _, e := range events {
		failed = errors.Join(failed, r.handle(ctx, e))
	}
	received, _ := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	switch {
	case failed != nil && received < tries:
		return failed // nothing is wrong with the message: our database is down
	case failed == nil && poison == nil:
		return nil
	case r.parked == "":
		return errors.Join(failed, poison)
	}
	log.Print("events: a message is parked: ", errors.Join(failed, poison))
	_, err := r.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &r.parked, MessageBody: m.Body})
	return err
}
