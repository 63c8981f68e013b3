package sesguard

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// storedMail is a stored mail with this envelope, whose checksum is right.
func storedMail(head string, message string) []byte {
	data := []byte(mailVersion + head + "\n" + message)
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

const storedMessage = "From: a@b.c\r\nTo: d@e.f\r\n\r\nbody\r\n"

// A queue's octets are input: whoever can write to it must not get more than
// whoever can call Send.
func TestLoadMailChecksTheEnvelopeAnew(t *testing.T) {
	good := stored{ReturnPath: "r@b.c", From: "a@b.c", To: []string{"d@e.f"}, TrackID: strings.Repeat("A", 26)}
	for _, tt := range []struct {
		name    string
		change  func(s *stored)
		message string
		ok      bool
	}{
		{"as it was", func(*stored) {}, storedMessage, true},
		{"a second recipient in one", func(s *stored) { s.To = []string{"d@e.f>\r\nRCPT TO:<x@y.z"} }, storedMessage, false},
		{"a name", func(s *stored) { s.To = []string{"Jo <d@e.f>"} }, storedMessage, false},
		{"a Unicode domain", func(s *stored) { s.To = []string{"d@bücher.example"} }, storedMessage, false},
		{"twice the same", func(s *stored) { s.Cc = []string{"d@e.f"} }, storedMessage, false},
		{"51 recipients", func(s *stored) { s.To = addrs(51) }, storedMessage, false},
		{"no recipient", func(s *stored) { s.To = nil }, storedMessage, false},
		{"no sender", func(s *stored) { s.From = "" }, storedMessage, false},
		{"no envelope sender", func(s *stored) { s.ReturnPath = "" }, storedMessage, false},
		{"a line in the configuration set", func(s *stored) { s.ConfigurationSet = "a\r\nBcc: x@y.z" }, storedMessage, false},
		{"a tag", func(s *stored) { s.Tags = []Tag{{"a", "b\r\nBcc: x@y.z"}} }, storedMessage, false},
		{"a tag twice", func(s *stored) { s.Tags = []Tag{{"a", "b"}, {"a", "c"}} }, storedMessage, false},
		{"a tag of the header", func(s *stored) { s.Tags = []Tag{{"a", "b"}} }, "From: a@b.c\r\nX-SES-MESSAGE-TAGS: a=x\r\n\r\n", false},
		{"a list", func(s *stored) { s.List = &List{"a;b", ""} }, storedMessage, false},
		{"an ARN", func(s *stored) { s.FromARN = "x" }, storedMessage, false},
		{"an id", func(s *stored) { s.TrackID = "short" }, storedMessage, false},
		{"a bare LF", func(*stored) {}, "From: a@b.c\n\nbody\r\n", false},
		{"no last line end", func(*stored) {}, "From: a@b.c\r\n\r\nbody", false},
		{"Bcc", func(*stored) {}, "From: a@b.c\r\nBcc: x@y.z\r\n\r\n", false},
		{"no message", func(*stored) {}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := good
			tt.change(&s)
			head, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			m, err := LoadMail(storedMail(string(head), tt.message))
			if tt.ok != (err == nil) {
				t.Fatalf("got %v", err)
			}
			if e, ok := errors.AsType[*seserrors.Error](err); err != nil && (!ok || e.Class != seserrors.Invalid) {
				t.Errorf("got %#v", err)
			}
			if tt.ok && (m.From() != "r@b.c" || m.Author() != "a@b.c") {
				t.Errorf("got %q %q", m.From(), m.Author())
			}
		})
	}
}

func FuzzLoadMail(f *testing.F) {
	for _, s := range []string{
		`{"ReturnPath":"a@b.c","From":"a@b.c","To":["d@e.f"],"Cc":null,"Bcc":null,"TrackID":"AAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"ReturnPath":"a@b.c","From":"a@b.c","To":["d@e.f"],"Tags":[{"Name":"a","Value":"b"}],"List":{"ContactList":"x"},"TrackID":"AAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"to":["d@e.f"]}`, `{`, `null`, `[]`, ``, `{"To":[[["x"]]]}`, "{\"From\":\"\xff\"}",
	} {
		f.Add(s, storedMessage)
		f.Add(s, "X-SES-MESSAGE-TAGS: a=b\r\nFrom: a@b.c\r\n\r\n")
		f.Add(s, "\r\n")
	}
	f.Fuzz(func(t *testing.T, head, message string) {
		LoadMail([]byte(head + message))
		m, err := LoadMail(storedMail(head, message))
		if err != nil {
			if e, ok := errors.AsType[*seserrors.Error](err); !ok || e.Class != seserrors.Invalid || len(err.Error()) > 5000 || strings.ContainsFunc(err.Error(), isControl) {
				t.Errorf("%q", err)
			}
			return
		}
		for _, s := range append(m.Recipients(), m.From(), m.Author()) {
			if a, err := ParseAddress(s); err != nil || a.Addr() != s {
				t.Errorf("%q is in the envelope", s)
			}
		}
		data, err := octets(m)
		if err != nil {
			t.Fatal(err)
		}
		checkLines(t, data)
		checkLines(t, append(m.sesLines(), "\r\n"...))
		again, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		same, err := LoadMail(again)
		if err != nil {
			t.Fatalf("what was loaded cannot be loaded again: %v", err)
		}
		if third, _ := same.MarshalBinary(); !bytes.Equal(third, again) {
			t.Errorf("%q became %q", again, third)
		}
	})
}
