package sestest_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func mustPanic(t *testing.T, words string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if text, _ := recover().(string); !strings.Contains(text, words) {
			t.Errorf("panic %q, want %q", text, words)
		}
	}()
	f()
}

func TestAServerOnSocketsRefusesABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mustPanic(t, "NewMemoryServer", func() { sestest.NewServer() })
		mustPanic(t, "StartMemory", func() { sestest.NewUnstartedServer().Start() })
		// A deep stack must not hide where the goroutine runs.
		var deep func(n int)
		deep = func(n int) {
			if n > 0 {
				deep(n - 1)
				return
			}
			mustPanic(t, "NewMemoryServer", func() { sestest.NewServer() })
		}
		deep(1000)
		done := make(chan struct{})
		go func() {
			defer close(done)
			mustPanic(t, "NewMemoryServer", func() { sestest.NewServer() })
		}()
		<-done
	})
	sestest.NewServer().Close() // and none outside
}

func TestStartListensWhereItIsTold(t *testing.T) {
	free := sestest.NewServer() // its ports are free once it is closed
	free.Close()
	s := sestest.NewUnstartedServer()
	s.SMTPAddr, s.PlainAddr, s.URL = free.SMTPAddr, "127.0.0.1:0", free.URL
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.SMTPAddr != free.SMTPAddr || s.URL != free.URL {
		t.Errorf("listens on %s and %s, want %s and %s", s.SMTPAddr, s.URL, free.SMTPAddr, free.URL)
	}
	start(t, s)
	dial(t, s, free.SMTPAddr).expect(220, "")
	dial(t, s, s.SMTPSAddr)
	mustPanic(t, "started before", s.StartMemory)
}

func TestStartSaysWhichAddressItCannotHave(t *testing.T) {
	taken := newServer(t)
	free := sestest.NewServer()
	free.Close()
	tests := map[string]struct {
		change func(s *sestest.Server)
		want   string
	}{
		"port in use":   {func(s *sestest.Server) { s.SMTPSAddr = taken.SMTPSAddr }, taken.SMTPSAddr},
		"URL in use":    {func(s *sestest.Server) { s.URL = taken.URL }, strings.TrimPrefix(taken.URL, "https://")},
		"no port":       {func(s *sestest.Server) { s.PlainAddr = "127.0.0.1" }, "127.0.0.1"},
		"URL of HTTP":   {func(s *sestest.Server) { s.URL = "http://127.0.0.1:1" }, "http://127.0.0.1:1"},
		"URL sans host": {func(s *sestest.Server) { s.URL = "https:" }, "https:"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := sestest.NewUnstartedServer()
			defer s.Close()
			tt.change(s)
			s.SMTPAddr = free.SMTPAddr
			if err := s.Start(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %s", err, tt.want)
			}
			l, err := net.Listen("tcp", free.SMTPAddr) // it does not keep what it could have
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		})
	}
}

func TestTheRegionIsInNamesAndRefusals(t *testing.T) {
	s := sestest.NewUnstartedServer()
	s.Region = "eu-west-1"
	s.StartMemory()
	defer s.Close()
	dial(t, s, "email-smtp.eu-west-1.amazonaws.com:587").expect(220, "")
	resp, err := s.HTTPClient().Get("https://email.eu-west-1.amazonaws.com/v2/email/account")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for name, send := range transports {
		err := send(t, s, "From: a@example.net\r\nTo: to@example.org\r\n\r\n", to)
		if err == nil || !strings.Contains(err.Error(), "failed the check in region EU-WEST-1: a@example.net") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The other process is this test's program, run again.
func TestAnotherProcessTrustsTheCertificate(t *testing.T) {
	if url := os.Getenv("SESTEST_URL"); url != "" {
		resp, err := http.Get(url + "/v2/email/account")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("the system's list of certificates is not a file that a variable names")
	}
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "sestest.pem")
	if err := os.WriteFile(file, s.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAnotherProcessTrustsTheCertificate$")
	cmd.Env = append(os.Environ(), "SESTEST_URL="+s.URL, "SSL_CERT_FILE="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if s.APIRequests() != 1 {
		t.Errorf("%d requests arrived, want 1", s.APIRequests())
	}
}

func TestCertPEMServesEveryNameOfTheServer(t *testing.T) {
	s := newServer(t)
	if again := sestest.NewUnstartedServer(); !bytes.Equal(again.CertPEM(), s.CertPEM()) {
		t.Error("a second server of the process has another certificate")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CertPEM())
	for _, name := range []string{"localhost", "127.0.0.1", "email-smtp.us-east-1.amazonaws.com", "email.us-east-1.amazonaws.com"} {
		c, err := net.Dial("tcp", s.SMTPSAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: name}).Handshake(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
