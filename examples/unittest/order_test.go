package unittest

import (
	"testing"
	"testing/synctest"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// In a synctest bubble AWS's waits of 5, 10 and 30 seconds take no time.
func TestOrderMailSurvivesThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ses, sender := fakeSES(t)
		ses.Script(sestest.Refuse(seserrors.SendRateExceeded), sestest.Refuse(seserrors.ServiceFailure))

		if err := SendOrder(t.Context(), sender, "ann@example.org"); err != nil {
			t.Error(err)
		}
		if n := len(ses.Accepted()); n != 1 {
			t.Errorf("SES has %d mails, want 1", n)
		}
	})
}

func TestOrderMailInDoubtIsNotSentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ses, sender := fakeSES(t)
		ses.Script(sestest.AcceptThenCut()) // accepted, but the reply never comes

		if err := SendOrder(t.Context(), sender, "ann@example.org"); !seserrors.MaybeAccepted(err) {
			t.Errorf("the error does not say that the mail is in doubt: %v", err)
		}
		if n := len(ses.Accepted()); n != 1 {
			t.Errorf("SES has %d mails, want 1", n)
		}
	})
}

func fakeSES(t *testing.T) (*sestest.Server, sesguard.Sender) {
	ses := sestest.NewMemoryServer()
	t.Cleanup(ses.Close)
	pool, err := smtpclient.New(smtpclient.Config{
		Addr:     ses.SMTPAddr,
		Username: ses.Username, Password: ses.Password,
		TLSConfig:   ses.TLSConfig(),
		DialContext: ses.DialContext,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return ses, sesguard.New(sesguard.SMTP(pool), sesguard.Options{})
}
