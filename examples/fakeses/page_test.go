package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A rig is a fake with its page.
type rig struct {
	*site
	t *testing.T
	h http.Handler
}

// newRig starts a fake in memory that the command line describes.
func newRig(t *testing.T, args ...string) *rig {
	t.Helper()
	var out bytes.Buffer
	s, err := parse(args, &out)
	if err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	f := s.fake()
	f.ses.StartMemory()
	t.Cleanup(f.ses.Close)
	st := &site{fake: f, settings: s}
	return &rig{st, t, st.handler()}
}

func (r *rig) do(req *http.Request) *httptest.ResponseRecorder {
	req.Host = "localhost:2580"
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w
}

func (r *rig) get(path string) *httptest.ResponseRecorder {
	return r.do(httptest.NewRequest("GET", path, nil))
}

func (r *rig) page(path string) string {
	r.t.Helper()
	w := r.get(path)
	if w.Code != 200 {
		r.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// post sends a form and returns the page to which it leads.
func (r *rig) post(path string, form url.Values) string {
	r.t.Helper()
	req := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := r.do(req)
	if w.Code != http.StatusSeeOther {
		r.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return r.page(w.Header().Get("Location"))
}

// send hands a raw mail over and returns its answer.
func (r *rig) send(mail string, to ...string) error {
	r.t.Helper()
	conn, err := r.ses.DialContext(r.t.Context(), "tcp", r.ses.PlainAddr)
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return err
	}
	defer c.Close()
	if len(to) == 0 {
		to = []string{"ann@example.net"}
	}
	if err := c.Mail("shop@example.com"); err != nil {
		return err
	}
	for _, a := range to {
		if err := c.Rcpt(a); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	io.WriteString(w, strings.ReplaceAll(strings.ReplaceAll(mail, "\r\n", "\n"), "\n", "\r\n"))
	return w.Close()
}

// sent sends a mail that must be accepted, and returns the path of its page.
func (r *rig) sent(mail string, to ...string) string {
	r.t.Helper()
	if err := r.send(mail, to...); err != nil {
		r.t.Fatal(err)
	}
	r.collect()
	return "/mail/" + r.box.mailPage(1).Items[0].ID
}

const head = "From: Shop <shop@example.com>\nTo: ann@example.net\nMIME-Version: 1.0\n"

func htmlMail(body string) string {
	return head + "Subject: Hello\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n" + inBase64([]byte(body))
}

func inBase64(data []byte) string {
	text := base64.StdEncoding.EncodeToString(data)
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	return b.String() + text + "\n"
}

// What mails try to bring into a page.
var hostile = map[string]string{
	"script":       `<script>alert(1)</script>`,
	"broken out":   `"></bdi></title></textarea><script>alert(1)</script>`,
	"image":        `<img src=x onerror=alert(1)>`,
	"svg":          `<svg onload=alert(1)><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>`,
	"link":         `<a href="javascript:alert(1)">x</a><a href=" jAvascript&colon;alert(1)">y</a>`,
	"base":         `<base href="http://evil.example/">`,
	"refresh":      `<meta http-equiv="refresh" content="0;url=http://evil.example/">`,
	"form":         `<form action="/forget" method="post"><button autofocus>x</button></form>`,
	"style":        `<style>@import "http://evil.example/x.css"; * { background: url(http://evil.example/) }</style>`,
	"preconnect":   `<link rel=preconnect href="http://evil.example/"><link rel=stylesheet href="http://evil.example/x.css">`,
	"frames":       `<iframe src="http://evil.example/" srcdoc="<script>alert(1)</script>"></iframe><object data="http://evil.example/"></object><embed src="http://evil.example/">`,
	"noscript":     `<noscript><link rel=preconnect href="http://evil.example/"><p title="</noscript><script>alert(1)</script>"></noscript>`,
	"math":         `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;script&gt;alert(1)&lt;/script&gt;">`,
	"template":     `<template><script>alert(1)</script></template>{{.}}`,
	"other way":    "\u202e\u2066evil\u2069\u202c",
	"control":      "a\x00b\x1b[31mc\x7f",
	"broken UTF-8": "\xff\xfe\xc3(<script>alert(1)</script>",
}

// wantClean checks that a page holds no element that the page itself has not.
func wantClean(t *testing.T, path, page string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		bad := slices.Contains([]string{"script", "base", "object", "embed", "svg", "math", "style", "img", "template"}, n.Data)
		for _, a := range n.Attr {
			bad = bad || strings.HasPrefix(a.Key, "on") || a.Key == "href" && strings.Contains(strings.ToLower(a.Val), "script:") ||
				a.Key == "http-equiv" || a.Key == "style" || a.Key == "autofocus"
		}
		if n.Data == "iframe" {
			bad = bad || !slices.Contains(n.Attr, html.Attribute{Key: "sandbox"})
		}
		if bad {
			t.Errorf("%s: the page holds <%s %v>", path, n.Data, n.Attr)
		}
	}
}

func TestNoMailBringsAnythingIntoThePagesAroundIt(t *testing.T) {
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			word := "=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(text)) + "?="
			mail := r.sent("From: "+word+" <shop@example.com>\nTo: "+word+" <ann@example.net>\nSubject: "+word+"\nX-Own: "+word+
				"\nMIME-Version: 1.0\nX-SES-MESSAGE-TAGS: a=b\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n"+
				inBase64([]byte(text))+"\n--b\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n"+inBase64([]byte(text))+
				"\n--b\nContent-Type: image/svg+xml; name=\""+word+"\"\nContent-ID: <"+word+">\n\n<svg onload=alert(1)>\n--b--\n", `"<b>"@example.net`)
			for _, path := range []string{"/", mail, "/events", "/faults", "/account", "/connect"} {
				wantClean(t, path, r.page(path))
			}
		})
	}
}

func TestTheFrameIsSealed(t *testing.T) {
	const stays = "This text stays."
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			w := r.get(r.sent(htmlMail("<p>"+stays+"</p>"+text+"<p>after</p>")) + "/html")
			if got := w.Header().Get("Content-Security-Policy"); w.Code != 200 || got != frameCSP {
				t.Errorf("%d, policy %q", w.Code, got)
			}
			if !strings.Contains(w.Body.String(), stays) {
				t.Errorf("the text is gone: %s", w.Body)
			}
			doc, err := html.ParseWithOptions(w.Body, html.ParseOptionEnableScripting(false))
			if err != nil {
				t.Fatal(err)
			}
			for n := range doc.Descendants() {
				if n.Type == html.ElementNode && slices.Contains(dropped, n.Data) {
					t.Errorf("the frame holds <%s %v>", n.Data, n.Attr)
				}
				for _, a := range n.Attr {
					if strings.HasPrefix(a.Key, "on") || a.Key == "href" && n.Data == "a" && a.Val != "#" {
						t.Errorf("the frame holds <%s %v>", n.Data, n.Attr)
					}
				}
			}
		})
	}
}

// The policies are what the safety of the page rests on.
func TestEachAnswerHasItsPolicy(t *testing.T) {
	for _, policy := range []string{pageCSP, frameCSP, fileCSP} {
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "script-src") || strings.Contains(policy, "http") || strings.Contains(policy, "allow-") {
			t.Errorf("policy %q lets too much through", policy)
		}
	}
	r := newRig(t)
	mail := r.sent(htmlMail("<p>Hello</p>"))
	file := r.sent(head + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html; name=a.html\n\n<script>alert(1)</script>\n--b--\n")
	for path, want := range map[string]string{
		"/": pageCSP, mail: pageCSP, "/events": pageCSP, "/faults": pageCSP, "/account": pageCSP, "/connect": pageCSP, "/style.css": pageCSP,
		"/certificate.pem": pageCSP, "/nothing": pageCSP, "/mail/nothing": pageCSP,
		mail + "/html": frameCSP, mail + "/raw": fileCSP, file + "/file/0": fileCSP,
	} {
		h := r.get(path).Header()
		if h.Get("Content-Security-Policy") != want || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" ||
			h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s: header %v", path, h)
		}
	}
	if h := r.get(mail + "/raw").Header(); h.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("raw mail: header %v", h)
	}
}

func TestLinksStandBesideTheFrame(t *testing.T) {
	l, err := newLetter(`<a href="https://example.com/confirm?a=1&amp;b=2">Confirm <b>now</b></a><a href="javascript:alert(1)">no</a>
		<a href="//example.com/">no</a><a href="mailto:a@example.com">no</a><a href="http://example.org/"><img src="http://example.org/x.png"></a>`, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []link{{"Confirm now", "https://example.com/confirm?a=1&b=2"}, {"no text", "http://example.org/"}}
	if !slices.Equal(l.Links, want) || l.Remote != 1 || bytes.Contains(l.HTML, []byte("confirm?")) {
		t.Errorf("links %q, %d remote images, %s", l.Links, l.Remote, l.HTML)
	}
	if l, err := newLetter(strings.Repeat(`<a href="http://example.org/">x</a>`, 10000), nil); err != nil || len(l.Links) != maxLinks {
		t.Errorf("%d links, %v", len(l.Links), err)
	}
}

func TestInlineImagesComeFromTheMail(t *testing.T) {
	png := []byte("\x89PNG\r\n\x1a\n")
	data := "data:image/png;base64," + base64.StdEncoding.EncodeToString(png)
	files := []sestest.File{
		{ContentID: "logo", ContentType: "image/png", Data: png},
		{ContentID: "logo&2@x", ContentType: "image/gif", Data: []byte("GIF89a")},
		{ContentID: "page", ContentType: "image/svg+xml", Data: []byte("<svg onload=alert(1)>")},
		{ContentID: "html", ContentType: "text/html", Data: []byte("<script>")},
	}
	l, err := newLetter(`<img src="cid:logo"><img src="cid:logo&amp;2@x"><img src="cid:page"><img src="cid:html"><div style="background:url(cid:logo)">`, files)
	if err != nil {
		t.Fatal(err)
	}
	got := string(l.HTML)
	if strings.Count(got, data) != 2 || !strings.Contains(got, `"data:image/gif;base64,R0lGODlh"`) || !strings.Contains(got, `"cid:page"`) || !strings.Contains(got, `"cid:html"`) {
		t.Errorf("%s", got)
	}
}

func TestInlineImagesHaveLimitedRoom(t *testing.T) {
	big := sestest.File{ContentID: "big", ContentType: "image/png", Data: make([]byte, 1<<20)}
	l, err := newLetter(strings.Repeat(`<img src="cid:big">`, 100), []sestest.File{big})
	if err != nil || len(l.HTML) > maxInline+maxHTML {
		t.Errorf("%d octets, %v", len(l.HTML), err)
	}
}

func TestLongAndDeepHTMLIsCutOrRefused(t *testing.T) {
	r := newRig(t)
	long := r.sent(htmlMail("<p>" + strings.Repeat("ä", maxHTML)))
	if n := len(r.page(long + "/html")); n > 2*maxHTML {
		t.Errorf("the frame has %d octets", n)
	}
	if !strings.Contains(r.page(long), "this is its beginning") {
		t.Error("the page does not say that the HTML is cut")
	}
	deep := r.sent(htmlMail(strings.Repeat("<div>", 2000)))
	if w := r.get(deep + "/html"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("deep HTML: %d", w.Code)
	}
	if page := r.page(deep); !strings.Contains(page, "nested too deeply") || strings.Contains(page, "<iframe") {
		t.Errorf("deep HTML: %s", page)
	}
}

func TestFilesAreSavedAndNeverShown(t *testing.T) {
	for name, want := range map[string]string{
		"invoice.pdf":                 `attachment; filename=invoice.pdf`,
		"my invoice.pdf":              `attachment; filename="my invoice.pdf"`,
		"../../etc/passwd":            `attachment; filename=passwd`,
		`C:\Windows\evil.exe`:         `attachment; filename=evil.exe`,
		"/":                           `attachment; filename=_`,
		"..":                          `attachment; filename=file`,
		".bashrc":                     `attachment; filename=bashrc`,
		"a\r\nSet-Cookie: x=y\r\n.js": `attachment; filename="a__Set-Cookie_ x=y__.js"`,
		`a"b;c.html`:                  `attachment; filename="a_b;c.html"`,
		"Grüße.txt":                   `attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.txt`,
		"\u202etxt.exe":               `attachment; filename=_txt.exe`,
		strings.Repeat("x", 10000):    `attachment; filename*=utf-8''` + strings.Repeat("x", 120) + "%E2%80%A6",
	} {
		t.Run(cut(name, 40), func(t *testing.T) {
			r := newRig(t)
			word := "=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
			const content = "<script>alert(1)</script>"
			mail := r.sent(head + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\nContent-Disposition: inline; filename=\"" + word +
				"\"\nContent-Transfer-Encoding: base64\n\n" + inBase64([]byte(content)) + "--b--\n")
			w := r.get(mail + "/file/0")
			if h := w.Header(); h.Get("Content-Disposition") != want || h.Get("Content-Type") != "application/octet-stream" || h.Get("Set-Cookie") != "" {
				t.Errorf("header %v, want %s", h, want)
			}
			if w.Body.String() != content {
				t.Errorf("content %q", w.Body)
			}
			for _, n := range []string{"1", "-1", "x", "99999999999999999999"} {
				if code := r.get(mail + "/file/" + n).Code; code != http.StatusNotFound {
					t.Errorf("file %s: %d", n, code)
				}
			}
		})
	}
}

func TestBrokenMailsAreShownAsFarAsTheyGo(t *testing.T) {
	for name, mail := range map[string]string{
		"no body":             head,
		"no boundary":         head + "Content-Type: multipart/mixed\n\nHello\n",
		"boundary never used": head + "Content-Type: multipart/mixed; boundary=b\n\nHello\n",
		"part without end":    head + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>Hello",
		"broken base64":       head + "Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPHA+*SGVsbG8\n",
		"broken quoting":      head + "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<p>=ZZ=\n",
		"unknown charset":     head + "Subject: =?x-unknown?q?=ff=fe?=\nContent-Type: text/html; charset=utf-7\n\n+ADw-script+AD4-alert(1)+ADw-/script+AD4-\n",
		"broken words":        head + "Subject: =?utf-8?b?//8?= =?utf-8?q?=zz?=\n\nHello\n",
		"many parts":          head + "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: text/html; name=a\n\nx\n", 2000) + "--b--\n",
		"many fields":         head + strings.Repeat("X-A: b\n", 2000) + "\nHello\n",
		"long field":          head + "X-A: b" + strings.Repeat("\n more and more and more", 2000) + "\n\nHello\n",
		"nested":              head + "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: multipart/mixed; boundary=b\n\n", 50) + "--b--\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			path := r.sent(mail)
			for _, p := range []string{"/", path, path + "/html", path + "/raw", path + "/file/0", "/events"} {
				if code := r.get(p).Code; code != 200 && code != http.StatusNotFound {
					t.Errorf("%s: %d", p, code)
				}
			}
			page := r.page(path)
			wantClean(t, path, page)
			if len(page) > 200<<10 {
				t.Errorf("the page has %d octets", len(page))
			}
		})
	}
}

func TestOnlyNamesOfThisMachineReachThePage(t *testing.T) {
	r := newRig(t)
	for host, want := range map[string]int{
		"localhost": 200, "localhost:2580": 200, "LOCALHOST:1": 200, "127.0.0.1:2580": 200, "127.1.2.3": 200, "[::1]:2580": 200,
		"": 403, "evil.example": 403, "evil.example:2580": 403, "localhost.evil.example:2580": 403, "127.0.0.1.evil.example": 403,
		"192.168.1.2:2580": 403, "0.0.0.0:2580": 403, "[::]:2580": 403, "localhost:2580:1": 403,
	} {
		for _, method := range []string{"GET", "POST"} {
			req := httptest.NewRequest(method, "/", nil)
			req.Host = host
			w := httptest.NewRecorder()
			r.h.ServeHTTP(w, req)
			if got := w.Code; got != want && (method == "GET" || want != 200) {
				t.Errorf("%s, Host %q: %d, want %d", method, host, got, want)
			}
		}
	}
}

func TestFormsOfOtherSitesChangeNothing(t *testing.T) {
	r := newRig(t)
	mail := r.sent(htmlMail("Hello"))
	paths := []string{"/forget", mail + "/outcome", "/faults", "/faults/drop", "/outcomes", "/outcomes/drop", "/account", "/account/identity", "/account/suppression"}
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		{"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://localhost:3000"}}, // another program of this machine
		{"Origin": {"http://localhost:3000"}},                                  // in an old browser
		{"Origin": {"null"}},                                                   // out of a sandboxed frame
	} {
		for _, path := range paths {
			req := httptest.NewRequest("POST", path, strings.NewReader("fault=accept-then-cut&count=1&outcome=bounce&name=evil.example&do=verify&address=a@example.net&paused=on"))
			req.Header = header.Clone()
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if code := r.do(req).Code; code != http.StatusForbidden {
				t.Errorf("%s with %v: %d", path, header, code)
			}
		}
	}
	for _, path := range paths {
		if code := r.get(path).Code; code >= 300 && code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, code)
		}
	}
	if n := r.ses.FaultsLeft(); n != 0 || r.currentStanding() != (standing{}) || len(r.ses.Account.SuppressionList()) != 0 || r.box.mailPage(1).Total != 1 {
		t.Error("something was changed")
	}
}

func TestTheListIsPagedNewestFirst(t *testing.T) {
	r := newRig(t)
	for i := range 120 {
		if err := r.send(fmt.Sprintf("%sSubject: mail %d\n\nHello\n", head, i)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string][]string{
		"/":         {"mail 119<", "mail 70<", "1 of 3"},
		"/?page=2":  {"mail 69<", "mail 20<", "2 of 3"},
		"/?page=3":  {"mail 19<", "mail 0<", "3 of 3"},
		"/?page=99": {"mail 19<", "mail 0<", "3 of 3"},
		"/?page=-1": {"mail 119<", "mail 70<", "1 of 3"},
		"/?page=x":  {"mail 119<", "mail 70<", "1 of 3"},
	} {
		page := r.page(path)
		at := 0
		for _, text := range want {
			i := strings.Index(page[at:], text)
			if i < 0 {
				t.Errorf("%s: no %q, or in another order", path, text)
			}
			at += max(0, i)
		}
		if n := strings.Count(page, `<a href="/mail/`); n > pageSize {
			t.Errorf("%s: %d mails", path, n)
		}
	}
	if page := r.post("/forget", nil); !strings.Contains(page, "No mail yet") || !strings.Contains(page, said["forgotten"]) {
		t.Error("the mails are not forgotten")
	}
}
