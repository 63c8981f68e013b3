package errors

import (
	"encoding/json"
	stderrors "errors"
	"net/textproto"
	"strings"
	"testing"
)

func FuzzClassify(f *testing.F) {
	for _, s := range allSamples(f) {
		f.Add(554, s.code(), s.Text)
	}
	for _, text := range secretTexts {
		f.Add(535, "SignatureDoesNotMatch", text)
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
		// Whatever stands around it, a refusal is no acceptance, and its code
		// decides about the class where the words do not.
		if e := FromSMTP("smtp DATA", code, text); e.MaybeAccepted != (code < 400 || code > 599) || code >= 400 && code < 500 && !IsRetryable(e) {
			t.Errorf("%d %q: %+v", code, text, e)
		}
		if strings.Contains(text, secret) || strings.Contains(api, secret) {
			return
		}
		leaky := Classify(stderrors.New(text + " AUTH PLAIN " + secret))
		if strings.Contains(leaky.Error(), secret) {
			t.Errorf("secret in %v", leaky)
		}
	})
}

// FuzzJSON classifies JSON bodies of errors, whole and cut, as text and as the
// message of an SDK's error.
func FuzzJSON(f *testing.F) {
	for _, s := range allSamples(f) {
		if s.Channel == "api" {
			f.Add(s.code(), s.Text, s.HTTP, 0)
		}
	}
	f.Add("x#Throttling:http://x", "\u2028\"}", 500, 9)
	f.Fuzz(func(t *testing.T, code, text string, status, end int) {
		for _, body := range []any{
			map[string]any{"__type": "com.amazonaws.ses#" + code, "message": text},
			map[string]any{"Error": map[string]any{"Type": "Sender", "Code": code, "Message": text}, "RequestId": "x"},
			map[string]any{"name": code, "$metadata": map[string]any{"httpStatusCode": status}, "message": text},
			[]any{text, code, status},
		} {
			data, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			whole := string(data)
			checkBounds(t, Classify(stderrors.New(whole)))
			checkBounds(t, Classify(stderrors.New(whole[:min(len(whole), max(0, end))])))
			checkBounds(t, FromAPI("", sdkError(status, code, whole)))
		}
	})
}

// A JSON body tells what the SDK's error with the same code and words tells.
func TestJSONBodies(t *testing.T) {
	for _, s := range allSamples(t) {
		if s.Channel != "api" || s.code() == "" || number(s.code()) != 0 || !s.isBare() {
			continue
		}
		for _, body := range []any{
			map[string]any{"__type": "com.amazonaws.ses#" + s.code(), "message": s.Text},
			map[string]any{"Error": map[string]any{"Type": "Sender", "Code": s.code(), "Message": s.Text}, "RequestId": "x"},
			map[string]any{"name": s.code(), "$metadata": map[string]any{"httpStatusCode": s.HTTP}, "message": s.Text},
		} {
			data, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			s := s.flattened()
			if e := Classify(stderrors.New(string(data))); e.Class != s.Class || e.Reason != s.Reason {
				t.Errorf("%s: got %v, %s; want %v, %s", data, e.Class, e.Reason, s.Class, s.Reason)
			}
		}
	}
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
