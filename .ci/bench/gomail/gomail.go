// Package gomail holds the README's lines that send what go-mail has composed,
// so that they are compiled and run.
package gomail

import (
	"context"

	"github.com/wneessen/go-mail"

	"github.com/sesguard/sesguard-go/sesguard"
)

func send(ctx context.Context, sender sesguard.Sender, m *mail.Msg) (*sesguard.Receipt, error) {
	from, err := m.GetSender(false)
	if err != nil {
		return nil, err
	}
	return sender.Send(ctx, &sesguard.Message{
		From: m.GetFromString()[0], ReturnPath: from,
		To: m.GetToString(), Cc: m.GetCcString(), Bcc: m.GetBccString(),
		Raw: m,
	})
}
