package sesguard

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

func built(t *testing.T, m *Message) *Mail {
	t.Helper()
	mail, err := Build(m)
	if err != nil {
		t.Fatal(err)
	}
	return mail
}

func everything() *Message {
	m := plain()
	m.From, m.ReturnPath = "Jo <jo@example.com>", "bounces@example.com"
	m.To, m.Cc, m.Bcc = []string{"A <a@example.com>", "b@bücher.example"}, []string{"c@example.com"}, []string{"d@example.com"}
	m.ConfigurationSet, m.Tenant = "set", "tenant"
	m.FromARN = "arn:aws:ses:us-east-1:123456789012:identity/example.com"
	m.ReturnPathARN = "arn:aws:ses:us-east-1:123456789012:identity/example.org"
	m.Tags, m.List = []Tag{{"a", "b"}}, &List{"news", "weekly"}
	m.Attachments = []Attachment{{Name: "a.txt", Content: []byte("content")}}
	return m
}

// state is all that a Mail says of itself.
func state(t *testing.T, m *Mail) string {
	t.Helper()
	data, err := octets(m)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%q %q %q %q %q %q %q %q %q %q %v %v %q\n%s", m.From(), m.Author(), m.Recipients(), m.To(), m.Cc(), m.Bcc(),
		m.ConfigurationSet(), m.Tenant(), m.FromARN(), m.ReturnPathARN(), m.Tags(), *m.List(), m.TrackID(), data)
}

func TestAMailSaysWhatItsMessageSaid(t *testing.T) {
	m := built(t, everything())
	for name, pair := range map[string][2]string{
		"From":             {m.From(), "bounces@example.com"},
		"Author":           {m.Author(), "jo@example.com"},
		"Recipients":       {fmt.Sprint(m.Recipients()), "[a@example.com b@xn--bcher-kva.example c@example.com d@example.com]"},
		"To":               {fmt.Sprint(m.To()), "[a@example.com b@xn--bcher-kva.example]"},
		"Cc":               {fmt.Sprint(m.Cc()), "[c@example.com]"},
		"Bcc":              {fmt.Sprint(m.Bcc()), "[d@example.com]"},
		"ConfigurationSet": {m.ConfigurationSet(), "set"},
		"Tenant":           {m.Tenant(), "tenant"},
		"FromARN":          {m.FromARN(), "arn:aws:ses:us-east-1:123456789012:identity/example.com"},
		"ReturnPathARN":    {m.ReturnPathARN(), "arn:aws:ses:us-east-1:123456789012:identity/example.org"},
		"Tags":             {fmt.Sprint(m.Tags()), "[{a b}]"},
		"List":             {fmt.Sprint(*m.List()), "{news weekly}"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %s, want %s", name, pair[0], pair[1])
		}
	}
	data, _ := octets(m)
	if m.Size() != int64(len(data)) {
		t.Errorf("Size = %d of %d octets", m.Size(), len(data))
	}
	none := built(t, plain())
	if none.From() != none.Author() || none.List() != nil || none.Tags() != nil {
		t.Errorf("%q %q %v %v", none.From(), none.Author(), none.List(), none.Tags())
	}
}

// A Mail may wait in a queue for hours, while its Message is used for the next.
func TestNothingThatIsDoneToAMessageOrAnAnswerChangesAMail(t *testing.T) {
	msg := everything()
	m := built(t, msg)
	before := state(t, m)

	msg.From, msg.Subject, msg.Tenant = "x@y.z", "x", "x"
	msg.To[0], msg.Cc[0], msg.Bcc[0] = "x@y.z", "x@y.z", "x@y.z"
	msg.Tags[0], *msg.List = Tag{"x", "y"}, List{"x", "y"}
	msg.Attachments[0] = Attachment{Name: "x", Content: []byte("x")}
	m.Recipients()[0], m.To()[0], m.Cc()[0], m.Bcc()[0], m.Tags()[0] = "x", "x", "x", "x", Tag{"x", "y"}
	m.List().Topic = "x"
	track := func(m *Mail, tag string) *Mail {
		tracked, err := m.Track(tag)
		if err != nil {
			t.Fatal(err)
		}
		return tracked
	}
	many := track(track(m, "x"), "y") // whose tags have room for one more
	a, b := track(many, "first"), track(many, "second")
	if after := state(t, m); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
	if a.Tags()[3].Name != "first" || b.Tags()[3].Name != "second" {
		t.Errorf("two copies have the tags %v and %v", a.Tags(), b.Tags())
	}
}

func TestEachMailHasAnIDOfItsOwn(t *testing.T) {
	msg := plain()
	a, b := built(t, msg), built(t, msg)
	if shape := regexp.MustCompile(`^[A-Z2-7]{26}$`); !shape.MatchString(a.TrackID()) || a.TrackID() == b.TrackID() {
		t.Errorf("ids %q and %q", a.TrackID(), b.TrackID())
	}
	tracked, err := a.Track("sesguard-id")
	if err != nil || tracked.TrackID() != a.TrackID() || !slices.Equal(tracked.Tags(), []Tag{{"sesguard-id", a.TrackID()}}) {
		t.Errorf("tracked: %v, %v", tracked.Tags(), err)
	}
	again, err := tracked.Track("sesguard-id")
	if err != nil || len(again.Tags()) != 1 {
		t.Errorf("tracked twice: %v, %v", again.Tags(), err)
	}
}

func TestTrackRefusesWhatSESWould(t *testing.T) {
	msg := plain()
	msg.Tags = []Tag{{"taken", "x"}}
	m := built(t, msg)
	for name, tag := range map[string]string{"malformed": "a b", "none": "", "of the message": "taken", "too long": strings.Repeat("a", 256)} {
		_, err := m.Track(tag)
		e, ok := errors.AsType[*seserrors.Error](err)
		invalid, _ := errors.AsType[*ValidationError](err)
		if !ok || e.Class != seserrors.Invalid || e.Reason != seserrors.InvalidTag || invalid == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheTagsOfARawHeaderAreThoseOfTheMail(t *testing.T) {
	for _, tt := range []struct {
		name, header, want string
	}{
		{"one line", "X-SES-Message-Tags: a=b, c=d@e.f\r\n", "[{a b} {c d@e.f}]"},
		{"no spaces", "X-SES-MESSAGE-TAGS:a=b,c=d\r\n", "[{a b} {c d}]"},
		{"folded", "X-SES-MESSAGE-TAGS:\r\n a=b,\r\n\tc=d\r\nTo: x\r\n", "[{a b} {c d}]"},
		{"two headers", "X-SES-MESSAGE-TAGS: a=b\r\nX: y\r\nX-SES-MESSAGE-TAGS: c=d\r\n", "[{a b} {c d}]"},
		{"malformed", "X-SES-MESSAGE-TAGS: a b\r\n", ""},
		{"twice", "X-SES-MESSAGE-TAGS: a=b, a=c\r\n", ""},
		{"empty", "X-SES-MESSAGE-TAGS:\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			msg := &Message{From: "a@b.c", To: []string{"d@e.f"}, Raw: strings.NewReader("From: a@b.c\r\n" + tt.header + "\r\nX-SES-MESSAGE-TAGS: no=tag\r\n")}
			if tt.want == "" {
				if list := problems(t, msg); len(list) != 1 || list[0].Field != "Raw" || list[0].Reason != seserrors.InvalidTag {
					t.Errorf("got %v", list)
				}
				return
			}
			m := built(t, msg)
			if got := fmt.Sprint(m.Tags()); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if lines := m.sesLines(); len(lines) > 0 {
				t.Errorf("they are sent again over SMTP: %s", lines)
			}
			if _, err := m.Track("a"); err == nil {
				t.Error("a tag of the header was given again")
			}
			tracked, err := m.Track("id")
			if err != nil || len(tracked.Tags()) != 3 {
				t.Fatalf("tracked: %v, %v", tracked.Tags(), err)
			}
			_, err = smtpTransport{}.Attempt(t.Context(), tracked)
			if invalid, ok := errors.AsType[*ValidationError](err); !ok || invalid.Problems[0].Field != "Raw" {
				t.Errorf("over SMTP: %v", err)
			}
		})
	}
}

func TestAStoredMailIsTheSameMail(t *testing.T) {
	raw := &Message{From: "a@b.c", To: []string{"d@e.f"}, List: &List{"x", ""}, Raw: strings.NewReader("From: a@b.c\r\nX-SES-MESSAGE-TAGS: a=b\r\n\r\nbody")}
	tracked, err := built(t, everything()).Track("id")
	if err != nil {
		t.Fatal(err)
	}
	trackedRaw, err := built(t, raw).Track("id")
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*Mail{"everything": built(t, everything()), "tracked": tracked, "tracked raw": trackedRaw} {
		t.Run(name, func(t *testing.T) {
			data, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := LoadMail(data)
			if err != nil {
				t.Fatal(err)
			}
			want := state(t, m)
			if got := state(t, loaded); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if loaded.ownTags != m.ownTags || !bytes.Equal(loaded.sesLines(), m.sesLines()) {
				t.Errorf("over SMTP it has %s, want %s", loaded.sesLines(), m.sesLines())
			}
			clear(data) // a driver's buffer
			if got := state(t, loaded); got != want {
				t.Error("the loaded mail holds data of the caller")
			}
		})
	}
}

func TestLoadMailSaysWhatIsWrong(t *testing.T) {
	data, err := built(t, everything()).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(data)
	flipped[len(flipped)/2] ^= 1
	newer := bytes.Replace(data, []byte("mail 1"), []byte("mail 2"), 1)
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":         {nil, "no stored mail"},
		"something else":  {[]byte(strings.Repeat("{}", 100)), "no stored mail"},
		"a newer version": {newer, "another version"},
		"one bit":         {flipped, "checksum"},
		"cut short":       {data[:len(data)-10], "checksum"},
		"longer":          {append(bytes.Clone(data), 0), "checksum"},
	} {
		_, err := LoadMail(tt.data)
		e, ok := errors.AsType[*seserrors.Error](err)
		if !ok || e.Class != seserrors.Invalid || e.Reason != seserrors.ContentUnreadable || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
