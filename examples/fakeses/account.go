package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func (s *site) accountPage(w http.ResponseWriter, r *http.Request) {
	list := s.ses.Account.SuppressionList()
	const shown = 100
	s.show(w, r, "account", view{Title: "Account", Nav: "/account", Data: struct {
		standing
		Sent       float64
		Suppressed []sestest.Suppressed
		More       int
		Region     string
	}{s.currentStanding(), s.ses.Account.SentLast24Hours(), list[:min(shown, len(list))], max(0, len(list)-shown), s.ses.Region}})
}

func (s *site) setAccount(w http.ResponseWriter, r *http.Request) {
	rate, err := limit(r, "rate")
	quota, err2 := limit(r, "quota")
	if err != nil || err2 != nil {
		s.refuse(w, http.StatusBadRequest, "/account", "Rate and quota must be numbers from 0 on.")
		return
	}
	has := func(name string) bool { return r.FormValue(name) != "" }
	s.setStanding(standing{
		Sandbox: has("sandbox"), Paused: has("paused"), Suspended: has("suspended"), Probation: has("probation"),
		Rate: rate, Quota: quota,
	})
	back(w, r, "/account", "account")
}

func limit(r *http.Request, name string) (float64, error) {
	text := strings.TrimSpace(r.FormValue(name))
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err == nil && !(n >= 0 && n <= 1e9) {
		err = fmt.Errorf("%v is no limit", n)
	}
	return n, err
}

func (s *site) setIdentity(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSpace(r.FormValue("name"))
	if name == "" || len(name) > 320 || strings.ContainsAny(name, "=, ") {
		s.refuse(w, http.StatusBadRequest, "/account", "An identity is a domain or an address.")
		return
	}
	if r.FormValue("do") == "remove" {
		s.ses.Account.Unverify(name)
		back(w, r, "/account", "removed")
		return
	}
	verify(s.ses.Account, name, s.set)
	back(w, r, "/account", "verified")
}

func (s *site) setSuppression(w http.ResponseWriter, r *http.Request) {
	address := strings.TrimSpace(r.FormValue("address"))
	if !strings.Contains(address, "@") || len(address) > 320 || strings.ContainsAny(address, "=, ") {
		s.refuse(w, http.StatusBadRequest, "/account", "The suppression list holds addresses.")
		return
	}
	if r.FormValue("do") == "remove" {
		s.ses.Account.Unsuppress(address)
	} else {
		suppress(s.ses.Account, address)
	}
	back(w, r, "/account", "suppressed")
}

// A doorway is where a client connects.
type doorway struct{ What, Host, Port string }

func (s *site) connect(w http.ResponseWriter, r *http.Request) {
	ways := []doorway{
		{What: "SMTP with STARTTLS", Host: s.ses.SMTPAddr},
		{What: "SMTP with TLS wrapper", Host: s.ses.SMTPSAddr},
		{What: "API, over HTTPS", Host: strings.TrimPrefix(s.ses.URL, "https://")},
		{What: "SMTP without TLS and sign-in", Host: s.ses.PlainAddr},
	}
	for i := range ways {
		ways[i].Host, ways[i].Port, _ = net.SplitHostPort(ways[i].Host)
	}
	s.show(w, r, "connect", view{Title: "Connect", Nav: "/connect", Data: struct {
		Ways []doorway
		SES  *sestest.Server
		Cert string
	}{ways, s.ses, s.settings.cert}})
}

func (s *site) certificate(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Header().Set("Content-Disposition", `attachment; filename="fakeses.pem"`)
	_, _ = w.Write(s.ses.CertPEM())
}
