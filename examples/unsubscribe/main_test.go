package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

var ann = subscription{"news", "ann@example.net"}

func key(octet byte) []byte { return bytes.Repeat([]byte{octet}, 32) }

func newDesk(t *testing.T, s store) *desk {
	t.Helper()
	tokens, err := newTokens(key(1))
	if err != nil {
		t.Fatal(err)
	}
	return &desk{base: "https://lists.example.com/", mailto: "leave@example.com", tokens: tokens, store: s}
}

// do sends a request to the handler, as it stands, without cookies.
func do(d *desk, method, target, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	d.handler().ServeHTTP(w, r)
	return w
}

const urlencoded = "application/x-www-form-urlencoded"

func click(d *desk, target string) *httptest.ResponseRecorder {
	return do(d, "POST", target, urlencoded, "List-Unsubscribe=One-Click")
}

func (d *desk) link(s subscription) string { return path + d.tokens.seal(s) }

func left(t *testing.T, d *desk, s subscription) bool {
	t.Helper()
	yes, err := d.store.left(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

// The whole way: a mail, the link in its header, a click, no further mail.
func TestTheLinkOfAMailUnsubscribesItsRecipient(t *testing.T) {
	ses := sestest.NewMemoryServer()
	defer ses.Close()
	pool, err := smtpclient.New(smtpclient.Config{Addr: ses.SMTPAddr, Username: ses.Username, Password: ses.Password,
		TLSConfig: ses.TLSConfig(), DialContext: ses.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	sender := sesguard.New(sesguard.SMTP(pool), sesguard.Options{})
	d := newDesk(t, &memory{})
	news := sesguard.Message{From: "news@example.com", Subject: "News", Text: "Hello"}
	if _, err := d.newsletter(t.Context(), sender, ann, news); err != nil {
		t.Fatal(err)
	}
	mail := ses.Accepted()[0]
	if got := mail.Header("List-Unsubscribe-Post"); got != "List-Unsubscribe=One-Click" {
		t.Errorf("List-Unsubscribe-Post: %q", got)
	}
	field := mail.Header("List-Unsubscribe")
	link, rest, _ := strings.Cut(strings.TrimPrefix(field, "<"), ">")
	if !strings.HasPrefix(link, "https://lists.example.com"+path) || rest != ", <mailto:leave@example.com>" {
		t.Fatalf("List-Unsubscribe: %q", field)
	}
	if w := click(d, link); w.Code != 200 || !strings.Contains(w.Body.String(), "You have left the list news.") {
		t.Errorf("the click: %d %s", w.Code, w.Body)
	}
	if _, err := d.newsletter(t.Context(), sender, ann, news); !errors.Is(err, errLeft) {
		t.Errorf("the next mail: %v", err)
	}
	for _, other := range []subscription{{"news", "ben@example.net"}, {"offers", "ann@example.net"}} {
		if _, err := d.newsletter(t.Context(), sender, other, news); err != nil {
			t.Errorf("a mail of %q to another subscription: %v", other.list, err)
		}
	}
	if n := len(ses.Accepted()); n != 3 {
		t.Errorf("SES has %d mails, want 3", n)
	}
}

func TestLookingAtTheLinkChangesNothing(t *testing.T) {
	d := newDesk(t, &memory{})
	link := d.link(ann)
	for _, method := range []string{"GET", "HEAD"} {
		for _, target := range []string{link, link + "?List-Unsubscribe=One-Click"} {
			w := do(d, method, target, urlencoded, "List-Unsubscribe=One-Click")
			if w.Code != 200 || left(t, d, ann) {
				t.Errorf("%s %s: %d, left %t", method, target, w.Code, left(t, d, ann))
			}
		}
	}
	w := do(d, "GET", link, "", "")
	if text := w.Body.String(); !strings.Contains(text, `<form method="post">`) || !strings.Contains(text, `name="List-Unsubscribe" value="One-Click"`) || strings.Contains(text, "ann@") {
		t.Errorf("the page: %s", text)
	}
	if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Set-Cookie") != "" {
		t.Errorf("header %v", h)
	}
}

func TestAClickIsTakenInBothEncodingsAsOftenAsItComes(t *testing.T) {
	d := newDesk(t, &memory{})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	form.WriteField("List-Unsubscribe", "One-Click")
	form.Close()
	var first string
	for i, w := range []*httptest.ResponseRecorder{
		do(d, "POST", d.link(ann), form.FormDataContentType(), body.String()), click(d, d.link(ann)), click(d, d.link(ann)),
	} {
		if first == "" {
			first = w.Body.String()
		}
		if w.Code != 200 || w.Body.String() != first || w.Header().Get("Location") != "" || !left(t, d, ann) {
			t.Errorf("click %d: %d %s", i+1, w.Code, w.Body)
		}
	}
}

func TestWhatIsNoClickIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		method, contentType, body string
		want                      int
	}{
		"empty":          {"POST", urlencoded, "", 400},
		"another value":  {"POST", urlencoded, "List-Unsubscribe=One-click", 400},
		"another name":   {"POST", urlencoded, "Unsubscribe=One-Click", 400},
		"another type":   {"POST", "text/plain", "List-Unsubscribe=One-Click", 400},
		"too long":       {"POST", urlencoded, strings.Repeat("a=b&", 10000) + "List-Unsubscribe=One-Click", 400},
		"broken parts":   {"POST", "multipart/form-data; boundary=b", "--b\r\nContent-Dis", 400},
		"another method": {"PUT", urlencoded, "List-Unsubscribe=One-Click", 405},
		"a removal":      {"DELETE", "", "", 405},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, &memory{})
			w := do(d, tt.method, d.link(ann)+"?List-Unsubscribe=One-Click", tt.contentType, tt.body)
			if w.Code != tt.want || left(t, d, ann) {
				t.Errorf("%d, left %t: %s", w.Code, left(t, d, ann), w.Body)
			}
		})
	}
}

func TestOnlyOurOwnLinksCount(t *testing.T) {
	d := newDesk(t, &memory{})
	good := d.tokens.seal(ann)
	foreign, _ := newTokens(key(2))
	bad := map[string]string{
		"none": "x", "cut": good[:len(good)-4], "longer": good + "AAAA", "sealed by another key": foreign.seal(ann),
		"in clear":            base64.RawURLEncoding.EncodeToString([]byte("news\x00ann@example.net")),
		"for another purpose": base64.RawURLEncoding.EncodeToString(d.tokens.keys[0].Seal(nil, nil, []byte("news\x00ann@example.net"), nil)),
		"without a list":      base64.RawURLEncoding.EncodeToString(d.tokens.keys[0].Seal(nil, nil, []byte("ann@example.net"), purpose)),
	}
	for i := range len(good) - 1 { // the last one may hold bits that mean nothing
		changed := []byte(good)
		changed[i] ^= 1
		bad["changed "+string(changed)] = string(changed)
	}
	for name, token := range bad {
		for _, method := range []string{"GET", "POST"} {
			if w := do(d, method, path+url.PathEscape(token), urlencoded, "List-Unsubscribe=One-Click"); w.Code != http.StatusNotFound || left(t, d, ann) {
				t.Errorf("%s, %s: %d", name, method, w.Code)
			}
		}
	}
}

func TestALinkTellsNobodyWhoseItIs(t *testing.T) {
	d := newDesk(t, &memory{})
	token := d.tokens.seal(ann)
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"ann", "example.net", "news"} {
		if strings.Contains(token, word) || bytes.Contains(sealed, []byte(word)) {
			t.Errorf("the token holds %q", word)
		}
	}
	if d.tokens.seal(ann) == token {
		t.Error("two links of one recipient are the same")
	}
	if _, err := d.headers(subscription{"news", strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 90) + "example"}); err != nil {
		t.Errorf("the link of the longest address: %v", err)
	}
}

func TestLinksOutliveTheirKey(t *testing.T) {
	d := newDesk(t, &memory{})
	link := d.link(ann)
	d.tokens, _ = newTokens(key(2), key(1))
	if w := click(d, link); w.Code != 200 || !left(t, d, ann) {
		t.Errorf("an old link: %d", w.Code)
	}
	if w := click(d, d.link(ann)); w.Code != 200 {
		t.Errorf("a new link: %d", w.Code)
	}
}

// broken is a store that is down.
type broken struct{}

func (broken) leave(context.Context, subscription) error        { return errors.New("down") }
func (broken) left(context.Context, subscription) (bool, error) { return false, errors.New("down") }

func TestAStoreThatFailsIsNoUnsubscription(t *testing.T) {
	d := newDesk(t, broken{})
	if w := click(d, d.link(ann)); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "have left") {
		t.Errorf("the click: %d %s", w.Code, w.Body)
	}
	never := sesguard.SenderFunc(func(context.Context, *sesguard.Message) (*sesguard.Receipt, error) {
		t.Error("a mail was sent although nobody knows who has left")
		return nil, nil
	})
	if _, err := d.newsletter(t.Context(), never, ann, sesguard.Message{}); err == nil {
		t.Error("no error")
	}
}

func TestNamesOfListsAreEscaped(t *testing.T) {
	d := newDesk(t, &memory{})
	odd := subscription{"<script>alert(1)</script>", "ann@example.net"}
	for _, w := range []*httptest.ResponseRecorder{do(d, "GET", d.link(odd), "", ""), click(d, d.link(odd))} {
		if w.Code != 200 || strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

func TestTheProgramServesUntilItIsStopped(t *testing.T) {
	good := hex.EncodeToString(key(1))
	for env, want := range map[string]string{"": "", good: "", good + ", " + good: "", "xyz": "not hexadecimal", "abcd": "not 32"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		var out bytes.Buffer
		err := run(ctx, []string{"-listen", "127.0.0.1:0"}, func(string) string { return env }, &out)
		cancel()
		if want == "" && (err != nil || !strings.Contains(out.String(), "List-Unsubscribe: <https://lists.example.com"+path)) {
			t.Errorf("%v: %s", err, &out)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), env)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := run(t.Context(), []string{"-base", "http://lists.example.com"}, func(string) string { return "" }, &bytes.Buffer{}); err == nil {
		t.Error("links without TLS are taken")
	}
}
