package main

import (
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A mailbox keeps the newest mails and events, so that a server that runs for
// weeks takes no more memory than one that runs for an hour. It is safe for
// concurrent use.
type mailbox struct {
	maxMails, maxOctets int

	mu      sync.Mutex
	mails   []*item        // oldest first
	octets  int            // of mails
	dropped int            // mails that are no longer there
	events  []*event.Event // oldest first
}

// An item is a mail with what the list shows of it, read once.
type item struct {
	sestest.Mail
	Title string // the subject, cut
}

// eventsPerMail is how many events are kept for each mail that may be: Send,
// and what became of a few recipients.
const eventsPerMail = 4

const maxTitle = 300 // octets

// add appends mails and drops the oldest, but never the last one.
func (b *mailbox) add(mails ...sestest.Mail) {
	for _, m := range mails {
		m.Request = nil // holds the content once more
		it := &item{Mail: m, Title: cut(m.Subject(), maxTitle)}
		b.mu.Lock()
		b.mails = append(b.mails, it)
		b.octets += len(m.Data)
		n := 0
		for len(b.mails)-n > b.maxMails || b.octets > b.maxOctets && len(b.mails)-n > 1 {
			b.octets -= len(b.mails[n].Data)
			n++
		}
		b.mails = slices.Delete(b.mails, 0, n)
		b.dropped += n
		b.mu.Unlock()
	}
}

func (b *mailbox) addEvents(events ...*event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, events...)
	b.events = slices.Delete(b.events, 0, max(0, len(b.events)-eventsPerMail*b.maxMails))
}

// clear forgets everything.
func (b *mailbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails, b.events, b.octets, b.dropped = nil, nil, 0, 0
}

// find returns the mail of the id, or nil.
func (b *mailbox) find(id string) *item {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range b.mails {
		if it.ID == id {
			return it
		}
	}
	return nil
}

// An excerpt is one page of a list, newest first.
type excerpt[T any] struct {
	Items       []T
	Page, Pages int // from 1
	Total       int
	Dropped     int
}

// Newer and Older are the neighbouring pages, or 0.
func (s excerpt[T]) Newer() int { return s.Page - 1 }

// Older is the next page, or 0.
func (s excerpt[T]) Older() int {
	if s.Page == s.Pages {
		return 0
	}
	return s.Page + 1
}

// pageOf returns a page of a list that is oldest first. A page that does not
// exist is the nearest that does.
func pageOf[T any](list []T, page, size int) excerpt[T] {
	pages := max(1, (len(list)+size-1)/size)
	page = min(max(page, 1), pages)
	end := len(list) - (page-1)*size
	items := slices.Clone(list[max(0, end-size):end])
	slices.Reverse(items)
	return excerpt[T]{Items: items, Page: page, Pages: pages, Total: len(list)}
}

const pageSize = 50

func (b *mailbox) mailPage(page int) excerpt[*item] {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := pageOf(b.mails, page, pageSize)
	s.Dropped = b.dropped
	return s
}

func (b *mailbox) eventPage(page int) excerpt[*event.Event] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pageOf(b.events, page, pageSize)
}

// eventsOf returns the events of a mail, oldest first.
func (b *mailbox) eventsOf(id string) (list []*event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.MessageID == id {
			list = append(list, e)
		}
	}
	return list
}

// cut shortens text to so many octets, at the start of a character.
func cut(text string, octets int) string {
	if len(text) <= octets {
		return text
	}
	for octets > 0 && !utf8.RuneStart(text[octets]) {
		octets--
	}
	return text[:octets] + "…"
}
