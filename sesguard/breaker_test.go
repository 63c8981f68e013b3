package sesguard

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

func paused() *seserrors.Error { return seserrors.Classify(seserrors.SendingPaused) }

// pass runs one attempt that ends with e through b, and returns what the sender
// sees: nil is acceptance.
func pass(b *breaker, e *seserrors.Error) *seserrors.Error {
	c, refused := b.admit()
	if refused != nil {
		return refused
	}
	b.observe(c, e)
	return e
}

// reasonsInSource are the Reason constants that package errors declares.
func reasonsInSource(t *testing.T) (reasons []seserrors.Reason) {
	t.Helper()
	files, err := filepath.Glob(filepath.FromSlash("../errors/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 {
				return true
			}
			slug, ok := spec.Values[0].(*ast.BasicLit)
			if typ, named := spec.Type.(*ast.Ident); !named || typ.Name != "Reason" || !ok {
				return true
			}
			reason, err := strconv.Unquote(slug.Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, seserrors.Reason(reason))
			return true
		})
	}
	if len(reasons) < 50 {
		t.Fatalf("found only %d reasons: %q", len(reasons), reasons)
	}
	return reasons
}

// Only what every mail of the account would draw, until a person acts, opens
// the breaker: no refusal of a message, a recipient, a sender identity or a
// configuration set, nothing that time cures, and not a wrong clock. Refused
// credentials open it the second time.
func TestOnlyARefusalOfTheAccountOpensTheBreaker(t *testing.T) {
	opening := map[seserrors.Reason]int{
		seserrors.AuthRequired: 2, seserrors.CredentialsInvalid: 2, seserrors.CredentialsExpired: 2, seserrors.CredentialsUnavailable: 2,
		seserrors.NotSubscribed: 1, seserrors.SendingPaused: 1, seserrors.AccountSuspended: 1,
	}
	for _, reason := range reasonsInSource(t) {
		t.Run(string(reason), func(t *testing.T) {
			refusal := seserrors.Classify(reason)
			if rule := seserrors.IsFatal(refusal) && reason.Scope() == seserrors.ScopeAccount && reason != seserrors.ClockSkew; rule != (opening[reason] > 0) {
				t.Errorf("opens after %d refusals, by the rule: %v", opening[reason], rule)
			}
			var b breaker
			for n := 1; n <= 2; n++ {
				pass(&b, refusal)
				err := b.check()
				opens := opening[reason] > 0 && opening[reason] <= n
				if !opens && err != nil {
					t.Errorf("after %d refusals the next send got %v", n, err)
				}
				if opens && (!errors.Is(err, reason) || seserrors.MaybeAccepted(err) || !seserrors.IsFatal(err)) {
					t.Errorf("after %d refusals the next send got %v, want %s at once, fatal and without doubt", n, err, reason)
				}
			}
		})
	}
}

func TestWhatTellsNothingOfTheAccountNeverOpensTheBreaker(t *testing.T) {
	for name, e := range map[string]*seserrors.Error{
		"a 4xx":               {Class: seserrors.Unavailable, Reason: seserrors.SendingPaused},
		"in doubt":            {Class: seserrors.Suspended, Reason: seserrors.SendingPaused, MaybeAccepted: true},
		"without a reason":    {Class: seserrors.Suspended},
		"sign-in over SMTP":   seserrors.FromSMTP("smtp AUTH", 535, "Authentication Credentials Invalid"),
		"greeting over SMTP":  {Op: "smtp greeting", Class: seserrors.Suspended, Reason: seserrors.AccountSuspended},
		"credentials' source": {Op: "smtp credentials", Class: seserrors.Denied, Reason: seserrors.CredentialsInvalid},
	} {
		var b breaker
		for range 3 {
			pass(&b, e)
		}
		if err := b.check(); err != nil {
			t.Errorf("%s: the next send got %v", name, err)
		}
	}
}

func TestARefusalInATransactionOverSMTPOpensTheBreaker(t *testing.T) {
	for _, op := range []string{"smtp MAIL", "smtp RCPT", "smtp DATA", "smtp end of data"} {
		var b breaker
		pass(&b, &seserrors.Error{Op: op, Class: seserrors.Suspended, Reason: seserrors.SendingPaused})
		if b.check() == nil {
			t.Errorf("%s: the breaker is closed", op)
		}
	}
}

func TestRefusedCredentialsMustBeRefusedTwiceInARow(t *testing.T) {
	invalid := seserrors.Classify(seserrors.CredentialsInvalid)
	for _, tc := range []struct {
		name    string
		between *seserrors.Error // nil: accepted
		opens   bool
	}{
		{"accepted in between", nil, false},
		{"another answer of SES in between", seserrors.Classify(seserrors.MessageRejected), false},
		{"throttled in between", seserrors.Classify(seserrors.SendRateExceeded), false},
		{"no answer in between", seserrors.Classify(seserrors.Network), true},
		{"doubt in between", &seserrors.Error{MaybeAccepted: true}, true},
	} {
		var b breaker
		pass(&b, invalid)
		pass(&b, tc.between)
		pass(&b, invalid)
		if opened := b.check() != nil; opened != tc.opens {
			t.Errorf("%s: opened %v, want %v", tc.name, opened, tc.opens)
		}
	}
}

func TestOneSendProbesAnOpenBreakerAfterTheCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		pass(&b, paused())
		for _, cooldown := range []time.Duration{5, 10, 20, 40, 60, 60} {
			cooldown *= time.Second
			time.Sleep(cooldown - time.Nanosecond)
			if _, e := b.admit(); e == nil {
				t.Fatalf("a send passed just before the cooldown of %v was over", cooldown)
			}
			time.Sleep(time.Nanosecond)
			c, e := b.admit()
			if e != nil || c == 0 {
				t.Fatalf("after %v: claim %v, %v; want a probe", cooldown, c, e)
			}
			if _, e := b.admit(); e == nil {
				t.Fatal("a second send passed while one probes")
			}
			if change := b.observe(c, paused()); change.why != nil {
				t.Errorf("a probe that is refused is reported as a change: %+v", change)
			}
		}
		time.Sleep(maxCooldown)
		pass(&b, nil)
		if err := b.check(); err != nil {
			t.Errorf("after a probe that succeeded: %v", err)
		}
	})
}

// Credentials that a probe finds wrong need no second refusal: the breaker is
// open for them, or for something worse.
func TestAProbeWithRefusedCredentialsKeepsTheBreakerOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		pass(&b, paused())
		time.Sleep(minCooldown)
		pass(&b, seserrors.Classify(seserrors.CredentialsInvalid))
		if _, e := b.admit(); e == nil || e.Reason != seserrors.CredentialsInvalid {
			t.Errorf("the next send got %v, want the probe's refusal", e)
		}
	})
}

func TestAProbeThatDoesNotReachSESIsFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		pass(&b, paused())
		time.Sleep(minCooldown)
		for _, e := range []*seserrors.Error{
			seserrors.Classify(seserrors.Network), seserrors.Classify(seserrors.ContextCanceled), seserrors.Classify(seserrors.ClockSkew),
			seserrors.Classify(seserrors.ProxyRefused), seserrors.FromSMTP("smtp AUTH", 535, "Authentication Credentials Invalid"),
			lost(), abandoned, {Class: seserrors.Throttled, Reason: seserrors.SendRateExceeded, MaybeAccepted: true},
		} {
			pass(&b, e)
			c, refused := b.admit()
			if c == 0 || refused != nil {
				t.Fatalf("after %v the next send: claim %v, %v; want to be the next probe", e, c, refused)
			}
			b.observe(c, seserrors.Classify(seserrors.Network))
		}
		pass(&b, nil)
		if err := b.check(); err != nil {
			t.Errorf("after the probe that succeeded: %v", err)
		}
	})
}

func TestAnAnswerOfSESToTheProbeClosesTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		pass(&b, paused())
		time.Sleep(minCooldown)
		pass(&b, seserrors.Classify(seserrors.MessageRejected))
		for range 2 { // none of them is a probe
			if _, err := b.admit(); err != nil {
				t.Errorf("the account refuses no more, but a send got %v", err)
			}
		}
	})
}

func TestWhatWasUnderWayClosesTheBreakerOnlyIfItWasAccepted(t *testing.T) {
	for name, tc := range map[string]struct {
		e      *seserrors.Error
		closes bool
	}{
		"accepted":             {nil, true},
		"rejected":             {seserrors.Classify(seserrors.MessageRejected), false},
		"not answered":         {seserrors.Classify(seserrors.Network), false},
		"refused for the same": {paused(), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b breaker
			early, _ := b.admit()
			pass(&b, paused())
			time.Sleep(time.Second)
			b.observe(early, tc.e)
			if closed := b.check() == nil; closed != tc.closes {
				t.Errorf("%s: closed %v, want %v", name, closed, tc.closes)
			}
			time.Sleep(minCooldown - time.Second)
			if err := b.check(); err != nil {
				t.Errorf("%s: it moved the next probe: %v", name, err)
			}
		})
	}
}

// A probe that takes long holds nobody up: after the cooldown another probes,
// and then only that one counts.
func TestAProbeThatHangsLosesItsClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		pass(&b, paused())
		time.Sleep(minCooldown)
		slow, _ := b.admit()
		time.Sleep(minCooldown - 1)
		if b.check() == nil {
			t.Error("a second send passed within the cooldown of the first probe")
		}
		time.Sleep(time.Nanosecond)
		second, e := b.admit()
		if e != nil || second == 0 {
			t.Fatalf("claim %v, %v; want a second probe", second, e)
		}
		b.observe(slow, seserrors.Classify(seserrors.Network))
		if b.check() == nil {
			t.Error("the probe that had lost its claim let others pass beside the second")
		}
		b.observe(slow, nil)
		if err := b.check(); err != nil {
			t.Errorf("the first probe was accepted after all, but the next send got %v", err)
		}
	})
}

// A claim from before the breaker closed says nothing after it opened anew.
func TestAnOldClaimIsNotThatOfANewOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		pass(&b, paused())
		time.Sleep(minCooldown)
		old, _ := b.admit()
		b.observe(0, nil)
		pass(&b, paused())
		b.observe(old, seserrors.Classify(seserrors.MessageRejected))
		if b.check() == nil {
			t.Error("the old probe closed the breaker")
		}
	})
}

func TestTheBreakerKeepsNothingOfTheMailThatMetTheRefusal(t *testing.T) {
	var b breaker
	pass(&b, &seserrors.Error{
		Op: "ses SendEmail", Class: seserrors.Suspended, Reason: seserrors.SendingPaused, Code: 400, APICode: "SendingPausedException",
		Message: "Email sending is disabled.", RequestID: "request", Endpoint: "us-east-1",
		Recipients: []string{"ann@example.org"}, Identities: []string{"ann@example.org"}, TrackID: "track", Err: errors.New("of ann@example.org"),
	})
	var e *seserrors.Error
	if !errors.As(b.check(), &e) || e.Recipients != nil || e.Identities != nil || e.TrackID != "" || e.Err != nil {
		t.Fatalf("the next send got %+v", e)
	}
	if e.Op != opBreaker || e.APICode != "SendingPausedException" || e.Message == "" || e.Endpoint != "us-east-1" {
		t.Errorf("the account's part is gone: %+v", e)
	}
}

func TestOfAThousandSendersExactlyOneProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		pass(&b, paused())
		time.Sleep(minCooldown)
		var probes, refused atomic.Int64
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				switch c, e := b.admit(); {
				case c != 0:
					probes.Add(1)
					time.Sleep(time.Second)
					b.observe(c, nil)
				case errors.Is(e, seserrors.SendingPaused):
					refused.Add(1)
				default:
					t.Errorf("passed beside the probe: %v", e)
				}
			})
		}
		wg.Wait()
		if probes.Load() != 1 || refused.Load() != 999 {
			t.Errorf("%d probes, %d refused at once", probes.Load(), refused.Load())
		}
		if err := b.check(); err != nil {
			t.Errorf("after the probe that succeeded: %v", err)
		}
	})
}
