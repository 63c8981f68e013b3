package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// The policies of what browsers may do with an answer. Nothing of the page needs
// a script.
const (
	pageCSP = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

	// frameCSP is that of a mail's HTML, in the frame or opened by itself: its
	// own styles and images that are part of it, and nothing else.
	frameCSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox"

	// fileCSP is that of raw mails and files.
	fileCSP = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
)

// walled puts a handler behind what protects the page from other sites: only
// names of this machine reach it (a site that has its own name resolved to
// 127.0.0.1 does not), and only its own forms change anything.
func walled(h http.Handler) http.Handler {
	own := http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", pageCSP)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("X-Dns-Prefetch-Control", "off")
		header.Set("Cache-Control", "no-store")
		if !isLocalName(r.Host) {
			http.Error(w, "This page answers to localhost and 127.0.0.1 only.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		own.ServeHTTP(w, r)
	})
}

const maxForm = 64 << 10 // octets

// isLocalName reports whether a Host field names this machine by a loopback
// name. The port may be another: a tunnel has its own.
func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}
