package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// bare takes from the environment whatever AWS settings this machine has.
func bare(t *testing.T) {
	for _, set := range os.Environ() {
		if name, _, _ := strings.Cut(set, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func withKey(t *testing.T, ses *sestest.Server) {
	t.Setenv("AWS_ACCESS_KEY_ID", ses.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", ses.SecretAccessKey)
}

func runAgainst(t *testing.T, ses *sestest.Server, args ...string) (code int, out string) {
	var b bytes.Buffer
	code = run(t.Context(), args, &b, config.WithBaseEndpoint(ses.URL), config.WithHTTPClient(ses.HTTPClient()))
	if strings.Contains(b.String(), ses.SecretAccessKey) {
		t.Error("the secret is in the output")
	}
	return code, b.String()
}

func TestWithoutSettingsItSaysWhatIsMissing(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	for _, c := range []struct {
		name string
		key  bool
		args []string
		want string
	}{
		{"nothing at all", false, nil, "the sender (-from), the region, credentials"},
		{"no sender", true, []string{"-region", ses.Region}, "the sender (-from)"},
		{"no region", true, []string{"-from", "shop@example.com"}, "the region"},
		{"no credentials", false, []string{"-region", ses.Region, "-from", "shop@example.com"}, "credentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bare(t)
			if c.key {
				withKey(t, ses)
			}
			code, out := runAgainst(t, ses, c.args...)
			if code != 2 || !strings.HasPrefix(out, "Missing: "+c.want+".\n") || !strings.Contains(out, "aws configure") {
				t.Errorf("exit code %d, want 2, that %s is missing and what to do:\n%s", code, c.want, out)
			}
			if n := len(ses.Accepted()); n != 0 {
				t.Errorf("SES has %d mails, want none", n)
			}
		})
	}
}

func TestItSendsOneMail(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	bare(t)
	withKey(t, ses)
	t.Setenv("AWS_REGION", ses.Region)
	code, out := runAgainst(t, ses, "-from", "shop@example.com")
	mails := ses.Accepted()
	if code != 0 || len(mails) != 1 {
		t.Fatalf("exit code %d, %d mails; want 0, 1\n%s", code, len(mails), out)
	}
	if m := mails[0]; m.Transport != "api" || !strings.Contains(out, m.ID) {
		t.Errorf("%s mail %s, output %q", m.Transport, m.ID, out)
	}
}

func TestARefusalIsExplained(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	bare(t)
	withKey(t, ses)
	for _, c := range []struct {
		name, from string
		code       int
		want       string
	}{
		{"sender not verified", "boss@unverified.example", 1, "identity-not-verified"},
		{"bad address", "boss@@example.com", 2, "illegal-address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out := runAgainst(t, ses, "-region", ses.Region, "-from", c.from)
			if code != c.code || !strings.Contains(out, "\n"+c.want+": ") {
				t.Errorf("exit code %d, want %d and %s in\n%s", code, c.code, c.want, out)
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
	bare(t)
	withKey(t, ses)
	ses.Script(sestest.AcceptThenCut())
	code, out := runAgainst(t, ses, "-region", ses.Region, "-from", "shop@example.com")
	if code != 1 || !strings.Contains(out, "SES may have the mail all the same") || len(ses.Accepted()) != 1 {
		t.Errorf("exit code %d, %d mails in SES\n%s", code, len(ses.Accepted()), out)
	}
}
