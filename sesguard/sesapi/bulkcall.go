package sesapi

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

const opSendBulk = "ses SendBulkEmail"

// A reply is what a call said of one entry: a receipt, or an error.
type reply struct {
	receipt *sesguard.Receipt
	err     error
	whole   bool // it was said of the whole call
}

// input is the call of the chunk.
func (r *bulkRun) input() *sesv2.SendBulkEmailInput {
	in := r.base
	in.BulkEmailEntries = make([]sestypes.BulkEmailEntry, len(r.chunk))
	for i, s := range r.chunk {
		in.BulkEmailEntries[i] = s.wire
	}
	return &in
}

// call makes one call, without the SDK's retries, and returns what it said of
// each entry.
func (b *Bulker) call(ctx context.Context, in *sesv2.SendBulkEmailInput) []reply {
	n := len(in.BulkEmailEntries)
	w := b.door.witness()
	limited, cancel := within(ctx, attemptTimeout)
	defer cancel()
	out, err := b.api.SendBulkEmail(limited, in, b.door.watch(w))
	if err == nil {
		return readReplies(w.close(), out, n)
	}
	err = w.verdict(ctx, err)
	if e, ok := err.(*seserrors.Error); ok && e.Op == opSendEmail {
		own := *e
		own.Op = opSendBulk
		err = &own
	}
	if seserrors.Classify(err).Class == seserrors.Throttled {
		b.paced.Store(true)
	}
	return repeat(err, n)
}

// readReplies reads the answer to a call of n entries.
func readReplies(rec record, out *sesv2.SendBulkEmailOutput, n int) []reply {
	switch {
	case rec.early && rec.accepted == 0:
		return repeat(bulkLost(rec, "a success before the request was handed out whole"), n)
	case out == nil || len(out.BulkEmailEntryResults) != n:
		return repeat(bulkLost(rec, "a success without a result for each entry"), n)
	}
	replies := make([]reply, n)
	for i, result := range out.BulkEmailEntryResults {
		replies[i] = readReply(rec, result)
	}
	return replies
}

// readReply reads the result of one entry. Where an earlier request of the same
// attempt may have been taken too, a refusal leaves doubt, and a success may be
// the second.
func readReply(rec record, r sestypes.BulkEmailEntryResult) reply {
	again := rec.doubt || rec.accepted > 1
	e := seserrors.FromBulkStatus(string(r.Status), aws.ToString(r.Error))
	switch {
	case e != nil:
		e.MaybeAccepted = e.MaybeAccepted || again
		rec.locate(e)
		return reply{err: e}
	case aws.ToString(r.MessageId) == "":
		return reply{err: bulkLost(rec, "a success without a message id")}
	}
	receipt := &sesguard.Receipt{MessageID: *r.MessageId, Transport: "api", Attempts: 1, MaybeDuplicate: again}
	if rec.last != nil {
		receipt.Region = rec.last.region
	}
	return reply{receipt: receipt}
}

// bulkLost is the error for a success that cannot be believed.
func bulkLost(rec record, message string) *seserrors.Error {
	e := responseLost(message, nil)
	e.Op = opSendBulk
	rec.locate(e)
	return e
}

// repeat is the same reply for n entries.
func repeat(err error, n int) []reply {
	replies := make([]reply, n)
	for i := range replies {
		replies[i] = reply{err: err, whole: true}
	}
	return replies
}

// refusesAll reports whether e, which was said of one entry or of a whole call,
// would be said of every other entry too, until a person acts.
func (p *preparedBulk) refusesAll(e *seserrors.Error, whole bool) bool {
	if e == nil || !seserrors.IsFatal(e) || e.Reason == seserrors.ClockSkew { // the next request is signed with SES's time
		return false
	}
	switch scope := e.Reason.Scope(); {
	case e.Reason == seserrors.IdentityNotVerified && !whole: // in the sandbox it may be the recipient's
		return slices.Contains(e.Identities, p.info.From)
	case e.Reason == seserrors.TemplateMissing, scope == seserrors.ScopeAccount, scope == seserrors.ScopeSender:
		return true
	}
	return whole && (e.Class == seserrors.Denied || e.Class == seserrors.Suspended || e.Reason == seserrors.TemplateInvalid)
}
