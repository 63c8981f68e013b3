package sestest

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for SignatureVersion 1
	_ "crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A Subscription hears of what is published to a topic of SNS. One of Func,
// Queue, Handler and URL says how.
type Subscription struct {
	Topic string // ARN; "": Events.TopicARN

	// Func gets the message as a queue would hold it. Others wait until it
	// returns, so it must not call Events.Wait or Server.Close.
	Func func(message []byte)

	// Queue names a queue of SQS, which is made if it is new. Clients of SQS
	// read it at Server.URL; its own URL is https://sqs.REGION.amazonaws.com/
	// with the account's number and the name, as GetQueueUrl tells.
	Queue string

	// Handler and URL get signed HTTP posts, Handler without a network, which
	// is what a testing/synctest bubble needs. A request for confirmation
	// comes first, and nothing else until its SubscribeURL was visited. A post
	// that draws a status of 500 to 599 or 429, or no answer within 15 seconds,
	// is repeated up to three times, 20 seconds apart; any other status but
	// 2xx loses it ("Amazon SNS message delivery retries", Amazon SNS Developer
	// Guide).
	Handler http.Handler
	URL     string

	Raw       bool // raw message delivery: the event without an envelope, and over HTTP unsigned
	Confirmed bool // skip the confirmation of Handler and URL
	SHA256    bool // the topic signs with SignatureVersion 2; else, as topics do by default, with 1
}

// A subscriber is a subscription and what became of it.
type subscriber struct {
	Subscription
	arn, token string
	confirmed  bool // guarded by Events.mu
}

// TopicARN returns the ARN of the topic to which event destinations and
// subscriptions refer that name none.
func (e *Events) TopicARN() string { return topicOr("", e.srv.Region) }

func topicOr(arn, region string) string {
	return cmp.Or(arn, "arn:aws:sns:"+cmp.Or(region, DefaultRegion)+":"+accountID+":sestest")
}

// Subscribe adds a subscription to a topic. It panics if the subscription says
// nothing about where messages go.
func (e *Events) Subscribe(sub Subscription) {
	if sub.Func == nil && sub.Queue == "" && sub.Handler == nil && sub.URL == "" {
		panic("sestest: a Subscription needs a Func, Queue, Handler or URL")
	}
	sub.Topic = topicOr(sub.Topic, e.srv.Region)
	s := &subscriber{Subscription: sub, arn: sub.Topic + ":" + newUUID(), token: strings.ReplaceAll(newUUID()+newUUID(), "-", "")}
	s.confirmed = sub.Confirmed || sub.Handler == nil && sub.URL == ""
	e.mu.Lock()
	e.subs = append(e.subs, s)
	e.mu.Unlock()
	if sub.Queue != "" {
		e.queue(sub.Queue, true)
	}
	if !s.confirmed {
		n := e.newNotification(s, "SubscriptionConfirmation")
		n.Token, n.SubscribeURL = s.token, e.snsURL("/?Action=ConfirmSubscription&TopicArn="+url.QueryEscape(s.Topic)+"&Token="+s.token)
		n.Message = "You have chosen to subscribe to the topic " + s.Topic + ".\nTo confirm the subscription, visit the SubscribeURL included in this message."
		e.after(0, func() { e.post(s, n.sign(s.SHA256), n, 0) })
	}
}

func (e *Events) snsURL(path string) string { return "https://" + snsHost(e.srv.Region) + path }

// A notification is the envelope in which SNS sends a message.
type notification struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string `json:",omitempty"`
	TopicARN         string `json:"TopicArn"`
	Subject          string `json:",omitempty"`
	Message          string
	SubscribeURL     string `json:",omitempty"`
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	UnsubscribeURL   string `json:",omitempty"`
}

func (e *Events) newNotification(s *subscriber, typ string) *notification {
	return &notification{
		Type: typ, MessageID: newUUID(), TopicARN: s.Topic, Timestamp: stamp(time.Now()),
		SigningCertURL: e.snsURL(signingCertPath),
	}
}

// notify sends an event to a subscriber.
func (e *Events) notify(s *subscriber, t target, event []byte) {
	e.mu.Lock()
	confirmed := s.confirmed
	e.mu.Unlock()
	if !confirmed {
		return
	}
	n := e.newNotification(s, "Notification")
	n.Message = string(event)
	n.UnsubscribeURL = e.snsURL("/?Action=Unsubscribe&SubscriptionArn=" + url.QueryEscape(s.arn))
	if !t.notification {
		n.Subject = "Amazon SES Email Event Notification"
	}
	body := event
	if !s.Raw {
		body = n.sign(s.SHA256)
	}
	switch {
	case s.Func != nil:
		s.Func(bytes.Clone(body))
	case s.Queue != "":
		e.queue(s.Queue, true).put(body)
	default:
		e.post(s, body, n, 0)
	}
}

// The default policy of SNS for HTTP endpoints.
const (
	maxRetries  = 3
	retryAfter  = 20 * time.Second
	postTimeout = 15 * time.Second
)

// post makes one attempt and plans the next.
func (e *Events) post(s *subscriber, body []byte, n *notification, retries int) {
	status := e.request(s, body, n)
	switch {
	case status >= 200 && status <= 299:
	case (status == 0 || status >= 500 || status == http.StatusTooManyRequests) && retries < maxRetries:
		e.after(retryAfter, func() { e.post(s, body, n, retries+1) })
	default:
		e.mu.Lock()
		e.lost++
		e.mu.Unlock()
	}
}

// request posts and returns the status, or 0 if there is none.
func (e *Events) request(s *subscriber, body []byte, n *notification) int {
	ctx, cancel := context.WithTimeout(e.life, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cmp.Or(s.URL, "http://subscriber.invalid/"), bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header = http.Header{
		"Content-Type":           {"text/plain; charset=UTF-8"},
		"User-Agent":             {"Amazon Simple Notification Service Agent"},
		"X-Amz-Sns-Message-Type": {n.Type}, "X-Amz-Sns-Message-Id": {n.MessageID}, "X-Amz-Sns-Topic-Arn": {n.TopicARN},
	}
	if n.Type == "Notification" {
		req.Header.Set("X-Amz-Sns-Subscription-Arn", s.arn)
		if s.Raw {
			req.Header.Set("X-Amz-Sns-Rawdelivery", "true")
		}
	}
	if s.Handler != nil {
		return answer(s.Handler, req)
	}
	resp, err := snsClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode
}

// snsClient keeps no connections, whose goroutines would outlive the server,
// and follows no redirects.
var snsClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answer asks a handler and returns its status, or 0 if it panics or the
// request's time is over.
func answer(h http.Handler, req *http.Request) int {
	status := make(chan int, 1)
	go func() {
		w, code := httptest.NewRecorder(), 0
		defer func() {
			recover()
			status <- code
		}()
		req.RequestURI, req.RemoteAddr = req.URL.RequestURI(), receiverIP+":443"
		h.ServeHTTP(w, req)
		code = w.Code
	}()
	select {
	case code := <-status:
		return code
	case <-req.Context().Done():
		return 0
	}
}

// sign fills in the signature and returns the envelope's JSON. Signed are the
// fields of the type, in byte order of their names ("Verifying the signatures
// of Amazon SNS messages", Amazon SNS Developer Guide).
func (n *notification) sign(useSHA256 bool) []byte {
	fields := []string{"Message", n.Message, "MessageId", n.MessageID}
	if n.Subject != "" {
		fields = append(fields, "Subject", n.Subject)
	}
	if n.SubscribeURL != "" {
		fields = append(fields, "SubscribeURL", n.SubscribeURL)
	}
	fields = append(fields, "Timestamp", n.Timestamp)
	if n.Token != "" {
		fields = append(fields, "Token", n.Token)
	}
	fields = append(fields, "TopicArn", n.TopicARN, "Type", n.Type)
	hash := crypto.SHA1
	if n.SignatureVersion = "1"; useSHA256 {
		hash, n.SignatureVersion = crypto.SHA256, "2"
	}
	h := hash.New()
	io.WriteString(h, strings.Join(fields, "\n")+"\n")
	signature, err := signer().PrivateKey.(*rsa.PrivateKey).Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		panic("sestest: sign a notification: " + err.Error())
	}
	n.Signature = base64.StdEncoding.EncodeToString(signature)
	b, err := json.Marshal(n)
	if err != nil {
		panic("sestest: marshal a notification: " + err.Error())
	}
	return b
}

func snsHost(region string) string { return "sns." + region + ".amazonaws.com" }

const signingCertPath = "/SimpleNotificationService-5e57e57000000000000000000000c0de.pem"

// signer makes the key of all topics, once a process. Its certificate bears the
// name that SNS's does, which is not the host's.
var signer = sync.OnceValue(func() tls.Certificate {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("sestest: generate a key: " + err.Error())
	}
	return selfSigned(key, "sns.amazonaws.com")
})

// serveCert answers for the SigningCertURL.
func (s *Server) serveCert(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != signingCertPath {
		http.NotFound(w, r)
		return
	}
	w.Write(certPEM(signer()))
}

// serveSNS answers for the SubscribeURL and the UnsubscribeURL.
func (s *Server) serveSNS(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	e := s.Events
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, sub := range e.subs {
		switch q.Get("Action") {
		case "ConfirmSubscription":
			if q.Get("Token") != sub.token || q.Get("TopicArn") != sub.Topic {
				continue
			}
			sub.confirmed = true
		case "Unsubscribe":
			if q.Get("SubscriptionArn") != sub.arn {
				continue
			}
			sub.confirmed = false
		default:
			continue
		}
		fmt.Fprintf(w, "<%[1]sResponse><%[1]sResult><SubscriptionArn>%[2]s</SubscriptionArn></%[1]sResult></%[1]sResponse>", q.Get("Action"), sub.arn)
		return
	}
	http.Error(w, "Invalid token or subscription", http.StatusBadRequest)
}
