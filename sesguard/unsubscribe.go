package sesguard

import (
	"net/url"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// Unsubscribe returns the two headers by which readers offer to unsubscribe with
// one click (RFC 8058), as Gmail and Yahoo want it of those who send in bulk:
// List-Unsubscribe with the links, and List-Unsubscribe-Post. They belong into
// Message.Headers of a mail to one recipient.
//
// httpsURL is an absolute https URL that says by itself who unsubscribes from
// what: the reader's provider sends a POST with the body
// List-Unsubscribe=One-Click there, without cookies, and it must not answer with
// a redirect; examples/unsubscribe takes it. mailto is the address that takes a mail instead, with or without
// "mailto:" before it and "?subject=…" behind it; empty: none.
//
// The error is a *seserrors.Error of class Invalid that holds a
// *ValidationError for the fields httpsURL and mailto. Where SES handles
// subscriptions itself ([Message].List) it writes both headers.
func Unsubscribe(httpsURL, mailto string) ([]Header, error) {
	var v validator
	links := "<" + httpsURL + ">"
	if u, err := url.Parse(httpsURL); err != nil || u.Scheme != "https" || u.Hostname() == "" || !isLink(httpsURL) {
		v.add("httpsURL", "", seserrors.IllegalHeader, "it must be an absolute https URL in printable ASCII, at most 900 octets long")
	}
	if mailto != "" {
		addr, query, asks := strings.Cut(strings.TrimPrefix(mailto, "mailto:"), "?")
		a, err := ParseAddress(addr)
		if err != nil || a.Name != "" || asks && !isLink(query) || !isLink(a.Addr()) {
			v.add("mailto", "", seserrors.IllegalAddress, "it must be an address without a name, which ?subject=… may follow")
		}
		if links += ", <mailto:" + a.Addr(); asks {
			links += "?" + query
		}
		links += ">"
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	return []Header{{"List-Unsubscribe", links}, {"List-Unsubscribe-Post", oneClick}}, nil
}

// isLink reports what may stand between the brackets of a link, and on one line.
func isLink(s string) bool {
	return s != "" && len(s) <= 900 && isPrintable(s) && !strings.ContainsAny(s, ` <>"`)
}
