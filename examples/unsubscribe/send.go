package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sesguard/sesguard-go/sesguard"
)

// errLeft says that the recipient has left the list, and that nothing was sent.
var errLeft = errors.New("the recipient has left the list")

// newsletter sends a mail of a list to one recipient, with the headers by which
// they leave it.
func (d *desk) newsletter(ctx context.Context, sender sesguard.Sender, s subscription, m sesguard.Message) (*sesguard.Receipt, error) {
	left, err := d.store.left(ctx, s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask whether the recipient has left: %w", err)
	case left:
		return nil, errLeft
	}
	headers, err := d.headers(s)
	if err != nil {
		return nil, err
	}
	m.To, m.Headers = []string{s.address}, append(headers, m.Headers...)
	return sender.Send(ctx, &m)
}
