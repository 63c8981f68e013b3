package event

import (
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// undetermined is the reason of words that are not understood.
const undetermined = seserrors.Unrecognized

// meaning is what to do about a reason. What else follows from it, package
// errors knows.
type meaning struct {
	do    Do
	after time.Duration
}

const day = 24 * time.Hour

// meanings gives each reason of events what to do. The waits are choices, not
// documented ones: SES has tried for up to 14 hours before it reports a
// temporary failure, so hours are the least that can help. A full mailbox that
// was tried again after seven days was emptied or abandoned.
var meanings = map[seserrors.Reason]meaning{
	seserrors.RecipientUnknown:      {Suppress, 0},
	seserrors.MailboxDisabled:       {Suppress, 0},
	seserrors.MailboxFull:           {Later, 7 * day},
	seserrors.RecipientUnsubscribed: {Suppress, 0},
	seserrors.RecipientComplained:   {Suppress, 0},
	seserrors.ValidationSuppressed:  {Suppress, 0},
	seserrors.RecipientSuppressed:   {Suppress, 0},
	seserrors.RecipientPolicy:       {Nothing, 0},
	seserrors.DeliveryTimeExceeded:  {Nothing, 0},
	seserrors.ContentRefused:        {Correct, 0},
	seserrors.MessageTooLong:        {Correct, 0},
	seserrors.TemplateInvalid:       {Correct, 0},
	seserrors.AuthenticationFailed:  {Correct, 0},
	seserrors.SendingDomainBlocked:  {Alert, 0},
	seserrors.SendingIPBlocked:      {Later, 4 * time.Hour},
	seserrors.ReceiverBusy:          {Later, 4 * time.Hour},
	seserrors.ReceiverUnavailable:   {Later, day},
	undetermined:                    {Nothing, 0},
}
