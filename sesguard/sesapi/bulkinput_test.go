package sesapi

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func TestBulkOfAnySizeIsCutIntoFullCalls(t *testing.T) {
	for n, want := range map[int][]int{1: {1}, 49: {49}, 50: {50}, 51: {50, 1}, 101: {50, 50, 1}} {
		inBubble(t, func(t *testing.T, srv *sestest.Server) {
			api := &fateful{api: sdkOf(srv)}
			in := bulkOf(n)
			begin := time.Now()
			results, err := newBulker(api, sesguard.Options{}).Send(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if a, _, _ := judge(t, srv, in, results); a != n || !slices.Equal(api.calls, want) || time.Since(begin) != 0 {
				t.Errorf("%d of %d accepted in calls of %v after %v, want %v at once", a, n, api.calls, time.Since(begin), want)
			}
		})
	}
}

// Answers get lost all the time, in a large bulk too: what is in doubt is told so
// with the id that finds it, and everything else is accepted once.
func TestBulkOverAServerThatLosesAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		const n = 3000
		lost := []sestest.Fault{sestest.AcceptThenCut(), sestest.Cut(sestest.EndOfData), sestest.AcceptThenFail(), sestest.AcceptThenReply(200, `{"BulkEmailEntryResults":[`), sestest.CutBody(100)}
		var faults []sestest.Fault
		for i := range n / 50 {
			f := sestest.Pass()
			if i%6 == 0 {
				f = lost[i/6%len(lost)]
			}
			faults = append(faults, f)
		}
		srv.Script(faults...)
		in := bulkOf(n)
		results, err := newBulker(sdkOf(srv), sesguard.Options{TrackTag: "track"}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		// A body that is cut leaves doubt only if the client had written all of it.
		if a, r, d := judge(t, srv, in, results); a+d != n || r != 0 || d < 400 || d > 500 || srv.FaultsLeft() != 0 {
			t.Errorf("accepted %d, refused %d, in doubt %d, %d faults left; want 2500 to 2600, 0, the rest, 0", a, r, d, srv.FaultsLeft())
		}
		ids := make(map[string]bool)
		for i, r := range results {
			id := ""
			if r.Err != nil {
				id = seserrors.Classify(r.Err).TrackID
			} else {
				id = r.Receipt.TrackID
			}
			if id == "" || ids[id] {
				t.Fatalf("entry %d has the id %q, which is none or another's", i, id)
			}
			ids[id] = true
		}
		for _, m := range srv.Accepted() {
			if !ids[m.Tags["track"]] {
				t.Fatalf("SES has a mail with the id %q of nobody", m.Tags["track"])
			}
		}
	})
}

// FAILED is no last word of SES's, so the policy says how often.
func TestBulkEntryThatFailsAgainAndAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy retry.Policy
		tried  int
		after  time.Duration
	}{
		{"by default for an hour", retry.Policy{Schedule: retry.Schedule{Jitter: -1}}, 12, time.Hour},
		{"as often as the policy says", retry.Policy{MaxAttempts: 3}, 3, time.Minute},
		{"once", retry.Policy{MaxAttempts: 1}, 1, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *sestest.Server) {
				api := &fateful{api: sdkOf(srv), text: "Unknown error occurred. Please try again later"}
				api.fates = map[string][]string{recipient(1): slices.Repeat([]string{"FAILED"}, 100)}
				in := bulkOf(60)
				begin := time.Now()
				at := make(map[int]time.Duration)
				in.Progress = func(i int, _ BulkResult) { at[i] = time.Since(begin) }
				results, err := newBulker(api, sesguard.Options{Retry: tt.policy}).Send(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				if a, r, d := judge(t, srv, in, results); a != 59 || r != 1 || d != 0 {
					t.Errorf("accepted %d, refused %d, in doubt %d; want 59, 1, 0", a, r, d)
				}
				e := seserrors.Classify(results[1].Err)
				if e.Class != seserrors.Unavailable || e.Reason != seserrors.ServiceFailure || api.tried[recipient(1)] != tt.tried {
					t.Errorf("%v after %d attempts, want service-failure after %d", e, api.tried[recipient(1)], tt.tried)
				}
				if at[1] > tt.after || at[0] != 0 || at[59] > time.Second {
					t.Errorf("told after %v, the others after %v and %v; want at most %v, and the others at once", at[1], at[0], at[59], tt.after)
				}
			})
		})
	}
}

// Entries are mails of their own, whoever gets them.
func TestBulkEntriesWithTheSameRecipient(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		in := bulkOf(3)
		for i := range in.Entries {
			in.Entries[i].To = []string{"ann@example.org", "Ann <ann@EXAMPLE.org>"}
			in.Entries[i].Cc = []string{"ann@example.org"}
		}
		var counted atomic.Int64
		hooks := sesguard.Hooks{SendStart: func(_ context.Context, i sesguard.Info) context.Context { counted.Add(int64(i.Recipients)); return nil }}
		results, err := newBulker(sdkOf(srv), sesguard.Options{Hooks: hooks}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		ids := make(map[string]bool)
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			ids[r.Receipt.MessageID] = true
		}
		if len(srv.Accepted()) != 3 || len(ids) != 3 || counted.Load() != 3 {
			t.Errorf("SES has %d mails, %d ids, %d recipients were counted; want 3 of each", len(srv.Accepted()), len(ids), counted.Load())
		}
	})
}

func TestBulkThatItsProgressCancelsSendsNoFurtherCall(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		api := &fateful{api: sdkOf(srv)}
		in := bulkOf(500)
		in.Progress = func(i int, _ BulkResult) {
			if i == 60 {
				cancel()
			}
		}
		results, err := newBulker(api, sesguard.Options{}).Send(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		if a, r, d := judge(t, srv, in, results); a != 100 || r != 400 || d != 0 || len(api.calls) != 2 {
			t.Errorf("accepted %d, refused %d, in doubt %d in %d calls; want 100, 400, 0 in 2", a, r, d, len(api.calls))
		}
		if e := seserrors.Classify(results[499].Err); e.Class != seserrors.Canceled || e.MaybeAccepted {
			t.Errorf("the last: %v, want canceled without doubt", e)
		}
	})
}

// A Progress that takes its time holds the bulk up: only what must be sent again
// may run out of the policy's time.
func TestBulkWaitsForItsProgress(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *sestest.Server) {
		api := &fateful{api: sdkOf(srv), fates: map[string][]string{recipient(70): {"TRANSIENT_FAILURE"}}}
		in := bulkOf(200)
		in.Progress = func(i int, _ BulkResult) {
			if i == 0 || i == 120 {
				time.Sleep(2 * time.Hour)
			}
		}
		results, err := newBulker(api, sesguard.Options{}).Send(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if a, r, d := judge(t, srv, in, results); a != 199 || r != 1 || d != 0 || !seserrors.IsRetryable(results[70].Err) {
			t.Errorf("accepted %d, refused %d, in doubt %d; want 199, 1, 0: %v", a, r, d, results[70].Err)
		}
	})
}

// Guard checks the bulks of code that stays as it is, and sends none of which SES
// would drop an entry.
func TestGuardedSendBulkEmailChecksTemplateContent(t *testing.T) {
	const own = "].ReplacementEmailContent.ReplacementTemplate.ReplacementTemplateData"
	inline := &sestypes.EmailTemplateContent{Subject: aws.String("{{a}}"), Text: aws.String("{{b.c}}")}
	for _, tt := range []struct {
		name    string
		tmpl    sestypes.Template
		entries []string // their data
		want    []string
	}{
		{"all there", sestypes.Template{TemplateContent: inline}, []string{`{"a":1,"b":{"c":2}}`}, nil},
		{"merged with the defaults", sestypes.Template{TemplateContent: inline, TemplateData: aws.String(`{"a":1,"b":{"d":1}}`)}, []string{`{"b":{"c":2}}`}, nil},
		{"missing in one", sestypes.Template{TemplateContent: inline, TemplateData: aws.String(`{"a":1}`)}, []string{`{"b":{"c":2}}`, `{}`}, []string{"BulkEmailEntries[1" + own + ".b.c"}},
		{"null over a default", sestypes.Template{TemplateContent: inline, TemplateData: aws.String(`{"a":1,"b":{"c":2}}`)}, []string{`{"a":null}`}, []string{"BulkEmailEntries[0" + own + ".a"}},
		{"no JSON", sestypes.Template{TemplateName: aws.String("n")}, []string{`{`, `[]`}, []string{"BulkEmailEntries[0" + own, "BulkEmailEntries[1" + own}},
		{"defaults that are no JSON", sestypes.Template{TemplateName: aws.String("n"), TemplateData: aws.String("x")}, []string{`{}`}, []string{"DefaultContent.Template.TemplateData"}},
		{"a block inline", sestypes.Template{TemplateContent: &sestypes.EmailTemplateContent{Subject: aws.String("{{#if a}}{{/if}}")}}, []string{`{}`}, []string{"DefaultContent.Template.TemplateContent.Subject"}},
		{"two errors in a text", sestypes.Template{TemplateContent: &sestypes.EmailTemplateContent{Html: aws.String("{{a b}}{{c.}}")}}, []string{`{}`}, slices.Repeat([]string{"DefaultContent.Template.TemplateContent.HTML"}, 2)},
		{"a stored template", sestypes.Template{TemplateName: aws.String("n")}, []string{`{}`}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *sestest.Server) {
				srv.Account.AddTemplate("n", "stored", "text", "")
				in := &sesv2.SendBulkEmailInput{FromEmailAddress: aws.String("shop@example.com"), DefaultContent: &sestypes.BulkEmailContent{Template: &tt.tmpl}}
				for _, data := range tt.entries {
					in.BulkEmailEntries = append(in.BulkEmailEntries, sestypes.BulkEmailEntry{
						Destination:             &sestypes.Destination{ToAddresses: []string{"ann@example.org"}},
						ReplacementEmailContent: &sestypes.ReplacementEmailContent{ReplacementTemplate: &sestypes.ReplacementTemplate{ReplacementTemplateData: &data}},
					})
				}
				_, err := sdkOf(srv, Guard(sesguard.Options{})).SendBulkEmail(t.Context(), in)
				if got := fieldsOf(t, err); !slices.Equal(got, tt.want) {
					t.Errorf("problems of %q, want %q", got, tt.want)
				}
				if got := len(srv.Accepted()); (got == len(tt.entries)) != (tt.want == nil) || got != 0 && tt.want != nil {
					t.Errorf("SES has %d mails", got)
				}
				if err != nil && !errors.Is(err, seserrors.TemplateInvalid) {
					t.Error(err)
				}
			})
		})
	}
}

func TestGuardedSendBulkEmailTellsAHundredProblemsAtMost(t *testing.T) {
	in := &sesv2.SendBulkEmailInput{DefaultContent: &sestypes.BulkEmailContent{Template: &sestypes.Template{
		TemplateContent: &sestypes.EmailTemplateContent{Text: aws.String("{{a}}{{b}}{{c}}")},
	}}, BulkEmailEntries: make([]sestypes.BulkEmailEntry, 50)}
	_, err := sdkClient(answer(200, "", "{}"), Guard(sesguard.Options{})).SendBulkEmail(t.Context(), in)
	if got := fieldsOf(t, err); len(got) != 100 {
		t.Errorf("%d problems, want 100", len(got))
	}
}
