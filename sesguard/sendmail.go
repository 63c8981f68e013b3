package sesguard

import (
	"context"
	"net/smtp"
	"time"

	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// SendMail is [net/smtp.SendMail] with the guard around it: same signature,
// same meaning of the arguments, one changed import. It tries again for up to
// one minute on trouble that time cures, at most once, and what happens after
// SES has accepted the mail is no error.
//
// Each attempt opens its own connection ([smtpclient.SendMail]): for more than
// a mail now and then use [New] with [SMTP]. Domains in from and to may be
// Unicode. Errors are those of [Client.Send].
func SendMail(addr string, a smtp.Auth, from string, to []string, msg []byte) error {
	sender, recipients, err := envelope(from, to)
	if err != nil {
		return err
	}
	g := NewGuard(Options{Retry: retry.Policy{MaxElapsed: time.Minute}})
	_, err = g.Do(context.Background(), Info{From: sender, Recipients: len(recipients)}, func(context.Context) (*Receipt, error) {
		return nil, smtpclient.SendMail(addr, a, sender, recipients, msg)
	})
	return err
}

// envelope returns the wire form of the envelope that SendMail is given, each
// recipient once.
func envelope(from string, to []string) (string, []string, error) {
	var v validator
	var b Mail
	sender := v.mailbox("from", from)
	v.recipients(&b, v.mailboxes(nil, "to", to), nil, nil)
	return sender.addr, b.recipients, v.err()
}
