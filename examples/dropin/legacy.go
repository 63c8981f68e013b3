package main

import (
	"net/smtp"

	"github.com/sesguard/sesguard-go/sesguard"
)

// sendOldWay is code that used net/smtp. Before:
//
//	return smtp.SendMail(addr, auth, from, to, message)
//
// For SES auth is smtp.PlainAuth with the SMTP credentials, as ever; the relay
// on loopback that this example talks to needs none.
func sendOldWay(addr string) error {
	var auth smtp.Auth
	from, to := "shop@example.com", []string{"dora@example.org"}
	message := []byte("From: shop@example.com\r\nTo: dora@example.org\r\nSubject: Your order\r\n\r\nIt is on its way.\r\n")

	return sesguard.SendMail(addr, auth, from, to, message) // <- changed
}
