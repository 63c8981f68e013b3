package main

import (
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A step is one mail of the batch and what the fake SES does to it.
type step struct {
	name     string
	mail     *sesguard.Message
	trouble  []sestest.Fault
	onlySMTP bool // trouble that only a kept connection knows
}

var batch = []step{
	{name: "plain text", mail: letter("Ann <ann@example.org>")},
	{name: "Unicode name and domain", mail: letter("Jürgen Groß <post@bücher.example>")},
	{name: "with an attachment", mail: withAttachment(letter("ann@example.org"))},
	{name: "over the send rate, once", mail: letter("ann@example.org"), trouble: []sestest.Fault{sestest.Refuse(seserrors.SendRateExceeded)}},
	{name: "idle connection was cut", mail: letter("ann@example.org"), trouble: []sestest.Fault{sestest.Refuse(seserrors.IdleTimeout)}, onlySMTP: true},
	{name: "session limit reached", mail: letter("ann@example.org"), trouble: []sestest.Fault{sestest.Refuse(seserrors.SessionMessageLimit)}, onlySMTP: true},
	{name: "address with a typing error", mail: letter("ann@@example.org")},
	{name: "sender not verified", mail: from("boss@unverified.example", letter("ann@example.org"))},
	{name: "accepted, but no reply", mail: letter("ann@example.org"), trouble: []sestest.Fault{sestest.AcceptThenCut()}},
}

func letter(to string) *sesguard.Message {
	return &sesguard.Message{
		From:    "Shop <shop@example.com>",
		To:      []string{to},
		Subject: "Your order is on its way",
		Text:    "Hello,\n\nit left our house today.\n",
		HTML:    "<p>Hello,</p><p>it left our house today.</p>",
	}
}

func from(sender string, m *sesguard.Message) *sesguard.Message {
	m.From = sender
	return m
}

func withAttachment(m *sesguard.Message) *sesguard.Message {
	m.Attachments = []sesguard.Attachment{{Name: "Rechnung März.csv", ContentType: "text/csv", Content: []byte("item,price\nbook,12.00\n")}}
	return m
}
