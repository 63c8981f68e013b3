package gomail

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/wneessen/go-mail"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

func TestTheREADMEShowsTheseLines(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "```gomail\n")
	shown, _, _ := strings.Cut(after, "```")
	code, err := os.ReadFile("gomail.go")
	if err != nil {
		t.Fatal(err)
	}
	if shown == "" || !strings.Contains(string(code), shown) {
		t.Errorf("the README shows other lines:\n%s", shown)
	}
}

func TestAMessageOfGoMailArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ses := sestest.NewMemoryServer()
		defer ses.Close()
		pool, err := smtpclient.New(smtpclient.Config{
			Addr: ses.SMTPAddr, Username: ses.Username, Password: ses.Password,
			TLSConfig: ses.TLSConfig(), DialContext: ses.DialContext,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		m := mail.NewMsg()
		for _, err := range []error{
			m.FromFormat("Jürgen Müller", "shop@example.com"), m.EnvelopeFrom("bounces@example.com"),
			m.AddToFormat("Ann Ä", "ann@example.org"), m.AddCc("ben@example.org"), m.AddBcc("cleo@example.org"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		m.Subject("Grüße")
		m.SetBodyString(mail.TypeTextPlain, "Es ist unterwegs.")
		if _, err := send(t.Context(), sesguard.New(sesguard.SMTP(pool), sesguard.Options{}), m); err != nil {
			t.Fatal(err)
		}
		got := ses.Accepted()
		if len(got) != 1 || got[0].From != "bounces@example.com" || !slices.Equal(got[0].To, []string{"ann@example.org", "ben@example.org", "cleo@example.org"}) {
			t.Errorf("SES has %d mails, the first from %v", len(got), got)
		}
	})
}
