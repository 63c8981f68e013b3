package proof_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/event"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// The promises about mails in doubt.
const (
	promiseEnds      = "4. each doubt ends as accepted, duplicated or unconfirmed"
	promiseTrue      = "4. a doubt that ends as accepted or duplicated names ids that SES gave to the mail"
	promiseHeard     = "4. a doubt ends as what the events that came prove"
	promisePatience  = "4. a doubt is unconfirmed only after the wait, and only if no event came"
	alsoOnlyDoubts   = "nobody is told of a mail that is not in doubt"
	alsoNothingStays = "nothing is kept of what is settled and two weeks old"
)

// A doubtScript is what happens to some mails and to the events about them.
type doubtScript struct {
	seed      uint64
	wait      time.Duration
	processes int     // which share a store
	trouble   float64 // how often the store, or who is told, fails
	mails     []doubtMail
}

// A doubtMail is a mail with the attempts to send it, each after one in doubt.
type doubtMail struct {
	trackID  string
	attempts []doubtAttempt
}

// A doubtAttempt is one attempt. Times count from the beginning of the script.
type doubtAttempt struct {
	ends      time.Duration
	messageID string // "": SES did not take it
	answered  bool   // the sender heard so
	events    []doubtEvent
}

// A doubtEvent is one that SES publishes, at the times at which it arrives: none
// if it is lost.
type doubtEvent struct {
	kind    string
	arrives []time.Duration
}

func newDoubtScript(seed uint64) *doubtScript {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &doubtScript{
		seed: seed, processes: 1 + r.IntN(3),
		wait:    []time.Duration{0, 15 * time.Minute, 3 * time.Hour}[r.IntN(3)],
		trouble: []float64{0, 0, 0.1, 0.3}[r.IntN(4)],
	}
	for range 1 + r.IntN(4) {
		m := doubtMail{trackID: fmt.Sprintf("%016x", r.Uint64())}
		start := spread(r, time.Hour)
		for more := true; more; {
			a := doubtAttempt{ends: start + spread(r, 10*time.Minute), answered: r.IntN(4) == 0}
			if a.answered || r.IntN(2) == 0 {
				a.messageID = fmt.Sprintf("%016x-%d", r.Uint64(), len(m.attempts))
				a.events = newDoubtEvents(r, start)
			}
			m.attempts = append(m.attempts, a)
			// A policy of at least once, or a person, sends what is in doubt again.
			more = !a.answered && len(m.attempts) < 3 && r.IntN(3) == 0
			start = a.ends + spread(r, []time.Duration{time.Minute, 4 * time.Hour}[r.IntN(2)])
		}
		s.mails = append(s.mails, m)
	}
	return s
}

// newDoubtEvents are those of a mail that SES took at that time or a little later.
func newDoubtEvents(r *rand.Rand, taken time.Duration) []doubtEvent {
	var events []doubtEvent
	deaf := r.IntN(5) == 0 // no destination, or a queue that was emptied
	for _, kind := range []string{"Send", "DeliveryDelay", "Delivery", "Bounce", "Complaint", "Open"} {
		if kind != "Send" && r.IntN(3) > 0 {
			continue
		}
		e := doubtEvent{kind: kind}
		times := []int{0, 1, 1, 1, 2, 3}[r.IntN(6)]
		if deaf {
			times = 0
		}
		for range times {
			most := []time.Duration{time.Second, 5 * time.Minute, 80 * time.Minute, 6 * time.Hour, 12 * 24 * time.Hour}[r.IntN(5)]
			e.arrives = append(e.arrives, taken+spread(r, most))
		}
		events = append(events, e)
	}
	return events
}

// spread is a time below most, in steps that make things happen at once.
func spread(r *rand.Rand, most time.Duration) time.Duration {
	return most / 16 * time.Duration(r.IntN(16))
}

func (s *doubtScript) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: wait %v, %d processes, trouble %v", s.seed, s.wait, s.processes, s.trouble)
	for _, m := range s.mails {
		for i, a := range m.attempts {
			fmt.Fprintf(&b, "\n  %s, attempt %d ends %v, id %q, answered %v", m.trackID, i+1, a.ends, a.messageID, a.answered)
			for _, e := range a.events {
				fmt.Fprintf(&b, "; %s %v", e.kind, e.arrives)
			}
		}
	}
	return b.String()
}

// inDoubt reports whether an attempt left the mail in doubt, and when the last
// such attempt ended.
func (m *doubtMail) inDoubt() (yes bool, since time.Duration) {
	for _, a := range m.attempts {
		if !a.answered {
			yes, since = true, a.ends
		}
	}
	return yes, since
}

// A doubter is what is under test: event.Doubts, or one that makes mistakes.
type doubter interface {
	event.Settler
	Add(ctx context.Context, trackID string, at time.Time) error
	Expire(ctx context.Context, now time.Time) error
}

// A doubtWorld is a script under way.
type doubtWorld struct {
	*doubtScript
	store     event.MemoryDoubts
	begin     time.Time
	processOf []doubter
	wg        sync.WaitGroup

	mu     sync.Mutex
	rand   *rand.Rand
	failed int                        // how often something failed
	told   map[string][]telling       // by TrackID
	came   map[string]time.Time       // when the first event of a mail was taken
	heard  map[string]map[string]bool // ids of which an event came
}

// A telling is one call of Settled.
type telling struct {
	event.Doubt
	at    time.Time
	taken bool // it returned nil
}

// fails says whether something fails now.
func (w *doubtWorld) fails() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.rand.Float64() < w.trouble
	if f {
		w.failed++
	}
	return f
}

func (w *doubtWorld) draw(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.IntN(n)
}

var errTrouble = errors.New("no connection to the database")

// Update is that of a database: it fails before the change or after it, and
// repeats the change after a conflict.
func (w *doubtWorld) Update(ctx context.Context, trackID string, f func(*event.Doubt)) error {
	if w.fails() {
		return errTrouble
	}
	conflict := w.fails()
	err := w.store.Update(ctx, trackID, func(x *event.Doubt) {
		if conflict {
			lost := *x
			lost.MessageIDs = slices.Clone(x.MessageIDs)
			f(&lost)
		}
		f(x)
	})
	if err == nil && w.fails() {
		return errTrouble
	}
	return err
}

// Due is that of a database: it fails, or returns some of the rows.
func (w *doubtWorld) Due(ctx context.Context, now time.Time) ([]event.Doubt, error) {
	if w.fails() {
		return nil, errTrouble
	}
	due, err := w.store.Due(ctx, now)
	if len(due) > 1 && w.fails() {
		due = due[:1+w.draw(len(due)-1)]
	}
	return due, err
}

// settled is told, sometimes slowly and in vain.
func (w *doubtWorld) settled(_ context.Context, d event.Doubt) error {
	t := telling{Doubt: d, at: time.Now(), taken: !w.fails()}
	w.mu.Lock()
	w.told[d.TrackID] = append(w.told[d.TrackID], t)
	w.mu.Unlock()
	if w.fails() {
		time.Sleep(time.Second)
	}
	if !t.taken {
		return errTrouble
	}
	return nil
}

// do calls f in d and then until it succeeds, as a carrier or a program that
// keeps a journal does, each time in any of the processes.
func (w *doubtWorld) do(d time.Duration, f func(doubter) error) {
	w.wg.Go(func() {
		time.Sleep(time.Until(w.begin.Add(d)))
		for f(w.processOf[w.draw(len(w.processOf))]) != nil {
			time.Sleep(20 * time.Second)
		}
	})
}

// takes hands an event over.
func (w *doubtWorld) takes(ctx context.Context, p doubter, m *doubtMail, a *doubtAttempt, kind string) error {
	text := fmt.Sprintf(`{"eventType":%q,"mail":{"messageId":%q,"timestamp":%q,"tags":{%q:[%q]}}}`,
		kind, a.messageID, w.begin.Add(a.ends).UTC().Format(time.RFC3339Nano), trackTag, m.trackID)
	events, err := event.Parse([]byte(text))
	if err != nil || len(events) != 1 {
		return fmt.Errorf("%d events: %w", len(events), err)
	}
	if err := event.Settle(ctx, p, trackTag, events[0]); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.came[m.trackID].IsZero() {
		w.came[m.trackID] = time.Now()
	}
	if w.heard[m.trackID] == nil {
		w.heard[m.trackID] = map[string]bool{}
	}
	w.heard[m.trackID][a.messageID] = true
	return nil
}

// A buildDoubter makes what is under test, for one process.
type buildDoubter func(w *doubtWorld) doubter

func ourDoubts(w *doubtWorld) doubter {
	return &event.Doubts{Wait: w.wait, Store: w, Settled: w.settled}
}

// run plays the script in a bubble and returns the promises that broke.
func (s *doubtScript) run(t *testing.T, build buildDoubter, tally *doubtTally) (broken []violation) {
	synctest.Test(t, func(t *testing.T) {
		w := &doubtWorld{
			doubtScript: s, begin: time.Now(), rand: rand.New(rand.NewPCG(s.seed, 2)),
			told: map[string][]telling{}, came: map[string]time.Time{}, heard: map[string]map[string]bool{},
		}
		for range s.processes {
			w.processOf = append(w.processOf, build(w))
		}
		for i := range s.mails {
			w.play(t.Context(), &s.mails[i])
		}
		w.expire(t.Context())
		w.wg.Wait()
		broken = w.judge()
		tally.add(w)
	})
	return broken
}

func (w *doubtWorld) play(ctx context.Context, m *doubtMail) {
	for i := range m.attempts {
		a := &m.attempts[i]
		if !a.answered {
			at := w.begin.Add(a.ends)
			w.do(a.ends, func(p doubter) error { return p.Add(ctx, m.trackID, at) })
		}
		for _, e := range a.events {
			for _, d := range e.arrives {
				w.do(d, func(p doubter) error { return w.takes(ctx, p, m, a, e.kind) })
			}
		}
	}
}

// expire is every process's clock: every five minutes while mails are sent, and
// seldom afterwards, to save time.
func (w *doubtWorld) expire(ctx context.Context) {
	for d := time.Duration(0); d < 20*24*time.Hour; {
		d += 5 * time.Minute
		if d > 16*time.Hour {
			d += 11 * time.Hour
		}
		time.Sleep(time.Until(w.begin.Add(d)))
		for _, p := range w.processOf {
			p.Expire(ctx, time.Now()) // what fails is due again
		}
	}
	w.mu.Lock()
	w.trouble = 0
	w.mu.Unlock()
	for _, p := range w.processOf {
		p.Expire(ctx, time.Now())
	}
}

func (w *doubtWorld) patience() time.Duration {
	if w.wait == 0 {
		return 75 * time.Minute
	}
	return w.wait
}

// judge holds what was told against what SES did and what was heard of it.
func (w *doubtWorld) judge() (broken []violation) {
	if n := w.store.Len(); n != 0 {
		broken = append(broken, violation{alsoNothingStays, fmt.Sprintf("%d are kept", n)})
	}
	for i := range w.mails {
		m := &w.mails[i]
		fail := func(promise, format string, args ...any) {
			broken = append(broken, violation{promise, fmt.Sprintf("%s, told %+v: ", m.trackID, w.told[m.trackID]) + fmt.Sprintf(format, args...)})
		}
		last, since := m.inDoubt()
		if !last {
			if len(w.told[m.trackID]) > 0 {
				fail(alsoOnlyDoubts, "told")
			}
			continue
		}
		w.judgeTold(m, fail)
		judgeEnd(w.told[m.trackID], w.heard[m.trackID], fail)
		if len(w.heard[m.trackID]) == 0 {
			late := w.begin.Add(since + w.patience() + 2*time.Hour) // some failures of Expire in a row
			if !slices.ContainsFunc(w.told[m.trackID], func(t telling) bool { return t.taken && t.State == event.Unconfirmed && t.at.Before(late) }) {
				fail(promiseEnds, "not by %v", late)
			}
		}
	}
	return broken
}

// judgeTold looks at each telling alone.
func (w *doubtWorld) judgeTold(m *doubtMail, fail func(promise, format string, args ...any)) {
	given := map[string]bool{}
	for _, a := range m.attempts {
		given[a.messageID] = a.messageID != ""
	}
	for _, t := range w.told[m.trackID] {
		for _, id := range t.MessageIDs {
			if !given[id] {
				fail(promiseTrue, "SES gave no id %q", id)
			}
		}
		if t.State != event.Unconfirmed {
			continue
		}
		for _, a := range m.attempts {
			ends := w.begin.Add(a.ends)
			if !a.answered && !ends.After(t.at.Add(-5*time.Minute)) && t.at.Before(ends.Add(w.patience())) {
				fail(promisePatience, "too soon after %v", ends)
			}
		}
		if came := w.came[m.trackID]; !came.IsZero() && came.Before(t.at) {
			fail(promisePatience, "an event came at %v", came)
		}
	}
}

// judgeEnd compares how a doubt ended with the ids that were heard.
func judgeEnd(told []telling, heard map[string]bool, fail func(promise, format string, args ...any)) {
	var end event.Doubt
	for _, t := range told {
		if t.State == event.InDoubt {
			fail(promiseEnds, "told of a doubt that has not ended")
		}
		if t.taken && t.State >= end.State {
			end = t.Doubt
		}
	}
	want := []event.DoubtState{event.Unconfirmed, event.Accepted, event.Duplicated}[min(len(heard), 2)]
	switch {
	case end.State == event.InDoubt:
		fail(promiseEnds, "nobody took it")
	case end.State != want:
		fail(promiseHeard, "%v, want %v of %q", end.State, want, slices.Collect(maps.Keys(heard)))
	case len(end.MessageIDs) < min(len(heard), 2):
		fail(promiseHeard, "ids %q", end.MessageIDs)
	}
	for _, id := range end.MessageIDs {
		if !heard[id] {
			fail(promiseHeard, "no event had the id %q", id)
		}
	}
}

// A doubtTally shows that the scripts reach what they are meant to reach.
type doubtTally struct {
	accepted, duplicated, unconfirmed, wrongSilence, late, early, failed atomic.Int64
}

func (c *doubtTally) String() string {
	return fmt.Sprintf("accepted %d, duplicated %d, unconfirmed %d, of them accepted by SES %d; accepted late %d, event before the doubt %d; failures %d",
		c.accepted.Load(), c.duplicated.Load(), c.unconfirmed.Load(), c.wrongSilence.Load(), c.late.Load(), c.early.Load(), c.failed.Load())
}

func (c *doubtTally) check(t *testing.T) {
	for _, n := range []*atomic.Int64{&c.accepted, &c.duplicated, &c.unconfirmed, &c.wrongSilence, &c.late, &c.early, &c.failed} {
		if n.Load() == 0 {
			t.Error("something never came: ", c)
		}
	}
}

func (c *doubtTally) add(w *doubtWorld) {
	c.failed.Add(int64(w.failed))
	for _, m := range w.mails {
		last, since := m.inDoubt()
		if !last {
			continue
		}
		told := w.told[m.trackID]
		switch len(w.heard[m.trackID]) {
		case 0:
			c.unconfirmed.Add(1)
			if slices.ContainsFunc(m.attempts, func(a doubtAttempt) bool { return a.messageID != "" }) {
				c.wrongSilence.Add(1)
			}
		case 1:
			c.accepted.Add(1)
			if len(told) > 0 && told[0].State == event.Unconfirmed {
				c.late.Add(1)
			}
		default:
			c.duplicated.Add(1)
		}
		if came := w.came[m.trackID]; !came.IsZero() && came.Before(w.begin.Add(since)) {
			c.early.Add(1)
		}
	}
}

// TestProofOfDoubts runs random scripts of mails in doubt, whose events come
// late, twice, out of order or never, through several processes and a store that
// fails, in fake time. Script n has the seed -proof.seed+n.
func TestProofOfDoubts(t *testing.T) {
	first := *proofSeed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	t.Logf("seeds %d to %d", first, first+uint64(*proofScripts)-1)
	var next atomic.Uint64
	var tally doubtTally
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= uint64(*proofScripts) || t.Failed() {
					return
				}
				s := newDoubtScript(first + n)
				for _, v := range s.run(t, ourDoubts, &tally) {
					t.Errorf("%v\n%v\nreplay: go test ./sesguard/internal/proof -run '^TestProofOfDoubts$' -proof.seed=%d -proof.scripts=1", v, s, s.seed)
				}
			}
		})
	}
	wg.Wait()
	t.Log(tally.String())
	if *proofScripts >= 1000 {
		tally.check(t)
	}
}

// TestProofOfDoubtsCanFail puts the mistakes that are easily made in the place of
// event.Doubts, and sees the proof find each.
func TestProofOfDoubtsCanFail(t *testing.T) {
	for _, mistake := range []struct {
		name   string
		build  buildDoubter
		breaks string
	}{
		{"an event is dropped that comes before its doubt", deafDoubter(), promiseHeard},
		{"an event is acknowledged that was not stored", func(w *doubtWorld) doubter { return lossyDoubter{ourDoubts(w)} }, promiseHeard},
		{"any event proves the same acceptance", func(w *doubtWorld) doubter { return crudeDoubter{ourDoubts(w)} }, promiseTrue},
		{"silence is acceptance", func(w *doubtWorld) doubter { return believingDoubter{ourDoubts(w), w} }, promiseTrue},
		{"silence counts too soon", func(w *doubtWorld) doubter {
			return &event.Doubts{Wait: w.patience() / 2, Store: w, Settled: w.settled}
		}, promisePatience},
		{"nobody looks at the clock", func(w *doubtWorld) doubter { return idleDoubter{ourDoubts(w)} }, promiseEnds},
		{"each process remembers for itself", func(w *doubtWorld) doubter { return &event.Doubts{Wait: w.wait, Settled: w.settled} }, promiseHeard},
	} {
		t.Run(mistake.name, func(t *testing.T) {
			for seed := uint64(1); seed <= 2000; seed++ {
				var ignored doubtTally
				for _, v := range newDoubtScript(seed).run(t, mistake.build, &ignored) {
					if v.promise == mistake.breaks {
						t.Logf("found after %d scripts", seed)
						return
					}
				}
			}
			t.Errorf("2,000 scripts did not show that it breaks %q", mistake.breaks)
		})
	}
}

// deafDoubter knows the doubts of all processes and hears of no other mail.
func deafDoubter() buildDoubter {
	var known sync.Map
	return func(w *doubtWorld) doubter { return deaf{ourDoubts(w), &known} }
}

type deaf struct {
	doubter
	known *sync.Map
}

func (d deaf) Add(ctx context.Context, trackID string, at time.Time) error {
	d.known.Store(trackID, true)
	return d.doubter.Add(ctx, trackID, at)
}

func (d deaf) Settle(ctx context.Context, trackID, messageID string, at time.Time) error {
	if _, ok := d.known.Load(trackID); !ok {
		return nil
	}
	return d.doubter.Settle(ctx, trackID, messageID, at)
}

type lossyDoubter struct{ doubter }

func (d lossyDoubter) Settle(ctx context.Context, trackID, messageID string, at time.Time) error {
	d.doubter.Settle(ctx, trackID, messageID, at)
	return nil
}

type crudeDoubter struct{ doubter }

func (d crudeDoubter) Settle(ctx context.Context, trackID, _ string, at time.Time) error {
	return d.doubter.Settle(ctx, trackID, "accepted", at)
}

type believingDoubter struct {
	doubter
	w *doubtWorld
}

func (d believingDoubter) Expire(ctx context.Context, now time.Time) error {
	due, err := d.w.Due(ctx, now)
	for _, x := range due {
		err = errors.Join(err, d.Settle(ctx, x.TrackID, "assumed", now))
	}
	return err
}

type idleDoubter struct{ doubter }

func (idleDoubter) Expire(context.Context, time.Time) error { return nil }

// TestProofOfDoubtsOverTheFake closes the circle: mails go through the real
// transports to the fake, with the faults of TestProof; what is in doubt is
// settled by the events that the fake publishes, signed or not, late, twice,
// out of order or never; and the fake's mailbox is the judge.
func TestProofOfDoubtsOverTheFake(t *testing.T) {
	first := *proofSeed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	scripts := min(max(*proofScripts/5, 1), 500)
	t.Logf("seeds %d to %d", first, first+uint64(scripts)-1)
	ends := map[event.DoubtState]int{}
	for seed := first; seed < first+uint64(scripts) && !t.Failed(); seed++ {
		s := newScenario(t, seed)
		s.route, s.tagged = routeSend, true
		s.policy.AllowDuplicates = seed%2 == 0
		for _, v := range s.runDoubts(t, ends) {
			t.Errorf("%v\n%v\nreplay: go test ./sesguard/internal/proof -run '^TestProofOfDoubtsOverTheFake$' -proof.seed=%d -proof.scripts=1", v, s, s.seed)
		}
	}
	t.Log(ends)
	for _, state := range []event.DoubtState{event.Unconfirmed, event.Accepted, event.Duplicated} {
		if scripts >= 200 && ends[state] == 0 {
			t.Errorf("no doubt ended as %v", state)
		}
	}
}

// A fakeEvents watches what the fake publishes and what is told of it.
type fakeEvents struct {
	doubts event.Doubts
	wg     sync.WaitGroup

	mu    sync.Mutex
	rand  *rand.Rand
	fails int                        // how often the database still fails
	added map[string]bool            // doubts
	heard map[string]map[string]bool // ids of which an event is published at least once
	told  map[string][]telling
}

func (s *scenario) runDoubts(t *testing.T, ends map[event.DoubtState]int) (broken []violation) {
	synctest.Test(t, func(t *testing.T) {
		w := s.start(t)
		f := &fakeEvents{
			rand: rand.New(rand.NewPCG(s.seed, 3)), fails: int(s.seed % 3), // SNS comes three times more
			added: map[string]bool{}, heard: map[string]map[string]bool{}, told: map[string][]telling{},
		}
		f.doubts.Settled = f.settled
		f.listen(w)
		w.send(t, f.watch(ours(w)))
		f.happen(w)
		for range 10 * 12 { // ten hours
			time.Sleep(5 * time.Minute)
			f.doubts.Expire(t.Context(), time.Now())
		}
		f.wg.Wait()
		w.finish()
		broken = f.judge(w, ends)
	})
	return broken
}

// listen subscribes to the events of all mails.
func (f *fakeEvents) listen(w *world) {
	w.srv.Account.SetConfigurationSet("all", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{{}}})
	w.srv.Account.SetIdentity("example.com", sestest.Identity{ConfigurationSet: "all"})
	w.srv.Events.Schedule(f.schedule)
	sub := sestest.Subscription{Raw: w.seed%4 == 1, Func: f.hear}
	if w.seed%2 == 0 {
		sub = sestest.Subscription{SHA256: w.seed%4 == 0, Handler: &event.Handler{
			Topics: []string{w.srv.Events.TopicARN()}, HTTPClient: w.srv.HTTPClient(),
			Handle: func(ctx context.Context, e *event.Event) error { return event.Settle(ctx, &f.doubts, trackTag, e) },
		}}
	}
	w.srv.Events.Subscribe(sub)
}

func (f *fakeEvents) schedule(_ string, m sestest.Mail) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var when []time.Duration
	for range []int{0, 0, 1, 1, 2}[f.rand.IntN(5)] {
		when = append(when, spread(f.rand, []time.Duration{time.Second, time.Hour, 6 * time.Hour}[f.rand.IntN(3)]))
	}
	if id := m.Tags[trackTag]; len(when) > 0 && id != "" {
		if f.heard[id] == nil {
			f.heard[id] = map[string]bool{}
		}
		f.heard[id][m.ID] = true
	}
	return when
}

// hear is the reader of a queue.
func (f *fakeEvents) hear(message []byte) {
	f.wg.Go(func() {
		events, err := event.Parse(message)
		for _, e := range events {
			for event.Settle(context.Background(), &f.doubts, trackTag, e) != nil {
				time.Sleep(30 * time.Second)
			}
		}
		if err != nil {
			panic(err) // the fake writes what Parse reads
		}
	})
}

// watch adds a doubt for each attempt that ends in doubt.
func (f *fakeEvents) watch(next sesguard.Transport) sesguard.Transport {
	return sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		r, err := next.Attempt(ctx, m)
		if _, ours := errors.AsType[*seserrors.Error](err); err != nil && (!ours || seserrors.MaybeAccepted(err)) {
			f.mu.Lock()
			f.added[m.TrackID()] = true
			f.mu.Unlock()
			for f.doubts.Add(context.Background(), m.TrackID(), time.Now()) != nil {
				time.Sleep(time.Second)
			}
		}
		return r, err
	})
}

// happen says what becomes of the mails beside Send.
func (f *fakeEvents) happen(w *world) {
	for i, m := range w.srv.Accepted() {
		switch i % 4 {
		case 0:
			w.srv.Events.Deliver(m)
		case 1:
			w.srv.Events.Bounce(m, "Permanent/General", "smtp; 550 5.1.1 user unknown")
		case 2:
			w.srv.Events.Delay(m, "", "")
		}
	}
}

func (f *fakeEvents) settled(_ context.Context, d event.Doubt) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := telling{Doubt: d, at: time.Now(), taken: f.fails == 0}
	f.told[d.TrackID] = append(f.told[d.TrackID], t)
	if !t.taken {
		f.fails--
		return errTrouble
	}
	return nil
}

func (f *fakeEvents) judge(w *world, ends map[event.DoubtState]int) (broken []violation) {
	accepted := map[string][]string{}
	for _, m := range w.srv.Accepted() {
		id := m.Tags[trackTag]
		accepted[id] = append(accepted[id], m.ID)
	}
	for id, told := range f.told {
		if !f.added[id] {
			broken = append(broken, violation{alsoOnlyDoubts, fmt.Sprintf("told %+v", told)})
		}
	}
	for id := range f.added {
		fail := func(promise, format string, args ...any) {
			broken = append(broken, violation{promise, fmt.Sprintf("SES has it as %q, told %+v: ", accepted[id], f.told[id]) + fmt.Sprintf(format, args...)})
		}
		judgeEnd(f.told[id], f.heard[id], fail)
		ends[[]event.DoubtState{event.Unconfirmed, event.Accepted, event.Duplicated}[min(len(f.heard[id]), 2)]]++
		for _, t := range f.told[id] {
			for _, given := range t.MessageIDs {
				if !slices.Contains(accepted[id], given) {
					fail(promiseTrue, "SES gave no id %q", given)
				}
			}
		}
	}
	return broken
}
