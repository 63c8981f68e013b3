package sesapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// inFakeSES runs f in a bubble with a fake that takes one control call a second.
func inFakeSES(t *testing.T, f func(t *testing.T, srv *sestest.Server)) {
	synctest.Test(t, func(t *testing.T) {
		srv := sestest.NewMemoryServer()
		defer srv.Close()
		srv.Account.SetControlRate(1)
		f(t, srv)
	})
}

func isSuppressed(t *testing.T, l *SuppressionList, address string) bool {
	t.Helper()
	yes, err := l.Suppressed(t.Context(), address)
	if err != nil {
		t.Error(err)
	}
	return yes
}

func TestTheSuppressionListIsReadOnceForAllWhoWait(t *testing.T) {
	inFakeSES(t, func(t *testing.T, srv *sestest.Server) {
		for i := range 2500 {
			srv.Account.Suppress(fmt.Sprintf("a%04d@example.org", i), "BOUNCE")
		}
		l := NewSuppressionList(sdkOf(srv))
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if !isSuppressed(t, l, fmt.Sprintf("a%04d@example.org", i*50)) || isSuppressed(t, l, fmt.Sprintf("b%d@example.org", i)) {
					t.Error("the list is wrong")
				}
			})
		}
		wg.Wait()
		if got := time.Since(start); srv.APIRequests() != 3 || got != 2*time.Second {
			t.Errorf("%d requests in %v, want 3 in 2s", srv.APIRequests(), got)
		}
	})
}

func TestASuppressedAddressIsFoundInAnyLetterCase(t *testing.T) {
	inFakeSES(t, func(t *testing.T, srv *sestest.Server) {
		srv.Account.Suppress("Ann.Lee@Example.org", "COMPLAINT")
		l := NewSuppressionList(sdkOf(srv))
		for _, address := range []string{"Ann.Lee@example.org", "ann.lee@example.org", "ANN.LEE@EXAMPLE.ORG", "Ann <ann.lee@example.org>"} {
			if !isSuppressed(t, l, address) {
				t.Errorf("%s is not found", address)
			}
		}
		for _, address := range []string{"annlee@example.org", "ann.lee@example.com", ""} {
			if isSuppressed(t, l, address) {
				t.Errorf("%q is found", address)
			}
		}
	})
}

func TestAnOldListIsReadAgainAndDelaysNobody(t *testing.T) {
	inFakeSES(t, func(t *testing.T, srv *sestest.Server) {
		srv.Account.Suppress("ann@example.org", "BOUNCE")
		l := NewSuppressionList(sdkOf(srv))
		isSuppressed(t, l, "ann@example.org")
		srv.Account.Suppress("bob@example.org", "BOUNCE")
		srv.Account.Unsuppress("ann@example.org")
		time.Sleep(suppressionAge - 1)
		isSuppressed(t, l, "bob@example.org")
		synctest.Wait()
		if srv.APIRequests() != 1 {
			t.Errorf("%d requests before the list is old", srv.APIRequests())
		}
		time.Sleep(time.Nanosecond)
		before := time.Now()
		if isSuppressed(t, l, "bob@example.org") || !time.Now().Equal(before) {
			t.Error("it waited for the new list")
		}
		synctest.Wait()
		if !isSuppressed(t, l, "bob@example.org") || isSuppressed(t, l, "ann@example.org") || srv.APIRequests() != 2 {
			t.Errorf("after %d requests the list is the old one", srv.APIRequests())
		}
		if at, err := l.LastRead(); !at.Equal(before) || err != nil {
			t.Errorf("last read %v, %v", at, err)
		}
	})
}

// A list of 300,000 addresses takes five minutes: one that was read again every
// 15 would leave other control calls little room.
func TestALongListIsReadLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &pages{count: 300}
		l := NewSuppressionList(api)
		isSuppressed(t, l, "x@example.org")
		time.Sleep(suppressionShare*299*time.Second - 1)
		isSuppressed(t, l, "x@example.org")
		if synctest.Wait(); api.calls != 300 {
			t.Errorf("%d calls", api.calls)
		}
		time.Sleep(time.Nanosecond)
		isSuppressed(t, l, "x@example.org")
		time.Sleep(time.Hour)
		if synctest.Wait(); api.calls != 600 {
			t.Errorf("%d calls, want a second read", api.calls)
		}
	})
}

// pages lists count pages of nothing.
type pages struct {
	SuppressionAPI
	count, calls int
	same         bool // each names itself as the next
}

func (p *pages) ListSuppressedDestinations(context.Context, *sesv2.ListSuppressedDestinationsInput, ...func(*sesv2.Options)) (*sesv2.ListSuppressedDestinationsOutput, error) {
	p.calls++
	out := &sesv2.ListSuppressedDestinationsOutput{}
	if next := fmt.Sprint(p.calls); p.same || p.calls%p.count != 0 {
		if p.same {
			next = "same"
		}
		out.NextToken = &next
	}
	return out, nil
}

func TestPagesThatRepeatEndTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &pages{same: true}
		if _, err := NewSuppressionList(api).Suppressed(t.Context(), "a@example.org"); !seserrors.IsRetryable(err) || api.calls != 2 {
			t.Errorf("%v after %d calls", err, api.calls)
		}
	})
}

func TestAListThatCannotBeReadRefusesUntilItIsTriedAgain(t *testing.T) {
	inFakeSES(t, func(t *testing.T, srv *sestest.Server) {
		srv.Account.Deny("ses:ListSuppressedDestinations")
		l := NewSuppressionList(sdkOf(srv))
		for range 2 {
			_, err := l.Suppressed(t.Context(), "ann@example.org")
			if e := seserrors.Classify(err); e == nil || e.Class != seserrors.Denied || e.Reason != seserrors.AccessDenied || e.Op != opListSuppressed {
				t.Errorf("got %+v", e)
			}
		}
		if at, err := l.LastRead(); srv.APIRequests() != 1 || !at.IsZero() || err == nil {
			t.Errorf("%d requests, last read %v, %v", srv.APIRequests(), at, err)
		}
		srv.Account.Deny()
		time.Sleep(readAgain)
		if isSuppressed(t, l, "ann@example.org") {
			t.Error("found on an empty list")
		}
	})
}

func TestAListThatCannotBeReadAgainStands(t *testing.T) {
	inFakeSES(t, func(t *testing.T, srv *sestest.Server) {
		srv.Account.Suppress("ann@example.org", "BOUNCE")
		l := NewSuppressionList(sdkOf(srv))
		isSuppressed(t, l, "ann@example.org")
		srv.Account.Deny("ses:ListSuppressedDestinations")
		time.Sleep(suppressionAge)
		for range 3 {
			if !isSuppressed(t, l, "ann@example.org") {
				t.Error("not found")
			}
			synctest.Wait()
		}
		if _, err := l.LastRead(); srv.APIRequests() != 2 || !errors.Is(err, seserrors.AccessDenied) {
			t.Errorf("%d requests, %v", srv.APIRequests(), err)
		}
		time.Sleep(suppressionRetry)
		isSuppressed(t, l, "ann@example.org")
		synctest.Wait()
		if srv.APIRequests() != 3 {
			t.Errorf("%d requests a minute later", srv.APIRequests())
		}
	})
}

func TestACallerThatLeavesEndsNobodysRead(t *testing.T) {
	inFakeSES(t, func(t *testing.T, srv *sestest.Server) {
		for i := range 1500 {
			srv.Account.Suppress(fmt.Sprintf("a%04d@example.org", i), "BOUNCE")
		}
		l := NewSuppressionList(sdkOf(srv))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := l.Suppressed(ctx, "a0001@example.org"); !errors.Is(err, seserrors.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		if !isSuppressed(t, l, "a1400@example.org") || srv.APIRequests() != 2 {
			t.Errorf("%d requests", srv.APIRequests())
		}
		wg.Wait()
	})
}

func TestPutAndDeleteChangeSESsListAndOurs(t *testing.T) {
	inFakeSES(t, func(t *testing.T, srv *sestest.Server) {
		srv.Account.Suppress("Ann@example.org", "BOUNCE")
		l := NewSuppressionList(sdkOf(srv))
		isSuppressed(t, l, "x@example.org")
		if err := l.Put(t.Context(), "Bob Ray <Bob@Example.ORG>", types.SuppressionListReasonComplaint); err != nil {
			t.Fatal(err)
		}
		if err := l.Delete(t.Context(), "ann@example.org"); err != nil { // SES knows it as Ann
			t.Fatal(err)
		}
		if err := l.Delete(t.Context(), "nobody@example.org"); err != nil {
			t.Errorf("an address that is not on the list: %v", err)
		}
		if !isSuppressed(t, l, "bob@example.org") || isSuppressed(t, l, "Ann@example.org") {
			t.Error("our list does not follow")
		}
		list := srv.Account.SuppressionList()
		if len(list) != 1 || list[0].Address != "Bob@example.org" || list[0].Reason != "COMPLAINT" {
			t.Errorf("SES has %+v", list)
		}
		err := l.Put(t.Context(), "no address", types.SuppressionListReasonBounce)
		if e := seserrors.Classify(err); e == nil || e.Class != seserrors.Rejected {
			t.Errorf("got %v, want a refusal", err)
		}
		srv.Account.Deny("ses:DeleteSuppressedDestination")
		if err := l.Delete(t.Context(), "bob@example.org"); !errors.Is(err, seserrors.AccessDenied) || !isSuppressed(t, l, "bob@example.org") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAChangeDuringAReadIsNotLost(t *testing.T) {
	inFakeSES(t, func(t *testing.T, srv *sestest.Server) {
		for i := range 2500 {
			srv.Account.Suppress(fmt.Sprintf("m%04d@example.org", i), "BOUNCE")
		}
		l := NewSuppressionList(sdkOf(srv))
		var wg sync.WaitGroup
		wg.Go(func() { isSuppressed(t, l, "x@example.org") })
		synctest.Wait() // the first page has been read
		wg.Go(func() {
			if err := l.Put(t.Context(), "a@example.org", types.SuppressionListReasonBounce); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if !isSuppressed(t, l, "a@example.org") {
			t.Error("the read has overwritten the change")
		}
	})
}

func TestSuppressedSendsNothingToWhoIsOnSESsList(t *testing.T) {
	inFakeSES(t, func(t *testing.T, srv *sestest.Server) {
		srv.Account.Suppress("Bob@example.org", "BOUNCE")
		client := sdkOf(srv)
		sender := sesguard.Suppressed(sesguard.New(New(client, Config{}), sesguard.Options{}), NewSuppressionList(client))
		_, err := sender.Send(t.Context(), &sesguard.Message{From: "a@example.com", To: []string{"Bob <bob@Example.org>"}, Text: "x"})
		if !errors.Is(err, seserrors.RecipientSuppressed) {
			t.Errorf("got %v", err)
		}
		if _, err := sender.Send(t.Context(), &sesguard.Message{From: "a@example.com", To: []string{"ann@example.org"}, Text: "x"}); err != nil || srv.AcceptedCount() != 1 {
			t.Errorf("got %v, %d accepted", err, srv.AcceptedCount())
		}
	})
}
