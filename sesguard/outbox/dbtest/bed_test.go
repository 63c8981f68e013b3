package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// A bed is an outbox with a fake SES that answers as it is told.
type bed struct {
	*outbox.Outbox
	db  *sql.DB
	ses *fake
	t   testing.TB
}

// A fake is a Transport that keeps what it accepts.
type fake struct {
	mu       sync.Mutex
	answer   func(m *sesguard.Mail) error // nil: accept
	attempts []time.Time
	accepted []*sesguard.Mail
}

func (f *fake) Attempt(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts = append(f.attempts, time.Now())
	if f.answer != nil {
		if err := f.answer(m); err != nil {
			return nil, err
		}
	}
	f.accepted = append(f.accepted, m)
	return &sesguard.Receipt{MessageID: fmt.Sprintf("ses-%d", len(f.accepted))}, nil
}

func (f *fake) answers(answer func(m *sesguard.Mail) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.accepted)
}

func (f *fake) tries() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.attempts...)
}

func refusal(r seserrors.Reason) error {
	return &seserrors.Error{Op: "fake SES", Class: r.Class(), Reason: r, Message: "no"}
}

func doubt() error {
	return &seserrors.Error{Op: "fake SES", Class: seserrors.Unavailable, Reason: seserrors.ResponseLost, MaybeAccepted: true}
}

func newBed(t testing.TB, p place, opts outbox.Options) *bed {
	t.Helper()
	db := p.open(t)
	o, err := outbox.Open(t.Context(), db, opts)
	if err != nil {
		t.Fatal(err)
	}
	return &bed{o, db, &fake{}, t}
}

// newTappedBed is newBed with tap between the outbox and p. What the test itself
// reads and writes goes to the database directly.
func newTappedBed(t testing.TB, p place, opts outbox.Options, tap tap) *bed {
	t.Helper()
	db, err := openTapped(p, tap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	o, err := outbox.Open(t.Context(), db, opts)
	if err != nil {
		t.Fatal(err)
	}
	return &bed{o, p.open(t), &fake{}, t}
}

func message(n int) *sesguard.Message {
	return &sesguard.Message{
		From: "shop@example.com", To: []string{fmt.Sprintf("user%d@example.org", n)},
		Subject: fmt.Sprintf("Order %d", n), Text: "It is on its way.",
	}
}

func (b *bed) enqueue(entries ...outbox.Entry) []string {
	b.t.Helper()
	tickets, err := b.Enqueue(b.t.Context(), entries...)
	if err != nil {
		b.t.Fatal(err)
	}
	var ids []string
	for _, ticket := range tickets {
		ids = append(ids, ticket.ID)
	}
	return ids
}

func (b *bed) enqueueMany(n int, change func(i int, e *outbox.Entry)) []string {
	b.t.Helper()
	entries := make([]outbox.Entry, n)
	for i := range entries {
		entries[i].Message = message(i)
		if change != nil {
			change(i, &entries[i])
		}
	}
	return b.enqueue(entries...)
}

// start starts a Run; stop ends it and waits.
func (b *bed) start() (stop func()) { return b.startWith(b.ses.Attempt) }

func (b *bed) startWith(transport sesguard.TransportFunc) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, transport) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
}

func (b *bed) state(id string) outbox.State {
	b.t.Helper()
	return b.get(id).State
}

func (b *bed) get(id string) *outbox.Record {
	b.t.Helper()
	r, err := b.Get(context.Background(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bed) stats() *outbox.Stats {
	b.t.Helper()
	s, err := b.Stats(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// exec changes the database under the outbox.
func (b *bed) exec(text string, args ...any) {
	b.t.Helper()
	if _, err := b.db.Exec(text, args...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) number(text string, args ...any) (n int64) {
	b.t.Helper()
	if err := b.db.QueryRow(text, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// inFakeTime runs body in a bubble, over SQLite: there the outbox's clock is Go's.
func inFakeTime(t *testing.T, opts outbox.Options, body func(t *testing.T, b *bed)) {
	t.Helper()
	p := sqlitePlace(t)
	synctest.Test(t, func(t *testing.T) { body(t, newBed(t, p, opts)) })
}

// until waits in real time.
func (b *bed) until(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// perSecond is a rate limiter that begins with the bubble that uses it.
type perSecond struct {
	rate    float64
	once    sync.Once
	limiter *sesguard.RateLimiter
}

func (l *perSecond) WaitN(ctx context.Context, n int) error {
	l.once.Do(func() { l.limiter = sesguard.NewRateLimiter(l.rate) })
	return l.limiter.WaitN(ctx, n)
}

func (l *perSecond) Observe(context.Context, int, error) {}
