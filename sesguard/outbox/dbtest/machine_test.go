package dbtest

import (
	"context"
	"database/sql/driver"
	stderrors "errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

func TestMailsAreSentAndTheirContentIsErased(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		ids := b.enqueueMany(50, nil)
		stop := b.start()
		b.until("sent", func() bool { return b.stats().N(outbox.Sent) == 50 })
		stop()
		if n := b.ses.count(); n != 50 {
			t.Errorf("SES has %d mails, want 50", n)
		}
		if r := b.get(ids[0]); r.MessageID == "" || r.Attempts != 1 || r.From != "shop@example.com" || r.Recipients != 1 {
			t.Errorf("record: %+v", r)
		}
		if _, err := b.Mail(t.Context(), ids[0]); err != outbox.ErrErased {
			t.Errorf("Mail: %v, want ErrErased", err)
		}
		if n := b.number("select count(*) from sesguard_content"); n != 0 {
			t.Errorf("%d contents are left", n)
		}
		if n := b.number("select count(*) from sesguard_outbox where state = 'sent' and changed is not null"); n != 50 {
			t.Errorf("the view shows %d sent mails, want 50", n)
		}
	})
}

// PostgreSQL takes no NUL in a text, and nothing that is not UTF-8.
func TestWhatATransportMakesUpIsStored(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		ids := b.enqueueMany(2, nil)
		stop := b.startWith(func(_ context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
			if m.TrackID() == ids[0] {
				return &sesguard.Receipt{MessageID: "a\x00b\xffc"}, nil
			}
			return nil, &seserrors.Error{Class: seserrors.Rejected, Reason: "odd\x00\xff", Message: "words\x00\xff"}
		})
		b.until("both ended", func() bool { return b.stats().N(outbox.Sent)+b.stats().N(outbox.Failed) == 2 })
		stop()
		if r := b.get(ids[0]); r.MessageID != "abc" {
			t.Errorf("the message id is %q", r.MessageID)
		}
		if r := b.get(ids[1]); r.Err == nil || r.Err.Class != seserrors.Rejected {
			t.Errorf("the error is %v", r.Err)
		}
	})
}

// Between the attempts the process is another one each time.
func TestTheScheduleGoesOnOverRestarts(t *testing.T) {
	t.Parallel()
	inFakeTime(t, outbox.Options{}, func(t *testing.T, b *bed) {
		b.ses.answers(func(*sesguard.Mail) error {
			if len(b.ses.attempts) <= 5 {
				return refusal(seserrors.ServiceFailure)
			}
			return nil
		})
		id := b.enqueueMany(1, nil)[0]
		for range 40 {
			stop := b.start()
			time.Sleep(time.Minute)
			stop()
		}
		if r := b.get(id); r.State != outbox.Sent || r.Attempts != 6 {
			t.Fatalf("%s after %d attempts, want sent after 6", r.State, r.Attempts)
		}
		tries := b.ses.tries()
		for n := 1; n < len(tries); n++ {
			low, high := retry.Schedule{}.Bounds(n)
			if wait := tries[n].Sub(tries[n-1]); wait < low || wait > high+3*time.Second {
				t.Errorf("wait %d took %v, want %v to %v", n, wait, low, high)
			}
		}
	})
}

func TestAPausedAccountCostsFewAttemptsAndNoMail(t *testing.T) {
	t.Parallel()
	inFakeTime(t, outbox.Options{Poll: 5 * time.Second}, func(t *testing.T, b *bed) {
		paused := true
		b.ses.answers(func(*sesguard.Mail) error {
			if paused {
				return refusal(seserrors.SendingPaused)
			}
			return nil
		})
		ids := b.enqueueMany(300, nil)
		defer b.start()()
		time.Sleep(time.Hour)
		if n := len(b.ses.tries()); n > 30 {
			t.Errorf("%d attempts in an hour, want 30 at most", n)
		}
		if r := b.get(ids[299]); r.Held != "account: sending-paused" || r.Attempts != 0 {
			t.Errorf("held %q after %d attempts", r.Held, r.Attempts)
		}
		if n := b.number("select count(*) from sesguard_mail where attempts > 0"); n > 0 {
			t.Errorf("%d mails count an attempt", n)
		}
		b.ses.answers(nil)
		time.Sleep(9 * time.Minute)
		if s := b.stats(); s.N(outbox.Sent) != 300 || len(s.Holds) > 0 {
			t.Errorf("after the pause: %+v", s)
		}
	})
}

func TestAnUnverifiedSenderHoldsItsOwnMailsOnly(t *testing.T) {
	inFakeTime(t, outbox.Options{}, func(t *testing.T, b *bed) {
		b.ses.answers(func(m *sesguard.Mail) error {
			if m.Author() == "new@example.com" {
				return refusal(seserrors.IdentityNotVerified)
			}
			return nil
		})
		b.enqueueMany(40, func(i int, e *outbox.Entry) {
			if i%2 == 0 {
				e.Message.From = "New <new@example.com>"
			}
		})
		defer b.start()()
		time.Sleep(10 * time.Second)
		if n := b.ses.count(); n != 20 {
			t.Errorf("%d sent, want the other sender's 20", n)
		}
		held, err := b.List(t.Context(), outbox.Query{Held: true})
		if err != nil || len(held) != 20 || held[0].Held != "from:new@example.com: identity-not-verified" {
			t.Errorf("%d held, %v", len(held), err)
		}
		b.ses.answers(nil)
		time.Sleep(2 * time.Minute)
		if n := b.ses.count(); n != 40 {
			t.Errorf("%d sent after the verification, want 40", n)
		}
	})
}

func TestTheSandboxFailsOneMailAndHoldsNothing(t *testing.T) {
	inFakeTime(t, outbox.Options{}, func(t *testing.T, b *bed) {
		b.ses.answers(func(m *sesguard.Mail) error {
			if m.Recipients()[0] != "user0@example.org" {
				return nil
			}
			return &seserrors.Error{Class: seserrors.Denied, Reason: seserrors.IdentityNotVerified, Identities: []string{"USER0@example.org"}}
		})
		ids := b.enqueueMany(5, nil)
		defer b.start()()
		time.Sleep(5 * time.Second)
		r := b.get(ids[0])
		if r.State != outbox.Failed || r.Err == nil || r.Err.Reason != seserrors.IdentityNotVerified || b.ses.count() != 4 {
			t.Errorf("%s: %v, %d sent", r.State, r.Err, b.ses.count())
		}
	})
}

func TestASpentQuotaIsProbedAfterAPause(t *testing.T) {
	inFakeTime(t, outbox.Options{Retry: retry.Policy{MaxAttempts: 1}, Poll: 5 * time.Second}, func(t *testing.T, b *bed) {
		b.ses.answers(func(*sesguard.Mail) error { return refusal(seserrors.DailyQuotaExceeded) })
		b.enqueueMany(50, nil)
		defer b.start()()
		time.Sleep(19 * time.Minute)
		first := len(b.ses.tries())
		if first > 10 {
			t.Errorf("%d attempts at first, want those of one claim", first)
		}
		time.Sleep(2 * time.Minute)
		if n := len(b.ses.tries()); n != first+1 {
			t.Errorf("%d probes after 20 minutes, want 1", n-first)
		}
		b.ses.answers(nil)
		time.Sleep(21 * time.Minute)
		if n := b.ses.count(); n != 50 {
			t.Errorf("%d sent, want 50", n)
		}
	})
}

func TestAnOutageStopsThisProcessAndBurnsFewAttempts(t *testing.T) {
	t.Parallel()
	for _, reason := range []seserrors.Reason{seserrors.Network, seserrors.CredentialsInvalid} {
		t.Run(string(reason), func(t *testing.T) {
			inFakeTime(t, outbox.Options{}, func(t *testing.T, b *bed) {
				b.ses.answers(func(*sesguard.Mail) error { return refusal(reason) })
				b.enqueueMany(200, nil)
				defer b.start()()
				time.Sleep(time.Hour)
				if n := len(b.ses.tries()); n > 100 {
					t.Errorf("%d attempts in an hour, want one a minute and those of the beginning", n)
				}
				if n := b.number("select count(*) from sesguard_mail where attempts > 1 or state <> 'waiting'"); n > 0 {
					t.Errorf("%d mails lost more than one attempt", n)
				}
				if n := len(b.stats().Holds); n > 0 {
					t.Errorf("%d holds: other processes are stopped too", n)
				}
				b.ses.answers(nil)
				time.Sleep(2 * time.Minute)
				if n := b.ses.count(); n != 200 {
					t.Errorf("%d sent after the outage, want 200", n)
				}
			})
		})
	}
}

func TestGroupsShareTheRateAndUrgentMailGoesFirst(t *testing.T) {
	t.Parallel()
	inFakeTime(t, outbox.Options{Limiter: &perSecond{rate: 14}}, func(t *testing.T, b *bed) {
		b.enqueueMany(2000, func(_ int, e *outbox.Entry) { e.Priority, e.Group = outbox.Bulk, "big" })
		defer b.start()()
		time.Sleep(10 * time.Second)
		small := b.enqueueMany(10, func(_ int, e *outbox.Entry) { e.Priority, e.Group = outbox.Bulk, "small" })
		code := b.enqueueMany(1, func(_ int, e *outbox.Entry) { e.Priority = outbox.Urgent })
		time.Sleep(1500 * time.Millisecond)
		if s := b.state(code[0]); s != outbox.Sent {
			t.Errorf("the login code is %s after 1.5 s", s)
		}
		time.Sleep(3500 * time.Millisecond)
		for _, id := range small {
			if s := b.state(id); s != outbox.Sent {
				t.Errorf("a mail of the small group is %s after 5 s", s)
			}
		}
	})
}

func TestSendAtAndDeadlineAreKept(t *testing.T) {
	t.Parallel()
	inFakeTime(t, outbox.Options{MaxAge: time.Hour}, func(t *testing.T, b *bed) {
		begin := time.Now()
		b.ses.answers(func(m *sesguard.Mail) error {
			if m.Recipients()[0] == "user1@example.org" {
				return refusal(seserrors.ServiceFailure)
			}
			return nil
		})
		ids := b.enqueueMany(3, func(i int, e *outbox.Entry) {
			if i == 0 {
				e.SendAt = begin.Add(10 * time.Minute)
			}
			if i == 2 {
				e.SendAt, e.Deadline = begin.Add(time.Minute), begin.Add(2*time.Minute)
			}
		})
		if err := b.Hold(t.Context(), outbox.AccountHold, "we wait"); err != nil {
			t.Fatal(err)
		}
		defer b.start()()
		time.Sleep(3 * time.Minute)
		if s := b.state(ids[2]); s != outbox.Expired {
			t.Errorf("after its deadline: %s", s)
		}
		if err := b.Release(t.Context(), outbox.AccountHold); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7*time.Minute - time.Second)
		if s := b.state(ids[0]); s != outbox.Waiting {
			t.Errorf("before SendAt: %s", s)
		}
		time.Sleep(3 * time.Second)
		if s := b.state(ids[0]); s != outbox.Sent {
			t.Errorf("after SendAt: %s", s)
		}
		time.Sleep(time.Hour)
		if r := b.get(ids[1]); r.State != outbox.Expired || r.Err == nil {
			t.Errorf("after MaxAge: %s, %v", r.State, r.Err)
		}
	})
}

func TestDecisionsHappenInTheStatesThatAllowThem(t *testing.T) {
	states := []outbox.State{outbox.Waiting, outbox.Sending, outbox.Sent, outbox.InDoubt, outbox.Failed, outbox.Expired, outbox.Canceled}
	decisions := []struct {
		name    string
		do      func(b *bed, id string) error
		allowed map[outbox.State]outbox.State // and where to
	}{
		{"Cancel", func(b *bed, id string) error { return b.Cancel(b.t.Context(), id) },
			map[outbox.State]outbox.State{outbox.Waiting: outbox.Canceled}},
		{"Retry", func(b *bed, id string) error { return b.Retry(b.t.Context(), id) },
			map[outbox.State]outbox.State{outbox.InDoubt: outbox.Waiting, outbox.Failed: outbox.Waiting, outbox.Expired: outbox.Waiting, outbox.Canceled: outbox.Waiting}},
		{"Erase", func(b *bed, id string) error { return b.Erase(b.t.Context(), id) },
			map[outbox.State]outbox.State{outbox.Sent: outbox.Sent, outbox.Failed: outbox.Failed, outbox.Expired: outbox.Expired, outbox.Canceled: outbox.Canceled}},
		{"Settle", func(b *bed, id string) error { return b.Settle(b.t.Context(), id, "ses-1", time.Now()) },
			map[outbox.State]outbox.State{outbox.Waiting: outbox.Sent, outbox.Sending: outbox.Sent, outbox.Sent: outbox.Sent,
				outbox.InDoubt: outbox.Sent, outbox.Failed: outbox.Sent, outbox.Expired: outbox.Sent, outbox.Canceled: outbox.Sent}},
	}
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{KeepContent: true})
		for _, d := range decisions {
			for _, s := range states {
				id := b.enqueueMany(1, nil)[0]
				b.exec(fmt.Sprintf("update sesguard_mail set state = '%s' where id = '%s'", s, id))
				err := d.do(b, id)
				want, ok := d.allowed[s]
				if !ok {
					want = s
				}
				if got := b.state(id); got != want || ok != (err == nil) || !ok && err != outbox.ErrState {
					t.Errorf("%s of a mail that is %s: %v, then %s", d.name, s, err, got)
				}
			}
		}
		if err := b.Cancel(t.Context(), "unknown"); err != outbox.ErrNotFound {
			t.Errorf("Cancel of an unknown mail: %v", err)
		}
		id := b.enqueueMany(1, nil)[0]
		if err := stderrors.Join(b.Cancel(t.Context(), id), b.Erase(t.Context(), id)); err != nil {
			t.Fatal(err)
		}
		if err := b.Retry(t.Context(), id); err != outbox.ErrErased {
			t.Errorf("Retry of an erased mail: %v", err)
		}
	})
}

// A canceled mail is never sent, also when a process has claimed it already.
func TestCancelOfAClaimedMailIsCertain(t *testing.T) {
	inFakeTime(t, outbox.Options{Limiter: &perSecond{rate: 1}}, func(t *testing.T, b *bed) {
		ids := b.enqueueMany(10, nil) // all are claimed and wait for the limiter
		defer b.start()()
		time.Sleep(2500 * time.Millisecond)
		canceled := 0
		for _, id := range ids {
			if b.Cancel(t.Context(), id) == nil {
				canceled++
			}
		}
		time.Sleep(time.Minute)
		if n := b.ses.count(); n+canceled != 10 || canceled == 0 {
			t.Errorf("%d sent and %d canceled, want 10 together", n, canceled)
		}
	})
}

func TestSettleTakesEventsInAnyOrder(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		id := b.enqueueMany(1, nil)[0]
		settle := func(track, message string) {
			t.Helper()
			if err := b.Settle(t.Context(), track, message, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		settle("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ses-0") // unknown
		settle(id, "")                                // a person
		settle(id, "ses-1")
		settle(id, "ses-1")
		if r := b.get(id); r.State != outbox.Sent || r.MessageID != "ses-1" || b.stats().Duplicates != 0 {
			t.Errorf("%+v", r)
		}
		settle(id, "ses-2")
		settle(id, "ses-2")
		if r := b.get(id); r.MessageID != "ses-1" || b.stats().Duplicates != 1 {
			t.Errorf("after a second id: %+v, %d duplicates", r, b.stats().Duplicates)
		}
		if _, err := b.Mail(t.Context(), id); err != outbox.ErrErased {
			t.Errorf("content: %v", err)
		}
	})
}

// The process that sent it was declared dead, and comes back with the answer.
func TestLateResultSettlesTheDoubt(t *testing.T) {
	for _, c := range []struct {
		name   string
		state  outbox.State
		answer error
		want   outbox.State
	}{
		{"accepted, in doubt", outbox.InDoubt, nil, outbox.Sent},
		{"accepted, put back by a person", outbox.Waiting, nil, outbox.Sent},
		{"refused, in doubt", outbox.InDoubt, refusal(seserrors.MessageRejected), outbox.Failed},
		{"refused, put back by a person", outbox.Waiting, refusal(seserrors.MessageRejected), outbox.Waiting},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFakeTime(t, outbox.Options{}, func(t *testing.T, b *bed) {
				id := b.enqueueMany(1, nil)[0]
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() {
					done <- b.Run(ctx, sesguard.TransportFunc(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
						time.Sleep(10 * time.Second)
						if c.answer != nil {
							return nil, c.answer
						}
						return &sesguard.Receipt{MessageID: "ses-1"}, nil
					}))
				}()
				time.Sleep(5 * time.Second)
				if s := b.state(id); s != outbox.Sending {
					t.Fatalf("%s, want sending", s)
				}
				// Put back, it is due later, so that nobody claims it anew.
				b.exec(fmt.Sprintf("update sesguard_mail set state = '%s', owner = '', due = due + 3600000000", c.state))
				time.Sleep(8 * time.Second)
				if s := b.state(id); s != c.want {
					t.Errorf("%s, want %s", s, c.want)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAuditGivesBackWhatNobodyWorksOn(t *testing.T) {
	inFakeTime(t, outbox.Options{}, func(t *testing.T, b *bed) {
		defer b.start()()
		time.Sleep(time.Second)
		ids := b.enqueueMany(2, func(_ int, e *outbox.Entry) { e.SendAt = time.Now().Add(time.Second / 2) })
		for i, state := range []string{"sending", "waiting"} {
			b.exec(fmt.Sprintf("update sesguard_mail set state = '%s', attempts = 1, owner = (select id from sesguard_process) where id = '%s'", state, ids[i]))
		}
		time.Sleep(25 * time.Second)
		for i, want := range []int{1, 2} { // the mark that was not used does not count
			if r := b.get(ids[i]); r.State != outbox.Sent || r.Attempts != want {
				t.Errorf("mail %d is %s after %d attempts, want sent after %d", i, r.State, r.Attempts, want)
			}
		}
	})
}

func TestMailsOfADeadProcessAreTakenOver(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("AllowDuplicates %t", again), func(t *testing.T) {
			inFakeTime(t, outbox.Options{Retry: retry.Policy{AllowDuplicates: again}}, func(t *testing.T, b *bed) {
				ids := b.enqueueMany(2, nil)
				b.exec("update sesguard_mail set owner = 'dead'")
				b.exec("update sesguard_mail set state = 'sending' where id = '" + ids[1] + "'")
				b.exec(fmt.Sprintf("insert into sesguard_process (id, host, started, alive) values ('dead', '', 0, %d)", time.Now().Add(30*time.Second).UnixMicro()))
				defer b.start()()
				time.Sleep(29 * time.Second)
				if b.ses.count() != 0 || b.state(ids[1]) != outbox.Sending {
					t.Error("taken before the lease was over")
				}
				time.Sleep(15 * time.Second)
				want := outbox.InDoubt
				if again {
					want = outbox.Sent
				}
				if s, u := b.state(ids[0]), b.state(ids[1]); s != outbox.Sent || u != want {
					t.Errorf("claimed: %s, sending: %s", s, u)
				}
			})
		})
	}
}

func TestDrainCutsSendsAndSaysWhichItWas(t *testing.T) {
	inFakeTime(t, outbox.Options{DrainTimeout: 20 * time.Second}, func(t *testing.T, b *bed) {
		ids := b.enqueueMany(3, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- b.Run(ctx, sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
				switch m.Recipients()[0] {
				case "user0@example.org":
					time.Sleep(15 * time.Second)
					return &sesguard.Receipt{}, nil
				case "user1@example.org":
					<-ctx.Done()
					return nil, seserrors.FromContext(ctx, "before the dot")
				}
				<-ctx.Done()
				return nil, doubt()
			}))
		}()
		time.Sleep(5 * time.Second)
		cancel()
		begin := time.Now()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("Run took %v to end", took)
		}
		for i, want := range []outbox.State{outbox.Sent, outbox.Waiting, outbox.InDoubt} {
			if r := b.get(ids[i]); r.State != want || want == outbox.Waiting && r.Attempts != 0 {
				t.Errorf("mail %d is %s after %d attempts, want %s", i, r.State, r.Attempts, want)
			}
		}
	})
}

func TestRecordsGoWhenTheirTimeIsOverAndDoubtsStay(t *testing.T) {
	inFakeTime(t, outbox.Options{Retention: 10 * time.Minute, Poll: 5 * time.Second}, func(t *testing.T, b *bed) {
		ids := b.enqueueMany(3, nil)
		b.ses.answers(func(m *sesguard.Mail) error {
			return map[string]error{"user1@example.org": doubt(), "user2@example.org": refusal(seserrors.MessageRejected)}[m.Recipients()[0]]
		})
		defer b.start()()
		time.Sleep(9 * time.Minute)
		if n := b.number("select count(*) from sesguard_mail"); n != 3 {
			t.Errorf("%d records before the end, want 3", n)
		}
		time.Sleep(2 * time.Minute)
		if n := b.number("select count(*) from sesguard_mail"); n != 1 || b.state(ids[1]) != outbox.InDoubt {
			t.Errorf("%d records after the end, want the doubt", n)
		}
		if n := b.number("select count(*) from sesguard_content"); n != 1 {
			t.Errorf("%d contents after the end, want the doubt's", n)
		}
	})
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		before, after  int
		unseen         bool // one neighbour
		set            string
		early, settled bool
		want           outbox.State
	}{
		{name: "all neighbours were seen", before: 3, after: 2, set: "orders", want: outbox.Sent},
		{name: "too few neighbours", before: 2, after: 2, set: "orders", want: outbox.InDoubt},
		{name: "too few after it", before: 5, after: 1, set: "orders", want: outbox.InDoubt},
		{name: "one neighbour was not seen", before: 5, after: 5, set: "orders", unseen: true, want: outbox.InDoubt},
		{name: "no configuration set", before: 5, after: 5, want: outbox.InDoubt},
		{name: "before the grace", before: 5, after: 5, set: "orders", early: true, want: outbox.InDoubt},
		{name: "neighbours that only events told of", before: 5, after: 5, set: "orders", settled: true, want: outbox.InDoubt},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFakeTime(t, outbox.Options{ResendUnseen: time.Minute, Poll: time.Second}, func(t *testing.T, b *bed) {
				first := true
				b.ses.answers(func(m *sesguard.Mail) error {
					if m.Recipients()[0] == "doubt@example.org" && first {
						first = false
						return doubt()
					}
					return nil
				})
				set := func(_ int, e *outbox.Entry) { e.Message.ConfigurationSet = c.set }
				defer b.start()()
				neighbours := b.enqueueMany(c.before, set)
				time.Sleep(2 * time.Second)
				id := b.enqueueMany(1, func(i int, e *outbox.Entry) {
					set(i, e)
					e.Message.To = []string{"doubt@example.org"}
				})[0]
				time.Sleep(2 * time.Second)
				neighbours = append(neighbours, b.enqueueMany(c.after, set)...)
				time.Sleep(2 * time.Second)
				for i, n := range neighbours {
					if c.unseen && i == 0 {
						continue
					}
					r := b.get(n)
					if err := b.Settle(t.Context(), r.TrackID, r.MessageID, time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				if c.settled {
					b.exec("update sesguard_mail set seen = 2 where seen = 1")
				}
				time.Sleep(14 * time.Minute)
				if s := b.state(id); s != outbox.InDoubt {
					t.Fatalf("%s within the grace", s)
				}
				if !c.early {
					time.Sleep(2 * time.Minute)
				}
				if s := b.state(id); s != c.want {
					t.Errorf("%s, want %s", s, c.want)
				}
			})
		})
	}
}

func TestChangesAreReported(t *testing.T) {
	var changes []string
	opts := outbox.Options{OnChange: func(c outbox.Change) { changes = append(changes, fmt.Sprintf("%s>%s %s", c.From, c.To, c.Reason)) }}
	inFakeTime(t, opts, func(t *testing.T, b *bed) {
		b.ses.answers(func(*sesguard.Mail) error { return doubt() })
		id := b.enqueueMany(1, nil)[0]
		defer b.start()()
		time.Sleep(5 * time.Second)
		if err := b.Settle(t.Context(), id, "ses-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := []string{">waiting ", "waiting>sending ", "sending>in-doubt response-lost", "in-doubt>sent "}
		if fmt.Sprint(changes) != fmt.Sprint(want) {
			t.Errorf("%q, want %q", changes, want)
		}
	})
}

func TestRunEndsAlthoughResultsCannotBeWritten(t *testing.T) {
	p := sqlitePlace(t)
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		b := newTappedBed(t, p, outbox.Options{DrainTimeout: 20 * time.Second}, tap{statement: func(_ driver.Conn, query string) string {
			if away.Load() && strings.HasPrefix(query, "begin") {
				return "select no_database"
			}
			return query
		}})
		ids := b.enqueueMany(2, nil)
		var marked sync.WaitGroup
		marked.Add(2)
		stop := b.startWith(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
			marked.Done()
			marked.Wait()
			away.Store(true)
			if m.Recipients()[0] == "user0@example.org" {
				<-ctx.Done()
				return nil, doubt()
			}
			return &sesguard.Receipt{}, nil
		})
		time.Sleep(5 * time.Second)
		begin := time.Now()
		stop()
		if took := time.Since(begin); took < 20*time.Second || took > 24*time.Second {
			t.Errorf("Run took %v to end", took)
		}
		away.Store(false)
		time.Sleep(time.Minute)
		defer b.start()()
		time.Sleep(5 * time.Second)
		if one, two := b.state(ids[0]), b.state(ids[1]); one != outbox.InDoubt || two != outbox.InDoubt {
			t.Errorf("%s and %s, want in doubt", one, two)
		}
	})
}
