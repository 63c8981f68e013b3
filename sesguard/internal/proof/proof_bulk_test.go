package proof_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A bulkScenario is one script for bulks: each entry of them is held to the
// promises of a single mail.
type bulkScenario struct {
	*scenario
	bulks   []*sesapi.Bulk
	timeout time.Duration // 0: none
}

func (s *bulkScenario) String() string {
	text := s.scenario.String() + fmt.Sprintf("\n  timeout %v", s.timeout)
	for _, b := range s.bulks {
		text += fmt.Sprintf("\n  bulk of %d entries in chunks of %d", len(b.Entries), b.ChunkSize)
	}
	return text
}

var bulkStatuses = []string{
	"", "SUCCESS", "MESSAGE_REJECTED", "INVALID_PARAMETER", "ACCOUNT_THROTTLED", "ACCOUNT_DAILY_QUOTA_EXCEEDED", "TRANSIENT_FAILURE", "FAILED",
	"FAILED", "TRANSIENT_FAILURE", "MAIL_FROM_DOMAIN_NOT_VERIFIED", "CONFIGURATION_SET_NOT_FOUND", "TEMPLATE_NOT_FOUND", "ACCOUNT_SUSPENDED",
	"ACCOUNT_SENDING_PAUSED", "CONFIGURATION_SET_SENDING_PAUSED", "INVALID_SENDING_POOL_NAME", "MYSTERY",
}

func newBulkScenario(seed uint64) *bulkScenario {
	d := dice{rand.New(rand.NewPCG(seed, 0xb01c))}
	s := &bulkScenario{scenario: &scenario{seed: seed, door: pick(d, http1, http1, http2), conns: pick(d, 1, 2, 4), tagged: d.one(2)}}
	s.policy = retry.Policy{MaxAttempts: pick(d, 0, 1, 2, 3, 6), AllowDuplicates: d.one(6)}
	s.setUpServer(d)
	s.setUpTrouble(d)
	for range pick(d, 0, 1, 3, 8) {
		f := sestest.BulkStatus(pick(d, bulkStatuses...), pick(d, "", "Unknown error occurred. Please try again later", "Email address is not verified."))
		at := d.IntN(len(s.faults) + 1)
		s.faults = append(s.faults[:at:at], append([]sestest.Fault{f}, s.faults[at:]...)...)
	}
	if d.one(5) {
		s.timeout = pick(d, time.Millisecond, 2*time.Second, 12*time.Second, 25*time.Minute)
	}
	for k := range pick(d, 1, 1, 2) {
		b := &sesapi.Bulk{From: "Ann <ann@example.com>", ChunkSize: pick(d, 0, 1, 3, 7), Template: sesapi.Template{Subject: "{{mark}}", Text: "longer text with {{n}}"}, Defaults: map[string]any{"n": k}}
		for i := range pick(d, 1, 2, 10, 60) {
			mark := fmt.Sprintf("mark-%d-%d-%08x", k, i, d.Uint32())
			b.Entries = append(b.Entries, sesapi.BulkEntry{To: []string{mark + "@example.org"}, Data: map[string]string{"mark": mark}})
		}
		s.bulks = append(s.bulks, b)
	}
	return s
}

// A buildBulkAPI makes the api under test; the broken ones are below.
type buildBulkAPI func(*sesv2.Client) sesapi.SendBulkEmailAPI

func realBulkAPI(c *sesv2.Client) sesapi.SendBulkEmailAPI { return c }

// run plays the scenario in a bubble and returns the promises that broke.
func (s *bulkScenario) run(t *testing.T, build buildBulkAPI, tally *tally) (broken []violation) {
	synctest.Test(t, func(t *testing.T) {
		w := s.start(t)
		var told sends
		opts := sesguard.Options{Retry: s.policy, Hooks: told.hooks()}
		if s.limiter > 0 {
			opts.Limiter = sesguard.NewRateLimiter(s.limiter)
		}
		if s.tagged {
			opts.TrackTag = trackTag
		}
		w.guard = sesguard.NewGuard(opts)
		bulker := sesapi.NewBulk(build(w.client), w.guard)
		if s.actAfter > 0 {
			time.AfterFunc(s.actAfter, w.doAct)
		}
		results := make([][]sesapi.BulkResult, len(s.bulks))
		var wg sync.WaitGroup
		for k, b := range s.bulks {
			wg.Go(func() {
				ctx := w.ctx
				if s.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, s.timeout)
					defer cancel()
				}
				var err error
				if results[k], err = bulker.Send(ctx, b); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		w.finish()
		broken = s.judge(w, results, &told, tally)
	})
	return broken
}

// sends are what the hooks were told of.
type sends struct {
	mu  sync.Mutex
	all []*outcome
}

func (s *sends) hooks() sesguard.Hooks {
	return sesguard.Hooks{
		SendStart: func(ctx context.Context, _ sesguard.Info) context.Context {
			return context.WithValue(ctx, outcomeKey{}, new(outcome))
		},
		AttemptDone: hooks.AttemptDone,
		SendDone: func(ctx context.Context, r *sesguard.Receipt, err error) {
			o := ctx.Value(outcomeKey{}).(*outcome)
			o.receipt, o.err = r, err
			s.mu.Lock()
			defer s.mu.Unlock()
			s.all = append(s.all, o)
		},
	}
}

func (s *bulkScenario) judge(w *world, results [][]sesapi.BulkResult, told *sends, tally *tally) (broken []violation) {
	fail := func(promise, format string, args ...any) {
		broken = append(broken, violation{promise, fmt.Sprintf(format, args...)})
	}
	if w.left != 0 {
		fail(alsoLeft, "%d", w.left)
	}
	if w.undone.Waiting != 0 || w.undone.InFlight != 0 {
		fail(alsoShutdown, "%+v", w.undone)
	}
	attempts := make(map[string]int)
	for _, o := range told.all {
		for i, err := range o.attempts {
			if seserrors.MaybeAccepted(err) && i+1 < len(o.attempts) && !s.policy.AllowDuplicates {
				fail(promiseDoubt, "an attempt followed one in doubt")
			}
		}
		if o.receipt != nil {
			attempts[o.receipt.MessageID] = len(o.attempts)
		}
	}
	got := make(map[string][]sestest.Mail)
	for _, m := range w.srv.Accepted() {
		got[m.Subject()] = append(got[m.Subject()], m)
	}
	for k, b := range s.bulks {
		for i, r := range results[k] {
			mark := b.Entries[i].Data.(map[string]string)["mark"]
			o := outcome{receipt: r.Receipt, err: r.Err}
			entry := func(promise, format string, args ...any) {
				fail(promise, "entry %s: SES has it %d times, Send said %+v, %v: %s", mark, len(got[mark]), r.Receipt, r.Err, fmt.Sprintf(format, args...))
			}
			s.judgeEntry(w, b.Entries[i].To[0], k, o, got[mark], entry)
			if r.Err == nil && attempts[r.Receipt.MessageID] != r.Receipt.Attempts {
				entry(alsoAttempts, "told of %d", attempts[r.Receipt.MessageID])
			}
			tally.count(o)
			delete(got, mark)
		}
	}
	for mark := range got {
		fail(alsoEverything, "%q", mark)
	}
	return broken
}

// judgeEntry holds what Send said of an entry against what SES has.
func (s *bulkScenario) judgeEntry(w *world, to string, bulk int, o outcome, mails []sestest.Mail, fail func(promise, format string, args ...any)) {
	for _, m := range mails {
		if len(m.To) != 1 || m.To[0] != to || m.From != "ann@example.com" || strings.TrimSpace(m.Text()) != fmt.Sprintf("longer text with %d", bulk) {
			fail(promiseWhole, "%s to %q: %q", m.From, m.To, m.Text())
		}
	}
	switch {
	case (o.err == nil) == (o.receipt == nil):
		fail(promiseOnce, "neither a receipt nor an error, or both")
		return
	case o.err == nil && o.receipt.MaybeDuplicate:
		if len(mails) == 0 {
			fail(promiseOnce, "lost")
		}
		if !s.policy.AllowDuplicates {
			fail(promiseDoubt, "sent again")
		}
	case o.err == nil && len(mails) != 1:
		fail(promiseOnce, "want exactly once")
	case o.err == nil:
		if mails[0].ID != o.receipt.MessageID && w.idsHold() {
			fail(alsoReceipt, "SES says %q", mails[0].ID)
		}
	case !seserrors.MaybeAccepted(o.err):
		if len(mails) != 0 {
			fail(promiseNone, "accepted")
		}
	case len(mails) > 1 && !s.policy.AllowDuplicates:
		fail(promiseDoubt, "sent again")
	}
	id := ""
	if o.err == nil {
		id = o.receipt.TrackID
	} else {
		id = seserrors.Classify(o.err).TrackID
	}
	for _, m := range mails {
		if m.Tags[trackTag] != id || (id != "") != s.tagged {
			fail(alsoTracked, "SES has %q, want %q", m.Tags[trackTag], id)
		}
	}
	w.judgeError(o.err, fail)
}

// TestProofOfBulk is TestProof for bulks.
func TestProofOfBulk(t *testing.T) {
	first := *proofSeed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	scripts := max(uint64(*proofScripts)/4, 1) // with several sends each
	t.Logf("seeds %d to %d", first, first+scripts-1)
	var next atomic.Uint64
	var tally tally
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < scripts && !t.Failed(); n = next.Add(1) - 1 {
				s := newBulkScenario(first + n)
				for _, v := range s.run(t, realBulkAPI, &tally) {
					t.Errorf("%v\n%v\nreplay: go test ./sesguard/internal/proof -run '^TestProofOfBulk$' -proof.seed=%d -proof.scripts=1", v, s, s.seed)
				}
			}
		})
	}
	wg.Wait()
	t.Log(tally.String())
	if scripts < 250 {
		return
	}
	for _, n := range []*atomic.Int64{&tally.accepted, &tally.refused, &tally.doubted, &tally.canceled, &tally.duplicates, &tally.retried} {
		if n.Load() == 0 {
			t.Error("something never came: ", tally.String())
		}
	}
}

// TestProofOfBulkCanFail puts apis in the place of the real one that make the
// mistakes that others make.
func TestProofOfBulkCanFail(t *testing.T) {
	for _, mistake := range []struct {
		name   string
		api    func(ctx context.Context, c *sesv2.Client, in *sesv2.SendBulkEmailInput, o []func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error)
		breaks string
	}{
		{"the whole chunk again", chunkAgain, promiseDoubt},
		{"the SDK's own retries", sdkBulkRetries, promiseOnce},
		{"doubt reported as a refusal", bulkDenier, promiseNone},
		{"results of other entries", shuffled, promiseOnce},
	} {
		t.Run(mistake.name, func(t *testing.T) {
			t.Parallel()
			build := func(c *sesv2.Client) sesapi.SendBulkEmailAPI {
				return bulkAPI(func(ctx context.Context, in *sesv2.SendBulkEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
					return mistake.api(ctx, c, in, o)
				})
			}
			for seed := uint64(1); seed <= 5000; seed++ {
				var ignored tally
				for _, v := range newBulkScenario(seed).run(t, build, &ignored) {
					if v.promise == mistake.breaks {
						t.Logf("found after %d scripts", seed)
						return
					}
				}
			}
			t.Errorf("5,000 scripts did not show that it breaks %q", mistake.breaks)
		})
	}
}

// bulkAPI is a SendBulkEmailAPI of one function.
type bulkAPI func(context.Context, *sesv2.SendBulkEmailInput, ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error)

func (f bulkAPI) SendBulkEmail(ctx context.Context, in *sesv2.SendBulkEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
	return f(ctx, in, o...)
}

// chunkAgain sends the whole chunk again for the sake of one entry.
func chunkAgain(ctx context.Context, c *sesv2.Client, in *sesv2.SendBulkEmailInput, o []func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
	out, err := c.SendBulkEmail(ctx, in, o...)
	if err == nil {
		for _, r := range out.BulkEmailEntryResults {
			if r.Status != "SUCCESS" {
				return c.SendBulkEmail(ctx, in, o...)
			}
		}
	}
	return out, err
}

// sdkBulkRetries is the bare SDK.
func sdkBulkRetries(ctx context.Context, c *sesv2.Client, in *sesv2.SendBulkEmailInput, _ []func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	return c.SendBulkEmail(ctx, in)
}

// bulkDenier takes every error for a refusal.
func bulkDenier(ctx context.Context, c *sesv2.Client, in *sesv2.SendBulkEmailInput, _ []func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	out, err := c.SendBulkEmail(ctx, in, func(o *sesv2.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return nil, &seserrors.Error{Class: seserrors.Unavailable, Reason: seserrors.Network}
	}
	return out, nil
}

// shuffled answers in another order.
func shuffled(ctx context.Context, c *sesv2.Client, in *sesv2.SendBulkEmailInput, o []func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
	out, err := c.SendBulkEmail(ctx, in, o...)
	if err == nil && len(out.BulkEmailEntryResults) > 1 {
		r := out.BulkEmailEntryResults
		r[0], r[len(r)-1] = r[len(r)-1], r[0]
	}
	return out, err
}
