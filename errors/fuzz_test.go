package errors

import (
	stderrors "errors"
	"net/textproto"
	"strings"
	"testing"
)

func FuzzClassify(f *testing.F) {
	for _, s := range samples(f, "testdata/replies.jsonl") {
		f.Add(554, s.code(), s.Text)
	}
	for name := range wrappings {
		f.Add(454, "Throttling", wrappings[name](454, longReply))
	}
	f.Add(-1, "\xff", "\x00&#\\u00")
	f.Fuzz(func(t *testing.T, code int, api, text string) {
		for _, e := range []*Error{
			FromSMTP("smtp DATA", code, text),
			FromSMTP("smtp RCPT", code, text),
			FromBulkStatus(api, text),
			FromAPI("", sdkError(code, api, text)),
			FromAPI("", sdkError(0, api, text)),
			Classify(&textproto.Error{Code: code, Msg: text}),
			Classify(stderrors.New(text)),
		} {
			checkBounds(t, e)
		}
	})
}

func FuzzEnhanced(f *testing.F) {
	for _, s := range []string{"4.4.2 Timeout", "5.1.1", "#5.7.1 x", "5.123.1234", "4.4", "", "2.0.0:x", "5.5.5\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code, rest := cutEnhanced(text)
		if code == "" {
			if rest != text {
				t.Errorf("%q: lost words: %q", text, rest)
			}
			return
		}
		if len(code) > len("5.123.123") || !strings.Contains(text, code) || !strings.HasSuffix(text, rest) || strings.Count(code, ".") != 2 || len(code)+len(rest) > len(text) {
			t.Errorf("%q: %q, %q", text, code, rest)
		}
	})
}
