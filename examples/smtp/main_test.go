package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" // the example key of AWS's documentation

func TestWithoutSettingsItSaysWhatIsMissing(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	from := []string{"-addr", ses.SMTPAddr, "-from", "shop@example.com"}
	smtpUser := map[string]string{"SES_SMTP_USERNAME": ses.Username, "SES_SMTP_PASSWORD": ses.Password}
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"nothing at all", nil, nil, "the sender (-from), the region, credentials"},
		{"no sender", from[:2], smtpUser, "the sender (-from)"},
		{"no region and no address", from[2:], smtpUser, "the region"},
		{"no credentials", from, nil, "credentials"},
		{"user name without password", from, map[string]string{"SES_SMTP_USERNAME": ses.Username}, "credentials"},
		{"key without a region to derive for", from, map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": secret}, "credentials"},
		{"temporary key of a role", append(from, "-region", ses.Region),
			map[string]string{"AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "t"}, "credentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(t.Context(), c.args, env(c.env), &out, ses.TLSConfig()); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if got := out.String(); !strings.HasPrefix(got, "Missing: "+c.want+".\n") || !strings.Contains(got, "SMTP settings") {
				t.Errorf("it does not say that %s is missing and where to get it:\n%s", c.want, got)
			}
			if n := ses.Connections().Total; n != 0 {
				t.Errorf("%d connections, want none", n)
			}
		})
	}
}

func TestItSendsOneMail(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	var out bytes.Buffer
	code := run(t.Context(), []string{"-addr", ses.SMTPAddr, "-from", "shop@example.com"},
		env(map[string]string{"SES_SMTP_USERNAME": ses.Username, "SES_SMTP_PASSWORD": ses.Password}), &out, ses.TLSConfig())
	mails := ses.Accepted()
	if code != 0 || len(mails) != 1 {
		t.Fatalf("exit code %d, %d mails; want 0, 1\n%s", code, len(mails), &out)
	}
	if m := mails[0]; m.Transport != "smtp" || !strings.Contains(out.String(), m.ID) {
		t.Errorf("%s mail %s, output %q", m.Transport, m.ID, &out)
	}
	if strings.Contains(out.String(), ses.Password) {
		t.Error("the password is in the output")
	}
}

func TestARefusalIsExplained(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	user := map[string]string{"SES_SMTP_USERNAME": ses.Username, "SES_SMTP_PASSWORD": ses.Password}
	for _, c := range []struct {
		name string
		from string
		env  map[string]string
		code int
		want string
	}{
		{"sender not verified", "boss@unverified.example", user, 1, "identity-not-verified"},
		{"bad address", "boss@@example.com", user, 2, "illegal-address"},
		{"wrong key", "shop@example.com", map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": secret}, 1, "credentials-invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			code := run(t.Context(), []string{"-addr", ses.SMTPAddr, "-region", ses.Region, "-from", c.from}, env(c.env), &out, ses.TLSConfig())
			if code != c.code || !strings.Contains(out.String(), "\n"+c.want+": ") {
				t.Errorf("exit code %d, want %d and %s in\n%s", code, c.code, c.want, &out)
			}
			if strings.Contains(out.String(), secret) {
				t.Error("the secret is in the output")
			}
		})
	}
	if n := len(ses.Accepted()); n != 0 {
		t.Errorf("SES has %d mails, want none", n)
	}
}

func TestDoubtIsSaid(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	ses.Script(sestest.AcceptThenCut())
	var out bytes.Buffer
	code := run(t.Context(), []string{"-addr", ses.SMTPAddr, "-from", "shop@example.com"},
		env(map[string]string{"SES_SMTP_USERNAME": ses.Username, "SES_SMTP_PASSWORD": ses.Password}), &out, ses.TLSConfig())
	if code != 1 || !strings.Contains(out.String(), "SES may have the mail all the same") || len(ses.Accepted()) != 1 {
		t.Errorf("exit code %d, %d mails in SES\n%s", code, len(ses.Accepted()), &out)
	}
}

func TestAKeyOfARoleIsRefusedBeforeItIsUsed(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	var out bytes.Buffer
	code := run(t.Context(), []string{"-addr", ses.SMTPAddr, "-region", ses.Region, "-from", "shop@example.com"},
		env(map[string]string{"AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": secret}), &out, ses.TLSConfig())
	if code != 2 || !strings.Contains(out.String(), "temporary credentials") || ses.Connections().Total != 0 {
		t.Errorf("exit code %d, %d connections\n%s", code, ses.Connections().Total, &out)
	}
}

func TestThePasswordIsDerivedFromAnAccessKey(t *testing.T) {
	name, password := credentials(env(map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": secret}), "eu-west-1")
	if want := smtpclient.DerivePassword(secret, "eu-west-1"); name != "AKIA" || password != want {
		t.Errorf("credentials are %q and not the password derived for the region", name)
	}
}

func env(set map[string]string) func(string) string {
	return func(name string) string { return set[name] }
}
