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
	{"Permanent", "General", seserrors.RecipientUnknown, true},
	{"Permanent", "NoEmail", seserrors.RecipientUnknown, true},
	{"Permanent", "Suppressed", seserrors.RecipientSuppressed, false},
	{"Permanent", "OnAccountSuppressionList", seserrors.RecipientSuppressed, false},
	{"Permanent", "OnTenantSuppressionList", seserrors.RecipientSuppressed, false},
	{"Permanent", "UnsubscribedRecipient", seserrors.RecipientUnsubscribed, false},
	{"Permanent", "EmailValidationSuppressed", seserrors.ValidationSuppressed, false},
	{"Permanent", "", undetermined, true},
	{"Transient", "MailboxFull", seserrors.MailboxFull, false},
	{"Transient", "MessageTooLarge", seserrors.MessageTooLong, false},
	{"Transient", "ContentRejected", seserrors.ContentRefused, true},
	{"Transient", "AttachmentRejected", seserrors.ContentRefused, false},
	{"Transient", "CustomTimeoutExceeded", seserrors.DeliveryTimeExceeded, false},
	{"Transient", "", undetermined, true},
	{"", "", undetermined, true},
}

// delayReasons follow the SES Developer Guide, "DeliveryDelay object".
var delayReasons = map[string]seserrors.Reason{
	"InternalFailure":                seserrors.ReceiverUnavailable, // SES's own trouble, which passes likewise
	"General":                        seserrors.ReceiverUnavailable,
	"MailboxFull":                    seserrors.MailboxFull,
	"SpamDetected":                   seserrors.ReceiverBusy,
	"RecipientServerError":           seserrors.ReceiverUnavailable,
	"IPFailure":                      seserrors.SendingIPBlocked,
	"TransientCommunicationFailure":  seserrors.ReceiverUnavailable,
	"BYOIPHostNameLookupUnavailable": seserrors.SendingIPBlocked,
	"SendingDeferral":                seserrors.ReceiverBusy,
}
