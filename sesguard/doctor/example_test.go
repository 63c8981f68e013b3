package doctor_test

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/sesguard/sesguard-go/sesguard/doctor"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A password that is the secret of the IAM key itself is the usual mistake.
func ExampleRun() {
	const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" // the example of AWS's documentation
	ses := sestest.NewMemoryServer()
	defer ses.Close()
	ses.Password = smtpclient.DerivePassword(secret, ses.Region)

	report := doctor.Run(context.Background(), doctor.Config{
		SMTP: smtpclient.Config{
			Region:      ses.Region,
			Username:    ses.Username,
			Password:    secret,
			TLSConfig:   ses.TLSConfig(), // only for the fake
			DialContext: ses.DialContext, // only for the fake
		},
		Resolver: zone{}, // only for the fake
	})
	fmt.Println("OK:", report.OK())
	for _, f := range report.Findings {
		if f.Status == doctor.Fail {
			fmt.Println(f.Check, f.Reason)
			fmt.Println(f.Advice)
		}
	}
	// Output:
	// OK: false
	// smtp-sign-in credentials-invalid
	// The password is the secret of the IAM key itself. Use smtpclient.DerivePassword(secret, "us-east-1"): with what that returns SES signs in.
}

// Found shows each finding as it comes. Without SMTP and API only DNS is left.
func ExampleConfig() {
	doctor.Run(context.Background(), doctor.Config{
		From:     "news@example.com",
		Resolver: zone{"_dmarc.example.com": {"v=DMARC1; p=reject"}},
		Found: func(f doctor.Finding) {
			if f.Status != doctor.Skipped {
				fmt.Println(f.Status, f.Check, f.Detail)
			}
		},
	})
	// Output:
	// ok dmarc p=reject at _dmarc.example.com; whether mail aligns is not known
}

// A report is text for people, and JSON by encoding/json.
func ExampleReport_WriteTo() {
	report := doctor.Report{Findings: []doctor.Finding{
		{Check: "sending", Subject: "eu-west-1", Status: doctor.OK, Detail: "the account may send"},
		{Check: "ports", Subject: "email-smtp.eu-west-1.amazonaws.com", Status: doctor.Fail, Detail: "port 465 open; 587 refused",
			Advice: "Use port 465, or have port 587 opened.", Source: "Amazon SES SMTP issues"},
	}}
	report.WriteTo(os.Stdout)
	// Output:
	// ok   sending               eu-west-1: the account may send
	// FAIL ports                 email-smtp.eu-west-1.amazonaws.com: port 465 open; 587 refused
	//        → Use port 465, or have port 587 opened.
	//          Amazon SES SMTP issues
}

// A zone is a resolver that knows these TXT records and every host.
type zone map[string][]string

func (z zone) LookupHost(context.Context, string) ([]string, error) {
	return []string{"192.0.2.1"}, nil
}

func (z zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if texts, ok := z[name]; ok {
		return texts, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
