package main

import (
	"context"
	"html/template"
	"log"
	"net/http"
	"strings"

	"github.com/sesguard/sesguard-go/sesguard"
)

// A store keeps who has left which list. It is safe for concurrent use.
type store interface {
	// leave ends a subscription. To end one that has ended changes nothing.
	leave(ctx context.Context, s subscription) error
	// left reports whether a subscription has ended.
	left(ctx context.Context, s subscription) (bool, error)
}

// A desk takes unsubscriptions and makes the headers that lead to it.
type desk struct {
	base   string // "https://lists.example.com": where the handler is reached from outside
	mailto string // takes unsubscriptions by mail, or ""
	tokens *tokens
	store  store
}

const path = "/unsubscribe/"

// headers returns what belongs into Message.Headers of a mail to one recipient of
// the list.
func (d *desk) headers(s subscription) ([]sesguard.Header, error) {
	return sesguard.Unsubscribe(strings.TrimSuffix(d.base, "/")+path+d.tokens.seal(s), d.mailto)
}

// handler serves the links. It wants no cookies and sets none: the token alone says
// who leaves what, because the provider of the reader's mailbox has no cookies.
func (d *desk) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path+"{token}", d.ask) // HEAD too
	mux.HandleFunc("POST "+path+"{token}", d.leave)
	return mux
}

// ask shows a form. It changes nothing, because scanners of mail and browsers that
// fetch ahead follow links before anybody clicks.
func (d *desk) ask(w http.ResponseWriter, r *http.Request) {
	if s, ok := d.subscription(w, r); ok {
		show(w, http.StatusOK, view{Title: "Unsubscribe", Text: "Do you want to leave the list " + s.list + "?", Ask: true})
	}
}

// leave takes the POST of RFC 8058 §3.2, which the form sends as well. It answers
// without a redirect, and the second time as the first.
func (d *desk) leave(w http.ResponseWriter, r *http.Request) {
	const longest = 8 << 10 // octets of a body, which has some thirty
	r.Body = http.MaxBytesReader(w, r.Body, longest)
	s, ok := d.subscription(w, r)
	switch {
	case !ok:
	case r.PostFormValue("List-Unsubscribe") != "One-Click": // in either encoding of forms
		show(w, http.StatusBadRequest, view{Title: "Not unsubscribed", Text: "The request does not say List-Unsubscribe=One-Click."})
	default:
		if err := d.store.leave(r.Context(), s); err != nil {
			log.Printf("unsubscribe from %s: %v", s.list, err) // without the address
			show(w, http.StatusServiceUnavailable, view{Title: "Not unsubscribed yet", Text: "That did not work. Please try again later."})
			return
		}
		show(w, http.StatusOK, view{Title: "Unsubscribed", Text: "You have left the list " + s.list + "."})
	}
}

// subscription reads the token of a request, or says that it is none.
func (d *desk) subscription(w http.ResponseWriter, r *http.Request) (subscription, bool) {
	s, err := d.tokens.open(r.PathValue("token"))
	if err != nil {
		show(w, http.StatusNotFound, view{Title: "No such link", Text: "Please use the link as it stands in the mail."})
	}
	return s, err == nil
}

// A view is what a page says. It names the list and never the address: the mail
// may have been forwarded.
type view struct {
	Title, Text string
	Ask         bool
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{{.Title}}</title>
<main>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
{{if .Ask}}<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click"><button>Unsubscribe</button></form>{{end}}
</main>
</html>
`))

func show(w http.ResponseWriter, status int, v view) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address of the page is its key
	h.Set("X-Robots-Tag", "noindex")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = page.Execute(w, v) // the reader has left
}
