// Package unittest shows how to test code of your own that sends mail: order.go
// is that code, order_test.go its test against sestest.
package unittest

import (
	"context"

	"github.com/sesguard/sesguard-go/sesguard"
)

// SendOrder is code under test. It takes a Sender, so that a test chooses what
// is behind it.
func SendOrder(ctx context.Context, sender sesguard.Sender, to string) error {
	_, err := sender.Send(ctx, &sesguard.Message{
		From:    "Shop <shop@example.com>",
		To:      []string{to},
		Subject: "Your order",
		Text:    "It is on its way.",
	})
	return err
}
