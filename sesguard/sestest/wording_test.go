package sestest_test

import (
	"context"
	"net/textproto"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// refusalOverSMTP plays a dialogue until a scripted refusal answers.
func refusalOverSMTP(t *testing.T, s *sestest.Server) error {
	t.Helper()
	d := dial(t, s, s.SMTPAddr)
	if code, text, err := d.r.ReadResponse(220); err != nil {
		return &textproto.Error{Code: code, Msg: text}
	}
	d.startTLS(s)
	d.cmd(250, "Ok", "EHLO client.example.com")
	for _, line := range []string{
		"AUTH PLAIN " + plainCredentials(s.Username, s.Password), "MAIL FROM:<" + from + ">",
		"RCPT TO:<" + to + ">", "DATA", message + ".",
	} {
		d.send("%s\r\n", line)
		if code, text, err := d.r.ReadResponse(0); err != nil || code >= 400 {
			return &textproto.Error{Code: code, Msg: text}
		}
	}
	return nil
}

// The fake and the errors package were written from the same sources by
// different hands: what one says, the other has to understand.
func TestEveryCauseReadsAsItsReason(t *testing.T) {
	s := newServer(t)
	api := apiClient(s)
	for _, c := range sestest.Causes() {
		t.Run(string(c), func(t *testing.T) {
			if c.OverSMTP() {
				s.Script(sestest.Refuse(c))
				checkReason(t, "smtp", c, refusalOverSMTP(t, s))
			}
			if c.OverAPI() {
				s.Script(sestest.Refuse(c))
				_, err := api.SendEmail(context.Background(), rawInput(message, to))
				checkReason(t, "api", c, err)
			}
			if s.FaultsLeft() != 0 {
				t.Errorf("%d faults left", s.FaultsLeft())
				s.ClearScript()
			}
		})
	}
	wantAccepted(t, s, 0)
}

func checkReason(t *testing.T, over string, c sestest.Cause, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: accepted", over)
		return
	}
	if got := seserrors.Classify(err); string(got.Reason) != string(c) {
		t.Errorf("%s: reads as %s/%s: %v", over, got.Class, got.Reason, err)
	}
}
