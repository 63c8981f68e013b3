package sestest

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path"
	"slices"
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
	if e.queues[name] == nil && make {
		e.queues[name] = new(queue)
	}
	return e.queues[name]
}

func (q *queue) put(body []byte) (id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := &queued{id: newUUID(), body: string(body), sent: time.Now()}
	q.messages = append(q.messages, m)
	return m.id
}

// receive returns what can be seen, and hides it for a time.
func (q *queue) receive(limit int, timeout time.Duration) (got []queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, m := range q.messages {
		if len(got) < limit && !m.visible.After(now) {
			m.received++
			m.receipt, m.visible = newUUID(), now.Add(timeout)
			got = append(got, *m)
		}
	}
	return got
}

// change deletes the message of the receipt, or hides it for so long. A receipt
// that is no longer the message's changes nothing.
func (q *queue) change(receipt string, hide time.Duration, remove bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.messages, func(m *queued) bool { return m.receipt != "" && m.receipt == receipt })
	switch {
	case i < 0:
	case remove:
		q.messages = slices.Delete(q.messages, i, i+1)
	default:
		q.messages[i].visible = time.Now().Add(hide)
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

// receive waits for messages as long as the request says. It looks every few
// milliseconds: what came, what can be seen again and what was hidden for
// longer need no signals then.
func (s *Server) receive(r *http.Request, q *queue, in *queueRequest) []object {
	const (
		hidden = 30 * time.Second // the default of a queue
		pause  = 10 * time.Millisecond
	)
	list := []object{}
	end := time.Now().Add(time.Duration(in.WaitTimeSeconds) * time.Second)
	for {
		for _, m := range q.receive(min(max(in.MaxNumberOfMessages, 1), 10), in.hide(hidden)) {
			list = append(list, object{"MessageId": m.id, "ReceiptHandle": m.receipt, "Body": m.body, "MD5OfBody": md5Hex(m.body),
				"Attributes": map[string]string{
					"ApproximateReceiveCount": strconv.Itoa(m.received), "SentTimestamp": strconv.FormatInt(m.sent.UnixMilli(), 10),
				}})
		}
		if len(list) > 0 || !time.Now().Before(end) || r.Context().Err() != nil || !s.sleep(pause) {
			return list
		}
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
