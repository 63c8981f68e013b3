package outbox

import (
	stderrors "errors"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

func TestSettleTable(t *testing.T) {
	of := func(r seserrors.Reason) *seserrors.Error { return &seserrors.Error{Class: r.Class(), Reason: r} }
	lost := of(seserrors.ResponseLost)
	lost.MaybeAccepted = true
	sandbox := of(seserrors.IdentityNotVerified)
	sandbox.Identities = []string{"ANN@example.org"}
	plain := claimed{sender: "Shop@example.com"}
	withSet := claimed{sender: "shop@example.com", set: "orders"}
	ofTenant := claimed{sender: "shop@example.com", set: "orders", tenant: "acme"}
	again := retry.Policy{AllowDuplicates: true, MaxElapsed: -1}

	for _, c := range []struct {
		name    string
		policy  retry.Policy
		mail    claimed
		receipt *sesguard.Receipt
		err     error

		state    State
		giveBack bool
		hold     string
		brake    bool
		least    time.Duration
	}{
		{name: "accepted", receipt: &sesguard.Receipt{MessageID: "1"}, state: Sent},
		{name: "accepted without a receipt", state: Sent},
		{name: "in doubt", err: lost, state: InDoubt},
		{name: "in doubt, at least once", policy: again, err: lost, state: Waiting, least: 5 * time.Second},
		{name: "no verdict", err: stderrors.New("broken"), state: InDoubt},
		{name: "a bare class", err: seserrors.Throttled, state: InDoubt},
		{name: "a refusal beside a receipt", receipt: &sesguard.Receipt{}, err: of(seserrors.MessageRejected), state: InDoubt},
		{name: "throttled", err: of(seserrors.SendRateExceeded), state: Waiting, least: 5 * time.Second},
		{name: "throttled for the second time", mail: claimed{attempts: 1}, err: of(seserrors.SendRateExceeded), state: Waiting, least: 10 * time.Second},
		{name: "throttled too often", policy: retry.Policy{MaxAttempts: 2}, mail: claimed{attempts: 1}, err: of(seserrors.SendRateExceeded), state: Failed},
		{name: "unavailable", err: of(seserrors.Network), state: Waiting, least: 5 * time.Second},
		{name: "quota", policy: retry.Policy{MaxAttempts: 1}, err: of(seserrors.DailyQuotaExceeded), state: Waiting, giveBack: true, hold: "account"},
		{name: "a wrong clock", err: of(seserrors.ClockSkew), state: Waiting},
		{name: "a clock that stays wrong", mail: claimed{attempts: 1}, err: of(seserrors.ClockSkew), state: Waiting, giveBack: true, brake: true},
		{name: "canceled", err: of(seserrors.ContextCanceled), state: Waiting, giveBack: true},
		{name: "paused", err: of(seserrors.SendingPaused), state: Waiting, giveBack: true, hold: "account"},
		{name: "suspended", err: of(seserrors.AccountSuspended), state: Waiting, giveBack: true, hold: "account"},
		{name: "not subscribed", err: of(seserrors.NotSubscribed), state: Waiting, giveBack: true, hold: "account"},
		{name: "credentials", err: of(seserrors.CredentialsInvalid), state: Waiting, giveBack: true, brake: true},
		{name: "no credentials", err: of(seserrors.CredentialsUnavailable), state: Waiting, giveBack: true, brake: true},
		{name: "certificate", err: of(seserrors.CertificateInvalid), state: Waiting, giveBack: true, brake: true},
		{name: "proxy", err: of(seserrors.ProxyRefused), state: Waiting, giveBack: true, brake: true},
		{name: "settings", err: of(seserrors.ConfigInvalid), state: Waiting, giveBack: true, brake: true},
		{name: "sender", mail: plain, err: of(seserrors.IdentityNotVerified), state: Waiting, giveBack: true, hold: "from:shop@example.com"},
		{name: "policy", mail: ofTenant, err: of(seserrors.AccessDenied), state: Waiting, giveBack: true, hold: "from:shop@example.com"},
		{name: "recipient of the sandbox", mail: plain, err: sandbox, state: Failed},
		{name: "configuration set", mail: withSet, err: of(seserrors.ConfigurationSetMissing), state: Waiting, giveBack: true, hold: "set:orders"},
		{name: "configuration set of the identity", mail: plain, err: of(seserrors.ConfigurationSetMissing), state: Waiting, giveBack: true, hold: "from:shop@example.com"},
		{name: "pool", mail: withSet, err: of(seserrors.InvalidSendingPool), state: Waiting, giveBack: true, hold: "set:orders"},
		{name: "tenant", mail: ofTenant, err: of(seserrors.ConfigurationSetPaused), state: Waiting, giveBack: true, hold: "tenant:acme"},
		{name: "content", err: of(seserrors.MessageRejected), state: Failed},
		{name: "recipient", err: of(seserrors.RecipientSuppressed), state: Failed},
		{name: "unknown", err: of(seserrors.Unrecognized), state: Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.policy.MaxElapsed = -1
			got := settle(c.policy, &c.mail, []string{"ann@example.org"}, c.receipt, c.err)
			if got.state != c.state || got.giveBack != c.giveBack || got.hold != c.hold || got.brake != c.brake || got.wait < c.least {
				t.Errorf("%+v", got)
			}
			if (got.err == nil) != (c.err == nil) {
				t.Errorf("error %v", got.err)
			}
		})
	}
}

func TestHoldsAreProbedLessAndLessOften(t *testing.T) {
	for _, c := range []struct {
		key         string
		reason      seserrors.Reason
		first, last time.Duration
	}{
		{AccountHold, seserrors.SendingPaused, 5 * time.Second, 8 * time.Minute},
		{AccountHold, seserrors.DailyQuotaExceeded, 20 * time.Minute, 20 * time.Minute},
		{"from:a@example.com", seserrors.IdentityNotVerified, time.Minute, 15 * time.Minute},
	} {
		if first, last := holdWait(c.key, c.reason, 1), holdWait(c.key, c.reason, 50); first != c.first || last != c.last {
			t.Errorf("%s %s: %v to %v, want %v to %v", c.key, c.reason, first, last, c.first, c.last)
		}
	}
}

func TestStoredErrorsNameNoRecipient(t *testing.T) {
	e := &seserrors.Error{
		Op: "smtp DATA", Class: seserrors.Denied, Reason: seserrors.IdentityNotVerified, Code: 554, Enhanced: "5.7.1", Message: "no",
		Identities: []string{"ann@example.org"}, Recipients: []string{"ann@example.org"}, Err: stderrors.New("ann@example.org"),
	}
	got := loadError(storeError(e))
	if got.Code != 554 || got.Class != e.Class || got.Reason != e.Reason || got.Message != "no" || got.Op != e.Op {
		t.Errorf("%+v", got)
	}
	if got.Identities != nil || got.Recipients != nil || got.Err != nil {
		t.Errorf("a recipient is stored: %+v", got)
	}
	if loadError("") != nil || loadError("{") != nil {
		t.Error("an error without text")
	}
}
