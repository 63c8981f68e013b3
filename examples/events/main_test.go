package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"os"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

const want = `MAIL        TO                                 WHAT BECAME OF IT  WHAT TO DO                         WHY
Your order  ann@example.org                    failed             send again in 4h0m0s               sending-ip-blocked
Your order  ben@example.org                    given-up           send again in 168h0m0s             mailbox-full
Your order  bounce@simulator.amazonses.com     failed             never write to this address again  recipient-unknown
Your order  cleo@example.org                   delayed            nothing                            receiver-unavailable
Your order  complaint@simulator.amazonses.com  complained         never write to this address again  recipient-complained
Your order  ooto@simulator.amazonses.com       delivered          nothing                            
Your order  success@simulator.amazonses.com    delivered          nothing                            
`

// inFakeSES runs f in a bubble with a fake SES.
func inFakeSES(t *testing.T, f func(t *testing.T, ses *sestest.Server)) {
	log.SetOutput(io.Discard)
	synctest.Test(t, func(t *testing.T) {
		ses := sestest.NewMemoryServer()
		defer ses.Close()
		f(t, ses)
	})
}

func check(t *testing.T, table *table) {
	t.Helper()
	var out bytes.Buffer
	if err := table.print(&out); err != nil || out.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, &out, want)
	}
	for address, suppressed := range map[string]bool{"bounce@simulator.amazonses.com": true, "complaint@simulator.amazonses.com": true, "ann@example.org": false, "ben@example.org": false} {
		if got, _ := table.suppressed.Suppressed(t.Context(), address); got != suppressed {
			t.Errorf("%s is suppressed: %v", address, got)
		}
	}
}

func TestTheQueueTellsWhatBecameOfEachMail(t *testing.T) {
	inFakeSES(t, func(t *testing.T, ses *sestest.Server) {
		var table table
		if err := demo(t.Context(), ses, &table); err != nil {
			t.Fatal(err)
		}
		check(t, &table)
	})
}

// The carriers repeat events and mix them up.
func TestEventsThatComeLateAndTwiceChangeNothing(t *testing.T) {
	inFakeSES(t, func(t *testing.T, ses *sestest.Server) {
		ses.Events.Schedule(func(kind string, _ sestest.Mail) []time.Duration {
			if kind == "Send" {
				return []time.Duration{500 * time.Millisecond, 600 * time.Millisecond}
			}
			return []time.Duration{100 * time.Millisecond, 400 * time.Millisecond}
		})
		var table table
		if err := demo(t.Context(), ses, &table); err != nil {
			t.Fatal(err)
		}
		check(t, &table)
	})
}

func TestSNSPostsTellTheSame(t *testing.T) {
	inFakeSES(t, func(t *testing.T, ses *sestest.Server) {
		var table table
		h := posts(ses.Events.TopicARN(), &table)
		h.HTTPClient, h.Logger = ses.HTTPClient(), nil // the fake has its own certificate host
		publish(ses)
		ses.Events.Subscribe(sestest.Subscription{Handler: h, SHA256: true})
		if err := send(t.Context(), ses); err != nil {
			t.Fatal(err)
		}
		happen(ses)
		check(t, &table)
	})
}

// What the program reads from the queue in an hour.
func listen(t *testing.T, r *reader, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := r.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// left counts the messages of a queue, those that nobody can see now included.
func left(t *testing.T, r *reader, queue string) (n int) {
	time.Sleep(time.Hour)
	for {
		out, err := r.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10})
		if err != nil {
			t.Error(err)
			return n
		}
		if len(out.Messages) == 0 {
			return n
		}
		n += len(out.Messages)
	}
}

func put(t *testing.T, r *reader, queue string, bodies ...string) {
	for _, body := range bodies {
		if _, err := r.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
}

const delivery = `{"eventType":"Delivery","mail":{"messageId":"m1"},"delivery":{"recipients":["ann@example.org"]}}`

func TestAPoisonMessageIsParkedAndHoldsUpNobody(t *testing.T) {
	inFakeSES(t, func(t *testing.T, ses *sestest.Server) {
		var table table
		r := fakeReader(ses, &table)
		put(t, r, r.queue, `{"Type":`, delivery, "no JSON", delivery)
		listen(t, r, time.Minute)
		if len(table.rows) != 1 {
			t.Errorf("%d rows", len(table.rows))
		}
		if parked, n := left(t, r, r.parked), left(t, r, r.queue); parked != 2 || n != 0 {
			t.Errorf("%d parked, %d left in the queue", parked, n)
		}
	})
}

func TestAnEventStaysInTheQueueUntilItIsHandled(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		failures, calls, parks int
	}{
		{"a database that is down for a while", 3, 4, 0},
		{"a database that never takes it", 1000, tries, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inFakeSES(t, func(t *testing.T, ses *sestest.Server) {
				var table table
				r := fakeReader(ses, &table)
				calls := 0
				r.handle = func(ctx context.Context, e *event.Event) error {
					if calls++; calls <= tt.failures {
						return errors.New("no database")
					}
					return table.handle(ctx, e)
				}
				put(t, r, r.parked, "an older one")
				put(t, r, r.queue, delivery)
				listen(t, r, time.Hour)
				if parked, n := left(t, r, r.parked), left(t, r, r.queue); calls != tt.calls || parked != 1+tt.parks || n != 0 {
					t.Errorf("%d calls, %d parked, %d left; want %d, %d, 0", calls, parked, n, tt.calls, 1+tt.parks)
				}
			})
		})
	}
}

func TestAMessageThatCannotBeParkedStays(t *testing.T) {
	inFakeSES(t, func(t *testing.T, ses *sestest.Server) {
		r := fakeReader(ses, &table{})
		r.parked = ""
		put(t, r, r.queue, "no JSON")
		listen(t, r, time.Minute)
		if n := left(t, r, r.queue); n != 1 {
			t.Errorf("%d left, want it for the redrive policy", n)
		}
	})
}

// The README's commands mean the same in bash and in zsh, the shell of macOS,
// which takes $ACCOUNT:ses-events for a substitution within $ACCOUNT.
func TestREADMEKeepsVariablesFromColons(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`\$[A-Za-z_]+:[A-Za-z]\S*`).FindAllString(string(data), -1); found != nil {
		t.Errorf("write ${NAME}: for %q", found)
	}
}
