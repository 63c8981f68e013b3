package sestest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"time"
)

// object is a JSON object.
type object = map[string]any

// Where the fake's mail comes from and goes to: addresses for documentation
// (RFC 5737).
const (
	outgoingIP   = "198.51.100.9"
	receiverIP   = "192.0.2.25"
	reportingMTA = "a8-70.smtp-out.amazonses.com"
)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// event is the JSON of an event in the shape of the target: of event
// publishing, or of an identity's notifications.
func (t target) event(kind string, m Mail, details any) []byte {
	o := object{kinds[kind].member: details}
	if t.notification {
		o["notificationType"], o["mail"] = kind, m.asNotified(t.headers)
	} else {
		o["eventType"], o["mail"] = kind, m.asPublished(kind)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil {
		panic("sestest: marshal an event: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}

func (m Mail) asMail() object {
	return object{
		"timestamp": stamp(m.Time), "messageId": m.ID, "source": cmp.Or(m.source, m.From), "destination": m.To,
		"sourceArn": cmp.Or(m.FromARN, identityARN(m.region, m.identity)), "sendingAccountId": accountID,
	}
}

func (m Mail) asPublished(kind string) object {
	o := m.asMail()
	tags := map[string][]string{
		"ses:configuration-set": {m.ConfigurationSet}, "ses:caller-identity": {callerIdentity}, "ses:operation": {m.operation},
		"ses:source-ip": {m.sourceIP}, "ses:source-tls-version": {m.tlsVersion}, "ses:tenant-name": {m.Tenant},
		"ses:from-domain": {strings.ToLower(m.author[strings.LastIndexByte(m.author, '@')+1:])},
	}
	if kind == "Delivery" {
		tags["ses:outgoing-ip"], tags["ses:outgoing-tls-version"] = []string{outgoingIP}, []string{"TLSv1.3"}
	}
	for name, value := range m.Tags {
		tags[name] = []string{value}
	}
	for name, value := range tags {
		if value[0] == "" {
			delete(tags, name)
		}
	}
	o["tags"] = tags
	if kind == "Rendering Failure" { // it has no header
		o["headersTruncated"] = false
		return o
	}
	return m.addHeaders(o, m.ID)
}

func (m Mail) asNotified(headers bool) object {
	o := m.asMail()
	o["sourceIp"], o["callerIdentity"] = m.sourceIP, callerIdentity
	if !headers {
		return o
	}
	h, _, _ := parseHeader(m.Data)
	return m.addHeaders(o, h.get("Message-ID"))
}

const callerIdentity = "sestest"

// maxHeaders is where SES cuts the header ("Event data published to Amazon
// SNS", Amazon SES Developer Guide).
const maxHeaders = 10 << 10

// addHeaders adds the header as the client wrote it.
func (m Mail) addHeaders(o object, messageID string) object {
	o["headersTruncated"] = false
	h, _, _ := parseHeader(m.Data)
	fields, size := []object{}, 0
	for _, f := range h {
		if size += len(f.name) + len(f.value); size > maxHeaders {
			o["headersTruncated"] = true
			break
		}
		fields = append(fields, object{"name": f.name, "value": f.value})
	}
	common := object{"messageId": messageID}
	for member, name := range map[string]string{"subject": "Subject", "date": "Date"} {
		if v := h.get(name); v != "" {
			common[member] = decodeWords(v)
		}
	}
	for member, name := range map[string]string{"from": "From", "to": "To", "cc": "Cc", "bcc": "Bcc", "replyTo": "Reply-To"} {
		if list, _ := h.mailboxes(name); len(list) > 0 {
			texts := make([]string, len(list))
			for i, mb := range list {
				texts[i] = decodeWords(mb.text)
			}
			common[member] = texts
		}
	}
	o["headers"], o["commonHeaders"] = fields, common
	return o
}
