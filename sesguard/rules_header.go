package sesguard

import "strings"

// once holds the header fields that may stand in a message only once: those
// of AWS's page "Amazon SES header fields", and those of RFC 5322 §3.6.
var once = set(`accept-language acceptlanguage archived-at auto-submitted bcc bounces-to cc comments
	content-alternative content-base content-class content-description content-disposition
	content-duration content-features content-id content-language content-length content-location
	content-md5 content-transfer-encoding content-type date delivered-to
	disposition-notification-options disposition-notification-to dkim-signature
	domainkey-signature errors-to from importance in-reply-to keywords list-archive list-help
	list-id list-owner list-post list-subscribe list-unsubscribe list-unsubscribe-post
	message-context message-id mime-version organization original-from original-message-id
	original-recipient original-subject precedence priority references reply-to return-path
	return-receipt-to sender sensitivity solicitation subject thread-index thread-topic to user-agent vbr-info`)

// ours holds the header fields that a Message sets itself.
var ours = map[string]string{
	"from": "set From", "to": "set To", "cc": "set Cc", "reply-to": "set ReplyTo",
	"bcc":     "set Bcc, which never reaches a header",
	"subject": "set Subject", "date": "set Date", "return-path": "set ReturnPath",
	"mime-version": "it is set always",
}

// sesHeaders holds the header fields that SES reads, and the field of Message
// that sets each.
var sesHeaders = map[string]string{
	"x-ses-configuration-set":       "ConfigurationSet",
	tagsHeader:                      "Tags",
	"x-ses-source-arn":              "FromARN",
	"x-ses-from-arn":                "FromARN",
	"x-ses-return-path-arn":         "ReturnPathARN",
	"x-ses-list-management-options": "List",
	"x-ses-tenant":                  "Tenant",
}

const tagsHeader = "x-ses-message-tags"

// A syntax is what a header field may hold. All but unstructured text have
// places where an encoded-word may not stand (RFC 2047 §5).
type syntax int

const (
	unstructured syntax = iota // RFC 5322 §3.2.5
	forMachines                // ASCII
	oneMailbox                 // RFC 5322 §3.4
	mailboxes                  // a list of them
	oneMsgID                   // RFC 5322 §3.6.4
	msgIDs                     // one or more
	uris                       // <URI>, <URI> (RFC 2369 §2, RFC 5064 §2)
	listID                     // phrase <id> (RFC 2919 §3)
	phrases                    // RFC 5322 §3.6.5
)

var syntaxes = func() map[string]syntax {
	m := make(map[string]syntax)
	for s, names := range map[syntax]string{
		forMachines: `accept-language acceptlanguage auto-submitted disposition-notification-options dkim-signature
			domainkey-signature importance list-unsubscribe-post message-context original-recipient
			precedence priority sensitivity solicitation thread-index vbr-info`,
		oneMailbox: `sender bounces-to errors-to return-receipt-to`,
		mailboxes:  `disposition-notification-to mail-followup-to mail-reply-to original-from`,
		oneMsgID:   `message-id original-message-id`,
		msgIDs:     `in-reply-to references`,
		uris:       `archived-at list-archive list-help list-owner list-post list-subscribe list-unsubscribe`,
		listID:     `list-id`,
		phrases:    `keywords`,
	} {
		for name := range strings.FieldsSeq(names) {
			m[name] = s
		}
	}
	return m
}()

// set returns the names, numbered from 1.
func set(names string) map[string]int {
	m := make(map[string]int)
	for i, s := range strings.Fields(names) {
		m[s] = i + 1
	}
	return m
}
