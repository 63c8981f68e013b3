package event

import (
	"bytes"
	"crypto/fips140"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// A post is a message that SNS posts to an endpoint. What is verified and what
// is used are the same decoded values, so that keys that occur twice, or in two
// spellings, deceive nobody.
type post struct {
	Type             string
	MessageID        string  `json:"MessageId"`
	TopicARN         string  `json:"TopicArn"`
	Subject          *string // signed only if present and not null
	Message          string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	SubscribeURL     string
	Token            string
}

// The types of posts.
const (
	notification = "Notification"
	confirm      = "SubscriptionConfirmation"
	unsubscribed = "UnsubscribeConfirmation"
)

// canonical returns what SNS signs: names and values in the order of the
// names, each on a line (SNS Developer Guide, "Verifying the signatures of
// Amazon SNS messages").
func (p *post) canonical() []byte {
	var b bytes.Buffer
	line := func(name, value string) { b.WriteString(name + "\n" + value + "\n") }
	line("Message", p.Message)
	line("MessageId", p.MessageID)
	if p.Type == notification {
		if p.Subject != nil {
			line("Subject", *p.Subject)
		}
	} else {
		line("SubscribeURL", p.SubscribeURL)
	}
	line("Timestamp", p.Timestamp)
	if p.Type != notification {
		line("Token", p.Token)
	}
	line("TopicArn", p.TopicARN)
	line("Type", p.Type)
	return b.Bytes()
}

// Faults of a post that are no proof of forgery are errors of their own: SNS
// must come again.
var errSHA1 = errors.New("the topic signs with SHA-1, which GODEBUG=fips140=only forbids: set its attribute SignatureVersion to 2")

// verify checks the signature with a certificate.
func (p *post) verify(c *x509.Certificate) error {
	signature, err := base64.StdEncoding.DecodeString(p.Signature)
	if err != nil {
		return forgery("the signature is not base64")
	}
	algorithm := x509.SHA256WithRSA
	if p.SignatureVersion == "1" {
		if fips140.Enforced() {
			return errSHA1
		}
		algorithm = x509.SHA1WithRSA
	}
	if err := c.CheckSignature(algorithm, p.canonical(), signature); err != nil {
		return forgery("the signature does not fit")
	}
	return nil
}

// A forgery is why a post is refused for good. Its text repeats nothing of the
// post.
type forgery string

func (f forgery) Error() string { return string(f) }

// fresh checks the time of publishing. SNS's clock may be ahead of ours.
func (p *post) fresh(now time.Time, maxAge time.Duration) error {
	t, err := time.Parse(time.RFC3339Nano, p.Timestamp)
	switch {
	case err != nil:
		return forgery("the timestamp is none")
	case now.Sub(t) > maxAge:
		return forgery("the post is too old")
	case t.Sub(now) > maxAhead:
		return forgery("the post comes from the future")
	}
	return nil
}

// maxAhead is how far the clock of SNS may be ahead of this machine's.
const maxAhead = 15 * time.Minute

// dnsSuffixes are those of the partitions in which SES sends.
var dnsSuffixes = map[string]string{
	"aws":        "amazonaws.com",
	"aws-us-gov": "amazonaws.com",
	"aws-cn":     "amazonaws.com.cn",
	"aws-eusc":   "amazonaws.eu",
}

var (
	topicARN        = regexp.MustCompile(`^arn:([a-z-]+):sns:([a-z]{2,5}(?:-[a-z]+)+-\d{1,2}):\d{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?$`)
	certificatePath = regexp.MustCompile(`^/SimpleNotificationService(-[A-Za-z0-9]{1,64})?\.pem$`)
)

// hostOf returns the host of SNS in the topic's region, or "" for a topic of an
// unknown partition.
func hostOf(topic string) string {
	m := topicARN.FindStringSubmatch(topic)
	if m == nil || dnsSuffixes[m[1]] == "" {
		return ""
	}
	return "sns." + m[2] + "." + dnsSuffixes[m[1]]
}

// pinned checks that a URL is https at the host of SNS and nothing more than
// that: no port, no user, no fragment. Lookalikes differ in one of these.
func pinned(raw, host string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Host != host || u.User != nil || u.Opaque != "" || strings.Contains(raw, "#") {
		return nil, forgery("a URL does not lead to SNS in the topic's region")
	}
	return u, nil
}

// certificateURL checks the address of the certificate.
func (p *post) certificateURL(host string) (string, error) {
	u, err := pinned(p.SigningCertURL, host)
	if err != nil {
		return "", err
	}
	if !certificatePath.MatchString(u.Path) || u.RawPath != "" || strings.Contains(p.SigningCertURL, "?") {
		return "", forgery("the certificate's URL is not one of SNS")
	}
	return u.String(), nil
}

// confirmURL checks the address that confirms a subscription.
func (p *post) confirmURL(host string) (string, error) {
	u, err := pinned(p.SubscribeURL, host)
	if err != nil {
		return "", err
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Path != "/" && u.Path != "" || len(q["Action"]) != 1 || len(q["TopicArn"]) != 1 ||
		q.Get("Action") != "ConfirmSubscription" || q.Get("TopicArn") != p.TopicARN {
		return "", forgery("the subscription's URL does not confirm this topic")
	}
	return u.String(), nil
}
