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

const needed = `To send a mail over the API of Amazon SES, these are needed:

  -from ADDRESS        an address or domain that SES has verified in your region
                       (SES console, "Identities", "Create identity")
  -region REGION       or AWS_REGION, or the region of your AWS profile: where
                       that identity is, such as eu-west-1
  AWS credentials      that may call ses:SendEmail and ses:SendRawEmail:
                       "aws configure" or "aws sso login" stores some, or set
                       AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. On EC2, ECS
                       and Lambda the role's own are found.

A new account is in the sandbox: it sends to verified addresses only, and to
success@simulator.amazonses.com, which is the default of -to.

Nothing at hand? go run ./examples/quickstart needs nothing.
`
