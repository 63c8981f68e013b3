package sesguard

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

func paused() error { return seserrors.Classify(seserrors.SendingPaused) }

// pass runs one attempt that ends with err through b, and returns what the
// sender sees.
func pass(b *breaker, err error) error {
	probe, refused := b.admit()
	if refused != nil {
		return refused
	}
	b.observe(probe, err)
	return err
}

// reasonsInSource are the Reason constants that package errors declares.
func reasonsInSource(t *testing.T) (reasons []seserrors.Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash("../errors/reason.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			slug, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, seserrors.Reason(slug))
		}
		return true
	})
	if len(reasons) < 50 {
		t.Fatalf("found only %d reasons: %q", len(reasons), reasons)
	}
	return reasons
}

// Only what every mail of the account would draw, until a person acts, opens
// the breaker: no refusal of a message, a recipient, a sender identity or a
// configuration set, nothing that time cures, and not a wrong clock.
func TestOnlyARefusalOfTheAccountOpensTheBreaker(t *testing.T) {
	opening := []seserrors.Reason{
		seserrors.AuthRequired, seserrors.CredentialsInvalid, seserrors.CredentialsExpired, seserrors.CredentialsUnavailable,
		seserrors.NotSubscribed, seserrors.SendingPaused, seserrors.AccountSuspended,
	}
	for _, reason := range reasonsInSource(t) {
		t.Run(string(reason), func(t *testing.T) {
			refusal := seserrors.Classify(reason)
			opens := slices.Contains(opening, reason)
			if rule := seserrors.IsFatal(refusal) && reason.Scope() == seserrors.ScopeAccount && reason != seserrors.ClockSkew; opens != rule {
				t.Errorf("listed as opening: %v, by the rule: %v", opens, rule)
			}
			var b breaker
			pass(&b, refusal)
			err := pass(&b, nil)
			if !opens && err != nil {
				t.Errorf("the next send got %v", err)
			}
			if opens && (!errors.Is(err, reason) || seserrors.MaybeAccepted(err) || !seserrors.IsFatal(err)) {
				t.Errorf("the next send got %v, want %s at once, fatal and without doubt", err, reason)
			}
		})
	}
}

func TestWhatIsNotFatalNeverOpensTheBreaker(t *testing.T) {
	for name, err := range map[string]error{
		"a 4xx":    &seserrors.Error{Class: seserrors.Unavailable, Reason: seserrors.SendingPaused},
		"in doubt": &seserrors.Error{Class: seserrors.Suspended, Reason: seserrors.SendingPaused, MaybeAccepted: true},
		"foreign":  errors.New("sending paused"),
	} {
		var b breaker
		pass(&b, err)
		if err := pass(&b, nil); err != nil {
			t.Errorf("%s: the next send got %v", name, err)
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
			if _, err := b.admit(); err == nil {
				t.Fatalf("a send passed just before the cooldown of %v was over", cooldown)
			}
			time.Sleep(time.Nanosecond)
			probe, err := b.admit()
			if err != nil || !probe {
				t.Fatalf("after %v: probe %v, %v; want a probe", cooldown, probe, err)
			}
			if _, err := b.admit(); err == nil {
				t.Fatal("a second send passed while one probes")
			}
			b.observe(probe, paused())
		}
		time.Sleep(maxCooldown)
		pass(&b, nil)
		if err := pass(&b, nil); err != nil {
			t.Errorf("after a probe that succeeded: %v", err)
		}
	})
}

func TestAProbeThatDoesNotReachSESIsFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		pass(&b, paused())
		time.Sleep(minCooldown)
		for _, err := range []error{seserrors.Classify(seserrors.Network), seserrors.Classify(seserrors.ContextCanceled),
			seserrors.Classify(seserrors.ClockSkew), lost(), errPanicked} {
			pass(&b, err)
			probe, err := b.admit()
			if !probe || err != nil {
				t.Fatalf("the next send: probe %v, %v; want to be the next probe", probe, err)
			}
			b.observe(probe, seserrors.Classify(seserrors.Network))
		}
		pass(&b, nil)
		if err := pass(&b, nil); err != nil {
			t.Errorf("after the probe that succeeded: %v", err)
		}
	})
}

func TestWhatWasUnderWayDoesNotCloseTheBreaker(t *testing.T) {
	var b breaker
	early, _ := b.admit()
	pass(&b, paused())
	b.observe(early, nil)
	if err := pass(&b, nil); err == nil {
		t.Error("a success that had begun before the refusal closed the breaker")
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
				switch probe, err := b.admit(); {
				case probe:
					probes.Add(1)
					time.Sleep(time.Minute)
					b.observe(probe, nil)
				case errors.Is(err, seserrors.SendingPaused):
					refused.Add(1)
				default:
					t.Errorf("passed beside the probe: %v", err)
				}
			})
		}
		wg.Wait()
		if probes.Load() != 1 || refused.Load() != 999 {
			t.Errorf("%d probes, %d refused at once", probes.Load(), refused.Load())
		}
		if err := pass(&b, nil); err != nil {
			t.Errorf("after the probe that succeeded: %v", err)
		}
	})
}
