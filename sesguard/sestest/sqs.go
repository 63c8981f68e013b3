package sestest

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A queue is one of SQS. A message that was received stays, unseen, until it is
// deleted or its visibility timeout is over.
type queue struct {
	mu       sync.Mutex
	messages []*queued
	changed  chan struct{} // closed when there is more to receive
}

type queued struct {
	id, receipt, body string
	sent, visible     time.Time
	received          int
}

// queue returns the queue of the name, or nil if there is none.
func (e *Events) queue(name string, make bool) *queue {
	e.mu.Lock()
	defer e.mu.Unlock()
	q := e.queues[name]
	if q == nil && make {
		q = newQueue()
		e.queues[name] = q
	}
	return q
}

func newQueue() *queue { return &queue{changed: make(chan struct{})} }

func (q *queue) put(body []byte) (id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := &queued{id: newUUID(), body: string(body), sent: time.Now(), visible: time.Now()}
	q.messages = append(q.messages, m)
	close(q.changed)
	q.changed = make(chan struct{})
	return m.id
}

// receive returns what can be seen, or else a channel that is closed when there
// is more, and when the next hidden message can be seen again.
func (q *queue) receive(limit int, timeout time.Duration) (got []*queued, changed <-chan struct{}, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, m := range q.messages {
		if m.visible.After(now) {
			if next.IsZero() || m.visible.Before(next) {
				next = m.visible
			}
			continue
		}
		if len(got) == limit {
			break
		}
		m.received++
		m.receipt, m.visible = newUUID(), now.Add(timeout)
		c := *m
		got = append(got, &c)
	}
	return got, q.changed, next
}

// change deletes the message of the receipt, or hides it for so long. A receipt
// that is no longer the message's changes nothing.
func (q *queue) change(receipt string, hide time.Duration, remove bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, m := range q.messages {
		if m.receipt == "" || m.receipt != receipt {
			continue
		}
		if remove {
			q.messages = append(q.messages[:i], q.messages[i+1:]...)
		} else {
			m.visible = time.Now().Add(hide)
			close(q.changed)
			q.changed = make(chan struct{})
		}
		return
	}
}

// A queueRequest holds the members of all requests to SQS that are served.
type queueRequest struct {
	QueueName, QueueUrl, MessageBody     string
	MaxNumberOfMessages, WaitTimeSeconds int
	queueEntry
	Entries []queueEntry
}

type queueEntry struct {
	Id, ReceiptHandle string
	VisibilityTimeout *int
}

// hide returns how long a message is to be unseen.
func (x queueEntry) hide(byDefault time.Duration) time.Duration {
	if x.VisibilityTimeout == nil {
		return byDefault
	}
	return time.Duration(*x.VisibilityTimeout) * time.Second
}

// serveSQS speaks the JSON protocol of SQS: GetQueueUrl, SendMessage (which
// makes a queue that is new), ReceiveMessage, DeleteMessage,
// ChangeMessageVisibility and the batches of the last two.
func (s *Server) serveSQS(w http.ResponseWriter, r *http.Request) {
	var in queueRequest
	_, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	if !ok || json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in) != nil {
		sqsAnswer(w, 400, object{"__type": "com.amazonaws.sqs#InvalidAction", "message": "The action or operation isn't recognized."})
		return
	}
	name := in.QueueName
	if in.QueueUrl != "" {
		name = path.Base(in.QueueUrl)
	}
	q := s.Events.queue(name, action == "SendMessage")
	if q == nil {
		sqsAnswer(w, 400, object{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."})
		return
	}
	switch action {
	case "GetQueueUrl":
		sqsAnswer(w, 200, object{"QueueUrl": "https://sqs." + s.Region + ".amazonaws.com/" + accountID + "/" + name})
	case "SendMessage":
		sqsAnswer(w, 200, object{"MessageId": q.put([]byte(in.MessageBody)), "MD5OfMessageBody": md5Hex(in.MessageBody)})
	case "ReceiveMessage":
		sqsAnswer(w, 200, object{"Messages": s.receive(r, q, &in)})
	case "DeleteMessage", "ChangeMessageVisibility", "DeleteMessageBatch", "ChangeMessageVisibilityBatch":
		done := []object{}
		for _, x := range append(in.Entries, in.queueEntry) {
			q.change(x.ReceiptHandle, x.hide(0), strings.HasPrefix(action, "Delete"))
			done = append(done, object{"Id": x.Id})
		}
		sqsAnswer(w, 200, object{"Successful": done[:len(in.Entries)], "Failed": []object{}})
	default:
		sqsAnswer(w, 400, object{"__type": "com.amazonaws.sqs#InvalidAction", "message": "The action " + action + " is not served."})
	}
}

// receive waits for messages as long as the request says.
func (s *Server) receive(r *http.Request, q *queue, in *queueRequest) []object {
	const hidden = 30 * time.Second // the default of a queue
	end := time.Now().Add(time.Duration(in.WaitTimeSeconds) * time.Second)
	for {
		got, changed, next := q.receive(min(max(in.MaxNumberOfMessages, 1), 10), in.hide(hidden))
		wait := time.Until(end)
		if len(got) > 0 || wait <= 0 {
			list := []object{}
			for _, m := range got {
				list = append(list, object{"MessageId": m.id, "ReceiptHandle": m.receipt, "Body": m.body, "MD5OfBody": md5Hex(m.body),
					"Attributes": map[string]string{
						"ApproximateReceiveCount": strconv.Itoa(m.received), "SentTimestamp": strconv.FormatInt(m.sent.UnixMilli(), 10),
					}})
			}
			return list
		}
		if !next.IsZero() {
			wait = min(wait, time.Until(next))
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-r.Context().Done():
			end = time.Time{}
		case <-s.done:
			end = time.Time{}
		}
		timer.Stop()
	}
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func sqsAnswer(w http.ResponseWriter, status int, result object) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(result)
}
