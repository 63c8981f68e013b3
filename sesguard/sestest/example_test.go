package sestest_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/smtp"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// Code that sends through a local relay needs nothing but the address.
func Example() {
	s := sestest.NewServer()
	defer s.Close()

	msg := "From: shop@example.com\r\nTo: ann@example.org\r\nSubject: Your order\r\n\r\nIt is on its way.\r\n"
	err := smtp.SendMail(s.PlainAddr, nil, "shop@example.com", []string{"ann@example.org"}, []byte(msg))
	fmt.Println("sent:", err)

	for _, m := range s.Accepted() {
		fmt.Println(m.Transport, m.From, m.To, string(m.Data) == msg)
	}
	// Output:
	// sent: <nil>
	// smtp shop@example.com [ann@example.org] true
}

// Faults strike in the order in which they were scripted.
func ExampleServer_Script() {
	s := sestest.NewServer()
	defer s.Close()
	s.Script(sestest.Refuse(seserrors.SendRateExceeded), sestest.Pass(), sestest.AcceptThenCut())

	msg := []byte("From: shop@example.com\r\nTo: ann@example.org\r\n\r\nHello.\r\n")
	for range 3 {
		fmt.Println(smtp.SendMail(s.PlainAddr, nil, "shop@example.com", []string{"ann@example.org"}, msg))
	}
	fmt.Println(s.AcceptedCount(), "accepted,", s.FaultsLeft(), "faults left")
	// Output:
	// 454 "Throttling failure: Maximum sending rate exceeded."
	// <nil>
	// EOF
	// 2 accepted, 0 faults left
}

// A mail is read as its recipient reads it.
func ExampleMail() {
	s := sestest.NewServer()
	defer s.Close()

	msg := "From: shop@example.com\r\nTo: ann@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nRGVhciBBbm4u\r\n"
	if err := smtp.SendMail(s.PlainAddr, nil, "shop@example.com", []string{"ann@example.org"}, []byte(msg)); err != nil {
		fmt.Println(err)
	}
	m := s.Accepted()[0]
	fmt.Println(m.Subject(), m.Text(), m.Header("Message-ID") == m.HeaderID())
	// Output: Grüße Dear Ann. true
}

// Another process finds the server on a fixed port and trusts its certificate.
func ExampleNewUnstartedServer() {
	s := sestest.NewUnstartedServer()
	s.Region = "eu-west-1"
	s.SMTPAddr = "127.0.0.1:0" // or a port of your choice
	if err := s.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	block, _ := pem.Decode(s.CertPEM())
	fmt.Println(s.Region, block.Type)
	// Output: eu-west-1 CERTIFICATE
}

// SES tells what became of a mail to those who ask for it.
func ExampleEvents() {
	s := sestest.NewServer()
	defer s.Close()
	s.Account.SetConfigurationSet("all", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
	s.Account.SetIdentity("example.com", sestest.Identity{ConfigurationSet: "all"})
	s.Events.Subscribe(sestest.Subscription{Raw: true, Func: func(event []byte) {
		var e struct {
			EventType string
			Mail      struct{ Destination []string }
		}
		fmt.Println(json.Unmarshal(event, &e), e.EventType, e.Mail.Destination)
	}})

	msg := []byte("From: shop@example.com\r\nTo: ann@example.org\r\n\r\nHello.\r\n")
	if err := smtp.SendMail(s.PlainAddr, nil, "shop@example.com", []string{"ann@example.org"}, msg); err != nil {
		fmt.Println(err)
	}
	s.Events.Bounce(s.Accepted()[0], "Transient/MailboxFull", "smtp; 452 4.2.2 mailbox full")
	s.Events.Wait()
	// Output:
	// <nil> Send [ann@example.org]
	// <nil> Bounce [ann@example.org]
}

// The account decides as SES does, after the final dot.
func ExampleAccount() {
	s := sestest.NewServer()
	defer s.Close()
	s.Account.SetSandbox(true)

	msg := []byte("From: shop@example.com\r\nTo: ann@example.org\r\n\r\nHello.\r\n")
	err := smtp.SendMail(s.PlainAddr, nil, "shop@example.com", []string{"ann@example.org"}, msg)
	fmt.Println(err)

	s.Account.Verify("ann@example.org")
	err = smtp.SendMail(s.PlainAddr, nil, "shop@example.com", []string{"ann@example.org"}, msg)
	fmt.Println(err)
	// Output:
	// 554 "Message rejected: Email address is not verified. The following identities failed the check in region US-EAST-1: ann@example.org"
	// <nil>
}

// The STARTTLS endpoint wants the server's credentials and nothing less.
func ExampleServer_TLSConfig() {
	s := sestest.NewServer()
	defer s.Close()

	c, err := smtp.Dial(s.SMTPAddr)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	config := s.TLSConfig()
	config.ServerName = "localhost"
	fmt.Println("STARTTLS:", c.StartTLS(config))
	fmt.Println("AUTH:", c.Auth(smtp.PlainAuth("", s.Username, "wrong", "127.0.0.1")))
	// Output:
	// STARTTLS: <nil>
	// AUTH: 535 "Authentication Credentials Invalid"
}

// The API answers at URL.
func ExampleServer_HTTPClient() {
	s := sestest.NewServer()
	defer s.Close()

	body := strings.NewReader(`{"FromEmailAddress":"shop@example.net","Destination":{"ToAddresses":["ann@example.org"]},
		"Content":{"Simple":{"Subject":{"Data":"Hello"},"Body":{"Text":{"Data":"Hello."}}}}}`)
	resp, err := s.HTTPClient().Post(s.URL+"/v2/email/outbound-emails", "application/json", body)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.Header.Get("X-Amzn-Errortype"))
	// Output: 400 MessageRejected
}
