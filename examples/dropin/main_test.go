package main

import (
	"bytes"
	"io"
	"slices"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func TestExistingCodeSendsThroughTheGuard(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	var out bytes.Buffer
	if err := run(t.Context(), ses, &out); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range ses.Accepted() {
		got = append(got, m.Transport+" "+m.To[0])
	}
	want := []string{"api ann@example.org", "api ben@example.org", "api cleo@example.org", "api ann@example.org", "smtp dora@example.org"}
	if !slices.Equal(got, want) {
		t.Errorf("SES has %q, want %q\n%s", got, want, &out)
	}
}

// What the guard adds: the bare SDK would have sent each of the first four again
// after the lost reply, and SES would have it twice.
func TestNoneOfTheGuardedSendsDoubles(t *testing.T) {
	for n, name := range []string{"simple", "raw", "template", "interface", "net/smtp"} {
		t.Run(name, func(t *testing.T) {
			ses := sestest.NewServer()
			defer ses.Close()
			for range n {
				ses.Script(sestest.Pass())
			}
			ses.Script(sestest.AcceptThenCut())
			if err := run(t.Context(), ses, io.Discard); !seserrors.MaybeAccepted(err) {
				t.Errorf("a mail in doubt is reported as %v", err)
			}
			if got := len(ses.Accepted()); got != n+1 {
				t.Errorf("SES has %d mails, want %d", got, n+1)
			}
		})
	}
}
