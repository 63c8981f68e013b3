package sestest

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// An Account is what SES knows of a sender, in one region. It starts out of
// the sandbox, with the domain example.com verified, no limit of rate or
// quota, no configuration sets, no templates and an empty suppression list,
// which bounces and complaints fill. Its methods are safe for concurrent use
// and hold from the next message on.
type Account struct {
	region     string
	mu         sync.Mutex
	identities map[string]Identity
	sandbox    bool
	paused     bool
	suspended  bool
	probation  bool
	rate       float64
	quota      float64
	sets       map[string]ConfigurationSet
	templates  map[string]storedTemplate
	suppress   []string // reasons that put a recipient on the list, and keep it from getting mail
	suppressed map[string]Suppressed
	recent     window // what still counts against the rate
	day        window // what counts against the quota

	denied      []string // permissions
	control     window   // control calls of the last second
	controlRate float64
}

// A window counts recipients, each message's until it falls out.
type window struct {
	sendings []sending
	sum      int
}

type sending struct {
	n     int
	until time.Time
}

func (w *window) add(n int, until time.Time) {
	w.sendings = append(w.sendings, sending{n, until})
	w.sum += n
}

func (w *window) expire(now time.Time) {
	for len(w.sendings) > 0 && !now.Before(w.sendings[0].until) {
		w.sum -= w.sendings[0].n
		w.sendings = w.sendings[1:]
	}
}

// overflows reports whether n more would exceed the limit, if there is one.
func (w *window) overflows(n int, limit float64) bool {
	return limit > 0 && float64(w.sum+n) > limit
}

// accountID is the number of the account, and of every ARN.
const accountID = "123456789012"

func identityARN(region, identity string) string {
	return "arn:aws:ses:" + cmp.Or(region, DefaultRegion) + ":" + accountID + ":identity/" + identity
}

func newAccount() *Account {
	return &Account{
		identities: map[string]Identity{"example.com": {}},
		sets:       map[string]ConfigurationSet{},
		templates:  map[string]storedTemplate{},
		suppress:   []string{"BOUNCE", "COMPLAINT"},
		suppressed: map[string]Suppressed{},
	}
}

// Verify adds identities: domains, which cover the addresses of their
// subdomains too, and addresses. Domains match without regard to letter case,
// the local part of an address with ("Creating and verifying identities in
// Amazon SES", Amazon SES Developer Guide).
func (a *Account) Verify(identity ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range identity {
		a.identities[canonical(id)] = Identity{}
	}
}

// Unverify removes identities. Without an argument it removes all.
func (a *Account) Unverify(identity ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(identity) == 0 {
		clear(a.identities)
	}
	for _, id := range identity {
		delete(a.identities, canonical(id))
	}
}

// canonical lowers an identity's domain.
func canonical(identity string) string {
	at := strings.LastIndexByte(identity, '@') + 1
	return identity[:at] + strings.ToLower(identity[at:])
}

// SetSandbox sets whether the account is in the sandbox, where recipients
// must be verified too, except those at the mailbox simulator
// (simulator.amazonses.com). It does not set the sandbox's limits; those are
// 1 recipient a second and 200 in 24 hours.
func (a *Account) SetSandbox(on bool) { a.set(func() { a.sandbox = on }) }

// SetMaxSendRate sets how many recipients may be sent to in any second. 0:
// no limit. A message with more recipients than that passes if nothing else
// counts, and then counts as long as the rate needs for so many. Refused
// messages do not count. GetAccount reports 100,000 for no limit.
func (a *Account) SetMaxSendRate(perSecond float64) { a.set(func() { a.rate = perSecond }) }

// SetMax24HourSend sets how many recipients may be sent to in any 24 hours.
// 0: no limit. Refused messages do not count. GetAccount reports -1 for no
// limit, as AWS documents (SendQuota, Amazon SES API v2 Reference).
func (a *Account) SetMax24HourSend(n float64) { a.set(func() { a.quota = n }) }

// SetSendingPaused pauses sending for the account.
func (a *Account) SetSendingPaused(on bool) { a.set(func() { a.paused = on }) }

// Deny takes permissions of control calls away, such as "ses:GetAccount", in
// place of those taken before. Without an argument it gives all back. A mail is
// denied by Refuse.
func (a *Account) Deny(actions ...string) { a.set(func() { a.denied = slices.Clone(actions) }) }

// SetControlRate sets how many control calls SES takes in any second, all of
// them counted together: those that read the account, identities and
// configuration sets, and all about the suppression list and templates. 0, as
// at the start: no limit. SES takes 1.
func (a *Account) SetControlRate(perSecond float64) { a.set(func() { a.controlRate = perSecond }) }

// SetProbation puts the account under review, in which it sends on, or ends
// the review.
func (a *Account) SetProbation(on bool) { a.set(func() { a.probation = on }) }

// SetSuspended shuts the account down for good, or opens it again.
func (a *Account) SetSuspended(on bool) { a.set(func() { a.suspended = on }) }

// AddConfigurationSet adds a configuration set that may send and publishes no
// events, in place of one of the same name.
func (a *Account) AddConfigurationSet(name string) { a.SetConfigurationSet(name, ConfigurationSet{}) }

// PauseConfigurationSet pauses a configuration set or lets it send again, and
// adds it if it did not exist.
func (a *Account) PauseConfigurationSet(name string, on bool) {
	a.set(func() {
		set := a.sets[name]
		set.SendingPaused = on
		a.sets[name] = set
	})
}

// RemoveConfigurationSet removes a configuration set.
func (a *Account) RemoveConfigurationSet(name string) { a.set(func() { delete(a.sets, name) }) }

func (a *Account) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// SentLast24Hours returns how many recipients count against the quota now.
func (a *Account) SentLast24Hours() float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.day.expire(time.Now())
	return float64(a.day.sum)
}

// admit decides whether the account may send the message, and counts it if
// so. The rate comes last: what is refused for another reason uses nothing up.
func (a *Account) admit(m *submission, now time.Time) *refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, rule := range []func(*submission) *refusal{a.checkStanding, a.checkSet, a.checkIdentities} {
		if r := rule(m); r != nil {
			return r
		}
	}
	a.day.expire(now)
	a.recent.expire(now)
	n := len(m.mail.To)
	billed := slices.DeleteFunc(slices.Clone(m.mail.To), isSimulated)
	if a.day.overflows(len(billed), a.quota) {
		return refused(seserrors.DailyQuotaExceeded, "")
	}
	if a.recent.sum > 0 && a.recent.overflows(n, a.rate) {
		return refused(seserrors.SendRateExceeded, "")
	}
	a.day.add(len(billed), now.Add(24*time.Hour))
	a.count(n, now)
	return nil
}

// count keeps a message in the rate's window for a second, or as long as the
// rate needs for so many recipients.
func (a *Account) count(n int, now time.Time) {
	if a.rate <= 0 {
		return
	}
	seconds := max(1, float64(n)/a.rate)
	a.recent.add(n, now.Add(time.Duration(seconds*float64(time.Second))))
}

func (a *Account) checkStanding(*submission) *refusal {
	if a.suspended {
		return refused(seserrors.AccountSuspended, "")
	}
	if a.paused {
		return refused(seserrors.SendingPaused, "")
	}
	return nil
}

// checkSet looks at the sender's identity and the configuration set, which may
// be the identity's.
func (a *Account) checkSet(m *submission) *refusal {
	id, identity := a.identityOf(m.mail.author)
	m.mail.identity = id
	m.mail.ConfigurationSet = cmp.Or(m.mail.ConfigurationSet, identity.ConfigurationSet)
	if name := m.mail.ConfigurationSet; name != "" {
		set, ok := a.sets[name]
		if !ok {
			return refused(seserrors.ConfigurationSetMissing, name)
		}
		if set.SendingPaused {
			return refused(seserrors.ConfigurationSetPaused, name)
		}
	}
	if identity.RejectOnMXFailure && identity.mailFromStatus() != success {
		return refused(seserrors.MailFromDomainNotVerified, id)
	}
	return nil
}

// maxListed is how many identities a refusal names before it ends in dots.
// SES cuts the list too; where is not documented.
const maxListed = 10

func (a *Account) checkIdentities(m *submission) *refusal {
	failed := a.failed(m.senders, arnIdentities(m))
	if a.sandbox {
		failed = append(failed, a.failed(m.recipients, []string{simulator})...)
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(failed) > maxListed:
		return refused(seserrors.IdentityNotVerified, failedIn(m.mail.region, strings.Join(failed[:maxListed], ", ")+"..."))
	}
	return refused(seserrors.IdentityNotVerified, failedIn(m.mail.region, strings.Join(failed, ", ")))
}

const simulator = "simulator.amazonses.com"

// arnIdentities returns the identities whose owners let the account use them:
// those that the message names by ARN (sending authorization).
func arnIdentities(m *submission) (ids []string) {
	for _, arn := range []string{m.mail.FromARN, m.mail.ReturnPathARN} {
		if _, id, ok := strings.Cut(arn, ":identity/"); ok {
			ids = append(ids, canonical(id))
		}
	}
	return ids
}

func (a *Account) failed(list []mailbox, allowed []string) (names []string) {
	seen := map[string]bool{}
	for _, m := range list {
		id := canonical(m.addr)
		if seen[id] || a.covers(id, allowed) {
			continue
		}
		seen[id] = true
		names = append(names, m.text)
	}
	return names
}

// covers reports whether the address, its domain or a parent of its domain is
// verified or allowed.
func (a *Account) covers(addr string, allowed []string) bool {
	for id := range lineage(addr) {
		if slices.Contains(allowed, id) {
			return true
		}
		if identity, ok := a.identities[id]; ok && identity.status() == success {
			return true
		}
	}
	return false
}

// identityOf returns the identity that SES uses for an address: the most
// special one that is verified. Without one it is the domain.
func (a *Account) identityOf(addr string) (name string, id Identity) {
	for name := range lineage(canonical(addr)) {
		if id, ok := a.identities[name]; ok && id.status() == success {
			return name, id
		}
	}
	return canonical(addr[strings.LastIndexByte(addr, '@')+1:]), Identity{}
}

// lineage yields an address, its domain and the parents of its domain.
func lineage(addr string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for id := addr; id != "" && yield(id); {
			_, rest, found := strings.Cut(id, "@")
			if !found {
				_, rest, _ = strings.Cut(id, ".")
			}
			id = rest
		}
	}
}
