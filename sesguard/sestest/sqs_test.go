package sestest_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

type sqsMessage struct {
	MessageId, ReceiptHandle, Body, MD5OfBody string
	Attributes                                map[string]string
}

// sqs asks the queue and returns the answer's status.
func sqs(t *testing.T, s *sestest.Server, action, body string, answer any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func receive(t *testing.T, s *sestest.Server, more string) []sqsMessage {
	t.Helper()
	var out struct{ Messages []sqsMessage }
	if status := sqs(t, s, "ReceiveMessage", `{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/123456789012/events"`+more+"}", &out); status != 200 {
		t.Fatalf("received with %d", status)
	}
	return out.Messages
}

// queued has the events of example.com in a queue.
func queued(s *sestest.Server) {
	eventful(s)
	s.Events.Subscribe(sestest.Subscription{Queue: "events", Raw: true})
}

func TestAQueueHoldsMessagesUntilTheyAreDeleted(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		queued(s)
		var out map[string]any
		sqs(t, s, "GetQueueUrl", `{"QueueName":"events"}`, &out)
		if out["QueueUrl"] != "https://sqs.us-east-1.amazonaws.com/123456789012/events" {
			t.Errorf("URL %v", out)
		}
		accept(t, s, "success@simulator.amazonses.com")
		s.Events.Wait()
		got := receive(t, s, `,"MaxNumberOfMessages":10`)
		if len(got) != 2 || summary([]byte(got[0].Body)) != "Send" || got[0].Attributes["ApproximateReceiveCount"] != "1" {
			t.Fatalf("received %v", got)
		}
		if sum := md5.Sum([]byte(got[0].Body)); got[0].MD5OfBody != hex.EncodeToString(sum[:]) {
			t.Errorf("MD5 %s", got[0].MD5OfBody)
		}
		if again := receive(t, s, ""); len(again) != 0 {
			t.Errorf("received %v while they are hidden", again)
		}
		sqs(t, s, "DeleteMessage", fmt.Sprintf(`{"QueueUrl":"events","ReceiptHandle":%q}`, got[0].ReceiptHandle), &out)
		time.Sleep(30*time.Second - time.Nanosecond)
		if again := receive(t, s, ""); len(again) != 0 {
			t.Errorf("received %v before the visibility timeout", again)
		}
		time.Sleep(time.Nanosecond)
		again := receive(t, s, "")
		if len(again) != 1 || again[0].MessageId != got[1].MessageId || again[0].Attributes["ApproximateReceiveCount"] != "2" {
			t.Fatalf("received %v after it", again)
		}
		// The old receipt deletes nothing.
		sqs(t, s, "DeleteMessage", fmt.Sprintf(`{"QueueUrl":"events","ReceiptHandle":%q}`, got[1].ReceiptHandle), &out)
		sqs(t, s, "ChangeMessageVisibility", fmt.Sprintf(`{"QueueUrl":"events","ReceiptHandle":%q,"VisibilityTimeout":0}`, again[0].ReceiptHandle), &out)
		last := receive(t, s, "")
		if len(last) != 1 {
			t.Fatalf("received %v at last", last)
		}
		sqs(t, s, "DeleteMessageBatch", fmt.Sprintf(`{"QueueUrl":"events","Entries":[{"Id":"x","ReceiptHandle":%q}]}`, last[0].ReceiptHandle), &out)
		if got := fmt.Sprint(out["Successful"]); got != "[map[Id:x]]" {
			t.Errorf("deleted %s", got)
		}
		accept(t, s, to)
		s.Events.Wait()
		sqs(t, s, "DeleteMessageBatch", `{"QueueUrl":"events","Entries":[{"Id":"x","ReceiptHandle":"gone"}]}`, &out)
		sqs(t, s, "DeleteMessage", `{"QueueUrl":"events"}`, &out)
		if next := receive(t, s, ""); len(next) != 1 {
			t.Errorf("received %v, want what no receipt was for", next)
		} else {
			sqs(t, s, "DeleteMessage", fmt.Sprintf(`{"QueueUrl":"events","ReceiptHandle":%q}`, next[0].ReceiptHandle), &out)
		}
		time.Sleep(time.Hour)
		if rest := receive(t, s, ""); len(rest) != 0 {
			t.Errorf("left over: %v", rest)
		}
	})
}

func TestAQueueIsPolledLong(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		queued(s)
		begin := time.Now()
		if got := receive(t, s, `,"WaitTimeSeconds":20`); len(got) != 0 || time.Since(begin) != 20*time.Second {
			t.Errorf("received %v after %v", got, time.Since(begin))
		}
		go func() {
			time.Sleep(7 * time.Second)
			accept(t, s, to)
		}()
		begin = time.Now()
		if got := receive(t, s, `,"WaitTimeSeconds":20,"VisibilityTimeout":5`); len(got) != 1 || time.Since(begin).Round(time.Second) != 7*time.Second {
			t.Errorf("received %v after %v", got, time.Since(begin))
		}
		begin = time.Now() // what comes into sight ends the wait too
		if got := receive(t, s, `,"WaitTimeSeconds":20`); len(got) != 1 || time.Since(begin).Round(time.Second) != 5*time.Second {
			t.Errorf("received %v after %v", got, time.Since(begin))
		}
	})
}

func TestQueuesRefuseWhatTheyDoNotKnow(t *testing.T) {
	s := newServer(t)
	queued(s)
	for name, tt := range map[string]struct{ action, body, want string }{
		"no such queue":  {"ReceiveMessage", `{"QueueUrl":"https://sqs/1/other"}`, "com.amazonaws.sqs#QueueDoesNotExist"},
		"no such action": {"PurgeQueue", `{"QueueUrl":"events"}`, "com.amazonaws.sqs#InvalidAction"},
		"no JSON":        {"ReceiveMessage", `{`, "com.amazonaws.sqs#InvalidAction"},
	} {
		var out map[string]any
		if status := sqs(t, s, tt.action, tt.body, &out); status != 400 || out["__type"] != tt.want {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	var out map[string]any
	if status := sqs(t, s, "SendMessage", `{"QueueUrl":"https://sqs/1/parked","MessageBody":"poison"}`, &out); status != 200 || out["MessageId"] == "" {
		t.Errorf("sent with %d %v", status, out)
	}
	if status := sqs(t, s, "ReceiveMessage", `{"QueueUrl":"parked"}`, &out); status != 200 || !strings.Contains(fmt.Sprint(out), "poison") {
		t.Errorf("received with %d %v", status, out)
	}
}
