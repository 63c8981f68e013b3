package event_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

var background = context.Background()

// A hearing is a Doubts with what it told.
type hearing struct {
	event.Doubts
	mu   sync.Mutex
	told []event.Doubt
}

func newHearing(store event.DoubtStore) *hearing {
	h := &hearing{}
	h.Store = store
	h.Settled = func(_ context.Context, d event.Doubt) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.told = append(h.told, d)
		return nil
	}
	return h
}

// states returns what was told of a mail, in order.
func (h *hearing) states(trackID string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := ""
	for _, d := range h.told {
		if d.TrackID == trackID {
			s += fmt.Sprintf("%v%v ", d.State, d.MessageIDs)
		}
	}
	return s
}

const wait = 75 * time.Minute

// Each script is a sequence of Add (A), Settle with message id 1 or 2, waiting
// just short of the wait (-) or to its end (+), and Expire after each step.
func TestDoubtsEnd(t *testing.T) {
	for name, c := range map[string]struct{ script, told string }{
		"an event settles":                    {"A1", "accepted[m1] "},
		"an event that came before":           {"1A", "accepted[m1] "},
		"events come twice":                   {"A111", "accepted[m1] "},
		"twice before":                        {"11A", "accepted[m1] "},
		"added twice":                         {"AA1A", "accepted[m1] "},
		"sent twice":                          {"A12", "accepted[m1] duplicated[m1 m2] "},
		"sent twice, known before":            {"21A", "duplicated[m2 m1] "},
		"sent twice, one known before":        {"1A2", "accepted[m1] duplicated[m1 m2] "},
		"silence, not long enough":            {"A-", ""},
		"silence":                             {"A+", "unconfirmed[] "},
		"silence for long":                    {"A+++", "unconfirmed[] "},
		"an event just in time":               {"A-1+", "accepted[m1] "},
		"an event that is late":               {"A+1", "unconfirmed[] accepted[m1] "},
		"both late":                           {"A++2+1", "unconfirmed[] accepted[m2] duplicated[m2 m1] "},
		"no doubt":                            {"1122+", ""},
		"an event that came before, kept":     {"1-A", "accepted[m1] "},
		"an event that came before, not kept": {"1+A", ""},
		"the same, and silence":               {"1+A+", "unconfirmed[] "},
		"the same, and another event":         {"1+A1", "accepted[m1] "},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHearing(nil)
			start := time.Now()
			for _, step := range c.script {
				var err error
				switch step {
				case 'A':
					err = h.Add(background, "track", start)
					if c.script[0] == '1' && time.Since(start) >= wait {
						err = errors.Join(err, h.Add(background, "track", time.Now()))
					}
				case '1', '2':
					err = h.Doubts.Settle(background, "track", "m"+string(step), time.Now())
				case '-':
					time.Sleep(wait - time.Second)
				case '+':
					time.Sleep(wait)
				}
				if err = errors.Join(err, h.Expire(background, time.Now())); err != nil {
					t.Fatal(err)
				}
			}
			if told := h.states("track"); told != c.told {
				t.Errorf("%s (%s): told %q, want %q", name, c.script, told, c.told)
			}
		})
	}
}

func TestWaitIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for given, want := range map[time.Duration]time.Duration{0: wait, 15 * time.Minute: 15 * time.Minute} {
			h := newHearing(nil)
			h.Wait = given
			now := time.Now()
			_ = h.Add(background, "track", now)
			_ = h.Expire(background, now.Add(want-1))
			before := h.states("track")
			_ = h.Expire(background, now.Add(want))
			if before != "" || h.states("track") != "unconfirmed[] " {
				t.Errorf("%v: %q, %q", given, before, h.states("track"))
			}
		}
	})
}

// A doubt that was given up and sent again is a new one.
func TestAnotherAttemptStartsTheWaitAnew(t *testing.T) {
	h := newHearing(nil)
	t0 := time.Now()
	_ = h.Add(background, "track", t0)
	_ = h.Expire(background, t0.Add(wait))
	_ = h.Add(background, "track", t0.Add(2*wait))
	_ = h.Expire(background, t0.Add(3*wait-1))
	if told := h.states("track"); told != "unconfirmed[] " {
		t.Error(told)
	}
	_ = h.Expire(background, t0.Add(3*wait))
	if told := h.states("track"); told != "unconfirmed[] unconfirmed[] " {
		t.Error(told)
	}
}

func TestWhatCannotBeSettled(t *testing.T) {
	store := new(event.MemoryDoubts)
	h := newHearing(store)
	if h.Add(background, "", time.Now()) == nil {
		t.Error("a doubt without an id was taken")
	}
	_ = h.Add(background, "track", time.Time{})
	for _, id := range [][2]string{{"", "m1"}, {"track", ""}} {
		if err := h.Doubts.Settle(background, id[0], id[1], time.Now()); err != nil {
			t.Error(err)
		}
	}
	if len(h.told) != 0 {
		t.Error(h.told)
	}
	for i := range 20 {
		_ = h.Doubts.Settle(background, "track", fmt.Sprint(i), time.Now())
	}
	kept := must(store.Due(background, time.Now().Add(30*24*time.Hour)))(t)
	if len(kept) != 1 || len(kept[0].MessageIDs) != 8 || h.states("track") != "accepted[0] duplicated[0 1] " {
		t.Error(kept, h.states("track"))
	}
}

// What Settled has not taken is told again, by an event's copy or by Expire.
func TestSettledFails(t *testing.T) {
	for name, again := range map[string]func(*hearing) error{
		"copy of the event": func(h *hearing) error { return h.Doubts.Settle(background, "track", "m1", time.Now()) },
		"Expire":            func(h *hearing) error { return h.Expire(background, time.Now().Add(time.Second)) },
		"Add":               func(h *hearing) error { return h.Add(background, "track", time.Now().Add(-time.Hour)) },
	} {
		h := newHearing(nil)
		_ = h.Add(background, "track", time.Now())
		take := h.Settled
		trouble := errors.New("trouble")
		h.Settled = func(context.Context, event.Doubt) error { return trouble }
		for range 2 {
			if err := h.Doubts.Settle(background, "track", "m1", time.Now()); !errors.Is(err, trouble) {
				t.Error(name, err)
			}
		}
		h.Settled = take
		if err := again(h); err != nil || h.states("track") != "accepted[m1] " {
			t.Errorf("%s: %v, told %q", name, err, h.states("track"))
		}
		_ = h.Expire(background, time.Now().Add(time.Hour))
		if h.states("track") != "accepted[m1] " {
			t.Errorf("%s: told again: %q", name, h.states("track"))
		}
	}
}

// While Expire tells that a doubt is unconfirmed, an event comes. The last that
// Settled hears is the truth.
func TestAnEventWhileTheDoubtIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(event.MemoryDoubts)
		slow, quick := newHearing(store), newHearing(store)
		take := slow.Settled
		slow.Settled = func(ctx context.Context, d event.Doubt) error {
			if d.State == event.Unconfirmed {
				time.Sleep(time.Minute)
			}
			return take(ctx, d)
		}
		_ = slow.Add(background, "track", time.Now())
		time.Sleep(wait)
		var wg sync.WaitGroup
		wg.Go(func() { _ = slow.Expire(background, time.Now()) })
		synctest.Wait()
		_ = quick.Doubts.Settle(background, "track", "m1", time.Now())
		wg.Wait()
		if quick.states("track") != "accepted[m1] " || slow.states("track") != "unconfirmed[] accepted[m1] " {
			t.Errorf("%q, %q", quick.states("track"), slow.states("track"))
		}
	})
}

// What happens while Settled is told: the doubt is settled by another process
// whose Settled fails, it is doubted anew, it is deleted.
func TestWhatHappensWhileSettledIsTold(t *testing.T) {
	t0 := time.Now()
	for name, c := range map[string]struct {
		meanwhile func(*event.Doubts, *event.MemoryDoubts)
		told      string // by another Expire, much later
		kept      int
	}{
		"settled, and not told": {func(d *event.Doubts, s *event.MemoryDoubts) {
			other := &event.Doubts{Store: s, Settled: func(context.Context, event.Doubt) error { return errStore }}
			_ = other.Settle(background, "track", "m1", t0)
		}, "accepted[m1] ", 1},
		"doubted anew": {func(d *event.Doubts, _ *event.MemoryDoubts) { _ = d.Add(background, "track", t0.Add(wait)) }, "unconfirmed[] ", 1},
		"deleted": {func(_ *event.Doubts, s *event.MemoryDoubts) {
			_ = s.Update(background, "track", func(d *event.Doubt) { d.TrackID = "" })
		}, "", 0},
	} {
		store := new(event.MemoryDoubts)
		h := newHearing(store)
		take, calls := h.Settled, 0
		h.Settled = func(context.Context, event.Doubt) error {
			if calls++; calls == 1 {
				c.meanwhile(&h.Doubts, store)
				return nil
			}
			return errStore
		}
		_ = h.Add(background, "track", t0)
		_ = h.Expire(background, t0.Add(wait))
		h.Settled = take
		_ = h.Expire(background, t0.Add(3*wait))
		if h.states("track") != c.told || store.Len() != c.kept {
			t.Errorf("%s: told %q, want %q; %d kept", name, h.states("track"), c.told, store.Len())
		}
	}
}

// A staleStore shows what was due before another process doubted it anew.
type staleStore struct {
	event.MemoryDoubts
	other *event.Doubts
}

func (s *staleStore) Due(ctx context.Context, now time.Time) ([]event.Doubt, error) {
	due, err := s.MemoryDoubts.Due(ctx, now)
	for _, d := range due {
		_ = s.other.Add(ctx, d.TrackID, now)
	}
	return due, err
}

func TestExpireLooksAgain(t *testing.T) {
	s := new(staleStore)
	h := newHearing(s)
	s.other = &h.Doubts
	_ = h.Add(background, "track", time.Now())
	if _ = h.Expire(background, time.Now().Add(wait)); h.states("track") != "" {
		t.Error("given up although it was just doubted anew:", h.states("track"))
	}
}

func TestSettleTellsOfEveryKind(t *testing.T) {
	for kind, sample := range samples {
		if kind == "rendering failure" {
			continue
		}
		h := newHearing(nil)
		_ = h.Add(background, "abcdefghijklmnopqrstuvwxyz", time.Now())
		if err := event.Settle(background, h, "sesguard-id", one(t, sample)); err != nil || len(h.told) != 1 || h.told[0].MessageIDs[0] != "0102019a-1111-2222-000000" {
			t.Errorf("%s: %v %v", kind, err, h.told)
		}
	}
	var calls []time.Time
	s := settler(func(_, _ string, at time.Time) error { calls = append(calls, at); return errors.New("down") })
	if err := event.Settle(background, s, "sesguard-id", one(t, samples["delivery"])); err == nil || !calls[0].Equal(at("2026-05-04T10:11:12.345Z")) {
		t.Error(err, calls)
	}
	for _, data := range []string{notifications["bounce"], samples["rendering failure"], `{"eventType":"Send","mail":{"tags":{"sesguard-id":["x"]}}}`, `{"eventType":"Send","mail":{"messageId":"m","tags":{"sesguard-id":[]}}}`} {
		if err := event.Settle(background, s, "sesguard-id", one(t, data)); err != nil {
			t.Errorf("%.60s: %v", data, err)
		}
	}
}

type settler func(trackID, messageID string, at time.Time) error

func (f settler) Settle(_ context.Context, trackID, messageID string, at time.Time) error {
	return f(trackID, messageID, at)
}

// A roughStore repeats changes as after conflicts, fails, and loses the answers
// to changes that it made.
type roughStore struct {
	event.MemoryDoubts
	r *rand.Rand
}

var errStore = errors.New("store down")

func (s *roughStore) Update(ctx context.Context, trackID string, f func(*event.Doubt)) error {
	if s.r.IntN(20) == 0 {
		return errStore
	}
	conflict := s.r.IntN(5) == 0
	if err := s.MemoryDoubts.Update(ctx, trackID, func(d *event.Doubt) {
		if conflict {
			lost := *d
			lost.MessageIDs = slices.Clone(d.MessageIDs)
			f(&lost)
		}
		f(d)
	}); err != nil {
		return err
	}
	if s.r.IntN(20) == 0 {
		return errStore
	}
	return nil
}

func (s *roughStore) Due(ctx context.Context, now time.Time) ([]event.Doubt, error) {
	if s.r.IntN(20) == 0 {
		return nil, errStore
	}
	due, err := s.MemoryDoubts.Due(ctx, now)
	if len(due) > 1 && s.r.IntN(4) == 0 {
		due = due[:1+s.r.IntN(len(due)-1)]
	}
	return due, err
}

// A scriptedMail is a mail of a random script, and what is true of it.
type scriptedMail struct {
	id       string
	ended    time.Time // its attempt
	doubted  time.Time // when Add succeeded
	handled  map[string][]time.Time
	told     []event.Doubt
	toldAt   []time.Time
	hasDoubt bool
}

type step struct {
	at time.Time
	do func() error // repeated after a while if it fails
}

// Random scripts: mails accepted never, once or twice; events at once, late,
// twice, out of order or lost; doubts known before or after them; two processes
// over a store that fails; a Settled that fails. Every doubt ends, and none
// wrongly.
func TestRandomScripts(t *testing.T) {
	scripts, seed := 20_000, uint64(time.Now().UnixNano())
	if s := os.Getenv("EVENT_SCRIPTS"); s != "" {
		scripts, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("EVENT_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	if testing.Short() || underRace {
		scripts = 1000
	}
	ends := map[event.DoubtState]int{}
	const bubble = 1000 // fake time ends in 2262
	for from := 0; from < scripts && !t.Failed(); from += bubble {
		synctest.Test(t, func(t *testing.T) {
			for i := from; i < min(from+bubble, scripts); i++ {
				if err := runScript(rand.New(rand.NewPCG(seed, uint64(i))), ends); err != nil {
					t.Fatalf("script %d of EVENT_SEED=%d: %v", i, seed, err)
				}
			}
		})
	}
	t.Logf("%d scripts: %v", scripts, ends)
	for _, s := range []event.DoubtState{event.Unconfirmed, event.Accepted, event.Duplicated} {
		if ends[s] < scripts/20 {
			t.Errorf("the scripts hardly reach %v: %v", s, ends)
		}
	}
}

func runScript(r *rand.Rand, ends map[event.DoubtState]int) error {
	store := &roughStore{r: r}
	mails := make([]*scriptedMail, 1+r.IntN(3))
	byID := map[string]*scriptedMail{}
	settled := func(_ context.Context, d event.Doubt) error {
		if r.IntN(8) == 0 {
			return errors.New("settled: trouble")
		}
		m := byID[d.TrackID]
		m.told, m.toldAt = append(m.told, d), append(m.toldAt, time.Now())
		if r.IntN(20) == 0 {
			return errors.New("settled: its answer is lost")
		}
		return nil
	}
	processes := [2]*event.Doubts{{Store: store, Settled: settled}, {Store: store, Settled: settled}}
	either := func() *event.Doubts { return processes[r.IntN(2)] }
	start := time.Now()
	var steps []step
	for i := range mails {
		m := &scriptedMail{id: fmt.Sprint("track", i), ended: start.Add(time.Duration(r.IntN(600)) * time.Second), handled: map[string][]time.Time{}, hasDoubt: r.IntN(5) > 0}
		mails[i], byID[m.id] = m, m
		if m.hasDoubt {
			steps = append(steps, step{m.ended.Add(delay(r)), func() error {
				err := either().Add(background, m.id, m.ended)
				if err == nil && m.doubted.IsZero() {
					m.doubted = time.Now()
				}
				return err
			}})
		}
		for n := range r.IntN(3) {
			messageID := fmt.Sprint(m.id, "-", n)
			for range r.IntN(4) { // none: all events of it are lost
				steps = append(steps, step{m.ended.Add(delay(r)), func() error {
					// Whatever failed may have been stored.
					m.handled[messageID] = append(m.handled[messageID], time.Now())
					return either().Settle(background, m.id, messageID, m.ended)
				}})
			}
		}
	}
	expire := func() error { _ = either().Expire(background, time.Now()); return nil }
	for n := range 24 {
		steps = append(steps, step{start.Add(time.Duration(n) * 10 * time.Minute), expire})
	}
	for len(steps) > 0 {
		slices.SortStableFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
		s := steps[0]
		steps = steps[1:]
		time.Sleep(time.Until(s.at))
		if s.do() != nil {
			steps = append(steps, step{time.Now().Add(20 * time.Second), s.do})
		}
	}
	for range 40 {
		time.Sleep(10 * time.Minute)
		_ = expire()
	}
	for _, m := range mails {
		if err := m.check(ends); err != nil {
			return err
		}
	}
	time.Sleep(15 * 24 * time.Hour)
	for range 60 {
		_ = expire()
	}
	if n := store.Len(); n != 0 {
		due, _ := store.MemoryDoubts.Due(background, time.Now().Add(10000*time.Hour))
		return fmt.Errorf("%d doubts are kept for ever: %v, it is %v", n, due, time.Now())
	}
	return nil
}

// delay is mostly short, sometimes near or past the wait.
func delay(r *rand.Rand) time.Duration {
	switch r.IntN(10) {
	case 0:
		return time.Duration(r.Int64N(int64(3 * wait)))
	case 1:
		return wait + time.Duration(r.Int64N(int64(time.Hour)))
	}
	return time.Duration(r.Int64N(int64(5 * time.Minute)))
}

// check compares what was told with what is true. Events of a mail that is not
// known to be in doubt may be forgotten after the wait; all others count.
func (m *scriptedMail) check(ends map[event.DoubtState]int) error {
	if !m.hasDoubt {
		if len(m.told) > 0 {
			return fmt.Errorf("%s was never in doubt, but told: %v", m.id, m.told)
		}
		return nil
	}
	if len(m.told) == 0 {
		return fmt.Errorf("%s never ended", m.id)
	}
	last := m.told[len(m.told)-1]
	ends[last.State]++
	must, may := 0, len(m.handled)
	var first time.Time
	for _, times := range m.handled {
		for _, at := range times {
			if first.IsZero() || at.Before(first) {
				first = at
			}
		}
	}
	for _, times := range m.handled {
		if !times[len(times)-1].Before(m.doubted) || m.doubted.Sub(first) < wait {
			must++
		}
	}
	low, high := stateOf(must), stateOf(may)
	if last.State < low || last.State > high {
		return fmt.Errorf("%s ended %v, want %v to %v: %v, in doubt from %v", m.id, last.State, low, high, m.handled, m.doubted)
	}
	for i, d := range m.told {
		if i > 0 && d.State < m.told[i-1].State {
			return fmt.Errorf("%s: told %v after %v", m.id, d.State, m.told[i-1].State)
		}
		if d.State == event.Unconfirmed && m.toldAt[i].Before(m.ended.Add(wait)) {
			return fmt.Errorf("%s was given up after %v", m.id, m.toldAt[i].Sub(m.ended))
		}
		for _, id := range d.MessageIDs {
			if m.handled[id] == nil {
				return fmt.Errorf("%s was told the message id %s of another mail", m.id, id)
			}
		}
	}
	return nil
}

func stateOf(acceptances int) event.DoubtState {
	return [...]event.DoubtState{event.Unconfirmed, event.Accepted, event.Duplicated}[acceptances]
}

// Events, doubts and Expire from many goroutines, in two processes.
func TestDoubtsFromSeveralGoroutines(t *testing.T) {
	store := new(event.MemoryDoubts)
	var mu sync.Mutex
	ended := map[string]event.DoubtState{}
	settled := func(_ context.Context, d event.Doubt) error {
		mu.Lock()
		defer mu.Unlock()
		ended[d.TrackID] = d.State
		return nil
	}
	processes := [2]*event.Doubts{{Store: store, Settled: settled}, {Store: store, Settled: settled}}
	now := time.Now()
	var wg sync.WaitGroup
	for i := range 100 {
		id := fmt.Sprint("track", i)
		for p := range 2 {
			wg.Go(func() { _ = processes[p].Add(background, id, now) })
			for n := range i % 3 {
				wg.Go(func() { _ = processes[p].Settle(background, id, fmt.Sprint("m", n), now) })
			}
			wg.Go(func() { _ = processes[p].Expire(background, now.Add(wait)) })
		}
	}
	wg.Wait()
	_ = processes[0].Expire(background, now.Add(wait))
	for i := range 100 {
		if got, want := ended[fmt.Sprint("track", i)], stateOf(i%3); got != want {
			t.Errorf("mail %d ended %v, want %v", i, got, want)
		}
	}
}
