// Package doctor finds out why mail does not leave through Amazon SES, before it
// is sent: it runs the checklists of AWS's troubleshooting pages against the
// network, the account and DNS, in one run of at most 15 seconds.
//
// # Start
//
//	report := doctor.Run(ctx, doctor.Config{
//		API:  sesv2.NewFromConfig(cfg),
//		SMTP: smtpclient.Config{Region: "eu-west-1", Username: user, Password: password},
//		From: "news@example.com",
//		To:   []string{"ann@example.net"},
//	})
//	report.WriteTo(os.Stdout)
//	if !report.OK() {
//		os.Exit(1)
//	}
//
// What a zero field leaves out is reported as skipped. [Config].Found shows each
// finding as it comes. [Run] never fails: what could not be looked at, for want of
// a permission or of time, is a finding too.
//
// # The checks
//
// Each [Finding] bears the slug of its check. Slugs are stable. A check reports
// once, or once for each recipient or mail.
//
//	endpoint               the SMTP host's name resolves; the region has an SMTP interface
//	ports                  587, 2587, 465, 2465, 25, side by side: open, refused, dropped or unreachable
//	tls-mode               STARTTLS or wrapper, as the settings say; nothing masks or intercepts what is said
//	certificate            it is for the host, trusted and within its dates
//	smtp-sign-in           SES takes the SMTP credentials; if not, an IAM secret, a temporary key or another region is named
//	mtu                    packets of full size get through
//	api-credentials        the API takes the credentials; the clock is right
//	sandbox                the account is in production; else each recipient is verified
//	sending                the account is neither paused, under review nor shut down
//	quota                  at least a fifth of the 24-hour quota is left
//	identity               the sender's address in its spelling, its domain or a parent of that is verified
//	dkim                   SES signs, and the keys are in DNS
//	mail-from              a custom MAIL FROM domain has exactly one MX, of this region, and SPF with SES in it
//	dmarc                  there is one record, and DKIM or SPF aligns
//	configuration-set      it exists in this region and may send
//	event-destination      somebody hears of bounces, complaints, rendering failures and sends
//	feedback               somebody hears of bounces at all
//	suppression            no recipient is on the account's suppression list, in any spelling that can be read
//	sending-authorization  the ARN of another account's identity fits region and sender
//	smtp-credentials-age   the SMTP password was made after January 10, 2019
//	allow-list             what a firewall must let out
//	real-send              if asked for: a mail to SES's mailbox simulator, and the event of it
//
// # Verdicts
//
// [Fail] is what keeps mail from leaving, or from leaving the way the settings
// say; a consequence of something that failed already does not fail once more.
// [Warn] is for the rest that should be mended, or that DNS or SES did not tell.
// Reason is what a send would draw.
//
// # What it does to SES
//
// The calls only read: ses:GetAccount, GetEmailIdentity, GetConfigurationSet,
// GetConfigurationSetEventDestinations, GetSuppressedDestination and, if the client
// has it, ListSuppressedDestinations. Each permission that is missing leaves out
// its checks; without the last, each recipient is asked for, in two spellings. SES
// allows an account one such call a second, so the calls wait for their turn,
// together with everything else in this module that uses the same client: six
// calls, and in the sandbox about four recipients, fit into a run. The rest is
// skipped and says so.
//
// The dialogue with the ports signs in once, on a port whose certificate is
// trusted, and once more with the password derived anew if the one that was given
// looks like the secret of an IAM key.
package doctor
