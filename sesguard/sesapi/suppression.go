package sesapi

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

// SuppressionAPI is the part of the SES v2 client that reads and changes the
// account's suppression list. *[sesv2.Client] satisfies it. The caller needs the
// IAM permission ses:ListSuppressedDestinations, and ses:PutSuppressedDestination
// and ses:DeleteSuppressedDestination for what it calls of Put and Delete.
type SuppressionAPI interface {
	ListSuppressedDestinations(ctx context.Context, in *sesv2.ListSuppressedDestinationsInput, optFns ...func(*sesv2.Options)) (*sesv2.ListSuppressedDestinationsOutput, error)
	PutSuppressedDestination(ctx context.Context, in *sesv2.PutSuppressedDestinationInput, optFns ...func(*sesv2.Options)) (*sesv2.PutSuppressedDestinationOutput, error)
	DeleteSuppressedDestination(ctx context.Context, in *sesv2.DeleteSuppressedDestinationInput, optFns ...func(*sesv2.Options)) (*sesv2.DeleteSuppressedDestinationOutput, error)
}

const (
	opListSuppressed   = "ses ListSuppressedDestinations"
	opPutSuppressed    = "ses PutSuppressedDestination"
	opDeleteSuppressed = "ses DeleteSuppressedDestination"

	suppressionPage  = 1000             // addresses a call, the most that SES gives
	suppressionAge   = 15 * time.Minute // at which the list is read again
	suppressionShare = 10               // a read takes at most one in so many seconds, or control calls
	suppressionRetry = time.Minute      // after a read that failed, while an older one stands
)

// A SuppressionList is the account's suppression list, read into memory: a
// [sesguard.Suppressions] that costs a send no call. It is safe for concurrent
// use. Create it with [NewSuppressionList].
type SuppressionList struct {
	api   SuppressionAPI
	creds credentials

	mu      sync.Mutex
	reading *listing         // under way, or nil
	listed  addresses        // nil before the first read
	readAt  time.Time        // when the read of listed ended
	failure *seserrors.Error // of the newest read
	next    time.Time        // when to read again
}

// NewSuppressionList returns the suppression list of api's account and region.
// It reads nothing yet: the first [SuppressionList.Suppressed] does.
//
// A sender that asks before it sends saves quota and reputation: SES accepts
// mail to suppressed addresses, counts it and drops it. All reasons count, also
// those that the account or a configuration set does not apply, and the lists of
// tenants do not.
//
// NewSuppressionList panics if api is nil.
func NewSuppressionList(api SuppressionAPI) *SuppressionList {
	if api == nil {
		panic("sesapi: NewSuppressionList with a nil API")
	}
	return &SuppressionList{api: api}
}

// Suppressed reports whether the address is on the list, without regard to
// letter case, as SES compares when it sends. The first call reads the list, and
// all that come meanwhile wait for it: a second for each 1,000 addresses. When
// that fails, they fail with the class and reason of the failure, and so do
// those of the next 5 seconds.
//
// A list that is 15 minutes old is read again, or later if its reading takes
// more than a tenth of the time. That delays nobody, and while it fails the list
// stays as it was; [SuppressionList.LastRead] tells. So an address that SES has
// added or taken off since is not seen at once.
func (l *SuppressionList) Suppressed(ctx context.Context, address string) (bool, error) {
	key := fold(address)
	for {
		r, yes, err := l.look(ctx, key)
		if r == nil {
			return yes, err
		}
		select {
		case <-r.done:
			if r.err != nil {
				return false, r.err
			}
		case <-ctx.Done():
			return false, seserrors.FromContext(ctx, opListSuppressed)
		}
	}
}

// look returns the read to wait for, or else what is known of the address.
func (l *SuppressionList) look(ctx context.Context, key string) (*listing, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	due := !time.Now().Before(l.next)
	switch {
	case l.listed == nil && l.failure != nil && !due:
		return nil, false, l.failure
	case l.listed == nil:
		return l.read(ctx), false, nil
	case due:
		l.read(ctx)
	}
	_, yes := l.listed[key]
	return nil, yes, nil
}

// LastRead returns when the list was last read to its end, the zero time if
// never, and why the newest read failed, or nil.
func (l *SuppressionList) LastRead() (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return l.readAt, l.failure
	}
	return l.readAt, nil
}

// Put puts an address on SES's list, so that SES drops mail to it from whatever
// program of the account. An account in the sandbox cannot. The reason is
// types.SuppressionListReasonBounce or types.SuppressionListReasonComplaint.
func (l *SuppressionList) Put(ctx context.Context, address string, reason types.SuppressionListReason) error {
	address = bare(address)
	e := control(ctx, l.api, &l.creds, opPutSuppressed, func(ctx context.Context, watch func(*sesv2.Options)) error {
		_, err := l.api.PutSuppressedDestination(ctx, &sesv2.PutSuppressedDestinationInput{EmailAddress: &address, Reason: reason}, watch)
		return err
	})
	if e != nil {
		return e
	}
	l.change(func(a addresses) { a.add(address) })
	return nil
}

// Delete takes an address off SES's list, in each spelling of its local part
// that the list is known to have, else as it is given and in lower case. It is
// no error if the address is not on it. Each spelling is a call, and calls are a
// second apart.
func (l *SuppressionList) Delete(ctx context.Context, address string) error {
	key := fold(address)
	l.mu.Lock()
	spellings := slices.Clone(l.listed[key])
	l.mu.Unlock()
	if spellings == nil {
		spellings = slices.Compact([]string{bare(address), key})
	}
	for _, s := range spellings {
		e := control(ctx, l.api, &l.creds, opDeleteSuppressed, func(ctx context.Context, watch func(*sesv2.Options)) error {
			_, err := l.api.DeleteSuppressedDestination(ctx, &sesv2.DeleteSuppressedDestinationInput{EmailAddress: &s}, watch)
			return err
		})
		if e == nil {
			continue
		}
		if _, absent := errors.AsType[*types.NotFoundException](e); !absent {
			return e
		}
	}
	l.change(func(a addresses) { delete(a, key) })
	return nil
}

// change makes a change that SES has made. A read under way may have passed
// its place already, so it makes the change too when it ends.
func (l *SuppressionList) change(f func(addresses)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listed != nil {
		f(l.listed)
	}
	if l.reading != nil {
		l.reading.changes = append(l.reading.changes, f)
	}
}

// A listing is one read of the list, which all senders share.
type listing struct {
	done    chan struct{}
	err     *seserrors.Error  // set before done is closed, where nothing is known
	changes []func(addresses) // since it began
}

// read returns the read under way, and begins one if there is none. It does not
// end with the sender that happened to begin it: others need it too.
func (l *SuppressionList) read(ctx context.Context) *listing {
	if l.reading == nil {
		l.reading = &listing{done: make(chan struct{})}
		go func(ctx context.Context, r *listing) {
			began := time.Now()
			found, err := l.list(ctx)
			l.learn(r, found, err, time.Since(began))
		}(context.WithoutCancel(ctx), l.reading)
	}
	return l.reading
}

// learn takes over what a read found.
func (l *SuppressionList) learn(r *listing, found addresses, err *seserrors.Error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.reading, l.failure = nil, err
	switch {
	case err == nil:
		for _, f := range r.changes {
			f(found)
		}
		l.listed, l.readAt, l.next = found, now, now.Add(max(suppressionAge, suppressionShare*took))
	case l.listed == nil:
		r.err, l.next = err, now.Add(readAgain)
	default:
		l.next = now.Add(max(suppressionRetry, suppressionShare*took))
	}
	close(r.done)
}

// list reads all pages.
func (l *SuppressionList) list(ctx context.Context) (addresses, *seserrors.Error) {
	found := addresses{}
	in := &sesv2.ListSuppressedDestinationsInput{PageSize: aws.Int32(suppressionPage)}
	for {
		out, e := l.page(ctx, in)
		if e != nil {
			return nil, e
		}
		for _, s := range out.SuppressedDestinationSummaries {
			found.add(aws.ToString(s.EmailAddress))
		}
		if aws.ToString(out.NextToken) == "" {
			return found, nil
		}
		if aws.ToString(out.NextToken) == aws.ToString(in.NextToken) {
			return nil, &seserrors.Error{Op: opListSuppressed, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Message: "the same page again"}
		}
		in.NextToken = out.NextToken
	}
}

func (l *SuppressionList) page(ctx context.Context, in *sesv2.ListSuppressedDestinationsInput) (*sesv2.ListSuppressedDestinationsOutput, *seserrors.Error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var out *sesv2.ListSuppressedDestinationsOutput
	e := control(ctx, l.api, &l.creds, opListSuppressed, func(ctx context.Context, watch func(*sesv2.Options)) (err error) {
		out, err = l.api.ListSuppressedDestinations(ctx, in, watch)
		return err
	})
	switch {
	case e != nil:
		aboutTheAccount(e)
		return nil, e
	case out == nil:
		return nil, &seserrors.Error{Op: opListSuppressed, Class: seserrors.Unavailable, Reason: seserrors.ServiceFailure, Message: "an empty answer"}
	}
	return out, nil
}

// addresses are the spellings of addresses, by what they are compared by. SES
// keeps the local part as it was listed, and knows it by that only when it is
// taken off.
type addresses map[string][]string

func (a addresses) add(address string) {
	key := fold(address)
	if key != "" && !slices.Contains(a[key], address) {
		a[key] = append(a[key], address)
	}
}

// bare returns the address without a display name, its domain as SES lists it.
func bare(address string) string {
	a, err := sesguard.ParseAddress(address)
	if err != nil {
		return strings.TrimSpace(address)
	}
	a.Domain = strings.ToLower(a.Domain)
	return a.Addr()
}

func fold(address string) string { return strings.ToLower(bare(address)) }
