package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func noEnv(string) string { return "" }

// Each world's failure or warning is found, under the check named here.
func TestEachFakeWorldIsSeenThrough(t *testing.T) {
	want := map[string]string{
		"sound": "", "region": "FAIL endpoint", "permission": "skip identity", "firewall": "FAIL ports", "port-587": "FAIL ports", "tls-mode": "FAIL tls-mode", "middlebox": "FAIL certificate",
		"iam-secret": "FAIL smtp-sign-in", "other-region": "FAIL smtp-sign-in", "temporary-key": "FAIL smtp-sign-in",
		"sandbox": "FAIL sandbox", "paused": "FAIL sending", "quota": "FAIL quota", "unverified": "FAIL identity",
		"dkim": "FAIL dkim", "mail-from": "FAIL mail-from", "dmarc": "warn dmarc", "config-set": "FAIL configuration-set",
		"suppressed": "FAIL suppression",
	}
	for name := range worlds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				code := run(t.Context(), []string{"-fake", name}, noEnv, &out, &out, false)
				wantCode := 0
				if strings.HasPrefix(want[name], "FAIL") {
					wantCode = 1
				}
				if code != wantCode || !strings.Contains(out.String(), want[name]) || strings.Count(out.String(), "FAIL") != wantCode {
					t.Errorf("exit code %d, want %d with %q:\n%s", code, wantCode, want[name], &out)
				}
				if strings.Contains(out.String(), secret) || strings.Contains(out.String(), "\x1b") {
					t.Errorf("the output holds the secret or colours:\n%s", &out)
				}
			})
		})
	}
}

// The worlds are those of the sender and the recipients on the command line.
func TestAFakeWorldIsThatOfTheSender(t *testing.T) {
	for name, want := range map[string]string{
		"sound": "0 failed", "mail-from": "bounce.shop.example", "suppressed": "bob@customer.example", "config-set": "letters",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				run(t.Context(), []string{"-fake", name, "-from", "Shop <orders@Shop.example>", "-to", "bob@customer.example", "-config-set", "letters", "-send"}, noEnv, &out, &out, false)
				if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "example.com") || strings.Contains(out.String(), "example.net") {
					t.Errorf("want %q:\n%s", want, &out)
				}
			})
		})
	}
}

func TestJSONIsAnArrayOfFindings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		code := run(t.Context(), []string{"-fake", "paused", "-json"}, noEnv, &out, io.Discard, true)
		var findings []struct{ Check, Status string }
		if err := json.Unmarshal(out.Bytes(), &findings); err != nil || code != 1 || len(findings) < 22 {
			t.Errorf("exit code %d, %d findings, %v", code, len(findings), err)
		}
	})
}

func TestARealSendToTheFake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if code := run(t.Context(), []string{"-fake", "sound", "-send"}, noEnv, &out, io.Discard, true); code != 0 ||
			!strings.Contains(out.String(), "success@simulator.amazonses.com: accepted as ") || !strings.Contains(out.String(), "\x1b[32mok\x1b[0m") {
			t.Errorf("exit code %d:\n%s", code, &out)
		}
	})
}

func TestARunThatIsInterruptedIsNotInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		var out bytes.Buffer
		if code := run(ctx, []string{"-fake", "sound"}, noEnv, &out, io.Discard, false); code != 2 || !strings.Contains(out.String(), "ended before it") {
			t.Errorf("exit code %d:\n%s", code, &out)
		}
	})
}

func TestHelpIsNoFault(t *testing.T) {
	var out, problems bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, noEnv, &out, &problems, false); code != 0 || !strings.Contains(problems.String(), "iam-secret") || out.Len() > 0 {
		t.Errorf("exit code %d: %s%s", code, &out, &problems)
	}
}

func TestItSaysWhyItCannotRun(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no sender", nil, "missing: the sender"},
		{"no region", []string{"-from", "a@example.com"}, "missing: the region"},
		{"no such world", []string{"-fake", "flat"}, "is no world"},
		{"a world with a region", []string{"-fake", "sound", "-region", "eu-west-1"}, "leave out -region"},
		{"a world with a bad sender", []string{"-fake", "sound", "-from", "me"}, "-from: "},
		{"no such flag", []string{"-x"}, "not defined"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(t.Context(), tt.args, noEnv, &out, &out, false); code != 2 || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit code %d:\n%s", code, &out)
			}
		})
	}
}
