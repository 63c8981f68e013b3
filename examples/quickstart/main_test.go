package main

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func TestTheTableSaysOfEachMailWhatBecameOfIt(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	var out bytes.Buffer
	if err := run(t.Context(), ses, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"plain text smtp 1 accepted ID",
		"Unicode name and domain smtp 1 accepted ID",
		"with an attachment smtp 1 accepted ID",
		"over the send rate, once smtp 2 accepted ID",
		"idle connection was cut smtp 1 accepted ID",
		"session limit reached smtp 1 accepted ID",
		"address with a typing error smtp 0 refused illegal-address",
		"sender not verified smtp 1 refused identity-not-verified",
		"accepted, but no reply smtp 1 in doubt response-lost",
		"plain text api 1 accepted ID",
		"Unicode name and domain api 1 accepted ID",
		"with an attachment api 1 accepted ID",
		"over the send rate, once api 2 accepted ID",
		"address with a typing error api 0 refused illegal-address",
		"sender not verified api 1 refused identity-not-verified",
		"accepted, but no reply api 1 in doubt response-lost",
		"Send said: 10 accepted, 4 refused, 2 in doubt",
		"The mailbox: 12 mails: the 10 accepted, once each, and 2 of those in doubt",
	} {
		if !slices.Contains(lines(&out, ses.Accepted()), want) {
			t.Errorf("no line %q in\n%s", want, &out)
		}
	}
	if n := len(ses.Accepted()); n != 12 {
		t.Errorf("SES has %d mails, want 12", n)
	}
}

func TestTheMailsArriveAsTheyWereWritten(t *testing.T) {
	ses := sestest.NewServer()
	defer ses.Close()
	if err := run(t.Context(), ses, io.Discard); err != nil {
		t.Fatal(err)
	}
	const punycode = "post@xn--bcher-kva.example"
	for _, transport := range []string{"smtp", "api"} {
		t.Run(transport, func(t *testing.T) {
			mails := byTransport(ses.Accepted(), transport)
			if len(mails) < 3 {
				t.Fatalf("%d mails", len(mails))
			}
			if got := mails[1].To; !slices.Equal(got, []string{punycode}) {
				t.Errorf("the second mail went to %q, want %q", got, punycode)
			}
			if got := names(t, mails[1]); got != "Jürgen Groß" {
				t.Errorf("recipient's name %q", got)
			}
			if got := attachment(t, mails[2]); got != "Rechnung März.csv" {
				t.Errorf("attachment %q", got)
			}
		})
	}
}

// A mail that SES took twice must not pass for a good end.
func TestTheBalanceFindsWhatSendDidNotSay(t *testing.T) {
	for name, c := range map[string]struct {
		accepted []string
		inDoubt  int
		mailbox  []sestest.Mail
		good     bool
	}{
		"accepted once":       {[]string{"a"}, 0, []sestest.Mail{{ID: "a"}}, true},
		"in doubt, and taken": {nil, 1, []sestest.Mail{{ID: "a"}}, true},
		"in doubt, not taken": {nil, 1, nil, true},
		"lost":                {[]string{"a"}, 1, []sestest.Mail{{ID: "b"}}, false},
		"doubled":             {[]string{"a"}, 0, []sestest.Mail{{ID: "a"}, {ID: "b"}}, false},
		"the same id twice":   {[]string{"a"}, 1, []sestest.Mail{{ID: "a"}, {ID: "a"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &report{out: io.Discard, accepted: c.accepted, inDoubt: c.inDoubt}
			if err := r.balance(c.mailbox); (err == nil) != c.good {
				t.Errorf("balance says %v", err)
			}
		})
	}
}

// lines are the lines of the table with single spaces and with ID in place of
// the ids of the mailbox.
func lines(out *bytes.Buffer, mailbox []sestest.Mail) []string {
	text := out.String()
	for _, m := range mailbox {
		text = strings.ReplaceAll(text, m.ID, "ID")
	}
	var all []string
	for line := range strings.Lines(text) {
		all = append(all, strings.Join(strings.Fields(line), " "))
	}
	return all
}

func byTransport(all []sestest.Mail, transport string) []sestest.Mail {
	return slices.DeleteFunc(all, func(m sestest.Mail) bool { return m.Transport != transport })
}

func parse(t *testing.T, m sestest.Mail) *mail.Message {
	t.Helper()
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func names(t *testing.T, m sestest.Mail) string {
	t.Helper()
	list, err := parse(t, m).Header.AddressList("To")
	if err != nil {
		t.Fatal(err)
	}
	return list[0].Name
}

// attachment returns the file name of the last part.
func attachment(t *testing.T, m sestest.Mail) string {
	t.Helper()
	parsed := parse(t, m)
	_, params, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for parts := multipart.NewReader(parsed.Body, params["boundary"]); ; {
		part, err := parts.NextPart()
		if err == io.EOF {
			return name
		}
		if err != nil {
			t.Fatal(err)
		}
		name = part.FileName()
	}
}
