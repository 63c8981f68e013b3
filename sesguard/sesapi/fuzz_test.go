package sesapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

// Whatever stands in a raw message and around it, checking it ends, counts at
// least one recipient, and refuses with class Invalid only.
func FuzzCheckInput(f *testing.F) {
	for _, seed := range []string{
		"From: a@example.com\r\nTo: b@example.org, C <c@example.org>\r\nX-SES-MESSAGE-TAGS: a=b, c=d\r\n\r\nhello\r\n",
		"To: undisclosed-recipients:;\r\n\r\n", "Bcc: @\n\n", "no header at all", "X-SES-Message-Tags: =,a,b=\r\n\r\n", ": \r\n\r\n", "",
	} {
		f.Add([]byte(seed), "a@example.com", "Ann <ann@bücher.example>")
	}
	f.Fuzz(func(t *testing.T, raw []byte, from, to string) {
		for _, d := range []*sestypes.Destination{nil, {ToAddresses: []string{to}}} {
			in := &sesv2.SendEmailInput{FromEmailAddress: &from, Destination: d, Content: &sestypes.EmailContent{Raw: &sestypes.RawMessage{Data: raw}}}
			_, info, err := checkInput(in)
			if err != nil && !errors.Is(err, seserrors.Invalid) || info.Recipients < 1 {
				t.Errorf("%v, %+v", err, info)
			}
			g := sesguard.NewGuard(sesguard.Options{TrackTag: "mail"})
			g.Do(t.Context(), info, func(ctx context.Context) (*sesguard.Receipt, error) {
				out, err := track(ctx, in)
				if err != nil && !errors.Is(err, seserrors.Invalid) || err == nil && len(out.EmailTags) == 0 {
					t.Errorf("%v, tags %v", err, out.EmailTags)
				}
				return nil, nil
			})
		}
	})
}

// A streamed body is the serialized request with the content in its place,
// however it is read and however often it is rewound.
func FuzzStream(f *testing.F) {
	f.Add([]byte("hello"), 0, "")
	f.Add([]byte("hel\"}"), block/5, `"Subject":"\"Raw\":{\"Data\":\"\""`)
	f.Add([]byte{0}, 3*block, "x")
	f.Fuzz(func(t *testing.T, content []byte, repeat int, before string) {
		content = bytes.Repeat(content, max(repeat, 0)%(4*block)/(len(content)+1)+1)
		if bytes.Contains([]byte(before), place) {
			t.Skip("no JSON string looks like it")
		}
		open := func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(iotest.HalfReader(bytes.NewReader(content))), nil
		}
		s, hash, err := newStream(t.Context(), bytes.NewReader([]byte(before+string(place)+"}}")), open)
		if err != nil {
			t.Fatal(err)
		}
		want := before + `"Raw":{"Data":"` + base64.StdEncoding.EncodeToString(content) + `"}}`
		for _, r := range []io.Reader{s, iotest.OneByteReader(s)} {
			io.CopyN(io.Discard, s, int64(len(want)/2))
			if _, err := s.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || string(got) != want || s.length != int64(len(want)) || hash != hashOf(got) {
				t.Fatalf("%v: %d octets, want %d", err, len(got), len(want))
			}
			s.Seek(0, io.SeekStart)
		}
	})
}
