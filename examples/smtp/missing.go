package main

import "strings"

// missing says what was not found, and how to get it; "" if nothing is missing.
func missing(from, region, credentials bool) string {
	var names []string
	for _, need := range []struct {
		name string
		met  bool
	}{{"the sender (-from)", from}, {"the region", region}, {"credentials", credentials}} {
		if !need.met {
			names = append(names, need.name)
		}
	}
	if names == nil {
		return ""
	}
	return "Missing: " + strings.Join(names, ", ") + ".\n\n" + needed
}

const needed = `To send a mail over the SMTP interface of Amazon SES, these are needed:

  -from ADDRESS        an address or domain that SES has verified in your region
                       (SES console, "Identities", "Create identity")
  -region REGION       or AWS_REGION: where that identity is, such as eu-west-1
  SES_SMTP_USERNAME    and SES_SMTP_PASSWORD: the SMTP credentials of that region
                       (SES console, "SMTP settings", "Create SMTP credentials")
      or
  AWS_ACCESS_KEY_ID    and AWS_SECRET_ACCESS_KEY of an IAM user that may call
                       ses:SendRawEmail; the SMTP password is derived from them.
                       A role's temporary key (AWS_SESSION_TOKEN is set) does
                       not work over SMTP: use go run ./examples/api with it.

A new account is in the sandbox: it sends to verified addresses only, and to
success@simulator.amazonses.com, which is the default of -to.

Nothing at hand? go run ./examples/quickstart needs nothing.
`
