package sesapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// bulkFunc is a SendBulkEmailAPI of one function.
type bulkFunc func(context.Context, *sesv2.SendBulkEmailInput, ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error)

func (f bulkFunc) SendBulkEmail(ctx context.Context, in *sesv2.SendBulkEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
	return f(ctx, in, o...)
}

// fateful is a SES that gives entries statuses before it takes them: fates has
// those of a recipient in their order. It counts its calls.
type fateful struct {
	api   SendBulkEmailAPI
	fates map[string][]string
	calls []int // entries in each
	times []time.Time
	tried map[string]int
	text  string // beside the statuses
}

func (f *fateful) SendBulkEmail(ctx context.Context, in *sesv2.SendBulkEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
	f.calls, f.times = append(f.calls, len(in.BulkEmailEntries)), append(f.times, time.Now())
	results := make([]sestypes.BulkEmailEntryResult, len(in.BulkEmailEntries))
	pass := *in
	pass.BulkEmailEntries = nil
	var at []int
	for i, e := range in.BulkEmailEntries {
		to := e.Destination.ToAddresses[0]
		if f.tried == nil {
			f.tried = make(map[string]int)
		}
		f.tried[to]++
		if fates := f.fates[to]; len(fates) > 0 {
			results[i] = sestypes.BulkEmailEntryResult{Status: sestypes.BulkEmailStatus(fates[0]), Error: &f.text}
			f.fates[to] = fates[1:]
			continue
		}
		pass.BulkEmailEntries, at = append(pass.BulkEmailEntries, e), append(at, i)
	}
	if len(at) > 0 {
		out, err := f.api.SendBulkEmail(ctx, &pass, o...)
		if err != nil {
			return nil, err
		}
		for k, i := range at {
			results[i] = out.BulkEmailEntryResults[k]
		}
	}
	return &sesv2.SendBulkEmailOutput{BulkEmailEntryResults: results}, nil
}

func recipient(i int) string { return fmt.Sprintf("user%05d@example.org", i) }

// bulkOf is a bulk of n entries for an inline template with one variable.
func bulkOf(n int) *Bulk {
	b := &Bulk{From: "shop@example.com", Template: Template{Subject: "Hello {{name}}", Text: "{{greeting}}, {{name}}"}, Defaults: map[string]any{"greeting": "Dear"}}
	for i := range n {
		b.Entries = append(b.Entries, BulkEntry{To: []string{recipient(i)}, Data: map[string]any{"name": fmt.Sprintf("N%d", i)}})
	}
	return b
}

// inBubble runs f in a bubble with a fake.
func inBubble(t *testing.T, f func(t *testing.T, srv *sestest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := sestest.NewMemoryServer()
		defer srv.Close()
		f(t, srv)
		srv.Close()
		synctest.Wait()
	})
}

// bySES is how often SES has accepted a mail to each recipient.
func bySES(srv *sestest.Server) map[string][]sestest.Mail {
	got := make(map[string][]sestest.Mail)
	for _, m := range srv.Accepted() {
		got[m.To[0]] = append(got[m.To[0]], m)
	}
	return got
}

// judge holds the results against what SES has.
func judge(t *testing.T, srv *sestest.Server, in *Bulk, results []BulkResult) (accepted, refused, doubted int) {
	t.Helper()
	got := bySES(srv)
	for i, r := range results {
		mails := got[in.Entries[i].To[0]]
		switch {
		case (r.Receipt == nil) == (r.Err == nil):
			t.Errorf("entry %d: receipt %v, error %v; want exactly one", i, r.Receipt, r.Err)
		case r.Err == nil && (len(mails) != 1 || mails[0].ID != r.Receipt.MessageID):
			t.Errorf("entry %d: SES has it %d times, the receipt says %v", i, len(mails), r.Receipt)
		case r.Err == nil:
			accepted++
		case seserrors.MaybeAccepted(r.Err):
			doubted++
			if len(mails) > 1 {
				t.Errorf("entry %d in doubt was sent again", i)
			}
		default:
			refused++
			if len(mails) != 0 {
				t.Errorf("entry %d was accepted although it says %v", i, r.Err)
			}
		}
	}
	if len(results) != len(in.Entries) {
		t.Errorf("%d results for %d entries", len(results), len(in.Entries))
	}
	return accepted, refused, doubted
}

func newBulker(api SendBulkEmailAPI, opts sesguard.Options) *Bulker {
	return NewBulk(api, sesguard.NewGuard(opts))
}

var statuses = []string{
	"MESSAGE_REJECTED", "INVALID_PARAMETER", "ACCOUNT_THROTTLED", "ACCOUNT_DAILY_QUOTA_EXCEEDED", "TRANSIENT_FAILURE", "FAILED",
}

// Ten thousand entries, of which 1 % meet each kind of failure once: those that
// time cures are sent again, alone, and every result is what SES has.
func TestBulkSendsOnlyTheFailedEntriesAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		const n = 10_000
		in := bulkOf(n)
		in.ChunkSize = 1000 // more than SES takes
		api := &fateful{api: sdkOf(srv), fates: make(map[string][]string)}
		want := make(map[int]string)
		for i := range n {
			if k := i % 100; k < len(statuses) {
				want[i], api.fates[recipient(i)] = statuses[k], []string{statuses[k]}
			}
		}
		told := make(map[int]int)
		in.Progress = func(i int, _ BulkResult) { told[i]++ }
		results, err := newBulker(api, sesguard.Options{}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		accepted, refused, doubted := judge(t, srv, in, results)
		if accepted != n-200 || refused != 200 || doubted != 0 {
			t.Errorf("accepted %d, refused %d, in doubt %d; want 9800, 200, 0", accepted, refused, doubted)
		}
		for i, r := range results {
			tries := 1
			e := seserrors.FromBulkStatus(cmpOr(want[i], "SUCCESS"), "")
			if e != nil && e.Class.Retryable() {
				tries = 2
			}
			if api.tried[recipient(i)] != tries {
				t.Fatalf("entry %d (%s) was sent %d times, want %d", i, want[i], api.tried[recipient(i)], tries)
			}
			if e != nil && tries == 1 && !errors.Is(r.Err, e.Reason) {
				t.Fatalf("entry %d: %v, want %v", i, r.Err, e.Reason)
			}
			if r.Err == nil && r.Receipt.Attempts != tries {
				t.Fatalf("entry %d: %d attempts, want %d", i, r.Receipt.Attempts, tries)
			}
		}
		if len(told) != n || slices.Max(slices.Collect(maps.Values(told))) != 1 {
			t.Errorf("progress was told of %d entries, want each once", len(told))
		}
		if slices.Max(api.calls) != 50 || len(api.calls) > n/50+120 {
			t.Errorf("%d calls with up to %d entries, want 200 of 50 and a few for what waits alone", len(api.calls), slices.Max(api.calls))
		}
	})
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func TestBulkOfOneIsASingleMailSentAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		begin := time.Now()
		in := bulkOf(1)
		results, err := newBulker(sdkOf(srv), sesguard.Options{}).Send(t.Context(), in)
		if err != nil || results[0].Err != nil {
			t.Fatal(err, results)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %v, want no wait", took)
		}
		m := srv.Accepted()[0]
		r := results[0].Receipt
		if m.Subject() != "Hello N0" || strings.TrimSpace(m.Text()) != "Dear, N0" || r.MessageID != m.ID || r.Region != srv.Region || r.Transport != "api" || r.Attempts != 1 {
			t.Errorf("SES has %q, %q; receipt %+v", m.Subject(), m.Text(), r)
		}
	})
}

func TestBulkLostAnswerLeavesItsEntriesInDoubt(t *testing.T) {
	lost := map[string]sestest.Fault{
		"cut after acceptance":      sestest.AcceptThenCut(),
		"500 after acceptance":      sestest.AcceptThenFail(),
		"an empty answer":           sestest.AcceptThenReply(200, "{}"),
		"half an answer":            sestest.AcceptThenReply(200, `{"BulkEmailEntryResults":[{"Status":"SUCC`),
		"fewer results":             sestest.AcceptThenReply(200, `{"BulkEmailEntryResults":[{"Status":"SUCCESS","MessageId":"1"}]}`),
		"more results":              sestest.AcceptThenReply(200, `{"BulkEmailEntryResults":[`+strings.Repeat(`{"Status":"SUCCESS","MessageId":"1"},`, 5)+`{"Status":"SUCCESS","MessageId":"1"}]}`),
		"no status":                 sestest.AcceptThenReply(200, `{"BulkEmailEntryResults":[`+strings.Repeat(`{},`, 4)+`{}]}`),
		"no ids":                    sestest.AcceptThenReply(200, `{"BulkEmailEntryResults":[`+strings.Repeat(`{"Status":"SUCCESS"},`, 4)+`{"Status":"SUCCESS"}]}`),
		"cut before it was decided": sestest.Cut(sestest.EndOfData),
	}
	for name, fault := range lost {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *sestest.Server) {
				srv.Script(sestest.Pass(), fault)
				in := bulkOf(15)
				in.ChunkSize = 5
				results, err := newBulker(sdkOf(srv), sesguard.Options{TrackTag: "track"}).Send(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				if a, r, d := judge(t, srv, in, results); a != 10 || r != 0 || d != 5 {
					t.Errorf("accepted %d, refused %d, in doubt %d; want 10, 0, 5", a, r, d)
				}
				got := bySES(srv)
				for i, r := range results {
					id := ""
					if r.Err == nil {
						id = r.Receipt.TrackID
					} else {
						e := seserrors.Classify(r.Err)
						if id = e.TrackID; e.Op != opSendBulk || e.Class != seserrors.Unavailable {
							t.Errorf("entry %d: %v", i, e)
						}
					}
					if id == "" {
						t.Errorf("entry %d has no id", i)
					}
					for _, m := range got[recipient(i)] {
						if m.Tags["track"] != id {
							t.Errorf("entry %d: SES has the id %q, want %q", i, m.Tags["track"], id)
						}
					}
				}
			})
		})
	}
}

// A clock that is off is no verdict: the next request is signed with SES's time.
func TestBulkIsSignedAnewWhenTheClockIsOff(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		srv.Script(sestest.Refuse(seserrors.ClockSkew))
		in := bulkOf(120)
		results, err := newBulker(sdkOf(srv), sesguard.Options{}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if a, _, _ := judge(t, srv, in, results); a != 120 {
			t.Errorf("%d accepted, want 120: %v", a, results[0].Err)
		}
	})
}

// Only of what was said of the whole call does a bad template stop the rest: of
// an entry it may be its data.
func TestBulkInvalidTemplateOfAnEntryIsItsAffair(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		in := bulkOf(3)
		in.ChunkSize = 1
		api := &fateful{api: sdkOf(srv), fates: map[string][]string{recipient(0): {"INVALID_PARAMETER"}}, text: "Template rendering data is invalid"}
		results, err := newBulker(api, sesguard.Options{}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if a, _, _ := judge(t, srv, in, results); a != 2 || !errors.Is(results[0].Err, seserrors.TemplateInvalid) {
			t.Errorf("%d accepted, want 2: %v", a, results[0].Err)
		}
	})
}

// An answer that nobody can have given to this call is no success.
func TestBulkSuccessBeforeTheCallWasHandedOutIsDoubt(t *testing.T) {
	const body = `{"BulkEmailEntryResults":[{"Status":"SUCCESS","MessageId":"1"}]}`
	for name, client := range map[string]doer{"early": early(200, "", body, 1), "whole": answer(200, "", body)} {
		results, err := newBulker(sdkClient(client), sesguard.Options{}).Send(t.Context(), bulkOf(1))
		if err != nil {
			t.Fatal(err)
		}
		if doubt := seserrors.MaybeAccepted(results[0].Err); doubt != (name == "early") {
			t.Errorf("%s: %v", name, results[0].Err)
		}
	}
}

// An entry whose retry is due while a call is under way is not sent after that
// call has drawn the refusal of everything.
func TestBulkRefusalStopsWhatIsDueToo(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		api := &fateful{api: sdkOf(srv), fates: map[string][]string{recipient(0): {"TRANSIENT_FAILURE"}}}
		srv.Script(sestest.Pass(), sestest.Delay(sestest.EndOfData, 10*time.Second), sestest.Refuse(seserrors.AccessDenied))
		in := bulkOf(10)
		in.ChunkSize = 5
		results, err := newBulker(api, sesguard.Options{}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if a, r, _ := judge(t, srv, in, results); a != 4 || r != 6 || len(api.calls) != 2 || !errors.Is(results[0].Err, seserrors.AccessDenied) {
			t.Errorf("accepted %d, refused %d in %d calls: %v", a, r, len(api.calls), results[0].Err)
		}
	})
}

func TestBulkCallThatStandsStillEndsInDoubt(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		srv.Script(sestest.Stall(sestest.EndOfData))
		in := bulkOf(10)
		in.ChunkSize = 5
		begin := time.Now()
		results, err := newBulker(sdkOf(srv), sesguard.Options{}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if a, _, d := judge(t, srv, in, results); a != 5 || d != 5 || time.Since(begin) != attemptTimeout {
			t.Errorf("accepted %d, in doubt %d after %v; want 5, 5 after %v", a, d, time.Since(begin), attemptTimeout)
		}
	})
}

// A middleware that sends again by itself leaves each entry in doubt, or maybe
// doubled.
func TestBulkSentTwiceByAMiddlewareIsSaidSo(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		client := sdkOf(srv)
		api := bulkFunc(func(ctx context.Context, in *sesv2.SendBulkEmailInput, o ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
			if _, err := client.SendBulkEmail(ctx, in, o...); err != nil {
				return nil, err
			}
			srv.Script(sestest.BulkStatus("FAILED", ""))
			return client.SendBulkEmail(ctx, in, o...)
		})
		results, err := newBulker(api, sesguard.Options{}).Send(t.Context(), bulkOf(2))
		if err != nil {
			t.Fatal(err)
		}
		if !seserrors.MaybeAccepted(results[0].Err) || results[1].Err != nil || !results[1].Receipt.MaybeDuplicate {
			t.Errorf("%v; %+v", results[0].Err, results[1])
		}
	})
}

func TestBulkSendsDoubtsAgainIfDuplicatesAreAllowed(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		srv.Script(sestest.AcceptThenCut())
		in := bulkOf(3)
		results, err := newBulker(sdkOf(srv), sesguard.Options{Retry: retry.Policy{AllowDuplicates: true}}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Err != nil || !r.Receipt.MaybeDuplicate || len(bySES(srv)[recipient(i)]) != 2 {
				t.Errorf("entry %d: %+v, %v", i, r.Receipt, r.Err)
			}
		}
	})
}

// What SES refuses for all stops the rest, whether it says so of a whole call or
// of an entry.
func TestBulkRefusalOfEverythingStopsTheRest(t *testing.T) {
	tests := []struct {
		name   string
		status string // of an entry of the second call; empty: that call is refused as a whole
		want   seserrors.Reason
	}{
		{"access denied", "", seserrors.AccessDenied},
		{"a paused account", "", seserrors.SendingPaused},
		{"an unverified sender", "", seserrors.IdentityNotVerified},
		{"no template", "", seserrors.TemplateMissing},
		{"a template that SES cannot use", "", seserrors.TemplateInvalid},
		{"entries without a configuration set", "CONFIGURATION_SET_NOT_FOUND", seserrors.ConfigurationSetMissing},
		{"entries of a paused set", "CONFIGURATION_SET_SENDING_PAUSED", seserrors.ConfigurationSetPaused},
		{"entries of a paused account", "ACCOUNT_SENDING_PAUSED", seserrors.SendingPaused},
		{"entries without a template", "TEMPLATE_NOT_FOUND", seserrors.TemplateMissing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *sestest.Server) {
				begin := time.Now()
				api := &fateful{api: sdkOf(srv), fates: map[string][]string{recipient(2): {"ACCOUNT_DAILY_QUOTA_EXCEEDED"}}}
				if tt.status == "" {
					srv.Script(sestest.Pass(), sestest.Refuse(tt.want))
				} else {
					for i := 5; i < 10; i++ {
						api.fates[recipient(i)] = []string{tt.status}
					}
				}
				in := bulkOf(500)
				in.ChunkSize = 5
				var told atomic.Int64
				hooks := sesguard.Hooks{SendStart: func(context.Context, sesguard.Info) context.Context { told.Add(1); return nil }}
				results, err := newBulker(api, sesguard.Options{Hooks: hooks}).Send(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				if told := told.Load(); told > 10 {
					t.Errorf("hooks were told of %d sends, want those that were begun", told)
				}
				if a, r, d := judge(t, srv, in, results); a != 4 || r != 496 || d != 0 || len(api.calls) != 2 {
					t.Errorf("accepted %d, refused %d, in doubt %d in %d calls; want 4, 496, 0 in 2", a, r, d, len(api.calls))
				}
				for i, r := range results {
					if r.Err != nil && (!errors.Is(r.Err, tt.want) || !seserrors.IsFatal(r.Err)) {
						t.Fatalf("entry %d: %v, want %v", i, r.Err, tt.want)
					}
				}
				if time.Since(begin) != 0 {
					t.Errorf("took %v, want nothing: entry 2 waits for its quota no more", time.Since(begin))
				}
			})
		})
	}
}

// SES says of each entry that the sender is not verified, and names it.
func TestBulkOfAnUnverifiedSenderIsStopped(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		srv.Account.Unverify("example.com")
		api := &fateful{api: sdkOf(srv)}
		in := bulkOf(500)
		results, err := newBulker(api, sesguard.Options{}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if a, r, d := judge(t, srv, in, results); r != 500 || len(api.calls) != 1 || !errors.Is(results[499].Err, seserrors.IdentityNotVerified) {
			t.Errorf("accepted %d, refused %d, in doubt %d in %d calls: %v", a, r, d, len(api.calls), results[499].Err)
		}
	})
}

// In the sandbox a recipient may be unverified: that is about one entry.
func TestBulkUnverifiedRecipientIsItsEntrysAffair(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		srv.Account.SetSandbox(true)
		srv.Account.Verify("shop@example.com", recipient(0), recipient(2))
		in := bulkOf(3)
		in.ChunkSize = 1
		results, err := newBulker(sdkOf(srv), sesguard.Options{}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if a, r, _ := judge(t, srv, in, results); a != 2 || r != 1 || !errors.Is(results[1].Err, seserrors.IdentityNotVerified) {
			t.Errorf("accepted %d, refused %d: %v", a, r, results[1].Err)
		}
	})
}

func TestBulkKeepsToOneCallASecondOnceSESSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		api := &fateful{api: sdkOf(srv)}
		srv.Script(sestest.Pass(), sestest.Pass(), sestest.Refuse(seserrors.SendRateExceeded))
		b := newBulker(api, sesguard.Options{Retry: retry.Policy{Schedule: retry.Schedule{Jitter: -1}}})
		for range 2 {
			in := bulkOf(40)
			in.ChunkSize = 5
			results, err := b.Send(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				if r.Err != nil {
					t.Errorf("entry %d: %v", i, r.Err)
				}
			}
		}
		if len(api.calls) != 8+1+8 {
			t.Fatalf("%d calls, want 17", len(api.calls))
		}
		for i := range len(api.times) - 1 {
			gap := api.times[i+1].Sub(api.times[i])
			if i < 2 && gap != 0 || i > 3 && gap < time.Second {
				t.Errorf("call %d came %v after the one before", i+2, gap)
			}
		}
	})
}

// The limiter counts recipients, and entries that it lets through one by one
// share calls.
func TestBulkAsksTheLimiterForEachRecipient(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		api := &fateful{api: sdkOf(srv)}
		in := bulkOf(100)
		for i := range in.Entries {
			in.Entries[i].Cc = []string{"cc@example.org"}
		}
		begin := time.Now()
		results, err := newBulker(api, sesguard.Options{Limiter: sesguard.NewRateLimiter(20)}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		judge(t, srv, in, results)
		if took := time.Since(begin); took < 9900*time.Millisecond || took > 11*time.Second {
			t.Errorf("200 recipients at 20 a second took %v, want 10 s", took)
		}
		if len(api.calls) > 12 {
			t.Errorf("%d calls, want about one a second", len(api.calls))
		}
	})
}

// What is due waits a second for others, not for all.
func TestBulkCallWaitsASecondForFurtherEntries(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		api := &fateful{api: sdkOf(srv), fates: map[string][]string{
			recipient(1): {"ACCOUNT_DAILY_QUOTA_EXCEEDED"}, recipient(2): {"TRANSIENT_FAILURE"}, recipient(3): {"TRANSIENT_FAILURE"},
		}}
		in := bulkOf(5)
		begin := time.Now()
		at := make(map[int]time.Duration)
		in.Progress = func(i int, _ BulkResult) { at[i] = time.Since(begin) }
		policy := retry.Policy{Schedule: retry.Schedule{Jitter: -1}}
		results, err := newBulker(api, sesguard.Options{Retry: policy}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		judge(t, srv, in, results)
		want := map[int]time.Duration{0: 0, 1: 20 * time.Minute, 2: 6 * time.Second, 3: 6 * time.Second, 4: 0}
		if !maps.Equal(at, want) || !slices.Equal(api.calls, []int{5, 2, 1}) {
			t.Errorf("told at %v in calls of %v, want %v in 5, 2, 1", at, api.calls, want)
		}
	})
}

func TestBulkEndsWithItsContext(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault sestest.Fault
		after time.Duration
		a, d  int
	}{
		{"before the first call", sestest.Pass(), 0, 0, 0},
		{"during a call", sestest.Stall(sestest.EndOfData), time.Second, 0, 5},
		{"during a retry's wait", sestest.Refuse(seserrors.ServiceFailure), time.Second, 5, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *sestest.Server) {
				srv.Script(tt.fault)
				ctx, cancel := context.WithCancel(t.Context())
				if tt.after == 0 {
					cancel()
				}
				time.AfterFunc(tt.after, cancel)
				in := bulkOf(10)
				in.ChunkSize = 5
				results, err := newBulker(sdkOf(srv), sesguard.Options{}).Send(ctx, in)
				if err != nil {
					t.Fatal(err)
				}
				if a, r, d := judge(t, srv, in, results); a != tt.a || d != tt.d || r != 10-a-d {
					t.Errorf("accepted %d, refused %d, in doubt %d; want %d, the rest, %d", a, r, d, tt.a, tt.d)
				}
				for i, r := range results {
					if r.Err != nil && !errors.Is(r.Err, context.Canceled) {
						t.Errorf("entry %d: %v, want the end of the context", i, r.Err)
					}
				}
			})
		})
	}
}

func TestBulkShutdownLetsTheCallUnderWayFinish(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		srv.Script(sestest.Pass(), sestest.Delay(sestest.EndOfData, 3*time.Second))
		g := sesguard.NewGuard(sesguard.Options{})
		api := &fateful{api: sdkOf(srv), fates: map[string][]string{recipient(0): {"TRANSIENT_FAILURE"}}}
		in := bulkOf(500)
		time.AfterFunc(time.Second, func() {
			if err := g.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
		begin := time.Now()
		results, err := NewBulk(api, g).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if a, r, d := judge(t, srv, in, results); a != 99 || r != 401 || d != 0 {
			t.Errorf("accepted %d, refused %d, in doubt %d; want 99, 401, 0", a, r, d)
		}
		if time.Since(begin) > 4*time.Second || !errors.Is(results[0].Err, seserrors.ClientClosed) || !errors.Is(results[499].Err, seserrors.ClientClosed) {
			t.Errorf("after %v: %v, %v", time.Since(begin), results[0].Err, results[499].Err)
		}
	})
}

// A panic of anybody's code reaches the caller of Send, and leaves nothing behind.
func TestBulkPanicsInItsCallersGoroutine(t *testing.T) {
	boom := errors.New("boom")
	for name, set := range map[string]func(in *Bulk, opts *sesguard.Options, api *SendBulkEmailAPI){
		"progress": func(in *Bulk, _ *sesguard.Options, _ *SendBulkEmailAPI) {
			in.Progress = func(i int, _ BulkResult) {
				if i == 7 {
					panic(boom)
				}
			}
		},
		"api": func(_ *Bulk, _ *sesguard.Options, api *SendBulkEmailAPI) {
			*api = bulkFunc(func(context.Context, *sesv2.SendBulkEmailInput, ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
				panic(boom)
			})
		},
		"hook": func(_ *Bulk, opts *sesguard.Options, _ *SendBulkEmailAPI) {
			opts.Hooks.SendDone = func(context.Context, *sesguard.Receipt, error) { panic(boom) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *sestest.Server) {
				in, opts := bulkOf(200), sesguard.Options{}
				var api SendBulkEmailAPI = &fateful{api: sdkOf(srv), fates: map[string][]string{recipient(3): {"FAILED"}}}
				set(in, &opts, &api)
				g := sesguard.NewGuard(opts)
				func() {
					defer func() {
						if got := recover(); got != boom {
							t.Errorf("panicked with %v", got)
						}
					}()
					results, err := NewBulk(api, g).Send(t.Context(), in)
					t.Error("returned", len(results), err)
				}()
				if s := g.Stats(); s.Waiting != 0 || s.InFlight != 0 {
					t.Errorf("left behind: %+v", s)
				}
			})
		})
	}
}

// A hook that ends its goroutine, as t.FailNow does, ends Send's.
func TestBulkHookThatLeavesByGoexit(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		g := sesguard.NewGuard(sesguard.Options{Hooks: sesguard.Hooks{SendDone: func(context.Context, *sesguard.Receipt, error) { runtime.Goexit() }}})
		ended := make(chan bool, 1)
		go func() {
			returned := false
			defer func() { ended <- returned }()
			_, _ = NewBulk(sdkOf(srv), g).Send(t.Context(), bulkOf(200))
			returned = true
		}()
		if <-ended {
			t.Error("Send returned")
		}
		if s := g.Stats(); s.Waiting != 0 || s.InFlight != 0 {
			t.Errorf("left behind: %+v", s)
		}
	})
}

// An attempt whose call panicked may have been sent.
func TestBulkPanicOfTheAPILeavesDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends []error
		opts := sesguard.Options{Hooks: sesguard.Hooks{SendDone: func(_ context.Context, _ *sesguard.Receipt, err error) { ends = append(ends, err) }}}
		api := bulkFunc(func(context.Context, *sesv2.SendBulkEmailInput, ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
			panic("boom")
		})
		func() {
			defer func() { recover() }()
			_, _ = newBulker(api, opts).Send(t.Context(), bulkOf(1))
		}()
		if len(ends) != 1 || !seserrors.MaybeAccepted(ends[0]) {
			t.Errorf("told %v, want one send in doubt", ends)
		}
	})
}

func TestBulkKeepsNothingOfItsInput(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		in := bulkOf(120)
		in.Tags = make([]sesguard.Tag, 1, 9)
		in.Tags[0] = sesguard.Tag{Name: "campaign", Value: "x"}
		in.Entries[0].Tags = make([]sesguard.Tag, 1, 9)
		in.Entries[0].Tags[0] = sesguard.Tag{Name: "kind", Value: "y"}
		in.Entries[1].To[0] = "Ann <ann@bücher.example>"
		before := fmt.Sprintf("%+v %+v %+v", in.Tags[:9], in.Entries[0].Tags[:9], in.Entries)
		in.Progress = func(int, BulkResult) {
			for i := range in.Entries { // nobody looks at them any more
				in.Entries[i].To[0] = "other@example.org"
				in.Entries[i].Data.(map[string]any)["name"] = "other"
			}
			in.Tags[0].Value = "other"
			in.Template.Subject = "other"
		}
		results, err := newBulker(sdkOf(srv), sesguard.Options{TrackTag: "track"}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range srv.Accepted() {
			if strings.Contains(m.To[0]+m.Subject()+m.Text()+m.Tags["campaign"], "other") {
				t.Fatalf("mail %d is %q to %q with %v", i, m.Subject(), m.To, m.Tags)
			}
		}
		for i, r := range results {
			if r.Err != nil {
				t.Errorf("entry %d: %v", i, r.Err)
			}
		}
		if m := srv.Accepted()[0]; m.Tags["kind"] != "y" || m.Tags["campaign"] != "x" || m.Tags["track"] == "" {
			t.Errorf("tags %v", m.Tags)
		}
		if m := srv.Accepted()[1]; m.To[0] != "ann@xn--bcher-kva.example" {
			t.Errorf("to %q", m.To)
		}
		in = bulkOf(120)
		in.Tags = append(make([]sesguard.Tag, 0, 9), sesguard.Tag{Name: "campaign", Value: "x"})
		in.Entries[0].Tags = append(make([]sesguard.Tag, 0, 9), sesguard.Tag{Name: "kind", Value: "y"})
		in.Entries[1].To[0] = "Ann <ann@bücher.example>"
		if _, err := newBulker(sdkOf(srv), sesguard.Options{TrackTag: "track"}).Send(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if after := fmt.Sprintf("%+v %+v %+v", in.Tags[:9], in.Entries[0].Tags[:9], in.Entries); after != before {
			t.Error("the input was written to")
		}
	})
}

func TestBulkChecksAllBeforeItSends(t *testing.T) {
	in := bulkOf(30)
	in.From, in.ConfigurationSet = "shop@", "a b"
	in.Template.Text = "{{greeting}} {{contact.first}}"
	for i := range in.Entries {
		in.Entries[i].Data.(map[string]any)["contact"] = map[string]any{"first": "x"}
	}
	in.Entries[3].To = []string{"no address"}
	in.Entries[4].Data = map[string]any{"name": nil, "contact": map[string]any{"first": "x"}}
	in.Entries[5].Data = []int{1}
	in.Entries[6] = BulkEntry{Data: in.Entries[6].Data}
	in.Entries[7].Tags = []sesguard.Tag{{Name: "a b", Value: "x"}}
	in.Entries[8].Headers = []sesguard.Header{{Name: "X-Secret", Value: "geheim\r\nBcc: x@example.com"}}
	in.Entries[9].Data = map[string]any{"name": "x", "contact": map[string]any{"first": nil}}
	in.Entries[10].To = manyAddresses(51)
	calls := 0
	api := bulkFunc(func(context.Context, *sesv2.SendBulkEmailInput, ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
		calls++
		return nil, nil
	})
	results, err := newBulker(api, sesguard.Options{}).Send(t.Context(), in)
	var invalid *sesguard.ValidationError
	if !errors.As(err, &invalid) || calls != 0 || seserrors.Classify(err).Class != seserrors.Invalid {
		t.Fatalf("Send = %v after %d calls", err, calls)
	}
	want := []string{
		"From", "ConfigurationSet", "Entries[3].To[0]", "Entries[4].Data.name", "Entries[5].Data", "Entries[6].To", "Entries[7].Tags[0].Name",
		"Entries[8].Headers[0].Value", "Entries[8].Headers[0].Value", "Entries[9].Data.contact.first", "Entries[10].To",
	}
	var got []string
	for _, p := range invalid.Problems {
		got = append(got, p.Field)
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems of\n%q, want\n%q", got, want)
	}
	if strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "no address") {
		t.Errorf("the text tells of content or a recipient: %v", err)
	}
	for i, r := range results {
		if (r.Err != nil) != (i >= 3 && i <= 10) || r.Receipt != nil {
			t.Errorf("entry %d: %v", i, r.Err)
		}
	}
}

// The data of an entry is laid over the defaults, object by object, before it is
// checked.
func TestBulkChecksDataAsSESMergesIt(t *testing.T) {
	type data = map[string]any
	for _, tt := range []struct {
		name          string
		defaults, own any
		want          []string
	}{
		{"a default", data{"a": data{"b": 1}}, data{}, nil},
		{"no data of its own", data{"a": data{"b": 1}}, nil, nil},
		{"beside a default", data{"a": data{"c": 1}}, data{"a": data{"b": 1}}, nil},
		{"in the place of null", data{"a": data{"b": nil}}, data{"a": data{"b": 1}}, nil},
		{"null in the place of a default", data{"a": data{"b": 1}}, data{"a": data{"b": nil}}, []string{"Entries[0].Data.a.b"}},
		{"text in the place of an object", data{"a": data{"b": 1}}, data{"a": "x"}, []string{"Entries[0].Data.a.b"}},
		{"neither", nil, nil, []string{"Entries[0].Data.a.b"}},
		{"defaults that are no object", "x", data{"a": data{"b": 1}}, []string{"Defaults"}},
	} {
		in := &Bulk{From: "shop@example.com", Template: Template{Text: "{{a.b}}"}, Defaults: tt.defaults, Entries: []BulkEntry{{To: []string{"a@example.org"}, Data: tt.own}}}
		_, _, err := prepare(in)
		if got := fieldsOf(t, err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: problems of %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestBulkTellsOnceWhatAllEntriesShare(t *testing.T) {
	in := bulkOf(3)
	in.Tags = []sesguard.Tag{{Name: "a b", Value: "x"}}
	in.Template.Headers = []sesguard.Header{{Name: "Subject", Value: "x"}}
	_, results, err := prepare(in)
	if got, want := fieldsOf(t, err), []string{"Tags[0].Name", "Template.Headers[0].Name"}; !slices.Equal(got, want) || results[0].Err != nil {
		t.Errorf("problems of %q, want %q", got, want)
	}
}

func TestBulkInputAsSESGetsIt(t *testing.T) {
	in := bulkOf(2)
	in.ReturnPath, in.ReplyTo = "Bounces <bounce@example.com>", []string{"Büro <help@example.com>"}
	in.ConfigurationSet, in.Tenant, in.EndpointID = "set", "tenant", "endpoint"
	in.Tags = []sesguard.Tag{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}
	in.Template = Template{Name: "welcome", Subject: "known {{name}}", Headers: []sesguard.Header{{Name: "X-A", Value: "1"}, {Name: "List-Unsubscribe-Post", Value: "List-Unsubscribe=One-Click"}},
		Attachments: []sesguard.Attachment{{Name: "a.txt", Content: []byte("x")}, {ContentID: "logo", ContentType: "image/png", Content: []byte("y")}}}
	in.Defaults = nil
	in.Entries[0].Tags = []sesguard.Tag{{Name: "b", Value: "3"}}
	for i := range in.Entries {
		in.Entries[i].Headers = []sesguard.Header{{Name: "x-a", Value: "2"}, {Name: "List-Unsubscribe", Value: "<https://example.com/u>"}}
	}
	in.Entries[1].Data = nil
	in.Template.Subject = "known"
	var got *sesv2.SendBulkEmailInput
	api := bulkFunc(func(_ context.Context, in *sesv2.SendBulkEmailInput, _ ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
		got = in
		ok := sestypes.BulkEmailEntryResult{Status: sestypes.BulkEmailStatusSuccess, MessageId: aws.String("id")}
		return &sesv2.SendBulkEmailOutput{BulkEmailEntryResults: []sestypes.BulkEmailEntryResult{ok, ok}}, nil
	})
	results, err := newBulker(api, sesguard.Options{}).Send(t.Context(), in)
	if err != nil || results[0].Err != nil || results[1].Err != nil {
		t.Fatal(err, results)
	}
	tmpl := got.DefaultContent.Template
	for name, pair := range map[string][2]string{
		"from":         {*got.FromEmailAddress, "shop@example.com"},
		"feedback":     {*got.FeedbackForwardingEmailAddress, "bounce@example.com"},
		"reply to":     {got.ReplyToAddresses[0], "=?utf-8?b?QsO8cm8=?= <help@example.com>"},
		"set":          {*got.ConfigurationSetName, "set"},
		"tenant":       {*got.TenantName, "tenant"},
		"endpoint":     {*got.EndpointId, "endpoint"},
		"template":     {*tmpl.TemplateName, "welcome"},
		"default data": {*tmpl.TemplateData, "{}"},
		"own data":     {*got.BulkEmailEntries[0].ReplacementEmailContent.ReplacementTemplate.ReplacementTemplateData, `{"name":"N0"}`},
		"absent data":  {*got.BulkEmailEntries[1].ReplacementEmailContent.ReplacementTemplate.ReplacementTemplateData, "{}"},
		"tags":         {showTags(got.BulkEmailEntries[0].ReplacementTags), "b=3 a=1 "},
		"default tags": {showTags(got.DefaultEmailTags), "a=1 b=2 "},
		"own header":   {*got.BulkEmailEntries[0].ReplacementHeaders[0].Value, "2"},
		"file":         {*tmpl.Attachments[0].FileName + string(tmpl.Attachments[0].ContentTransferEncoding), "a.txtBASE64"},
		"inline file":  {*tmpl.Attachments[1].ContentId + string(tmpl.Attachments[1].ContentDisposition), "logoINLINE"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, want %q", name, pair[0], pair[1])
		}
	}
	if tmpl.TemplateContent != nil || got.BulkEmailEntries[1].ReplacementTags != nil {
		t.Errorf("content %v, tags %v; want none", tmpl.TemplateContent, got.BulkEmailEntries[1].ReplacementTags)
	}
}

func showTags(list []sestypes.MessageTag) (s string) {
	for _, t := range list {
		s += *t.Name + "=" + *t.Value + " "
	}
	return s
}

// In an outage no more than a thousand entries wait.
func TestBulkHoldsBackInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := sesguard.NewGuard(sesguard.Options{})
		most := 0
		api := bulkFunc(func(_ context.Context, in *sesv2.SendBulkEmailInput, _ ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error) {
			s := g.Stats()
			most = max(most, s.Waiting+s.InFlight)
			out := new(sesv2.SendBulkEmailOutput)
			for range in.BulkEmailEntries {
				out.BulkEmailEntryResults = append(out.BulkEmailEntryResults, sestypes.BulkEmailEntryResult{Status: "TRANSIENT_FAILURE"})
			}
			return out, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		results, err := NewBulk(api, g).Send(ctx, bulkOf(1500))
		if err != nil {
			t.Fatal(err)
		}
		if most != mostOpen {
			t.Errorf("%d entries were under way, want %d", most, mostOpen)
		}
		for i, r := range results {
			if wait, ok := retry.After(r.Err); !ok {
				t.Fatalf("entry %d: %v, after %v", i, r.Err, wait)
			}
		}
	})
}

// Several Sends of one Bulker share its pace and its guard, and nothing else.
func TestBulkerSendsSeveralAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		b := newBulker(sdkOf(srv, Guard(sesguard.Options{})), sesguard.Options{}) // a guarded client leaves bulks alone
		var wg sync.WaitGroup
		for k := range 8 {
			wg.Go(func() {
				in := bulkOf(100)
				for i := range in.Entries {
					in.Entries[i].To[0] = fmt.Sprintf("bulk%d-%s", k, in.Entries[i].To[0])
				}
				results, err := b.Send(t.Context(), in)
				if err != nil {
					t.Error(err)
				}
				if a, _, _ := judge(t, srv, in, results); a != 100 {
					t.Errorf("%d accepted, want 100", a)
				}
			})
		}
		wg.Wait()
	})
}

// Three tags leave room for a fourth, which is each entry's own.
func TestBulkEntriesHaveIDsOfTheirOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		in := bulkOf(50)
		in.Tags = []sesguard.Tag{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}, {Name: "c", Value: "3"}}
		results, err := newBulker(sdkOf(srv), sesguard.Options{TrackTag: "track"}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		got := bySES(srv)
		for i, r := range results {
			if m := got[recipient(i)]; r.Err != nil || len(m) != 1 || m[0].Tags["track"] != r.Receipt.TrackID || m[0].Tags["c"] != "3" {
				t.Errorf("entry %d: %+v, %v; SES has %v", i, r.Receipt, r.Err, m)
			}
		}
	})
}

func TestBulkTagOfTheTracksNameIsRefused(t *testing.T) {
	in := bulkOf(2)
	in.Tags = []sesguard.Tag{{Name: "track", Value: "x"}}
	results, err := newBulker(bulkFunc(nil), sesguard.Options{TrackTag: "track"}).Send(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if !errors.Is(r.Err, seserrors.InvalidTag) || !seserrors.IsFatal(r.Err) {
			t.Errorf("entry %d: %v, want invalid-tag", i, r.Err)
		}
	}
}

// What one entry lacks does not fill the memory with problems.
func TestBulkTellsAHundredProblemsAtMost(t *testing.T) {
	in := bulkOf(1000)
	in.Template.Text = ""
	for i := range 50 {
		in.Template.Text += fmt.Sprintf("{{missing%d}}", i)
	}
	results, err := newBulker(bulkFunc(nil), sesguard.Options{}).Send(t.Context(), in)
	if got := fieldsOf(t, err); len(got) != 100 {
		t.Errorf("%d problems, want 100", len(got))
	}
	if got := fieldsOf(t, results[99].Err); len(got) != 10 {
		t.Errorf("%d problems of an entry, want 10", len(got))
	}
}

func TestBulkWithoutEntriesSendsNothing(t *testing.T) {
	in := bulkOf(0)
	results, err := newBulker(bulkFunc(nil), sesguard.Options{}).Send(t.Context(), in)
	if len(results) != 0 || err != nil {
		t.Errorf("Send = %v, %v", results, err)
	}
	if _, err := newBulker(bulkFunc(nil), sesguard.Options{}).Send(t.Context(), nil); !errors.Is(err, seserrors.TemplateInvalid) {
		t.Errorf("Send(nil) = %v", err)
	}
}
