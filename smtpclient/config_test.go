package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

func TestNewRefusesWhatCannotWorkAndNamesTheFix(t *testing.T) {
	rows := []struct {
		name   string
		cfg    Config
		reason seserrors.Reason
		words  []string // of the error
	}{
		{"nothing", Config{}, seserrors.ConfigInvalid, []string{"Region"}},
		{"region without endpoint", Config{Region: "af-south-1"}, seserrors.NameNotFound, []string{"Region", "no SMTP endpoint", "API"}},
		{"region without endpoint, capitals", Config{Region: "CA-WEST-1"}, seserrors.NameNotFound, []string{"ca-west-1"}},
		{"host name as region", Config{Region: "email-smtp.eu-west-1.amazonaws.com"}, seserrors.ConfigInvalid, []string{"Addr"}},
		{"port that SES does not have", Config{Region: "eu-west-1", Port: 2525}, seserrors.ConfigInvalid, []string{"Port", "587"}},
		{"address without port", Config{Addr: "smtp.example.com"}, seserrors.ConfigInvalid, []string{"Addr", "host:port"}},
		{"port zero", Config{Addr: "smtp.example.com:0"}, seserrors.ConfigInvalid, []string{"port"}},
		{"line break in the host", Config{Addr: "a\r\nb:25"}, seserrors.ConfigInvalid, []string{"host"}},
		{"wrapper on 587", Config{Region: "eu-west-1", TLS: TLSWrapper}, seserrors.TLSModeMismatch, []string{"587", "STARTTLS", "465"}},
		{"STARTTLS on 465", Config{Region: "eu-west-1", Port: 465, TLS: TLSStartTLS}, seserrors.TLSModeMismatch, []string{"465", "587"}},
		{"STARTTLS on 2465", Config{Addr: "x.example:2465", TLS: TLSStartTLS}, seserrors.TLSModeMismatch, []string{"2465"}},
		{"plaintext to another machine", Config{Addr: "smtp.example.com:25", TLS: TLSNone}, seserrors.TLSRequired, []string{"loopback"}},
		{"plaintext to a name that only looks local", Config{Addr: "localhost.example.com:25", TLS: TLSNone}, seserrors.TLSRequired, []string{"loopback"}},
		{"plaintext to the private network", Config{Addr: "10.0.0.1:25", TLS: TLSNone}, seserrors.TLSRequired, []string{"loopback"}},
		{"unknown mode", Config{Addr: "x.example:25", TLS: TLSNone + 1}, seserrors.ConfigInvalid, []string{"TLS"}},
		{"no verification", Config{Region: "eu-west-1", TLSConfig: &tls.Config{InsecureSkipVerify: true}}, seserrors.CertificateInvalid, []string{"RootCAs"}},
		{"STS access key", Config{Region: "eu-west-1", Username: "ASIAIOSFODNN7EXAMPLE", Password: "x"}, seserrors.CredentialsInvalid, []string{"temporary", "IAM user"}},
		{"session token", Config{Region: "eu-west-1", Username: "AKIAIOSFODNN7EXAMPLE", Password: strings.Repeat("s", 500)}, seserrors.CredentialsInvalid, []string{"session token"}},
		{"password alone", Config{Region: "eu-west-1", Password: "x"}, seserrors.ConfigInvalid, []string{"Username"}},
		{"nobody to sign in at SES", Config{Region: "eu-west-1"}, seserrors.AuthRequired, []string{"Username", "Credentials"}},
		{"user name alone", Config{Region: "eu-west-1", Username: "x"}, seserrors.ConfigInvalid, []string{"Password", "derive"}},
		{"credentials twice", Config{Region: "eu-west-1", Username: "x", Password: "y", Credentials: func(context.Context) (string, string, error) { return "", "", nil }},
			seserrors.ConfigInvalid, []string{"both"}},
		{"line break in the local name", Config{Addr: "x.example:25", LocalName: "a\r\nMAIL"}, seserrors.ConfigInvalid, []string{"LocalName"}},
		{"user name with a line end", Config{Region: "eu-west-1", Username: "AKIAIOSFODNN7EXAMPLE\n", Password: "x"}, seserrors.CredentialsInvalid, []string{"Config.Username", "white space"}},
		{"user name with a space before it", Config{Region: "eu-west-1", Username: " AKIAIOSFODNN7EXAMPLE", Password: "x"}, seserrors.CredentialsInvalid, []string{"Config.Username"}},
		{"password with a line end", Config{Region: "eu-west-1", Username: "x", Password: "sssss\r\n"}, seserrors.CredentialsInvalid, []string{"Config.Password", "white space"}},
		{"password with a NUL", Config{Region: "eu-west-1", Username: "x", Password: "sssss\x00y"}, seserrors.CredentialsInvalid, []string{"Config.Password", "control character"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c, err := New(row.cfg)
			if c != nil {
				t.Error("a client came with the error")
			}
			want(t, err, seserrors.Invalid, row.reason, false)
			if scope := row.reason.Scope(); scope != seserrors.ScopeConnection && scope != seserrors.ScopeAccount || strings.Contains(row.reason.Advice(), "SES names") {
				t.Errorf("scope %v, advice %q: a setting is no fault of one mail, and SES has not seen it", scope, row.reason.Advice())
			}
			for _, w := range append(row.words, "Config.") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "sssss") {
				t.Error("the error holds a token")
			}
		})
	}
}

func TestTheZeroConfigHasTheDocumentedDefaults(t *testing.T) {
	got, err := Config{Region: "EU-West-1", Username: "x", Password: "y"}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if got.Addr != "email-smtp.eu-west-1.amazonaws.com:587" || got.TLS != TLSStartTLS || got.TLSConfig.ServerName != "email-smtp.eu-west-1.amazonaws.com" ||
		got.MaxConns != 10 || got.MaxMessagesPerConn != 100 || got.MaxConnLifetime != 5*time.Minute || got.MaxConnIdleTime != 5*time.Second ||
		got.DialTimeout != 30*time.Second || got.CommandTimeout != time.Minute || got.DataTimeout != 10*time.Minute || got.LocalName != "localhost" {
		t.Errorf("%+v", got)
	}
	none, err := Config{Addr: "x.example:587", MaxConns: -1, MaxMessagesPerConn: -1, MaxConnLifetime: -1, MaxConnIdleTime: -1, DialTimeout: -1, CommandTimeout: -1, DataTimeout: -1}.complete()
	if err != nil || none.MaxConns < 1<<30 || none.MaxMessagesPerConn < 1<<30 || none.MaxConnLifetime+none.MaxConnIdleTime+none.DialTimeout+none.CommandTimeout+none.DataTimeout != 0 {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestTheModeFitsThePort(t *testing.T) {
	for port, mode := range map[string]TLSMode{"25": TLSStartTLS, "587": TLSStartTLS, "2587": TLSStartTLS, "465": TLSWrapper, "2465": TLSWrapper, "1025": TLSStartTLS} {
		cfg, err := Config{Addr: "smtp.example.com:" + port}.complete()
		if err != nil || cfg.TLS != mode {
			t.Errorf("port %s: %v, %v", port, cfg.TLS, err)
		}
	}
}

func TestNewLeavesTheCallersConfigAlone(t *testing.T) {
	mine := &tls.Config{}
	if _, err := New(Config{Addr: "x.example:587", TLSConfig: mine}); err != nil {
		t.Fatal(err)
	}
	if mine.ServerName != "" || mine.DynamicRecordSizingDisabled {
		t.Error("TLSConfig was changed")
	}
}

func TestAddressesThatWouldReachTheServerAsSomethingElseAreRefused(t *testing.T) {
	s := newScript(t)
	c := s.client(t)
	bad := map[string]seserrors.Reason{
		"": seserrors.IllegalAddress, "a@b> SIZE=1": seserrors.IllegalAddress, "<a@b.c>": seserrors.IllegalAddress, "a b@c.d": seserrors.IllegalAddress,
		"a@b.c\r\nRCPT TO:<x@y.z>": seserrors.IllegalAddress, "a@b.c\n": seserrors.IllegalAddress, "a\x00@b.c": seserrors.IllegalAddress, "a@b\x7f": seserrors.IllegalAddress,
		"ä@b.c": seserrors.NonASCIIAddress, "a@bücher.example": seserrors.NonASCIIAddress, "nobody": seserrors.IllegalAddress, "@b.c": seserrors.IllegalAddress,
		"a@": seserrors.IllegalAddress, strings.Repeat("a", 400) + "@b.c": seserrors.IllegalAddress,
	}
	for addr, reason := range bad {
		_, err := c.Send(t.Context(), addr, []string{someone}, strings.NewReader("x"))
		want(t, err, seserrors.Invalid, reason, false)
		_, err = c.Send(t.Context(), sender, []string{someone, addr}, strings.NewReader("x"))
		e := want(t, err, seserrors.Invalid, reason, false)
		if len(e.Recipients) != 1 || e.Recipients[0] != addr {
			t.Errorf("recipients %q", e.Recipients)
		}
		if strings.ContainsAny(err.Error(), "\r\n\x00") || len(err.Error()) > 300 {
			t.Errorf("the error shows the address as it is: %q", err)
		}
	}
	_, err := c.Send(t.Context(), sender, nil, strings.NewReader("x"))
	want(t, err, seserrors.Invalid, seserrors.NoRecipients, false)
	_, err = c.Send(t.Context(), sender, []string{someone}, nil)
	want(t, err, seserrors.Invalid, seserrors.ContentUnreadable, false)
	_, err = c.Send(t.Context(), sender, []string{someone}, strings.NewReader(strings.Repeat("x", maxMessage+1)))
	want(t, err, seserrors.Invalid, seserrors.MessageTooLong, false)
	if n, _, _ := s.connections(); n != 0 {
		t.Error("the server was dialled")
	}
}

func TestPasswordIsTheDocumentedDerivation(t *testing.T) {
	// Computed with Python's hmac and hashlib from AWS's description, for the
	// secret of its examples.
	const example = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	for region, password := range map[string]string{
		"us-east-1":    "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9",
		"eu-central-1": "BF0/eIJm0ruTHsSjOkRuOGzGF+zeSyE3aiRzrzUQ8LwG",
	} {
		if got := DerivePassword(example, region); got != password {
			t.Errorf("%s: got %q, want %q", region, got, password)
		}
	}
}

func TestErrClosedIsAnEndOfTheConnectionAndACancellation(t *testing.T) {
	s := newScript(t)
	c := s.client(t)
	c.Close()
	_, err := c.post(t.Context())
	want(t, err, seserrors.Canceled, seserrors.ClientClosed, false)
	want(t, c.Ping(t.Context()), seserrors.Canceled, seserrors.ClientClosed, false)
	if !errors.Is(err, ErrClosed) || !errors.Is(err, net.ErrClosed) || !errors.Is(ErrClosed, seserrors.Canceled) || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got, text := err.Error(), "smtp wait "+c.Addr()+": canceled (client-closed): client is closed"; got != text {
		t.Errorf("got %q, want %q", got, text)
	}
}
