package sesguard_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

func ExampleParseAddress() {
	a, err := sesguard.ParseAddress("Jürgen Groß <j.gross@bücher.example>")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Name)
	fmt.Println(a.Addr())
	fmt.Println(a)
	// Output:
	// Jürgen Groß
	// j.gross@xn--bcher-kva.example
	// =?utf-8?b?SsO8cmdlbiBHcm/Dnw==?= <j.gross@xn--bcher-kva.example>
}

func ExampleAddressError() {
	_, err := sesguard.ParseAddress("jürgen@example.com")
	if bad, ok := errors.AsType[*sesguard.AddressError](err); ok {
		fmt.Printf("octet %d: %s\n", bad.Offset, bad.Reason)
	}
	fmt.Println(errors.Is(err, seserrors.NonASCIIAddress))
	// Output:
	// octet 1: the part before the @ is not ASCII, which SES does not take
	// true
}

func ExampleNewAddress() {
	a, err := sesguard.NewAddress("Public, Jo", "jo@example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	m := sesguard.Message{To: []string{a.String()}}
	fmt.Println(m.To[0])
	// Output:
	// "Public, Jo" <jo@example.com>
}

// A mail that was built can be kept, and sent by another process.
func ExampleBuild() {
	mail, err := sesguard.Build(&sesguard.Message{
		From: "Example Shop <shop@example.com>",
		To:   []string{"jo@example.org", "Jo <jo@EXAMPLE.org>"},
		Text: "Your order is on its way.\n",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	stored, err := mail.MarshalBinary()
	if err != nil {
		fmt.Println(err)
		return
	}
	loaded, err := sesguard.LoadMail(stored)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loaded.Author(), loaded.Recipients())
	fmt.Println(loaded.TrackID() == mail.TrackID(), loaded.Size() == mail.Size())
	// Output:
	// shop@example.com [jo@example.org]
	// true true
}

func ExampleUnsubscribe() {
	headers, err := sesguard.Unsubscribe("https://example.com/u?token=8f3a", "unsubscribe@example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, h := range headers {
		fmt.Printf("%s: %s\n", h.Name, h.Value)
	}
	// Output:
	// List-Unsubscribe: <https://example.com/u?token=8f3a>, <mailto:unsubscribe@example.com>
	// List-Unsubscribe-Post: List-Unsubscribe=One-Click
}

// An invitation that calendars understand, with the file for those that do not.
func ExampleAlternative() {
	ics := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
	m := &sesguard.Message{
		From:         "jo@example.com",
		To:           []string{"ann@example.org"},
		Subject:      "Lunch",
		Text:         "Lunch on Friday?",
		Alternatives: []sesguard.Alternative{{ContentType: "text/calendar; method=REQUEST", Content: ics}},
		Attachments:  []sesguard.Attachment{{Name: "invite.ics", Content: []byte(ics)}},
	}
	mail, err := sesguard.Build(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mail.Size() > 0)
	// Output: true
}

func ExampleReceipt_HeaderID() {
	first := &sesguard.Receipt{MessageID: "0107017033dbb64d-be13a01e", Region: "eu-west-1"}
	second := sesguard.Message{Headers: []sesguard.Header{
		{Name: "In-Reply-To", Value: first.HeaderID()},
		{Name: "References", Value: first.HeaderID()},
	}}
	fmt.Println(second.Headers[0].Value)
	// Output:
	// <0107017033dbb64d-be13a01e@eu-west-1.amazonses.com>
}

func ExampleMessage_WriteTo() {
	m := &sesguard.Message{
		From:    "Example Shop <shop@example.com>",
		To:      []string{"jo@example.org"},
		Bcc:     []string{"archive@example.com"},
		Subject: "Your order",
		Text:    "It is on its way.\n",
		Date:    time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		Headers: []sesguard.Header{{Name: "X-Order", Value: "12345"}},
	}
	var b strings.Builder
	if _, err := m.WriteTo(&b); err != nil {
		fmt.Println(err)
	}
	fmt.Print(strings.ReplaceAll(b.String(), "\r\n", "\n"))
	// Output:
	// From: Example Shop <shop@example.com>
	// To: jo@example.org
	// Subject: Your order
	// Date: Fri, 02 Jan 2026 15:04:05 +0000
	// MIME-Version: 1.0
	// X-Order: 12345
	// Content-Type: text/plain; charset=utf-8
	// Content-Transfer-Encoding: 7bit
	//
	// It is on its way.
}

func ExampleValidationError() {
	m := &sesguard.Message{
		From:    "shop@example.com",
		To:      []string{"jo@example.org", "jürgen@example.org"},
		Subject: "Your order\r\nBcc: everybody@example.net",
		Tags:    []sesguard.Tag{{Name: "campaign", Value: "50 % off"}},
	}
	_, err := m.WriteTo(io.Discard) // as Send does, before it sends anything

	if invalid, ok := errors.AsType[*sesguard.ValidationError](err); ok {
		for _, p := range invalid.Problems {
			fmt.Printf("%s (%s): %q\n", p.Field, p.Reason, p.Value)
		}
	}
	// Output:
	// To[1] (non-ascii-address): "jürgen@example.org"
	// Tags[0].Value (invalid-tag): "50 % off"
	// Subject (illegal-header): "Your order��Bcc: everybody@example.net"
}
