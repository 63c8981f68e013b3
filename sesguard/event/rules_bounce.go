package event

import seserrors "github.com/sesguard/sesguard-go/errors"

// A bounceRule says what a type and subtype of bounces mean.
type bounceRule struct {
	kind, sub string // "" fits any
	reason    seserrors.Reason
	words     bool // the receiver's words decide, the reason stands where they are missing
}

// bounceRules follow the SES Developer Guide, "Bounce types"; the first that
// fits wins. The receiver's words count where SES's subtype says little. Words
// that are not understood leave a permanent bounce undetermined.
var bounceRules = []bounceRule{
	{"Permanent", "General", recipientUnknown, true},
	{"Permanent", "NoEmail", recipientUnknown, true},
	{"Permanent", "Suppressed", seserrors.RecipientSuppressed, false},
	{"Permanent", "OnAccountSuppressionList", seserrors.RecipientSuppressed, false},
	{"Permanent", "OnTenantSuppressionList", seserrors.RecipientSuppressed, false},
	{"Permanent", "UnsubscribedRecipient", recipientUnsubscribed, false},
	{"Permanent", "EmailValidationSuppressed", validationSuppressed, false},
	{"Permanent", "", undetermined, true},
	{"Transient", "MailboxFull", mailboxFull, false},
	{"Transient", "MessageTooLarge", seserrors.MessageTooLong, false},
	{"Transient", "ContentRejected", contentRefused, true},
	{"Transient", "AttachmentRejected", contentRefused, false},
	{"Transient", "CustomTimeoutExceeded", deliveryTimeExceeded, false},
	{"Transient", "", undetermined, true},
	{"", "", undetermined, true},
}

// delayReasons follow the SES Developer Guide, "DeliveryDelay object".
var delayReasons = map[string]seserrors.Reason{
	"InternalFailure":                receiverUnavailable, // SES's own trouble, which passes likewise
	"General":                        receiverUnavailable,
	"MailboxFull":                    mailboxFull,
	"SpamDetected":                   receiverBusy,
	"RecipientServerError":           receiverUnavailable,
	"IPFailure":                      sendingIPBlocked,
	"TransientCommunicationFailure":  receiverUnavailable,
	"BYOIPHostNameLookupUnavailable": sendingIPBlocked,
	"SendingDeferral":                receiverBusy,
}
