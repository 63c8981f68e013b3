package sestest_test

import (
	"context"
	"net/textproto"
	"slices"
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
func TestEveryRefusalReadsAsItsReason(t *testing.T) {
	s := newServer(t)
	api := apiClient(s)
	over := map[string]func() error{
		"smtp": func() error { return refusalOverSMTP(t, s) },
		"api": func() error {
			_, err := api.SendEmail(context.Background(), rawInput(message, to))
			return err
		},
	}
	for transport, send := range over {
		for _, reason := range sestest.Reasons(transport) {
			t.Run(transport+" "+string(reason), func(t *testing.T) {
				s.Script(sestest.Refuse(reason))
				err := send()
				if err == nil {
					t.Fatal("accepted")
				}
				if got := seserrors.Classify(err); got.Reason != reason {
					t.Errorf("reads as %s/%s: %v", got.Class, got.Reason, err)
				}
			})
		}
	}
	if s.FaultsLeft() != 0 || s.AcceptedCount() != 0 {
		t.Errorf("%d faults left, %d mails accepted", s.FaultsLeft(), s.AcceptedCount())
	}
}

func TestReasonsOfBothTransportsAreAllReasons(t *testing.T) {
	all := map[seserrors.Reason]bool{}
	for _, transport := range []string{"smtp", "api"} {
		for _, reason := range sestest.Reasons(transport) {
			all[reason] = true
		}
	}
	if got := sestest.Reasons(""); len(got) != len(all) || !slices.IsSorted(got) {
		t.Errorf("%d reasons, want %d, sorted", len(got), len(all))
	}
	if got := sestest.Reasons("fax"); len(got) != 0 {
		t.Errorf("over fax: %v", got)
	}
}
