//go:build !race

package sesguard

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// These tests move hundreds of megabytes, which takes the race detector too long.

// lines is n octets of text.
func lines(n int) string {
	s := strings.Repeat(strings.Repeat("x", 62)+"\r\n", n/64)
	return s + strings.Repeat("y", max(n%64-2, 0)) + "\r\n"[:min(n%64, 2)]
}

// What is counted is the message as it is written, with the X-SES-* lines,
// which stand in it over SMTP.
func TestTheLimitIsExactly40MB(t *testing.T) {
	file := make([]byte, 100_000)
	for name, change := range map[string]func(m *Message, text string){
		"text": func(m *Message, text string) { m.Text = text },
		"held file": func(m *Message, text string) {
			m.Text, m.Attachments = text, []Attachment{{Name: "a", Content: file}}
		},
		"streamed file": func(m *Message, text string) {
			m.Text, m.Attachments = text, []Attachment{{Name: "a", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }}}
		},
		"raw": func(m *Message, text string) {
			m.Subject, m.Text, m.Raw = "", "", strings.NewReader("From: a@b.c\r\n\r\n"+text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			size := func(text string) (smtp, api int64, err error) {
				m := plain()
				m.ConfigurationSet = "set"
				change(m, text)
				b, err := Build(m)
				if err != nil {
					return 0, 0, err
				}
				o, err := b.open(t.Context(), b.sesLines())
				if err != nil {
					return 0, 0, err
				}
				defer o.Close()
				smtp, err = o.WriteTo(io.Discard)
				api, apiErr := b.WriteTo(io.Discard)
				if (err == nil) != (apiErr == nil) {
					t.Errorf("SMTP: %v; API: %v", err, apiErr)
				}
				return smtp, api, err
			}
			small, _, err := size(lines(64))
			if err != nil {
				t.Fatal(err)
			}
			most := maxMessage - int(small) + 64
			if smtp, api, err := size(lines(most)); smtp != 40<<20 || api >= smtp || err != nil {
				t.Errorf("a message of 40 MB: %d and %d octets, %v", smtp, api, err)
			}
			_, _, err = size(lines(most + 1))
			if e, ok := errors.AsType[*seserrors.Error](err); !ok || e.Class != seserrors.Invalid || e.Reason != seserrors.MessageTooLong {
				t.Errorf("one octet more: %v", err)
			}
		})
	}
}

func TestALargeFileIsNotHeld(t *testing.T) {
	m := tenMB()
	const runs = 2
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if _, err := m.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 32<<10 {
		t.Errorf("%d octets allocated for a file of 10 MB, want 32 KB at most", got)
	}
}

// To the client it is a message that cannot be read; to the caller it is too long.
func TestAFileBeyond40MBIsTooLongOverSMTPToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &memorySMTP{make(chan string, 1)}
		_, err := srv.transport(t).Attempt(t.Context(), built(t, streaming(func() (io.ReadCloser, error) { return io.NopCloser(zeros{}), nil })))
		e, ok := errors.AsType[*seserrors.Error](err)
		if !ok || e.Class != seserrors.Invalid || e.Reason != seserrors.MessageTooLong || seserrors.MaybeAccepted(err) {
			t.Errorf("got %v", err)
		}
		if synctest.Wait(); len(srv.mails) > 0 {
			t.Error("a part of the mail was accepted")
		}
	})
}
