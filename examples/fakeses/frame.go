package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// The HTML of a mail is shown in a frame behind three walls: the frame's sandbox,
// the policy of its document (frameCSP), and what sanitize takes out. The first
// two keep scripts, forms, requests and the page around safe. The third is for
// what policies do not govern: links that a reader follows by mistake, and
// connections that a browser opens in advance.

// Limits of what is shown. The raw mail has the rest.
const (
	maxHTML   = 1 << 20 // octets
	maxInline = 8 << 20 // octets of inline images, as often as the mail shows them
	maxLinks  = 200
)

// A letter is the HTML of a mail, fit for the frame.
type letter struct {
	HTML   []byte
	Links  []link
	Remote int  // images and other content that is not fetched
	Cut    bool // there is more HTML than is shown
}

// A link is one of the mail's, for the page beside the frame.
type link struct {
	Text string
	URL  string
}

// newLetter makes a letter of HTML and the files that it may show. It fails for
// HTML that no browser should be asked to show.
func newLetter(text string, files []sestest.File) (*letter, error) {
	l := &letter{Cut: len(text) > maxHTML}
	if l.Cut {
		text = cut(text, maxHTML)
	}
	// In the frame scripts are disabled, and <noscript> is read accordingly.
	doc, err := html.ParseWithOptions(strings.NewReader(strings.ToValidUTF8(text, "\ufffd")), html.ParseOptionEnableScripting(false))
	if err != nil {
		return nil, errors.New("it is nested too deeply, or malformed")
	}
	l.sanitize(doc)
	var b bytes.Buffer
	if err := html.Render(&b, doc); err != nil {
		return nil, errors.New("it is malformed")
	}
	l.HTML = inline(b.Bytes(), files)
	return l, nil
}

// dropped are the elements that have no place in a frame: they would open
// connections, run, embed or change how addresses are read.
var dropped = []string{"link", "meta", "base", "script", "iframe", "frame", "frameset", "object", "embed", "applet", "portal", "fencedframe"}

// sanitize takes out what a frame must not hold, and notes links and remote
// content.
func (l *letter) sanitize(n *html.Node) {
	for c := n.FirstChild; c != nil; {
		next := c.NextSibling
		if c.Type == html.ElementNode && slices.Contains(dropped, strings.ToLower(c.Data)) {
			n.RemoveChild(c)
		} else {
			l.element(c)
			l.sanitize(c)
		}
		c = next
	}
}

func (l *letter) element(n *html.Node) {
	isLink := n.Type == html.ElementNode && (n.Data == "a" || n.Data == "area")
	for i, a := range n.Attr {
		switch name := strings.ToLower(a.Key); {
		case isLink && name == "href":
			l.addLink(n, a.Val)
			n.Attr[i].Val = "#" // a click leads nowhere
		case isRemote(name, a.Val):
			l.Remote++
		}
	}
	// Browsers may connect ahead of a ping, and run nothing of the others.
	n.Attr = slices.DeleteFunc(n.Attr, func(a html.Attribute) bool {
		name := strings.ToLower(a.Key)
		return name == "ping" || strings.HasPrefix(name, "on")
	})
}

func isRemote(attribute, value string) bool {
	switch attribute {
	case "src", "background", "poster":
	default:
		return false
	}
	u, err := url.Parse(strings.TrimSpace(value))
	return err == nil && u.Host != ""
}

// addLink notes a link that a person may want to follow.
func (l *letter) addLink(n *html.Node, href string) {
	u, err := url.Parse(strings.TrimSpace(href))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(l.Links) == maxLinks {
		return
	}
	l.Links = append(l.Links, link{Text: cmp.Or(cut(textOf(n), maxTitle), "no text"), URL: u.String()})
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode && b.Len() < maxTitle {
			b.WriteString(c.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// images are the types of inline images that are shown: those that are nothing
// but pixels.
var images = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// inline puts the mail's own images in place of the cid: addresses that name
// them, as long as there is room.
func inline(doc []byte, files []sestest.File) []byte {
	var pairs []string
	room := maxInline
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b sestest.File) int { return len(b.ContentID) - len(a.ContentID) }) // "logo2" before "logo"
	for _, f := range files {
		if f.ContentID == "" || !slices.Contains(images, f.ContentType) {
			continue
		}
		data := "data:" + f.ContentType + ";base64," + base64.StdEncoding.EncodeToString(f.Data)
		for _, name := range []string{f.ContentID, url.PathEscape(f.ContentID)} {
			old := html.EscapeString("cid:" + name)
			uses := bytes.Count(doc, []byte(old))
			if need := uses * len(data); uses > 0 && need <= room && !slices.Contains(pairs, old) {
				room -= need
				pairs = append(pairs, old, data)
			}
		}
	}
	if pairs == nil {
		return doc
	}
	return []byte(strings.NewReplacer(pairs...).Replace(string(doc)))
}
