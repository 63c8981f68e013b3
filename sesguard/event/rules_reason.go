package event

import (
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// The reasons that only a receiver, or SES after it accepted a mail, can give.
const (
	recipientUnknown      seserrors.Reason = "recipient-unknown"      // no such mailbox or domain
	mailboxDisabled       seserrors.Reason = "mailbox-disabled"       // the mailbox is closed, locked or abandoned
	mailboxFull           seserrors.Reason = "mailbox-full"           // the mailbox has no room
	recipientUnsubscribed seserrors.Reason = "recipient-unsubscribed" // the recipient left the contact list
	recipientComplained   seserrors.Reason = "recipient-complained"   // the recipient called the mail spam
	validationSuppressed  seserrors.Reason = "validation-suppressed"  // below the threshold of SES's address validation
	sendingIPBlocked      seserrors.Reason = "sending-ip-blocked"     // the receiver blocks SES's IP address
	sendingDomainBlocked  seserrors.Reason = "sending-domain-blocked" // the receiver blocks the sending domain
	authenticationFailed  seserrors.Reason = "authentication-failed"  // SPF, DKIM, DMARC, or a sender that cannot be
	contentRefused        seserrors.Reason = "content-refused"        // spam, a virus, an attachment, malformed
	recipientPolicy       seserrors.Reason = "recipient-policy"       // a rule of the receiver, not explained
	receiverBusy          seserrors.Reason = "receiver-busy"          // too much mail for now
	receiverUnavailable   seserrors.Reason = "receiver-unavailable"   // the receiver has trouble or is not reached
	deliveryTimeExceeded  seserrors.Reason = "delivery-time-exceeded" // MaxDeliverySeconds of the configuration set ran out
	undetermined                           = seserrors.Unrecognized   // the words are not understood
)

// meaning is what follows from a reason.
type meaning struct {
	class seserrors.Class
	scope seserrors.Scope
	do    Do
	after time.Duration
}

const day = 24 * time.Hour

// meanings gives each reason its class, its scope and what to do. The waits
// are choices, not documented ones: SES has tried for up to 14 hours before it
// reports a temporary failure, so hours are the least that can help. A full
// mailbox that was tried again after seven days was emptied or abandoned.
var meanings = map[seserrors.Reason]meaning{
	recipientUnknown:              {seserrors.Rejected, seserrors.ScopeRecipient, Suppress, 0},
	mailboxDisabled:               {seserrors.Rejected, seserrors.ScopeRecipient, Suppress, 0},
	mailboxFull:                   {seserrors.Rejected, seserrors.ScopeRecipient, Later, 7 * day},
	recipientUnsubscribed:         {seserrors.Rejected, seserrors.ScopeRecipient, Suppress, 0},
	recipientComplained:           {seserrors.Rejected, seserrors.ScopeRecipient, Suppress, 0},
	validationSuppressed:          {seserrors.Rejected, seserrors.ScopeRecipient, Suppress, 0},
	seserrors.RecipientSuppressed: {seserrors.Rejected, seserrors.ScopeRecipient, Suppress, 0},
	recipientPolicy:               {seserrors.Rejected, seserrors.ScopeRecipient, Nothing, 0},
	deliveryTimeExceeded:          {seserrors.Rejected, seserrors.ScopeMessage, Nothing, 0},
	contentRefused:                {seserrors.Rejected, seserrors.ScopeMessage, Correct, 0},
	seserrors.MessageTooLong:      {seserrors.Rejected, seserrors.ScopeMessage, Correct, 0},
	seserrors.TemplateInvalid:     {seserrors.Rejected, seserrors.ScopeMessage, Correct, 0},
	authenticationFailed:          {seserrors.Denied, seserrors.ScopeSender, Correct, 0},
	sendingDomainBlocked:          {seserrors.Denied, seserrors.ScopeSender, Alert, 0},
	sendingIPBlocked:              {seserrors.Denied, seserrors.ScopeSender, Later, 4 * time.Hour},
	receiverBusy:                  {seserrors.Unavailable, seserrors.ScopeRecipient, Later, 4 * time.Hour},
	receiverUnavailable:           {seserrors.Unavailable, seserrors.ScopeRecipient, Later, day},
	undetermined:                  {seserrors.Rejected, seserrors.ScopeUnknown, Nothing, 0},
}
