package load

import (
	"fmt"
	"strings"
)

// missingText says what was not found, and how to get it; "" if nothing is
// missing. err is why no AWS credentials were found, nil if none were needed.
func missingText(from, region, credentials bool, err error) string {
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
	text := "Missing: " + strings.Join(names, ", ") + ".\n\n" + needed
	if err != nil {
		text += fmt.Sprintf("\nNo AWS credentials were found: %v\n", err)
	}
	return text
}

const needed = `To send to the mailbox simulator of Amazon SES, these are needed:

  -from ADDRESS        an address or domain that SES has verified in your region
                       (SES console, "Identities", "Create identity")
  -region REGION       or AWS_REGION, or the region of your AWS profile: where
                       that identity is, such as eu-west-1

and with -transport api, or with -follow:

  AWS credentials      that may call ses:SendEmail and ses:SendRawEmail, and
                       with -follow ses:GetAccount: "aws configure" or "aws sso
                       login" stores some, or set AWS_ACCESS_KEY_ID and
                       AWS_SECRET_ACCESS_KEY. A role's own are found.

and with -transport smtp:

  SES_SMTP_USERNAME    and SES_SMTP_PASSWORD: the SMTP credentials of that region
                       (SES console, "SMTP settings", "Create SMTP credentials")
      or
  AWS_ACCESS_KEY_ID    and AWS_SECRET_ACCESS_KEY of an IAM user, not of a role

Nothing at hand? Without -ses it sends to a fake and needs nothing.
`
