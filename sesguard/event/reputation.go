package event

import (
	"slices"
	"strings"
	"sync"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A Level says how near a rate is to what SES acts on.
type Level uint8

// The levels, from the SES Developer Guide, "Amazon SES sending review process
// FAQs".
const (
	Good   Level = iota // bounces under 2 %, complaints under 0.1 %
	Watch               // bounces from 2 %: SES calls less than that healthy
	Review              // bounces from 5 %, complaints from 0.1 %: SES puts the account under review
	Pause               // bounces from 10 %, complaints from 0.5 %: SES may pause sending
)

var levelNames = [...]string{"good", "watch", "review", "pause"}

// String returns the level as a stable slug, such as "review".
func (l Level) String() string { return name(levelNames[:], int(l)) }

// Rates are the rates of an account or of one of its sending domains.
type Rates struct {
	Sent       int     // recipients that the rates are about
	Bounced    int     // of them, those that bounced for good
	Complained int     // of them, those that complained
	Bounce     float64 // Bounced as a fraction of Sent, 0.05 for 5 %
	Complaint  float64 // Complained as a fraction of Sent
	Level      Level   // the worse of both; Good while too little was sent to tell
}

// A Reputation keeps the bounce and complaint rates as SES counts them: over
// the last mails, not over days, for the account and for each sending domain.
// Its zero value is ready. It is safe for concurrent use and must not be
// copied; set the fields before its first use.
//
// It counts recipients: of Send events, of permanent bounces, and of
// complaints, whatever copies of an event arrive. As with SES, these do not
// count: mails to the account's verified domains and to the mailbox simulator,
// recipients on a suppression list of the account or tenant, contacts that
// unsubscribed, temporary bounces. What a receiver blames on a blocked IP
// address does not count either, which is this package's choice.
//
// It knows what this process has seen. What SES counts itself are the
// CloudWatch metrics Reputation.BounceRate and Reputation.ComplaintRate. SES
// measures complaints against mails to providers that report complaints, which
// Gmail does not: the real rate is higher than this one.
type Reputation struct {
	// Window is how many recipients the rates are about. The default is 10,000:
	// a notice of SES spoke of the last 10,476 eligible mails. Rates mean nothing
	// and the Level stays Good until a hundredth of Window was sent.
	Window int

	// VerifiedDomains are the account's own, to which bounces do not count.
	VerifiedDomains []string

	// Changed, if not nil, is called when a level has changed, for the better too.
	// Domain is "" for the account. It is called by Observe, not under a lock,
	// and, where several goroutines call Observe, perhaps not in order.
	Changed func(domain string, r Rates)

	mu     sync.Mutex
	counts map[string]*count
	seen   recent
}

const (
	defaultWindow = 10_000
	windowParts   = 50  // the window moves by a fiftieth of itself
	leastPart     = 100 // the part of the window that makes rates meaningful
)

// A count holds the window of one domain in parts.
type count struct {
	parts [windowParts]struct{ sent, bounced, complained int }
	now   int // the part that is being filled
	level Level
}

// Observe counts the event. Each event counts once, however many copies come.
func (p *Reputation) Observe(e *Event) {
	sent, bounced, complained := p.weigh(e)
	if sent == 0 && bounced == 0 && complained == 0 {
		return
	}
	type change struct {
		domain string
		rates  Rates
	}
	var changes []change
	p.mu.Lock()
	if p.seen.add(e.Key(), p.window()) {
		for _, domain := range slices.Compact([]string{"", e.sendingDomain()}) {
			c := p.count(domain)
			c.add(sent, bounced, complained, max(p.window()/windowParts, 1))
			if r := c.rates(p.window() / leastPart); r.Level != c.level {
				c.level = r.Level
				changes = append(changes, change{domain, r})
			}
		}
	}
	p.mu.Unlock()
	if p.Changed != nil {
		for _, c := range changes {
			p.Changed(c.domain, c.rates)
		}
	}
}

// Rates returns the rates of a sending domain, or those of the account for "".
// A domain that never sent has zero rates.
func (p *Reputation) Rates(domain string) Rates {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts[strings.ToLower(domain)]
	if c == nil {
		return Rates{}
	}
	return c.rates(p.window() / leastPart)
}

// weigh returns what the event adds to the counts.
func (p *Reputation) weigh(e *Event) (sent, bounced, complained int) {
	for i := range e.Recipients {
		r := &e.Recipients[i]
		if !p.eligible(r.Address) {
			continue
		}
		switch {
		case e.Type == Send:
			sent++
		case e.Type == Bounce && (e.BounceSubType == "OnAccountSuppressionList" || e.BounceSubType == "OnTenantSuppressionList"):
			sent-- // SES did not send it, but published Send
		case e.Type == Bounce && e.BounceType == "Permanent":
			switch e.diagnoseBounce(r).Reason {
			case seserrors.SendingIPBlocked, seserrors.RecipientUnsubscribed, seserrors.ValidationSuppressed:
			default:
				bounced++
			}
		case e.Type == Complaint && e.ComplaintSubType == "" && e.ComplaintType != "not-spam":
			complained++
		}
	}
	return sent, bounced, complained
}

// eligible reports whether SES counts mail to the address.
func (p *Reputation) eligible(address string) bool {
	domain := domainOf(address)
	if domain == "simulator.amazonses.com" {
		return false
	}
	return !slices.ContainsFunc(p.VerifiedDomains, func(own string) bool {
		own = strings.ToLower(own)
		return domain == own || strings.HasSuffix(domain, "."+own)
	})
}

func (p *Reputation) window() int {
	if p.Window <= 0 {
		return defaultWindow
	}
	return p.Window
}

func (p *Reputation) count(domain string) *count {
	c := p.counts[domain]
	if c == nil {
		if p.counts == nil {
			p.counts = make(map[string]*count)
		}
		c = new(count)
		p.counts[domain] = c
	}
	return c
}

// add counts into the part that is being filled, and moves on when it is full.
func (c *count) add(sent, bounced, complained, full int) {
	part := &c.parts[c.now]
	part.sent += sent
	part.bounced += bounced
	part.complained += complained
	if part.sent >= full {
		c.now = (c.now + 1) % windowParts
		c.parts[c.now] = struct{ sent, bounced, complained int }{}
	}
}

func (c *count) rates(least int) Rates {
	var r Rates
	for _, part := range c.parts {
		r.Sent += part.sent
		r.Bounced += part.bounced
		r.Complained += part.complained
	}
	r.Sent = max(r.Sent, 0)
	if r.Sent > 0 {
		r.Bounce = float64(r.Bounced) / float64(r.Sent)
		r.Complaint = float64(r.Complained) / float64(r.Sent)
	}
	switch {
	case r.Sent < max(least, 1):
	case r.Bounce >= 0.10 || r.Complaint >= 0.005:
		r.Level = Pause
	case r.Bounce >= 0.05 || r.Complaint >= 0.001:
		r.Level = Review
	case r.Bounce >= 0.02:
		r.Level = Watch
	}
	return r
}

// sendingDomain returns the domain that the mail was sent from, in lower case.
func (e *Event) sendingDomain() string {
	if d := e.Tag("ses:from-domain"); d != "" {
		return strings.ToLower(d)
	}
	return domainOf(e.From)
}

// recent remembers the last keys, so that copies can be told.
type recent struct {
	keys map[string]struct{}
	ring []string
	next int
}

// add reports whether the key is new among the last limit keys.
func (r *recent) add(key string, limit int) bool {
	if _, ok := r.keys[key]; ok {
		return false
	}
	if r.keys == nil {
		r.keys = make(map[string]struct{})
	}
	if len(r.ring) < limit {
		r.ring = append(r.ring, key)
	} else {
		delete(r.keys, r.ring[r.next])
		r.ring[r.next] = key
		r.next = (r.next + 1) % len(r.ring)
	}
	r.keys[key] = struct{}{}
	return true
}
