package sesapi

import (
	"context"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"github.com/sesguard/sesguard-go/sesguard"
)

// SendBulkEmailAPI is the part of the SES v2 client that sends one template to
// many. *[sesv2.Client] satisfies it. Where the caller lacks an IAM permission,
// the words of access-denied name it.
type SendBulkEmailAPI interface {
	SendBulkEmail(ctx context.Context, in *sesv2.SendBulkEmailInput, optFns ...func(*sesv2.Options)) (*sesv2.SendBulkEmailOutput, error)
}

// A Bulk is one template for any number of entries, each of which becomes a mail
// of its own. One entry is a single templated mail. Nothing in this package
// writes to a Bulk or to what it points to; it must not change while Send is
// under way.
type Bulk struct {
	// From is the author's address, which SES must have verified. ReturnPath is
	// where bounces go; empty: From. ReplyTo is where answers go.
	From, ReturnPath string
	ReplyTo          []string

	ConfigurationSet, Tenant string         // as in sesguard.Message
	FromARN, ReturnPathARN   string         // as in sesguard.Message
	EndpointID               string         // of a multi-region endpoint; empty: none
	Tags                     []sesguard.Tag // of all mails; an entry's own of the same name replace them

	Template Template
	Defaults any // data of all entries, as for [Template.Check]; nil: none
	Entries  []BulkEntry

	// ChunkSize is how many entries go into one call at most. A call whose answer
	// is lost leaves all of them in doubt. 0, less, and more than SES's limit
	// of 50: 50.
	ChunkSize int

	// Progress, if not nil, is told the result of each entry as it comes, in the
	// goroutine of Send, which goes on when it returns: while it waits, all
	// entries do, and their policies' time passes. It must not wait for the Guard's
	// Shutdown, which waits for Send.
	Progress func(entry int, r BulkResult)
}

// A BulkEntry is one mail of a Bulk: its recipients, at most 50, who see each
// other but for Bcc; and what is its own.
type BulkEntry struct {
	To, Cc, Bcc []string
	Data        any               // laid over Defaults, object by object at every depth; lists are replaced whole. nil: Defaults alone
	Tags        []sesguard.Tag    // beside those of the Bulk
	Headers     []sesguard.Header // beside those of the Template; one of the same name replaces it
}

// A BulkResult is what became of an entry: exactly one of Receipt and Err is
// set. They are those of sesguard's Client.Send for one mail.
type BulkResult struct {
	Receipt *sesguard.Receipt
	Err     error
}

// A Bulker sends Bulks. It is safe for concurrent use. Create it with [NewBulk].
type Bulker struct {
	door  door
	api   SendBulkEmailAPI
	guard *sesguard.Guard
	paced atomic.Bool // SES has said that calls come too fast
}

// NewBulk returns a Bulker that calls api by the rules of g, whose brakes are
// those of all that goes through it. The SDK's retries are not used. It panics if
// api or g is nil.
func NewBulk(api SendBulkEmailAPI, g *sesguard.Guard) *Bulker {
	if api == nil || g == nil {
		panic("sesapi: NewBulk of a nil API or Guard")
	}
	return &Bulker{api: api, guard: g}
}

// Send sends every entry of in and returns what became of each, with the index
// of the entry. First all is checked: addresses, tags, headers, and each entry's
// data against the template, if its text is known. The error says that something
// is wrong, and then nothing was sent: it is of class Invalid with a
// *sesguard.ValidationError for fields such as "Entries[3].Data.name", a hundred
// at most. The results hold, for each entry that is wrong, the first ten things
// in an error of its own, so that one can send the others.
//
// Each entry is one send through the Guard, with its own hooks, attempts, waits,
// id and result: all that is said of Client.SendBuilt holds for it. A call of SES
// is only how attempts travel together. So breaker, retry budget and limiter,
// which counts recipients, see single mails, and what SES says of an entry
// decides about that entry alone: only entries that failed in a way that time
// cures are sent again, each after the wait that the policy gives it, together
// with whatever is due then. The values that a hook puts into a context do not
// reach the call, which has ctx, and an attempt lasts from when it is ready to be
// sent until the call is over.
//
// A call is made as soon as it is full, or holds all entries that are left, or a
// second after its first entry was ready, so that entries which a limiter lets
// through one by one share calls. Send makes one call after the other. SES's
// documentation allows one a second, in practice more pass: after the first
// TooManyRequests the Bulker keeps to one, together with the other control calls
// over api. No more than 1,000 entries are under way: in an outage, when all of
// them wait, no new one begins until one is given up. Each has the policy's time
// for itself, so give ctx a deadline where the bulk as a whole has one.
//
// Some refusals are about every entry: of class Denied or Suspended for a whole
// call, and of a configuration set, a template or an identity that all share.
// After one the entries that are not accepted and not refused otherwise have that
// error, nothing more is sent, and Send returns at once. To SendDone such an
// entry may be told as canceled.
//
// A lost answer leaves all entries of its call in doubt (seserrors.MaybeAccepted),
// and they are not sent again unless Retry.AllowDuplicates. With Options.TrackTag
// each has its own id, in its Receipt or Err and in SES's events.
//
// When ctx ends or the Guard is shut down, a call under way finishes, or ends
// with ctx, and the other entries have class Canceled, or their last failure. A
// panic in api, in Progress, or in a hook becomes one of Send, after all that
// Send has begun has ended.
func (b *Bulker) Send(ctx context.Context, in *Bulk) ([]BulkResult, error) {
	p, results, err := prepare(in)
	if err != nil {
		return results, err
	}
	r := &bulkRun{Bulker: b, preparedBulk: p, ctx: ctx, results: results}
	r.run()
	return results, nil
}
