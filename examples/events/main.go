// Command events reads what became of mails and prints it as a table, with what
// to do about each. Without flags it sends some mails through the embedded fake
// SES and reads their events from its queue; it needs no account. With -queue it
// reads a queue of SQS, with -listen it takes the posts of SNS, until it is
// interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func main() {
	queue := flag.String("queue", "", "`URL` of the queue of SQS that holds the events")
	parked := flag.String("parked", "", "`URL` of the queue for messages that cannot be handled")
	listen := flag.String("listen", "", "`address` to listen on for the posts of SNS, behind a proxy that speaks HTTPS")
	topic := flag.String("topic", "", "`ARN` of the topic whose posts count")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var t table
	var err error
	switch {
	case *queue != "":
		err = read(ctx, *queue, *parked, &t)
	case *listen != "":
		err = serve(ctx, *listen, *topic, &t)
	default:
		ses := sestest.NewServer()
		err = demo(ctx, ses, &t)
		ses.Close()
	}
	if err = errors.Join(err, t.print(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "events:", err)
		os.Exit(1)
	}
}

// read reads a queue until ctx ends.
func read(ctx context.Context, queue, parked string, t *table) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	r := &reader{client: sqs.NewFromConfig(cfg), queue: queue, parked: parked, handle: t.handle}
	if err := r.run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serve takes posts until ctx ends.
func serve(ctx context.Context, addr, topic string, t *table) error {
	server := &http.Server{Addr: addr, Handler: posts(topic, t), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second) // as long as SNS waits for an answer
	defer cancel()
	return server.Shutdown(ctx)
}

// posts is the handler of the endpoint that SNS posts to.
func posts(topic string, t *table) *event.Handler {
	return &event.Handler{Topics: []string{topic}, Handle: t.handle, Logger: slog.Default()}
}
