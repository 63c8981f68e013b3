package event_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// mailPart is the mail object of event publishing.
const mailPart = `"mail":{"timestamp":"2026-05-04T10:11:12.345Z","source":"Shop <shop@mail.example.com>",
"sourceArn":"arn:aws:ses:eu-west-1:111122223333:identity/mail.example.com","sendingAccountId":"111122223333",
"messageId":"0102019a-1111-2222-000000","destination":["ann@example.net","bob@example.org"],"headersTruncated":false,
"headers":[{"name":"From","value":"Shop <shop@mail.example.com>"},{"name":"Subject","value":"Hello"}],
"commonHeaders":{"from":["Shop <shop@mail.example.com>"],"to":["ann@example.net"],"cc":["bob@example.org"],"replyTo":["help@example.com"],"date":"Mon, 4 May 2026 10:11:12 +0000","messageId":"0102019a-1111-2222-000000","subject":"Hello"},
"tags":{"ses:configuration-set":["news"],"ses:from-domain":["mail.example.com"],"sesguard-id":["abcdefghijklmnopqrstuvwxyz"]}}`

// samples are one event of each kind in event publishing, made after SES's
// documentation.
var samples = map[string]string{
	"send":   `{"eventType":"Send",` + mailPart + `,"send":{}}`,
	"reject": `{"eventType":"Reject",` + mailPart + `,"reject":{"reason":"Bad content"}}`,
	"bounce": `{"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"General",
		"bouncedRecipients":[{"emailAddress":"ann@example.net","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}],
		"timestamp":"2026-05-04T10:11:13.000Z","feedbackId":"0102019a-feed-back-000000","reportingMTA":"dsn; a8-70.smtp-out.amazonses.com","remoteMtaIp":"192.0.2.7"},` + mailPart + `}`,
	"complaint": `{"eventType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"bob@example.org"}],"timestamp":"2026-05-05T10:11:13.000Z",
		"feedbackId":"0102019a-feed-back-000001","complaintSubType":null,"userAgent":"Feedback/1","complaintFeedbackType":"abuse","arrivalDate":"2026-05-04T05:11:14.000-05:00"},` + mailPart + `}`,
	"delivery": `{"eventType":"Delivery",` + mailPart + `,"delivery":{"timestamp":"2026-05-04T10:11:14.000Z","processingTimeMillis":1655,
		"recipients":["ann@example.net","bob@example.org"],"smtpResponse":"250 2.6.0 Message received","reportingMTA":"mta.example.com","remoteMtaIp":"192.0.2.8"}}`,
	"open": `{"eventType":"Open",` + mailPart + `,"open":{"ipAddress":"192.0.2.9","timestamp":"2026-05-04T11:00:00.000Z","userAgent":"Reader/1","isBotEvent":"Likely"}}`,
	"click": `{"eventType":"Click",` + mailPart + `,"click":{"ipAddress":"192.0.2.9","link":"https://example.com/x","linkTags":{"place":["top","left"]},
		"timestamp":"2026-05-04T11:01:00.000Z","userAgent":"Reader/1","isBotEvent":"Unlikely"}}`,
	"rendering failure": `{"eventType":"Rendering Failure","mail":{"timestamp":"2026-05-04T10:11:12.345Z","messageId":"0102019a-1111-2222-000000","destination":["ann@example.net"],"headersTruncated":"false","tags":{"ses:configuration-set":["news"]}},
		"failure":{"errorMessage":"Attribute 'name' is not present in the rendering data.","templateName":"welcome"}}`,
	"delay": `{"eventType":"DeliveryDelay",` + mailPart + `,"deliveryDelay":{"timestamp":"2026-05-04T10:21:14.095Z","delayType":"TransientCommunicationFailure",
		"expirationTime":"2026-05-05T00:11:12.000Z","delayedRecipients":[{"emailAddress":"ann@example.net","status":"4.4.1","diagnosticCode":"smtp; 421 4.4.1 Unable to connect to remote host"}],"reportingMTA":"192.0.2.44"}}`,
	"subscription": `{"eventType":"Subscription",` + mailPart + `,"subscription":{"contactList":"readers","timestamp":"2026-05-04T12:00:00.000Z","source":"UnsubscribeHeader",
		"newTopicPreferences":{"unsubscribeAll":true,"topicSubscriptionStatus":[{"topicName":"news","subscriptionStatus":"OptOut"}],"topicDefaultSubscriptionStatus":[{"topicName":"tips","subscriptionStatus":"OptIn"}]},
		"oldTopicPreferences":{"unsubscribeAll":false,"topicSubscriptionStatus":[{"topicName":"news","subscriptionStatus":"OptIn"}]}}}`,
	"unknown kind": `{"eventType":"Teleported",` + mailPart + `,"teleported":{"to":"Mars"}}`,
}

// notifications are the same for an identity: another discriminator, no tags,
// another layout of the mail's time.
var notifications = map[string]string{
	"bounce":    notificationOf(samples["bounce"]),
	"complaint": notificationOf(samples["complaint"]),
	"delivery":  notificationOf(samples["delivery"]),
}

func notificationOf(sample string) string {
	s := strings.Replace(sample, `"eventType"`, `"notificationType"`, 1)
	s = strings.Replace(s, `"2026-05-04T10:11:12.345Z"`, `"2026-05-04T10:11:12 +0000"`, 1)
	at := strings.Index(s, `"tags":`)
	end := at + strings.Index(s[at:], "}}")
	return s[:at] + `"sourceIp":"192.0.2.1","callerIdentity":"mailer"` + s[end+1:]
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// envelope is what SNS puts around a message.
func envelope(message string) string {
	return `{"Type":"Notification","MessageId":"22b80b92","TopicArn":"arn:aws:sns:eu-west-1:111122223333:ses","Subject":"Amazon SES Email Event Notification","Message":` + quote(message) +
		`,"Timestamp":"2026-05-04T10:11:15.000Z","SignatureVersion":"1","Signature":"x","SigningCertURL":"https://sns.eu-west-1.amazonaws.com/x.pem","UnsubscribeURL":"https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe"}`
}

// carriers put an event, which is given as JSON, into what carries it.
var carriers = map[string]func(string) string{
	"bare": func(s string) string { return s },
	"SNS":  envelope,
	"SQS raw": func(s string) string {
		return `{"Messages":[{"MessageId":"1","ReceiptHandle":"h","Body":` + quote(s) + `}]}`
	},
	"SQS": func(s string) string { return `{"Messages":[{"MessageId":"1","Body":` + quote(envelope(s)) + `}]}` },
	"SNS to Lambda": func(s string) string {
		e := strings.NewReplacer("SigningCertURL", "SigningCertUrl", "UnsubscribeURL", "UnsubscribeUrl").Replace(envelope(s))
		return `{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":"a","Sns":` + e + `}]}`
	},
	"SQS to Lambda": func(s string) string {
		return `{"Records":[{"messageId":"1","eventSource":"aws:sqs","body":` + quote(envelope(s)) + `}]}`
	},
	"raw SQS to Lambda": func(s string) string {
		return `{"Records":[{"messageId":"1","eventSource":"aws:sqs","body":` + quote(s) + `}]}`
	},
	"EventBridge": bridge,
	"EventBridge over SQS to Lambda": func(s string) string {
		return `{"Records":[{"messageId":"1","eventSource":"aws:sqs","body":` + quote(bridge(s)) + `}]}`
	},
	"Kinesis to Lambda": func(s string) string {
		return `{"Records":[{"kinesis":{"data":"` + base64.StdEncoding.EncodeToString([]byte(s)) + `"},"eventSource":"aws:kinesis"}]}`
	},
	"Firehose transformation": func(s string) string {
		return `{"invocationId":"i","records":[{"recordId":"1","data":"` + base64.StdEncoding.EncodeToString([]byte(s+"\n")) + `"}]}`
	},
	"array": func(s string) string { return "[" + s + "]" },
}

func bridge(s string) string {
	return `{"version":"0","id":"x","detail-type":"Email Bounced","source":"aws.ses","account":"111122223333","time":"2026-05-04T10:11:15Z","region":"eu-west-1","resources":["arn:aws:ses:eu-west-1:111122223333:configuration-set/news"],"detail":` + s + `}`
}

// bounceOf returns a bounce with one recipient.
func bounceOf(kind, sub, address, diagnostic string) string {
	dsn := ""
	if diagnostic != "" {
		dsn = `,"action":"failed","status":"","diagnosticCode":` + quote(diagnostic)
	}
	return fmt.Sprintf(`{"eventType":"Bounce","bounce":{"bounceType":%q,"bounceSubType":%q,"bouncedRecipients":[{"emailAddress":%q%s}],"timestamp":"2026-05-04T10:11:13.000Z","feedbackId":"f-%s-%s"},"mail":{"messageId":"m1","source":"a@example.com","destination":[%q]}}`,
		kind, sub, address, dsn, address, sub, address)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
