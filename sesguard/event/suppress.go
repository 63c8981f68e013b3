package event

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// Limits of a SuppressionList: an address that fails so often in so long,
// without a delivery between, is taken for dead.
const (
	strikes      = 3
	strikeWindow = 30 * day
)

// A SuppressionList holds in memory the addresses that get no more mail. It
// has the method that sesguard.Suppressed asks before it sends. Its zero value
// is empty and ready; it is safe for concurrent use and must not be copied.
//
// Addresses are compared without regard to case, as SES does when it sends
// (although GetSuppressedDestination wants the local part as it was listed),
// and without a display name. It is process-local: keep it over restarts with
// All and Add, or share SES's own list.
type SuppressionList struct {
	mu      sync.Mutex
	listed  map[string]suppressed
	failing map[string][]strike
}

type suppressed struct {
	address string
	reason  seserrors.Reason
}

// A strike is a failure that counts toward suppression.
type strike struct {
	key string
	at  time.Time
}

// Suppressed reports whether the address is on the list. The error is always
// nil.
func (l *SuppressionList) Suppressed(_ context.Context, address string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.listed[fold(address)]
	return ok, nil
}

// Add puts an address on the list, with a reason such as "recipient-unknown"
// for All. The first reason stays.
func (l *SuppressionList) Add(address string, reason seserrors.Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(address, reason)
}

func (l *SuppressionList) add(address string, reason seserrors.Reason) {
	key := fold(address)
	delete(l.failing, key)
	if _, ok := l.listed[key]; ok || key == "" {
		return
	}
	if l.listed == nil {
		l.listed = make(map[string]suppressed)
	}
	l.listed[key] = suppressed{bare(address), reason}
}

// Remove takes an address off the list and forgets its failures.
func (l *SuppressionList) Remove(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.listed, fold(address))
	delete(l.failing, fold(address))
}

// All returns the addresses on the list now, in order, each with its reason.
// The domain is in lower case, the local part as it came.
func (l *SuppressionList) All() iter.Seq2[string, seserrors.Reason] {
	l.mu.Lock()
	entries := slices.SortedFunc(maps.Values(l.listed), func(a, b suppressed) int { return strings.Compare(a.address, b.address) })
	l.mu.Unlock()
	return func(yield func(string, seserrors.Reason) bool) {
		for _, e := range entries {
			if !yield(e.address, e.reason) {
				return
			}
		}
	}
}

// Observe puts the addresses on the list that the event's Advice suppresses,
// and those that failed three times within 30 days for a reason that is about
// the recipient (a full mailbox, a policy, a bounce that SES could not explain),
// with no delivery between. It counts each event once. What receivers blame on
// the sender or the mail, and words that are not understood, count for nothing.
func (l *SuppressionList) Observe(e *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Type == Delivery {
		for _, r := range e.Recipients {
			delete(l.failing, fold(r.Address))
		}
		return
	}
	if e.Type == DeliveryDelay {
		return // the bounce counts
	}
	for i, a := range e.Advice() {
		unexplained := e.BounceType == "Undetermined" && a.Reason == undetermined && !e.Recipients[i].reported()
		counts := a.Reason == seserrors.MailboxFull || a.Reason == seserrors.RecipientPolicy || unexplained ||
			a.Do == Later && meanings[a.Reason].do == Suppress
		if a.Do == Suppress || counts && l.strike(fold(a.Recipient), e) {
			l.add(a.Recipient, a.Reason)
		}
	}
}

// strike counts a failure and reports whether it is one too many.
func (l *SuppressionList) strike(key string, e *Event) bool {
	s := strike{e.Key(), e.Time}
	old := l.failing[key]
	if slices.ContainsFunc(old, func(o strike) bool { return o.key == s.key }) {
		return false
	}
	recent := append(old, s)
	newest := slices.MaxFunc(recent, func(a, b strike) int { return a.at.Compare(b.at) }).at
	recent = slices.DeleteFunc(recent, func(o strike) bool { return newest.Sub(o.at) > strikeWindow })
	if l.failing == nil {
		l.failing = make(map[string][]strike)
	}
	l.failing[key] = recent
	return len(recent) >= strikes
}

// bare returns the address without a display name, its domain in lower case.
func bare(address string) string {
	if i := strings.LastIndexByte(address, '<'); i >= 0 {
		address, _, _ = strings.Cut(address[i+1:], ">")
	}
	address = strings.TrimSpace(address)
	at := strings.LastIndexByte(address, '@')
	return address[:at+1] + strings.ToLower(strings.TrimSuffix(address[at+1:], "."))
}

// fold returns what addresses are compared by.
func fold(address string) string { return strings.ToLower(bare(address)) }

// domainOf returns the domain of an address, in lower case.
func domainOf(address string) string {
	address = bare(address)
	return address[strings.LastIndexByte(address, '@')+1:]
}
