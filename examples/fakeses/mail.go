package main

import (
	"bytes"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// Limits of the page of one mail.
const (
	maxText   = 256 << 10 // octets
	maxFiles  = 100
	maxFields = 200
	maxValue  = 2000 // octets of a header field
)

// A field is one of a mail's header, unfolded and decoded.
type field struct{ Name, Value string }

// A reading is a mail as its page shows it.
type reading struct {
	*item
	Author      string // the From field
	Body        string
	CutBody     bool
	HTML        *letter
	HTMLProblem string
	Files       []sestest.File
	MoreFiles   int
	Fields      []field
	MoreFields  bool
	Events      []*event.Event
	Outcomes    []choice
}

// mailOf finds the mail that a request names, or says that it is gone.
func (s *site) mailOf(w http.ResponseWriter, r *http.Request) *item {
	s.collect()
	it := s.box.find(r.PathValue("id"))
	if it == nil {
		s.refuse(w, http.StatusNotFound, "/", "There is no such mail, or it is no longer kept.")
	}
	return it
}

func (s *site) mail(w http.ResponseWriter, r *http.Request) {
	it := s.mailOf(w, r)
	if it == nil {
		return
	}
	text := it.Text()
	d := reading{item: it, Body: cut(text, maxText), CutBody: len(text) > maxText, Author: it.Header("From"),
		Events: s.box.eventsOf(it.ID), Outcomes: outcomeChoices()}
	d.Fields, d.MoreFields = fields(it.Data)
	files := it.Mail.Files()
	d.Files, d.MoreFiles = files[:min(maxFiles, len(files))], max(0, len(files)-maxFiles)
	if text := it.Mail.HTML(); text != "" {
		l, err := newLetter(text, nil)
		if err != nil {
			d.HTMLProblem = err.Error()
		}
		d.HTML = l
	}
	s.show(w, r, "mail", view{Title: "Mail", Nav: "/", Data: d})
}

func (s *site) html(w http.ResponseWriter, r *http.Request) {
	it := s.mailOf(w, r)
	if it == nil {
		return
	}
	l, err := newLetter(it.Mail.HTML(), it.Mail.Files())
	if err != nil {
		s.refuse(w, http.StatusUnprocessableEntity, "/", "The HTML of this mail cannot be shown: "+err.Error()+".")
		return
	}
	w.Header().Set("Content-Security-Policy", frameCSP)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(l.HTML)
}

func (s *site) raw(w http.ResponseWriter, r *http.Request) {
	it := s.mailOf(w, r)
	if it == nil {
		return
	}
	w.Header().Set("Content-Security-Policy", fileCSP)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(it.Data)
}

// file hands out an attached file, to be stored and never to be shown: in a
// browser a file could be a page.
func (s *site) file(w http.ResponseWriter, r *http.Request) {
	it := s.mailOf(w, r)
	if it == nil {
		return
	}
	files := it.Mail.Files()
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(files) {
		s.refuse(w, http.StatusNotFound, "/", "The mail has no such file.")
		return
	}
	w.Header().Set("Content-Security-Policy", fileCSP)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(files[n].Name)}))
	_, _ = w.Write(files[n].Data)
}

// fileName makes of the name that a mail gives a file one that is nothing but a
// name.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(strings.ToValidUTF8(name, "_"), `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || strings.ContainsRune(`<>:"/\|?*`, r) { // IsPrint leaves out what turns text around
			return '_'
		}
		return r
	}, name)
	name = strings.TrimLeft(strings.TrimSpace(cut(name, 120)), ".")
	if name == "" {
		return "file"
	}
	return name
}

// mailOutcome has the world do something to a mail.
func (s *site) mailOutcome(w http.ResponseWriter, r *http.Request) {
	it := s.mailOf(w, r)
	if it == nil {
		return
	}
	o, err := parseOutcome(r.FormValue("outcome"))
	if err != nil {
		s.refuse(w, http.StatusBadRequest, "/", err.Error())
		return
	}
	word := "published"
	if !o.publish(s.ses.Events, it.Mail) {
		word = "unheard"
	}
	s.settle()
	back(w, r, "/mail/"+it.ID, word)
}

// fields reads a message's header. more reports that it is longer than what is
// returned.
func fields(data []byte) (list []field, more bool) {
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case len(line) == 0:
			return decoded(list), false
		case line[0] == ' ' || line[0] == '\t':
			if n := len(list); n > 0 && len(list[n-1].Value) <= maxValue {
				list[n-1].Value += " " + string(bytes.TrimSpace(line))
			}
		case len(list) == maxFields:
			return decoded(list), true
		default:
			name, value, _ := bytes.Cut(line, []byte(":"))
			list = append(list, field{string(bytes.TrimSpace(name)), string(bytes.TrimSpace(value))})
		}
	}
	return decoded(list), false
}

func decoded(list []field) []field {
	var words mime.WordDecoder
	for i, f := range list {
		f.Value = cut(f.Value, maxValue)
		if text, err := words.DecodeHeader(f.Value); err == nil {
			f.Value = text
		}
		list[i] = f
	}
	return list
}
