package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

//go:embed page
var assets embed.FS

// The pages, each within the layout.
var pages = parsePages("mails", "mail", "events", "faults", "account", "connect", "notice")

// assetFolder is the folder of the assets.
func assetFolder() fs.FS {
	folder, err := fs.Sub(assets, "page")
	if err != nil {
		panic(err) // the name is a constant
	}
	return folder
}

func parsePages(names ...string) map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"clock":      func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") },
		"iso":        func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"size":       size,
		"cut":        func(n int, s string) string { return cut(s, n) },
		"first":      func(n int, list []string) []string { return list[:min(n, len(list))] },
		"less":       func(a, b int) int { return a - b },
		"story":      story,
		"pretty":     pretty,
		"navigation": func() []choice { return navigation },
		"door":       door,
	}).ParseFS(assets, "page/layout.html"))
	all := map[string]*template.Template{}
	for _, name := range names {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(assets, "page/"+name+".html"))
	}
	return all
}

// size writes a number of octets for people.
func size(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1000/1000)
}

// door names the interface over which a mail came.
func door(m sestest.Mail) string {
	if m.Transport == "api" {
		return "API"
	}
	return "SMTP"
}

// navigation is what the head of each page leads to.
var navigation = []choice{{"/", "Mails"}, {"/events", "Events"}, {"/faults", "Faults"}, {"/account", "Account"}, {"/connect", "Connect"}}

func pretty(text json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

// story tells in a few words what an event says.
func story(e *event.Event) string {
	var words []string
	switch e.Type {
	case event.Bounce:
		words = []string{e.BounceType, e.BounceSubType}
	case event.Complaint:
		words = []string{e.ComplaintType, e.ComplaintSubType}
	case event.DeliveryDelay:
		words = []string{e.DelayType}
	case event.Delivery:
		words = []string{e.Response}
	case event.Click:
		words = []string{e.Link}
	}
	words = append(words, e.Problem)
	for _, r := range e.Recipients {
		if r.Diagnostic != "" {
			words = append(words, r.Diagnostic)
			break
		}
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// A site serves the page.
type site struct {
	*fake
	settings *settings
}

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.mails)
	mux.HandleFunc("GET /mail/{id}", s.mail)
	mux.HandleFunc("GET /mail/{id}/html", s.html)
	mux.HandleFunc("GET /mail/{id}/raw", s.raw)
	mux.HandleFunc("GET /mail/{id}/file/{n}", s.file)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /faults", s.faultsPage)
	mux.HandleFunc("GET /account", s.accountPage)
	mux.HandleFunc("GET /connect", s.connect)
	mux.HandleFunc("GET /certificate.pem", s.certificate)
	mux.Handle("GET /style.css", http.FileServerFS(assetFolder()))
	mux.Handle("GET /icon.svg", http.FileServerFS(assetFolder()))

	mux.HandleFunc("POST /forget", s.forget)
	mux.HandleFunc("POST /mail/{id}/outcome", s.mailOutcome)
	mux.HandleFunc("POST /faults", s.addFaults)
	mux.HandleFunc("POST /faults/drop", s.dropFaults)
	mux.HandleFunc("POST /outcomes", s.addOutcomes)
	mux.HandleFunc("POST /outcomes/drop", s.dropOutcomes)
	mux.HandleFunc("POST /account", s.setAccount)
	mux.HandleFunc("POST /account/identity", s.setIdentity)
	mux.HandleFunc("POST /account/suppression", s.setSuppression)
	return walled(mux)
}

// A view is what a page is made of.
type view struct {
	Title string
	Nav   string // path of the current entry of the navigation
	Said  string // what the last form did
	Every int    // seconds until the page loads again; 0: never
	Data  any
}

// said are the words after a form. Addresses carry the keys, so that no link can
// put words of its own on the page.
var said = map[string]string{
	"forgotten":  "All mails and events are forgotten.",
	"queued":     "It waits for the next mail or connection.",
	"dropped":    "Nothing waits any more.",
	"published":  "The event is published.",
	"unheard":    "Nobody hears of it: neither the configuration set of the mail nor its identity publishes such events.",
	"account":    "The account is changed.",
	"verified":   "The identity is set.",
	"removed":    "The identity is removed.",
	"suppressed": "The suppression list is changed.",
}

func (s *site) show(w http.ResponseWriter, r *http.Request, name string, v view) {
	v.Said = said[r.URL.Query().Get("said")]
	s.write(w, http.StatusOK, name, v)
}

func (s *site) write(w http.ResponseWriter, status int, name string, v view) {
	var b bytes.Buffer
	if err := pages[name].Execute(&b, v); err != nil {
		http.Error(w, "the page cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// refuse says why a request cannot be answered.
func (s *site) refuse(w http.ResponseWriter, status int, nav, why string) {
	s.write(w, status, "notice", view{Title: http.StatusText(status), Nav: nav, Data: why})
}

// back leads from a form to a page that says what it did.
func back(w http.ResponseWriter, r *http.Request, path, word string) {
	http.Redirect(w, r, path+"?said="+word, http.StatusSeeOther)
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.FormValue(name))
	return n
}

func (s *site) mails(w http.ResponseWriter, r *http.Request) {
	s.collect()
	every := 0
	if r.URL.Query().Has("every") {
		every = 5
	}
	s.show(w, r, "mails", view{Title: "Mails", Nav: "/", Every: every, Data: struct {
		excerpt[*item]
		Every    int
		Settings *settings
	}{s.box.mailPage(number(r, "page")), every, s.settings}})
}

func (s *site) events(w http.ResponseWriter, r *http.Request) {
	s.collect()
	s.show(w, r, "events", view{Title: "Events", Nav: "/events", Data: s.box.eventPage(number(r, "page"))})
}

func (s *site) forget(w http.ResponseWriter, r *http.Request) {
	s.collect()
	s.box.clear()
	back(w, r, "/", "forgotten")
}

// A choice is an entry of a list to choose from.
type choice struct{ Value, Label string }

// readyFaults are those that the page offers beside refusals.
var readyFaults = []choice{
	{"accept-then-cut", "Accept the mail, then drop the connection without an answer"},
	{"accept-then-fail", "Accept the mail, then answer with 500 (API)"},
	{"cut:end-of-data", "Drop the connection after the mail; it is not accepted"},
	{"cut:data", "Drop the connection at DATA"},
	{"cut-body:100", "Drop the connection in the middle of the mail"},
	{"reset:connect", "Reset the connection at its start"},
	{"cut:handshake", "Drop the connection before TLS (SMTP)"},
	{"stall:end-of-data", "Never answer after the mail"},
	{"delay:end-of-data:5s", "Answer 5 seconds late"},
	{"reply:end-of-data:250:", "Accept, and say 250 without an id (SMTP)"},
	{"entry:FAILED:Internal failure", "An entry of a bulk send fails (API)"},
	{"pass", "Let one mail pass"},
}

func refusalChoices() (list []choice) {
	for _, reason := range sestest.Reasons("") {
		list = append(list, choice{"refuse:" + string(reason), string(reason)})
	}
	return list
}

func outcomeChoices() (list []choice) {
	for _, o := range outcomes {
		list = append(list, choice{o.Name, o.Label})
	}
	return list
}

func (s *site) faultsPage(w http.ResponseWriter, r *http.Request) {
	s.collect()
	waiting, expected := s.waiting(), s.expected()
	const shown = 20
	s.show(w, r, "faults", view{Title: "Faults", Nav: "/faults", Data: struct {
		Waiting                   []sestest.Fault
		Expected                  []outcome
		MoreFaults, MoreOutcomes  int
		Ready, Refusals, Outcomes []choice
		Help                      string
		Max                       int
	}{
		Waiting: waiting[:min(shown, len(waiting))], MoreFaults: max(0, len(waiting)-shown),
		Expected: expected[:min(shown, len(expected))], MoreOutcomes: max(0, len(expected)-shown),
		Ready: readyFaults, Refusals: refusalChoices(), Outcomes: outcomeChoices(), Help: faultHelp(), Max: maxFaults,
	}})
}

func (s *site) addFaults(w http.ResponseWriter, r *http.Request) {
	text := strings.TrimSpace(r.FormValue("own"))
	if text == "" {
		text = r.FormValue("count") + "*" + r.FormValue("fault")
	}
	faults, err := parseFaults(text)
	if err == nil {
		err = s.script(faults)
	}
	if err != nil {
		s.refuse(w, http.StatusBadRequest, "/faults", err.Error())
		return
	}
	back(w, r, "/faults", "queued")
}

func (s *site) dropFaults(w http.ResponseWriter, r *http.Request) {
	s.clearFaults()
	back(w, r, "/faults", "dropped")
}

func (s *site) addOutcomes(w http.ResponseWriter, r *http.Request) {
	s.collect() // mails that are there already are not the next ones
	o, err := parseOutcome(r.FormValue("outcome"))
	count := number(r, "count")
	if err == nil && (count < 1 || count > maxFaults) {
		err = fmt.Errorf("the number must be from 1 to %d", maxFaults)
	}
	if err == nil {
		err = s.expect(o, count)
	}
	if err != nil {
		s.refuse(w, http.StatusBadRequest, "/faults", err.Error())
		return
	}
	back(w, r, "/faults", "queued")
}

func (s *site) dropOutcomes(w http.ResponseWriter, r *http.Request) {
	s.clearExpected()
	back(w, r, "/faults", "dropped")
}
